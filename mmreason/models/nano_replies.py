"""Which replies nano was taught to give: anything else it writes is no answer.

Leaves out whether a reply is true, and the questions (`nano_questions.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import get_args

from mmreason.models.nano_questions import ReplyKind
from mmreason.video.world.script import Colour, Pattern, Shape, Size
from mmreason.video.world.truth import MOTION_PHRASE

OUTSIDE = "this is outside my world."
"""How nano declines."""


def _any(alternatives: Sequence[str]) -> str:
    return "|".join(alternatives)


_SHAPE, _COLOUR = _any(get_args(Shape)), _any(get_args(Colour))
_SIZE, _PATTERN = _any(get_args(Size)), _any(get_args(Pattern))
_NAME = rf"(?:(?:{_SIZE}) )?(?:(?:{_COLOUR}) )?(?:(?:{_PATTERN}) )?(?:{_SHAPE})"
_THING = rf"an? {_NAME}"
_WORD = r"[A-Z][A-Z0-9' -]{0,39}"
_SHOWN_WORD = rf"the word {_WORD} is on the screen\."
_MOVES = _any([phrase.format(side="(?:left|right)") for phrase in MOTION_PHRASE.values()])
_DOES = (
    rf"(?:{_MOVES}|(?:touches|passes in front of) the (?:{_COLOUR}) (?:{_SHAPE})"
    rf"|turns (?:{_COLOUR})|appears|disappears|is there)"
)
_SENTENCE = rf"(?:{_THING} {_DOES}(?: and {_DOES})*\.|nothing is there\.|{_SHOWN_WORD})"
_SEEN = rf"(?:{_THING}|the word {_WORD})"
_SCENE = rf"(?:{_SEEN}(?: and {_SEEN})*|nothing)"
_CAPTION = (
    rf"{_SENTENCE}(?: {_SENTENCE})*"
    rf"|{_SCENE}(?: then {_SCENE})*\.(?: {_SHOWN_WORD})?"
    rf"|\d+ scenes with {_THING}(?:, {_THING})*\."
)
_DECLINE = rf"there is no (?:{_NAME}|(?:{_COLOUR}) object)"
_ANSWERS: dict[ReplyKind, str] = {
    "colour": _COLOUR,
    "shape": _SHAPE,
    "pattern": _PATTERN,
    "size": _SIZE,
    "count": r"\d{1,2}",
    "motion": rf"it (?:{_MOVES})",
    "thing": rf"(?:the (?:{_NAME}|(?:{_COLOUR}) object)|{_THING})",
    "word": _WORD,
    "place": r"on the left|in the middle|on the right",
    "yes_no": r"yes|no",
}


def is_decline(text: str) -> bool:
    """Whether nano says that the picture is outside its world."""
    return _bare(text) == _bare(OUTSIDE)


def is_answer(text: str, kind: ReplyKind, choices: Sequence[str] = ()) -> bool:
    """Whether `text` is a reply that nano was taught to a question of this kind: an answer that
    names one of the `choices` where there are some, that there is no such thing, or a decline.

    `is_answer("pink", "colour")` holds, `is_answer("pink", "count")` does not.
    """
    bare = _bare(text)
    if is_decline(text) or re.fullmatch(_DECLINE, bare):
        return True
    if choices:
        return bare in {f"the {choice}" for choice in choices}
    return re.fullmatch(_ANSWERS[kind], bare) is not None


def is_caption(text: str) -> bool:
    """Whether `text` is a description as nano was taught them, or a decline."""
    return is_decline(text) or re.fullmatch(_CAPTION, text) is not None


def whole_sentences(text: str) -> str:
    """A description without what stands behind its last full stop: the limit on tokens cuts long
    ones. As it is where it has none."""
    return text[: text.rfind(".") + 1] or text


def is_box_list(text: str) -> bool:
    """Whether `text` looks like the list of boxes that nano was taught, or is a decline. What the
    numbers say is read by `mmreason.grounding.parse_boxes`."""
    return is_decline(text) or re.fullmatch(r"```json\s*\[.*\]\s*```", text, re.DOTALL) is not None


def _bare(text: str) -> str:
    return text.strip().rstrip(".")
