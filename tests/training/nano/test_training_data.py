"""What nano was taught stays what it was: its recipe would give the packaged weights again."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from mmreason.training.nano.config import NanoConfig, Stage
from mmreason.training.nano.examples import Example, make_clip_example, make_image_example
from mmreason.training.navigation.exercises import make_exercise
from mmreason.training.navigation.samples import generate_samples

EXERCISES = (
    "f14c053a0396d54f",
    "1a5251e6b94e3c17",
    "0147e74d2fe067cc",
    "769b4ef54dcdca7a",
    "1e9ddadbea0edb4f",
    "e19d739a24d9f154",
    "f7cf00f5c4226b9f",
    "9fd56776bb157d47",
)
"""Of thirty lists a level."""
STAGE = Stage(
    share=1.0,
    image_share=0.5,
    multi_scene_share=0.3,
    half_truth_share=0.5,
    outside_share=0.2,
    outside_kinds="all",
    large_share=0.2,
)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@pytest.mark.parametrize(("level", "digest"), list(enumerate(EXERCISES)))
def test_exercises_are_those_of_the_recipe(level: int, digest: str) -> None:
    assert _digest([make_exercise(random.Random(seed), level) for seed in range(30)]) == digest


def test_samples_of_plays_are_those_of_the_recipe() -> None:
    samples = [sample.to_dict() for sample in generate_samples(1, duration_s=180.0)]
    assert _digest(samples) == "ae748e69b1dec2aa"


@pytest.mark.parametrize(
    ("make", "digest"),
    [(make_image_example, "94c77260d0724e59"), (make_clip_example, "16a67223e03cdabf")],
)
def test_questions_and_answers_are_those_of_the_recipe(
    make: Callable[[random.Random, NanoConfig, Stage], Example], digest: str
) -> None:
    config = NanoConfig(clip_frames=2, size_px=(32, 16))
    examples = [make(random.Random(seed), config, STAGE) for seed in range(25)]
    assert _digest([example.dialogue for example in examples]) == digest
