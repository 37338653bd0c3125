"""Frames of scripted worlds with what may be said of them: a caption, units, foils, half-truths.

Everything follows from the script, so that a text is right or wrong for certain. A frame shows one
to three things; grounds are plain, or photographs.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, replace

import numpy as np

from mmreason.grounding.half_truths import extract_units, fit_articles, make_foils
from mmreason.video.world import World, generate
from mmreason.video.world.script import Actor, Scene
from mmreason.video.world.truth import add_article, boxes_at

WIDTH_PX, HEIGHT_PX = 144, 80
PHOTOGRAPHS = ("grass", "gravel", "brick", "stars")
SLOTS = 2
"""Pairs of a unit and its foil that one picture gives in one step."""
_APART = 0.12
"""In shares of the frame: nearer centres are neither left nor right of each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One frame and texts about it.

    `pairs` are (unit, foil); `half_truths` (right text, the same with a wrong detail added, kind
    of the detail: "entity" or "relation").
    """

    pixels: np.ndarray
    """uint8 (80, 144, 3)."""
    caption: str
    caption_foil: str
    pairs: tuple[tuple[str, str], ...]
    half_truths: tuple[tuple[str, str, str], ...]
    things: frozenset[str]
    """What is seen, in full: pictures with the same are the same to any text."""


def draw_picture(seed: str, *, photographs: bool = False) -> Picture:
    """The picture of a seed, the same each time."""
    draw = random.Random(seed)
    while True:
        scene = generate.scene(draw, 0.0, 4.0, actors=draw.randint(1, 3))
        if photographs:
            scene = replace_ground(scene, draw)
        world = World(name=seed, scenes=(scene,))
        time_s = draw.uniform(1.5, 2.5)
        seen = [actor for actor in scene.actors if actor.id in boxes_at(world, time_s)]
        # Things that look alike, and what only comes later, would make right texts wrong.
        if seen and len(seen) == len(scene.actors) and not scene.events:
            break
    pixels = world.frame(time_s, (WIDTH_PX, HEIGHT_PX))
    centres = {
        name: ((x1 + x2) / 2, (y1 + y2) / 2)
        for name, (x1, y1, x2, y2) in boxes_at(world, time_s).items()
    }
    return _write_texts(pixels, seen, centres, draw)


def replace_ground(scene: Scene, draw: random.Random) -> Scene:
    """The scene on a photograph."""
    return scene.model_copy(update={"ground": draw.choice(PHOTOGRAPHS)})


def _write_texts(
    pixels: np.ndarray,
    actors: list[Actor],
    centres: dict[str, tuple[float, float]],
    draw: random.Random,
) -> Picture:
    names = {actor.id: _name(actor, draw) for actor in actors}
    order = draw.sample(actors, len(actors))
    listed = " and ".join(add_article(names[actor.id]) for actor in order)
    told = list(names.values())
    relations = [
        f"{add_article(names[one.id])} {where} {add_article(names[other.id])}"
        for one, other in itertools.permutations(actors, 2)
        for where in _places(centres[one.id], centres[other.id])
    ]
    caption = draw.choice(relations) if relations and draw.random() < 0.5 else listed
    units = [*extract_units(listed), *(u for text in relations for u in extract_units(text))]
    pairs = [
        (unit.text, foil.text)
        for unit in units
        for foil in make_foils(unit, draw.randrange(2**31), most=3, beside=told)
        if foil.text not in relations and _is_wrong(foil.text, actors)
    ]
    half_truths = []
    # 1. A right thing, and beside it one that is not there.
    for actor in actors:
        others = [a for a in actors if a is not actor] or [actor]
        wrong = _wrong_name(draw.choice(others), actors, draw)
        right = add_article(names[actor.id])
        half_truths.append((right, f"{right} and {add_article(wrong)}", "entity"))
    # 2. A right thing, in a place to another where it is not.
    opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    for one, other in itertools.permutations(actors, 2):
        for where in _places(centres[one.id], centres[other.id]):
            right = add_article(names[one.id])
            wrong = f"{right} {opposite[where]} {add_article(names[other.id])}"
            half_truths.append((right, wrong, "relation"))
    draw.shuffle(half_truths)
    # A right thing joined with a wrong one is a foil of the thing alone.
    pairs += [(right, wrong) for right, wrong, _ in half_truths]
    draw.shuffle(pairs)
    foil_of_caption = next((foil for unit, foil in _foiled(caption, pairs) if unit in caption), "")
    return Picture(
        pixels=pixels,
        caption=caption,
        caption_foil=foil_of_caption,
        pairs=tuple(pairs[:12]),
        half_truths=tuple(half_truths[:4]),
        things=frozenset(f"{a.size} {a.pattern} {a.colour} {a.shape}" for a in actors),
    )


def _foiled(caption: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """(unit, the caption with its foil in its place)."""
    return [(unit, fit_articles(caption.replace(unit, foil, 1))) for unit, foil in pairs]


def _name(actor: Actor, draw: random.Random) -> str:
    size = f"{actor.size} " if draw.random() < 0.3 else ""
    pattern = f"{actor.pattern} " if actor.pattern != "plain" and draw.random() < 0.5 else ""
    return f"{size}{actor.colour} {pattern}{actor.shape}"


def _places(one: tuple[float, float], other: tuple[float, float]) -> list[str]:
    places = []
    if abs(one[0] - other[0]) > _APART:
        places.append("left of" if one[0] < other[0] else "right of")
    if abs(one[1] - other[1]) > _APART:
        places.append("above" if one[1] < other[1] else "below")
    return places


def _is_wrong(text: str, actors: list[Actor]) -> bool:
    """Whether no thing of the picture is what a foil names; of relations, which name two, it holds
    by construction."""
    words = set(text.split())
    return not any(_fits(actor, words) for actor in actors) or len(extract_units(text)) > 1


def _fits(actor: Actor, words: set[str]) -> bool:
    looks = {actor.size, actor.pattern, actor.colour, actor.shape}
    return words <= looks


def _wrong_name(actor: Actor, actors: list[Actor], draw: random.Random) -> str:
    """The name of something like `actor` that is not in the picture."""
    while True:
        unit = extract_units(_name(actor, draw))[0]
        foils = make_foils(unit, draw.randrange(2**31), most=4)
        wrong = [foil.text for foil in foils if _is_wrong(foil.text, actors)]
        if wrong:
            return draw.choice(wrong)


def without_pixels(picture: Picture) -> Picture:
    """The texts alone, which take little memory."""
    return replace(picture, pixels=np.zeros((0, 0, 3), np.uint8))
