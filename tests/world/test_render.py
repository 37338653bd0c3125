"""What is drawn: any size, smooth edges, right areas, the named colours, text that is readable."""

from __future__ import annotations

import colorsys
import itertools
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.video.world import World, generate
from mmreason.video.world.render import BACKGROUND_RGB, RGB, draw_frame
from mmreason.video.world.script import (
    RADIUS,
    Actor,
    Background,
    Colour,
    Pattern,
    Scene,
    Shape,
    Size,
)

GREY_NAMES = ("white",)
HUE_GAP_DEG = 30


def alone(actor: Actor, *, background: Background = "black", text: str | None = None) -> World:
    scene = Scene(start_s=0.0, end_s=4.0, actors=(actor,), background=background, text=text)
    return World(scenes=(scene,))


def circle(size: Size = "large", colour: Colour = "red") -> Actor:
    return Actor(id="a", shape="circle", colour=colour, size=size)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 9),
    share=st.floats(-0.1, 1.2),
    width=st.integers(1, 200),
    height=st.integers(1, 200),
)
def test_a_frame_of_any_size(seed: int, share: float, width: int, height: int) -> None:
    world = generate.world(seed, duration_s=8, most_actors=3)
    pixels = world.frame(share * world.duration_s, (width, height))
    assert pixels.shape == (height, width, 3) and pixels.dtype == np.uint8
    assert pixels.max() > 8, "a frame without anything is not even its background"


@pytest.mark.parametrize("size_px", [(1, 1), (2000, 3), (3, 2000)])
def test_a_frame_of_an_odd_size(size_px: tuple[int, int]) -> None:
    pixels = alone(circle(), text="EXIT").frame(1.0, size_px)
    assert pixels.shape == (size_px[1], size_px[0], 3)


def test_the_size_of_the_script_is_the_default() -> None:
    world = alone(circle()).model_copy(update={"width_px": 96, "height_px": 128})
    assert world.frame(1.0).shape == (128, 96, 3)


@pytest.mark.parametrize("height", [48, 80, 144, 360])
@pytest.mark.parametrize("size", ["small", "large"])
def test_area_of_a_circle(size: Size, height: int) -> None:
    width = round(height * 16 / 9)
    drawn = draw_frame(alone(circle(size)), 1.0, (width, height))
    true_px = math.pi * (RADIUS[size] * height) * (RADIUS[size] * width / (16 / 9))
    assert drawn.coverage.sum() == pytest.approx(true_px, rel=0.02)


def test_area_and_height_on_a_canvas_of_another_shape() -> None:
    covered = draw_frame(alone(circle()), 1.0, (100, 200)).coverage[0]
    true_px = math.pi * (0.2 * 200) * (0.2 * 100 / (16 / 9))
    assert covered.sum() == pytest.approx(true_px, rel=0.02)
    rows = np.flatnonzero(covered.max(1) > 0.5)
    assert rows[-1] - rows[0] + 1 == pytest.approx(80, abs=2)


@pytest.mark.parametrize("shape", get_args(Shape))
def test_edges_are_mixtures_of_both_sides(shape: Shape) -> None:
    actor = Actor(id="a", shape=shape, colour="yellow")
    drawn = draw_frame(alone(actor), 1.0, (320, 180))
    covered = drawn.coverage[0]
    edge = (covered > 0.05) & (covered < 0.95)
    radius_px = RADIUS["large"] * 180
    assert 2 * radius_px < edge.sum() < 16 * radius_px, "a rim of about one pixel"
    ground = draw_frame(
        World(scenes=(Scene(start_s=0, end_s=4, background="black"),)), 1, (320, 180)
    )
    expected = ground.pixels + covered[..., None] * (np.array(RGB["yellow"]) - ground.pixels)
    assert np.abs(drawn.pixels - expected).max() <= 1
    assert (drawn.pixels[covered == 0] == ground.pixels[covered == 0]).all()


def test_small_frames_look_like_large_ones_seen_from_afar() -> None:
    world = generate.world(5, duration_s=12, most_actors=3)
    for time_s in (1.0, 5.0, 9.0):
        large = world.frame(time_s, (640, 360)).astype(float)
        reduced = large.reshape(90, 4, 160, 4, 3).mean((1, 3))
        assert np.abs(reduced - world.frame(time_s, (160, 90))).mean() < 1.5


