"""Drafts as scripted worlds."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import get_args

from mmreason.grounding.refadv.drafts import Draft, Knobs
from mmreason.grounding.refadv.items import ItemKind
from mmreason.grounding.refadv.places import LEAST_CLIP_S, choose_scale
from mmreason.grounding.refadv.programs import (
    Clause,
    find_clause,
    list_descriptors,
    replace_clause,
)
from mmreason.grounding.refadv.things import ASPECT, Thing
from mmreason.video.world import World
from mmreason.video.world.script import Background, CutOut, Ground, Shape

SIZE_PX = (512, 288)
FPS_HZ = 10.0
IMAGE_S = 1.0
"""How long the one frame of a picture stays."""
REST_S = 0.4
"""After the last motion."""


GROUNDS: dict[str, tuple[Ground, ...]] = {
    "plain": ("plain",),
    "texture": ("weave", "planks", "clouds"),
    "photo": ("grass", "gravel", "brick", "stars"),
}
CUTOUT_OF = dict(zip(get_args(Shape), get_args(CutOut), strict=True))
"""Which photographed thing takes the part of a shape."""


def cut_out_things(draft: Draft) -> Draft:
    """The same scene of photographed things, and the program that speaks of them."""
    things = [replace(thing, shape=CUTOUT_OF[thing.shape]) for thing in draft.things]
    program = draft.program
    for name in list_descriptors(program):
        clause = find_clause(program, name)
        if isinstance(clause, Clause) and clause.kind == "shape":
            twin = CUTOUT_OF[clause.rather_than] if clause.rather_than else ""
            clause = replace(clause, value=CUTOUT_OF[clause.value], rather_than=twin)
            program = replace_clause(program, name, clause)
    return replace(draft, things=things, program=program)


def shuffle_draft(rng: random.Random, draft: Draft) -> Draft:
    """The things in any order, which is that of drawing and of ids: it tells nothing."""
    order = rng.sample(range(len(draft.things)), len(draft.things))
    place = {old: new for new, old in enumerate(order)}
    things = [draft.things[old] for old in order]
    return replace(draft, things=[replace(t, partner=place.get(t.partner, -1)) for t in things])


def make_like(target: Thing, witness: Thing) -> Thing:
    """The target, with the look and the deeds of a witness, where and when it was."""
    return replace(witness, within=target.within, onset_s=target.onset_s, length_s=target.length_s)


def measure_duration(draft: Draft) -> float:
    """Seconds of a clip in which everything comes to its end: 4 at least."""
    end_s = max(thing.onset_s + thing.length_s for thing in draft.things)
    return max(LEAST_CLIP_S, round(end_s + REST_S, 1))


def write_world(rng: random.Random, kind: ItemKind, seed: int, draft: Draft, knobs: Knobs) -> World:
    """The world of a draft: one scene, things as actors a0, a1, ... from far to near."""
    width_px, height_px = SIZE_PX
    scene = {
        "start_s": 0.0,
        "end_s": IMAGE_S if kind == "image" else measure_duration(draft),
        "background": rng.choice(get_args(Background)),
        "ground": rng.choice(GROUNDS[knobs.ground]),
        "scale": choose_scale(draft.things),
        "actors": [_write_actor(index, thing) for index, thing in enumerate(draft.things)],
        "events": _write_events(draft),
    }
    return World.model_validate(
        {
            "name": f"refadv-{kind}-{seed}",
            "seed": seed,
            "width_px": width_px,
            "height_px": height_px,
            "fps_hz": FPS_HZ,
            "scenes": [scene],
        }
    )


def _write_actor(index: int, thing: Thing) -> dict[str, object]:
    actor: dict[str, object] = {
        "id": f"a{index}",
        "shape": thing.shape,
        "colour": thing.colour,
        "size": thing.size,
        "pattern": thing.pattern,
        "x": round(thing.x / ASPECT, 5),
        "y": thing.y,
    }
    times = {"onset_s": thing.onset_s, "length_s": thing.length_s}
    if thing.event == "moves":
        actor["motion"] = {"kind": thing.value, "travel": thing.travel, **times}
    elif thing.event in ("enters", "leaves"):
        kind = "enter" if thing.event == "enters" else "leave"
        actor["motion"] = {"kind": kind, "side": thing.value, **times}
    return actor


def _write_events(draft: Draft) -> list[dict[str, object]]:
    events: list[dict[str, object]] = []
    for index, thing in enumerate(draft.things):
        event: dict[str, object] = {"actor": f"a{index}", "time_s": thing.onset_s}
        if thing.event == "turns":
            events.append({**event, "kind": "change_colour", "colour": thing.value})
        elif thing.event in ("touches", "passes"):
            kind = "touch" if thing.event == "touches" else "occlude"
            events.append({**event, "kind": kind, "other": f"a{thing.partner}"})
    return events
