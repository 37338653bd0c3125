"""What is true of a world: sightings, captions at any level, boxes and tracks. Pure functions of
the script.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmreason.video.types import Span
from mmreason.video.world.motion import (
    actor_position,
    colour_at,
    moving_span,
    on_screen,
    presence_span,
)
from mmreason.video.world.script import Actor, Colour, Event, MotionKind, Scene, World
from mmreason.video.world.shapes import EXTENT

MOTION_PHRASE: dict[MotionKind, str] = {
    "still": "stays still",
    "left": "moves left",
    "right": "moves right",
    "up": "moves up",
    "down": "moves down",
    "enter": "comes in from the {side}",
    "leave": "goes out to the {side}",
    "circle": "goes in circles",
    "bounce": "bounces",
}
LEAST_COLOUR_S = 0.5
"""A colour shown for less than this, before or after a change, is not told."""
BRIEF_SCENES = 8
"""A caption of more scenes than this lists what is seen instead of telling scene by scene."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """An actor seen in a stretch of a world."""

    actor: Actor
    scene: Scene
    span: Span
    """When it can be seen, within the stretch."""
    colours: tuple[Colour, ...]
    """Its colours within the stretch, in order; two or more where it changes."""
    motion: MotionKind | None
    """How it moves within the stretch; None where the stretch shows too little to tell."""
    events: tuple[Event, ...]
    """The scene's events of this actor within the stretch; changes between colours that are both
    shown for a while only."""

    @property
    def colour(self) -> Colour:
        return self.colours[0]


def find_sightings(
    world: World, span: Span | None = None, *, least_s: float = 0.25
) -> list[Sighting]:
    """Actors that can be seen for at least `least_s` within `span` (default: the whole world), by
    first sight.

    Example:
        >>> from mmreason.video.world import generate
        >>> [name_sighting(s) for s in find_sightings(generate.demo(0), Span(0, 4))]
        ['red ring', 'blue star']

    Raises ValueError where the world is not played forward: what its scripts says of motions and
    events is then not what is seen.
    """
    if world.playback != "forward":
        raise ValueError(
            f"{world.name}: what happens is told of worlds played forward, "
            f"got playback {world.playback!r}"
        )
    span = span or world.span
    sightings = []
    for scene in world.scenes_in(span):
        for actor in scene.actors:
            # Seen is what lies inside the frame, while the actor is there, within the stretch.
            visible_span = on_screen(world, scene, actor).clip(span)
            if visible_span.duration_s < least_s:
                continue
            # All changes count for what colours are there, also those too short to be told as
            # events.
            turns = [e for e in _turns(scene, actor) if visible_span.contains(e.time_s)]
            colours: list[Colour] = [colour_at(scene, actor, visible_span.start_s)]
            for turn in turns:
                assert turn.colour is not None
                colours.append(turn.colour)
            events = tuple(
                e
                for e in scene.events
                if e.actor == actor.id
                and span.contains(e.time_s)
                and (e not in turns or _told(e, turns, visible_span, min(least_s, LEAST_COLOUR_S)))
            )
            motion = _motion_within(world, scene, actor, visible_span)
            sightings.append(
                Sighting(
                    actor=actor,
                    scene=scene,
                    span=visible_span,
                    colours=tuple(colours),
                    motion=motion,
                    events=events,
                )
            )
    return sorted(sightings, key=lambda s: s.span.start_s)


def _turns(scene: Scene, actor: Actor) -> list[Event]:
    """Changes of colour of an actor, in order of time."""
    changes = [e for e in scene.events if e.kind == "change_colour" and e.actor == actor.id]
    return sorted(changes, key=lambda e: e.time_s)


def _told(turn: Event, turns: list[Event], visible_span: Span, least_s: float) -> bool:
    """Whether the colours before and after `turn` are both shown for at least `least_s`."""
    # Borders of the stretches of one colour: the turn in `row` lies between two of them.
    times_s = [visible_span.start_s, *(e.time_s for e in turns), visible_span.end_s]
    row = turns.index(turn) + 1
    return min(times_s[row] - times_s[row - 1], times_s[row + 1] - times_s[row]) >= least_s


def _motion_within(world: World, scene: Scene, actor: Actor, span: Span) -> MotionKind | None:
    """The motion that can be told from `span` alone."""
    # Its way is then that of the event, which is told as such.
    if any(e.actor == actor.id and e.kind in ("touch", "occlude") for e in scene.events):
        return None
    kind = actor.motion.kind
    slot = moving_span(scene, actor.motion)
    # Told only where the span shows a good part of the way in or out, or none of it.
    if kind in ("enter", "leave"):
        moving_share = slot.overlap_s(span) / slot.duration_s
        return kind if moving_share >= 0.4 else ("still" if moving_share <= 0.02 else None)
    if kind in ("circle", "bounce"):
        # A small arc of a circle, or one way of a bounce, looks like a straight move.
        return kind if slot.overlap_s(span) >= 0.7 * actor.motion.period_s else None
    if kind == "still":
        return kind
    # Straight moves: told from 15 % of the picture's height on.
    start = actor_position(world, scene, actor, span.start_s)
    end = actor_position(world, scene, actor, span.end_s)
    return kind if np.hypot(end[0] - start[0], end[1] - start[1]) >= 0.15 else None


def name_sighting(sighting: Sighting, *, size: bool = False, colour: bool = True) -> str:
    """`star`, `red star`, `red striped star`, `large red striped star`."""
    actor = sighting.actor
    terms = [actor.size] if size else []
    terms += [sighting.colour] if colour else []
    # The pattern stands only beside a colour, as captions of training have it.
    terms += [actor.pattern] if actor.pattern != "plain" and colour else []
    return " ".join([*terms, actor.shape])


def motion_phrase(sighting: Sighting) -> str | None:
    """How an actor moves, as in `moves left`; None where the stretch shows too little to tell."""
    if sighting.motion is None:
        return None
    return MOTION_PHRASE[sighting.motion].format(side=sighting.actor.motion.side)


def add_article(phrase: str) -> str:
    """`phrase` with "a" or "an" before it.

    Example:
        >>> add_article("orange star")
        'an orange star'
    """
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def write_caption(world: World, span: Span | None = None, *, least_s: float = 0.25) -> str:
    """A description of a stretch: in full where it shows one scene, briefer the more scenes it
    shows.

    Example:
        >>> from mmreason.video.world import generate
        >>> write_caption(generate.demo(0), Span(0, 4))
        'a small red ring moves up. a small blue star goes out to the left.'
    """
    span = span or world.span
    scenes = [s for s in world.scenes_in(span) if s.span.overlap_s(span) >= least_s]
    # A scene that the span only touches is not told.
    starts_s = {scene.start_s for scene in scenes}
    sightings = [
        s for s in find_sightings(world, span, least_s=least_s) if s.scene.start_s in starts_s
    ]
    if not scenes:
        return "nothing is there."
    if len(scenes) == 1:
        sentences = [_sentence(s) for s in sightings] or ["nothing is there."]
        if scenes[0].text:
            sentences.append(f"the word {scenes[0].text} is on the screen.")
        return " ".join(sentences)
    if len(scenes) <= BRIEF_SCENES:
        return " then ".join(_brief(scene, sightings) for scene in scenes) + "."
    # Many scenes: each kind of thing once, in order of its first sight.
    names = dict.fromkeys(name_sighting(s) for s in sightings)
    return f"{len(scenes)} scenes with " + ", ".join(add_article(name) for name in names) + "."


def _brief(scene: Scene, sightings: list[Sighting]) -> str:
    names = [add_article(name_sighting(s)) for s in sightings if s.scene is scene]
    if scene.text:
        names.append(f"the word {scene.text}")
    return " and ".join(names) or "nothing"


def _sentence(sighting: Sighting) -> str:
    phrases = []
    phrase = motion_phrase(sighting)
    # "stays still and hides" would contradict itself.
    if phrase and not (sighting.motion == "still" and sighting.events):
        phrases.append(phrase)
    for event in sighting.events:
        if event.kind in ("touch", "occlude"):
            assert event.other is not None
            other = sighting.scene.actor(event.other)
            verb = "touches" if event.kind == "touch" else "passes in front of"
            phrases.append(f"{verb} the {other.colour} {other.shape}")
        elif event.kind == "change_colour":
            phrases.append(f"turns {event.colour}")
        else:
            phrases.append(event.kind + "s")
    subject = add_article(name_sighting(sighting, size=True))
    return f"{subject} {' and '.join(phrases) or 'is there'}."


def box_at(world: World, scene: Scene, actor: Actor, time_s: float) -> Box | None:
    """Box of an actor at a time of the script, as fractions of the frame (x1, y1, x2, y2), cut at
    its edges; None where it is not seen."""
    if not presence_span(scene, actor).contains(time_s):
        return None
    cx, cy = actor_position(world, scene, actor, time_s)
    radius = scene.radius(actor)
    x_min, y_min, x_max, y_max = EXTENT[actor.shape]
    x1, x2 = (cx + x_min * radius) / world.aspect, (cx + x_max * radius) / world.aspect
    y1, y2 = cy + y_min * radius, cy + y_max * radius
    # Less than a quarter inside the frame counts as not seen.
    cut = (max(0.0, x1), max(0.0, y1), min(1.0, x2), min(1.0, y2))
    visible_area = max(0.0, cut[2] - cut[0]) * max(0.0, cut[3] - cut[1])
    return cut if visible_area >= 0.25 * (x2 - x1) * (y2 - y1) else None


def boxes_at(world: World, time_s: float) -> dict[str, Box]:
    """Boxes of all actors seen at a time of the video, by actor id."""
    time_s = world.script_time_s(time_s)
    scene = world.scene_at(time_s)
    boxes = {actor.id: box_at(world, scene, actor, time_s) for actor in scene.actors}
    return {name: box for name, box in boxes.items() if box is not None}
