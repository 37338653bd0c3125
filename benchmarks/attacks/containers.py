"""Video files that lie about what they hold, name other files, or are made for decoders to fail."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from benchmarks.attacks.harness import Attack, Limits, cli_call, find_fault
from benchmarks.attacks.material import OUTSIDE_SIZE_PX, Bench, answers

KIND = "containers"
LIMITS = Limits(cpu_s=15, grown_mb=900, secrets=(f'"width_px": {OUTSIDE_SIZE_PX[0]},',))
_RANDOM_FLIPS = 24
_NUMBERS = (0, 2**31 - 1, 2**32 - 1, 60_000_000)


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def _set(data: bytes, box: bytes, offset: int, number: int) -> bytes:
    """`data` with four bytes behind a box's name changed; unchanged where the box is not there."""
    position = data.find(box)
    start = position + 4 + offset
    if position < 0 or start + 4 > len(data):
        return data
    return data[:start] + struct.pack(">I", number & 0xFFFFFFFF) + data[start + 4 :]


def index_of(samples: int, size: int = 0) -> bytes:
    """An mp4 of some 500 bytes whose index says that it has so many samples."""
    full = struct.pack(">I", 0)
    entry = bytes(6) + struct.pack(">H", 1) + bytes(16) + struct.pack(">HH", 64, 48) + bytes(50)
    table = _box(
        b"stbl",
        _box(b"stsd", full + struct.pack(">I", 1) + _box(b"mp4v", entry))
        + _box(b"stts", full + struct.pack(">III", 1, samples, 1))
        + _box(b"stsc", full + struct.pack(">IIII", 1, 1, samples, 1))
        + _box(b"stsz", full + struct.pack(">II", size or 1, samples))
        + _box(b"stco", full + struct.pack(">II", 1, 40)),
    )
    handler = _box(b"hdlr", full + bytes(4) + b"vide" + bytes(13))
    media = _box(b"mdhd", full + struct.pack(">IIIIHH", 0, 0, 1000, samples, 0, 0)) + handler
    track = _box(b"tkhd", struct.pack(">I", 7) + bytes(80))
    inner = _box(b"minf", _box(b"vmhd", full + bytes(8)) + table)
    movie = _box(b"mvhd", full + struct.pack(">IIII", 0, 0, 1000, samples) + bytes(80))
    return (
        _box(b"ftyp", b"isom" + bytes(4) + b"isom")
        + _box(b"moov", movie + _box(b"trak", track + _box(b"mdia", media + inner)))
        + _box(b"mdat", bytes(64))
    )


