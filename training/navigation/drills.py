"""Decisions on short lists of made-up captions: the smallest step of navigating, by levels.

Which caption tells of the thing asked about, and what is that node's number: a small model has to
learn it before it can follow whole plays (`plays.py`), and whole plays do not teach it. Turns are
worded as the teacher's. Leaves out whether the captions could belong to one video.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from mmreason.memory.tree import NodeId
from mmreason.needle.words import (
    ASKED,
    NEEDLE_MOTIONS,
    VALUES,
    Attribute,
    motion_answer,
    with_context,
)
from mmreason.training.navigation.teacher import (
    look_turn,
    node_number,
    open_turn,
    said_turn,
    things_told,
)
from mmreason.video.types import format_time
from mmreason.video.world.generate import WORDS
from mmreason.video.world.truth import MOTION_PHRASE, add_article

INNER_DEPTHS, LEAF_DEPTHS = (1, 1, 1, 2, 2, 3), (2, 3, 3, 4)
"""Numbers in a node's name. What a caption tells says which nodes are leaves: clips, not stills."""
CHILDREN_MOST = 6
QUESTIONS = 6
"""About a list, at most."""
LIFELIKE = 5
"""Lists are worded as nano's captions from this level on."""
HARDEST = 7
TRIES = 12
"""Questions drawn until one names a single thing of a list."""
STAYS = 0.4
"""Chance that the last thing of a caption stands in the next one too."""
ABSENT = 0.1
"""Chance of a question about another thing than those told."""
_MOTIONS = tuple(MOTION_PHRASE[kind] for kind in NEEDLE_MOTIONS)
_ATTRIBUTES: dict[Attribute, tuple[Attribute, ...]] = {
    "colour": ("size", "shape"),
    "size": ("colour", "shape"),
    "pattern": ("size", "colour", "shape"),
    "shape": ("size", "colour"),
}
"""What the phrase of a question tells of a thing, by what is asked."""

Turns = list[tuple[str, str]]
"""(role, text) of each."""


@dataclass(frozen=True, slots=True)
class _Asked:
    thing: str
    """As the question names it: "small star"."""
    question: str
    word: str | None
    """Of the clause that says where."""
    answer: str
    """Of a look at it."""

    @property
    def whole(self) -> str:
        return with_context(self.question, self.word)


def drill(rng: random.Random, level: int) -> Turns:
    """A list and questions about it, each with its right turn; level 0 to `HARDEST`.

    0 asks for numbers in a bare list (what belongs to which number is all there is to learn), 1 by
    a part of the name, 2 asks as users do and wants the teacher's turn, 3 adds times, 4 more than
    one thing a node, 5 and above are captions as nano writes them, longer with the level. Many
    questions about one list are as much to learn from fewer tokens: single ones teach numbers too
    slowly for a small model. A question names one thing of its list, as those of real plays do.
    """
    if level < 2:
        return _roll_call(rng, whole=level == 0)
    if level < LIFELIKE:
        return _plain(rng, timed=level > 2, things=1 if level < 4 else 2)
    while True:
        listed = _Listed.draw(rng, things=level - 3)
        asked = [listed.asked(rng) for _ in range(3 * QUESTIONS)]
        played = [(one, turn) for one in asked if one and (turn := listed.turn(one)) is not None]
        if played:
            break
    length_s = rng.choice((30, 60, 180, 900, 3600))
    options = [f"{letter}. {text}" for letter, text in zip("ABCD", _options(rng), strict=True)]
    shown = [*options, f"The video is {length_s} seconds long.", *listed.lines]
    turns: Turns = []
    for one, turn in played[:QUESTIONS]:
        turns.append(("user", "\n".join([one.whole, *([] if turns else shown)])))
        turns.append(("assistant", turn))
        if "video_qa" in turn and not one.question.startswith("Which"):
            turns.append(("user", f"<information>{one.answer}</information>"))
            turns.append(("assistant", said_turn(one.thing, one.answer)))
    return turns


