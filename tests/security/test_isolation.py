"""Reading in a process of its own: the same frames, within limits, and no process left behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmreason.video import Span, Video, VideoError, inspect_file
from mmreason.video.isolation import process as reading
from mmreason.video.isolation.source import IsolatedSource
from mmreason.video.types import VideoInfo
from mmreason.video.world import generate
from tests.security.mp4_boxes import FALSE_COUNTS, SAMPLES
from tests.video import clips
from tests.video.conftest import Files
from tests.video.conftest import files as files  # the fixture

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits need Linux")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.write(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=60)


def pid_of(video: Video) -> int:
    source = video._source
    assert isinstance(source, IsolatedSource)
    return source._process._process.pid


def is_running(pid: int) -> bool:
    """Not gone, and no zombie either."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()[-400:]
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int, limit_s: float = 5.0) -> bool:
    started = time.monotonic()
    while is_running(pid) and time.monotonic() - started < limit_s:
        time.sleep(0.02)
    return not is_running(pid)


@pytest.mark.parametrize("kind", ["h264", "vfr", "edit list", "rotated", "hevc ten bits", "world"])
def test_the_same_as_in_this_process(files: Files, tmp_path: Path, kind: str) -> None:
    path = generate.demo(1).save(tmp_path / "w.json") if kind == "world" else files(kind)
    with Video.open(path) as here, Video.open(path, memory_limit_mb=400, time_limit_s=60) as there:
        assert there.info == here.info
        span = here.info.span
        times_s = np.random.default_rng(3).uniform(span.start_s - 1, span.end_s + 1, 30)
        times_s[7] = times_s[3]
        for size_px in (None, (80, 48)):
            first, second = here.frames_at(times_s, size_px), there.frames_at(times_s, size_px)
            assert (first.pixels == second.pixels).all()
            assert (first.times_s == second.times_s).all()
            assert (first.exact == second.exact).all()
        assert there.frames_at([]).pixels.shape == here.frames_at([]).pixels.shape
        assert there.keyframe_times_s == here.keyframe_times_s
        assert (there.frame_times_s == here.frame_times_s).all()
        assert there.content_hash == here.content_hash
        part = Span(span.start_s + 0.2, min(span.end_s, span.start_s + 1.2))
        for fps in (None, 5):
            pairs = zip(
                here.stream(fps, (80, 48), part), there.stream(fps, (80, 48), part), strict=True
            )
            assert all((a.pixels == b.pixels).all() for a, b in pairs)
        assert there.info == here.info  # with notes of what decoding has shown


def test_two_streams_and_a_call_go_on_at_the_same_time(clip: Path) -> None:
    with Video.open(clip, memory_limit_mb=400) as video:
        shown: list[int] = []
        for one, two in zip(video.stream(10), video.stream(10), strict=True):
            assert (one.pixels == two.pixels).all()
            shown += clips.numbers(one.pixels)
            assert clips.numbers(video.frames_at([0.5]).pixels) == [15]
        assert shown == list(range(0, 60, 3))
        next(video.stream())  # one that is given up


def test_an_open_file_is_read_by_the_process(clip: Path, tmp_path: Path) -> None:
    moved = tmp_path / "a.mp4"
    moved.write_bytes(clip.read_bytes())
    with moved.open("rb") as file:
        moved.unlink()
        with Video.open(file, memory_limit_mb=400, name="a.mp4") as video:
            assert clips.numbers(video.frames_at([0.5]).pixels) == [15]
            assert video.info.path == "a.mp4"
        report = inspect_file(file, try_backends=False, memory_limit_mb=400, name="a.mp4")
    assert report == inspect_file(clip.read_bytes(), try_backends=False, name="a.mp4")


