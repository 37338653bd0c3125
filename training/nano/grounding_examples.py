"""Examples of referring expressions for nano: boxes on single frames, tubes on clips.

A tube is said as one box a slice (two frames) at the time that stands before the slice, from the
last slice to the first: attention is causal, so only the last slice knows how things have moved,
and each box before it is the nearest one of the same look.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence

import numpy as np

from mmreason.training.nano.config import NanoConfig, Stage
from mmreason.training.nano.examples import (
    CAPTION_PROMPT,
    Example,
    box_prompt,
    dense_targets,
    describe_still,
    weather,
)
from mmreason.training.nano.expressions import Expression, draw_clip_scene, draw_still_scene
from mmreason.training.nano.packing import slice_times
from mmreason.video.types import Span
from mmreason.video.world.render import draw_frame
from mmreason.video.world.script import World
from mmreason.video.world.truth import Box, boxes_at, write_caption

MOST_STILL_EXPRESSIONS = 5
MOST_CLIP_EXPRESSIONS = 3


def tube_prompt(expression: str) -> str:
    """The question for the tube of a thing.

    Example:
        >>> tube_prompt("star that moves left")
        'Track the star that moves left. Output its boxes in JSON.'
    """
    return f"Track the {expression}. Output its boxes in JSON."


def named_box_answer(box: Box | None, label: str) -> str:
    """Qwen3-VL's answer with the label first: who it is is settled before where it is. None, of
    something that is not there, is told as an empty list.

    Example:
        >>> named_box_answer((0.1, 0.2, 0.3, 0.4), "red star")
        '```json\\n[{"label": "red star", "bbox_2d": [100, 200, 300, 400]}]\\n```'
    """
    return _fenced([] if box is None else [{"label": label, "bbox_2d": _thousandths(box)}])


def tube_answer(box_by_time_s: Mapping[float, Box], label: str) -> str:
    """Boxes by time in seconds, from the last to the first; a time at which the thing is not to be
    seen is left out, and a thing that is not there is an empty list.

    Example:
        >>> tube_answer({0.5: (0.1, 0.2, 0.3, 0.4), 1.5: (0.2, 0.2, 0.4, 0.4)}, "star")[8:60]
        '{"label": "star", "boxes": {"1.5": [200, 200, 400, 4'
    """
    boxes = {
        f"{time_s:.1f}": _thousandths(box_by_time_s[time_s])
        for time_s in sorted(box_by_time_s, reverse=True)
    }
    return _fenced({"label": label, "boxes": boxes} if boxes else [])


def _thousandths(box: Box) -> list[int]:
    """0..1000 in steps of ten, 0.8 to 1.4 pixels of nano's frame."""
    return [round(v * 100) * 10 for v in box]


def _fenced(value: object) -> str:
    return f"```json\n{json.dumps(value)}\n```"


def make_still_example(rng: random.Random, config: NanoConfig, stage: Stage) -> Example:
    """A frame of four to six things, and expressions that tell one apart, or none."""
    world, time_s, expressions = draw_still_scene(rng)
    boxes = boxes_at(world, time_s)
    drawing = draw_frame(world, time_s, config.size_px)
    labels, targets = dense_targets(
        world, [time_s], [drawing.coverage], Span(time_s, time_s)
    )
    pairs = [(CAPTION_PROMPT, describe_still(world, time_s))] if rng.random() < 0.25 else []
    pairs += [
        (box_prompt(e.text), named_box_answer(boxes[e.target] if e.target else None, e.label))
        for e in expressions[:MOST_STILL_EXPRESSIONS]
    ]
    return Example(
        frames=weather(rng, drawing.pixels[None]),
        times_s=(0.0,),
        is_image=True,
        labels=labels,
        boxes=targets,
        dialogue=tuple(pairs),
    )


def make_tube_example(rng: random.Random, config: NanoConfig, stage: Stage) -> Example:
    """A clip of things of which several look the same, and expressions that tell one apart by what
    it does, or none."""
    world, expressions = draw_clip_scene(rng)
    times_s = clip_times(world, config.clip_frames)
    drawings = [draw_frame(world, t, config.size_px) for t in times_s]
    labels, targets = dense_targets(world, times_s, [d.coverage for d in drawings], world.span)
    pairs = [(CAPTION_PROMPT, write_caption(world))] if rng.random() < 0.25 else []
    pairs += [
        (tube_prompt(e.text), tube_answer(slice_boxes(world, times_s, e.target), e.label))
        for e in expressions[:MOST_CLIP_EXPRESSIONS]
    ]
    return Example(
        frames=weather(rng, np.stack([d.pixels for d in drawings])),
        times_s=tuple(times_s),
        is_image=False,
        labels=labels,
        boxes=targets,
        dialogue=tuple(pairs),
    )


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
