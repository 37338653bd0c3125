"""Which frames are shown: clips, overviews, stills, close looks."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.models.base import ClipRecipe
from mmreason.tools.views import (
    FOCUS_CLIPS,
    LEAST_OVERVIEW_PX,
    caption_views,
    center_span,
    clip_view,
    focus_views,
)
from mmreason.video.types import Span, VideoInfo

INFO = VideoInfo(
    path="a.mp4",
    duration_s=3_600.0,
    start_s=0.0,
    width_px=1920,
    height_px=1080,
    codec="none",
    mean_fps_hz=25.0,
    frame_count=None,
    rotation_deg=0,
    has_audio=False,
    backend="fake",
    size_bytes=0,
)
PUBLISHED = ClipRecipe(frames=32, longest_px=512, leaf_s=16.7)
"""LongVideo-R1's lowest level of an hour: 32 frames of 512 px over a 216th."""
STILLS = ClipRecipe(frames=8, size_px=(64, 32), leaf_s=4.0, overview="stills")


@pytest.mark.parametrize(
    ("length_s", "frames", "longest_px"),
    [(16.7, 32, 512), (100.0, 64, 362), (600.0, 128, 256), (3_600.0, 128, 256)],
)
def test_overviews_follow_the_published_recipe(length_s, frames, longest_px):
    (view,) = caption_views(PUBLISHED, INFO, Span(0, length_s))
    assert (len(view.times_s), max(view.size_px)) == (frames, longest_px)
    assert view.span == Span(0, length_s)
    whole = 32 * 512 * 288
    assert view.pixel_count == pytest.approx(whole, rel=0.01), "every caption costs the same"


def test_frames_of_an_overview_stay_large_enough_to_see():
    small = dataclasses.replace(PUBLISHED, longest_px=200)
    (view,) = caption_views(small, INFO, Span(0, 3_600))
    assert (len(view.times_s), max(view.size_px)) == (128, LEAST_OVERVIEW_PX)
    tiny = dataclasses.replace(PUBLISHED, longest_px=100)
    (view,) = caption_views(tiny, INFO, Span(0, 3_600))
    assert max(view.size_px) == 100, "nothing is enlarged"


def test_sides_are_whole_multiples():
    recipe = dataclasses.replace(PUBLISHED, multiple_px=28)
    for length_s in (10, 100, 600):
        (view,) = caption_views(recipe, INFO, Span(0, length_s))
        assert all(side % 28 == 0 for side in view.size_px)


def test_a_fixed_frame_size_has_clips_only():
    fixed = ClipRecipe(frames=8, size_px=(64, 32), leaf_s=4.0)
    (view,) = caption_views(fixed, INFO, Span(0, 3_600))
    assert (len(view.times_s), view.size_px) == (8, (64, 32))


def test_stills_tile_the_stretch_each_around_its_frame():
    span = Span(100, 180)
    views = caption_views(STILLS, INFO, span)
    assert [view.times_s for view in views] == [(105.0 + 10 * k,) for k in range(8)]
    assert views[0].span.start_s == 100 and views[-1].span.end_s == 180
    for left, right in pairwise(views):
        assert left.span.end_s == right.span.start_s
    assert all(view.span.contains(view.times_s[0]) for view in views)
    (clip,) = caption_views(STILLS, INFO, Span(100, 106))
    assert len(clip.times_s) == 8, "what is short is one clip"


def test_a_close_look_is_up_to_four_clips_of_the_best_length():
    for length_s, count in [(2.0, 1), (4.0, 1), (7.9, 2), (12.0, 3), (400.0, FOCUS_CLIPS)]:
        views = focus_views(STILLS, INFO, Span(50, 50 + length_s))
        assert len(views) == count
        for view in views:
            assert view.span.duration_s == pytest.approx(min(4.0, length_s))
            assert view.span.start_s <= view.times_s[0] and view.times_s[-1] <= view.span.end_s
            assert view.span.clip(Span(50, 50 + length_s)) == view.span
    middles = [view.span.middle_s for view in focus_views(STILLS, INFO, Span(0, 400))]
    assert middles == [50, 150, 250, 350]


