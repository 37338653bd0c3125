"""Which referring expressions nano-grounding was taught, and in which words.

Things are told apart by size, colour, pattern and shape, also by what they are not, and in clips by
where they move and who is first or last to. Others (places, landmarks, counts) are refused.
"""

from __future__ import annotations

import re

from mmreason.models.nano_questions import NotTaught

MOST_CHARACTERS = 200


def _any(*words: str) -> str:
    return f"(?:{'|'.join(words)})"


_SIZE = _any("small", "little", "large", "big")
_COLOUR = _any(
    "red", "orange", "yellow", "green", "cyan", "blue", "purple", "violet", "pink", "white"
)  # fmt: skip
_PATTERN = _any("plain", "unpatterned", "striped", "stripy", "dotted", "spotted")
_SHAPE = _any("circle", "disc", "square", "triangle", "star", "cross", "ring", "hoop")
_NOUN = _any(_SHAPE, "thing", "object")
_NOUNS = rf"(?:{_NOUN}s|crosses)"
_ADJECTIVES = rf"(?:{_SIZE} )?(?:{_COLOUR} )?(?:{_PATTERN} )?"
_VALUE = rf"(?:(?:an? )?{_SHAPE}|{_SIZE}|{_COLOUR}|{_PATTERN}|{_SHAPE}s|crosses)"
_LOOKS = rf"(?:is|are) (?:{_VALUE} (?:rather than|and not) {_VALUE}|(?:not )?{_VALUE})"
_WAY = _any("left", "right", "up", "down")
_MOVES = rf"(?:(?:moves?|travels?)|do(?:es)? not (?:move|travel)) {_WAY}"


def _that(*predicates: str) -> str:
    return rf"that {_any(*predicates)}(?: and that {_any(*predicates)})*"


def _forms(*predicates: str) -> tuple[str, ...]:
    """What may be said of one thing, and of one of a group."""
    that = _that(*predicates)
    group = rf"(?:of|among) (?:all )?the {_ADJECTIVES}{_NOUNS}"
    return (
        rf"the {_ADJECTIVES}{_NOUN}(?: {that})?",
        rf"{group}, the {_ADJECTIVES}one(?: {that})?",
    )


_STILL_FORMS = _forms(_LOOKS)
_GROUP = rf"(?:of|among) (?:all )?the {_ADJECTIVES}{_NOUNS}(?: {_that(_LOOKS, _MOVES)})?"
_TURN = _any("first", "last")
_CLIP_FORMS = (
    *_forms(_LOOKS, _MOVES),
    rf"{_GROUP}, the (?:one that was {_TURN}|{_TURN} one) to (?:move|travel) {_WAY}",
)
_OF_WORLDS = frozenset(
    re.findall(r"[a-z]+", " ".join((_ADJECTIVES, _NOUN, _LOOKS, _MOVES, _GROUP, _TURN)))
) | {"crosses", "one", "was", "to"}


def understand_referring(expression: str, *, moving: bool) -> str | NotTaught:
    """The expression in the taught words, with its article; or why it cannot be asked. `moving`
    where a clip is shown: a single frame shows no motion.

    Example:
        >>> understand_referring("Red star that moves left", moving=True)
        'the red star that moves left'
        >>> understand_referring("the red star that moves left", moving=False).reason
        'a single frame does not show how things move'
    """
    if len(expression) > MOST_CHARACTERS:
        return NotTaught(f"it reads expressions of up to {MOST_CHARACTERS} characters")
    plain = re.sub(r"\s+", " ", expression.lower()).strip(" .?!")
    plain = re.sub(r"^(?:the |an? )(?=of |among )", "", plain)
    if not plain.startswith(("of ", "among ")):
        plain = "the " + re.sub(r"^(?:the|an?) ", "", plain)
    forms = _CLIP_FORMS if moving else _STILL_FORMS
    if any(re.fullmatch(form, plain) for form in forms):
        return plain
    if any(re.fullmatch(form, plain) for form in _CLIP_FORMS):
        return NotTaught("a single frame does not show how things move")
    unknown = [word for word in re.findall(r"[^\W\d_]+|\d+", plain) if word not in _OF_WORLDS]
    if unknown:
        named = ", ".join(repr(word) for word in dict.fromkeys(unknown[:5]))
        return NotTaught(f"it does not know the word{'s'[: len(unknown) > 1]} {named}")
    return NotTaught(
        "it finds things by size, colour, pattern, shape and motion, said as in its training"
    )
