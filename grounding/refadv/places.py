"""Where things are put: apart from each other, whoever is meant, and inside the frame."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from mmreason.grounding.refadv.things import ASPECT, Rectangle, Thing

TRIES = 40
MARGIN = 0.02
"""Frame heights between two things, and to the edge of the frame."""
_SCALES = ((4, 0.85), (6, 0.66), (8, 0.58), (12, 0.47), (20, 0.36))
"""Of all things of a scene, by how many there are at most."""


def choose_scale(count: int) -> float:
    """The scale of a scene of `count` things: smaller where there are more.

    Example:
        >>> choose_scale(4), choose_scale(9)
        (0.85, 0.47)
    """
    return next((scale for most, scale in _SCALES if count <= most), 0.3)


def find_places(rng: random.Random, things: Sequence[Thing]) -> list[Thing] | None:
    """The things with places where nothing meets anything on its way; None where none is found.

    Every start lies where a travel to either side would stay inside the frame, so that in the first
    frame no place tells who will go where.
    """
    scale = choose_scale(len(things))
    reach_x = max((t.travel for t in things if t.value in ("left", "right")), default=0.0)
    reach_y = max((t.travel for t in things if t.value in ("up", "down")), default=0.0)
    placed: list[Thing | None] = [None] * len(things)
    swept: list[Rectangle] = []
    # In any order, or the first would have its pick of places.
    for index in rng.sample(range(len(things)), len(things)):
        thing = things[index]
        edge = thing.radius(scale) + MARGIN
        x_low, x_high = edge + reach_x, ASPECT - edge - reach_x
        y_low, y_high = edge + reach_y, 1 - edge - reach_y
        if thing.within is not None:
            left, top, right, bottom = thing.within
            x_low, x_high = max(x_low, ASPECT * left), min(x_high, ASPECT * right)
            y_low, y_high = max(y_low, top), min(y_high, bottom)
        left, top, right, bottom = _sweep(thing, scale)
        for _ in range(TRIES):
            x = round(x_low + (x_high - x_low) * rng.random(), 4)
            y = round(y_low + (y_high - y_low) * rng.random(), 4)
            rectangle = (x - left, y - top, x + right, y + bottom)
            if not any(_meet(rectangle, other) for other in swept):
                placed[index] = replace(thing, x=x, y=y)
                swept.append(rectangle)
                break
        else:
            return None
    return [thing for thing in placed if thing is not None]


def _sweep(thing: Thing, scale: float) -> Rectangle:
    """How far a thing reaches on its way, from where it starts: left, top, right, bottom."""
    radius = thing.radius(scale) + MARGIN / 2
    reach = {"left": radius, "up": radius, "right": radius, "down": radius}
    if thing.event == "moves":
        reach[thing.value] += thing.travel
    elif thing.event in ("enters", "leaves"):
        reach[thing.value] = 2 * ASPECT
    return reach["left"], reach["up"], reach["right"], reach["down"]


def _meet(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
