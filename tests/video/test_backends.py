"""One contract for all back ends: the right frame for a time, or a refusal; never a wrong one."""

from __future__ import annotations

import pickle
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from mmreason.video import Span, Video, VideoError
from mmreason.video.backends import choose, decord
from mmreason.video.backends.base import BackendError
from mmreason.video.backends.choose import BACKENDS, Backend, why_not
from tests.video import clips, matrix
from tests.video.conftest import Files

DECORD_REFUSES = {
    "h264 open", "h264 refresh", "hevc open", "hevc layers", "hevc ten bits", "hevc ts",
    "vp9 webm", "vp9 altref", "vp8 webm", "av1", "av1 mkv", "edit list", "ts", "mpeg2",
}  # fmt: skip
REFUSES = {
    "pyav": set(),
    "isolated": set(),
    "opencv": {"av1", "av1 mkv", "edit list", "h264 interlaced"},
    "decord": DECORD_REFUSES,
    "torchcodec": set(),
    "torchcodec-cuda": set(),
}
"""Kinds that a back end must refuse. It may refuse others of `HARD`, and none else."""
HARD = {
    "opencv": {"h264 refresh", "avi", "mpeg2", "mjpeg"},
    "decord": {"avi", "mpeg2", "mjpeg", "h264 refresh", "h264 interlaced", "fragmented"},
    "torchcodec": {"avi", "ts", "hevc ts", "mpeg2", "h264 refresh"},
    "torchcodec-cuda": set(matrix.MAKERS) - {"h264", "hevc open", "vfr"},
    "pyav": set(),
    "isolated": set(),
}
ISOLATED = ("h264", "edit list", "rotated", "vp9 webm", "ts")
"""Kinds that are read in a process of its own here too; it starts for about a second."""
NOT_HERE = ("cannot be used", "cannot be imported", "needs a CUDA device")


@pytest.fixture(scope="module")
def installed(files: Files) -> dict[str, str | None]:
    """Why each back end cannot be used here at all, None where it can."""
    found: dict[str, str | None] = {}
    for name in BACKENDS:
        reason = why_not(files("h264"), name)
        found[name] = reason if reason and any(words in reason for words in NOT_HERE) else None
    return found


@pytest.fixture(params=[*BACKENDS, "isolated"])
def source(request: pytest.FixtureRequest, installed: dict[str, str | None]) -> str:
    """Every source of frames of a file: the back ends, and PyAV in a process of its own."""
    if reason := installed.get(request.param):
        pytest.skip(reason)
    return request.param


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, installed: dict[str, str | None]) -> Backend:
    if reason := installed[request.param]:
        pytest.skip(reason)
    return request.param


def open_with(path: Path, backend: str) -> Video:
    if backend == "isolated":
        return Video.open(path, "pyav", memory_limit_mb=1000, time_limit_s=60)
    return Video.open(path, cast("Backend", backend))


@pytest.mark.parametrize("kind", matrix.MAKERS)
def test_right_frames_or_a_refusal(files: Files, backend: Backend, kind: str) -> None:
    check_frames(files, backend, kind)


@pytest.mark.parametrize("kind", ISOLATED)
def test_right_frames_from_a_process_of_its_own(files: Files, kind: str) -> None:
    check_frames(files, "isolated", kind)


