"""Moments that look unlike the rest: what a scan finds, in which order, and what it passes over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.video import Video
from mmreason.video.content import salient
from mmreason.video.types import Span
from mmreason.video.world.encode import write_video
from mmreason.video.world.script import (
    Actor,
    Colour,
    Motion,
    MotionKind,
    Scene,
    Shape,
    Size,
    World,
)


def world(event_s: tuple[float, float], *, length_s: float = 120.0) -> World:
    """A large blue circle all the time, moving; a small red star during `event_s`."""

    def actor(
        shape: Shape, colour: Colour, size: Size, x: float, kind: MotionKind = "still"
    ) -> Actor:
        return Actor(
            id=shape,
            shape=shape,
            colour=colour,
            size=size,
            pattern="plain",
            x=x,
            y=0.4,
            motion=Motion(kind=kind, travel=0.3),
        )

    circle = actor("circle", "blue", "large", 0.3, "right")
    star = actor("star", "red", "small", 0.85)
    edges = [0.0, *event_s, length_s]
    shown = ((circle,), (circle, star), (circle,))
    scenes = tuple(
        Scene(start_s=edges[i], end_s=edges[i + 1], background="black", actors=shown[i])
        for i in range(3)
    )
    return World(name="event", seed=0, scenes=scenes)


@pytest.mark.parametrize("event_s", [(10.0, 11.0), (63.2, 64.2), (117.0, 118.5)])
def test_a_second_is_found_among_two_minutes_whatever_else_moves(tmp_path, event_s):
    with Video.open(world(event_s).save(tmp_path / "w.json")) as video:
        found = salient.find_salient(video, video.info.span, 4)
        even_s = (np.arange(4) + 0.5) * 30
    assert found.frames == 240
    held = [m for m in found.moments[:2] if event_s[0] <= m.time_s < event_s[1]]
    assert held and held[0].span.duration_s <= 2.0
    assert not any(event_s[0] <= t < event_s[1] for t in even_s)


def test_a_file_of_real_pixels_gives_the_same_event(tmp_path):
    script = world((20.0, 21.5), length_s=30.0)
    with Video.open(write_video(script, tmp_path / "w.mp4")) as video:
        found = salient.find_salient(video, video.info.span, 3)
    assert any(20.0 <= m.time_s < 21.5 for m in found.moments)


def test_what_does_not_change_is_one_moment(tmp_path):
    bare = World(name="bare", seed=0, scenes=(Scene(start_s=0.0, end_s=60.0, background="black"),))
    with Video.open(bare.save(tmp_path / "w.json")) as video:
        (only,) = salient.find_salient(video, video.info.span, 8).moments
    assert (only.span.start_s, only.span.end_s) == (0.0, 60.0)


def test_ten_hours_are_bounded(tmp_path):
    with Video.open(world((10.0, 11.0), length_s=36_000.0).save(tmp_path / "w.json")) as video:
        assert len(salient.scan_times(video.info, video.info.span)) == salient.MOST_SCANNED
        part = salient.scan_times(video.info, Span(0, 3600))
    assert len(part) == salient.MOST_SCANNED / 10


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 6))
def test_moments_differ_and_their_stretches_hold_them(kinds, count):
    points = np.eye(4, dtype=np.float32)[kinds]
    times_s = np.arange(len(kinds)) + 0.5
    span = Span(0.0, float(len(kinds)))
    chosen = salient.select_salient(points, times_s, span, count)
    assert len(chosen) == min(count, len(set(kinds)))
    assert len({kinds[int(m.time_s)] for m in chosen}) == len(chosen)
    assert all(m.span.contains(m.time_s) for m in chosen)
    more = salient.select_salient(points, times_s, span, count + 1)
    assert [m.time_s for m in more[: len(chosen)]] == [m.time_s for m in chosen]


def test_where_in_the_picture_a_thing_is_makes_no_difference():
    left, right = np.zeros((2, 1, 27, 48, 3), np.uint8)
    left[0, 5:12, 4:11], right[0, 14:21, 30:37] = (255, 0, 0), (255, 0, 0)
    other = np.zeros_like(left)
    other[0, 5:12, 4:11] = (0, 255, 0)
    a, b, c = (salient.describe_colours(p)[0] for p in (left, right, other))
    assert np.allclose(a, b) and ((a - c) ** 2).sum() > 0.01
    assert np.isclose((a**2).sum(), 1.0)
