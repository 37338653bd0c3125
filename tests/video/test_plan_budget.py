"""Budgets hold together, shrink frames before they drop them, and say what they did."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mmreason.video import Span, plan
from mmreason.video.plan.families import QWEN2_5_VL, QWEN3_VL
from tests.video.plans import clip

FAMILIES = (QWEN2_5_VL, QWEN3_VL, plan.patches(14), plan.patches(8, merge=2, frames_per_token=2))
sides = st.integers(16, 4000)


@given(
    st.integers(1, 300),
    st.tuples(sides, sides),
    st.sampled_from(FAMILIES),
    st.none() | st.integers(1, 200),
    st.none() | st.integers(200, 30_000),
    st.none() | st.integers(200_000, 10**8),
)
def test_every_limit_holds(
    n: int,
    size_px: tuple[int, int],
    family: plan.Family,
    frames: int | None,
    tokens: int | None,
    pixels: int | None,
) -> None:
    budget = plan.FrameBudget(frames=frames, tokens=tokens, pixels=pixels)
    assume(max(size_px) <= 30 * min(size_px))
    made = plan.uniform(clip(size_px=size_px), n, family=family, budget=budget)
    assert 1 <= len(made) <= min(n, frames or n)
    assert made.size_px is not None and made.token_count is not None
    assert all(side % family.grid_px == 0 and side > 0 for side in made.size_px)
    assert made.token_count == family.tokens(len(made), made.size_px)
    assert made.token_count <= (tokens or math.inf)
    assert len(made) * math.prod(made.size_px) <= (pixels or math.inf)
    assert made.settings.get("frames_asked", len(made)) == n


@given(st.integers(400, 20_000), st.integers(0, 5000))
def test_more_tokens_never_show_less(tokens: int, more: int) -> None:
    shown = [
        plan.uniform(clip(), 64, family="qwen3_vl", budget=plan.FrameBudget(tokens=limit))
        for limit in (tokens, tokens + more)
    ]
    assert len(shown[0]) <= len(shown[1])


def test_frames_get_smaller_before_they_get_fewer() -> None:
    free = plan.uniform(clip(), 16, family="qwen3_vl")
    assert free.size_px == (1280, 704) and free.token_count == 8 * 40 * 22
    half = plan.uniform(clip(), 16, family="qwen3_vl", budget=plan.FrameBudget(tokens=3520))
    assert len(half) == 16 and half.size_px == (864, 480)
    tight = plan.uniform(clip(), 16, family="qwen3_vl", budget=plan.FrameBudget(tokens=400))
    assert len(tight) == 8 and tight.size_px == (416, 224)
    assert tight.settings["frames_asked"] == 16
    assert tight.settings["budget"] == {"tokens": 400}


def test_one_small_frame_is_better_than_none() -> None:
    made = plan.uniform(clip(), 16, family="qwen3_vl", budget=plan.FrameBudget(tokens=8))
    assert len(made) <= 2 and made.token_count is not None and 0 < made.token_count <= 8


def test_pixels_alone_need_no_family() -> None:
    made = plan.uniform(clip(), 4, budget=plan.FrameBudget(pixels=4 * 640 * 360))
    assert made.size_px == (640, 360) and made.token_count is None and made.family is None
    roomy = plan.uniform(clip(), 4, budget=plan.FrameBudget(pixels=10**9))
    assert roomy.size_px is None


def test_a_size_asked_for_is_where_the_family_begins() -> None:
    made = plan.uniform(Span(0.0, 4.0), 4, size_px=(100, 52), family=plan.patches(16))
    assert made.size_px == (96, 48) and made.token_count == 4 * 6 * 3
    assert made.family == "patch16" and made.span == Span(0.0, 4.0)


def test_the_refusal_names_the_smallest_plan() -> None:
    long = clip(size_px=(1120, 280))
    tokens = plan.FrameBudget(tokens=1)
    with pytest.raises(ValueError, match=r"1 tokens .*smallest plan is 1 frame of 56x28 .*2 tok"):
        plan.uniform(long, 8, family=plan.patches(14, merge=2), budget=tokens)
    pixels = plan.FrameBudget(pixels=1000, frames=3)
    with pytest.raises(ValueError, match=r"3 frames, 1,000 pixels holds no .*56x28 \(1,568 pixels"):
        plan.uniform(long, 8, family=plan.patches(14, merge=2), budget=pixels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": plan.FrameBudget(tokens=9)}, "needs the family"),
        ({"family": "qwen3_vl"}, "frame size is needed"),
        ({"budget": plan.FrameBudget(pixels=9)}, "frame size is needed"),
        ({"family": "gpt", "size_px": (64, 64)}, "not known; known are qwen2_5_vl, qwen3_vl"),
        ({"size_px": (0, 64)}, "size_px must be"),
        ({"size_px": (9000, 40), "family": "qwen2_5_vl"}, "200 times"),
    ],
)
def test_limits_that_cannot_be_computed(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan.uniform(Span(0.0, 4.0), 4, **options)


@pytest.mark.parametrize("name", ["frames", "tokens", "pixels"])
def test_limits_are_at_least_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"FrameBudget.{name} must be 1 or more"):
        plan.FrameBudget(**{name: 0})


def test_families_check_themselves() -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        plan.patches(0)
    with pytest.raises(ValueError, match="must not be below min_pixels"):
        plan.Family(name="x", patch_px=14, min_pixels=10, max_pixels=5)
