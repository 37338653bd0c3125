"""What a reply is worth, for each kind of truth."""

from __future__ import annotations

import unicodedata

import pytest

from mmreason.grounding import Box
from mmreason.training.data.sample import SampleMessage
from mmreason.training.evaluation.conditions import NotApplicable, rotate_options
from mmreason.training.evaluation.scoring import (
    TruthKind,
    kind_of_truth,
    right_texts,
    score_reply,
    truth_text,
)
from mmreason.training.rewards import Frame, Mark, Truth
from mmreason.video.types import Span

CHOICE = Truth(question="Which colour?", options=("red", "blue"), choice=1)
NUMBER = Truth(question="How many?", number=3.0)
TEXT = Truth(question="What is it?", answer="a red kettle", answers=("a red kettle", "a teapot"))
SPANS = Truth(question="When?", spans=(Span(10, 20),))
FRAME = Frame(size_px=(100, 100))
BOX = Truth(question="Where?", boxes=(Box(0, 0, 50, 50),), frame=FRAME)
TUBE = Truth(
    question="Where?",
    tube=(Mark(0.0, Box(0, 0, 50, 50)), Mark(1.0, Box(10, 0, 60, 50))),
    tube_times_s=(0.0, 1.0),
    frame=FRAME,
)
TUBE_JSON = '{"boxes": {"0.0": [0, 0, 500, 500], "1.0": [100, 0, 600, 500]}}'


@pytest.mark.parametrize(
    ("truth", "reply", "target", "strict", "lenient"),
    [
        (CHOICE, "B", "", True, True),
        (CHOICE, "(B).", "", True, True),
        (CHOICE, "blue", "", True, True),
        (CHOICE, "B. blue", "", False, True),
        (CHOICE, "B. blue", "B. blue", True, True),
        (CHOICE, "The answer is B", "", False, True),
        (CHOICE, "<think>A or B?</think>B", "", True, True),
        (CHOICE, "<answer>B</answer>", "", False, True),
        (CHOICE, "<answer>B</answer>", "<answer>B</answer>", True, True),
        (CHOICE, "A", "", False, False),
        (CHOICE, "red or blue", "", False, False),
        (CHOICE, "", "", False, False),
        (NUMBER, "3", "", True, True),
        (NUMBER, "3.0", "", True, True),
        (NUMBER, "three", "", False, True),
        (NUMBER, "There are 3.", "", False, True),
        (NUMBER, "13", "", False, False),
        (TEXT, "a teapot", "", True, True),
        (TEXT, "It is a red kettle.", "", False, True),
        (TEXT, "a pan", "", False, False),
        (TEXT, "", "", False, False),
        (SPANS, "10 to 20 s", "", True, True),
        (SPANS, "[[10, 20]]", "", True, True),
        (SPANS, "It happens from 11 to 20 seconds.", "", False, True),
        (SPANS, "30 to 40", "", False, False),
        (BOX, "[0, 0, 500, 500]", "", True, True),
        (BOX, "It is at [0, 0, 500, 500].", "", False, True),
        (BOX, "[0, 0, 500, 500] [600, 600, 900, 900]", "", False, False),
        (TUBE, TUBE_JSON, "", True, True),
        (TUBE, '{"boxes": {"0.0": [800, 800, 900, 900]}}', "", False, False),
    ],
)
def test_a_reply_is_right_strictly_and_leniently(
    truth: Truth, reply: str, target: str, strict: bool, lenient: bool
) -> None:
    score = score_reply(reply, truth, target=target)
    assert (score.strict, score.lenient) == (strict, lenient)


