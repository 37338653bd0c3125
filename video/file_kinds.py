"""What a file is that is no video, told by its first bytes: one line that says so and what to do.

Knows kinds that no back end reads, and is asked before any is tried. At most a few kilobytes are
read.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmreason.video.descriptors import is_descriptor_path

HEAD_BYTES = 4096
"""What is read of a file to tell its kind."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of file by how it begins."""

    begins: Callable[[bytes], object]
    """Whether the first bytes are of this kind (any true value)."""
    is_what: str
    advice: str
    """What to do; `{path}` is the file's and `{out}` a new name, quoted for a shell."""


def starts_with(*marks: bytes) -> Callable[[bytes], bool]:
    """A test of first bytes for any of `marks`."""
    return lambda head: head.startswith(marks)


def _text(pattern: str) -> Callable[[bytes], object]:
    """Text whose beginning matches, without regard to case, marks and white space before it."""
    compiled = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:%b)" % pattern.encode(), re.IGNORECASE)
    return compiled.match


_PROLOGUE = re.compile(
    rb"\xef\xbb\xbf|\s+|<\?xml[^>]*>|<!--.*?-->|<!doctype[^>]*>", re.DOTALL | re.IGNORECASE
)
_PICTURES_OF_TEXT = re.compile(rb"YUV4MPEG2|P[1-6]\s|/\* XPM \*/|#define \w+_width")
"""Kinds of pictures and video that begin with text."""


def _xml(pattern: str) -> Callable[[bytes], object]:
    """XML (or HTML) whose first element matches."""
    compiled = re.compile(pattern.encode(), re.IGNORECASE)

    def begins(head: bytes) -> object:
        offset = 0
        while skipped := _PROLOGUE.match(head, offset):
            offset = skipped.end()
        return compiled.match(head, offset)

    return begins


def _is_plain_text(head: bytes) -> bool:
    """Whether it is readable text to its end."""
    if _PICTURES_OF_TEXT.match(head):
        return False
    for encoding in ("utf-8", "utf-16"):
        if encoding == "utf-16" and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
            return False
        try:
            text = head.decode(encoding)
        except UnicodeDecodeError as error:
            if error.start < len(head) - 3:  # not merely cut inside a character
                continue
            text = head[: error.start].decode(encoding)
        return all(c.isprintable() or c in "\t\n\r\f" for c in text)
    return False


def is_riff(head: bytes, form: bytes) -> bool:
    """Whether a RIFF file of this form begins so: `AVI `, `WEBP`."""
    return head[:4] == b"RIFF" and head[8:12] == form


def _is_animated_webp(head: bytes) -> bool:
    return is_riff(head, b"WEBP") and head[12:16] == b"VP8X" and bool(head[20:21][0] & 2)


def _stream_unit(head: bytes) -> int:
    """The byte after the first start code of a raw stream of MPEG kind, -1 where there is none."""
    for mark in (b"\0\0\0\1", b"\0\0\1"):
        if head.startswith(mark) and len(head) > len(mark):
            return head[len(mark)]
    return -1


def _is_raw_h264(head: bytes) -> bool:
    return _stream_unit(head) in (0x09, 0x27, 0x47, 0x67)  # delimiter or sequence parameters


def _is_raw_hevc(head: bytes) -> bool:
    return _stream_unit(head) in (0x40, 0x42, 0x46)  # parameters of video or sequence, delimiter


_is_matroska = starts_with(b"\x1a\x45\xdf\xa3")
_is_subtitles = _text(
    r"WEBVTT(?:\s|$)|\[Script Info\]|(?:\d+\s*\n\s*)?(?:\d{1,3}:)?\d\d:\d\d[,.]\d{1,3}\s*-->"
)

_RAW_ADVICE = (
    "its frames carry no times; encode it anew at its true rate, here 25 frames a second: "
    "`ffmpeg -framerate 25 -i {path} {out}`"
)
_WEB_PLAYLIST = (
    "`ffmpeg -protocol_whitelist file,http,https,tcp,tls,crypto,data -i {path} -c copy {out}`"
)
_UNPACK = "unpack it and give the video inside"
_WEBP_ADVICE = "no back end reads it, convert it: `python -c {webp_to_gif}`"

