"""What can be seen of every object of a saved scene: looks, places, and what it does, measured from
its positions at sampled times.

This is the certifier's own reading of a scene. It takes nothing from what the generator knew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from mmreason.video.world import World
from mmreason.video.world.motion import actor_position, colour_at, presence_span
from mmreason.video.world.script import Actor, Scene
from mmreason.video.world.shapes import find_outline, signed_distance
from mmreason.video.world.truth import box_at

SAMPLE_HZ = 8.0
_LEAST_TRAVEL = 0.1
"""Frame heights: what goes less far is not said to move."""
_MOVED = 1e-3
"""Frame heights: what has gone as far has begun to move."""
_TOUCHING = 0.01
"""Frame heights between two outlines that touch, at most."""
_PRESSED = 0.04
"""Frame heights that an outline which touches another reaches into it, at most: a script's meeting
is found by halving, which may stop a little late at corners."""
_CLEAR = 0.08
"""Frame heights between two outlines that do not touch, at least."""
_HALVINGS = 10
OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Facts:
    """One object as it is seen. Times in seconds of the clip."""

    id: str
    colour: str
    """In the first frame, as all that is said of looks and places."""
    shape: str
    size: str
    pattern: str
    x: float
    """Centre, in frame widths."""
    y: float
    """Centre, in frame heights."""
    moves: str = ""
    """left, right, up, down where it goes one way inside the frame, else ""."""
    enters: str = ""
    leaves: str = ""
    """Side where it comes in or goes out."""
    turns: str = ""
    """Its last colour where that is another than the first."""
    begins_s: float = math.inf
    ends_s: float = math.inf
    """When what it does begins and ends; infinite where it does nothing."""
    touches: frozenset[str] = field(default_factory=frozenset)
    """Ids of those that it comes to touch."""
    passes: frozenset[str] = field(default_factory=frozenset)
    """Ids of those that it passes in front of."""
    shown: tuple[tuple[str, ...] | None, ...] = ()
    """For every sampled time its look, None where it is not to be seen."""


def measure(world: World, time_s: float | None) -> list[Facts]:
    """Facts of all objects of a world of one scene: at `time_s` of a picture, or over the whole
    clip (None). Raises ValueError where the world has several scenes, or an object does several
    things."""
    if len(world.scenes) != 1:
        raise ValueError(f"an item has one scene, got {len(world.scenes)}")
    scene = world.scenes[0]
    if time_s is not None:
        return [_look(world, scene, actor, time_s) for actor in scene.actors]
    count = max(2, math.ceil(world.duration_s * SAMPLE_HZ))
    last_s = (world.frame_count - 1) / world.fps_hz
    times_s = [last_s * index / (count - 1) for index in range(count)]
    paths = [_find_path(world, scene, actor, times_s) for actor in scene.actors]
    facts = []
    for actor, path in zip(scene.actors, paths, strict=True):
        radius = scene.radius(actor)
        seen = [
            # Whole inside the frame, or enough of it.
            (radius <= x <= world.aspect - radius and radius <= y <= 1 - radius)
            or box_at(world, scene, actor, time_s) is not None
            for (x, y), time_s in zip(path, times_s, strict=True)
        ]
        facts.append(_measure_actor(world, scene, actor, path, seen, times_s))
    return _add_meetings(world, scene, facts, paths)


def _find_path(world: World, scene: Scene, actor: Actor, times_s: list[float]) -> list[Place]:
    if actor.motion.kind == "still" and not any(event.actor == actor.id for event in scene.events):
        return [actor_position(world, scene, actor, 0.0)] * len(times_s)
    return [actor_position(world, scene, actor, time_s) for time_s in times_s]


def reverse_facts(facts: list[Facts], last_s: float) -> list[Facts]:
    """The facts of the same clip from its last frame to its first."""
    reversed_facts = []
    for fact in facts:
        turned = replace(
            fact,
            moves=OPPOSITE.get(fact.moves, ""),
            enters=fact.leaves,
            leaves=fact.enters,
            turns=fact.colour if fact.turns else "",
            colour=fact.turns or fact.colour,
            # Those that came together part.
            touches=frozenset(),
            shown=fact.shown[::-1],
        )
        if math.isfinite(fact.begins_s):
            turned = replace(turned, begins_s=last_s - fact.ends_s, ends_s=last_s - fact.begins_s)
        reversed_facts.append(turned)
    return reversed_facts


def _look(world: World, scene: Scene, actor: Actor, time_s: float) -> Facts:
    x, y = actor_position(world, scene, actor, time_s)
    colour = colour_at(scene, actor, time_s)
    look = (colour, actor.shape, actor.size, actor.pattern)
    if box_at(world, scene, actor, time_s) is None:
        raise ValueError(f"{actor.id} is not to be seen in the picture")
    return Facts(actor.id, *look, x / world.aspect, y, shown=(look,))


def _measure_actor(
    world: World,
    scene: Scene,
    actor: Actor,
    path: list[Place],
    seen: list[bool],
    times_s: list[float],
) -> Facts:
    last_s = times_s[-1]
    present = presence_span(scene, actor)
    if present.start_s > scene.start_s or present.end_s < last_s:
        raise ValueError(f"{actor.id} appears or disappears, of which no expression speaks")
    turning = any(event.kind == "change_colour" for event in scene.events)
    colours: list[str] = [actor.colour] * len(times_s)
    if turning:
        colours = [colour_at(scene, actor, t) for t in times_s]
    shown = tuple(
        (colour, actor.shape, actor.size, actor.pattern) if visible else None
        for colour, visible in zip(colours, seen, strict=True)
    )
    x, y = path[0]
    fact = Facts(
        actor.id, colours[0], actor.shape, actor.size, actor.pattern, x / world.aspect, y,
        shown=shown,
    )  # fmt: skip
    start, end = path[0], path[-1]

    def gone(time_s: float) -> bool:
        return math.dist(actor_position(world, scene, actor, time_s), start) > _MOVED

    def arrived(time_s: float) -> bool:
        return math.dist(actor_position(world, scene, actor, time_s), end) <= _MOVED

    moved = math.dist(start, end) >= _LEAST_TRAVEL
    if not moved and max(math.dist(start, place) for place in path) > _MOVED:
        raise ValueError(f"{actor.id} moves and comes back, of which no expression speaks")
    changed = colours[-1] != colours[0]
    if moved and changed:
        raise ValueError(f"{actor.id} moves and changes colour: one would be told from the other")
    if changed:
        # Bound now: the closure below is asked within this call only.
        first = colours[0]
        turn_s = _first_time(lambda t: colour_at(scene, actor, t) != first, times_s)
        return replace(fact, turns=colours[-1], begins_s=turn_s, ends_s=turn_s)
    if not moved:
        return fact
    fact = replace(fact, begins_s=_first_time(gone, times_s), ends_s=_first_time(arrived, times_s))
    if seen[0] and seen[-1]:
        return replace(fact, moves=_direction(start, end))
    if seen[0] == seen[-1]:
        raise ValueError(f"{actor.id} is to be seen neither in the first nor in the last frame")
    outer = end if seen[0] else start
    side = "left" if outer[0] < world.aspect / 2 else "right"
    return replace(fact, leaves=side) if seen[0] else replace(fact, enters=side)


def _direction(start: Place, end: Place) -> str:
    dx, dy = end[0] - start[0], end[1] - start[1]
    # Told only where one axis is clearly the greater.
    if abs(dx) >= 2 * abs(dy):
        return "right" if dx > 0 else "left"
    if abs(dy) >= 2 * abs(dx):
        return "down" if dy > 0 else "up"
    return "askew"


def _first_time(happened: Callable[[float], bool], times_s: list[float]) -> float:
    """When something that stays true becomes true: between samples by halving."""
    index = next((i for i, time_s in enumerate(times_s) if happened(time_s)), None)
    if index is None:
        return math.inf
    if index == 0:
        return times_s[0]
    low, high = times_s[index - 1], times_s[index]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if happened(middle) else (middle, high)
    return high


def _add_meetings(
    world: World, scene: Scene, facts: list[Facts], paths: list[list[Place]]
) -> list[Facts]:
    """Who comes to touch whom, and who passes in front of whom, by the distances of outlines."""
    front = {event.actor for event in scene.events if event.kind == "occlude"}
    actors = scene.actors
    touches: dict[str, set[str]] = {actor.id: set() for actor in actors}
    passes: dict[str, set[str]] = {actor.id: set() for actor in actors}
    for i, actor in enumerate(actors):
        # Only those that go somewhere come to meet others.
        if not math.isfinite(facts[i].begins_s) or facts[i].turns:
            continue
        for j, other in enumerate(actors):
            if i == j:
                continue
            reach = scene.radius(actor) + scene.radius(other)
            nearest = min(math.dist(p, q) for p, q in zip(paths[i], paths[j], strict=True))
            if nearest > reach + _CLEAR:
                continue
            if nearest < 0.5 * reach and (actor.id in front) > (other.id in front):
                passes[actor.id].add(other.id)
            elif math.dist(paths[i][0], paths[j][0]) > reach + _CLEAR:
                # Those that come to touch were apart before.
                gap = _gap(scene, actor, other, paths[i][-1], paths[j][-1])
                if -_PRESSED <= gap <= _TOUCHING:
                    touches[actor.id].add(other.id)
    return [
        replace(fact, touches=frozenset(touches[fact.id]), passes=frozenset(passes[fact.id]))
        for fact in facts
    ]


def _gap(scene: Scene, actor: Actor, other: Actor, place: Place, other_place: Place) -> float:
    """Frame heights between two outlines; negative where one reaches into the other."""
    if math.dist(place, other_place) > scene.radius(actor) + scene.radius(other) + _CLEAR:
        return math.inf
    return min(
        _least_distance(scene, actor, place, other, other_place),
        _least_distance(scene, other, other_place, actor, place),
    )


def _least_distance(
    scene: Scene, actor: Actor, place: Place, other: Actor, other_place: Place
) -> float:
    """From the outline of one to the other."""
    radius, other_radius = scene.radius(actor), scene.radius(other)
    points = radius * find_outline(actor.shape) + np.subtract(place, other_place)
    x, y = (points / other_radius).T
    return float(signed_distance(other.shape, x, y).min()) * other_radius
