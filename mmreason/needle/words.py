"""The words of the questions: forms that the packaged model knows, and the one clause that says
where.

A question asks about things by some of their attributes ("the small star"). Where that names one
thing only while a certain word is shown, " while the word PARK is on the screen" stands before the
question mark; without the clause it names one thing in the whole video.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from mmreason.types import UsageError
from mmreason.video.world.script import Actor, Colour, MotionKind, Pattern, Shape, Size
from mmreason.video.world.truth import MOTION_PHRASE

Attribute = Literal["shape", "colour", "size", "pattern"]
ATTRIBUTES: tuple[Attribute, ...] = get_args(Attribute)
VALUES: dict[Attribute, tuple[str, ...]] = {
    "shape": get_args(Shape),
    "colour": get_args(Colour),
    "size": get_args(Size),
    "pattern": get_args(Pattern),
}
"""What a phrase may tell."""
QUESTION_FORMS: dict[Attribute, str] = {
    "colour": "What colour is the {}?",
    "shape": "What shape is the {}?",
    "pattern": "What pattern does the {} have?",
    "size": "Is the {} small or large?",
}
NEEDLE_MOTIONS: tuple[MotionKind, ...] = (
    "still",
    "left",
    "right",
    "up",
    "down",
    "circle",
    "bounce",
)
"""Those during which an actor is wholly in the picture; coming in and going out are left out."""
FORMS: dict[str, re.Pattern[str]] = {
    "colour": re.compile(r"^What colour is the (.+)\?$"),
    "shape": re.compile(r"^What shape is the (.+)\?$"),
    "pattern": re.compile(r"^What pattern does the (.+) have\?$"),
    "size": re.compile(r"^Is the (.+) small or large\?$"),
    "motion": re.compile(r"^How does the (.+) move\?$"),
    "location": re.compile(r"^Where is the (.+)\?$"),
    "existence": re.compile(r"^Is there an? (.+)\?$"),
    "count": re.compile(r"^How many (.+) are there\?$"),
    "order": re.compile(r"^Which comes (first|last), (.+)\?$"),
    "word": re.compile(r"^Which word is on the screen (.+) in the whole video\?$"),
}
"""The questions without their clause; groups are the things asked about."""
_FILLERS: dict[Attribute, tuple[str, ...]] = {"pattern": ("checked",), "size": ("medium", "tiny")}
"""Options of attributes with fewer than four values; never right."""
_CONTEXT = re.compile(r"^(.*) while the word (\w+) is on the screen\?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Figure:
    """What a thing looks like.

    Example:
        >>> star = Figure("star", "red", "small", "striped")
        >>> star.phrase(("size", "shape")), star.with_value("colour", "blue").phrase(("colour",))
        ('small star', 'blue object')
    """

    shape: Shape
    colour: Colour
    size: Size
    pattern: Pattern

    def with_value(self, attribute: Attribute, value: str) -> Figure:
        """The same but for one attribute. Raises UsageError for what no value of it is."""
        if value not in VALUES[attribute]:
            raise UsageError(
                f"{attribute} must be one of {', '.join(VALUES[attribute])}: {value!r}"
            )
        changed: dict[str, Any] = {attribute: value}
        return replace(self, **changed)

    def value(self, attribute: Attribute) -> str:
        return getattr(self, attribute)

    def shares(self, other: Figure, attributes: tuple[Attribute, ...]) -> bool:
        """Whether both look the same as far as `attributes` go."""
        return all(self.value(a) == other.value(a) for a in attributes)

    def phrase(self, attributes: tuple[Attribute, ...]) -> str:
        """`small star`, `red object`. A plain pattern has no word: it is not for phrases."""
        values = [self.value(a) for a in attributes]
        return " ".join(values if "shape" in attributes else [*values, "object"])


def figure_of(actor: Actor) -> Figure:
    """Its look. UsageError for a photographic cut-out, which has no shape of these worlds."""
    shapes: dict[str, Shape] = {shape: shape for shape in get_args(Shape)}
    if actor.shape not in shapes:
        raise UsageError(f"actor {actor.id!r} is a cut-out of {actor.shape!r}, not a drawn shape")
    return Figure(shapes[actor.shape], actor.colour, actor.size, actor.pattern)


def to_plural(shape: str) -> str:
    """Several of a shape.

    Example:
        >>> to_plural("cross"), to_plural("star")
        ('crosses', 'stars')
    """
    return "crosses" if shape == "cross" else f"{shape}s"


def with_context(question: str, word: str | None) -> str:
    """The question with its clause before the question mark, where there is a word.

    Example:
        >>> with_context("How many stars are there?", "PARK")
        'How many stars are there while the word PARK is on the screen?'
    """

    if word is None:
        return question
    return f"{question.removesuffix('?')} while the word {word} is on the screen?"


def split_word_clause(question: str) -> tuple[str, str | None]:
    """The question without its clause, and the clause's word (None without one).

    Example:
        >>> split_word_clause("How many stars are there while the word PARK is on the screen?")
        ('How many stars are there?', 'PARK')
    """

    match = _CONTEXT.match(question)
    return (question, None) if match is None else (f"{match[1]}?", match[2])


def parse_question(question: str) -> tuple[str, tuple[str, ...]] | None:
    """(name of the form, its groups) of a question without clause; None for any other text.

    Example:
        >>> parse_question("How does the red star move?")
        ('motion', ('red star',))
    """

    for name, pattern in FORMS.items():
        match = pattern.match(question)
        if match is not None:
            return name, match.groups()
    return None


def things_of(listed: str) -> tuple[str, ...]:
    """The things of a list in words.

    Example:
        >>> things_of("the red star, the ring or the cross")
        ('red star', 'ring', 'cross')
    """

    return tuple(re.split(r", the | or the ", listed.removeprefix("the ")))


def to_singular(counted: str) -> str:
    """One of what is counted.

    Example:
        >>> to_singular("red objects"), to_singular("crosses")
        ('red object', 'cross')
    """

    # Of all shapes only crosses take "es".
    return counted.removesuffix("es") if counted.endswith("crosses") else counted.removesuffix("s")


def motion_answer(kind: MotionKind) -> str:
    return f"it {MOTION_PHRASE[kind]}"


def value_options(rng: random.Random, attribute: Attribute, right: str) -> tuple[str, ...]:
    """Four values, the right one among them, in random order."""
    # Attributes of fewer values are filled up: chance is one in four for all of them.
    wrong = [v for v in (*VALUES[attribute], *_FILLERS.get(attribute, ())) if v != right]
    return shuffle_texts(rng, [right, *rng.sample(wrong, 3)])


def motion_options(rng: random.Random, right: MotionKind) -> tuple[str, ...]:
    """Four answers to "How does it move?"."""
    wrong: list[MotionKind] = [kind for kind in NEEDLE_MOTIONS if kind != right]
    kinds: list[MotionKind] = [right, *rng.sample(wrong, 3)]
    return shuffle_texts(rng, [motion_answer(kind) for kind in kinds])


def shuffle_texts(rng: random.Random, texts: list[str]) -> tuple[str, ...]:
    return tuple(rng.sample(texts, len(texts)))
