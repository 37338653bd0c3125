"""Which questions nano was taught, and the words it was taught them in.

Nano answers thirteen forms of question about things of its scripted world, in the exact words of
its training: with another capital letter, without the question mark or with "in the video" behind
it, its answers are little better than chance. So a question is brought into the taught words where
it says the same, and refused where it does not. Leaves out pictures (`nano_guard.py`) and replies
(`nano_replies.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from mmreason.video.world.script import Colour, Pattern, Shape, Size

ReplyKind = Literal[
    "colour", "shape", "pattern", "size", "count", "motion", "thing", "word", "place", "yes_no"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """A question in nano's own words.

    `understand("are there any red stars in the video")` is
    `Taught(prompt="Is there a red star?", kind="yes_no")`.
    """

    prompt: str
    kind: ReplyKind
    choices: tuple[str, ...] = ()
    """The things that one is to be picked of; empty where the question names none."""
    things: tuple[str, ...] = ()
    """Things, without their size, that must be there for the question to make sense, where nano was
    not taught to say that they are not: it tells the size of a star that it does not see."""
    yes: str = ""
    """The reply that means yes where it was asked whether a thing of a size is there: "large" for
    "Is there a large yellow ring?", asked as "Is the yellow ring small or large?". Any other reply,
    and that the thing is absent, means no."""


@dataclass(frozen=True, slots=True)
class NotTaught:
    """A question that nano cannot answer, and why, in words that go on after "declined: "."""

    reason: str


def _any(alternatives: tuple[str, ...]) -> str:
    return "|".join(alternatives)


_SHAPES = get_args(Shape)
_PLURALS = {("crosses" if shape == "cross" else f"{shape}s"): shape for shape in _SHAPES}
_COLOUR, _SIZE, _PATTERN = (_any(get_args(kind)) for kind in (Colour, Size, Pattern))
_ADJECTIVES = rf"(?:(?:{_SIZE}) )?(?:(?:{_COLOUR}) )?(?:(?:{_PATTERN}) )?"
_NAME = rf"(?:{_ADJECTIVES}(?:{_any(_SHAPES)})|(?:{_COLOUR}) object)"
_PLURAL = rf"(?:{_any(tuple(_PLURALS))}|(?:(?:{_COLOUR}) )?objects)"

_FORMS: tuple[tuple[str, str, ReplyKind], ...] = (
    (rf"what colour is the (?P<a>{_NAME})", "What colour is the {a}?", "colour"),
    (rf"what colour does the (?P<a>{_NAME}) become", "What colour does the {a} become?", "colour"),
    (rf"what shape is the (?P<a>{_NAME})", "What shape is the {a}?", "shape"),
    (rf"what pattern does the (?P<a>{_NAME}) have", "What pattern does the {a} have?", "pattern"),
    (
        rf"is the (?P<a>{_NAME}) (?:small or large|large or small)",
        "Is the {a} small or large?",
        "size",
    ),
    (rf"how many (?P<a>{_PLURAL}) are there", "How many {a} are there?", "count"),
    (rf"how does the (?P<a>{_NAME}) move", "How does the {a} move?", "motion"),
    (
        rf"which comes first,? the (?P<a>{_NAME}) or the (?P<b>{_NAME})",
        "Which comes first, the {a} or the {b}?",
        "thing",
    ),
    (
        rf"which is larger,? the (?P<a>{_NAME}) or the (?P<b>{_NAME})",
        "Which is larger, the {a} or the {b}?",
        "thing",
    ),
    (
        rf"what comes right (?P<a>before|after) the (?P<b>{_NAME})",
        "What comes right {a} the {b}?",
        "thing",
    ),
    (r"what word is on the screen", "What word is on the screen?", "word"),
    (rf"where is the (?P<a>{_NAME})", "Where is the {a}?", "place"),
    (rf"is there an? (?P<a>{_NAME})", "Is there {a}?", "yes_no"),
)
"""(form, the words of training, kind of reply)."""
_TAUGHT_ABSENCE = ("What colour is", "How does", "Where is", "Is there")
"""Forms that nano was also taught to answer about things that are not there."""
_ORDERS = ("before", "after")
_AS_ANOTHER: tuple[tuple[str, str, ReplyKind], ...] = (
    (rf"is the (?P<a>{_NAME}) (?:{_COLOUR})", "What colour is the {a}?", "colour"),
    (rf"is the (?P<a>{_NAME}) (?:{_SIZE})", "Is the {a} small or large?", "size"),
    (rf"is the (?P<a>{_NAME}) (?:{_PATTERN})", "What pattern does the {a} have?", "pattern"),
)
"""Yes-or-no questions that are asked as another: its answer says more than yes or no."""
_SIZED = re.compile(
    rf"is there an? (?P<size>{_SIZE}) "
    rf"(?P<rest>(?:{_COLOUR}) (?:(?:{_PATTERN}) )?(?:{_any(_SHAPES)}))"
)
"""Things of a size and a colour: asked whether they are there, nano tells their size instead."""
_SAID_DIFFERENTLY = (
    (r"\bcolor\b", "colour"),
    (r"\bbigger\b", "larger"),
    (r"\bbig\b", "large"),
    (r"^please,? |,? please$", ""),
    (r"^(?:please )?(?:tell me|say)[,:]? ", ""),
    (r",? (?:in|of) (?:the|this) (?:video|clip|scene|picture|frame|image)$", ""),
    (r"^(?:can|do) you see ", "is there "),
    (r"^is there any\b", "is there a"),
    (r"^are there (?:any )?(?=\w)", "is there a "),
    (r"^how many (.+?) (?:can|do) you see$", r"how many \1 are there"),
    (r"^what is the colour of ", "what colour is "),
    (r"^which colour ", "what colour "),
    (r"^(?:which|what) shape does (.+) have$", r"what shape is \1"),
    (r"^(?:which|what) word is (?:shown )?on (?:the )?screen$", "what word is on the screen"),
)
"""(pattern, replacement): other ways to say the same, in lower case and without the last mark."""
_QUESTION_WORDS = (
    "what which how where is are there many does do colour shape pattern move moves become have "
    "word screen comes come first larger right before after small large or and of on in the a an to"
)
_KNOWN = frozenset(
    [
        *_QUESTION_WORDS.split(),
        *("object", "objects", *_SHAPES, *_PLURALS),
        *get_args(Colour),
        *get_args(Size),
        *get_args(Pattern),
    ]
)
_TIMES = re.compile(r"^(?:when|how long|how often|at what time|since when|until when)\b")


def understand_question(question: str) -> Taught | NotTaught:
    """The question in the words nano was taught, or why it cannot be asked."""
    plain = _plain(question)
    if _TIMES.match(plain):
        return NotTaught("it does not know times")
    sized = _SIZED.fullmatch(plain)
    if sized is not None:
        prompt = f"Is the {sized['rest']} small or large?"
        things, yes = (sized["rest"],), sized["size"]
        return Taught(prompt=prompt, kind="size", things=things, yes=yes)
    for form, template, kind in (*_FORMS, *_AS_ANOTHER):
        match = re.fullmatch(form, plain)
        if match is not None:
            return _asked(match.groupdict(), template, kind)
    unknown = unknown_words(plain)
    if unknown:
        return NotTaught(f"it does not know the word{'s'[: len(unknown) > 1]} {_listed(unknown)}")
    return NotTaught("it was not taught questions of this form")


def unknown_words(text: str) -> tuple[str, ...]:
    """Words that nano never saw in a question, in order, each once."""
    spelled = re.findall(r"[^\W\d_][\w'-]*|\d+", text.lower())
    return tuple(dict.fromkeys(word for word in spelled if word not in _KNOWN))


def understand_expression(expression: str) -> str | NotTaught:
    """The name of a thing to locate in nano's words: "the big red star" is "large red star"."""
    plain = re.sub(r"^(?:the|an?) ", "", _plain(expression))
    if re.fullmatch(_NAME, plain):
        return plain
    unknown = unknown_words(plain)
    if unknown:
        return NotTaught(f"it does not know the word{'s'[: len(unknown) > 1]} {_listed(unknown)}")
    return NotTaught("it locates one thing by size, colour, pattern and shape, in this order")


