"""The third packaged model: it boxes things by expressions, behind nano's guard."""

from __future__ import annotations

import numpy as np
import pytest

from mmreason import models
from mmreason.grounding import Dialect, GroundingStatus, parse_boxes
from mmreason.grounding.refadv import Knobs, generate
from mmreason.models.base import FramesPart, GenerateRequest, Message, TextPart
from mmreason.models.folders import PACKAGED
from mmreason.models.nano_replies import OUTSIDE
from mmreason.training.nano.architecture import start_folder
from mmreason.video.types import FrameBatch

SIZE_PX = (144, 80)


@pytest.fixture(scope="module")
def model():
    return models.load("nano-grounding")


def _ask(model, pixels: np.ndarray, expression: str):
    frames = FrameBatch(pixels=pixels[None], times_s=np.zeros(1), exact=np.ones(1, bool))
    text = TextPart(model.clip.prompts.find(expression))
    request = GenerateRequest([[Message("user", (FramesPart(frames, "image"), text))]])
    return model.generate(request)[0]


def test_it_answers_expressions_with_boxes_or_an_empty_list(model):
    knobs = Knobs(k=1, n=4, negation=1, families=("attribute",))
    for item in generate(kind="image", seed=700_000, count=4, knobs=knobs):
        reply = _ask(model, item.world.frame(0.0, SIZE_PX), item.expression)
        read = parse_boxes(reply.text, Dialect.NORM_1000, SIZE_PX)
        assert read.status in (GroundingStatus.FOUND, GroundingStatus.NONE), reply


def test_it_declines_other_footage_other_expressions_and_tracking(model):
    noise = np.random.default_rng(1).integers(0, 255, (80, 144, 3)).astype(np.uint8)
    assert _ask(model, noise, "the red star").text == OUTSIDE
    (item,) = generate(kind="image", seed=700_000, count=1, knobs=Knobs(k=1, n=4))
    frame = item.world.frame(0.0, SIZE_PX)
    assert _ask(model, frame, "the dog").text == OUTSIDE
    assert model.clip.prompts.track == "", "it was not taught clips"


def test_it_is_loaded_by_its_name_and_runs_can_start_from_it(model):
    assert model.name == "nano-grounding" and model.tier == "nano" and not model.calibrated
    assert start_folder("nano-grounding") == PACKAGED["nano-grounding"]
