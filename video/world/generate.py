"""Seeded worlds within perceptual margins: the same seed always writes the same script.

Margins: sizes differ by 1.6, hues by 30 degrees or more, onsets by 0.5 s or more, actors keep
apart so that at
least 60 % of each can be seen (but for those that enter, leave or are passed in front of on
purpose).
"""

from __future__ import annotations

import math
import random
from typing import get_args

from mmreason.video.world.motion import actor_position
from mmreason.video.world.script import (
    RADIUS,
    Actor,
    Background,
    Colour,
    Event,
    Motion,
    MotionKind,
    Pattern,
    Scene,
    Shape,
    Size,
    SubtitleLine,
    World,
)

WORDS = (
    "STOP", "GO", "EXIT", "OPEN", "START", "NORTH", "SOUTH", "EAST",
    "WEST", "MENU", "SALE", "TAXI", "HOTEL", "PARK", "CAFE", "ZOO",
)  # fmt: skip
TEXT_FLOOR = 0.76
"""Actors stay above this height where a word is on the screen."""


def scene(
    rng: random.Random,
    start_s: float,
    length_s: float,
    *,
    actors: int,
    text_share: float = 0.15,
    event_share: float = 0.3,
    still_share: float = 0.3,
) -> Scene:
    """One scene of about `actors` actors (fewer where no free place is found)."""
    text = rng.choice(WORDS) if rng.random() < text_share else None
    blank = Scene(
        start_s=round(start_s, 3),
        end_s=round(start_s + length_s, 3),
        background=rng.choice(get_args(Background)),
        text=text,
    )
    # A world of this scene alone, since positions are computed within one. `model_copy` does not
    # validate: it starts before this scene, whose own times stay.
    world = World(scenes=(blank.model_copy(update={"start_s": 0.0}),))
    placed: list[Actor] = []
    for index in range(actors):
        # Drawn until it fits; a crowded scene goes without the last ones.
        for _ in range(40):
            actor = _actor(rng, f"a{index}", still_share)
            trial = blank.model_copy(update={"actors": (*placed, actor)})
            if _looks_apart(actor, placed) and _has_room(world, trial, actor):
                placed.append(actor)
                break
    full = blank.model_copy(update={"actors": tuple(placed)})
    if rng.random() < event_share:
        full = full.model_copy(update={"events": _events(rng, world, full)})
    return full


def _actor(rng: random.Random, name: str, still_share: float) -> Actor:
    kinds = [kind for kind in get_args(MotionKind) if kind != "still"]
    kind: MotionKind = "still" if rng.random() < still_share else rng.choice(kinds)
    upright = kind in ("up", "down")
    motion = Motion(
        kind=kind,
        # The frame is wider than high.
        travel=round(rng.uniform(0.35, 0.5) if upright else rng.uniform(0.5, 0.9), 3),
        side=rng.choice(("left", "right")),
    )
    return Actor(
        id=name,
        shape=rng.choice(get_args(Shape)),
        colour=rng.choice(get_args(Colour)),
        size=rng.choice(get_args(Size)),
        # Twice in the draw: most things should be plain.
        pattern=rng.choice((*get_args(Pattern), "plain")),
        x=round(rng.uniform(0.1, 0.9), 3),
        y=round(rng.uniform(0.14, 0.86), 3),
        motion=motion,
    )


def _looks_apart(actor: Actor, placed: list[Actor]) -> bool:
    """No two actors of a scene share both colour and shape."""
    return all((actor.colour, actor.shape) != (other.colour, other.shape) for other in placed)


def _has_room(world: World, trial: Scene, actor: Actor) -> bool:
    """The newcomer stays inside the frame (but where it enters or leaves) and clear of all
    others."""
    # Words stand at the bottom of the frame, and actors keep clear of them.
    floor = TEXT_FLOOR if trial.text else 1.0
    radius = RADIUS[actor.size]
    # Nine moments of a smooth way: nothing can pass between two of them unseen at these speeds.
    for step in range(9):
        time_s = trial.start_s + (trial.end_s - trial.start_s) * step / 8
        x, y = actor_position(world, trial, actor, time_s)
        # Those cross the edge on their way.
        crossing = actor.motion.kind in ("enter", "leave")
        if not crossing and not radius <= x <= world.aspect - radius:
            return False
        if not radius <= y <= floor - radius:
            return False
        for other in trial.actors[:-1]:
            apart = math.dist((x, y), actor_position(world, trial, other, time_s))
            # A little more than touching, so that two things stay two at every size of frame.
            if apart < 1.04 * (radius + RADIUS[other.size]):
                return False
    return True