def hostile_files(clip: bytes, seed: int) -> dict[str, bytes]:
    """By file name; `clip` is a good mp4."""
    files: dict[str, bytes] = {}
    # Counts that cost memory by themselves: in an empty index, and in that of a good file.
    for count in (10_000_000, 30_000_000, 60_000_000, 2**32 - 1):
        files[f"index_{count}.mp4"] = index_of(count)
        files[f"clip_stsz_{count}.mp4"] = _set(clip, b"stsz", 8, count)
        files[f"clip_stts_{count}.mp4"] = _set(clip, b"stts", 8, count)
    # Where numbers stand in each box, counted from behind its name.
    places = {
        b"stsz": (4, 8),
        b"stts": (4, 8, 12),
        b"stsc": (4, 8, 12),
        b"stco": (4, 8),
        b"ctts": (4, 8, 12),
        b"stss": (4, 8),
        b"mdhd": (12, 16),
        b"mvhd": (12, 16),
        b"elst": (4, 8, 12, 16),
        b"tkhd": (40, 76, 80),
        b"avc1": (24,),
        b"moov": (-8,),
        b"mdat": (-8,),
        b"trak": (-8,),
    }
    for box, offsets in places.items():
        for offset in offsets:
            for number in _NUMBERS:
                changed = _set(clip, box, offset, number)
                if changed != clip:
                    files[f"{box.decode()}_{offset}_{number}.mp4"] = changed
    rng = np.random.default_rng(seed)
    for number in range(_RANDOM_FLIPS):
        data = np.frombuffer(clip, np.uint8).copy()
        places_flipped = rng.integers(0, len(data), int(rng.integers(1, 40)))
        data[places_flipped] ^= rng.integers(1, 256, len(places_flipped)).astype(np.uint8)
        files[f"flipped_{number}.mp4"] = data.tobytes()
    # Boxes in boxes up to a megabyte: a reader that recurses runs out of stack.
    deep = b""
    for _ in range(20_000):
        deep = struct.pack(">I", 8 + len(deep)) + b"moov" + deep if len(deep) < 2**20 else deep
    # A file of each kind that demuxers tell by its first bytes, whatever its name.
    files |= {
        "deep_boxes.mp4": _box(b"ftyp", b"isom" + bytes(4)) + deep,
        "cut.mp4": clip[: len(clip) // 2],
        "empty.mp4": b"",
        "zeros.mp4": bytes(2_000_000),
        "random.mp4": np.random.default_rng(seed).integers(0, 256, 200_000, np.uint8).tobytes(),
        "y4m.y4m": b"YUV4MPEG2 W65535 H65535 F25:1 Ip C420\nFRAME\n" + bytes(1000),
        "y4m_fast.y4m": b"YUV4MPEG2 W16 H16 F2147483647:1\n" + (b"FRAME\n" + bytes(384)) * 10,
        "huge.avi": b"RIFF\xff\xff\xff\xffAVI LIST\xff\xff\xff\xffhdrlavih" + b"\xff" * 64,
        "ebml.mkv": b"\x1a\x45\xdf\xa3\x01" + b"\xff" * 7 + b"\x42\x86\x81\x01" * 10_000,
        "void.mkv": b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01"
        + b"\xff" * 7
        + b"\xec\x80" * 500_000,
        "flv.flv": b"FLV\1\5\0\0\0\x09\0\0\0\0" + b"\x09\xff\xff\xff\0\0\0\0\0\0\0\x17" * 50_000,
        "gif.gif": b"GIF89a\xff\xff\xff\xff\xf7\0\0," + b"\0\0\0\0\xff\xff\xff\xff\0\2" * 1000,
        "apng.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
        + b"\x7f\xff\xff\xff" * 2
        + b"\x08\6\0\0\0"
        + bytes(50),
        "ts.ts": (b"\x47\x40\0\x10" + b"\xff" * 184) * 20_000,
        "ogg.ogv": (b"OggS\0\2" + b"\xff" * 21 + b"\xff" * 255) * 2_000,
        "ps.mpg": b"\0\0\1\xba" + b"\0\0\1\xe0\0\0" * 100_000,
        "txt.mp4": b"#EXTM3U\nfile:///etc/passwd\n",
        "ansi.mp4": b"\x1b[2J" * 10_000,
        "svg.mp4": b'<svg xmlns="http://www.w3.org/2000/svg" width="99999" height="99999"/>',
        "xml.mp4": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        "world.mp4": b'{"format": "mmreason-world-1"}',
        "script.py.mp4": b"#!/usr/bin/env python3\nopen('/tmp/ran','w')\n",
    }
    return files


def attacks(bench: Bench) -> Iterator[Attack]:
    """Each file goes through `inspect`; a share of them through `sample` as well."""
    clip = bench.clip.read_bytes()

    def control(folder: Path) -> str:
        arguments = ["inspect", str(bench.clip), "--json"]
        return answers(bench.children.run(*cli_call(arguments), folder), '"width_px": 160')

    yield Attack(KIND, "a good clip", control, is_control=True)
    for number, (name, data) in enumerate(hostile_files(clip, bench.seed).items()):
        verbs = {"inspect": ["inspect", name, "--json"]}
        if number % 5 == 0 or not name.endswith(".mp4"):
            verbs["sample"] = ["sample", name, "--n", "3", "--json"]
        for verb, words in verbs.items():

            def attempt(
                folder: Path, name: str = name, data: bytes = data, words: list[str] = words
            ) -> str:
                (folder / name).write_bytes(data)
                return find_fault(
                    bench.children.run(*cli_call(words), folder, limits=LIMITS), LIMITS
                )

            yield Attack(KIND, f"{verb}: {name}", attempt)
    yield from _attachments(bench)


def _attachments(bench: Bench) -> Iterator[Attack]:
    """Titles and attachments with names that lead out or that a terminal obeys."""

    def titled(folder: Path) -> str:
        with av.open(str(folder / "t.mkv"), "w") as container:
            container.metadata["title"] = "\x1b]0;x\x07\u202e../../etc"
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            # An escape in its form of one byte, which some terminals obey.
            stream.metadata["language"] = "\x9b2J"
            for _ in range(3):
                frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        ended = bench.children.run(*cli_call(["inspect", "t.mkv"]), folder, limits=LIMITS)
        is_raw = any(mark in ended.out for mark in ("\x1b", "\x9b", "\u202e"))
        return "a title was printed as it is" if is_raw else find_fault(ended, LIMITS)

    yield Attack(KIND, "inspect: a title of escapes", titled)

    def many_streams(folder: Path) -> str:
        with av.open(str(folder / "m.mkv"), "w") as container:
            streams = [container.add_stream("mpeg4", rate=10) for _ in range(100)]
            for stream in streams:
                stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))
            for stream in streams:
                container.mux(stream.encode(frame))
                container.mux(stream.encode())
        return find_fault(
            bench.children.run(*cli_call(["inspect", "m.mkv", "--json"]), folder, limits=LIMITS),
            LIMITS,
        )

    yield Attack(KIND, "inspect: 100 streams", many_streams)
