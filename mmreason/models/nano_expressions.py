"""Which referring expressions nano-grounding was taught, brought into the words of its training.

Things are told apart by size, colour, pattern and shape, also by what they are not, and in clips by
where they move and who is first or last to. Others (places, landmarks, counts) are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from mmreason.models.nano_questions import NotTaught
from mmreason.video.world.script import Colour, Pattern, Shape, Size

MOST_CHARACTERS = 200
_KINDS: dict[str, tuple[str, ...]] = {
    "size": get_args(Size),
    "colour": get_args(Colour),
    "pattern": get_args(Pattern),
    "shape": get_args(Shape),
}
"""In the order of speech."""
_KIND_OF = {value: kind for kind, values in _KINDS.items() for value in values}
_SAID_AS = {
    "big": "large",
    "little": "small",
    "stripy": "striped",
    "spotted": "dotted",
    "unpatterned": "plain",
    "disc": "circle",
    "hoop": "ring",
    "violet": "purple",
    "thing": "object",
    "travel": "move",
    "travels": "moves",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Referring:
    """An expression taken apart, and its text in nano's words.

    Example:
        >>> Referring(looks={"shape": "star"}, nots=("red",), way="left", turn="last").text
        'star that is not red that is last to move left'
    """

    looks: Mapping[str, str]
    """Value by kind: size, colour, pattern, shape."""
    nots: tuple[str, ...] = ()
    """Values that it does not have."""
    way: str = ""
    """Where it moves: left, right, up, down; empty where nothing is said of that."""
    turn: str = ""
    """first or last to move that way; empty where it is the only one."""

    @property
    def text(self) -> str:
        """As in training: a name as nano knows it, then clauses."""
        words = [self.looks[kind] for kind in _KINDS if kind in self.looks]
        if "shape" not in self.looks:
            words.append("object")
        for value in self.nots:
            words.append(f"that is not {'a ' if _KIND_OF[value] == 'shape' else ''}{value}")
        if self.way:
            moves = f"that is {self.turn} to move" if self.turn else "that moves"
            words.append(f"{moves} {self.way}")
        return " ".join(words)


def _any(*words: str) -> str:
    return f"(?:{'|'.join(words)})"


_SIZE, _COLOUR, _PATTERN, _SHAPE = (_any(*values) for values in _KINDS.values())
_NOUN = _any(_SHAPE, "object")
_ADJECTIVES = rf"(?:{_SIZE} )?(?:{_COLOUR} )?(?:{_PATTERN} )?"
_ONE_VALUE = rf"(?:an? )?{_any(_SIZE, _COLOUR, _PATTERN, _SHAPE)}"
_CONTRAST = rf"(?P<value>{_ONE_VALUE}) (?:rather than|and not) {_ONE_VALUE}"
_LOOKS = rf"(?:is|are) (?:not )?{_ONE_VALUE}"
_WAY = _any("left", "right", "up", "down")
_MOVES = rf"moves? {_WAY}"
_TURN = _any("first", "last")
_GROUP = rf"(?:of|among) (?:all )?the {_ADJECTIVES}{_NOUN}"


def _forms(*predicates: str) -> tuple[str, ...]:
    """What may be said of one thing, and of one of a group, once synonyms and plurals are gone."""
    predicate = _any(*predicates)
    that = rf"that {predicate}(?: and that {predicate})*"
    return (
        rf"the {_ADJECTIVES}{_NOUN}(?: {that})?",
        rf"{_GROUP}, the {_ADJECTIVES}one(?: {that})?",
        # As this module writes it itself.
        rf"the {_ADJECTIVES}{_NOUN}(?: that {predicate})+",
    )


_STILL_FORMS = _forms(_LOOKS)
_CLIP_FORMS = (
    *_forms(_LOOKS, _MOVES, rf"is {_TURN} to move {_WAY}"),
    rf"{_GROUP}(?: that {_LOOKS}(?: and that {_LOOKS})*)?, "
    rf"the (?:one that was {_TURN}|{_TURN} one) to move {_WAY}",
)
_GRAMMAR = """object left right up down first last of among all the a an one that is are was and not
rather than to move moves"""
_KNOWN = {*_KIND_OF, *_SAID_AS, *_GRAMMAR.split()}


def understand_referring(expression: str, *, moving: bool) -> str | NotTaught:
    """The expression in the taught words, or why it cannot be asked. `moving` where a clip is
    shown: a single frame shows no motion.

    Example:
        >>> understand_referring("Of the stripy discs, the one that travels left", moving=True)
        'striped circle that moves left'
        >>> understand_referring("the red star that moves left", moving=False).reason
        'a single frame does not show how things move'
    """
    if len(expression) > MOST_CHARACTERS:
        return NotTaught(f"it reads expressions of up to {MOST_CHARACTERS} characters")
    plain = _normalise(expression)
    # "red rather than blue" says no more than "red".
    plain = re.sub(_CONTRAST, r"\g<value>", plain)
    forms = _CLIP_FORMS if moving else _STILL_FORMS
    if any(re.fullmatch(form, plain) for form in forms):
        return _take_apart(plain)
    if any(re.fullmatch(form, plain) for form in _CLIP_FORMS):
        return NotTaught("a single frame does not show how things move")
    unknown = [word for word in re.findall(r"[^\W\d_]+|\d+", plain) if word not in _KNOWN]
    if unknown:
        named = ", ".join(repr(word) for word in dict.fromkeys(unknown[:5]))
        return NotTaught(f"it does not know the word{'s'[: len(unknown) > 1]} {named}")
    return NotTaught("it finds things by size, colour, pattern, shape and motion only")


def _normalise(expression: str) -> str:
    """Lower case, nano's synonyms, singular nouns, with an article."""
    plain = re.sub(r"\s+", " ", expression.lower()).strip(" .?!")
    if not re.match(r"(?:the |an? )?(?:of|among) ", plain):
        plain = "the " + re.sub(r"^(?:the|an?) ", "", plain)
    plain = re.sub(r"^(?:the |an? )(?=of |among )", "", plain)
    words = []
    for word in re.findall(r"[^\W\d_]+|[^\w\s]|\d+", plain):
        single = re.sub(r"(?<=cross)es$|(?<!s)s$", "", word)
        noun = _SAID_AS.get(single, single)
        is_noun = noun == "object" or _KIND_OF.get(noun) == "shape"
        words.append(noun if is_noun else _SAID_AS.get(word, word))
    return " ".join(words).replace(" ,", ",")


def _take_apart(plain: str) -> str | NotTaught:
    """The text in nano's words of one that has a taught form."""
    nots = re.findall(rf"\bnot (?:an? )?({_any(*_KIND_OF)})", plain)
    rest = re.sub(rf"\bnot (?:an? )?{_any(*_KIND_OF)}", "", plain)
    looks: dict[str, str] = {}
    for word in re.findall(r"[a-z]+", rest):
        kind = _KIND_OF.get(word)
        if kind is not None and looks.setdefault(kind, word) != word:
            return NotTaught(f"nothing is both {looks[kind]} and {word}")
    ways = re.findall(rf"\bmoves? ({_WAY})", rest)
    if len(set(ways)) > 1:
        return NotTaught("it knows things that move one way each")
    turns = re.findall(rf"\b({_TURN})\b", rest)
    return Referring(
        looks=looks,
        nots=tuple(dict.fromkeys(nots)),
        way=ways[0] if ways else "",
        turn=turns[0] if turns else "",
    ).text