_OTHER_KINDS = (
    # Pointers to a file that lies elsewhere.
    _Kind(
        _text(r"version https?://(?:git-lfs|hawser)\.github\.com/spec"),
        "is a pointer of Git LFS, not the file itself",
        "fetch it, inside its repository: `git lfs pull`",
    ),
    _Kind(
        _text(r"/annex/objects/"),
        "is a pointer of git-annex, not the file itself",
        "fetch it: `git annex get {path}`",
    ),
    _Kind(
        _text(r"outs:\s*\n- (?:md5|hash|etag)"),
        "is a pointer of DVC",
        "fetch it: `dvc pull {path}`",
    ),
    _Kind(_text(r"\[InternetShortcut\]"), "is a link to a web page", "download the video it names"),
    _Kind(starts_with(b"L\0\0\0\1\x14\2\0"), "is a shortcut of Windows", "give the file it names"),
    _Kind(
        starts_with(b"\0\5\x16\7"),
        "holds what macOS keeps beside a file, not the file itself",
        "give the one whose name does not begin with `._`",
    ),
    _Kind(starts_with(b"MZ"), "is a program for Windows, not a video", "do not start it"),
    _Kind(
        _text(r"HTTP/[123](?:\.\d)? \d\d\d"),
        "begins with the headers of a web server's answer",
        "download the file itself: `curl -L -O` and its URL",
    ),
    _Kind(
        starts_with(b"d8:announce", b"d10:created by", b"d13:announce-list"),
        "is a torrent",
        "download it",
    ),
    # Playlists.
    _Kind(
        _text(r"#EXTM3U(?=[\s\S]*#EXT-X-)(?=[\s\S]*\bhttps?://)"),
        "is a playlist (HLS) of parts on a network",
        f"join them to one file: {_WEB_PLAYLIST}",
    ),
    _Kind(
        _text(r"#EXTM3U(?=[\s\S]*#EXT-X-)"),
        "is a playlist (HLS), not a video",
        "join its parts to one file: `ffmpeg -i {path} -c copy {out}`",
    ),
    _Kind(
        _text(r"#EXTM3U|\[playlist\]|\[reference\]"),
        "is a playlist",
        "give one of the files it lists",
    ),
    _Kind(
        _text(r"ffconcat version|(?:#.*\n\s*)*file\s+['\"]?[^\n]+\.\w+['\"]?\s*(?:\n|$)"),
        "is a list of files to be joined",
        "join them to one file: `ffmpeg -f concat -safe 0 -i {path} -c copy {out}`",
    ),
    _Kind(
        _xml("<MPD[ >]"),
        "is a playlist (MPEG-DASH), not a video",
        "join its parts to one file: `ffmpeg -i {path} -c copy {out}`",
    ),
    _Kind(
        _xml("<(?:playlist|asx|smil|SmoothStreamingMedia)[ >]"),
        "is a playlist",
        "give a file it lists",
    ),
    _Kind(
        _text(r"v=0\s+o=\S+ "),
        "describes a live stream (SDP)",
        "record it first, then give the file",
    ),
    # Subtitles.
    _Kind(
        _is_subtitles,
        "is a subtitle file",
        "give the video, and this file as its subtitles",
    ),
    _Kind(_xml("<(?:tt|SAMI)[: >]"), "is a subtitle file (TTML or SAMI)", "give the video itself"),
    # What servers send in place of a file.
    _Kind(
        _xml("<Error>|<\\w*:?Fault"),
        "is the error message of a server, not a video",
        "read it, then download the video again",
    ),
    _Kind(_xml("<svg[ >:]"), "is a drawing (SVG)", "export it as png"),
    _Kind(
        _xml(r"<(?:html|head|body|script|title|meta|div|p|h1)[ >]"),
        "is a web page, not a video: the download may have failed or asked for a login",
        "download the video itself",
    ),
    _Kind(_text(r"<!doctype html|<!--"), "is a web page, not a video", "download the video itself"),
    _Kind(_text(r"<\?xml"), "is an XML document, not a video", "give the video itself"),
    _Kind(
        _text(r'\{\s*"'),
        "is a JSON document, not a video, perhaps the error message of a server",
        "give the video itself; a scripted world needs a name that ends in .json",
    ),
    # Documents, archives, data.
    _Kind(starts_with(b"%PDF-", b"%!PS"), "is a document (PDF or PostScript)", "give a video"),
    _Kind(
        starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        "is an Office document",
        "export its video",
    ),
    _Kind(starts_with(b"PK\3\4", b"PK\5\6"), "is a zip archive or an Office document", _UNPACK),
    _Kind(starts_with(b"\x1f\x8b"), "is compressed by gzip", _UNPACK),
    _Kind(starts_with(b"Rar!\x1a\x07"), "is a rar archive", _UNPACK),
    _Kind(starts_with(b"7z\xbc\xaf\x27\x1c"), "is a 7z archive", _UNPACK),
    _Kind(starts_with(b"\xfd7zXZ\0"), "is compressed by xz", _UNPACK),
    _Kind(starts_with(b"\x28\xb5\x2f\xfd"), "is compressed by zstd", _UNPACK),
    _Kind(lambda head: re.match(rb"BZh[1-9]1AY&SY", head), "is compressed by bzip2", _UNPACK),
    _Kind(lambda head: head[257:262] == b"ustar", "is a tar archive", _UNPACK),
    _Kind(starts_with(b"\x93NUMPY"), "is an array of NumPy", "write it as a video first"),
    _Kind(starts_with(b"\x89HDF\r\n"), "is an HDF5 file", "write its frames as a video first"),
    _Kind(starts_with(b"SQLite format 3\0"), "is an SQLite database", "give a video"),
    _Kind(starts_with(b"PAR1"), "is a Parquet table", "write its videos to files first"),
    # Pictures and streams.
    _Kind(_is_animated_webp, "is an animated WebP", _WEBP_ADVICE),
    _Kind(starts_with(b"8BPS"), "is a picture (Photoshop)", "export it as png"),
    _Kind(_is_raw_h264, "is a raw H.264 stream", _RAW_ADVICE),
    _Kind(_is_raw_hevc, "is a raw HEVC stream", _RAW_ADVICE),
    _Kind(_is_plain_text, "is text, not a video", "give the video itself"),
)