def check_frames(files: Files, backend: str, kind: str) -> None:
    """That the frames of a clip are right, or refused where they may be."""
    path, truth = files(kind), matrix.reference(files(kind))
    rng = np.random.default_rng(sum(kind.encode()))
    try:
        with open_with(path, backend) as video:
            span = video.info.span
            assert video.info.backend == ("pyav" if backend == "isolated" else backend)
            times_s = np.concatenate([truth.times_s, rng.uniform(span.start_s, span.end_s, 20)])
            times_s = rng.permutation(times_s)[:60]
            batch = video.frames_at(times_s)
            small = video.frames_at(times_s[:5], (80, 48))
            keys = video.keyframe_times_s
    except BackendError as error:
        assert str(error).startswith(f"{path}: ")
        assert kind in REFUSES[backend] | HARD[backend], str(error)
        return
    assert kind not in REFUSES[backend], "was to be refused"
    assert span.start_s == pytest.approx(truth.times_s[0], abs=1e-3)
    assert video.info.frame_count == len(truth.times_s)
    assert video.info.rotation_deg == (90 if kind == "rotated" else 0)
    rows = truth.rows(times_s)
    np.testing.assert_allclose(batch.times_s, truth.times_s[rows], atol=1e-6)
    assert batch.exact.all()
    for row, pixels in zip(rows, batch.pixels, strict=True):
        assert pixels.shape == truth.pixels[row].shape
        assert np.abs(pixels.astype(int) - truth.pixels[row]).mean() < 6
    turn = -1 if kind == "rotated" else 0
    shown = [clips.read_number(np.rot90(truth.pixels[row], turn)) for row in rows]
    assert [clips.read_number(np.rot90(pixels, turn)) for pixels in batch.pixels] == shown
    assert small.pixels.shape == (5, 48, 80, 3)
    assert set(np.round(keys, 4)) <= set(np.round(truth.times_s, 4))


def test_the_rest_of_the_protocol(files: Files, source: str) -> None:
    with open_with(files("vfr"), source) as video:
        info = video.info
        assert (info.width_px, info.height_px, info.codec) == (*clips.SIZE_PX, "h264")
        assert info.duration_s == pytest.approx(info.span.end_s, abs=1e-3)
        outside = video.frames_at([-3.0, 0.0, 1e6])
        assert clips.numbers(outside.pixels) == [0, 0, 89]
        assert outside.exact.tolist() == [False, True, False]
        assert video.frames_at([]).pixels.shape == (0, 96, 160, 3)
        every = [n for b in video.stream(size_px=(80, 48)) for n in clips.numbers(b.pixels)]
        assert every == list(range(90))
        span = Span(video.frames_at([1.2]).times_s[0] + 0.001, 2.5)
        part = [b for b in video.stream(span=span)]
        rate = [b for b in video.stream(2, (80, 48), span)]
        assert np.concatenate([b.times_s for b in part])[0] <= span.start_s
        assert np.concatenate([b.times_s for b in part])[-1] < span.end_s
        assert sum(map(len, rate)) == int(np.ceil(span.duration_s * 2))
        with pytest.raises(VideoError, match="finite"):
            video.frames_at([float("nan")])
        with pickle.loads(pickle.dumps(video)) as copy:
            assert copy.info == info
        again = video._source.reopened()
        assert clips.numbers(again.frames_at([0.5]).pixels) == [15]
        again.close()
    video.close()
    for read in (lambda: video.frames_at([0]), lambda: video.keyframe_times_s, video.stream):
        with pytest.raises(VideoError, match="is closed"):
            read()


def test_damage_is_refused_or_marked(files: Files, source: str, tmp_path: Path) -> None:
    whole = clips.write(tmp_path / "whole.mp4", frames=150, muxer={"movflags": "faststart"})
    damaged = clips.zeroed(tmp_path / "zeroed.mp4", whole, 0.5, 0.6)
    cut = clips.cut(tmp_path / "cut.mp4", whole, 0.6)
    for path in (damaged, cut):
        try:
            with open_with(path, source) as video:
                times_s = np.arange(150) / 30 + 0.001
                batch = video.frames_at(times_s, (80, 48))
        except VideoError as error:
            assert str(path) in str(error)
            assert source not in ("pyav", "isolated")
            continue
        if source in ("pyav", "isolated"):
            exact = np.flatnonzero(batch.exact)
            assert [clips.read_number(batch.pixels[i]) for i in exact] == exact.tolist()


def test_unusable_files_are_refused_alike(source: str, tmp_path: Path) -> None:
    makers = {"text": lambda p: p.write_text("no video" * 99), "audio": clips.audio_only}
    for name, make in makers.items():
        path = tmp_path / f"{name}.mp4"
        make(path)
        with pytest.raises(VideoError, match=name) as caught:
            open_with(path, source)
        assert "\n" not in str(caught.value)


