"""Uniform plans: bin centres, inside the span, for any span and count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.video import SamplePlan, Span, VideoInfo, plan

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
