"""Where things are put: apart from each other, whoever is meant, and inside the frame."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from mmreason.grounding.refadv.drafts import Draft
from mmreason.grounding.refadv.things import ASPECT, LEAST_APART, Thing

TRIES = 40
MARGIN = 0.02
"""Frame heights between two things, and to the edge of the frame."""
_SCALES = ((4, 0.85), (6, 0.66), (8, 0.58), (12, 0.47), (20, 0.36))
"""Of all things of a scene, by how many there are at most."""

Rectangle = tuple[float, float, float, float]


def choose_scale(count: int) -> float:
    """The scale of a scene of `count` things: smaller where there are more.

    Example:
        >>> choose_scale(4), choose_scale(9)
        (0.85, 0.47)
    """
    return next((scale for most, scale in _SCALES if count <= most), 0.3)


def find_places(rng: random.Random, draft: Draft) -> list[Thing] | None:
    """The things with places where nothing meets anything on its way; None where none is found.

    Every start lies where a travel to either side would stay inside the frame, so that in the first
    frame no place tells who will go where.
    """
    things, scale = draft.things, choose_scale(len(draft.things))
    reach_x = max((t.travel for t in things if t.value in ("left", "right")), default=0.0)
    reach_y = max((t.travel for t in things if t.value in ("up", "down")), default=0.0)
    placed: list[Thing | None] = [None] * len(things)
    swept: list[Rectangle] = []
    # In any order, or the first would have its pick of places.
    for index in rng.sample(range(len(things)), len(things)):
        thing = things[index]
        edge = thing.radius(scale) + MARGIN
        for _ in range(TRIES):
            x = rng.uniform(edge + reach_x, ASPECT - edge - reach_x)
            y = rng.uniform(edge + reach_y, 1 - edge - reach_y)
            if draft.zones is not None and thing.zone >= 0:
                middle = draft.zones[thing.zone] + rng.uniform(-0.04, 0.04)
                x, y = (ASPECT * middle, y) if draft.axis == "x" else (x, middle)
            trial = replace(thing, x=round(x, 4), y=round(y, 4))
            rectangle = _sweep(trial, scale)
            if not any(_meet(rectangle, other) for other in swept):
                placed[index] = trial
                swept.append(rectangle)
                break
        else:
            return None
    found = [thing for thing in placed if thing is not None]
    return found if is_spread([found[index] for index in draft.spread], draft.axis) else None


def is_spread(things: Sequence[Thing], axis: str) -> bool:
    """Whether all lie far enough apart along an axis to be put in order.

    Example:
        >>> is_spread([Thing(x=0.2), Thing(x=0.3)], "x")
        False
    """
    span = ASPECT if axis == "x" else 1.0
    values = sorted(getattr(thing, axis) for thing in things)
    return all(b - a >= LEAST_APART * span for a, b in zip(values, values[1:], strict=False))


def _sweep(thing: Thing, scale: float) -> Rectangle:
    """What a thing covers on its way: x1, y1, x2, y2."""
    radius = thing.radius(scale) + MARGIN / 2
    x1 = x2 = thing.x
    y1 = y2 = thing.y
    if thing.event == "moves":
        x1 -= thing.travel if thing.value == "left" else 0.0
        x2 += thing.travel if thing.value == "right" else 0.0
        y1 -= thing.travel if thing.value == "up" else 0.0
        y2 += thing.travel if thing.value == "down" else 0.0
    elif thing.event in ("enters", "leaves"):
        x1, x2 = (-1.0, x2) if thing.value == "left" else (x1, ASPECT + 1.0)
    return x1 - radius, y1 - radius, x2 + radius, y2 + radius


def _meet(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
