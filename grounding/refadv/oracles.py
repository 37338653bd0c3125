"""Readers of known score: what one reaches who reads everything, and who reads all but one thing.

They know the scene by `certify`'s own reading of it, and the expression by its program, so that
their scores say what an item can show. They are no models: nothing is looked at.

    attributes         reads everything: right on every item
    bag-of-words       knows the words and not their order: half of an item and its twin
    no-negation        passes over "not"
    unordered-frames   knows all frames and not their order: half of a clip and its reversal
    one-frame          knows one frame: one over the objects that look alike
    first, largest, central, random    read nothing: one over the candidates
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

from mmreason.grounding.boxes import Box
from mmreason.grounding.refadv.certifier import Solver
from mmreason.grounding.refadv.facts import Facts, measure, reverse_facts
from mmreason.grounding.refadv.items import Item
from mmreason.grounding.refadv.programs import (
    Program,
    strip_negation,
    swap_bindings,
)
from mmreason.video.world import World

OracleName = Literal[
    "attributes",
    "bag-of-words",
    "no-negation",
    "unordered-frames",
    "one-frame",
    "first",
    "largest",
    "central",
    "random",
]
ORACLES: tuple[OracleName, ...] = get_args(OracleName)

_STILL_KINDS = ("colour", "shape", "size", "pattern", "relation", "same", "count")
"""Clauses that one frame can show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an oracle is asked.

    Example: `Question(item=item, readings=(item.program,), world=item.world, boxes=item.boxes(),
    seed="0")` is the item as it is.
    """

    item: Item
    readings: tuple[Program, ...]
    """All that the words can mean in the order in which they stand: one for a sentence, several for
    shuffled words."""
    world: World | None
    """What is shown; None where nothing is."""
    boxes: Mapping[str, Box]
    """Where each candidate is, in the frame that stands for the item."""
    seed: str
    """Of what is drawn at random."""


def answer_question(name: OracleName, question: Question) -> tuple[str, ...]:
    """Ids of what an oracle takes for meant; empty for nothing.

    Example:
        >>> from mmreason.grounding import refadv
        >>> item = next(refadv.generate(kind="image", seed=0, count=1))
        >>> answer_question("attributes", Question(
        ...     item=item, readings=(item.program,), world=item.world, boxes=item.boxes(),
        ...     seed="0")) == item.target_ids
        True
    """
    if question.world is None:
        return ()
    if name in _BY_PLACE:
        return _pick_by_place(_BY_PLACE[name], question)
    # A still clip shows nobody more than one frame.
    is_frozen = question.world.playback == "frozen"
    return _READERS["one-frame" if is_frozen else name](question, question.world)


def denote_ids(item: Item, program: Program, world: World) -> tuple[str, ...]:
    """What a program means in the item's scene as `world` plays it, by the certifier's reading."""
    return read_scene(item, world).solve(program)


def read_scene(item: Item, world: World) -> Solver:
    """What is to be seen in the item's scene as `world` plays it. Raises ValueError where that
    cannot be told."""
    moment_s = item.frame_time_s if item.kind == "image" else None
    facts = list(_measure_scene(_Scene(item.world, moment_s)))
    if item.kind == "video" and world.playback == "reverse":
        facts = reverse_facts(facts, (world.frame_count - 1) / world.fps_hz)
    return Solver(facts)


@dataclass(frozen=True, slots=True)
class _Scene:
    world: World
    time_s: float | None


@lru_cache(maxsize=16)
def _measure_scene(scene: _Scene) -> tuple[Facts, ...]:
    """Measured once for all that is asked about a scene."""
    return tuple(measure(scene.world, scene.time_s))


def find_lacking(item: Item) -> dict[str, tuple[str, ...]]:
    """For every candidate that is not meant: names of the descriptors (as `list_descriptors` has
    them) that it lacks. Who has all of them and is not the one that is picked lacks the pick.

    Example:
        >>> from mmreason.grounding import refadv
        >>> item = next(refadv.generate(kind="image", seed=0, count=1))
        >>> all(find_lacking(item).values())
        True
    """
    solver = read_scene(item, item.world)
    lacking = {}
    for fact in solver.facts:
        if fact.id in item.target_ids:
            continue
        missed = [
            str(index)
            for index, clause in enumerate(item.program.clauses)
            if not solver.holds(clause, fact)
        ]
        if not missed and item.program.pick is not None:
            missed = ["pick"]
        lacking[fact.id] = tuple(missed)
    return lacking


def _read_attributes(question: Question, world: World) -> tuple[str, ...]:
    return _draw_meant(question, read_scene(question.item, world), question.readings)


def _read_bag(question: Question, world: World) -> tuple[str, ...]:
    readings = [*question.readings]
    for program in question.readings:
        readings += swap_bindings(program)
    return _draw_meant(question, read_scene(question.item, world), readings)


def _read_without_negation(question: Question, world: World) -> tuple[str, ...]:
    readings = [strip_negation(program) or program for program in question.readings]
    return _draw_meant(question, read_scene(question.item, world), readings)


def _read_unordered(question: Question, world: World) -> tuple[str, ...]:
    if question.item.kind == "image":
        return _read_attributes(question, world)
    worlds = [world.model_copy(update={"playback": way}) for way in ("forward", "reverse")]
    meant = [
        ids
        for way in worlds
        for program in question.readings
        if len(ids := read_scene(question.item, way).solve(program)) == 1
    ]
    return _draw(question, sorted({ids[0] for ids in meant}))


def _read_one_frame(question: Question, world: World) -> tuple[str, ...]:
    if question.item.kind == "image":
        return _read_attributes(question, world)
    solver = read_scene(question.item, question.item.world)
    alike = {i for program in question.readings for i in solver.solve(_still_part(program))}
    return _draw(question, sorted(alike))


def _still_part(program: Program) -> Program:
    """What of a program one frame can show.

    Example:
        >>> from mmreason.grounding.refadv import Clause
        >>> moves = Program((Clause("colour", "red"), Clause("moves", "left")))
        >>> _still_part(moves).clauses == moves.clauses[:1]
        True
    """
    clauses = []
    for clause in program.clauses:
        if clause.kind in _STILL_KINDS:
            landmark = None if clause.landmark is None else _still_part(clause.landmark)
            clauses.append(replace(clause, landmark=landmark))
    in_time = program.pick is not None and program.pick.by in ("first", "last")
    return Program(tuple(clauses), None if in_time else program.pick, program.quantifier)


_READERS: dict[str, Callable[[Question, World], tuple[str, ...]]] = {
    "attributes": _read_attributes,
    "bag-of-words": _read_bag,
    "no-negation": _read_without_negation,
    "unordered-frames": _read_unordered,
    "one-frame": _read_one_frame,
}


def _draw_meant(question: Question, solver: Solver, readings: Sequence[Program]) -> tuple[str, ...]:
    """What the words mean; where they can mean several things, one of them."""
    meant = [solver.solve(program) for program in readings]
    if len(meant) == 1 and (len(meant[0]) != 1 and readings[0].quantifier == "every"):
        return meant[0]
    # "The red one", of two: as likely either.
    if len(meant) == 1:
        return _draw(question, meant[0])
    return _draw(question, sorted({ids[0] for ids in meant if len(ids) == 1}))


def _draw(question: Question, ids: Sequence[str]) -> tuple[str, ...]:
    if not ids:
        return ()
    return (random.Random(question.seed).choice(list(ids)),)


_ByPlace = Callable[[Question, str], float]


def _order(question: Question, name: str) -> float:
    return -question.item.candidate_ids.index(name)


def _area(question: Question, name: str) -> float:
    return question.boxes[name].area_px2


def _nearness(question: Question, name: str) -> float:
    box, (width_px, height_px) = question.boxes[name], question.item.world.size_px
    dx, dy = box.x1_px + box.x2_px - width_px, box.y1_px + box.y2_px - height_px
    return -(dx * dx + dy * dy)


def _chance(question: Question, name: str) -> float:
    return random.Random(f"{question.seed} {name}").random()


_BY_PLACE: dict[str, _ByPlace] = {
    "first": _order,
    "largest": _area,
    "central": _nearness,
    "random": _chance,
}


def _pick_by_place(value: _ByPlace, question: Question) -> tuple[str, ...]:
    visible = [name for name in question.item.candidate_ids if name in question.boxes]
    # Of equals one is drawn: sizes come in two.
    best = max(visible, key=lambda n: (value(question, n), _chance(question, n)), default=None)
    return () if best is None else (best,)