def _roll_call(rng: random.Random, *, whole: bool) -> Turns:
    """Every name of a bare list, asked for in any order: the whole name, or a part of it that no
    other name has."""
    names = list(dict.fromkeys(_figure(rng) for _ in range(rng.randint(2, CHILDREN_MOST))))
    numbers = [node_number((place,)) for place in range(1, len(names) + 1)]
    lines = [f"{number} {add_article(name)}." for number, name in zip(numbers, names, strict=True)]
    turns: Turns = []
    for place in rng.sample(range(len(names)), len(names)):
        wanted = names[place] if whole else _telling(rng, names[place], names).thing
        head = [] if turns else lines
        turns.append(("user", "\n".join([*head, f"find {wanted}"])))
        turns.append(("assistant", numbers[place]))
    return turns


def _telling(rng: random.Random, name: str, names: list[str]) -> _Asked:
    """A question about the thing of that name that fits no other of `names`, if one is found."""
    asked = _ask(rng, name)
    for _ in range(TRIES):
        if {other for other in names if things_told(other, asked.thing)} == {name}:
            break
        asked = _ask(rng, name)
    return asked


def _plain(rng: random.Random, *, timed: bool, things: int) -> Turns:
    """Questions about things in a list without words on the screen; every thing is there."""
    count = rng.randint(2, CHILDREN_MOST)
    groups = [[_figure(rng) for _ in range(rng.randint(1, things))] for _ in range(count)]
    begin_s, length_s = rng.choice((0.0, rng.uniform(0, 3000))), rng.choice((2.81, 11.25, 45))
    lines = []
    for i, names in enumerate(groups):
        number, start_s = node_number((i + 1,)), begin_s + i * length_s
        if timed:
            span = f"{format_time(start_s)} to {format_time(start_s + length_s)}"
            lines.append(f"{number} {span}: {_stills(rng, names, None, start_s, length_s)}")
        else:
            lines.append(f"{number} {add_article(names[0])}.")
    everything = [name for names in groups for name in names]
    turns: Turns = []
    for _ in range(QUESTIONS):
        asked = _telling(rng, rng.choice(rng.choice(groups)), everything)
        node, name = next(
            ((i + 1,), name)
            for i, names in enumerate(groups)
            for name in names
            if things_told(name, asked.thing)
        )
        turns.append(("user", "\n".join([asked.question, *([] if turns else lines)])))
        turns.append(("assistant", open_turn(asked.thing, name, node)))
    return turns


@dataclass(frozen=True, slots=True)
class _Listed:
    """Captions of neighbouring nodes."""

    nodes: tuple[NodeId, ...]
    lines: tuple[str, ...]
    words: tuple[str | None, ...]
    """On the screen meanwhile."""
    leaves: bool
    """To be looked at; others are opened."""

    @classmethod
    def draw(cls, rng: random.Random, things: int) -> _Listed:
        leaves = rng.random() < 0.3
        depth = rng.choice(LEAF_DEPTHS if leaves else INNER_DEPTHS)
        parent = tuple(rng.randint(1, CHILDREN_MOST) for _ in range(depth - 1))
        ids = [(*parent, i + 1) for i in range(rng.randint(2, CHILDREN_MOST))]
        start_s, length_s = rng.choice((0.0, rng.uniform(0, 3000))), rng.choice((2.81, 11.25, 45))
        lines, words = [], []
        figures: list[str] = []
        for i, node in enumerate(ids):
            begin_s = start_s + i * length_s
            word = rng.choice(WORDS) if rng.random() < 0.6 else None
            words.append(word)
            kept = figures[-1:] if rng.random() < STAYS else []
            figures = [*kept, *(_figure(rng) for _ in range(rng.randint(1, things) - len(kept)))]
            tell = _clip if leaves else _stills
            body = tell(rng, figures, word, begin_s, length_s)
            span = f"{format_time(begin_s)} to {format_time(begin_s + length_s)}"
            lines.append(f"{node_number(node)} {span}: {body}")
        return cls(tuple(ids), tuple(lines), tuple(words), leaves)

    def asked(self, rng: random.Random) -> _Asked | None:
        """A question about one of the things told, or now and then about another; None where its
        words fit several."""
        place = rng.randrange(len(self.lines))
        told = [
            n for n in things_told(self.lines[place], "object") if n.split()[0] in VALUES["size"]
        ]
        word = self.words[place] if rng.random() < 0.25 else None
        if not told or rng.random() < ABSENT:
            return replace(_ask(rng, _figure(rng)), word=word)
        asked = replace(_ask(rng, rng.choice(told)), word=word)
        return asked if len({name for _, name in self._fits(asked)}) == 1 else None

    def _fits(self, asked: _Asked) -> list[tuple[NodeId, str]]:
        """Nodes with the names in their captions that a question fits, beside its word."""
        return [
            (node, name)
            for node, line in zip(self.nodes, self.lines, strict=True)
            for part in line.split(" / ")
            if asked.word is None or asked.word in part
            for name in things_told(part, asked.thing)
        ]

    def turn(self, asked: _Asked) -> str | None:
        """What the teacher would write; None where this list does not settle it."""
        for node, name in self._fits(asked):
            if self.leaves:
                order = asked.question.startswith("Which")
                question = f"Is there {add_article(asked.thing)}?" if order else asked.question
                return look_turn(asked.thing, name, node, question)
            return open_turn(asked.thing, name, node)
        if self.leaves:
            return None
        clue = "no" if asked.word is None else f"no, {asked.word}"
        for node, line in zip(self.nodes, self.lines, strict=True):
            if asked.word is None or asked.word in line:
                return open_turn(asked.thing, clue, node)
        return None


