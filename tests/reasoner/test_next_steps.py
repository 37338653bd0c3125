"""What a question without an answer says to do next: only what is true of it."""

from __future__ import annotations

import pytest

from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.policies import LongVideoR1
from mmreason.reasoner import Reasoner
from mmreason.types import Answer, Budget, StopReason

QUESTION = "What colour is the square?"


def declines(lineage: str, text: str = "this is outside my world.") -> ScriptedModel:
    clip = ClipRecipe(frames=4, size_px=(64, 32), leaf_s=4.0, reads_transcript=False)
    return ScriptedModel(lambda asked, frames: text, clip=clip, name="model x", lineage=lineage)


def told(answer: Answer) -> str:
    assert not answer.answered and (answer.text, answer.evidence) == ("", ())
    return " | ".join(answer.next_steps)


def test_nano_outside_its_world_names_another_model_and_subtitles(video):
    steps = told(Reasoner(declines("nano")).ask(video, QUESTION))
    assert "--model NAME" in steps and "--subtitles FILE" in steps
    assert "Allow more" not in steps and "outside my world" not in steps


def test_another_model_that_does_not_know_is_named(video):
    steps = told(Reasoner(declines("qwen")).ask(video, QUESTION))
    assert "model x does not know footage of this kind" in steps and "nano" not in steps


def test_what_is_absent_says_nothing_of_models(video, model):
    answer = Reasoner(model).ask(video, QUESTION, options=("red", "blue"))
    steps = told(answer)
    assert "captions in the trace" in steps and "without options" in steps
    assert "--model" not in steps


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(frames=0), "more than 0 frames: --budget-frames"),
        (Budget(rounds=0), "more than 0 rounds: --budget-rounds"),
        (Budget(tokens=0), "more than 0 tokens: --budget-tokens"),
        (Budget(seconds=0), "more than 0 seconds: --budget-seconds"),
    ],
)
def test_a_limit_that_ended_it_is_named(video, model, budget, words):
    assert words in told(Reasoner(model).ask(video, QUESTION, budget=budget))


def test_a_model_that_cannot_decide_is_named(video, model, thinker):
    reasoner = Reasoner(thinker(["what?"]), observer=model, policy=LongVideoR1())
    answer = reasoner.ask(video, QUESTION)
    assert answer.stop_reason is StopReason.INVALID_OUTPUT
    assert "thinker was not trained to decide where to look" in told(answer)


def test_a_model_that_failed_is_named_with_its_reason(video, model, thinker):
    def fails(text: str) -> str:
        raise RuntimeError("HTTP 503")

    reasoner = Reasoner(thinker(fails), observer=model, policy=LongVideoR1())
    answer = reasoner.ask(video, QUESTION)
    assert answer.stop_reason is StopReason.MODEL_FAILED
    assert "thinker: HTTP 503" in told(answer)


def test_an_answer_has_no_next_steps(video, model):
    assert Reasoner(model).ask(video, "How does the red star move?").next_steps == ()
