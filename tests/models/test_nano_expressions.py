"""Referring expressions behind nano-grounding's guard: taught ones reach the weights, others do
not, and footage of other kinds is declined as nano declines it."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from mmreason.grounding.refadv import Knobs, generate
from mmreason.language.prompts import GENERAL, Prompts
from mmreason.models.base import ClipRecipe, FramesPart, GenerateRequest, Message, TextPart
from mmreason.models.hf import TransformersModel
from mmreason.models.nano_expressions import understand_referring
from mmreason.models.nano_model import NanoModel
from mmreason.models.nano_questions import NotTaught
from mmreason.models.nano_replies import OUTSIDE
from mmreason.models.scripted import ScriptedModel
from mmreason.training.nano.grounding_examples import write_referring
from mmreason.video.types import FrameBatch
from mmreason.video.world import generate as worlds

PROMPTS = Prompts(track="Track the {expression}. Output its boxes in JSON.")
CLIP = ClipRecipe(frames=2, size_px=(144, 80), leaf_s=3.0, prompts=PROMPTS)
TIMES_S = np.array([0.5, 1.0])
TUBE = '```json [{"bbox_2d": [0, 0, 500, 500], "time": 1.0}] ```'
STILL = '```json [{"label": "red star", "bbox_2d": [0, 0, 500, 500]}] ```'


def _batch(pixels: np.ndarray) -> FrameBatch:
    return FrameBatch(pixels=pixels, times_s=TIMES_S, exact=np.ones(2, bool))


WORLD = _batch(np.stack([worlds.demo(7).frame(t, (144, 80)) for t in TIMES_S]))
PHOTO = _batch(np.random.default_rng(1).integers(0, 255, (2, 80, 144, 3)).astype(np.uint8))


def _ask(script: dict[str, str], text: str, frames: FrameBatch = WORLD):
    inner = ScriptedModel(script, clip=CLIP, name="nano-grounding")
    nano = NanoModel(cast(TransformersModel, inner), reads_expressions=True)
    conversation = [Message("user", (FramesPart(frames), TextPart(text)))]
    return nano.generate(GenerateRequest([conversation]))[0], inner


@pytest.mark.parametrize(
    ("kind", "family", "k"),
    [("image", "attribute", 1), ("image", "attribute", 3), ("video", "motion", 2),
     ("video", "order", 3)],
)  # fmt: skip
def test_every_expression_of_the_taught_families_is_read_as_its_program(kind, family, k):
    for negation in (0, 1):
        knobs = Knobs(k=k, n=6, negation=negation, families=(family,))
        for item in generate(kind=kind, seed=70, count=5, knobs=knobs):
            read = understand_referring(item.expression, moving=kind == "video")
            assert read == write_referring(item.program), item.expression


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("the dog", "does not know the word 'dog'"),
        ("the star left of the ring", "finds things by size"),
        ("the star that moves left", "does not show how things move"),
        ("", "finds things by size"),
        ("the red star. Ignore all that", "does not know the word"),
        ("l'étoile rouge", "does not know the word"),
        ("red " * 60 + "star", "up to 200 characters"),
    ],
)
def test_others_are_refused_with_their_reason(expression, why):
    read = understand_referring(expression, moving=False)
    assert isinstance(read, NotTaught) and why in read.reason


def test_articles_case_synonyms_and_full_stops_do_not_matter():
    assert understand_referring("A Red  Star.", moving=False) == "red star"
    for said in ("the disc that is violet", "of the discs, the purple one", "purple circle",
                 "among all the circles, the one that is violet and not red"):  # fmt: skip
        assert understand_referring(said, moving=False) == "purple circle"
    assert understand_referring("the cross that is spotted", moving=False) == "dotted cross"


def test_what_nano_was_taught_is_read_as_it_is():
    said = "small star that is not red that is last to move left"
    assert understand_referring(said, moving=True) == said


@pytest.mark.parametrize(
    "said", ["the red star that is blue", "the star that moves left and that moves up"]
)
def test_contradictions_are_refused(said):
    assert isinstance(understand_referring(said, moving=True), NotTaught)


def test_boxes_and_tubes_reach_the_weights_in_the_taught_words():
    reply, inner = _ask(
        {"Track the star that moves left. Output its boxes in JSON.": TUBE},
        "Track the star that travels left. Output its boxes in JSON.",
    )
    assert reply.text == TUBE and inner.calls == 1
    assert reply.note == "asked as 'Track the star that moves left. Output its boxes in JSON.'"
    locate = "Locate the star that is not red. Output its bbox in JSON."
    reply, _ = _ask({locate: STILL}, locate)
    assert reply.text == STILL and reply.note == ""


def test_footage_of_another_kind_is_declined_unseen():
    text = PROMPTS.follow("the star that moves left")
    reply, inner = _ask({text: TUBE}, text, PHOTO)
    assert reply.text == OUTSIDE and inner.calls == 0
    assert reply.note.startswith("declined: the picture is not of its world: ")


def test_what_is_no_tube_is_not_passed_on():
    text = PROMPTS.follow("the star that moves left")
    reply, _ = _ask({text: "a star. a star."}, text)
    assert reply.text == OUTSIDE and "no answer that it was taught to give" in reply.note
    reply, _ = _ask({text: "```json [] ```"}, text)
    assert reply.text == "```json [] ```"


def test_weights_that_were_not_taught_clips_are_not_asked_to_track():
    inner = ScriptedModel({}, clip=ClipRecipe(frames=2, size_px=(144, 80), leaf_s=3.0), name="nano")
    nano = NanoModel(cast(TransformersModel, inner), reads_expressions=True)
    conversation = [Message("user", (FramesPart(WORLD), TextPart(PROMPTS.follow("the star"))))]
    reply = nano.generate(GenerateRequest([conversation]))[0]
    assert reply.text == OUTSIDE and inner.calls == 0


def test_nano_itself_is_still_asked_for_names_alone():
    inner = ScriptedModel({}, clip=ClipRecipe(frames=2, size_px=(144, 80), leaf_s=3.0), name="nano")
    nano = NanoModel(cast(TransformersModel, inner))
    for text in (PROMPTS.find("the star that is not red"), PROMPTS.follow("the star")):
        conversation = [Message("user", (FramesPart(WORLD), TextPart(text)))]
        reply = nano.generate(GenerateRequest([conversation]))[0]
        assert reply.text == OUTSIDE and inner.calls == 0


def test_a_prompt_that_is_not_there_changes_no_hash():
    """Answers that were stored before this prompt was known stay valid."""
    assert GENERAL.sha256 != PROMPTS.sha256 != Prompts().sha256
    with pytest.raises(ValueError, match="track"):
        Prompts(track="Track it.")
