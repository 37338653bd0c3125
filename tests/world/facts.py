"""What a script shows, worked out the slow way: each actor is looked up every 20 ms.

A second opinion on `mmreason.video.world.truth`; shares no code with it but the script's types and,
for what is drawn, the renderer. Leaves out what can be asked (`test_questions.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmreason.video.types import Span
from mmreason.video.world.render import draw_frame
from mmreason.video.world.script import RADIUS, Actor, Scene, World

STEP_S = 0.02


@dataclass(frozen=True)
class Fact:
    """An actor and the moments (of the grid of 20 ms) at which it can be seen in a span."""

    actor: Actor
    scene: Scene
    times_s: tuple[float, ...]
    colours: dict[str, float]
    """Its colours in order, and for how many seconds each can be seen."""

    @property
    def seen_s(self) -> float:
        return len(self.times_s) * STEP_S

    def has(self, word: str) -> bool:
        actor = self.actor
        return word == "object" or word in (*self.colours, actor.shape, actor.size, actor.pattern)


def facts(world: World, span: Span) -> list[Fact]:
    """All actors that can be seen at one moment of the grid or more, by first sight."""
    grid_s = span.start_s + STEP_S * (np.arange(int(span.duration_s / STEP_S)) + 0.5)
    found = []
    for scene in world.scenes:
        inside = [float(t) for t in grid_s if scene.start_s <= t < scene.end_s]
        for actor in scene.actors:
            times_s = tuple(t for t in inside if _is_there(world, scene, actor, t))
            colours: dict[str, float] = {}
            for t in times_s:
                colour = _colour(scene, actor, t)
                colours[colour] = colours.get(colour, 0.0) + STEP_S
            if times_s:
                found.append(Fact(actor, scene, times_s, colours))
    return sorted(found, key=lambda fact: fact.times_s[0])


def _is_there(world: World, scene: Scene, actor: Actor, time_s: float) -> bool:
    for event in scene.events:
        if event.actor == actor.id and event.kind == "appear" and time_s < event.time_s:
            return False
        if event.actor == actor.id and event.kind == "disappear" and time_s >= event.time_s:
            return False
    kind = actor.motion.kind
    if kind not in ("enter", "leave"):
        return True
    length_s = scene.end_s - scene.start_s
    since_s = time_s - scene.start_s if kind == "enter" else scene.end_s - time_s
    share = min(1.0, since_s / (0.4 * length_s))
    width, hidden = world.width_px / world.height_px, 1.2 * RADIUS[actor.size]
    way = actor.x * width if actor.motion.side == "left" else (1 - actor.x) * width
    return share * (way + hidden) >= hidden


def _colour(scene: Scene, actor: Actor, time_s: float) -> str:
    changes = [e for e in scene.events if e.actor == actor.id and e.kind == "change_colour"]
    past = sorted((e for e in changes if e.time_s <= time_s), key=lambda e: e.time_s)
    return str(past[-1].colour) if past else actor.colour


def centres(
    world: World, fact: Fact, times_s: list[float], height_px: int = 72
) -> list[tuple[float, float]]:
    """Where the drawn pixels of an actor have their middle at times, in frame heights."""
    index = fact.scene.actors.index(fact.actor)
    width_px = round(height_px * world.width_px / world.height_px)
    found = []
    for time_s in times_s:
        seen = draw_frame(world, time_s, (width_px, height_px)).coverage[index]
        total = max(1e-9, float(seen.sum()))
        x = float((seen.sum(0) * (np.arange(width_px) + 0.5)).sum()) / total / height_px
        y = float((seen.sum(1) * (np.arange(height_px) + 0.5)).sum()) / total / height_px
        found.append((x, y))
    return found
