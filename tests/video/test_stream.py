"""Reading forward in constant memory, from several threads and processes, within limits."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmreason.video import FrameBatch, Span, Video, VideoError
from mmreason.video.backends import base, groups, packets, pyav
from mmreason.video.backends.base import ReadOptions
from mmreason.video.backends.pyav import PyAVSource
from mmreason.video.world import generate
from tests.video import clips, matrix
from tests.video.conftest import Files


def joined(batches: Iterator[FrameBatch]) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Numbers, times and exactness of all frames of a stream."""
    found = list(batches)
    assert all(0 < len(batch) <= 16 for batch in found)
    return (
        [number for batch in found for number in clips.numbers(batch.pixels)],
        np.concatenate([batch.times_s for batch in found]),
        np.concatenate([batch.exact for batch in found]),
    )


KINDS = ["h264", "h264 open", "hevc open", "vp9 altref", "av1", "vfr", "edit list", "ts", "avi"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_once_and_in_order(files: Files, kind: str) -> None:
    truth = matrix.reference(files(kind), (80, 48))
    with Video.open(files(kind)) as video:
        numbers, times_s, exact = joined(video.stream(size_px=(80, 48)))
        with_pixels = np.concatenate([b.pixels for b in video.stream(size_px=(80, 48))])
        middle = Span(truth.times_s[20] + 0.001, truth.times_s[70])
        part, part_s, _ = joined(video.stream(span=middle))
    np.testing.assert_array_equal(times_s, truth.times_s)
    np.testing.assert_array_equal(with_pixels, np.stack(truth.pixels))
    assert exact.all()
    assert part == numbers[20:70]
    np.testing.assert_array_equal(part_s, truth.times_s[20:70])


@pytest.mark.parametrize("kind", ["h264 refresh", "h264 open", "hevc layers", "vp9 altref"])
@pytest.mark.parametrize("first", [1, 29, 31, 45, 61, 80])
def test_a_span_may_begin_anywhere(files: Files, kind: str, first: int) -> None:
    truth = matrix.reference(files(kind), (80, 48))
    with Video.open(files(kind)) as video:
        span = Span(truth.times_s[first] + 0.01, 99)
        shown = np.concatenate([b.pixels for b in video.stream(size_px=(80, 48), span=span)])
    np.testing.assert_array_equal(shown, truth.pixels[first:])


@pytest.mark.parametrize("fps", [0.7, 10, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_at_a_rate_it_gives_what_is_displayed_then(files: Files, kind: str, fps: float) -> None:
    with Video.open(files(kind)) as video:
        span = Span(video.info.start_s + 0.21, video.info.start_s + 2.8)
        times_s = span.start_s + np.arange(int(np.ceil(2.59 * fps))) / fps
        batches = list(video.stream(fps, (80, 48), span))
        expected = video.frames_at(times_s, (80, 48))
    pixels = np.concatenate([batch.pixels for batch in batches])
    np.testing.assert_array_equal(pixels, expected.pixels)
    np.testing.assert_array_equal(
        np.concatenate([batch.times_s for batch in batches]), expected.times_s
    )
    assert all(batch.exact.all() for batch in batches)


def test_a_world_streams_too(tmp_path: Path) -> None:
    world = generate.demo(0)
    world.save(tmp_path / "world.json")
    with Video.open(tmp_path / "world.json") as video:
        span = Span(1.0, 2.0)
        every = list(video.stream(size_px=(48, 27), span=span))
        rate = list(video.stream(3, (48, 27), span))
        assert sum(map(len, every)) == round(video.info.mean_fps_hz)
        assert every[0].times_s[0] == 1.0
        assert sum(map(len, rate)) == 3


def test_streams_and_other_calls_do_not_disturb_each_other(files: Files) -> None:
    with Video.open(files("h264 open")) as video:
        first, second = video.stream(span=Span(0, 2)), video.stream(15, span=Span(1, 3))
        found: list[int] = []
        for a, b in zip(first, second, strict=False):
            found += clips.numbers(a.pixels) + clips.numbers(b.pixels)
            assert clips.numbers(video.frames_at([2.5]).pixels) == [75]
    assert found[:32] == [*range(16), *range(30, 62, 2)]


def test_damage_is_marked_up_to_the_next_key_frame(tmp_path: Path) -> None:
    whole = clips.write(tmp_path / "whole.mp4", frames=150, muxer={"movflags": "faststart"})
    damaged = clips.zeroed(tmp_path / "zeroed.mp4", whole, 0.5, 0.6)
    with Video.open(damaged) as video:
        batches = list(video.stream(size_px=(80, 48)))
    times_s = np.concatenate([batch.times_s for batch in batches])
    exact = np.concatenate([batch.exact for batch in batches])
    pixels = np.concatenate([batch.pixels for batch in batches])
    assert (np.diff(times_s) > 0).all()
    assert 60 <= exact.sum() < 150
    assert exact[:30].all()
    assert exact[-15:].all()
    for time_s, picture in zip(times_s[exact], pixels[exact], strict=True):
        assert clips.read_number(picture) == round(time_s * 30)


def test_pictures_that_change_size_are_fitted(tmp_path: Path) -> None:
    small = clips.write(tmp_path / "small.ts", frames=30)
    large = clips.write(
        tmp_path / "large.ts",
        pts_ms=[1500 + round(i * 100 / 3) for i in range(30)],
        size_px=(320, 192),
    )
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    truth = matrix.reference(both, (160, 96))
    with Video.open(both) as video:
        batch = video.frames_at(truth.times_s[[15, 50]])
        streamed = list(video.stream())
    np.testing.assert_array_equal(batch.pixels, [truth.pixels[15], truth.pixels[50]])
    np.testing.assert_array_equal(np.concatenate([b.pixels for b in streamed]), truth.pixels)


def test_empty_and_impossible_streams(files: Files) -> None:
    with Video.open(files("h264")) as video:
        for span in (Span(1, 1), Span(50, 60), Span(-5, -1)):
            assert list(video.stream(span=span)) == []
            assert list(video.stream(2, span=span)) == []
        with pytest.raises(VideoError, match="fps_hz must be above 0"):
            video.stream(0)
        with pytest.raises(VideoError, match="size_px"):
            video.stream(size_px=(0, 5))
        stream = video.stream()
        next(stream)
    with pytest.raises(VideoError, match="is closed"):
        next(stream)
    with pytest.raises(VideoError, match="is closed"):
        video.stream()


def test_memory_does_not_grow_with_length(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "_MAX_HELD", 20)
    long = clips.write(tmp_path / "long.mp4", frames=900, gop=900)
    peaks = []
    for path in (files("h264 long"), long):
        with Video.open(path) as video:
            for fps in (None, 30):
                tracemalloc.start()
                count = sum(len(batch) for batch in video.stream(fps))
                peaks.append((count, tracemalloc.get_traced_memory()[1]))
                tracemalloc.stop()
    assert [count for count, _ in peaks] == [90, 90, 900, 900]
    assert peaks[2][1] < peaks[0][1] + 400_000
    assert peaks[3][1] < peaks[1][1] + 400_000


def test_frames_nobody_needs_are_not_decoded(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = files("h264 long"), {}
    for skips in (True, False):
        made: list[int] = []
        decode = groups.GroupReader._decode

        def counted(self, packet, decode=decode, made=made):
            frames = decode(self, packet)
            made.extend(frame.pts for frame in frames)
            return frames

        with monkeypatch.context() as patch, Video.open(path) as video:
            patch.setattr(groups.GroupReader, "_decode", counted)
            source = video._source
            assert isinstance(source, PyAVSource)
            reader = source._readers[0]
            patch.setattr(reader, "_facts", replace(reader._facts, can_skip=skips))
            batch = video.frames_at([2.9])
        assert batch.exact.all()
        out[skips] = len(made), clips.numbers(batch.pixels)
    assert out[True][1] == out[False][1] == [87]
    assert out[True][0] < 0.7 * out[False][0]


def test_work_is_shared_only_where_it_is_worth_it(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Video.open(files("h264"), workers=4) as video:
        source = video._source
        assert isinstance(source, PyAVSource)
        video.frames_at(np.arange(90) / 30)
        assert len(source._readers) == 1
        monkeypatch.setattr(pyav, "_MIN_SHARED_PX", 0)
        wanted = [0, 100, 2000, 16000, 20000, 31000, 45000]
        parts = source._parts(wanted)
        taken = sorted((part.start, part.stop) for part in parts)
        assert [start for start, _ in taken] == [0, *(stop for _, stop in taken[:-1])]
        assert taken[-1][1] == 7 and len(taken) > 1
        work = [source._readers[0].work(wanted[part.stop - 1]) for part in parts]
        assert work == sorted(work, reverse=True)
        video.frames_at(np.arange(90) / 30)
        assert 2 <= len(source._readers) <= 4
        video.frames_at([0.0])
    with pytest.raises(VideoError, match="workers must be 1 to 64"):
        Video.open(files("h264"), workers=0)


def test_one_failing_worker_stops_the_others(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyav, "_MIN_SHARED_PX", 0)
    image = groups.GroupReader.image

    def failing(self, frame, size_px):
        if frame.pts > 40000 // 2:
            raise VideoError("cannot")
        return image(self, frame, size_px)

    with Video.open(files("h264"), workers=3) as video:
        with monkeypatch.context() as patch:
            patch.setattr(groups.GroupReader, "image", failing)
            with pytest.raises(VideoError, match="cannot"):
                video.frames_at(np.arange(90) / 30)
        assert clips.numbers(video.frames_at([1.0, 2.5]).pixels) == [30, 75]


def test_threads_share_a_video(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyav, "_MIN_SHARED_PX", 0)
    seen: dict[int, list[int]] = {}
    with Video.open(files("h264")) as video:

        def read(worker: int) -> None:
            frames = video.frames_at([(i * 11 + worker) % 90 / 30 + 0.001 for i in range(20)])
            streamed = next(video.stream(fps=10, span=Span(1, 2)))
            seen[worker] = clips.numbers(frames.pixels) + clips.numbers(streamed.pixels)

        threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for worker, numbers in seen.items():
        assert numbers[:20] == [(i * 11 + worker) % 90 for i in range(20)]
        assert numbers[20:] == list(range(30, 60, 3))


def _read_in_child(video: Video, times_s: list[float]) -> list[int]:
    numbers = clips.numbers(video.frames_at(times_s).pixels)
    video.close()
    return numbers


def _answer(connection, video: Video) -> None:
    connection.send(_read_in_child(video, [2.0, 0.5]))


@pytest.mark.parametrize("kind", ["h264", "ts"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same_video(files: Files, kind: str, method: str) -> None:
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    context: Any = multiprocessing.get_context(method)
    with Video.open(files(kind)) as video:
        start_s = video.info.start_s
        video.frames_at([start_s + 1])
        assert start_s < 3
        workers = []
        for _ in range(2):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_answer, args=(theirs, video))
            worker.start()
            workers.append((worker, ours))
        mine = clips.numbers(video.frames_at([2.0, 0.5]).pixels)
        for worker, ours in workers:
            assert ours.poll(60)
            assert ours.recv() == mine
            worker.join(60)
            assert worker.exitcode == 0
        assert clips.numbers(video.frames_at([2.0, 0.5]).pixels) == mine


def test_settings_survive_pickling(files: Files) -> None:
    with (
        Video.open(files("h264"), "pyav", workers=3, time_limit_s=5.0) as video,
        pickle.loads(pickle.dumps(video)) as copy,
    ):
        assert copy._backend == "pyav"
        assert copy._options == video._options == ReadOptions(workers=3, time_limit_s=5.0)
        assert copy.info == video.info


class _Clock:
    """A clock that goes on by `step_s` whenever it is looked at."""

    step_s = 0.0
    now_s = 0.0

    def monotonic(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def test_time_limit_ends_reading(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock()
    monkeypatch.setattr(base, "time", clock)
    with Video.open(files("h264 long"), time_limit_s=0.8) as video:
        clock.step_s = 0.02
        with pytest.raises(VideoError, match=r"took longer than the limit of 0\.8 s"):
            video.frames_at([2.9])
        assert clips.numbers(video.frames_at([0.1]).pixels) == [3]
        assert sum(map(len, video.stream(size_px=(80, 48)))) == 90  # the limit is for each batch
    with pytest.raises(VideoError, match="took longer than"):
        Video.open(files("ts"), time_limit_s=0.05)


def test_pictures_are_limited(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packets, "MAX_PICTURE_PX", 160 * 96 - 1)
    with pytest.raises(VideoError, match="says its pictures are 160x96, the limit is"):
        Video.open(files("h264"))