@pytest.mark.parametrize("pattern", ["striped", "dotted"])
@pytest.mark.parametrize("shape", get_args(Shape))
def test_patterns_darken_the_inside_only(shape: Shape, pattern: Pattern) -> None:
    plain = Actor(id="a", shape=shape, colour="cyan", size="small")
    patterned = plain.model_copy(update={"pattern": pattern})
    first, second = (draw_frame(alone(a), 1.0, (320, 180)) for a in (plain, patterned))
    assert (first.coverage == second.coverage).all()
    inside = first.coverage[0] > 0.99
    light = second.pixels[inside].sum(-1) / first.pixels[inside].sum(-1)
    assert 0.1 < (light < 0.4).mean() < 0.6, "dark parts"
    assert 0.3 < (light > 0.95).mean() < 0.9, "plain parts"
    outside = first.coverage[0] == 0
    assert (first.pixels[outside] == second.pixels[outside]).all()


def test_later_actors_are_nearer() -> None:
    far = circle("large", "red").model_copy(update={"id": "far"})
    near = circle("small", "blue")
    scene = Scene(start_s=0, end_s=4, actors=(far, near))
    drawn = draw_frame(World(scenes=(scene,)), 1.0, (160, 90))
    assert drawn.pixels[45, 80].tolist() == list(RGB["blue"])
    assert drawn.coverage[:, 45, 80].tolist() == [0.0, 1.0]
    assert drawn.coverage.sum(0).max() <= 1.0 + 1e-6
    ratio = drawn.coverage[0].sum() / drawn.coverage[1].sum()
    assert ratio == pytest.approx((0.2 / 0.125) ** 2 - 1, rel=0.03)


def test_every_colour_is_drawn_as_named_and_stands_out() -> None:
    for colour, background in itertools.product(get_args(Colour), get_args(Background)):
        pixels = alone(circle("small", colour), background=background).frame(1.0, (64, 36))
        assert pixels[18, 32].tolist() == list(RGB[colour])
        ground = pixels[0, 0].astype(float)
        assert np.abs(pixels[18, 32] - ground).max() > 100
        assert np.abs(ground - np.array(BACKGROUND_RGB[background]) * 1.15).max() < 2


def _hue_deg(colour: str) -> float:
    red, green, blue = RGB[colour]
    return 360 * colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)[0]


HUED = [name for name in RGB if name not in GREY_NAMES]


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(HUED, 2)))
def test_hues_of_colour_names_lie_apart(one: str, other: str) -> None:
    turn = abs(_hue_deg(one) - _hue_deg(other)) % 360
    assert min(turn, 360 - turn) >= HUE_GAP_DEG


def test_white_has_no_hue_and_all_others_do() -> None:
    def saturation(colour: str) -> float:
        return 1 - min(RGB[colour]) / max(RGB[colour])

    assert set(RGB) == set(get_args(Colour))
    assert saturation("white") < 0.05
    assert min(saturation(colour) for colour in HUED) > 0.5


def test_nothing_is_carried_from_frame_to_frame() -> None:
    world = generate.world(6, duration_s=12, most_actors=3)
    first = world.frame(1.0, (160, 90))
    kept = first.copy()
    for time_s in (5.0, 9.0, 1.5):
        world.frame(time_s, (160, 90))[:] = 0
    assert (world.frame(1.0, (160, 90)) == kept).all() and (first == kept).all()


@pytest.mark.parametrize("size_px", [(144, 80), (640, 360)])
def test_words_are_readable_and_below_the_actors(size_px: tuple[int, int]) -> None:
    masks = []
    for word in generate.WORDS:
        plain, written = (alone(circle(), text=t).frame(1.0, size_px) for t in (None, word))
        mask = (written != plain).any(-1)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert rows[0] >= (generate.TEXT_FLOOR - 0.02) * size_px[1], "clear of the actors"
        assert rows[-1] < size_px[1] - 1 and rows[-1] - rows[0] >= 0.1 * size_px[1]
        assert columns[0] > 0 and columns[-1] < size_px[0] - 1, "the whole word fits"
        middle = (columns[0] + columns[-1]) / 2
        assert middle == pytest.approx(size_px[0] / 2, abs=2 + 0.005 * size_px[0])
        masks.append(mask)
    assert all((a != b).any() for a, b in itertools.combinations(masks, 2))


@settings(max_examples=20)
@given(text=st.text(max_size=40), height=st.integers(16, 90))
def test_any_text_can_be_drawn(text: str, height: int) -> None:
    assert alone(circle(), text=text).frame(1.0, (2 * height, height)).shape[0] == height
