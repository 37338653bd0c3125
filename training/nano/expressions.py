"""Scenes with look-alikes, and expressions that tell one of them apart: the first lessons of
grounding.

What a thing is (size, colour, pattern, shape), what it is not, where it stands and how it moves.
Truth is by evaluation: an expression denotes the things that meet all of its descriptors.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from mmreason.video.types import Span
from mmreason.video.world import generate
from mmreason.video.world.script import Actor, Colour, Shape, World
from mmreason.video.world.truth import (
    Sighting,
    boxes_at,
    find_sightings,
    motion_phrase,
    name_sighting,
)

STILL_S = 1.0
_ORDER = ("size", "colour", "pattern", "shape")
_SIDES: dict[str, Callable[[tuple[float, float], tuple[float, float]], bool]] = {
    "left": lambda a, b: a[0] < b[0] - 0.1,
    "right": lambda a, b: a[0] > b[0] + 0.1,
    "above": lambda a, b: a[1] < b[1] - 0.15,
    "below": lambda a, b: a[1] > b[1] + 0.15,
}
_SIDE_WORDS = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above", "higher up than"),
    "below": ("below", "lower down than"),
}



@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """What is asked for, and who it is.

    Example:
        >>> Expression(text="red star", target="a0", label="red star").target
        'a0'
    """

    text: str
    target: str | None
    """Id of the one actor it denotes; None where it denotes nobody."""
    label: str
    """What is said of the target beside its box."""


def draw_still_scene(rng: random.Random) -> tuple[World, float, list[Expression]]:
    """A world of things that stand still, the time of its frame, and expressions in random
    order."""
    while True:
        scene = generate.scene(
            rng,
            0.0,
            STILL_S,
            actors=rng.randint(3, 6),
            text_share=0.1,
            event_share=0.0,
            still_share=1.0,
        )
        if rng.random() < 0.4:
            # Few values among many things: each descriptor fits several.
            scene = scene.model_copy(update={"actors": _look_alikes(rng, scene.actors)})
        world = World(scenes=(scene,))
        time_s = STILL_S / 2
        things = find_sightings(world, Span(time_s, time_s + 1e-3), least_s=1e-4)
        expressions = _still_expressions(rng, world, time_s, things)
        if len(things) >= 3 and expressions:
            return world, time_s, expressions


def draw_clip_scene(rng: random.Random) -> tuple[World, list[Expression]]:
    """A world of a few seconds in which several things look the same, and expressions by what they
    do, in random order."""
    while True:
        scene = generate.scene(
            rng,
            0.0,
            4.0 if rng.random() < 0.7 else rng.uniform(2.0, 5.0),
            actors=rng.randint(2, 5),
            text_share=0.05,
            event_share=0.0,
            still_share=0.15,
        )
        if rng.random() < 0.7 and scene.actors:
            first = scene.actors[0]
            look = {"colour": first.colour, "shape": first.shape, "pattern": first.pattern}
            look["size"] = "small"
            # All but perhaps one are the twins of the first.
            odd = rng.randrange(len(scene.actors)) if rng.random() < 0.3 else -1
            actors = tuple(
                a if i == odd else a.model_copy(update=look) for i, a in enumerate(scene.actors)
            )
            scene = scene.model_copy(update={"actors": actors})
        world = World(scenes=(scene,))
        things = find_sightings(world)
        expressions = _clip_expressions(rng, things)
        if len(things) >= 2 and expressions:
            return world, expressions


def _look_alikes(rng: random.Random, actors: tuple[Actor, ...]) -> tuple[Actor, ...]:
    """The actors in two colours and two shapes, as long as no two look the same."""
    colours = rng.sample(get_args(Colour), 2)
    shapes = rng.sample(get_args(Shape), 2)
    looks, changed = set(), []
    for actor in actors:
        trial = actor.model_copy(
            update={"colour": rng.choice(colours), "shape": rng.choice(shapes)}
        )
        look = (trial.size, trial.colour, trial.pattern, trial.shape)
        # One that would look as another stays as it is.
        changed.append(actor if look in looks else trial)
        looks.add(look)
    return tuple(changed)


def _look(thing: Sighting) -> dict[str, str]:
    actor = thing.actor
    return {
        "size": actor.size,
        "colour": thing.colour,
        "pattern": actor.pattern,
        "shape": actor.shape,
    }


def _phrase(rng: random.Random, look: dict[str, str]) -> str:
    """`large red striped star`, `red thing`, `star that is red`."""
    *words, noun = [look.get(name, "") for name in _ORDER]
    noun = noun or rng.choice(("thing", "object"))
    words = [word for word in words if word]
    if len(words) == 1 and rng.random() < 0.15:
        return f"{noun} that is {words[0]}"
    return " ".join([*words, noun])


def _joint(text: str) -> str:
    return "and that" if " that is " in text else "that"


def _matches(look: dict[str, str], thing: Sighting) -> bool:
    return all(_look(thing)[name] == value for name, value in look.items())


def _still_expressions(
    rng: random.Random, world: World, time_s: float, things: Sequence[Sighting]
) -> list[Expression]:
    boxes = boxes_at(world, time_s)
    centres = {
        name: ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for name, box in boxes.items()
    }
    seen = [thing for thing in things if thing.actor.id in centres]
    drawn: dict[str, Expression] = {}
    for _ in range(40):
        # The target is drawn first, so that all are asked for as often.
        target = rng.choice(seen) if seen else None
        if target is None or len(drawn) >= 6:
            break
        wants_none = rng.random() < 0.25
        kind = rng.choice(("look", "look", "look", "not", "side"))
        look = {n: _look(target)[n] for n in rng.sample(_ORDER, rng.choice((1, 2, 2, 3)))}
        if wants_none:
            # One of its words is exchanged for that of another thing.
            name = rng.choice(list(look))
            look[name] = _look(rng.choice(seen))[name]
        fits = [thing for thing in seen if _matches(look, thing)]
        text = _phrase(rng, look)
        if kind == "not":
            name = rng.choice(("colour", "pattern", "shape", "size"))
            value = _look(rng.choice(seen))[name]
            if name in look:
                continue
            fits = [thing for thing in fits if _look(thing)[name] != value]
            article = "a " if name == "shape" else ""
            text = f"{text} {_joint(text)} is not {article}{value}"
        if kind == "side":
            landmark = rng.choice(seen)
            mark = {n: _look(landmark)[n] for n in rng.sample(("colour", "shape"), 2)}
            if sum(_matches(mark, thing) for thing in seen) != 1:
                continue
            side, holds = rng.choice(list(_SIDES.items()))
            centre = centres[landmark.actor.id]
            fits = [t for t in fits if t is not landmark and holds(centres[t.actor.id], centre)]
            text = f"{text} {_joint(text)} is {rng.choice(_SIDE_WORDS[side])} the {_phrase(rng, mark)}"
        if wants_none and not fits:
            drawn[text] = Expression(text=text, target=None, label="")
        elif len(fits) == 1 and not wants_none:
            target = fits[0]
            drawn[text] = Expression(
                text=text, target=target.actor.id, label=name_sighting(target, size=True)
            )
    return rng.sample(list(drawn.values()), len(drawn))


def _clip_expressions(rng: random.Random, things: Sequence[Sighting]) -> list[Expression]:
    drawn: dict[str, Expression] = {}
    phrases = [phrase for thing in things if (phrase := motion_phrase(thing))]
    for _ in range(12):
        target = rng.choice(things) if things else None
        if target is None or not phrases:
            break
        wants_none = rng.random() < 0.2
        look = {n: _look(target)[n] for n in rng.sample(_ORDER, rng.choice((0, 1, 2)))}
        phrase = rng.choice(_SOME_PHRASES) if wants_none else motion_phrase(target)
        if phrase is None:
            continue
        fits = [t for t in things if _matches(look, t) and motion_phrase(t) == phrase]
        # Whose motion cannot be told may be meant as well.
        unclear = any(_matches(look, t) and motion_phrase(t) is None for t in things)
        text = _phrase(rng, look)
        text = f"{text} {_joint(text)} {phrase}"
        if wants_none and not fits and not unclear:
            drawn[text] = Expression(text=text, target=None, label="")
        elif len(fits) == 1 and not unclear and not wants_none:
            drawn[text] = Expression(
                text=text, target=fits[0].actor.id, label=name_sighting(fits[0], size=True)
            )
    return rng.sample(list(drawn.values()), len(drawn))


_SOME_PHRASES = (
    "moves left",
    "moves right",
    "moves up",
    "moves down",
    "stays still",
    "goes in circles",
    "bounces",
)