def _events(rng: random.Random, world: World, full: Scene) -> tuple[Event, ...]:
    """One event for one of the still actors, at least 0.8 s from either end of the scene."""
    still = [a for a in full.actors if a.motion.kind == "still"]
    # Room for what was before the event and what is after it.
    if not still or full.end_s - full.start_s < 2.4:
        return ()
    actor = rng.choice(still)
    time_s = round(rng.uniform(full.start_s + 0.8, full.end_s - 0.8), 3)
    partners = [a for a in still if a.id != actor.id]
    kind = rng.choice(("appear", "disappear", "change_colour", "change_colour", "touch", "occlude"))
    if kind in ("appear", "disappear"):
        return (Event(kind=kind, actor=actor.id, time_s=time_s),)
    if kind == "change_colour" or not partners:
        used = {a.colour for a in full.actors}
        # A colour that nobody has, or it might become the double of another actor.
        colour = rng.choice([c for c in get_args(Colour) if c not in used])
        return (Event(kind="change_colour", actor=actor.id, time_s=time_s, colour=colour),)
    meeting = Event(kind=kind, actor=actor.id, time_s=time_s, other=rng.choice(partners).id)
    # A meeting is kept only where no third actor is in the way.
    trial = full.model_copy(update={"events": (meeting,)})
    return (meeting,) if _meeting_is_clear(world, trial, meeting) else ()


def _meeting_is_clear(world: World, trial: Scene, meeting: Event) -> bool:
    """A traveller meets its partner only: it stays on screen and clear of everybody else."""
    actor = trial.actor(meeting.actor)
    radius = RADIUS[actor.size]
    floor = TEXT_FLOOR if trial.text else 1.0
    for step in range(9):
        time_s = trial.start_s + (trial.end_s - trial.start_s) * step / 8
        x, y = actor_position(world, trial, actor, time_s)
        if not (radius <= x <= world.aspect - radius and radius <= y <= floor - radius):
            return False
        for other in trial.actors:
            if other.id not in (actor.id, meeting.other):
                apart = math.dist((x, y), actor_position(world, trial, other, time_s))
                if apart < 1.04 * (radius + RADIUS[other.size]):
                    return False
    return True


def world(
    seed: int, *, duration_s: float = 32.0, scene_s: float = 4.0, most_actors: int = 2
) -> World:
    """A world of any length: scenes of about `scene_s` (+-20 %) with 1 to `most_actors` actors.

    Example:
        >>> len(world(3, duration_s=40.0, scene_s=5.0).scenes)
        8
    """
    rng = random.Random(f"world/{seed}")
    count = max(1, round(duration_s / scene_s))
    lengths = [scene_s * rng.uniform(0.8, 1.2) for _ in range(count)]
    # Random lengths, scaled to add up to the length asked for.
    scale = duration_s / sum(lengths)
    scenes, start_s = [], 0.0
    for index, length_s in enumerate(lengths):
        # The last scene ends exactly there, whatever rounding has added up to.
        end_s = round(duration_s if index == count - 1 else start_s + length_s * scale, 3)
        drawn = scene(rng, start_s, end_s - start_s, actors=rng.randint(1, most_actors))
        # Each begins where the one before ended: worlds are refused for gaps.
        scenes.append(drawn.model_copy(update={"start_s": start_s, "end_s": end_s}))
        start_s = end_s
    return World(name=f"world-{seed}", seed=seed, scenes=tuple(scenes))


def demo(seed: int = 0) -> World:
    """The demo: 32 seconds, eight scenes, one shape that is seen only once, and a line of
    subtitle.

    Example:
        >>> demo(7).duration_s
        32.0
    """
    rng = random.Random(f"demo/{seed}")
    shapes = list(get_args(Shape))
    rng.shuffle(shapes)
    # The one that is seen once is what the demo asks for.
    chosen, common_shapes = shapes[0], shapes[1:]
    unique_index = rng.randrange(8)
    scenes = []
    for index in range(8):
        drawn = scene(
            rng, 4.0 * index, 4.0, actors=1 if index == unique_index else rng.randint(1, 2)
        )
        actors = [
            actor.model_copy(
                update={
                    "shape": chosen
                    if index == unique_index
                    else common_shapes[(rest_index + index) % len(common_shapes)]
                }
            )
            for rest_index, actor in enumerate(drawn.actors)
        ]
        # The shape that is asked for keeps its colour, or its answer would depend on the moment.
        events = tuple(
            e for e in drawn.events if index != unique_index or e.kind != "change_colour"
        )
        scenes.append(drawn.model_copy(update={"actors": tuple(actors), "events": events}))
    lines = (SubtitleLine(start_s=0.5, end_s=3.0, text="Welcome to a scripted world."),)
    return World(name=f"demo-{seed}", seed=seed, scenes=tuple(scenes), subtitles=lines)
