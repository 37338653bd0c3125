"""Examples of referring expressions for nano: boxes on single frames, tubes on clips.

Scenes are those of procedural Ref-Adv, of seeds that no test uses; beside its own expression each
scene is asked more of the kind, about any of its objects or none, and all are solved by the
certifier. They are said in nano's own words, as `nano_expressions` writes them.

A tube is said as one box a slice (two frames) at the time that stands before the slice, from the
last slice to the first: attention is causal, so only the last slice knows how things have moved,
and each box before it is the nearest one of the same look.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.grounding.refadv import (
    TRAINING_SEEDS,
    Clause,
    Item,
    Knobs,
    Pick,
    Program,
    generate,
)
from mmreason.grounding.refadv.certifier import Solver
from mmreason.grounding.refadv.drafts import VALUES
from mmreason.grounding.refadv.facts import measure
from mmreason.grounding.refadv.items import ItemKind
from mmreason.grounding.refadv.programs import ATTRIBUTES
from mmreason.language.prompts import Prompts
from mmreason.models.nano_expressions import Referring
from mmreason.training.nano.config import NanoConfig, Stage
from mmreason.training.nano.examples import (
    CAPTION_PROMPT,
    Example,
    box_answer,
    dense_targets,
    describe_still,
    to_thousandths,
    weather,
)
from mmreason.training.nano.packing import slice_times
from mmreason.video.types import Span
from mmreason.video.world.render import draw_frame
from mmreason.video.world.script import Actor, World
from mmreason.video.world.truth import Box, boxes_at, write_caption

LAST_SEED = 1 << 40
NONE_SHARE = 0.2
"""Of the expressions: they mean nothing."""
NEGATED_SHARE = 0.25
"""Of the items' own expressions."""
CAPTION_SHARE = 0.2
_TRIES = 30
PROMPTS = Prompts(track="Track the {expression}. Output its boxes in JSON.")
"""How boxes and tubes are asked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An expression and the one object that it means.

    Example:
        >>> Asked("the red star", "a0").target
        'a0'
    """

    expression: str
    target: str | None
    """Id of the actor; None where the expression means nothing."""


def tube_answer(box_by_time_s: Mapping[float, Box]) -> str:
    """Rows of a box and its time in seconds, from the last to the first; a time at which the thing
    is not to be seen is left out, and a thing that is not there is an empty list.

    Example:
        >>> tube_answer({0.5: (0.1, 0.2, 0.3, 0.4)})
        '```json\\n[{"bbox_2d": [100, 200, 300, 400], "time": 0.5}]\\n```'
    """
    rows = [
        {"bbox_2d": to_thousandths(box_by_time_s[time_s]), "time": round(time_s, 1)}
        for time_s in sorted(box_by_time_s, reverse=True)
    ]
    return f"```json\n{json.dumps(rows)}\n```"


def write_referring(program: Program) -> str:
    """The expression of a program in nano's words.

    Example:
        >>> write_referring(Program((Clause("colour", "red"), Clause("moves", "left"))))
        'red object that moves left'
    """
    looks = {c.kind: c.value for c in program.clauses if c.kind in ATTRIBUTES and not c.negated}
    return Referring(
        looks=looks,
        nots=tuple(c.value for c in program.clauses if c.negated),
        way=next((c.value for c in program.clauses if c.kind == "moves"), ""),
        turn=program.pick.by if program.pick is not None else "",
    ).text


def make_still_example(rng: random.Random, config: NanoConfig, stage: Stage) -> Example:
    """A picture and expressions that mean one of its things, or none."""
    item = draw_item(rng, "image", stage)
    world, time_s = item.world, item.frame_time_s or 0.0
    boxes = boxes_at(world, time_s)
    drawing = draw_frame(world, time_s, config.size_px)
    labels, targets = dense_targets(world, [time_s], [drawing.coverage], Span(time_s, time_s))
    pairs = _caption(rng, describe_still(world, time_s))
    for asked in ask_more(rng, item, stage.still_expressions):
        box = None if asked.target is None else boxes[asked.target]
        pairs.append((PROMPTS.find(asked.expression), box_answer(box, asked.expression)))
    return Example(
        frames=weather(rng, drawing.pixels[None]),
        times_s=(0.0,),
        is_image=True,
        labels=labels,
        boxes=targets,
        dialogue=tuple(pairs),
    )


