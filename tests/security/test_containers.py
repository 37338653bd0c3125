"""Video files that mean harm: names that are patterns, files that name others, false counts."""

from __future__ import annotations

import ast
import os
import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmreason.types import UsageError
from mmreason.video import Video, VideoError, inspect_file
from mmreason.video.backends.choose import Backend
from mmreason.video.backends.mp4_counts import describe_false_count
from mmreason.video.subtitles import subtitle_tracks
from tests.security.mp4_boxes import FALSE_COUNTS, box
from tests.video import clips

OUTSIDE, INSIDE = (254, 0, 0), (0, 0, 254)
BACKENDS: tuple[Backend, ...] = ("pyav", "opencv", "decord", "torchcodec")


def picture(path: Path, rgb: tuple[int, int, int]) -> Path:
    Image.new("RGB", (64, 48), rgb).save(path, format=FORMATS[path.suffix])
    return path


FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".ppm": "PPM",
    ".tga": "TGA",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder beside which there is a picture that must not be read from inside it."""
    (tmp_path / "root").mkdir()
    for suffix in FORMATS:
        picture(tmp_path / f"outside{suffix}", OUTSIDE)
    return tmp_path / "root"


def sequence(root: Path, pattern: str) -> Path:
    """A file literally called `pattern`, and links to the outside picture for what it matches."""
    path = root / pattern
    for name in ("000", "001", "0", "1", "00", "01", "", "x"):
        expanded = (
            pattern.replace("%03d", name).replace("%02d", name).replace("%d", name)
        ).replace("*", name)
        if expanded not in (pattern, path.suffix):
            (root / expanded).unlink(missing_ok=True)
            (root / expanded).symlink_to(root.parent / f"outside{path.suffix}")
    return path


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
@pytest.mark.parametrize(
    "pattern", ["img%03d.png", "img%d.jpg", "%02d.bmp", "%d.tif", "a*.png", "%d.webp", "%d.gif",
                "%%d.png", "%03d.ppm", "%d.tga"],
)  # fmt: skip
def test_a_name_that_looks_like_a_sequence_is_one_file(
    root: Path, pattern: str, backend: Any
) -> None:
    path = sequence(root, pattern)
    path.write_bytes(b"x")
    with pytest.raises(VideoError) as caught:
        Video.open(path, backend)
    assert "\n" not in str(caught.value)
    path.unlink()
    picture(path, INSIDE)
    try:
        with Video.open(path, backend) as video:
            assert video.info.frame_count in (1, None)
            red, _, blue = video.frames_at([0.0]).pixels.reshape(-1, 3).mean(axis=0)
    except VideoError as error:
        assert str(error).startswith(f"{path}: ")
        return
    assert blue > 200 and red < 50


def test_a_film_with_a_pattern_for_a_name_is_read_by_every_back_end(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "clip%03d.mp4", frames=20)
    clips.write(tmp_path / "clip000.mp4", frames=20, first=500)
    for backend in BACKENDS:
        try:
            video = Video.open(path, backend)
        except VideoError as error:
            assert "cannot be" in str(error)  # not installed here
            continue
        with video:
            assert clips.numbers(video.frames_at([0.0, 0.5]).pixels) == [0, 15]


POINTERS: dict[str, str] = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfilm.mp4\n#EXT-X-ENDLIST\n",
    "b.ffconcat": "ffconcat version 1.0\nfile film.mp4\n",
    "c.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT2S"><Period><AdaptationSet><Representation id="1" '
    'bandwidth="1" mimeType="video/mp4"><BaseURL>film.mp4</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "d.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "e.idx": "# VobSub index file, v7 (do not modify this line!)\nsize: 720x480\n"
    "id: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n",
    "f.xml": '<?xml version="1.0"?><CompositionPlaylist '
    'xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>urn:uuid:1</Id>'
    "</CompositionPlaylist>",
    "g.rmra": "rtsptextRTSP://film.mp4\n",
    "h.asx": '<asx version="3.0"><entry><ref href="film.mp4"/></entry></asx>',
}


@pytest.mark.parametrize("name", POINTERS)
@pytest.mark.parametrize("start", ["", "\ufeff", "x"])
def test_a_file_that_names_another_is_never_that_one(tmp_path: Path, name: str, start: str) -> None:
    clips.write(tmp_path / "film.mp4", frames=10)
    path = tmp_path / name
    path.write_text(start + POINTERS[name])
    (tmp_path / "e.sub").write_bytes(b"\0\0\1\xba" + bytes(99))
    backends: tuple[Backend, ...] = ("auto", *BACKENDS)
    for backend in backends:
        with pytest.raises(VideoError) as caught:
            Video.open(path, backend)
        assert "\n" not in str(caught.value)
    with pytest.raises(VideoError):
        subtitle_tracks(path)


def test_ffmpeg_may_open_nothing_but_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first look, which knows the kinds above, lets a playlist through."""
    monkeypatch.setattr("mmreason.video.backends.base.describe_other_kind", lambda path: None)
    clips.write(tmp_path / "film.mp4", frames=10)
    for name in ("a.m3u8", "b.ffconcat", "c.mpd"):
        (tmp_path / name).write_text(POINTERS[name])
        with pytest.raises(VideoError, match=r"is not a video|no back end|cannot be read"):
            Video.open(tmp_path / name)


