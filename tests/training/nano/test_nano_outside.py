"""Pictures that teach nano to decline: of every kind and brightness, the same for the same seed."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mmreason.training.nano import outside_scenes as scenes
from mmreason.training.nano.config import NanoConfig, Stage
from mmreason.training.nano.examples import OUTSIDE_ANSWER, make_clip_example, make_image_example
from mmreason.training.nano.outside import draw_outside_frames

SIZE_PX = (144, 80)
DRAWERS = (
    scenes.draw_card,
    scenes.draw_terminal,
    scenes.draw_window,
    scenes.draw_flat,
    scenes.draw_noise,
    scenes.draw_sky,
    scenes.draw_pattern,
    scenes.draw_chart,
    scenes.draw_shapes,
)


@pytest.mark.parametrize("draw", DRAWERS)
def test_each_kind_draws_clips_and_stills_that_its_seed_decides(draw):
    for seed in range(8):
        frames = draw(random.Random(seed), 3, SIZE_PX)
        assert frames.shape == (3, 80, 144, 3) and frames.dtype == np.uint8
        assert np.array_equal(frames, draw(random.Random(seed), 3, SIZE_PX))
        assert draw(random.Random(seed), 1, SIZE_PX).shape == (1, 80, 144, 3)
    assert len({draw(random.Random(seed), 1, SIZE_PX).tobytes() for seed in range(8)}) > 4


def test_all_brightnesses_come_up():
    means = [draw_outside_frames(random.Random(i), 1, SIZE_PX, "all").mean() for i in range(150)]
    counts = np.histogram(means, bins=(0, 8, 30, 80, 150, 256))[0]
    assert counts.min() >= 8, counts


def test_a_share_of_clips_is_cut():
    cuts = 0
    for seed in range(60):
        frames = draw_outside_frames(random.Random(seed), 8, SIZE_PX, "all").astype(float)
        jumps = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
        cuts += jumps.max() > 20 + 3 * np.median(jumps)
    assert 3 <= cuts <= 40


@pytest.mark.parametrize("make", [make_clip_example, make_image_example])
def test_all_that_is_asked_of_them_is_declined(make):
    stage = Stage(share=1.0, image_share=0.5, outside_share=1.0, outside_kinds="all")
    example = make(random.Random(3), NanoConfig(clip_frames=2), stage)
    prompts = [prompt for prompt, _ in example.dialogue]
    assert {answer for _, answer in example.dialogue} == {OUTSIDE_ANSWER}
    assert len(prompts) == len(set(prompts)) >= 4
    assert any(prompt.startswith("Locate the") for prompt in prompts) == example.is_image


def test_earlier_recipes_see_what_they_saw():
    frames = draw_outside_frames(random.Random(5), 2, (48, 32))
    assert np.array_equal(frames, draw_outside_frames(random.Random(5), 2, (48, 32), "textures"))
    assert not np.array_equal(frames, draw_outside_frames(random.Random(5), 2, (48, 32), "all"))