def describe_other_kind(path: Path) -> str | None:
    """What the file is and what to do, where it is of a kind that no back end reads; None for what
    may be a video. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for kind in _OTHER_KINDS:
        if kind.begins(head):
            return f"{kind.is_what}; {fill_in(kind.advice, path)}"
    return None


def is_world_script(path: Path) -> bool:
    """Whether a file is to be read as a scripted world: by its name, or, where it has none (an open
    descriptor), by its first bytes. Raises OSError."""
    if not is_descriptor_path(path):
        return path.suffix.lower() == ".json"
    with path.open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def is_webm(path: Path) -> bool:
    """Whether a file is WebM, by its name or by its first bytes. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(64)
    return path.suffix.lower() == ".webm" or (_is_matroska(head) and b"webm" in head)


def begins_as_subtitles(path: Path) -> bool:
    """Whether a file begins as srt, vtt and ass files do; False for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return bool(_is_subtitles(file.read(HEAD_BYTES)))
    except OSError:
        return False


def fill_in(advice: str, path: Path) -> str:
    """`advice` with the file's names in place of `{path}` and `{out}`, ready for a shell."""
    out = f"{path.stem}{'-new' * (path.suffix.lower() == '.mp4')}.mp4"
    names = {"{path}": shlex.quote(str(path)), "{out}": shlex.quote(out)}
    webp, gif = (json.dumps(name, ensure_ascii=False) for name in (str(path), f"{path.stem}.gif"))
    program = f"Image.open({webp}).save({gif}, save_all=True)"
    names["{webp_to_gif}"] = shlex.quote(f"from PIL import Image; {program}")
    return re.sub(r"\{\w+\}", lambda field: names[field[0]], advice)
