"""Images that are something else, are larger than they look, or start other programs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.attacks.harness import Attack, Limits, NotTriedError, cli_call, find_fault
from benchmarks.attacks.material import Bench

KIND = "pictures"
LIMITS = Limits(cpu_s=15, grown_mb=900)
_SUFFIXES = (".png", ".jpg", ".tif", ".bmp", ".webp")
_POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n"
    b"newpath 0 0 moveto 99 99 lineto stroke\nshowpage\n%%EOF\n"
)


def _chunk(name: bytes, data: bytes) -> bytes:
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png_of(width_px: int, height_px: int, more: bytes = b"", depth: int = 8) -> bytes:
    """A grey image that compresses to next to nothing; a row is 0."""
    head = struct.pack(">IIBBBBB", width_px, height_px, depth, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + (width_px * depth + 7) // 8)
    rows = min(height_px, max(1, 20_000_000 // len(row)))
    data = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + more
        + _chunk(b"IDAT", data)
        + _chunk(b"IEND", b"")
    )


def _tiff(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", following)


def hostile_pictures() -> dict[str, bytes]:
    """By file name."""
    # 60 MB that pack to some 60 KB.
    bomb = zlib.compress(bytes(60_000_000), 9)
    text = b"zTXt", b"k\0\0" + bomb
    profile = b"iCCP", b"k\0\0" + bomb
    return {
        "thin.png": png_of(170_000_000, 1, depth=1),
        "tall.png": png_of(1, 170_000_000),
        "square_13300.png": png_of(13_300, 13_300, depth=1),
        "square_65535.png": png_of(65_535, 65_535, depth=1),
        "square_2g.png": b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 6, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(b"\0" * 100)),
        "no_size.png": png_of(1, 1).replace(struct.pack(">II", 1, 1), struct.pack(">II", 0, 0)),
        "text_bomb.png": png_of(8, 8, _chunk(*text)),
        "text_bombs.png": png_of(8, 8, _chunk(*text) * 30),
        "profile_bomb.png": png_of(8, 8, _chunk(*profile)),
        "truncated.png": png_of(640, 480)[:60],
        "bad_crc.png": png_of(640, 480).replace(b"IDAT", b"IDAx"),
        "empty.png": b"",
        "text.png": b"hello",
        "html.jpg": b"<html><script>alert(1)</script>",
        "ring.tif": _tiff([(256, 3, 1, 10), (257, 3, 1, 10)], following=8),
        "many_strips.tif": _tiff(
            [(256, 4, 1, 2**31 - 1), (257, 4, 1, 2**31 - 1), (273, 4, 2**30, 8), (279, 4, 2**30, 8)]
        ),
        "huge.bmp": b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 70, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0),
        "huge.webp": b"RIFF"
        + struct.pack("<I", 30)
        + b"WEBPVP8L"
        + struct.pack("<IBI", 10, 0x2F, 0x0FFFFFFF),
        "huge.jpg": b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff"
        + b"\x03\x01\x22\0\x02\x11\1\x03\x11\1\xff\xd9",
        "gif.png": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\2D\1\0;",
        "svg.png": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "fits.png": b"SIMPLE  =                    T" + b" " * 2850,
        "wmf.png": b"\xd7\xcd\xc6\x9a" + bytes(100),
        "xpm.png": b"/* XPM */\nstatic char *x[] = {\n" + b'"1 1 1 1",\n' * 3,
        "ico.png": b"\0\0\1\0\xff\xff" + b"\0\0\0\0\1\0\x20\0\xff\xff\xff\x7f\x16\0\0\0" * 500,
        "icns.png": b"icns\xff\xff\xff\xff" + b"ic07\0\0\0\x08" * 1000,
        "pcd.png": bytes(2048) + b"PCD_",
        "im.png": b"Image type: RGB image\r\nImage size (x*y): 99999*99999\r\n\x1a",
        "psd.png": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\xff\xff\0\0\xff\xff\0\x08\0\3" + bytes(12),
    }


def attacks(bench: Bench) -> Iterator[Attack]:
    """Each goes through `ground`, and as a video through `inspect`."""
    programs = bench.folder / "programs"
    called = bench.folder / "called"
    programs.mkdir()
    # What libraries of pictures start for some formats; each writes down that it was called.
    for name in ("gs", "gswin64c", "gswin32c", "wmf2eps", "djpeg", "xv", "display"):
        program = programs / name
        program.write_text(f'#!/bin/sh\necho "{name} $@" >> {called}\nexit 1\n')
        program.chmod(0o755)
    path = f"{programs}:/usr/bin:/bin"

    def run(folder: Path, *words: str) -> str:
        called.unlink(missing_ok=True)
        ended = bench.children.run(
            *cli_call([*words, "--json"]), folder, limits=LIMITS, environment={"PATH": path}
        )
        started = called.read_text().split()[0] if called.exists() else ""
        return f"started {started}" if started else find_fault(ended, LIMITS)

    def control(folder: Path) -> str:
        (folder / "a.png").write_bytes(png_of(64, 48))
        ended = bench.children.run(*cli_call(["ground", "a.png", "the red star", "--json"]), folder)
        is_read = ended.code in (0, 3) and '"size_px"' in ended.out
        return "" if is_read else f"code {ended.code}: {ended.err[-200:]!r}"

    def control_program(folder: Path) -> str:
        """The stand-in must be found by a program that looks for it."""
        import subprocess

        called.unlink(missing_ok=True)
        subprocess.run(["/bin/sh", "-c", "gs x"], env={"PATH": path}, check=False, cwd=folder)
        return "" if called.exists() else "the stand-in for gs was not started"

    yield Attack(KIND, "a small png is read", control, is_control=True)
    yield Attack(
        KIND, "the stand-in for gs writes down its start", control_program, is_control=True
    )
    for suffix in _SUFFIXES:
        for verb in ("ground", "inspect", "sample"):

            def postscript(folder: Path, suffix: str = suffix, verb: str = verb) -> str:
                (folder / f"a{suffix}").write_bytes(_POSTSCRIPT)
                arguments = {"ground": ["the red star"], "sample": ["--n", "1"], "inspect": []}[
                    verb
                ]
                return run(folder, verb, f"a{suffix}", *arguments)

            yield Attack(KIND, f"{verb}: PostScript named {suffix}", postscript)

    def dos_postscript(folder: Path) -> str:
        data = b"\xc5\xd0\xd3\xc6" + struct.pack("<IIIIII", 30, len(_POSTSCRIPT), 0, 0, 0, 0)
        (folder / "a.png").write_bytes(data + b"\xff\xff" + _POSTSCRIPT)
        return run(folder, "ground", "a.png", "the red star")

    yield Attack(KIND, "ground: PostScript with a DOS header named .png", dos_postscript)
    for name, data in hostile_pictures().items():
        for verb in ("ground", "inspect"):

            def attempt(
                folder: Path, name: str = name, data: bytes = data, verb: str = verb
            ) -> str:
                (folder / name).write_bytes(data)
                arguments = ["the red star"] if verb == "ground" else []
                return run(folder, verb, name, *arguments)

            yield Attack(KIND, f"{verb}: {name}", attempt)

    def fifo(folder: Path) -> str:
        import os

        os.mkfifo(folder / "a.png")
        return run(folder, "ground", "a.png", "the red star")

    yield Attack(KIND, "ground: a FIFO named .png", fifo)

    def device(folder: Path) -> str:
        if not Path("/dev/zero").exists():
            raise NotTriedError("there is no /dev/zero")
        (folder / "a.png").symlink_to("/dev/zero")
        return run(folder, "ground", "a.png", "the red star")

    yield Attack(KIND, "ground: a link to /dev/zero named .png", device)