def is_there(thing: str) -> str:
    """The question whether a thing is there, in nano's words."""
    return f"Is there {'an' if thing[0] in 'aeiou' else 'a'} {thing}?"


def _bare(name: str) -> str:
    """The name without its size, as its presence can be asked for; empty for "red object", which
    nano was not taught to deny."""
    return "" if name.endswith("object") else re.sub(rf"^(?:{_SIZE}) ", "", name)


def _asked(groups: dict[str, str], template: str, kind: ReplyKind) -> Taught:
    names = tuple(groups[key] for key in ("a", "b") if groups.get(key) not in (None, *_ORDERS))
    knows_absence = template.startswith(_TAUGHT_ABSENCE) or kind == "count"
    return Taught(
        prompt=is_there(names[0]) if kind == "yes_no" else template.format(**groups),
        kind=kind,
        choices=names if template.startswith("Which") else (),
        things=() if knows_absence else tuple(bare for name in names if (bare := _bare(name))),
    )


def _plain(text: str) -> str:
    """Lower case, single spaces, without the last mark, said as in training where that is only
    another way to say it."""
    plain = re.sub(r"\s+", " ", text.lower()).strip(" .?!")
    for pattern, replacement in _SAID_DIFFERENTLY:
        plain = re.sub(pattern, replacement, plain).strip(" .?!")
    there = re.fullmatch(
        rf"is there a (?:a |an )?({_ADJECTIVES}(?:{_any(tuple(_PLURALS))}))", plain
    )
    if there is not None:
        *adjectives, noun = there[1].split(" ")
        plain = " ".join(["is there a", *adjectives, _PLURALS[noun]])
    return re.sub(r"^is there a (?=an? )", "is there ", plain)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(repr(word) for word in names[:5]) + (" ..." if len(names) > 5 else "")