def test_unknown_and_missing_back_ends(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VideoError, match="backend must be auto, pyav, torchcodec"):
        Video.open(files("h264"), "ffmpeg")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(VideoError, match=r"pip install \"\.\[torchcodec\]\""):
        Video.open(files("h264"), "torchcodec")


def test_auto_goes_on_and_says_so(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(path: Path, *settings: object) -> None:
        raise BackendError(f"{path}: not today")

    monkeypatch.setattr("mmreason.video.backends.pyav.PyAVSource", cannot)
    monkeypatch.setattr("mmreason.video.backends.torchcodec.TorchCodecSource", cannot)
    with Video.open(files("h264")) as video:
        assert video.info.backend == "opencv"
        assert video.info.notes[-2:] == (
            "not read by pyav: not today",
            "not read by torchcodec: not today",
        )
        assert clips.numbers(video.frames_at([1.0]).pixels) == [30]
    monkeypatch.setattr("mmreason.video.backends.opencv.OpenCVSource", cannot)
    monkeypatch.setattr("mmreason.video.backends.decord.DecordSource", cannot)
    with pytest.raises(VideoError, match=r"no back end can read it \(pyav: not today; torch"):
        Video.open(files("h264"))


def test_auto_stops_at_a_file_that_nobody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    original = choose._open_with
    monkeypatch.setattr(
        choose, "_open_with", lambda name, *rest: tried.append(name) or original(name, *rest)
    )
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(range(256)) * 9)
    with pytest.raises(VideoError, match="is not a video"):
        Video.open(path)
    assert tried == ["pyav"]


FAKE_DECORD = """
import time
import numpy as np
__version__ = "{version}"
def cpu(index): return index
class Array(np.ndarray):
    def asnumpy(self): return np.asarray(self)
class VideoReader:
    def __init__(self, path, ctx, num_threads):
        if {breaks!r}: raise RuntimeError("line one\\nit broke")
    def __len__(self): return {frames}
    def __getitem__(self, row): return np.zeros((96, 160, 3), np.uint8)
    def get_frame_timestamp(self, row): return np.array([row / 30 + (row > 0) * {off}, 0])
    def seek(self, row): pass
    def get_batch(self, rows):
        while {hangs!r}: pass
        return np.full((len(rows), 96, 160, 3), 7, np.uint8).view(Array)
"""


@pytest.fixture
def fake_decord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a stand-in for decord in the worker's way, which behaves as told."""

    def install(version="0.6.0", frames=90, off=0.0, hangs=False, breaks=False) -> None:
        text = textwrap.dedent(FAKE_DECORD).format(
            version=version, frames=frames, off=off, hangs=hangs, breaks=breaks
        )
        # A folder each: a module rewritten within a second is taken for its compiled form.
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        (folder / "decord.py").write_text(text)
        monkeypatch.syspath_prepend(str(folder))

    return install


def test_decord_is_watched(
    files: Files, fake_decord: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_decord()
    with Video.open(files("h264"), "decord") as video:
        assert (video.frames_at([0.5, 1.0]).pixels == 7).all()
    fake_decord(version="3.4.0")
    with pytest.raises(VideoError, match=r"decord 3\.4\.0 is decord2, which returns wrong frames"):
        Video.open(files("h264"), "decord")
    fake_decord(frames=91)
    with pytest.raises(VideoError, match="decord counts 91 frames, 90 are shown"):
        Video.open(files("h264"), "decord")
    fake_decord(breaks=True)
    with pytest.raises(VideoError, match=r"decord failed \(it broke\)"):
        Video.open(files("h264"), "decord")
    fake_decord(off=1 / 30)
    with (
        Video.open(files("h264"), "decord") as video,
        pytest.raises(VideoError, match=r"shows a frame of 1\.033 s where 1\.000 s is due"),
    ):
        video.frames_at([1.0])
    fake_decord(hangs=True)
    monkeypatch.setattr(decord, "_ANSWER_LIMIT_S", 2.0)
    with (
        Video.open(files("h264"), "decord") as video,
        pytest.raises(VideoError, match="decord did not answer within 2 s"),
    ):
        video.frames_at([1.0])
