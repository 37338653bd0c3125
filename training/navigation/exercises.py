"""Decisions on short lists of made-up captions: the smallest step of navigating, by levels.

Which caption tells of the thing asked about, and what is that node's number: a small model has to
learn it before it can follow whole plays (`demonstrations`), and whole plays do not teach it. Turns
are worded as the teacher's. The captions need not belong to one video.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from mmreason.memory.tree import NodeId
from mmreason.needle.words import (
    NEEDLE_MOTIONS,
    QUESTION_FORMS,
    VALUES,
    Attribute,
    motion_answer,
    with_context,
)
from mmreason.training.navigation.teacher import (
    find_things_told,
    format_node,
    write_answer_turn,
    write_look_turn,
    write_open_turn,
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
class _ListQuestion:
    """A question about one thing of a list."""

    thing: str
    """As the question names it: "small star"."""
    text: str
    word: str | None
    """Of the clause that says where."""
    answer: str
    """Of a look at it."""

    @property
    def whole(self) -> str:
        """With the clause that says where."""
        return with_context(self.text, self.word)


def make_exercise(rng: random.Random, level: int) -> Turns:
    """A list and questions about it, each with its right turn; level 0 to `HARDEST`.

    0 asks for numbers in a bare list (what belongs to which number is all there is to learn), 1 by
    a part of the name, 2 asks as users do and wants the teacher's turn, 3 adds times, 4 more than
    one thing a node, 5 and above are captions as nano writes them, longer with the level. Many
    questions about one list are as much to learn from fewer tokens: single ones teach numbers too
    slowly for a small model. A question names one thing of its list, as those of real plays do.

    Example:
        >>> turns = make_exercise(random.Random(1), 0)
        >>> turns[0][0], turns[1]
        ('user', ('assistant', '(2)'))
    """
    if level < 2:
        return _name_by_number(rng, whole=level == 0)
    if level < LIFELIKE:
        return _plain(rng, timed=level > 2, things=1 if level < 4 else 2)
    while True:
        listed = _Listed.draw(rng, things=level - 3)
        # More than are needed: many fit several things, and those are not asked.
        questions = [listed.draw_question(rng) for _ in range(3 * QUESTIONS)]
        answered = [
            (question, turn)
            for question in questions
            if question and (turn := listed.turn(question)) is not None
        ]
        # A list that settles none of its questions is drawn anew.
        if answered:
            break
    # Options and length stand in every real question and say nothing here.
    length_s = rng.choice((30, 60, 180, 900, 3600))
    options = [f"{letter}. {text}" for letter, text in zip("ABCD", _options(rng), strict=True)]
    context = [*options, f"The video is {length_s} seconds long.", *listed.lines]
    turns: Turns = []
    for question, turn in answered[:QUESTIONS]:
        turns.append(("user", "\n".join([question.whole, *([] if turns else context)])))
        turns.append(("assistant", turn))
        # A look is answered, and the answer is what the look showed.
        if "video_qa" in turn and not question.text.startswith("Which"):
            turns.append(("user", f"<information>{question.answer}</information>"))
            turns.append(("assistant", write_answer_turn(question.thing, question.answer)))
    return turns


def _name_by_number(rng: random.Random, *, whole: bool) -> Turns:
    """Every name of a bare list, asked for in any order: the whole name, or a part of it that no
    other name has."""
    # A name stands once, or its number would not be settled.
    names = list(dict.fromkeys(_figure(rng) for _ in range(rng.randint(2, CHILDREN_MOST))))
    numbers = [format_node((position,)) for position in range(1, len(names) + 1)]
    lines = [f"{number} {add_article(name)}." for number, name in zip(numbers, names, strict=True)]
    turns: Turns = []
    for position in rng.sample(range(len(names)), len(names)):
        name = names[position]
        # The list stands in the first question alone, as in a conversation.
        phrase = name if whole else _distinctive_question(rng, name, names).thing
        head = [] if turns else lines
        turns.append(("user", "\n".join([*head, f"find {phrase}"])))
        turns.append(("assistant", numbers[position]))
    return turns


def _distinctive_question(rng: random.Random, name: str, names: list[str]) -> _ListQuestion:
    """A question about the thing of that name that fits no other of `names`, if one is found."""
    question = _ask(rng, name)
    for _ in range(TRIES):
        # By the parser that the teacher reads captions with, so that both mean the same.
        if {other for other in names if find_things_told(other, question.thing)} == {name}:
            break
        question = _ask(rng, name)
    return question


def _plain(rng: random.Random, *, timed: bool, things: int) -> Turns:
    """Questions about things in a list without words on the screen; every thing is there."""
    count = rng.randint(2, CHILDREN_MOST)
    # Each node tells of one thing or more.
    groups = [[_figure(rng) for _ in range(rng.randint(1, things))] for _ in range(count)]
    # Lengths as the levels of a tree have them, each a quarter of the one above.
    begin_s, length_s = rng.choice((0.0, rng.uniform(0, 3000))), rng.choice((2.81, 11.25, 45))
    lines = []
    for i, names in enumerate(groups):
        number, start_s = format_node((i + 1,)), begin_s + i * length_s
        if timed:
            span = f"{format_time(start_s)} to {format_time(start_s + length_s)}"
            lines.append(
                f"{number} {span}: {_describe_stills(rng, names, None, start_s, length_s)}"
            )
        else:
            lines.append(f"{number} {add_article(names[0])}.")
    everything = [name for names in groups for name in names]
    turns: Turns = []
    for _ in range(QUESTIONS):
        # A node first, then a thing of it, so that nodes with many things are not favoured.
        question = _distinctive_question(rng, rng.choice(rng.choice(groups)), everything)
        # The teacher goes to the first node that fits, in order of time.
        node, name = next(
            ((i + 1,), name)
            for i, names in enumerate(groups)
            for name in names
            if find_things_told(name, question.thing)
        )
        # The list stands in the first turn only; later questions refer back to it.
        turns.append(("user", "\n".join([question.text, *([] if turns else lines)])))
        turns.append(("assistant", write_open_turn(question.thing, name, node)))
    return turns


@dataclass(frozen=True, slots=True)
class _Listed:
    """Captions of neighbouring nodes."""

    nodes: tuple[NodeId, ...]
    lines: tuple[str, ...]
    screen_words: tuple[str | None, ...]
    """On the screen meanwhile."""
    are_leaves: bool
    """To be looked at; others are opened."""

    @classmethod
    def draw(cls, rng: random.Random, things: int) -> _Listed:
        """Two captions or more, with at most so many things in each."""
        leaves = rng.random() < 0.3
        # Leaves lie deep; what the numbers look like must not tell which nodes are leaves.
        depth = rng.choice(LEAF_DEPTHS if leaves else INNER_DEPTHS)
        parent = tuple(rng.randint(1, CHILDREN_MOST) for _ in range(depth - 1))
        ids = [(*parent, i + 1) for i in range(rng.randint(2, CHILDREN_MOST))]
        start_s, length_s = rng.choice((0.0, rng.uniform(0, 3000))), rng.choice((2.81, 11.25, 45))
        lines, screen_words = [], []
        figures: list[str] = []
        for i, node in enumerate(ids):
            begin_s = start_s + i * length_s
            word = rng.choice(WORDS) if rng.random() < 0.6 else None
            screen_words.append(word)
            # Things stay in view over a border now and then, as in real captions.
            staying = figures[-1:] if rng.random() < STAYS else []
            # A caption has as many things with one that stayed as without.
            new = rng.randint(1, things) - len(staying)
            figures = [*staying, *(_figure(rng) for _ in range(new))]
            describe = _describe_clip if leaves else _describe_stills
            body = describe(rng, figures, word, begin_s, length_s)
            span = f"{format_time(begin_s)} to {format_time(begin_s + length_s)}"
            lines.append(f"{format_node(node)} {span}: {body}")
        return cls(tuple(ids), tuple(lines), tuple(screen_words), leaves)

    def draw_question(self, rng: random.Random) -> _ListQuestion | None:
        """A question about one of the things told, or now and then about another; None where its
        words fit several."""
        position = rng.randrange(len(self.lines))
        sized_things = [
            n
            for n in find_things_told(self.lines[position], "object")
            if n.split()[0] in VALUES["size"]
        ]
        word = self.screen_words[position] if rng.random() < 0.25 else None
        if not sized_things or rng.random() < ABSENT:
            return replace(_ask(rng, _figure(rng)), word=word)
        question = replace(_ask(rng, rng.choice(sized_things)), word=word)
        # The same thing in two captions is one thing: the first of them is the one to go to.
        return question if len({name for _, name in self._fits(question)}) == 1 else None

    def _fits(self, question: _ListQuestion) -> list[tuple[NodeId, str]]:
        """Nodes with the names in their captions that a question fits, beside its word."""
        return [
            (node, name)
            for node, line in zip(self.nodes, self.lines, strict=True)
            for moment in line.split(" / ")
            if question.word is None or question.word in moment
            for name in find_things_told(moment, question.thing)
        ]

    def turn(self, question: _ListQuestion) -> str | None:
        """What the teacher would write; None where this list does not settle it."""
        for node, name in self._fits(question):
            if self.are_leaves:
                # Which of several came first is settled by looks at each of them.
                is_order = question.text.startswith("Which")
                text = f"Is there {add_article(question.thing)}?" if is_order else question.text
                return write_look_turn(question.thing, name, node, text)
            return write_open_turn(question.thing, name, node)
        if self.are_leaves:
            return None
        # Nothing fits: the teacher opens the first node, or the first with the word.
        clue = "no" if question.word is None else f"no, {question.word}"
        for node, line in zip(self.nodes, self.lines, strict=True):
            if question.word is None or question.word in line:
                return write_open_turn(question.thing, clue, node)
        return None


def _figure(rng: random.Random) -> str:
    """A full name: "small purple striped ring"."""
    size, colour, shape = (rng.choice(VALUES[name]) for name in ("size", "colour", "shape"))
    pattern = rng.choice(("", "", "striped ", "dotted "))
    return f"{size} {colour} {pattern}{shape}"


def _describe_stills(
    rng: random.Random, figures: list[str], word: str | None, begin_s: float, length_s: float
) -> str:
    """What single frames show, each with its time."""
    groups: list[list[str]] = []
    for name in figures:
        if groups and len(groups[-1]) < 2 and rng.random() < 0.4:
            groups[-1].append(name)
        else:
            groups.append([name])
    screen_text = f". the word {word} is on the screen." if word else "."
    apart_s = length_s / len(groups)
    times = (format_time(begin_s + (k + 0.5) * apart_s) for k in range(len(groups)))
    return " / ".join(
        f"{time} {' and '.join(map(add_article, group))}{screen_text}"
        for time, group in zip(times, groups, strict=True)
    )


def _describe_clip(
    rng: random.Random, figures: list[str], word: str | None, begin_s: float, length_s: float
) -> str:
    """What a short clip shows; at a cut, names are shorter."""
    # A clip with a cut in it, as nano words it.
    if rng.random() < 0.15:
        short = [add_article(" ".join(name.split()[1:])) for name in figures[:2]]
        before = f" and the word {word}" if word else ""
        return f"{short[0]}{before} then {short[-1]}."
    movements = " ".join(f"{add_article(name)} {rng.choice(_MOTIONS)}." for name in figures)
    return f"{movements} the word {word} is on the screen." if word else movements


def _ask(rng: random.Random, name: str) -> _ListQuestion:
    """A question about the thing of that full name."""
    size, colour, *pattern, shape = name.split()
    # Captions leave "plain" out; questions ask for it all the same.
    attributes = {"size": size, "colour": colour, "shape": shape, "pattern": (*pattern, "plain")[0]}
    kind = rng.choice((*_ATTRIBUTES, "motion", "order"))
    if kind in _ATTRIBUTES:
        phrase = [attributes[attribute] for attribute in _ATTRIBUTES[kind]]
        thing = " ".join(phrase if kind != "shape" else [*phrase, "object"])
        return _ListQuestion(thing, QUESTION_FORMS[kind].format(thing), None, attributes[kind])
    thing = rng.choice((f"{size} {shape}", f"{colour} {shape}", f"{size} {colour} {shape}"))
    if kind == "motion":
        moves = motion_answer(rng.choice(NEEDLE_MOTIONS))
        return _ListQuestion(thing, f"How does the {thing} move?", None, moves)
    # Rivals need not be in the list: which comes first is for looks to find out.
    rivals = [" ".join(_figure(rng).split()[:2]) for _ in range(rng.randint(1, 2))]
    rivals = [f"{other} {rng.choice(VALUES['shape'])}" for other in rivals]
    enumeration = ", the ".join([thing, *rivals[:-1]])
    question = (
        f"Which comes {rng.choice(('first', 'last'))}, the {enumeration} or the {rivals[-1]}?"
    )
    return _ListQuestion(thing, question, None, "yes")


def _options(rng: random.Random) -> list[str]:
    draw: Callable[[], str] = rng.choice(
        (
            lambda: rng.choice(VALUES["colour"]),
            lambda: motion_answer(rng.choice(NEEDLE_MOTIONS)),
            lambda: "the " + " ".join(_figure(rng).split()[:2]),
        )
    )
    return [draw() for _ in "ABCD"]