def make_tube_example(rng: random.Random, config: NanoConfig, stage: Stage) -> Example:
    """A clip and expressions that mean one of its things by what it does, or none."""
    item = draw_item(rng, "video", stage)
    world = item.world
    times_s = clip_times(world, config.clip_frames)
    drawings = [draw_frame(world, t, config.size_px) for t in times_s]
    labels, targets = dense_targets(world, times_s, [d.coverage for d in drawings], world.span)
    pairs = _caption(rng, write_caption(world))
    for asked in ask_more(rng, item, stage.clip_expressions):
        boxes = slice_boxes(world, times_s, asked.target)
        pairs.append((PROMPTS.follow(asked.expression), tube_answer(boxes)))
    return Example(
        frames=weather(rng, np.stack([d.pixels for d in drawings])),
        times_s=tuple(times_s),
        is_image=False,
        labels=labels,
        boxes=targets,
        dialogue=tuple(pairs),
    )


def draw_item(rng: random.Random, kind: ItemKind, stage: Stage) -> Item:
    """An item of a training seed, as hard as the stage says."""
    families = stage.grounding_stills if kind == "image" else stage.grounding_clips
    while True:
        k, n = rng.choice(stage.grounding_k), rng.choice(stage.grounding_n)
        try:
            negation = int(rng.random() < NEGATED_SHARE)
            knobs = Knobs(k=k, n=n, negation=negation, none_rate=NONE_SHARE, families=families)
            seed = rng.randrange(TRAINING_SEEDS, LAST_SEED)
            return next(generate(kind=kind, seed=seed, count=1, knobs=knobs))
        except (RuntimeError, ValueError):
            # Not all numbers go together, and some scenes have no room.
            continue


def ask_more(rng: random.Random, item: Item, count: int) -> list[Asked]:
    """Up to `count` expressions in random order: the item's own, and others of its scene."""
    is_image = item.kind == "image"
    facts = measure(item.world, item.frame_time_s if is_image else None)
    asked = {write_referring(item.program): item.target_ids}
    actors = item.world.scenes[0].actors
    wants_none = rng.random() < NONE_SHARE
    for _ in range(_TRIES):
        if len(asked) >= count:
            break
        program = _draw_program(rng, actors, moves=not is_image, mixed=wants_none)
        solver = Solver(facts)
        meant = solver.solve(program)
        if len(meant) == (0 if wants_none else 1) and not solver.narrow:
            asked[write_referring(program)] = meant
            # Drawn once an expression, not once a try: what means nothing is harder to come by.
            wants_none = rng.random() < NONE_SHARE
    pairs = [Asked(text, ids[0] if ids else None) for text, ids in asked.items()]
    return rng.sample(pairs, len(pairs))


def _draw_program(
    rng: random.Random, actors: Sequence[Actor], *, moves: bool, mixed: bool
) -> Program:
    """Descriptors of any of the actors; where `mixed`, one of them is another's."""
    target = rng.choice(actors)
    names = rng.sample(ATTRIBUTES, rng.choice((0, 0, 1, 2) if moves else (1, 1, 2, 2, 3)))
    values = {name: getattr(target, name) for name in names}
    direction = target.motion.kind
    if mixed and names:
        name = rng.choice(names)
        # Of another thing of the scene, or of none.
        others = [getattr(actor, name) for actor in actors]
        values[name] = rng.choice((rng.choice(others), rng.choice(VALUES[name])))
    elif mixed:
        direction = rng.choice(("left", "right", "up", "down"))
    clauses = [Clause(name, values[name]) for name in ATTRIBUTES if name in values]
    if not moves:
        return Program(tuple(clauses))
    pick = Pick(rng.choice(("first", "last"))) if rng.random() < 0.3 and not mixed else None
    return Program((*clauses, Clause("moves", direction)), pick)


def _caption(rng: random.Random, text: str) -> list[tuple[str, str]]:
    return [(CAPTION_PROMPT, text)] if rng.random() < CAPTION_SHARE else []


def clip_times(world: World, frames: int) -> list[float]:
    """Middles of equal steps through the whole world, in seconds."""
    step_s = world.duration_s / frames
    return [(i + 0.5) * step_s for i in range(frames)]


def slice_boxes(world: World, times_s: Sequence[float], target: str | None) -> dict[float, Box]:
    """The box of an actor, as fractions of the frame, at the middle of each slice in which it is to
    be seen, by that time."""
    if target is None:
        return {}
    found = {time_s: boxes_at(world, time_s).get(target) for time_s in slice_times(tuple(times_s))}
    return {time_s: box for time_s, box in found.items() if box is not None}