OPENERS: dict[str, Callable[[Path], Any]] = {
    "open": lambda path: path.open("rb"),
    "unbuffered": lambda path: path.open("rb", buffering=0),
    "number": lambda path: os.fdopen(os.open(path, os.O_RDONLY), "rb"),
    "to change": lambda path: path.open("r+b"),
}


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_open_file_stays_that_file_whatever_its_name_becomes(
    tmp_path: Path, opener: str, backend: Any
) -> None:
    path = clips.write(tmp_path / "clip.mp4", frames=40)
    with Video.open(path) as video:
        content_hash = video.content_hash
    file = OPENERS[opener](path)
    path.rename(tmp_path / "moved.mp4")
    path.symlink_to(clips.write(tmp_path / "other.mp4", frames=40, first=500))
    try:
        video = Video.open(file, backend, name="clip.mp4")
    except VideoError as error:
        assert "clip.mp4: " in str(error) and "/proc" not in str(error)
        assert "cannot be" in str(error)  # not installed here
        return
    finally:
        file.close()  # the video has a descriptor of its own
    with video:
        (tmp_path / "moved.mp4").unlink()
        assert video.info.path == "clip.mp4"
        assert clips.numbers(video.frames_at([1.0, 0.0, 0.5]).pixels) == [30, 0, 15]
        assert [n for b in video.stream() for n in clips.numbers(b.pixels)] == list(range(40))
        assert len(video.frame_times_s) == 40
        assert video.content_hash == content_hash


def descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def test_descriptors_are_given_back_and_later_reads_are_refused(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "clip.mp4", frames=40)
    before = descriptors()
    with path.open("rb") as file:
        video = Video.open(file)
        stream = video.stream()
        video.close()
        with pytest.raises(VideoError, match=r"clip\.mp4: is closed"):
            next(stream)
        with pytest.raises(VideoError, match=r"clip\.mp4: is closed"):
            video.frames_at([0.0])
    del video, stream
    assert descriptors() == before


def test_worlds_and_pictures_are_read_by_descriptor(root: Path) -> None:
    from mmreason.video.world import generate

    world = root / "world.json"
    generate.demo(1).save(world)
    with Video.open(world) as video:
        frames, content_hash = video.frames_at([0.5]), video.content_hash
    with world.open("rb") as file, Video.open(file) as video:
        assert video.info.codec == "scripted world"
        assert (video.frames_at([0.5]).pixels == frames.pixels).all()
        assert video.content_hash == content_hash
        assert len(video.frame_times_s) == video.info.frame_count
    still = picture(root / "a.png", INSIDE)
    with still.open("rb") as file, Video.open(file) as video:
        assert tuple(video.frames_at([0.0]).pixels[0, 0, 0]) == INSIDE


