"""One reply against what is known to be true: strictly, and as rewards and the agent read it.

Strict is right where the reply is the right answer in the form asked, and no word more. Lenient is
right where the one reader of the toolkit finds the right answer in it. What lies between the two is
a matter of form, and what both deny is wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mmreason.evaluation.public.strict_rules import letter_alone
from mmreason.grounding import iou
from mmreason.grounding.spans import tiou
from mmreason.language.answer_reading import AnswerKind, AnswerReading, read_answer
from mmreason.language.numbers import numbers_as_digits
from mmreason.language.text import split_words
from mmreason.language.thoughts import split_thought
from mmreason.training.data.question_text import ground_truth
from mmreason.training.rewards import Trajectory, Truth, box_f1, from_turns, tube_viou
from mmreason.training.tasks.videos import RIGHT_OVERLAP, is_right
from mmreason.video.json_input import JsonInputError, parse_json

_TIME_WORDS = frozenset(("to", "and", "s", "sec", "secs", "second", "seconds", "from"))
_MOST_READ_BYTES = 200_000
"""Of a reply that is taken for JSON."""


class TruthKind(StrEnum):
    """What a row asks for, by what is known of its answer."""

    CHOICE = "choice"
    NUMBER = "number"
    TEXT = "text"
    TUBE = "tube"
    SPANS = "spans"
    BOXES = "boxes"
    UNKNOWN = "unknown"
    """No answer is known: the row is asked and not scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyScore:
    """What a reply is worth.

    Example:
        >>> truth = Truth(options=("red", "blue"), choice=1)
        >>> score = score_reply("I think it is B.", truth)
        >>> score.strict, score.lenient, score.picked
        (False, True, 1)
    """

    strict: bool | None
    """None where no answer is known; so is `lenient`."""
    lenient: bool | None
    overlap: float | None = None
    """0..1. Of spans temporal IoU, of one box IoU, of several soft F1 and of a tube vIoU, each of
    these two less what naming the whole frame would score; None for other kinds."""
    answer: str = ""
    """What the reply says, without thought and lead; of a choice the letter."""
    picked: int | None = None
    """Which option was picked, from 0."""
    format_failed: bool = False
    """Whether nothing of the kind asked for can be read in it."""
    refused: bool = False
    """Whether it says that there is no answer, or that it cannot be told."""


def kind_of_truth(truth: Truth) -> TruthKind:
    """What is asked for.

    Example:
        >>> kind_of_truth(Truth(answer="a red kettle")).value
        'text'
    """
    if truth.choice is not None:
        return TruthKind.CHOICE
    if truth.number is not None:
        return TruthKind.NUMBER
    if any(split_words(answer) for answer in right_answers(truth)):
        return TruthKind.TEXT
    if truth.tube is not None:
        return TruthKind.TUBE
    if truth.spans is not None:
        return TruthKind.SPANS
    return TruthKind.BOXES if truth.boxes is not None else TruthKind.UNKNOWN


def right_answers(truth: Truth) -> tuple[str, ...]:
    """All texts that are right."""
    return truth.answers or (() if truth.answer is None else (truth.answer,))


def right_texts(truth: Truth) -> tuple[str, ...]:
    """What a right answer says, as it would stand in a text: of a choice the option's words; `()`
    of spans and boxes."""
    if truth.choice is not None:
        return (truth.options[truth.choice],)
    if truth.number is not None:
        return (f"{truth.number:.15g}",)
    return right_answers(truth)


def truth_text(truth: Truth) -> str:
    """The right answer for people: of a choice letter and option, of several all."""
    text = ground_truth(truth)
    if truth.choice is not None:
        return f"{text}. {truth.options[truth.choice]}"
    if kind_of_truth(truth) is TruthKind.TUBE and truth.tube is not None:
        return f"a tube of {len(truth.tube)} boxes"
    return " / ".join(truth.answers) if truth.number is None and truth.answers else text


