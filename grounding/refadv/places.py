"""Where things are put: apart from each other, whoever is meant, and inside the frame."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

from mmreason.grounding.refadv.things import ASPECT, Rectangle, Thing

TRIES = 40
MARGIN = 0.02
"""Frame heights between two things, and to the edge of the frame."""
LEAST_WAY = 0.15
"""Frame heights from outline to outline, for those that go to meet another."""
LEAST_CLIP_S = 4.0
"""Of a clip; also how long those last in which things meet."""
_STEPS = 13
"""Moments of a clip at which ways are compared."""
_SCALES = ((4, 0.85), (6, 0.66), (8, 0.58), (12, 0.47), (20, 0.36))
"""Of all things of a scene, by how many there are at most."""


Point = tuple[float, float]


def choose_scale(things: Sequence[Thing]) -> float:
    """The scale of a scene: smaller where there are more things, or where they go to each other.

    Example:
        >>> choose_scale([Thing()] * 4), choose_scale([Thing(event="passes")] * 4)
        (0.85, 0.58)
    """
    crowd = len(things) + 4 * any(thing.event in ("touches", "passes") for thing in things)
    return next((scale for most, scale in _SCALES if crowd <= most), 0.3)


def find_places(rng: random.Random, things: Sequence[Thing]) -> list[Thing] | None:
    """The things with places where nothing meets anything on its way; None where none is found.

    Every start lies where a travel to either side would stay inside the frame, so that in the first
    frame no place tells who will go where.
    """
    if any(thing.partner >= 0 for thing in things):
        return _find_meetings(rng, things)
    scale = choose_scale(things)
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


def _find_meetings(rng: random.Random, things: Sequence[Thing]) -> list[Thing] | None:
    """The same for scenes in which some go to others: those that wait first, then those that go,
    each with a way on which it meets nobody but its partner."""
    scale = choose_scale(things)
    radii = [thing.radius(scale) for thing in things]
    going = [index for index, thing in enumerate(things) if thing.partner >= 0]
    waiting = [index for index in range(len(things)) if index not in going]
    starts: dict[int, Point] = {}
    for index in rng.sample(waiting, len(waiting)):
        for _ in range(TRIES):
            start = _draw_point(rng, radii[index] + MARGIN)
            if all(
                math.dist(start, starts[other]) >= radii[index] + radii[other] + 2 * MARGIN
                for other in starts
            ):
                starts[index] = start
                break
        else:
            return None
    ways = {index: [start] * _STEPS for index, start in starts.items()}
    for index in rng.sample(going, len(going)):
        thing, edge = things[index], radii[index] + MARGIN
        partner, reach = starts[thing.partner], radii[index] + radii[thing.partner]
        for _ in range(TRIES):
            start = _draw_point(rng, edge)
            way = _find_way(start, partner, thing, reach)
            x, y = way[-1]
            if (
                edge <= x <= ASPECT - edge
                and edge <= y <= 1 - edge
                and _sets_out(way, partner, thing, reach)
                and not any(
                    _come_close(way, other_way, radii[index] + radii[other])
                    for other, other_way in ways.items()
                    if other != thing.partner
                )
            ):
                starts[index], ways[index] = start, way
                break
        else:
            return None
    return [
        replace(thing, x=starts[index][0], y=starts[index][1]) for index, thing in enumerate(things)
    ]


def _draw_point(rng: random.Random, edge: float) -> Point:
    x = edge + (ASPECT - 2 * edge) * rng.random()
    return round(x, 4), round(edge + (1 - 2 * edge) * rng.random(), 4)


def _find_way(start: Point, goal: Point, thing: Thing, reach: float) -> list[Point]:
    """Where a thing is at `_STEPS` times of a clip."""
    away = math.dist(start, goal)
    if not thing.event or not away:
        return [start] * _STEPS
    most = 1.0
    if thing.event == "touches":
        # Outlines meet where the centres are a little nearer than both radii.
        most = max(0.0, away - 0.9 * reach) / away
    dx, dy = goal[0] - start[0], goal[1] - start[1]
    way = []
    for step in range(_STEPS):
        done = LEAST_CLIP_S * step / (_STEPS - 1) / thing.onset_s
        if thing.event == "touches":
            done = min(1.0, done) * most
        way.append((start[0] + dx * done, start[1] + dy * done))
    return way


def _sets_out(way: list[Point], partner: Point, thing: Thing, reach: float) -> bool:
    """Whether it starts well away from whom it meets, and is well past it at the end."""
    far = [way[0], way[-1]] if thing.event == "passes" else [way[0]]
    return all(math.dist(point, partner) > reach + LEAST_WAY for point in far)


def _come_close(a: list[Point], b: list[Point], reach: float) -> bool:
    """Whether two that are on their ways at the same time come nearer than `reach`."""
    return any(math.dist(p, q) < reach + 2 * MARGIN for p, q in zip(a, b, strict=True))


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
