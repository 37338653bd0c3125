"""Scenes and programs for clips, one function a family: several things of one look, told apart by
what they do."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from mmreason.grounding.refadv.drafts import (
    Draft,
    Knobs,
    add_negation,
    choose_attributes,
    choose_other,
    draw_look,
)
from mmreason.grounding.refadv.programs import ATTRIBUTES, Clause, Pick, Program
from mmreason.grounding.refadv.things import OPPOSITE, Thing, change

MOTION_S = 0.8
"""How long a travel takes."""
FIRST_ONSET_S = 0.3
GAP_S = 0.5
"""Between two beginnings, and so, as all travels take as long, between two ends."""


def draft_motion(rng: random.Random, knobs: Knobs) -> Draft:
    """`the red square that moves left`: all others of its look go elsewhere, one the opposite way.

    Played backwards the one that went the opposite way is meant.
    """
    target, names, twins, clauses = _draw_target(rng, knobs, knobs.k - 1)
    direction = rng.choice(tuple(OPPOSITE))
    target = replace(target, event="moves", value=direction)
    witnesses = [change(target, name, twins[name]) for name in names]
    # One goes the opposite way, others of the same look any way but these two.
    sideways = [value for value in OPPOSITE if value not in (direction, OPPOSITE[direction])]
    alike = [change(target, "moves", OPPOSITE[direction])]
    while len(witnesses) + len(alike) < knobs.n - 1:
        alike.append(change(target, "moves", rng.choice(sideways)))
    things = _set_times(rng, [target, *witnesses, *alike], knobs.n)
    program = Program((*clauses, Clause("moves", direction)))
    return Draft(program=program, things=things)


def draft_order(rng: random.Random, knobs: Knobs) -> Draft:
    """`of the red squares, the one that was first to move left`.

    Before the target move one of another look and one the other way; after it a twin that does
    the same, and last of all one of its look the other way, which is first in the clip played
    backwards. For "last" the same in the opposite order.
    """
    target, names, twins, clauses = _draw_target(rng, knobs, knobs.k - 2)
    direction = rng.choice(tuple(OPPOSITE))
    away = OPPOSITE[direction]
    target = replace(target, event="moves", value=direction)
    early = [change(target, name, twins[name]) for name in names]
    early.append(change(target, "moves", away))
    late = [target, change(target, "moves", away)]
    while 1 + len(early) + len(late) < knobs.n:
        # Later ones of the same look, so that a single frame tells nothing.
        late.insert(0, change(target, "moves", rng.choice((direction, away))))
    rng.shuffle(early)
    middle = late[:-1]
    rng.shuffle(middle)
    sequence = [*early, target, *middle, late[-1]]
    by = rng.choice(("first", "last"))
    if by == "last":
        sequence = sequence[::-1]
    timed = _time_in_order(rng, sequence)
    place = len(early) if by == "first" else len(timed) - 1 - len(early)
    things = [timed[place], *timed[:place], *timed[place + 1 :]]
    program = Program((*clauses, Clause("moves", direction)), Pick(by))
    return Draft(program=program, things=things)


def _draw_target(
    rng: random.Random, knobs: Knobs, count: int
) -> tuple[Thing, list[str], dict[str, str], list[Clause]]:
    """A look, `count` attributes that are said of it, their twins, and the clauses."""
    target = draw_look(rng)
    names = choose_attributes(rng, count, ATTRIBUTES)
    twins = {name: choose_other(rng, name, getattr(target, name)) for name in names}
    clauses = [Clause(name, getattr(target, name)) for name in names]  # type: ignore[arg-type]
    if knobs.negation and names:
        clauses = add_negation(rng, clauses, twins)
    return target, names, twins, clauses


def _set_times(rng: random.Random, things: list[Thing], count: int) -> list[Thing]:
    """Onsets in any order."""
    order = list(range(len(things)))
    rng.shuffle(order)
    timed = _time_in_order(rng, [things[index] for index in order])
    return [timed[order.index(index)] for index in range(len(things))]


def _time_in_order(rng: random.Random, things: list[Thing]) -> list[Thing]:
    """Onsets one after the other, `GAP_S` or more apart, and one travel for all."""
    travel = round(rng.uniform(0.2, 0.26), 3)
    timed = []
    onset_s = FIRST_ONSET_S
    for thing in things:
        onset_s = round(onset_s + rng.uniform(0.0, 0.08), 2)
        timed.append(replace(thing, onset_s=onset_s, length_s=MOTION_S, travel=travel))
        onset_s += GAP_S + 0.01
    return timed


VIDEO_DRAFTS: dict[str, Callable[[random.Random, Knobs], Draft]] = {
    "motion": draft_motion,
    "order": draft_order,
}
