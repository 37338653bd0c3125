"""Where an actor is, what colour it has and whether it is there, at a time of the script. Pure
functions of the script.

Positions are in frame heights (both axes), so that shapes keep their form on any canvas.
"""

from __future__ import annotations

import math

from mmreason.video.types import Span
from mmreason.video.world.script import Actor, Colour, Event, Motion, Scene, World
from mmreason.video.world.shapes import touching_distance

DIRECTION = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
ENTER_SHARE = 0.4
"""Share of the scene that an `enter` or `leave` takes."""


def actor_position(world: World, scene: Scene, actor: Actor, time_s: float) -> tuple[float, float]:
    """Centre of an actor in frame heights: x in 0..aspect, y in 0..1 (outside while entering or
    leaving)."""
    # Who meets another goes straight there, whatever its own motion says.
    for event in scene.events:
        if event.actor == actor.id and event.kind in ("touch", "occlude"):
            return _towards(world, scene, actor, event, time_s)
    x, y = actor.x * world.aspect, actor.y
    motion = actor.motion
    if motion.kind in DIRECTION:
        dx, dy = DIRECTION[motion.kind]
        done = _progress(scene, motion, time_s)
        return x + dx * motion.travel * done, y + dy * motion.travel * done
    if motion.kind in ("enter", "leave"):
        radius = scene.radius(actor)
        # A little more than the radius, so that nothing of it shows at the edge.
        outside = -1.2 * radius if motion.side == "left" else world.aspect + 1.2 * radius
        return x + (outside - x) * _share_outside(scene, motion, time_s), y
    turn = 2 * math.pi * _moving_s(scene, motion, time_s) / motion.period_s
    if motion.kind == "circle":
        return x + 0.16 * math.cos(turn), y + 0.16 * math.sin(turn)
    if motion.kind == "bounce":
        return x, y - 0.3 * abs(math.sin(turn / 2))
    return x, y


def _progress(scene: Scene, motion: Motion, time_s: float) -> float:
    """How much of a motion is over, 0..1: of the whole scene where it has no times of its own."""
    onset_s = motion.onset_s or 0.0
    length_s = motion.length_s or scene.end_s - scene.start_s - onset_s
    return min(1.0, max(0.0, (time_s - scene.start_s - onset_s) / length_s))


def _share_outside(scene: Scene, motion: Motion, time_s: float) -> float:
    """How much of the way in from outside is still to go (`enter`) or gone back (`leave`), 0..1."""
    done = _progress(scene, motion, time_s)
    if motion.onset_s is not None or motion.length_s is not None:
        return 1 - done if motion.kind == "enter" else done
    # Comes in over the first part of the scene, then stays; `leave` is the same backwards.
    if motion.kind == "leave":
        return max(0.0, 1 - (1 - done) / ENTER_SHARE)
    return max(0.0, 1 - done / ENTER_SHARE)


def _moving_s(scene: Scene, motion: Motion, time_s: float) -> float:
    """For how long a motion without an end of its own (`circle`, `bounce`) has gone on."""
    moving_s = time_s - scene.start_s
    if motion.onset_s is not None:
        moving_s = max(0.0, moving_s - motion.onset_s)
    return moving_s if motion.length_s is None else min(moving_s, motion.length_s)


def moving_span(scene: Scene, motion: Motion) -> Span:
    """When an actor of this motion moves within its scene.

    Example:
        >>> from mmreason.video.world.script import Scene
        >>> moving_span(Scene(start_s=0, end_s=10), Motion(kind="leave")).start_s
        6.0
    """
    length_s = scene.end_s - scene.start_s
    if motion.onset_s is None and motion.length_s is None and motion.kind in ("enter", "leave"):
        slot_s = ENTER_SHARE * length_s
        if motion.kind == "enter":
            return Span(scene.start_s, scene.start_s + slot_s)
        return Span(scene.end_s - slot_s, scene.end_s)
    onset_s = motion.onset_s or 0.0
    start_s = scene.start_s + onset_s
    return Span(start_s, min(scene.end_s, start_s + (motion.length_s or length_s - onset_s)))


def _towards(
    world: World, scene: Scene, actor: Actor, event: Event, time_s: float
) -> tuple[float, float]:
    """Even travel from the actor's own place to the other's, meeting at the event's time."""
    assert event.other is not None
    other = scene.actor(event.other)
    # The other may move as well: the goal is where it is when they meet.
    goal = actor_position(world, scene, other, event.time_s)
    start = (actor.x * world.aspect, actor.y)
    away = math.dist(start, goal)
    # A meeting as the scene begins is over at once, without a division by zero.
    progress = (time_s - scene.start_s) / max(1e-9, event.time_s - scene.start_s)
    if event.kind == "touch":
        angle = math.atan2(start[1] - goal[1], start[0] - goal[0])
        # Touching stops at the edge of the other, passing in front goes on.
        gap = away - touching_distance(
            actor.shape, scene.radius(actor), other.shape, scene.radius(other), angle
        )
        gap = max(0.0, gap)
        progress = min(1.0, progress) * (gap / away if away else 0.0)
    return start[0] + (goal[0] - start[0]) * progress, start[1] + (goal[1] - start[1]) * progress


def colour_at(scene: Scene, actor: Actor, time_s: float) -> Colour:
    colour = actor.colour
    for event in sorted(scene.events, key=lambda e: e.time_s):
        if event.kind == "change_colour" and event.actor == actor.id and event.time_s <= time_s:
            assert event.colour is not None
            colour = event.colour
    return colour


def presence_span(scene: Scene, actor: Actor) -> Span:
    """When an actor is in its scene: from its `appear` (or the start) to its `disappear` (or the
    end)."""
    start_s, end_s = scene.start_s, scene.end_s
    for event in scene.events:
        if event.actor == actor.id and event.kind == "appear":
            start_s = event.time_s
        if event.actor == actor.id and event.kind == "disappear":
            end_s = event.time_s
    return Span(start_s, max(start_s, end_s))


def on_screen(world: World, scene: Scene, actor: Actor) -> Span:
    """When at least about half of an actor can be seen: its presence less the part spent outside
    the frame."""
    span = presence_span(scene, actor)
    slot = moving_span(scene, actor.motion)
    inset = actor.x * world.aspect
    if actor.motion.kind in ("enter", "leave"):
        if actor.motion.side == "right":
            inset = world.aspect - inset
        outside = 1.2 * scene.radius(actor)
        # Speed is even, so the part of the way outside is that part of the time.
        hidden_s = slot.duration_s * outside / (outside + inset)
        if actor.motion.kind == "enter":
            start_s = max(span.start_s, slot.start_s + hidden_s)
            return Span(start_s, max(start_s, span.end_s))
        return Span(span.start_s, max(span.start_s, min(span.end_s, slot.end_s - hidden_s)))
    return span
