"""Names that lead an MCP server out of the folders that it may read, and races on the way."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from benchmarks.attacks.harness import Attack
from benchmarks.attacks.material import Bench
from benchmarks.attacks.mcp_client import McpSession, ToolReply, shows_outside

KIND, RACES = "mcp paths", "mcp races"
_RACE_CALLS = 40
_TOOLS = {
    "inspect": lambda name: {"video": name},
    "frames": lambda name: {"video": name, "times_s": [0.0]},
    "ground": lambda name: {"file": name, "expression": "the red star"},
    "caption": lambda name: {"video": name},
    "ask subtitles": lambda name: {
        "video": "clip.mp4",
        "question": "What star?",
        "subtitles": name,
    },
    "ask video": lambda name: {"video": name, "question": "What star?"},
}


def _write_root(root: Path, bench: Bench) -> None:
    """Files and links in the folder that may be read."""
    outside = bench.outside
    root.mkdir()
    shutil.copy(bench.clip, root / "clip.mp4")
    shutil.copy(bench.world, root / "star.json")
    shutil.copy(bench.clip, root / "in.mp4")
    (root / "inner.mp4").symlink_to("in.mp4")
    (root / "deep").mkdir()
    # Its name begins as the root's does: a check of the beginning lets it pass.
    sibling = root.with_name(root.name + "2")
    sibling.mkdir()
    for name in ("secret.mp4", "secret.png", "secret.srt", "secret.json"):
        # Links straight out, up through a folder, and by way of another link.
        shutil.copy(outside / name, sibling / name)
        (root / f"link-{name}").symlink_to(outside / name)
        (root / f"deep/up-{name}").symlink_to(f"../../{sibling.name}/{name}")
        (root / f"chain-{name}").symlink_to(f"link-{name}")
    # Folders that lead out, round in a ring, and to everything.
    (root / "dir").symlink_to(outside)
    (root / "self").symlink_to(".")
    (root / "proc").symlink_to("/proc/self/root")
    # Files whose reading does not end, or does not begin.
    (root / "ring.mp4").symlink_to("ring2.mp4")
    (root / "ring2.mp4").symlink_to("ring.mp4")
    (root / "zero.mp4").symlink_to("/dev/zero")
    (root / "stdin.mp4").symlink_to("/dev/stdin")
    os.mkfifo(root / "fifo.mp4")
    os.mkfifo(root / "fifo.png")
    os.mkfifo(root / "fifo.srt")
    (root / "folder.mp4").mkdir()
    Image.new("RGB", (40, 30), (0, 200, 0)).save(root / "in.png")
    inside_png = (root / "in.png").read_bytes()
    # Names that a demuxer takes for a pattern of siblings, which are links.
    for pattern, suffix in (
        ("img%03d.png", ".png"),
        ("img%d.png", ".png"),
        ("img%3d.jpg", ".jpg"),
        ("img%06d.png", ".png"),
        ("frame_%02d.png", ".png"),
        ("f%c.png", ".png"),
    ):
        (root / pattern).write_bytes(inside_png)
        for number in range(6):
            made = pattern.replace("%c", "0") if "%c" in pattern else pattern % number
            link = root / made
            if not link.exists():
                link.symlink_to(outside / f"secret{suffix}")
    for name, data in {
        "img*.png": inside_png,
        "img00[0-9].png": inside_png,
        "img%03d.mp4": bench.clip.read_bytes(),
        "img%04d.png": b"x",
        "img%05d.png": bytes(1),
        "img%07d.png": b"\xff\xd8\xff\xe0",
    }.items():
        (root / name).write_bytes(data)
    for digits in (4, 5, 7):
        (root / f"img{0:0{digits}d}.png").symlink_to(outside / "secret.png")
    (root / "img000.mp4").symlink_to(outside / "secret.mp4")
    (root / "vob.idx").write_text("# VobSub index file, v7\nid: en, index: 0\n")
    (root / "vob.sub").symlink_to(outside / "secret.srt")
    # Playlists, under honest names and under those of videos.
    url, path = f"file://{outside}/secret.mp4", f"{outside}/secret.mp4"
    lists = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{url}\n#EXT-X-ENDLIST\n",
        "hls_link": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nlink-secret.mp4\n",
        "concat": f"ffconcat version 1.0\nfile {path}\n",
        "concat_link": "ffconcat version 1.0\nfile link-secret.mp4\n",
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        f'mediaPresentationDuration="PT2S"><Period><AdaptationSet><Representation id="1" '
        f'bandwidth="1"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 9 RTP/AVP 96\n",
        "asx": f'<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
        "smil": f'<smil><body><video src="{url}"/></body></smil>',
        "m3u": f"{path}\n",
        "pls": f"[playlist]\nFile1={path}\nNumberOfEntries=1\n",
        "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/'
        '2067-3/2016"><Id>urn:uuid:0</Id></CompositionPlaylist>',
        "avs": f'AVISource("{path}")\n',
        "vpy": "import os\n",
        "ly": "0\n",
    }
    suffixes = {
        "hls": "m3u8",
        "hls_link": "m3u8",
        "concat": "ffconcat",
        "dash": "mpd",
        "imf": "xml",
    }
    for name, text in lists.items():
        (root / f"{name}.mp4").write_text(text)
        (root / f"{name}.{suffixes.get(name, name)}").write_text(text)
    (root / "rmra.mov").write_bytes(_reference_movie(url))
    # Subtitles beside a video that lie outside.
    shutil.copy(bench.clip, root / "talk.mp4")
    (root / "talk.srt").symlink_to(outside / "secret.srt")
    (root / "talk.en.srt").symlink_to(outside / "secret.srt")


def _reference_movie(url: str) -> bytes:
    def box(name: bytes, body: bytes) -> bytes:
        return (8 + len(body)).to_bytes(4, "big") + name + body

    text = url.encode() + b"\0"
    reference = bytes(4) + b"url " + len(text).to_bytes(4, "big") + text
    return box(b"ftyp", b"qt  " + bytes(4)) + box(
        b"moov", box(b"rmra", box(b"rmda", box(b"rdrf", reference)))
    )


def hostile_names(root: Path, bench: Bench) -> list[str]:
    """Names as a client gives them."""
    outside, video = bench.outside, "secret.mp4"
    absolute = f"{outside}/{video}"
    up = os.path.relpath(absolute, root)
    names = [
        # Out by the path itself, plain and with detours.
        absolute,
        up,
        f"deep/../{up}",
        f"./{up}",
        f"{root}/{up}",
        f"{root}2/{video}",
        f"../{root.name}2/{video}",
        f"clip.mp4/../{up}",
        f"nothing/../{up}",
        f"dir/{video}",
        f"self/self/dir/{video}",
        f"self/../{up}",
        # Out by links, those of the folder and those of the system.
        f"link-{video}",
        f"chain-{video}",
        f"deep/up-{video}",
        f"dir/../outside/{video}",
        f"proc{absolute}",
        f"/proc/self/root{absolute}",
        f"/proc/self/cwd/{up}",
        f"/proc/self/cwd/link-{video}",
        f"/proc/thread-self/root{absolute}",
        f"//{absolute}",
        f"/./{absolute}",
        # Names that one library cuts where another one reads on.
        absolute + "/",
        absolute + "/.",
        absolute + "\0",
        f"clip.mp4\0{absolute}",
        f"{absolute}?",
        f"{absolute}#x",
        # Names that FFmpeg takes for protocols.
        f"file:{absolute}",
        f"file://{absolute}",
        f"FILE:{absolute}",
        f"concat:{absolute}",
        f"concat:clip.mp4|{absolute}",
        f"concatf:{absolute}",
        f"subfile,,start,0,end,0,,:{absolute}",
        f"crypto:{absolute}",
        f"cache:{absolute}",
        f"async:{absolute}",
        f"ffrtmpcrypt:{absolute}",
        f"tee:{absolute}",
        f"md5:{absolute}",
        "data:video/mp4;base64,AAAA",
        "pipe:0",
        "fd:0",
        "unix:/tmp/x",
        "http://127.0.0.1:9/x.mp4",
        "rtsp://127.0.0.1:9/x",
        # Names that a shell, a browser or a normaliser of text would change.
        f"~/../../..{absolute}",
        f"$HOME/{up}",
        up.replace("/", "\\"),
        up.replace("..", "%2e%2e"),
        up.replace("..", "\uff0e\uff0e"),
        up.replace("/", "\u2215"),
        up.replace("..", ".\u200b."),
        f"LINK-{video}".lower(),
        *(f"{name}.mp4" for name in ("ring", "zero", "stdin", "fifo", "folder")),
        *("fifo.png", "fifo.srt", "/dev/zero", "/dev/stdin", "/dev/tty", "/dev/fd/0", ".", "", " "),
        *("img%03d.png", "img%d.png", "img%3d.jpg", "img%06d.png", "frame_%02d.png", "f%c.png"),
        *("img*.png", "img00[0-9].png", "img000.png", "img%03d.mp4", "img000.mp4", "img%%03d.png"),
        *("img%04d.png", "img%05d.png", "img%07d.png", "./img%03d.png", "self/img%03d.png"),
        *("vob.idx", "vob.sub", "rmra.mov"),
        *(
            f"{name}.mp4"
            for name in (
                *("hls", "hls_link", "concat", "concat_link", "dash", "sdp", "asx", "smil"),
                *("m3u", "pls", "imf", "avs", "vpy", "ly"),
            )
        ),
        *("hls.m3u8", "hls_link.m3u8", "concat.ffconcat", "concat_link.concat_link", "dash.mpd"),
        *("sdp.sdp", "imf.xml", "avs.avs", "pls.pls"),
        *(f"{way}-secret.{kind}" for way in ("link", "chain") for kind in ("png", "srt", "json")),
        *(f"dir/secret.{kind}" for kind in ("png", "srt", "json")),
        "deep/up-secret.json",
        "x" * 300 + ".mp4",
        "a/" * 2_100 + "x.mp4",
    ]
    return list(dict.fromkeys(names))


def attacks(bench: Bench) -> Iterator[Attack]:
    """Each name to the tools that take one; then files that change while they are opened."""
    root = bench.folder / "root"
    _write_root(root, bench)
    with McpSession(root, bench.folder / "mcp-paths") as session:

        def call(tool: str, name: str) -> ToolReply:
            return session.call(tool.split()[0], 15.0, **_TOOLS[tool](name))

        def control(folder: Path, name: str) -> str:
            reply = call("inspect", name)
            return "" if '"width_px": 160' in reply.text else f"got {reply.text[:200]!r}"

        def control_model(folder: Path) -> str:
            """The model is loaded by the first call that needs it, which takes its time."""
            reply = session.call("ground", 150.0, file="star.json", expression="the red star")
            return "" if '"status": "found"' in reply.text else f"got {reply.text[:200]!r}"

        def control_outside(folder: Path) -> str:
            """The check must see a file outside when it is shown."""
            shutil.copy(bench.outside / "secret.mp4", root / "shown.mp4")
            replies = call("inspect", "shown.mp4"), call("frames", "shown.mp4")
            (root / "shown.mp4").unlink()
            return "" if all(map(shows_outside, replies)) else "the check does not see the file"

        yield Attack(KIND, "a file in the root", lambda f: control(f, "clip.mp4"), is_control=True)
        yield Attack(KIND, "a link that stays", lambda f: control(f, "inner.mp4"), is_control=True)
        yield Attack(KIND, "the model finds a star", control_model, is_control=True)
        yield Attack(KIND, "outside is seen by the check", control_outside, is_control=True)
        for name in hostile_names(root, bench):
            opens = (
                (root / name).exists() if name and "\0" not in name and len(name) < 200 else False
            )
            tools = ["inspect", "frames"] if opens or "img" in name else ["inspect"]
            is_text = name.endswith((".srt", ".idx", ".sub", ".json"))
            tools += ["ask subtitles"] if is_text else []
            tools += ["ground"] if name.endswith((".png", ".jpg", ".json")) else []
            tools += ["ask video"] if name.endswith(".json") else []
            for tool in tools:

                def attempt(folder: Path, tool: str = tool, name: str = name) -> str:
                    reply = call(tool, name)
                    if shows_outside(reply):
                        return f"gave what lies outside: {reply.text[:100]!r}"
                    # It may be at work still, and would be late for the next attack as well.
                    if reply.is_late:
                        session.restart()
                        control_model(folder)
                    return reply.find_fault()

                label = name if len(name) < 90 else name[:40] + "..."
                label = label.replace(str(bench.folder), "")
                yield Attack(KIND, f"{tool}: {label!a}", attempt)

        def beside(folder: Path) -> str:
            reply = session.call("ask", 40.0, video="talk.mp4", question="What CANARY star is it?")
            listed = call("inspect", "talk.mp4")
            return reply.find_fault(30) or listed.find_fault()

        yield Attack(KIND, "ask: subtitles beside the video are links outside", beside)
        yield from _races(bench, root, session)


def _races(bench: Bench, root: Path, session: McpSession) -> Iterator[Attack]:
    racing = root / "racing"
    swaps = {
        "a file and a link": (racing / "v.mp4", racing / "v.mp4"),
        "a folder and a link": (racing / "d" / "secret.mp4", racing / "d"),
    }

    def race(folder: Path, what: str, tool: str, leaves: bool) -> str:
        shutil.rmtree(racing, ignore_errors=True)
        racing.mkdir()
        path, swapped = swaps[what]
        good, bad = racing / "good", racing / "bad"
        if swapped == path:
            shutil.copy(bench.clip, good)
            bad.symlink_to(bench.outside / "secret.mp4")
        else:
            good.mkdir()
            shutil.copy(bench.clip, good / "secret.mp4")
            bad.symlink_to(bench.outside)
        if not leaves:
            bad.unlink()
            bad.symlink_to(good.name if swapped == path else "good")
        stop = threading.Event()

        # By renaming, so that at each moment one of the two is there, or neither.
        def swap() -> None:
            while not stop.is_set():
                for source in (good, bad):
                    source.rename(swapped)
                    # So short that a check and an opening often meet different files.
                    if stop.wait(0.0005):
                        swapped.rename(source)
                        return
                    swapped.rename(source)

        thread = threading.Thread(target=swap)
        thread.start()
        name = str(path.relative_to(root))
        replies = []
        try:
            for _ in range(_RACE_CALLS):
                replies.append(session.call(tool, 20.0, **_TOOLS[tool](name)))
        finally:
            stop.set()
            thread.join()
        outside = sum(map(shows_outside, replies))
        opened = sum(not reply.is_error for reply in replies)
        if outside:
            return f"{outside} of {len(replies)} calls gave the file outside"
        if not opened:
            return f"no call of {len(replies)} opened the good file: nothing was raced"
        faults = [fault for reply in replies if (fault := reply.find_fault())]
        return faults[0] if faults else ""

    yield Attack(RACES, "the file is read", lambda f: _control_race(session), is_control=True)
    for what in swaps:
        for tool in ("inspect", "frames"):

            def attempt(folder: Path, what: str = what, tool: str = tool) -> str:
                return race(folder, what, tool, leaves=True)

            yield Attack(RACES, f"{tool}: {what} change places", attempt)


def _control_race(session: McpSession) -> str:
    reply = session.call("inspect", video="clip.mp4")
    return "" if '"width_px": 160' in reply.text else f"got {reply.text[:200]!r}"
