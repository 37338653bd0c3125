"""How likely a model of this process finds a given answer."""

from __future__ import annotations

import numpy as np
import pytest

from mmreason.models import load
from mmreason.models.base import FramesPart, GenerateRequest, Message, TextPart
from mmreason.models.nano_model import NanoModel
from mmreason.training.evaluation.text_scores import answer_scorer
from mmreason.video.types import FrameBatch
from tests.training.evaluation.made_samples import perfect, scripted


@pytest.fixture(scope="module")
def nano() -> NanoModel:
    model = load("nano")
    assert isinstance(model, NanoModel)
    return model


@pytest.mark.parametrize("shows_frames", [True, False])
def test_a_given_text_is_as_likely_as_when_the_model_writes_it(
    nano: NanoModel, shows_frames: bool
) -> None:
    pixels = np.zeros((2, 80, 144, 3), np.uint8)
    pixels[:, 20:60, 40:80] = (220, 30, 30)
    frames = FrameBatch(pixels=pixels, times_s=np.array([0.0, 1.0]), exact=np.ones(2, bool))
    parts = (*([FramesPart(frames)] if shows_frames else []), TextPart("Describe the clip."))
    conversation = [Message("user", parts)]
    reply = nano.inner.generate(GenerateRequest([conversation]))[0]
    scorer = answer_scorer(nano)
    assert scorer is not None
    assert reply.text and scorer(conversation, reply.text) == pytest.approx(
        sum(reply.logprobs), abs=1e-3
    )
    assert scorer(conversation, "a purple elephant.") < scorer(conversation, reply.text)


def test_a_model_that_does_not_tell_has_no_scorer() -> None:
    assert answer_scorer(scripted(perfect)) is None
