"""Videos given as bytes and open files: the same pictures, a private copy that goes away."""

from __future__ import annotations

import gc
import gzip
import multiprocessing
import os
import pickle
import stat
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmreason.video import Video, VideoError, plan
from mmreason.video.subtitles import find_subtitles
from mmreason.video.world import generate
from tests.video import clips


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files: every test must leave it empty."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return clips.write(tmp_path / "clip.mp4", frames=30)


class Pipe:
    """A file that cannot be sought, as a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(size)


GIVEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "bytes": (Path.read_bytes, "<bytes>"),
    "bytearray": (lambda path: bytearray(path.read_bytes()), "<bytes>"),
    "memoryview": (lambda path: memoryview(path.read_bytes()), "<bytes>"),
    "every second byte": (
        lambda path: (
            memoryview(bytes(2 * len(path.read_bytes()))).cast("B")
            and memoryview(b"".join(bytes([b, 0]) for b in path.read_bytes()))[::2]
        ),
        "<bytes>",
    ),
    "BytesIO": (lambda path: BytesIO(path.read_bytes()), "<bytes>"),
    "open file": (lambda path: path.open("rb"), "clip.mp4"),
    "unbuffered": (lambda path: path.open("rb", buffering=0), "clip.mp4"),
    "gzip": (
        lambda path: gzip.GzipFile(fileobj=BytesIO(gzip.compress(path.read_bytes()))),
        "<GzipFile>",
    ),
    "pipe": (lambda path: Pipe(path.read_bytes()), "<Pipe>"),
}


READ_IN_PLACE = {"open file", "unbuffered"} if sys.platform.startswith("linux") else set()
"""Read through their descriptor; of others there is a copy."""


@pytest.mark.parametrize("name", GIVEN)
def test_bytes_and_files_give_what_the_path_gives(name: str, clip: Path, scratch: Path) -> None:
    make, shown = GIVEN[name]
    given = make(clip)
    with Video.open(clip) as same, Video.open(given) as video:
        assert Path(video.info.path).name == shown
        assert shown in repr(video)
        assert clips.numbers(video.frames_at([0.0, 0.5, 0.9]).pixels) == [0, 15, 27]
        assert sum(len(batch) for batch in video.stream()) == 30
        assert (video.frame_times_s == same.frame_times_s).all()
        assert video.keyframe_times_s == same.keyframe_times_s
        assert video.content_hash == same.content_hash
        if name in READ_IN_PLACE:
            assert list(scratch.iterdir()) == []
        else:
            (copy,) = scratch.iterdir()
            assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert list(scratch.iterdir()) == []
    if hasattr(given, "close"):
        given.close()


@pytest.mark.parametrize("backend", ["pyav", "torchcodec", "opencv", "decord"])
def test_every_back_end_reads_bytes(backend: Any, clip: Path) -> None:
    try:
        Video.open(clip, backend).close()
    except VideoError as error:
        pytest.skip(str(error))
    with Video.open(clip.read_bytes(), backend) as video:
        assert clips.numbers(video.frames_at([0.5]).pixels) == [15]
        assert (video.info.backend, video.info.path) == (backend, "<bytes>")


def test_the_copy_goes_when_nobody_holds_the_video(clip: Path, scratch: Path) -> None:
    video = Video.open(clip.read_bytes())
    assert len(list(scratch.iterdir())) == 1
    del video
    gc.collect()
    assert list(scratch.iterdir()) == []


def test_a_stream_keeps_the_copy_of_a_video_that_nobody_else_holds(
    clip: Path, scratch: Path
) -> None:
    batches = Video.open(clip.read_bytes()).stream()
    gc.collect()
    assert [n for batch in batches for n in clips.numbers(batch.pixels)] == list(range(30))
    del batches
    gc.collect()
    assert list(scratch.iterdir()) == []


def test_an_open_file_is_left_where_it_stood_and_read_from_there(clip: Path) -> None:
    file = BytesIO(b"header" + clip.read_bytes())
    file.seek(6)
    for _ in range(2):
        with Video.open(file) as video:
            assert video.info.frame_count == 30
        assert file.tell() == 6


def test_webm_and_worlds_are_known_by_their_bytes(tmp_path: Path) -> None:
    webm = clips.write(tmp_path / "a.webm", frames=5, codec="libvpx").read_bytes()
    with pytest.raises(VideoError, match="<bytes>: decord does not read WebM"):
        Video.open(webm, "decord")
    world = generate.demo(1)
    with Video.open(world.to_json().encode()) as video:
        assert (video.info.path, video.info.codec) == ("<bytes>", "scripted world")
        assert len(video.sample(plan.uniform(video, n=2))) == 2


def _first_number(video: Video) -> tuple[int, str]:
    return clips.read_number(video.frames_at([0.5]).pixels[0]), video.info.path


def test_pickling_takes_the_bytes_along(clip: Path, scratch: Path) -> None:
    with Video.open(clip.read_bytes()) as video:
        pickled = pickle.dumps(video)
    assert list(scratch.iterdir()) == []
    with pickle.loads(pickled) as again:
        assert _first_number(again) == (15, "<bytes>")
    with pytest.raises(VideoError, match="<bytes>: is closed and cannot be pickled"):
        pickle.dumps(video)


def test_a_forked_process_reads_and_leaves_the_copy_to_its_parent(
    clip: Path, scratch: Path
) -> None:
    with Video.open(clip.read_bytes()) as video:
        results = multiprocessing.get_context("fork").SimpleQueue()

        def work() -> None:
            results.put(_first_number(video))
            video.close()

        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        assert results.get() == (15, "<bytes>")
        process.join()
        assert len(list(scratch.iterdir())) == 1
        assert _first_number(video) == (15, "<bytes>")


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "text file": (lambda path: path.with_name("t").open("w+"), r"t: is open as text; .*'rb'"),
    "text": (lambda path: StringIO("video"), r"<StringIO>: is open as text"),
    "at its end": (lambda path: _at_end(path), r"<bytes>: is open at its end; call seek\(0\)"),
    "empty": (lambda path: b"", r"<bytes>: is empty \(0 bytes\)"),
    "a page": (lambda path: b"<html>no</html>", r"<bytes>: is a web page"),
    "a path in bytes": (lambda path: os.fsencode(path), r"<bytes>: is text, not a video"),
    "closed": (lambda path: _closed(path), r"clip.mp4: cannot be read as a binary file \(.*closed"),
    "write only": (lambda path: path.with_name("w").open("wb"), r"w: cannot be read as a binary"),
    "nothing": (lambda path: None, r"given as a path, bytes .*, got NoneType"),
    "a number": (lambda path: 3, r"got int"),
    "an array": (lambda path: np.zeros(3, np.uint8), r"got ndarray"),
    "frames": (lambda path: [path], r"got list"),
    "a URL": (lambda path: "https://example.org/a.mp4", r"^https://example\.org/a\.mp4: is a URL"),
    "a data URL": (lambda path: "data:video/mp4;base64," + "A" * 9999, r"is a data URL"),
    "half": (lambda path: path.read_bytes()[:900], r"<bytes>: is damaged or cut short"),
}


def _at_end(path: Path) -> BytesIO:
    file = BytesIO()
    file.write(path.read_bytes())
    return file


def _closed(path: Path) -> Any:
    with path.open("rb") as file:
        return file


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_one_clear_line(name: str, clip: Path, scratch: Path) -> None:
    make, words = BAD[name]
    given = make(clip)
    with pytest.raises(VideoError, match=words) as caught:
        Video.open(given)
    assert "\n" not in str(caught.value) and str(scratch) not in str(caught.value)
    assert len(str(caught.value)) < 400
    del caught
    gc.collect()
    assert list(scratch.iterdir()) == []
    if hasattr(given, "close"):
        given.close()


def test_later_errors_name_the_bytes_too(clip: Path) -> None:
    video = Video.open(clip.read_bytes())
    with pytest.raises(VideoError, match=r"^<bytes>: .* use stream"):
        video.frames_at(np.zeros(2**20 + 1))
    video.close()
    for act in (lambda: video.frames_at([0.0]), lambda: video.content_hash):
        with pytest.raises(VideoError, match="<bytes>: is closed"):
            act()


def test_subtitles_inside_of_bytes_are_found(tmp_path: Path) -> None:
    data = clips.with_subtitles(
        tmp_path / "a.mkv", [("subrip", {}, [(0, 400, b"inside")])]
    ).read_bytes()
    with Video.open(data) as video:
        found = find_subtitles(video.path)
        assert found is not None and [line.text for line in found] == ["inside"]
