"""What the generator knows of each object while it builds a scene, and what a program means there.

`certify` does not use any of this: it solves the saved scene.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mmreason.grounding.refadv.programs import ATTRIBUTES, EVENTS, Clause, Pick, Program
from mmreason.video.world.script import RADIUS

ASPECT = 16 / 9
LEAST_APART = 0.1
"""Of the frame's width or height: the least difference in place that is spoken of."""
OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}
Rectangle = tuple[float, float, float, float]
AXIS_SPAN = {"x": ASPECT, "y": 1.0}


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: how it looks, where it is, and what it does."""

    colour: str = "red"
    shape: str = "square"
    size: str = "small"
    pattern: str = "plain"
    x: float = 0.0
    """Centre in frame heights, 0..16/9."""
    y: float = 0.0
    event: str = ""
    """What it does, of `moves`, `enters`, `leaves`, `turns`, `touches`, `passes`; "" nothing."""
    value: str = ""
    """Which way it moves, from or to which side, or to which colour."""
    onset_s: float = 0.0
    length_s: float = 0.0
    travel: float = 0.0
    partner: int = -1
    """Whom it touches or passes: index among the things of the scene."""
    within: Rectangle | None = None
    """Where its centre may be put: x1, y1, x2, y2 in frame widths and heights; None anywhere."""

    def radius(self, scale: float) -> float:
        """In frame heights."""
        return RADIUS[self.size] * scale


def change(thing: Thing, attribute: str, value: str) -> Thing:
    """The thing with another value of one descriptor (`moves` counts as one)."""
    if attribute in ATTRIBUTES:
        return replace(thing, **{attribute: value})
    return replace(thing, event=attribute if value else "", value=value)


def reverse_things(things: Sequence[Thing], duration_s: float) -> list[Thing]:
    """The same scene played backwards."""
    reversed_things = []
    for thing in things:
        turned = replace(thing, onset_s=round(duration_s - thing.onset_s - thing.length_s, 6))
        if thing.event == "moves":
            turned = replace(turned, value=OPPOSITE[thing.value])
        elif thing.event == "enters":
            turned = replace(turned, event="leaves")
        elif thing.event == "leaves":
            turned = replace(turned, event="enters")
        elif thing.event == "turns":
            turned = replace(turned, colour=thing.value, value=thing.colour)
        elif thing.event == "touches":
            # Those that came together part.
            turned = replace(turned, event="")
        reversed_things.append(turned)
    return reversed_things


def denote(program: Program, things: Sequence[Thing]) -> tuple[int, ...]:
    """Indices of the things that a program means; none where a landmark is not a single one."""
    indices = list(range(len(things)))
    for clause in program.clauses:
        fits = find_fitting(clause, things)
        indices = [i for i in indices if i in fits]
    if program.pick is not None:
        indices = _pick(program, program.pick, things, indices)
    return tuple(indices)


def find_fitting(clause: Clause, things: Sequence[Thing]) -> set[int]:
    """Indices of all things of which one clause is true."""
    landmark = -1
    if clause.landmark is not None:
        found = denote(clause.landmark, things)
        # "the ring" means nothing where there are two.
        if len(found) != 1:
            return set()
        landmark = found[0]
    return {
        i
        for i, thing in enumerate(things)
        if i != landmark and _fits(clause, thing, things, landmark) != clause.negated
    }


def _fits(clause: Clause, thing: Thing, things: Sequence[Thing], landmark: int) -> bool:
    kind, value = clause.kind, clause.value
    if kind in ATTRIBUTES:
        return getattr(thing, kind) == value
    if kind in EVENTS:
        return thing.event == kind and thing.value == value
    if kind == "count":
        attribute, number = value.split()
        own = getattr(thing, attribute)
        return sum(getattr(other, attribute) == own for other in things) == int(number)
    other = things[landmark]
    if kind == "same":
        return getattr(thing, value) == getattr(other, value)
    if kind in ("touches", "passes"):
        return thing.event == kind and thing.partner == landmark
    if kind in ("before", "after"):
        if thing.event != "moves" or other.event != value:
            return False
        later = thing.onset_s > other.onset_s
        return later == (kind == "after")
    axis = "x" if value in ("left", "right") else "y"
    apart = getattr(thing, axis) - getattr(other, axis)
    return (apart if value in ("right", "below") else -apart) >= LEAST_APART * AXIS_SPAN[axis]


def _pick(program: Program, pick: Pick, things: Sequence[Thing], indices: list[int]) -> list[int]:
    if pick.by in ("first", "last"):
        # Who does nothing has no time at which it begins.
        indices = [i for i in indices if things[i].event in EVENTS]
        ranked = sorted(indices, key=lambda i: things[i].onset_s)
        ranked = ranked[::-1] if pick.by == "last" else ranked
    else:
        axis = "x" if pick.by in ("left", "right") else "y"
        ranked = sorted(indices, key=lambda i: getattr(things[i], axis))
        ranked = ranked[::-1] if pick.by in ("right", "bottom") else ranked
    return ranked[pick.rank - 1 : pick.rank]


def count_fitting(program: Program, things: Sequence[Thing]) -> Iterator[int]:
    """For every thing how many clauses of the program it fits."""
    fitting = [find_fitting(clause, things) for clause in program.clauses]
    for index in range(len(things)):
        yield sum(index in fits for fits in fitting)