@pytest.mark.parametrize(
    ("truth", "reply"),
    [
        (Truth(question="\u4ec0\u4e48\u989c\u8272?", answer="\u7ea2\u8272"), "\u7ea2\u8272\u3002"),
        (Truth(question="?", answer="caf\u00e9"), unicodedata.normalize("NFD", "caf\u00e9")),
        (Truth(question="\u041a\u0442\u043e?", answer="\u043a\u043e\u0442"), "\u041a\u043e\u0442."),
        (Truth(question="?", number=3.0), "\u0663"),
        (
            Truth(options=("\u0932\u093e\u0932", "\u0928\u0940\u0932\u093e"), choice=0),
            "\u0932\u093e\u0932",
        ),
    ],
)
def test_answers_in_other_scripts_are_read(truth: Truth, reply: str) -> None:
    assert score_reply(reply, truth).lenient


@pytest.mark.parametrize(
    ("truth", "reply", "refused", "failed"),
    [
        (CHOICE, "I cannot tell from the video.", True, False),
        (CHOICE, "purple", False, True),
        (CHOICE, "", False, True),
        (NUMBER, "several", False, True),
        (NUMBER, "Not shown.", True, False),
        (TEXT, "!!", False, True),
        (TEXT, "a pan", False, False),
        (SPANS, "in the beginning", False, True),
        (SPANS, "It is not in the video.", True, False),
        (BOX, "top left", False, True),
        (CHOICE, "B", False, False),
    ],
)
def test_refusals_and_failures_of_form_are_told_apart(
    truth: Truth, reply: str, refused: bool, failed: bool
) -> None:
    score = score_reply(reply, truth)
    assert (score.refused, score.format_failed) == (refused, failed)


def test_overlap_is_that_of_the_kind() -> None:
    assert score_reply("15 to 20", SPANS).overlap == 0.5
    assert score_reply("[0, 0, 500, 250]", BOX).overlap == pytest.approx(0.5)
    assert score_reply(TUBE_JSON, TUBE).overlap == pytest.approx(1)
    assert score_reply("B", CHOICE).overlap is None


def test_an_answer_that_there_is_none_is_right_where_there_is_none() -> None:
    absent = Truth(question="When?", spans=())
    score = score_reply("It is not in the video.", absent)
    assert (score.lenient, score.refused, score.overlap) == (True, False, 1.0)


def test_kinds_and_texts_of_truths() -> None:
    truths = (CHOICE, NUMBER, TEXT, TUBE, SPANS, BOX, Truth())
    assert [kind_of_truth(truth) for truth in truths] == list(TruthKind)
    assert kind_of_truth(Truth(answer="")) is TruthKind.UNKNOWN
    assert (truth_text(CHOICE), truth_text(TEXT)) == ("B. blue", "a red kettle / a teapot")
    assert [right_texts(t) for t in (CHOICE, NUMBER, SPANS)] == [("blue",), ("3",), ()]


@pytest.mark.parametrize("by", range(3))
@pytest.mark.parametrize("mark", [". ", ") ", ": "])
def test_rotations_move_every_option_and_the_right_one_with_them(by: int, mark: str) -> None:
    options = ("red", "blue", "blue sky")
    text = "Which?\n" + "\n".join(f"({'ABC'[i]}{mark}{o}" for i, o in enumerate(options))
    truth = Truth(question=text, options=options, choice=2)
    messages = (SampleMessage(role="user", parts=(text,)),)
    rotated = rotate_options(messages, truth, by)
    assert not isinstance(rotated, NotApplicable)
    new_messages, new_truth = rotated
    assert new_truth.options[new_truth.choice or 0] == "blue sky"
    assert new_messages[0].text == new_truth.question
    lines = [line.split(mark, 1)[1] for line in new_messages[0].text.splitlines()[1:]]
    assert tuple(lines) == new_truth.options == options[by:] + options[:by]


@pytest.mark.parametrize("text", ["Which? (A) red (B) blue", "Which?\nA. red", "Which?"])
def test_options_that_do_not_stand_in_lines_are_not_rotated(text: str) -> None:
    messages = (SampleMessage(role="user", parts=(text,)),)
    assert isinstance(rotate_options(messages, CHOICE, 1), NotApplicable)