def _figure(rng: random.Random) -> str:
    """A full name: "small purple striped ring"."""
    size, colour, shape = (rng.choice(VALUES[name]) for name in ("size", "colour", "shape"))
    pattern = rng.choice(("", "", "striped ", "dotted "))
    return f"{size} {colour} {pattern}{shape}"


def _stills(
    rng: random.Random, figures: list[str], word: str | None, begin_s: float, length_s: float
) -> str:
    """What single frames show, each with its time."""
    groups: list[list[str]] = []
    for name in figures:
        if groups and len(groups[-1]) < 2 and rng.random() < 0.4:
            groups[-1].append(name)
        else:
            groups.append([name])
    shown = f". the word {word} is on the screen." if word else "."
    apart_s = length_s / len(groups)
    lists = [" and ".join(map(add_article, group)) for group in groups]
    return " / ".join(
        f"{format_time(begin_s + (k + 0.5) * apart_s)} {names}{shown}"
        for k, names in enumerate(lists)
    )


def _clip(
    rng: random.Random, figures: list[str], word: str | None, begin_s: float, length_s: float
) -> str:
    """What a short clip shows; at a cut, names are shorter."""
    if rng.random() < 0.15:
        short = [add_article(" ".join(name.split()[1:])) for name in figures[:2]]
        before = f" and the word {word}" if word else ""
        return f"{short[0]}{before} then {short[-1]}."
    told = " ".join(f"{add_article(name)} {rng.choice(_MOTIONS)}." for name in figures)
    return f"{told} the word {word} is on the screen." if word else told


def _ask(rng: random.Random, name: str) -> _Asked:
    """A question about the thing of that full name."""
    size, colour, *pattern, shape = name.split()
    known = {"size": size, "colour": colour, "shape": shape, "pattern": (*pattern, "plain")[0]}
    kind = rng.choice((*_ATTRIBUTES, "motion", "order"))
    if kind in _ATTRIBUTES:
        phrase = [known[attribute] for attribute in _ATTRIBUTES[kind]]
        thing = " ".join(phrase if kind != "shape" else [*phrase, "object"])
        return _Asked(thing, ASKED[kind].format(thing), None, known[kind])
    thing = rng.choice((f"{size} {shape}", f"{colour} {shape}", f"{size} {colour} {shape}"))
    if kind == "motion":
        moves = motion_answer(rng.choice(NEEDLE_MOTIONS))
        return _Asked(thing, f"How does the {thing} move?", None, moves)
    others = [" ".join(_figure(rng).split()[:2]) for _ in range(rng.randint(1, 2))]
    others = [f"{other} {rng.choice(VALUES['shape'])}" for other in others]
    listed = ", the ".join([thing, *others[:-1]])
    question = f"Which comes {rng.choice(('first', 'last'))}, the {listed} or the {others[-1]}?"
    return _Asked(thing, question, None, "yes")


def _options(rng: random.Random) -> list[str]:
    draw: Callable[[], str] = rng.choice(
        (
            lambda: rng.choice(VALUES["colour"]),
            lambda: motion_answer(rng.choice(NEEDLE_MOTIONS)),
            lambda: "the " + " ".join(_figure(rng).split()[:2]),
        )
    )
    return [draw() for _ in "ABCD"]