def test_more_frames_than_the_process_may_hold_are_delivered(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "a.mp4", frames=50, size_px=(640, 384), options={"bf": "0"})
    with Video.open(path, memory_limit_mb=32, workers=1) as video:
        batch = video.frames_at(np.arange(100) / 60)
    assert batch.pixels.nbytes > 70_000_000
    assert clips.numbers(batch.pixels) == [n // 2 for n in range(100)]


def padded(path: Path, name: str) -> Path:
    """So long that its false count could be true, and without a byte on the disk."""
    path.write_bytes(FALSE_COUNTS[name])
    os.truncate(path, SAMPLES + 10_000)
    return path


@pytest.mark.parametrize("name", ["frames of one size", "one fragment"])
def test_a_file_that_needs_more_memory_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = padded(tmp_path / "greedy.mp4", name)
    before = resource_kb()
    for read in (
        lambda: Video.open(path, memory_limit_mb=1024),
        lambda: inspect_file(path, try_backends=False, memory_limit_mb=1024),
    ):
        with pytest.raises(VideoError, match=r"greedy\.mp4: .* 1,024 MB of memory") as caught:
            read()
        assert "\n" not in str(caught.value)
    assert resource_kb() - before < 50_000


def resource_kb() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_memory_that_fails_while_decoding_is_told(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "wide.mp4", frames=2, size_px=(3840, 2160))
    with pytest.raises(VideoError, match=r"wide\.mp4: .* 16 MB"):
        Video.open(path, memory_limit_mb=16).frames_at([0.0])


def test_frames_that_are_not_exact_come_with_a_note_of_the_limit(
    clip: Path, tmp_path: Path
) -> None:
    damaged = clips.zeroed(tmp_path / "zeroed.mp4", clip, 0.3, 0.6)
    with Video.open(damaged, memory_limit_mb=400) as video:
        assert "memory" not in " ".join(video.info.notes)
        outside = video.frames_at([-1.0, 1e6])
        assert not outside.exact.any() and "memory" not in " ".join(video.info.notes)
        assert not video.frames_at(np.arange(60) / 30).exact.all()
        assert video.info.notes[-1].endswith("or not within the limit of 400 MB of memory")


@pytest.mark.parametrize("memory_mb", [0, -5, 15, 1.5, 2**40, True, "512"])
def test_a_limit_that_is_none_is_refused(clip: Path, memory_mb: Any) -> None:
    with pytest.raises(VideoError, match="memory_limit_mb must be 16 to"):
        Video.open(clip, memory_limit_mb=memory_mb)


def test_other_platforms_say_that_they_cannot(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(
        VideoError, match="memory_limit_mb can be kept on Linux only, not on darwin"
    ):
        Video.open(clip, memory_limit_mb=512)


def test_a_process_that_does_not_answer_is_ended_at_the_time_limit(clip: Path) -> None:
    with Video.open(clip, memory_limit_mb=400, time_limit_s=0.4) as video:
        pid = pid_of(video)
        os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(VideoError, match=r"clip\.mp4: took longer than the limit of 0\.4 s$"):
            video.frames_at([0.5])
        assert time.monotonic() - started < 5
        assert wait_until_gone(pid)
        with pytest.raises(VideoError, match=r"took longer .* of 0\.4 s; open it again"):
            video.frames_at([0.5])


def test_closing_ends_the_process_in_the_middle_of_a_call(clip: Path) -> None:
    video = Video.open(clip, memory_limit_mb=400)
    pid = pid_of(video)
    os.kill(pid, signal.SIGSTOP)
    timer = threading.Timer(0.2, video.close)
    timer.start()
    with pytest.raises(VideoError, match=r"clip\.mp4: is closed; open it again"):
        video.frames_at([0.5])
    timer.join()
    assert wait_until_gone(pid)
    video.close()


def test_an_interrupt_ends_the_process(clip: Path) -> None:
    video = Video.open(clip, memory_limit_mb=400)
    pid = pid_of(video)
    os.kill(pid, signal.SIGSTOP)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        video.frames_at([0.5])
    assert wait_until_gone(pid)
    video.close()


def test_a_video_that_nobody_holds_leaves_no_process(clip: Path) -> None:
    video = Video.open(clip, memory_limit_mb=400)
    pid = pid_of(video)
    del video
    gc.collect()
    assert wait_until_gone(pid)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_process_that_dies_is_told_in_one_line(clip: Path, number: int) -> None:
    with Video.open(clip, memory_limit_mb=400) as video:
        os.kill(pid_of(video), number)
        with pytest.raises(VideoError, match=rf"ended with signal {int(number)}: .* 400 MB$"):
            video.frames_at([0.5])


def test_the_process_ends_with_a_parent_that_is_killed(clip: Path) -> None:
    program = (
        "import sys, time; from mmreason.video import Video\n"
        "video = Video.open(sys.argv[1], memory_limit_mb=400)\n"
        "print(video._source._process._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(clip)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    parent.kill()
    parent.communicate()
    assert wait_until_gone(pid)


def test_a_forked_process_and_a_pickle_have_a_process_of_their_own(clip: Path) -> None:
    with Video.open(clip, memory_limit_mb=400, time_limit_s=30) as video:
        pid = pid_of(video)
        with pickle.loads(pickle.dumps(video)) as again:
            assert pid_of(again) != pid
            assert again._options == video._options
        results = multiprocessing.get_context("fork").SimpleQueue()

        def work() -> None:
            numbers = clips.numbers(video.frames_at([0.5]).pixels)
            results.put((numbers, pid_of(video)))
            video.close()

        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        numbers, other_pid = results.get()
        child.join()
        assert numbers == [15] and other_pid != pid and wait_until_gone(other_pid)
        assert is_running(pid)
        assert clips.numbers(video.frames_at([0.5]).pixels) == [15]


INFO = VideoInfo(
    path="x", duration_s=1.0, start_s=0.0, width_px=4, height_px=4, codec="h264", mean_fps_hz=1.0,
    frame_count=1, rotation_deg=0, has_audio=False, backend="pyav", size_bytes=9,
)  # fmt: skip

FALSE_ANSWERS: dict[str, tuple[str, str]] = {
    "no JSON": ("send(b'{')", "is no JSON"),
    "endless text": ("raw(2**40, 0, b'')", "1099511627776 bytes of text"),
    "a list": ("send(b'[]')", "no object"),
    "deep": ("send(b'['*9999)", "brackets inside"),
    "nothing": ("send(b'{}')", "info: expected VideoInfo, found NoneType"),
    "other fields": ('send(b\'{"info": {"path": 3}}\')', "has other fields"),
    "wrong kind": ("opened(width_px='4')", "expected int, found str"),
    "wrong colour": ("opened(colour=[])", "expected Colour, found list"),
    "too many bytes": ("opened(); send(frames(1), b'x' * 500)", "500 bytes for 1 frames"),
    "too many frames": ("opened(); send(frames(2), bytes(114))", "2 frames for 1"),
    "negative": ("opened(); send(frames(-3), b'')", "0 bytes for -3 frames"),
    "times that are none": ("opened(); send(frames(1), b'\\xff' * 57)", "times that are none"),
    "half": ("opened(); raw(2, 57, b'{}' + b'x' * 20)", "info|count"),
}

FALSE_WORKER = """
import dataclasses, json, struct, sys, time
out = sys.stdout.buffer
def raw(text_bytes, array_bytes, data):
    out.write(struct.pack(">QQ", text_bytes, array_bytes) + data); out.flush()
def send(text, arrays=b""):
    raw(len(text), len(arrays), text + arrays)
def frames(count):
    return json.dumps({"count": count, "notes": []}).encode()
def opened(**changes):
    info = {**json.loads(sys.argv[1]), **changes}
    send(json.dumps({"info": info}).encode())
send(b"{}")
"""


@pytest.mark.parametrize("name", FALSE_ANSWERS)
def test_a_process_that_has_been_taken_over_is_not_believed(
    clip: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import json

    from mmreason.video.isolation.records import record_to_json

    action, words = FALSE_ANSWERS[name]
    start: Callable[..., Any] = subprocess.Popen
    info = json.dumps(record_to_json(INFO))

    def start_false_one(command: list[str], **settings: Any) -> Any:
        program = f"{FALSE_WORKER}\n{action}\ntime.sleep(60)"
        return start([sys.executable, "-S", "-c", program, info], **settings)

    monkeypatch.setattr(reading.subprocess, "Popen", start_false_one)
    with pytest.raises(VideoError, match=words) as caught:
        Video.open(clip, memory_limit_mb=400, time_limit_s=5).frames_at([0.0])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700
