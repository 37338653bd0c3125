"""Text that names something on a network instead of a file, and what to do with it: nothing here is
ever opened.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Two letters at least, as `C:` is a drive. `Path` leaves one slash of two.
_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):(/{1,3})(?!/)(.*)", re.DOTALL)
_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+[;,]")
_COMMANDS = {
    "s3": "aws s3 cp {url} .",
    "gs": "gcloud storage cp {url} .",
    "hf": "hf download",
    "az": "azcopy copy {url} .",
    **dict.fromkeys(
        ("rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "mms"),
        "ffmpeg -i {url} -t 60 -c copy recording.mkv",
    ),
}
_PLAYLIST_COMMAND = "ffmpeg -i {url} -c copy video.mp4"
_PAGE_COMMAND = "yt-dlp {url}"
_PAGES = ("youtube.com", "youtu.be", "vimeo.com", "dailymotion.com", "bilibili.com", "twitch.tv")


def restore_url(text: str) -> str:
    """`text` with both slashes of a URL, of which `Path` drops one; other text as it is.

    `https:/example.org/v.mp4` -> `https://example.org/v.mp4`.
    """
    match = _URL.fullmatch(text)
    if match is None:
        return text
    scheme, _, remainder = match.groups()
    return f"{scheme}:///{remainder}" if scheme.lower() == "file" else f"{scheme}://{remainder}"


def is_url(text: str) -> bool:
    """Whether `text` names something by a URL, also one that has been through `Path`.

    Example:
        >>> is_url("https://example.org/talk.mp4"), is_url("talk.mp4")
        (True, False)
    """
    return _URL.fullmatch(text) is not None or _DATA_URL.match(text) is not None


def explain_url(text: str) -> str:
    """One line that says what to do with a URL in place of opening it."""
    if _DATA_URL.match(text):
        return f"{text[:40]}...: is a data URL, which is not read; decode it and give the bytes"
    url = restore_url(text)
    scheme = url.partition(":")[0].lower()
    if scheme == "file":
        path = unquote(url.removeprefix(url[: len("file://")]))
        return f"{url}: is a URL; give the path alone: {path}"
    command = _COMMANDS.get(scheme) or _web_command(url)
    return (
        f"{url}: is a URL, and nothing is fetched from a network; download it first "
        f"(`{command.format(url=shlex.quote(url))}`), then give the path of the file"
    )


def _web_command(url: str) -> str:
    split = urlsplit(url)
    if any((split.hostname or "").endswith(page) for page in _PAGES):
        return _PAGE_COMMAND
    if Path(split.path).suffix.lower() in (".m3u8", ".mpd"):
        return _PLAYLIST_COMMAND
    return "curl -L -O {url}"