def score_reply(reply: str, truth: Truth, *, target: str = "") -> ReplyScore:
    """Score what a model wrote. `target` is the answer as the row writes it, which is the form
    asked; without one the forms of docs/own_evaluation.md are.

    Example:
        >>> score_reply("", Truth(answer="red")).lenient
        False
    """
    trajectory = from_turns([reply], frame=truth.frame)
    kind = kind_of_truth(truth)
    reading = read_answer(trajectory.answer, truth.options, truth.question)
    overlap = _overlap(trajectory, truth, kind)
    lenient = _is_lenient_right(trajectory, truth, kind, overlap)
    if lenient is None:
        return ReplyScore(strict=None, lenient=None, answer=reading.said)
    refused = not lenient and _is_refusal(reading, trajectory, kind)
    picked = reading.choice if kind is TruthKind.CHOICE else None
    return ReplyScore(
        strict=_is_strict_right(split_thought(reply)[1], truth, kind, target, lenient),
        lenient=lenient,
        overlap=overlap,
        answer=reading.said if picked is None else chr(ord("A") + picked),
        picked=picked,
        format_failed=not refused and not _is_readable(reading, trajectory, truth, kind),
        refused=refused,
    )


def _is_lenient_right(
    trajectory: Trajectory, truth: Truth, kind: TruthKind, overlap: float | None
) -> bool | None:
    if kind is TruthKind.UNKNOWN:
        return None
    if kind is TruthKind.TUBE:
        return None if overlap is None else overlap >= RIGHT_OVERLAP
    # Of several right answers each one does.
    variants = [truth]
    if kind is TruthKind.TEXT:
        variants = [replace(truth, answer=a, answers=()) for a in right_answers(truth)]
    values = [is_right(trajectory, variant) for variant in variants]
    known = [value for value in values if value is not None]
    return max(known) >= 1 if known else None


def _is_strict_right(reply: str, truth: Truth, kind: TruthKind, target: str, lenient: bool) -> bool:
    # Tags stay: they are right where the row's own answer has them.
    text = _exact(reply)
    if text and target and text == _exact(target):
        return True
    if kind is TruthKind.CHOICE:
        assert truth.choice is not None
        is_letter = letter_alone(text, len(truth.options)) == truth.choice
        return is_letter or text == _exact(truth.options[truth.choice])
    if kind is TruthKind.NUMBER:
        return _as_number(text) == truth.number
    if kind is TruthKind.TEXT:
        return bool(text) and text in map(_exact, right_answers(truth))
    if kind is TruthKind.SPANS:
        return lenient and set(_letter_words(text)) <= _TIME_WORDS
    return lenient and _is_json(text)


def _overlap(trajectory: Trajectory, truth: Truth, kind: TruthKind) -> float | None:
    if kind is TruthKind.SPANS and truth.spans is not None:
        if not truth.spans:
            return float(trajectory.spans == ())
        return tiou(trajectory.spans or (), truth.spans)
    if kind is TruthKind.TUBE:
        return tube_viou(trajectory, truth)
    if kind is TruthKind.BOXES and truth.boxes is not None:
        if len(truth.boxes) != 1:
            return box_f1(trajectory, truth)
        # Of several boxes for one thing the worst counts, or guesses would be free.
        return min((iou(box, truth.boxes[0]) for box in trajectory.boxes or ()), default=0.0)
    return None


def _is_readable(
    reading: AnswerReading, trajectory: Trajectory, truth: Truth, kind: TruthKind
) -> bool:
    if kind is TruthKind.CHOICE:
        return reading.choice is not None
    if kind is TruthKind.NUMBER:
        return any(character.isdigit() for character in numbers_as_digits(reading.said))
    if kind is TruthKind.SPANS:
        return trajectory.spans is not None
    if kind is TruthKind.TUBE:
        return trajectory.tube is not None
    if kind is TruthKind.BOXES:
        return trajectory.boxes is not None
    return reading.kind is not AnswerKind.UNREADABLE


def _is_refusal(reading: AnswerReading, trajectory: Trajectory, kind: TruthKind) -> bool:
    located = {
        TruthKind.SPANS: trajectory.spans,
        TruthKind.TUBE: trajectory.tube,
        TruthKind.BOXES: trajectory.boxes,
    }
    return located[kind] == () if kind in located else reading.kind is AnswerKind.ABSENT


def _exact(text: str) -> str:
    """The same letters are the same text, however they are composed."""
    return unicodedata.normalize("NFC", text).strip()


def _as_number(text: str) -> float | None:
    if not re.fullmatch(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.\d{1,15})?", text):
        return None
    return float(text.replace(",", ""))


def _letter_words(text: str) -> Sequence[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def _is_json(text: str) -> bool:
    try:
        return isinstance(parse_json(text, most_bytes=_MOST_READ_BYTES), dict | list)
    except JsonInputError:
        return False
