"""The right answer of a row, from a text and options to a `Truth`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from mmreason.training.data.dialects.row_errors import BadRow, describe
from mmreason.training.data.problem_file import LETTERS
from mmreason.training.rewards import Truth

_ANSWER_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_LETTERED = re.compile(r"^\s*\(?([A-Z])[.):]\s*(\S.*)$", re.DOTALL)
_LETTER = re.compile(r"^\(?([A-Za-z])[.):]{0,2}$")
_NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$")
_LEAST_OPTIONS = 2


def read_truth(question: str, answer: Any, options: Sequence[Any] | None = None) -> Truth:
    """What an answer says, a text, a number or a list of texts that are all right.

    A letter, alone or before its option's text, and the very text of an option are a choice; so is
    a letter of options that stand in the question itself, each in a line of its own. A text that is
    a number is one as well. Raises BadRow where the answer is none of the row's options.

    Example:
        >>> truth = read_truth("Which one?", "<answer>B</answer>", ["A. red", "B. blue"])
        >>> truth.options, truth.choice
        (('red', 'blue'), 1)
    """
    texts = _read_options(options)
    if texts and type(answer) is int and str(answer) not in texts:
        # A whole number, where options are, is the place of one: so are classes of `datasets`.
        if not 0 <= answer < len(texts):
            raise BadRow(f"the answer {answer} is no place, from 0, of {len(texts)} options")
        return Truth(question=question, options=texts, choice=answer)
    answers = [strip_tags(str(value)) for value in _as_list(answer)]
    answers = list(dict.fromkeys(text for text in answers if text))
    if answer is not None and not answers:
        raise BadRow("the answer is empty")
    lettered = texts or options_in(question)
    if lettered and len(answers) == 1:
        choice = find_choice(answers[0], lettered)
        if choice is not None:
            return Truth(question=question, options=lettered, choice=choice)
        if texts:
            raise BadRow(
                f"the answer {answers[0][:40]!r} is none of the {len(texts)} options; expected a "
                "letter, or the text of one"
            )
    return Truth(
        question=question,
        options=texts,
        answer=answers[0] if answers else None,
        answers=tuple(answers) if len(answers) > 1 else (),
        number=_number_of(answers[0]) if len(answers) == 1 else None,
    )


def strip_tags(text: str) -> str:
    """What stands between the last `<answer>` and `</answer>`; all of it without them."""
    tagged = _ANSWER_TAG.findall(text)
    return (tagged[-1] if tagged else text).strip()


def strip_letters(options: Sequence[str]) -> tuple[str, ...]:
    """Options without their letters, where all have one and they are in order.

    Example:
        >>> strip_letters(["A. red", "B. blue"]), strip_letters(["A. Lincoln", "G. Washington"])
        (('red', 'blue'), ('A. Lincoln', 'G. Washington'))
    """
    matches = [_LETTERED.match(option) for option in options]
    letters = "".join(match[1] for match in matches if match)
    if letters != LETTERS[: len(options)]:
        return tuple(option.strip() for option in options)
    return tuple(match[2].strip() for match in matches if match)


def options_in(question: str) -> tuple[str, ...]:
    """Options that stand in a question, each in a line behind its letter; `()` where there are
    none."""
    options: list[str] = []
    for line in question.splitlines():
        match = _LETTERED.match(line)
        if match and match[1] == LETTERS[len(options) : len(options) + 1]:
            options.append(match[2].strip())
    return tuple(options) if len(options) >= _LEAST_OPTIONS else ()


def find_choice(answer: str, options: Sequence[str]) -> int | None:
    """Which option an answer names: by its letter, by letter and text, or by its text."""
    by_text = [i for i, option in enumerate(options) if option.casefold() == answer.casefold()]
    if len(by_text) == 1:
        return by_text[0]
    if match := _LETTER.match(answer):
        index = LETTERS.find(match[1].upper())
        return index if index < len(options) else None
    if match := _LETTERED.match(answer):
        index = LETTERS.find(match[1])
        text = match[2].strip().casefold()
        # "A. red" is only the first option where that is red.
        return index if index < len(options) and text == options[index].casefold() else None
    return None


def _read_options(options: Sequence[Any] | None) -> tuple[str, ...]:
    if not options:
        return ()
    if not all(isinstance(option, str) and option.strip() for option in options):
        raise BadRow("'options' must be a list of texts that are not blank")
    if len(options) > len(LETTERS):
        raise BadRow(f"'options' has {len(options)} entries, expected at most {len(LETTERS)}")
    return strip_letters(list(options))


def _as_list(answer: Any) -> list[Any]:
    if answer is None:
        return []
    values = answer if isinstance(answer, list) else [answer]
    if any(isinstance(value, bool) or not isinstance(value, str | int | float) for value in values):
        raise BadRow(
            f"an answer must be a text, a number or a list of them, found {describe(answer)}"
        )
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        raise BadRow(f"an answer must be a finite number, found {values}")
    return values


def _number_of(text: str) -> float | None:
    return float(text) if _NUMBER.match(text) and len(text) <= 40 else None
