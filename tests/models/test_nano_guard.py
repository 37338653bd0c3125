"""The guard lets worlds by, however they are drawn or encoded, and nothing else."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mmreason.evaluation.coded_worlds import coded_clips
from mmreason.models.base import ClipRecipe
from mmreason.models.nano_guard import frame_signs, why_outside
from mmreason.training.nano.outside import draw_outside_frames
from mmreason.video.world import generate
from mmreason.video.world.script import Scene, World

SIZE_PX = (144, 80)
LIGHTS = (1.0, 0.6, 0.35, 0.15, 0.05)
CLIP = ClipRecipe(frames=8, size_px=SIZE_PX, leaf_s=3.0)


def _world(seed: int, actors: int) -> World:
    rng = random.Random(f"test/{seed}")
    return World(scenes=(generate.scene(rng, 0.0, 4.0, actors=actors, text_share=0.3),))


def _frames(world: World) -> np.ndarray:
    return np.stack([world.frame(t, SIZE_PX) for t in (0.5, 1.5, 2.5, 3.5)])


@pytest.mark.parametrize("actors", range(6))
def test_drawn_worlds_pass(actors):
    assert all(why_outside(_frames(_world(seed, actors))) == "" for seed in range(12))


def test_encoded_worlds_pass():
    whys = [why_outside(clip.pixels) for clip in coded_clips(24, CLIP, seed="tests")]
    assert sum(map(bool, whys)) <= 1, whys


@pytest.mark.parametrize("size_px", [(640, 360), (96, 96), (64, 144)])
def test_worlds_pass_in_other_sizes(size_px):
    for seed in range(6):
        frame = _world(seed, 2).frame(2.0, size_px)
        assert why_outside(frame[None]) == ""


@pytest.mark.parametrize("background", ["black", "slate", "brown", "forest", "navy", "plum"])
def test_an_empty_ground_passes(background):
    world = World(scenes=(Scene(start_s=0, end_s=1, background=background),))
    assert why_outside(world.frame(0.5, SIZE_PX)[None]) == ""


def _card(ground: tuple[int, int, int], ink: tuple[int, int, int], *lines: str) -> Image.Image:
    picture = Image.new("RGB", (288, 160), ground)
    for i, line in enumerate(lines):
        at = (144, 160 * (i + 1) / (len(lines) + 1))
        font = ImageFont.load_default(size=22)
        ImageDraw.Draw(picture).text(at, line, fill=ink, font=font, anchor="mm")
    return picture


def _terminal(ground: tuple[int, int, int]) -> Image.Image:
    picture = Image.new("RGB", (288, 160), ground)
    for row in range(12):
        text = f"{row:02d} epoch loss 0.{row * 7 % 10}31 ok"
        ImageDraw.Draw(picture).text((4, 13 * row), text, fill=(230, 230, 230))
    return picture


def _disc(ground: tuple[int, int, int], ink: tuple[int, int, int], blur: float) -> Image.Image:
    picture = Image.new("RGB", (288, 160), ground)
    ImageDraw.Draw(picture).ellipse((100, 40, 180, 120), fill=ink)
    return picture.filter(ImageFilter.GaussianBlur(blur))


def _grain(level: float, spread: float) -> Image.Image:
    noise = np.random.default_rng(5).normal(level, spread, (160, 288, 3))
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


PICTURES = {
    "title on black": _card((0, 0, 0), (255, 255, 255), "Directed by", "A. Meyer"),
    "title on near black": _card((14, 14, 16), (244, 244, 244), "Chapter One"),
    "title on navy": _card((20, 22, 60), (255, 255, 255), "The End"),
    "title on white": _card((255, 255, 255), (0, 0, 0), "Questions?"),
    "terminal on black": _terminal((0, 0, 0)),
    "terminal on near black": _terminal((14, 14, 16)),
    "terminal on slate": _terminal((52, 58, 66)),
    "disc on black": _disc((0, 0, 0), (222, 32, 32), 0),
    "disc on white": _disc((255, 255, 255), (42, 80, 232), 0),
    "disc out of focus": _disc((40, 40, 44), (243, 246, 40), 12),
    "grain": _grain(120, 40),
    "grain at night": _grain(14, 6),
    "shade": Image.linear_gradient("L").resize((288, 160)).convert("RGB"),
    "shade the other way": Image.linear_gradient("L").rotate(180).resize((288, 160)).convert("RGB"),
}


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("name", PICTURES)
def test_other_pictures_are_declined_at_every_brightness(name, light):
    pixels = np.asarray(PICTURES[name].resize(SIZE_PX)) * np.float32(light)
    assert why_outside(pixels.astype(np.uint8)[None])


@pytest.mark.parametrize("level", range(0, 256, 5))
def test_flat_pictures_are_declined(level):
    assert why_outside(np.full((1, 80, 144, 3), level, np.uint8))


def test_the_black_ground_without_its_shade_is_declined():
    flat = np.full((80, 144, 3), (14, 14, 16), np.uint8)
    assert why_outside(flat[None]) == "the ground is not shaded as in its world"


def test_a_world_in_half_its_light_is_declined():
    half = (_frames(_world(1, 2)) * np.float32(0.5)).astype(np.uint8)
    assert why_outside(half)


def test_what_training_shows_as_no_world_is_declined():
    for seed in range(60):
        assert why_outside(draw_outside_frames(random.Random(seed), 2, SIZE_PX, "all")), seed


def test_one_frame_of_eight_may_be_smeared():
    frames = np.concatenate([_frames(_world(2, 2))] * 2)
    frames[3] = 90
    assert why_outside(frames) == ""
    frames[4] = 90
    assert why_outside(frames)


def test_a_clip_that_leaves_the_world_is_declined():
    frames = np.concatenate([_frames(_world(2, 2)), np.full((4, 80, 144, 3), 255, np.uint8)])
    assert "plain ground of its world" in why_outside(frames)


def test_signs_are_those_of_the_scene():
    frame = _world(3, 2).frame(2.0, SIZE_PX)
    signs = frame_signs(frame)
    assert 0.5 < signs.ground < 1 and 0.8 < signs.slope < 1.25 and signs.noise < 1
    assert signs.unexplained < 0.01 and 0.01 < signs.figure < 0.4 and signs.thickness > 0.2
