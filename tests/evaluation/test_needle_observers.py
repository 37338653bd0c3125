"""Models that read the script: what they tell, what they do not, and what they count."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmreason.evaluation.needle.metrics import hit_round
from mmreason.evaluation.needle.outcomes import outcome_of
from mmreason.language.answer_reading import read_answer
from mmreason.models.base import FramesPart, GenerateRequest, Message, TextPart
from mmreason.needle.items import DURATIONS_S
from mmreason.needle.observers import CaptionNoise, make_oracle, span_of_frames
from mmreason.needle.words import split_word_clause
from mmreason.needle.worlds import needle_set
from mmreason.reasoner import Reasoner
from mmreason.types import UsageError
from mmreason.video import Video, plan
from mmreason.video.types import FrameBatch, Span

MADE = needle_set(3, 900.0, 10)


def ask(model, text: str, times_s) -> str:
    count = len(times_s)
    frames = FrameBatch(
        pixels=np.zeros((count, 2, 2, 3), np.uint8),
        times_s=np.asarray(times_s, float),
        exact=np.ones(count, bool),
    )
    return model.generate(
        GenerateRequest([[Message("user", (FramesPart(frames), TextPart(text)))]])
    )[0].text


def describe(knobs: CaptionNoise, span: Span) -> str:
    model = make_oracle(MADE.world, knobs)
    return ask(model, model.clip.prompts.caption, plan.uniform(span, 8).times_s)


def test_a_perfect_caption_tells_every_actor_and_word_of_its_stretch():
    span = Span(100.0, 200.0)
    told = describe(CaptionNoise(), span)
    for scene in MADE.world.scenes_in(span):
        assert str(scene.text) in told
        for actor in scene.actors:
            assert f"{actor.size} {actor.colour}" in told and actor.shape in told


def test_chances_are_nested_and_drawn_the_same_way_each_time():
    span = Span(0.0, 300.0)
    texts = [describe(CaptionNoise(p_mention=((math.inf, p),)), span) for p in (0.0, 0.3, 0.6, 1.0)]
    things = [{part for part in text.split(". ") if part.startswith("a")} for text in texts]
    assert things[0] == set() and len(things[3]) > 3
    assert things[0] <= things[1] <= things[2] <= things[3]
    assert texts[1] == describe(CaptionNoise(p_mention=((math.inf, 0.3),)), span)


def test_knobs_by_length_attributes_inventions_and_words():
    by_length = CaptionNoise(p_mention=((20.0, 1.0), (math.inf, 0.0)))
    assert "a " in describe(by_length, Span(10.0, 25.0))
    assert "a " not in describe(by_length, Span(0.0, 300.0))
    dropped = describe(CaptionNoise(drop_rate=1.0), Span(0.0, 300.0))
    assert not {"red", "large", "striped"} & set(dropped.split())
    assert len(describe(CaptionNoise(false_rate=1.0), Span(10.0, 15.0)).split(". ")) > len(
        describe(CaptionNoise(), Span(10.0, 15.0)).split(". ")
    )
    assert len(describe(CaptionNoise(), Span(0.0, 300.0)).split()) > 40
    assert len(describe(CaptionNoise(most_words=40), Span(0.0, 300.0)).split()) <= 40
    with pytest.raises(UsageError, match="from 0 to 1"):
        CaptionNoise(drop_rate=1.5)


@pytest.mark.parametrize("item", MADE.items, ids=lambda item: item.kind + item.id[-2:])
def test_a_look_answers_only_where_its_frames_show_the_evidence(item):
    if item.kind in ("global", "absent"):
        return
    model = make_oracle(MADE.world)
    plain, _ = split_word_clause(item.question)
    inside = sorted(t for s in item.gold_spans for t in plan.uniform(s, 8).times_s)
    assert read_answer(ask(model, plain, inside), item.options).choice == item.answer
    assert read_answer(ask(model, item.question, inside), item.options).choice == item.answer
    first = item.gold_spans[0].start_s
    beside = ask(model, plain, [first - 0.5, first - 0.3])
    assert beside.startswith("there is no") or beside == "0."


def test_usage_is_counted():
    model = make_oracle(MADE.world)
    ask(model, "Is there a star?", [1.0, 2.0, 3.0])
    ask(model, "Where is the star?", [1.0])
    assert (model.calls, model.frames) == (2, 4)
    assert model.tokens_in == 4 * 46 + 8 and model.tokens_out > 0


def test_the_ledger_equals_what_the_model_counted(tmp_path):
    path = MADE.save(tmp_path)
    for item in MADE.items[:3]:
        model = make_oracle(MADE.world)
        answer = Reasoner(model).ask(path, item.question, options=item.options)
        assert answer.cost.frames == model.frames and answer.cost.model_calls == model.calls
        assert answer.cost.tokens_in == model.tokens_in
        assert answer.cost.tokens_out == model.tokens_out


def test_different_worlds_and_knobs_are_different_models():
    other = needle_set(4, 900.0, 10).world
    prints = {m.fingerprint for m in (make_oracle(MADE.world), make_oracle(other))}
    prints.add(make_oracle(MADE.world, CaptionNoise(seed=1)).fingerprint)
    assert len(prints) == 3


def test_the_stretch_that_frames_stand_for():
    assert span_of_frames(np.array([1.0, 3.0, 5.0])) == Span(0.0, 6.0)
    assert span_of_frames(np.array([7.0])) == Span(7.0, 7.001)


@pytest.mark.parametrize(
    "name", ["3m", "15m", "1h", *(pytest.param(n, marks=pytest.mark.full) for n in ("3h", "10h"))]
)
def test_perfect_captions_lead_the_greedy_policy_to_the_gold_within_three_rounds(name, tmp_path):
    """One place, unique in the whole video: with all captions true there is no wrong turn."""
    made = needle_set(1, DURATIONS_S[name], 8)
    path = made.save(tmp_path)
    with Video.open(path) as video:
        for item in made.items:
            if item.places == 1 and item.context is None and item.kind != "global":
                model = make_oracle(made.world)
                answer = Reasoner(model).ask(video, item.question, options=item.options)
                hit = hit_round(outcome_of(item, "greedy", answer))
                assert hit is not None and hit <= 3, item.question
