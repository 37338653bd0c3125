"""Timed notes with questions about them, made from facts: easy ones, ones that no single line
answers, and ones that no line answers at all.

Worlds, words and wordings are split: what is held out shares no name, thing, place, note or
question with what is learnt from (`facts.json`).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

from mmreason.training.rollouts.types import stable_seed
from mmreason.video.types import Span

Split = Literal["train", "test"]
HARD = ("join", "after", "before", "tally", "change", "pronoun")
"""Families that picking one line by its words cannot answer."""
ABSENT_SHARE = 0.3
HARD_SHARE = 0.4
_HELD_OUT_FROM = 0.75
"""Of each list of wordings, what comes after this share is held out."""
NONE = "none"
"""The answer where no note tells."""


@dataclass(frozen=True, slots=True)
class Note:
    """A line of what was said or seen.

    Example:
        >>> str(Note(Span(12, 15), "The code is 41."))
        '0:12.00-0:15.00: The code is 41.'
    """

    span: Span
    text: str

    def __str__(self) -> str:
        return f"{self.span}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteQuestion:
    """A question about notes, with all that is known of its answer."""

    text: str
    family: str
    answer: str
    """In words; empty where no note tells."""
    notes: tuple[int, ...]
    """Numbers (from 0) of the notes that prove it."""

    @property
    def is_absent(self) -> bool:
        """Whether no note tells."""
        return not self.notes

    @property
    def is_hard(self) -> bool:
        """Whether one line, picked by its words, is not enough."""
        return self.family in HARD or self.family == "near-miss"

    @property
    def reply(self) -> str:
        """The reply that is taught: the notes that prove it, and the answer."""
        if self.is_absent:
            return NONE
        return "".join(f"[{number + 1}]" for number in self.notes) + f" {self.answer}"


@dataclass(frozen=True, slots=True)
class NotesWorld:
    """Notes of one video, with questions about them."""

    id: str
    notes: tuple[Note, ...]
    questions: tuple[NoteQuestion, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """Lines that belong to one fact, with the questions that they answer."""

    lines: tuple[str, ...]
    family: str
    question: str
    answer: str
    proof: tuple[int, ...]
    """Which of the lines prove the answer."""
    about: str = ""
    """Of an order: what is asked about. Of a tally: the other person of whom something is told."""


def make_world(split: Split, seed: int, *, questions: int = 3) -> NotesWorld:
    """The world of a seed: the same on every machine.

    Example:
        >>> world = make_world("train", 7)
        >>> len(world.notes) >= 5, len(world.questions)
        (True, 3)
    """
    rng = random.Random(stable_seed("notes", split, seed))
    maker = FactMaker(split, rng)
    facts = maker.draw_facts()
    notes, number_of = place_lines(split, rng, facts, most_fillers=2)
    asked: list[NoteQuestion] = []
    order = rng.sample(range(len(facts)), len(facts))
    for index in order:
        if len(asked) == questions:
            break
        if rng.random() < ABSENT_SHARE:
            asked.append(maker.ask_absent(facts))
            continue
        fact = facts[index]
        proof = tuple(sorted(number_of[index, line] for line in fact.proof))
        question = NoteQuestion(
            text=fact.question, family=fact.family, answer=fact.answer, notes=proof
        )
        asked.append(question)
    return NotesWorld(f"{split}-{seed}", notes, tuple(asked))


def place_lines(
    split: Split, rng: random.Random, facts: Sequence[Fact], *, most_fillers: int
) -> tuple[tuple[Note, ...], dict[tuple[int, int], int]]:
    """The lines of all facts as timed notes, mixed with at most so many that tell nothing, those of
    one fact in their order; and the number (from 0) of the note of each (fact, line)."""
    placed = mix_lines(rng, [fact.lines for fact in facts])
    fillers = rng.sample(_running_text(split), rng.randint(0, most_fillers))
    for filler in [(-1, 0, text) for text in fillers]:
        placed.insert(rng.randint(0, len(placed)), filler)
    time_s = float(rng.randint(0, 90))
    notes: list[Note] = []
    number_of: dict[tuple[int, int], int] = {}
    for fact_index, line_index, text in placed:
        length_s = rng.randint(2, 9)
        number_of[fact_index, line_index] = len(notes)
        notes.append(Note(Span(time_s, time_s + length_s), text))
        time_s += length_s + rng.randint(0, 40)
    return tuple(notes), number_of


class FactMaker:
    """Draws facts of one world; no subject is used twice for one family."""

    def __init__(self, split: Split, rng: random.Random):
        self._split = split
        self._rng = rng
        self._data = _facts()
        self._used: dict[str, set[str]] = {}

    def draw_facts(self) -> list[Fact]:
        """Four to six facts, of which some are hard."""
        rng = self._rng
        facts: list[Fact] = []
        hard = [name for name in HARD if rng.random() < HARD_SHARE / 2]
        for name in rng.sample(hard, min(2, len(hard))):
            facts.append(self.make_hard(name))
        easy = rng.sample(sorted(self._data["families"]), rng.randint(3, 5))
        facts += [self._easy(family) for family in easy]
        return facts

    @property
    def people(self) -> Sequence[str]:
        """All names that notes of this split can hold."""
        return self._pool("names")

    def draw_lesson(self) -> list[Fact]:
        """Three facts of different hard families and two easy ones; one order at most, since lines
        of two would stand between each other."""
        rng = self._rng
        families = (rng.choice(("after", "before")), "tally", "join", "change", "pronoun")
        easy = rng.sample(sorted(self._data["families"]), 2)
        hard = [self.make_hard(name) for name in rng.sample(families, 3)]
        return hard + [self._easy(family) for family in easy]

    def make_hard(self, family: str) -> Fact:
        """A fact of one of the families `HARD`."""
        return getattr(self, f"_{family}")()

    def turn_round(self, fact: Fact) -> Fact | None:
        """A second question that the lines of a fact answer: the order backwards, or the tally of
        the other person. None for other families."""
        if fact.family not in ("after", "before", "tally"):
            return None
        family = {"after": "before", "before": "after", "tally": "tally"}[fact.family]
        questions = self._wording(self._data["hard"][family]["questions"])
        if family == "tally":
            proof = tuple(i for i in range(len(fact.lines)) if i not in fact.proof)
            question = _fill(questions, {"name": fact.about})
            return Fact(fact.lines, family, question, str(len(proof)), proof)
        question = _fill(questions, {"thing": fact.answer})
        return Fact(fact.lines, family, question, fact.about, fact.proof)

    def ask_absent(self, facts: Sequence[Fact]) -> NoteQuestion:
        """A question that nothing answers: often about a subject that the notes do name."""
        rng = self._rng
        told = {fact.family for fact in facts}
        family = rng.choice(sorted(self._data["families"]))
        slot = next(name for name in self._data["families"][family]["slots"] if name != "value")
        kind = self._data["families"][family]["slots"][slot]
        text = " ".join(line for fact in facts for line in fact.lines).lower()
        pool = self._pool(kind)
        named = [item for item in pool if item.lower() in text]
        # What is asked for must not be told: another family of a subject that is named, or the
        # same family of another subject.
        if family in told or (family in ("repair", "day", "place")):
            candidates = [item for item in pool if item not in named]
            kind_of = "near-miss" if family in told else "absent"
        else:
            candidates, kind_of = named or pool, "near-miss" if named else "absent"
        if not candidates:  # a small world names all that there is: ask of something else
            return self.ask_absent(facts)
        question = self._wording(self._data["families"][family]["questions"])
        return NoteQuestion(
            text=_fill(question, {slot: rng.choice(candidates)}),
            family=kind_of,
            answer="",
            notes=(),
        )

    def _easy(self, family: str) -> Fact:
        spec = self._data["families"][family]
        values = {slot: self._value(kind, family) for slot, kind in spec["slots"].items()}
        line = _fill(self._wording(spec["notes"]), values)
        question = _fill(self._wording(spec["questions"]), values)
        return Fact((line,), family, question, values["value"], (0,))

    def _join(self) -> Fact:
        spec = self._data["hard"]["join"]
        values = {
            "name": self._value("names", "join"),
            "role": self._value("roles", "role"),
            "place": self._value("places", "join"),
        }
        lines = tuple(_fill(line, values) for line in self._wording(spec["notes"]))
        question = _fill(self._wording(spec["questions"]), values)
        return Fact(lines, "join", question, values["place"], (0, 1))

    def _sequence(self, family: str) -> Fact:
        notes = self._data["hard"]["after"]["notes"]
        things = [self._value("things", "sequence") for _ in range(3)]
        lines = tuple(_fill(self._wording(notes), {"thing": thing}) for thing in things)
        place = self._rng.randint(0, 1)
        about, answer = (place, place + 1) if family == "after" else (place + 1, place)
        question = _fill(
            self._wording(self._data["hard"][family]["questions"]), {"thing": things[about]}
        )
        return Fact(lines, family, question, things[answer], (about, answer), things[about])

    def _after(self) -> Fact:
        return self._sequence("after")

    def _before(self) -> Fact:
        return self._sequence("before")

    def _tally(self) -> Fact:
        spec = self._data["hard"]["tally"]
        name, other = (self._value("names", "tally") for _ in range(2))
        count = self._rng.randint(1, 3)
        people = [name] * count + [other]
        self._rng.shuffle(people)
        lines = tuple(
            _fill(
                self._wording(spec["notes"]),
                {"name": person, "thing": self._value("things", "tally")},
            )
            for person in people
        )
        question = _fill(self._wording(spec["questions"]), {"name": name})
        proof = tuple(i for i, person in enumerate(people) if person == name)
        return Fact(lines, "tally", question, str(count), proof, other)

    def _change(self) -> Fact:
        spec = self._data["hard"]["change"]
        old, value = self._rng.sample(self._pool("days"), 2)
        values = {"event": self._value("events", "day"), "old": old, "value": value}
        lines = tuple(_fill(line, values) for line in self._wording(spec["notes"]))
        question = _fill(self._wording(spec["questions"]), values)
        return Fact(lines, "change", question, value, (1,))

    def _pronoun(self) -> Fact:
        spec = self._data["hard"]["pronoun"]
        values = {
            "name": self._value("names", "pronoun"),
            "place": self._value("places", "pronoun"),
            "thing": self._value("things", "repair"),
            "they": self._rng.choice(("he", "she", "they")),
        }
        lines = tuple(_fill(line, values) for line in self._wording(spec["notes"]))
        question = _fill(self._wording(spec["questions"]), values)
        return Fact(lines, "pronoun", question, values["name"], (0, 1))

    def _pool(self, kind: str) -> list[str]:
        return self._data[kind][self._split]

    def _value(self, kind: str, family: str) -> str:
        rng = self._rng
        if kind == "money":
            amount = rng.choice((12, 35, 80, 140, 260, 475, 900, 1200)) + rng.randint(0, 9)
            return f"{amount} {rng.choice(('euros', 'dollars', 'pounds', 'francs'))}"
        if kind == "numbers":
            return str(rng.randint(11, 480))
        if kind == "measures":
            return (
                f"{rng.randint(3, 95)} {rng.choice(('degrees', 'kilos', 'bar', 'litres', 'volts'))}"
            )
        if kind == "codes":
            return f"{rng.choice('ABCDEFGHKLMNPRST')}{rng.randint(10, 99)}-{rng.randint(1, 9)}"
        used = self._used.setdefault(f"{family}/{kind}", set())
        free = [item for item in self._pool(kind) if item not in used] or self._pool(kind)
        value = rng.choice(free)
        used.add(value)
        return value

    def _wording(self, wordings: Sequence[Any]) -> Any:
        border = round(_HELD_OUT_FROM * len(wordings))
        usable = wordings[:border] if self._split == "train" else wordings[border:]
        return self._rng.choice(usable)


def _fill(wording: str, values: dict[str, str]) -> str:
    """A wording with its slots filled; a slot with a capital begins with one."""

    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        value = values[name.lower()]
        return value[0].upper() + value[1:] if name[0].isupper() else value

    return re.sub(r"\{(\w+)\}", value_of, wording)


def mix_lines(rng: random.Random, lines_of: Sequence[Sequence[str]]) -> list[tuple[int, int, str]]:
    """All lines in one order in which those of each fact keep theirs."""
    slots = [index for index, lines in enumerate(lines_of) for _ in lines]
    rng.shuffle(slots)
    taken = [0] * len(lines_of)
    placed = []
    for index in slots:
        placed.append((index, taken[index], lines_of[index][taken[index]]))
        taken[index] += 1
    return placed


@lru_cache
def _facts() -> dict[str, Any]:
    return json.loads(
        (files("mmreason.training.reader") / "facts.json").read_text(encoding="utf-8")
    )


@lru_cache
def _running_text(split: Split) -> list[str]:
    """Sentences that tell nothing that is asked for: of the licences that come with the package."""
    sentences: list[str] = []
    for file in sorted((files("mmreason.weights") / "licences").iterdir(), key=lambda f: f.name):
        text = " ".join(file.read_text(encoding="utf-8").split())
        sentences += [s.strip() for s in re.split(r"(?<=[.;])\s", text)]
    usable = sorted({s for s in sentences if 30 <= len(s) <= 110 and s[0].isupper()})
    middle = len(usable) // 2
    return usable[:middle] if split == "train" else usable[middle:]
