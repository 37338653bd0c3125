"""Scenes and programs for clips, one function a family: several things of one look, told apart by
what they do."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from mmreason.grounding.refadv.drafts import (
    Draft,
    Knobs,
    choose_attributes,
    choose_other,
    draw_look,
    draw_twins,
)
from mmreason.grounding.refadv.programs import ATTRIBUTES, Clause, ClauseKind, Pick, Program
from mmreason.grounding.refadv.things import OPPOSITE, Thing, change

MOTION_S = 0.8
"""How long a travel takes."""
MEETING_S = {"touches": (1.5, 2.8), "passes": (1.2, 3.2)}
"""When meetings are, at least and at most; who passes goes on until the clip ends."""
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
    things = _set_times(rng, [target, *witnesses, *alike])
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


def draft_sequence(rng: random.Random, knobs: Knobs) -> Draft:
    """`the red square that moves only after the star moves`: one of its look moves before that, and
    is meant in the clip played backwards; more of them rest."""
    target, names, twins, clauses = _draw_target(rng, knobs, knobs.k - 1)
    direction = rng.choice(tuple(OPPOSITE))
    kind = rng.choice(("before", "after"))
    shape = choose_other(rng, "shape", target.shape, twins.get("shape", target.shape))
    landmark = replace(draw_look(rng), shape=shape)
    # "The blue one" would depend on the moment, where something turns blue.
    done = rng.choice(("moves", "turns")) if "colour" not in names else "moves"
    if done == "moves":
        landmark = replace(landmark, event="moves", value=rng.choice(tuple(OPPOSITE)))
    else:
        colour = choose_other(rng, "colour", landmark.colour)
        landmark = replace(landmark, event="turns", value=colour)
    target = replace(target, event="moves", value=direction)
    # On the target's side of the landmark's moment, and one of its look on the other side.
    near = [target, *(change(target, name, twins[name]) for name in names)]
    far = [change(target, "moves", rng.choice(tuple(OPPOSITE)))]
    resting = [replace(target, event="", value="")] * (knobs.n - len(near) - len(far) - 1)
    rng.shuffle(near)
    order = [*far, landmark, *near] if kind == "after" else [*near, landmark, *far]
    timed = _time_in_order(rng, order)
    place = order.index(target)
    things = [timed[place], *timed[:place], *timed[place + 1 :], *resting]
    clause = Clause(kind, done, landmark=Program((Clause("shape", shape),)))
    return Draft(program=Program((*clauses, clause)), things=things)


def draft_turn(rng: random.Random, knobs: Knobs) -> Draft:
    """`the square that turns blue`: of its look one turns another colour, one is blue and turns the
    target's, and one is blue all along, so that the last frame tells no more than the first."""
    target, names, twins, clauses = _draw_target(
        rng, knobs, knobs.k - 1, ("shape", "size", "pattern")
    )
    colour = choose_other(rng, "colour", target.colour)
    third = choose_other(rng, "colour", target.colour, colour)
    turning = replace(target, event="turns", value=colour)
    things = [
        turning,
        *(change(turning, name, twins[name]) for name in names),
        replace(target, colour=colour, event="turns", value=target.colour),
        replace(target, colour=colour),
        replace(target, event="turns", value=third),
    ]
    fillers = [target, replace(target, colour=colour)]
    things = [*things, *rng.choices(fillers, k=max(0, knobs.n - len(things)))]
    program = Program((*clauses, Clause("turns", colour)))
    return Draft(program=program, things=_set_times(rng, things))


def draft_enter(rng: random.Random, knobs: Knobs) -> Draft:
    """`the red square that comes in from the left`: others of its look come in from the right, go
    out, or are there all the time."""
    return _draft_crossing(rng, knobs, "enters", "leaves")


def draft_leave(rng: random.Random, knobs: Knobs) -> Draft:
    """`the red square that goes out to the left`."""
    return _draft_crossing(rng, knobs, "leaves", "enters")


def _draft_crossing(rng: random.Random, knobs: Knobs, kind: str, backwards: str) -> Draft:
    target, names, twins, clauses = _draw_target(rng, knobs, knobs.k - 1)
    side = rng.choice(("left", "right"))
    target = replace(target, event=kind, value=side)
    things = [target, *(change(target, name, twins[name]) for name in names)]
    # One that does the opposite on the same side is meant in the clip played backwards.
    alike = [
        replace(target, event=backwards),
        replace(target, value=OPPOSITE[side]),
        replace(target, event="", value=""),
        replace(target, event=backwards, value=OPPOSITE[side]),
    ]
    missing = knobs.n - len(things)
    things += alike[:missing]
    things += [replace(target, event="", value="")] * (missing - len(alike))
    clause = Clause(cast(ClauseKind, kind), side)
    return Draft(program=Program((*clauses, clause)), things=_set_times(rng, things))