@pytest.mark.parametrize("recipe", [PUBLISHED, STILLS], ids=["denser", "stills"])
def test_a_moment_is_one_frame(recipe):
    moment = Span(7.0, 7.0)
    assert clip_view(recipe, INFO, moment, 0.25).times_s == (7.0,)
    for views in (caption_views(recipe, INFO, moment), focus_views(recipe, INFO, moment)):
        assert [view.times_s for view in views] == [(7.0,)]


def test_a_video_that_does_not_tell_its_rate_is_watched_all_the_same():
    unknown = dataclasses.replace(INFO, mean_fps_hz=0.0)
    assert len(clip_view(STILLS, unknown, Span(0, 0.01)).times_s) == 8


spans = st.builds(
    lambda start_s, length_s: Span(start_s, start_s + length_s),
    st.floats(0, 4e4),
    st.one_of(st.just(0.0), st.floats(1e-3, 4e4)),
)
recipes = st.builds(
    ClipRecipe,
    frames=st.integers(1, 64),
    size_px=st.one_of(st.none(), st.just((64, 32))),
    leaf_s=st.floats(0.1, 60),
    longest_px=st.integers(16, 1024),
    multiple_px=st.sampled_from([1, 14, 28, 32]),
    overview=st.sampled_from(["denser", "stills"]),
)
infos = st.builds(
    lambda fps_hz, width_px, height_px: dataclasses.replace(
        INFO, mean_fps_hz=fps_hz, width_px=width_px, height_px=height_px
    ),
    st.floats(0.1, 240),
    st.integers(16, 4096),
    st.integers(16, 4096),
)
shifts = st.sampled_from([-0.25, 0.0, 0.25])


@given(recipes, infos, spans, shifts)
def test_no_more_frames_than_there_are_and_none_outside(recipe, info, span, shift):
    there_are = max(1, round(span.duration_s * info.mean_fps_hz))
    tiny_s = 1e-6 * max(1.0, span.end_s)
    for views in (
        (clip_view(recipe, info, span, shift),),
        caption_views(recipe, info, span, shift),
    ):
        times_s = [t for view in views for t in view.times_s]
        assert 1 <= len(times_s) <= min(there_are, 4 * recipe.frames)
        assert times_s == sorted(times_s)
        assert all(span.start_s - tiny_s <= t <= span.end_s + tiny_s for t in times_s)
        assert views[0].span.start_s == span.start_s and views[-1].span.end_s == span.end_s
        assert all(min(view.size_px) >= 1 for view in views)


@given(recipes, infos, spans)
def test_another_shift_shows_other_times(recipe, info, span):
    if span.duration_s > 0:
        first, second = (clip_view(recipe, info, span, shift).times_s for shift in (0, 0.25))
        assert len(first) == len(second) and not set(first) & set(second)


@given(recipes, infos, spans)
def test_close_looks_are_bounded(recipe, info, span):
    views = focus_views(recipe, info, span)
    assert 1 <= len(views) <= FOCUS_CLIPS
    tiny_s = 1e-6 * max(1.0, span.end_s)
    for view in views:
        assert view.span.duration_s <= recipe.leaf_s + tiny_s
        assert view.span.start_s >= span.start_s - tiny_s
        assert view.span.end_s <= span.end_s + tiny_s
        assert len(view.times_s) <= recipe.frames


@given(spans, st.floats(-1e3, 5e4), st.floats(0, 100))
def test_a_stretch_around_a_time_lies_inside(within, time_s, length_s):
    found = center_span(time_s, length_s, within)
    tiny_s = 1e-6 * max(1.0, within.end_s)
    assert found.duration_s == pytest.approx(min(length_s, within.duration_s), abs=tiny_s)
    assert found.start_s >= within.start_s and found.end_s <= within.end_s
    if within.start_s + length_s <= time_s <= within.end_s - length_s:
        assert found.middle_s == pytest.approx(time_s, abs=tiny_s)
