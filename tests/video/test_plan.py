"""Uniform plans: bin centres, inside the span, for any span and count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.video import SamplePlan, Span, Video, VideoInfo, plan
from tests.video import clips
from tests.video.plans import clip

spans = st.tuples(st.floats(-100, 1e5), st.floats(1e-3, 1e5)).map(lambda p: Span(p[0], p[0] + p[1]))


def test_uniform_takes_the_middles() -> None:
    made = plan.uniform(Span(10.0, 18.0), n=4, size_px=(64, 36))
    assert made.times_s == (11.0, 13.0, 15.0, 17.0)
    assert made.size_px == (64, 36)
    assert made.method == "uniform"
    assert made.reasons[0] == "middle of part 1 of 4"
    assert made.settings == {"n": 4, "span": [10.0, 18.0]}


@settings(deadline=None, derandomize=True)
@given(spans, st.integers(1, 200))
def test_uniform_is_ordered_inside_and_even(span: Span, n: int) -> None:
    times = np.asarray(plan.uniform(span, n).times_s)
    assert len(times) == n
    assert all(span.contains(t) for t in times)
    assert (np.diff(times) > 0).all()
    assert times.mean() == pytest.approx(span.middle_s, abs=1e-6)
    edges = span.start_s + np.arange(n + 1) * span.duration_s / n
    assert ((edges[:-1] < times) & (times < edges[1:])).all()


def test_uniform_reads_the_span_of_a_video() -> None:
    class Clip:
        info = VideoInfo(
            path="clip.mp4",
            duration_s=4.0,
            start_s=1.5,
            width_px=64,
            height_px=36,
            codec="h264",
            mean_fps_hz=30.0,
            frame_count=120,
            rotation_deg=0,
            has_audio=False,
            backend="pyav",
            size_bytes=1,
        )

    assert plan.uniform(Clip(), 2).times_s == (2.5, 4.5)
    assert len(plan.uniform(Clip())) == 32


@pytest.mark.parametrize("n", [0, -3])
def test_uniform_needs_a_frame(n: int) -> None:
    with pytest.raises(ValueError, match="n must be 1 or more"):
        plan.uniform(Span(0.0, 1.0), n)


def test_uniform_refuses_an_empty_span() -> None:
    with pytest.raises(ValueError, match="empty span"):
        plan.uniform(Span(2.0, 2.0), 4)


def test_a_plan_checks_itself() -> None:
    with pytest.raises(ValueError, match="one reason a frame"):
        SamplePlan(times_s=(1.0,), size_px=None, method="x", reasons=())
    with pytest.raises(ValueError, match="ascending"):
        SamplePlan(times_s=(2.0, 1.0), size_px=None, method="x", reasons=("", ""))


@given(spans, st.floats(0.01, 60), st.integers(1, 300))
def test_fps_is_a_rate_within_a_limit(span: Span, fps: float, most: int) -> None:
    made = plan.fps(span, fps, most)
    wanted = max(1, round(span.duration_s * fps))
    assert len(made) == min(wanted, most)
    assert made.times_s == plan.uniform(span, len(made)).times_s
    assert made.settings["fps_hz"] == pytest.approx(len(made) / span.duration_s, rel=1e-3, abs=1e-6)
    assert made.settings.get("frames_asked") == (wanted if wanted > most else None)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_fps_needs_a_rate(rate: float) -> None:
    with pytest.raises(ValueError, match="fps must be above 0"):
        plan.fps(Span(0.0, 1.0), rate)


@given(st.lists(st.floats(0.05, 4.0), min_size=1, max_size=80), st.integers(1, 40))
def test_keyframes_move_little_or_not_at_all(gaps: list[float], n: int) -> None:
    keys = tuple(float(t) for t in np.cumsum([0.0, *gaps[:-1]]))
    span = Span(0.0, float(np.sum(gaps)))
    video = clip(300, 300 / span.duration_s, keyframe_times_s=keys)
    made, even = plan.keyframes(video, n), plan.uniform(video, n)
    interval_s = video.info.duration_s / n
    if max(gaps) < interval_s / 2 - 1e-6:
        assert made.settings["snapped"]
    if max(gaps) > interval_s / 2 + 1e-6:
        assert not made.settings["snapped"]
    if made.settings["snapped"]:
        assert set(made.times_s) <= set(keys)
        assert len(set(made.times_s)) == n
        moved = np.abs(np.subtract(made.times_s, even.times_s))
        assert moved.max() <= interval_s / 4 + 1e-9
        nearest = [min(abs(key - t) for key in keys) for t in even.times_s]
        assert moved == pytest.approx(nearest)
    else:
        assert made.times_s == even.times_s


def test_keyframes_say_what_they_did() -> None:
    dense = clip(300, keyframe_times_s=tuple(range(10)))
    made = plan.keyframes(dense, 4)
    assert made.times_s == (1.0, 4.0, 6.0, 9.0)
    assert made.reasons[0] == "key frame 0.25 s before the middle of part 1"
    assert made.reasons[1] == "key frame 0.25 s after the middle of part 2"
    assert made.settings["largest_gap_s"] == 1.0 and made.settings["interval_s"] == 2.5
    part = plan.keyframes(dense, 2, span=Span(4.0, 8.0))
    assert part.times_s == (5.0, 7.0) and part.span == Span(4.0, 8.0)
    assert plan.keyframes(dense, 6).reasons[0] == "middle of part 1 of 6, not moved"
    assert not plan.keyframes(clip(300), 4).settings["snapped"]


def test_snapped_frames_are_key_frames_of_the_file(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "clip.mp4", frames=90, gop=8)
    with Video.open(path) as video:
        made = plan.keyframes(video, 3, size_px=(32, 32))
        batch = video.sample(made)
        keys = video.keyframe_times_s
    assert made.settings["snapped"]
    assert batch.times_s == pytest.approx(made.times_s, abs=1e-6)
    assert set(made.times_s) <= set(keys)
    assert made.moved == (True, True, True) and not batch.exact.any()


def test_frames_that_a_plan_does_not_move_stay_exact(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "clip.mp4", frames=90, gop=15)  # a key frame every half second
    with Video.open(path) as video:
        made = plan.keyframes(video, 1)
        whole, part = video.sample(made), video.sample(made.part(0, 1))
        assert (made.moved, whole.exact.tolist()) == ((False,), [True])  # key frame at the middle
        made = plan.keyframes(video, 3)
        assert made.times_s == (0.5, 1.5, 2.5) and made.moved == (False,) * 3
        assert video.sample(made).exact.all() and part.exact.all()
        moved = replace(made, moved=(False, True, False))
        assert video.sample(moved).exact.tolist() == [True, False, True]
        assert video.sample(moved.part(1, 3)).exact.tolist() == [False, True]
    with pytest.raises(ValueError, match="moved must be one a frame"):
        replace(made, moved=(True,))


@given(spans, st.lists(st.floats(0.0, 1.0), max_size=30), st.integers(1, 60))
def test_every_shot_is_seen_in_proportion(span: Span, cuts: list[float], n: int) -> None:
    boundaries = [span.start_s + c * span.duration_s for c in cuts]
    made = plan.shots(span, boundaries, n)
    times = np.array(made.times_s)
    assert len(times) == n and (np.diff(times) >= 0).all()
    assert all(span.contains(t) for t in times)
    inner = sorted({b for b in boundaries if span.start_s < b < span.end_s})
    edges = np.array([span.start_s, *inner, span.end_s])
    counts, lengths = np.histogram(times, edges)[0], np.diff(edges)
    if n < len(lengths):
        assert counts.max() == 1
        assert lengths[counts == 1].min() >= lengths[counts == 0].max()
    else:
        assert counts.min() >= 1
        extra = counts > 1  # no frame given to a shot would have been worth more in another
        if extra.any():
            least = (lengths[extra] / (counts[extra] - 1)).min()
            assert least >= (lengths / counts).max() * (1 - 1e-9)


def test_shots_take_their_middles() -> None:
    made = plan.shots(Span(0.0, 10.0), [8.0, 2.0, 8.0, 99.0], 4)
    assert made.times_s == pytest.approx((1.0, 3.5, 6.5, 9.0))
    assert made.reasons == (
        "middle of shot 1 of 3 from 0:00.00",
        "frame 1 of 2 in shot 2 of 3 from 0:02.00",
        "frame 2 of 2 in shot 2 of 3 from 0:02.00",
        "middle of shot 3 of 3 from 0:08.00",
    )
    assert plan.shots(Span(0.0, 10.0), [], 2).times_s == plan.uniform(Span(0.0, 10.0), 2).times_s
    with pytest.raises(ValueError, match="boundaries_s must be finite"):
        plan.shots(Span(0.0, 10.0), [float("nan")], 2)