def test_subtitles_beside_an_open_file_are_not_looked_for(tmp_path: Path) -> None:
    from mmreason.video.subtitles import find_subtitles

    path = clips.write(tmp_path / "clip.mp4", frames=10)
    path.with_suffix(".srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nbeside\n")
    assert find_subtitles(path) is not None
    with path.open("rb") as file, Video.open(file) as video:
        assert find_subtitles(video.path) is None


def png(width_px: int, height_px: int, *texts: tuple[bytes, bytes], late: bool = False) -> bytes:
    """A picture that claims a size, of which a few rows are there, with chunks of text before them
    or after."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    parts = b"".join(chunk(name, data) for name, data in texts)
    body = rows + parts if late else parts + rows
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")


BOMB = zlib.compress(bytes(20 * 2**20), 9)
LARGE_TEXTS: dict[str, list[tuple[bytes, bytes]]] = {
    "packed": [(b"zTXt", b"key\0\0" + BOMB)],
    "international": [(b"iTXt", b"key\0\1\0en\0\0" + BOMB)],
    "profile": [(b"iCCP", b"key\0\0" + BOMB)],
    "many packed": [(b"zTXt", b"%d\0\0" % i + zlib.compress(bytes(2**20), 9)) for i in range(20)],
    "many": [(b"tEXt", b"%d\0" % i) for i in range(2000)],
    "long": [(b"tEXt", b"key\0" + bytes(17 * 2**20))],
    "empty blocks": [(b"zTXt", b"key\0\0\x78\x01" + b"\0\0\0\xff\xff" * 3_500_000)],
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", LARGE_TEXTS)
def test_text_beside_a_picture_is_refused_before_ffmpeg_unpacks_it(
    tmp_path: Path, name: str, late: bool
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(8, 8, *LARGE_TEXTS[name], late=late))
    for read in (Video.open, inspect_file, subtitle_tracks):
        with pytest.raises(VideoError, match=r"a\.png: carries too much text beside its picture"):
            read(path)


def test_a_picture_with_usual_texts_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    texts = [
        (b"iCCP", b"sRGB\0\0" + zlib.compress(os.urandom(2**20))),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"made by hand " * 9999)),
        (b"iTXt", b"XML\0\0\0\0\0" + b"<x/>" * 9999),
        (b"zTXt", b"Broken\0\0" + b"no zlib"),
        *[(b"tEXt", b"%d\0text" % i) for i in range(100)],
    ]
    path.write_bytes(png(8, 8, *texts))
    with Video.open(path) as video:
        assert video.frames_at([0.0]).pixels.shape == (1, 8, 8, 3)


@pytest.mark.parametrize(
    "size_px", [(170_000_000, 1), (1, 170_000_000), (40_000, 10), (10, 40_000), (30_000, 30_000),
                (2**31 - 1, 2**31 - 1)],
)  # fmt: skip
def test_pictures_too_large_or_too_thin_are_one_line(
    tmp_path: Path, size_px: tuple[int, int]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(*size_px))
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    backends: tuple[Backend, ...] = ("pyav", "auto")
    for backend in backends:
        with pytest.raises(VideoError) as caught:
            Video.open(path, backend)
        assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


@pytest.mark.parametrize("name", ["a.png", "a.eps", "a.jpg", "a.tif", "a.mp4"])
@pytest.mark.parametrize("head", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xc5\xd0\xd3\xc6" + bytes(28)])
def test_a_picture_that_is_postscript_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, head: bytes
) -> None:
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    path = tmp_path / name
    path.write_bytes(head + b"%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(VideoError):
        Video.open(path)
    assert not (tmp_path / "started").exists()


def test_pillow_is_told_the_formats_wherever_it_opens_a_picture() -> None:
    """Else it hands PostScript to Ghostscript, and others to programs of theirs."""
    root = Path(__file__).parents[2]
    opened = 0
    for folder in ("video", "grounding", "mmreason", "training", "benchmarks"):
        for path in (root / folder).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                if not isinstance(call, ast.Call) or ast.unparse(call.func) not in (
                    "Image.open",
                    "PIL.Image.open",
                ):
                    continue
                opened += 1
                assert any(word.arg == "formats" for word in call.keywords), f"{path}:{call.lineno}"
    assert opened >= 3


@pytest.mark.parametrize("name", FALSE_COUNTS)
def test_counts_that_the_file_has_no_room_for_are_refused_before_they_cost(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "false.mp4"
    path.write_bytes(FALSE_COUNTS[name])
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (Video.open, inspect_file, subtitle_tracks):
        with pytest.raises(VideoError, match=r"false\.mp4: is damaged or made up: it lists"):
            read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


def false_count(path: Path, data: bytes) -> str | None:
    path.write_bytes(data)
    with path.open("rb") as file:
        return describe_false_count(file.fileno())


def test_true_counts_pass_also_of_files_that_are_cut(tmp_path: Path) -> None:
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    for number, muxer in enumerate(({}, {"movflags": "faststart"}, fragments)):
        data = clips.write(tmp_path / f"{number}.mp4", frames=90, muxer=muxer).read_bytes()
        for end in np.linspace(0, len(data), 12).astype(int):
            assert false_count(tmp_path / "cut", data[:end]) is None


def test_boxes_inside_each_other_without_end_are_read_up_to_a_limit(tmp_path: Path) -> None:
    nested = b"".join((8 * n).to_bytes(4) + b"moov" for n in range(50_000, 0, -1))
    assert false_count(tmp_path / "deep", nested) is None
    assert false_count(tmp_path / "wide", b"\0\0\0\x08moov" * 50_000) is None
    assert false_count(tmp_path / "endless", b"\0\0\0\0moov" * 999) is None


def packed_index(path: Path, *indexes: bytes) -> Path:
    """A QuickTime file with its index packed."""
    packed = (
        box(b"cmvd", struct.pack(">I", len(index)) + zlib.compress(index, 9)) for index in indexes
    )
    moov = box(b"moov", *(box(b"cmov", box(b"dcom", b"zlib"), part) for part in packed))
    path.write_bytes(box(b"ftyp", b"qt  ", bytes(4), b"qt  ") + moov + box(b"mdat", bytes(100)))
    return path


def test_a_packed_index_is_read_before_ffmpeg_unpacks_it(tmp_path: Path) -> None:
    false = FALSE_COUNTS[next(iter(FALSE_COUNTS))]
    index = false[false.index(b"moov") - 4 : false.index(b"mdat") - 4]
    with pytest.raises(VideoError, match=r"a\.mov: is damaged or made up: it lists"):
        Video.open(packed_index(tmp_path / "a.mov", index))
    nested = box(b"cmov", box(b"cmvd", struct.pack(">I", 9)))
    for indexes in ((bytes(65 * 2**20),), (b"", b""), (nested,)):
        with pytest.raises(VideoError, match=r"b\.mov: is damaged or made up: its index is packed"):
            Video.open(packed_index(tmp_path / "b.mov", *indexes))
    assert false_count(tmp_path / "damaged", box(b"moov", box(b"cmvd", bytes(3) + b"x"))) is None


def test_a_pipe_with_the_name_of_a_picture_is_refused_and_holds_nobody(tmp_path: Path) -> None:
    from mmreason.tools.ground import frame_of_image

    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="is not a regular file, expected an image"):
        frame_of_image(pipe)