def draft_touch(rng: random.Random, knobs: Knobs) -> Draft:
    """`the red square that comes to touch the star`: another red square touches the ring."""
    return _draft_meeting(rng, knobs, "touches")


def draft_pass(rng: random.Random, knobs: Knobs) -> Draft:
    """`the red square that passes in front of the star`: another passes in front of the ring."""
    return _draft_meeting(rng, knobs, "passes")


def _draft_meeting(rng: random.Random, knobs: Knobs, kind: str) -> Draft:
    target, names, twins, clauses = _draw_target(rng, knobs, knobs.k - 1)
    shape = choose_other(rng, "shape", target.shape, twins.get("shape", target.shape))
    other_shape = choose_other(rng, "shape", target.shape, twins.get("shape", target.shape), shape)
    landmark = replace(draw_look(rng), shape=shape, size=target.size)
    # Alike but for the shape: the words name nothing else.
    other = replace(landmark, shape=other_shape)
    looks = [target, *(change(target, name, twins[name]) for name in names), target]
    # All go, the last one to the other landmark; they stand right after them.
    first, second = len(looks), len(looks) + 1
    earliest_s, latest_s = MEETING_S[kind]
    # Those that go to the same one come there one after the other.
    step_s = (latest_s - earliest_s) / len(looks)
    turns = rng.sample(range(len(looks)), len(looks))
    going = [
        replace(
            look,
            event=kind,
            partner=second if index == len(looks) - 1 else first,
            onset_s=round(earliest_s + step_s * (turn + rng.uniform(0.1, 0.6)), 2),
        )
        for index, (look, turn) in enumerate(zip(looks, turns, strict=True))
    ]
    things = [*going, landmark, other]
    things += [target] * (knobs.n - len(things))
    clause = Clause(cast(ClauseKind, kind), landmark=Program((Clause("shape", shape),)))
    return Draft(program=Program((*clauses, clause)), things=things)


def _draw_target(
    rng: random.Random, knobs: Knobs, count: int, options: Sequence[str] = ATTRIBUTES
) -> tuple[Thing, list[str], dict[str, str], list[Clause]]:
    """A look, `count` attributes that are said of it, their twins, and the clauses."""
    target = draw_look(rng)
    names = choose_attributes(rng, count, options)
    twins, clauses = draw_twins(rng, target, names, knobs.negation)
    return target, names, twins, clauses


def _set_times(rng: random.Random, things: list[Thing]) -> list[Thing]:
    """Onsets in any order."""
    acting = [index for index, thing in enumerate(things) if thing.event]
    rng.shuffle(acting)
    timed = dict(zip(acting, _time_in_order(rng, [things[index] for index in acting]), strict=True))
    return [timed.get(index, thing) for index, thing in enumerate(things)]


def _time_in_order(rng: random.Random, things: list[Thing]) -> list[Thing]:
    """Onsets one after the other, `GAP_S` or more apart, and one travel for all."""
    # Less far where there are more.
    travel = round(rng.uniform(0.2, 0.26) - 0.012 * max(0, len(things) - 4), 3)
    timed = []
    onset_s = FIRST_ONSET_S
    for index, thing in enumerate(things):
        onset_s = round(onset_s + rng.uniform(0.0, 0.08), 2)
        if thing.event == "turns" and index and things[index - 1].event != "turns":
            # A turn has no length: backwards, too, it must be half a second from what was before.
            onset_s += MOTION_S
        # What turns does so at once; it ends then, too.
        length_s = 0.0 if thing.event == "turns" else MOTION_S
        timed.append(replace(thing, onset_s=onset_s, length_s=length_s, travel=travel))
        onset_s += GAP_S + 0.01
    return timed


VIDEO_DRAFTS: dict[str, Callable[[random.Random, Knobs], Draft]] = {
    "motion": draft_motion,
    "order": draft_order,
    "sequence": draft_sequence,
    "touch": draft_touch,
    "pass": draft_pass,
    "enter": draft_enter,
    "leave": draft_leave,
    "turn": draft_turn,
}
