"""Worlds to training examples: frames, what each visual token shows, and questions with answers.

Draws worlds directly at the size the model sees; no decoder is involved. Tokens are made in
`packing`.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import get_args

import numpy as np

from mmreason.training.nano.attribute_swaps import find_attribute_swap, name_thing
from mmreason.training.nano.config import NanoConfig, Stage
from mmreason.training.nano.outside import draw_outside_frames
from mmreason.video.types import Span
from mmreason.video.world import generate
from mmreason.video.world.motion import colour_at
from mmreason.video.world.questions import (
    FAMILIES,
    Question,
    make_questions,
    refer_to,
    with_options,
)
from mmreason.video.world.render import draw_frame
from mmreason.video.world.script import Colour, MotionKind, Pattern, Shape, Size, World
from mmreason.video.world.truth import (
    Box,
    add_article,
    boxes_at,
    find_sightings,
    name_sighting,
    write_caption,
)

TOKEN_PX = 16
LABELS = {
    "shape": get_args(Shape),
    "colour": get_args(Colour),
    "pattern": get_args(Pattern),
    "size": get_args(Size),
    "motion": get_args(MotionKind),
}
"""Dense targets; class 0 is background, -100 (motion only) is not known."""
MOMENT_LEAST_S = 1e-4
"""A frame is asked about as a stretch of a millisecond; what only borders on it is left out."""
CAPTION_PROMPT = "Describe the clip."
OUTSIDE_ANSWER = "this is outside my world."


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A clip or a still with all that is learnt from it."""

    frames: np.ndarray
    """uint8 (frames, H, W, 3)."""
    times_s: tuple[float, ...]
    is_image: bool
    labels: dict[str, np.ndarray]
    """int64 (slices, rows, columns) by name of the dense target."""
    boxes: np.ndarray
    """float32 (slices, rows, columns, 4): box of the actor each token shows, as fractions of the
    frame."""
    dialogue: tuple[tuple[str, str], ...]
    """(question, answer) pairs."""


def box_prompt(expression: str) -> str:
    """The question for the box of a thing.

    Example:
        >>> box_prompt("red star")
        'Locate the red star. Output its bbox in JSON.'
    """
    return f"Locate the {expression}. Output its bbox in JSON."


def to_thousandths(box: Box) -> list[int]:
    """Coordinates 0..1000 in steps of ten.

    Example:
        >>> to_thousandths((0.1234, 0.2, 0.5, 1.0))
        [120, 200, 500, 1000]
    """
    return [round(v * 100) * 10 for v in box]


def box_answer(box: Box | None, label: str) -> str:
    """Qwen3-VL's answer format, coordinates 0-1000 in steps of ten (0.8 to 1.4 pixels of nano's
    frame); None is told as an empty list.

    Example:
        >>> box_answer(None, "red star")
        '```json\\n[]\\n```'
    """
    answers = [] if box is None else [{"bbox_2d": to_thousandths(box), "label": label}]
    return f"```json\n{json.dumps(answers)}\n```"


def make_image_example(rng: random.Random, config: NanoConfig, stage: Stage) -> Example:
    """A single frame of a world, or now and then of something else, as the stage says."""
    if rng.random() < stage.outside_share:
        return _outside(rng, config, stage, frames=1)
    world = _small_world(rng, stage, scenes=1)
    scene = world.scenes[0]
    time_s = rng.uniform(0.25, 0.75) * world.duration_s
    # A moment as a stretch, since questions are made of stretches.
    moment = Span(time_s, min(world.duration_s, time_s + 1e-3))
    pairs = _image_dialogue(rng, world, moment, config.questions)
    if rng.random() < stage.half_truth_share:
        pairs = (*pairs, *_attribute_swap_dialogue(rng, world, moment))
    drawing = draw_frame(world, time_s, config.size_px)
    # An empty span: a single frame shows no motion that could be learnt.
    labels, targets = dense_targets(
        world, [time_s], [drawing.coverage], Span(scene.start_s, scene.start_s)
    )
    return Example(
        frames=weather(rng, drawing.pixels[None]),
        times_s=(0.0,),
        is_image=True,
        labels=labels,
        boxes=targets,
        dialogue=pairs,
    )


def make_clip_example(rng: random.Random, config: NanoConfig, stage: Stage) -> Example:
    """A clip of a world, or now and then of something else, as the stage says."""
    if rng.random() < stage.outside_share:
        return _outside(rng, config, stage, frames=config.clip_frames)
    multi = rng.random() < stage.multi_scene_share
    world = _small_world(rng, stage, scenes=rng.choice((2, 2, 3)) if multi else 1)
    span = _window(rng, world)
    step_s = span.duration_s / config.clip_frames
    # Middles of equal steps, as frames of a real clip are chosen.
    times_s = [span.start_s + (i + 0.5) * step_s for i in range(config.clip_frames)]
    drawings = [draw_frame(world, t, config.size_px) for t in times_s]
    # What lasts less than a frame and a bit may fall between two frames: it is not asked about.
    least_s = 1.2 * step_s
    candidates = make_questions(world, span, seed=rng.randrange(1 << 30), least_s=least_s)
    pairs = [(CAPTION_PROMPT, write_caption(world, span, least_s=least_s))]
    pairs += [_ask(rng, q) for q in _balanced(rng, candidates, config.questions)]
    labels, targets = dense_targets(world, times_s, [d.coverage for d in drawings], span)
    # Clips come from anywhere in a video: the stamps that the model reads may be large.
    offset_s = rng.choice((0.0, rng.uniform(0, 60), rng.uniform(0, 7200)))
    return Example(
        frames=weather(rng, np.stack([d.pixels for d in drawings])),
        times_s=tuple(t + offset_s for t in times_s),
        is_image=False,
        labels=labels,
        boxes=targets,
        dialogue=tuple(pairs),
    )


def _small_world(rng: random.Random, stage: Stage, scenes: int) -> World:
    world_scenes, start_s = [], 0.0
    for _ in range(scenes):
        length_s = rng.uniform(2.0, 6.0) if scenes == 1 else rng.uniform(2.5, 5.0)
        actors = rng.randint(1, stage.most_actors) if rng.random() > 0.03 else 0
        # Now and then an empty scene: "nothing" has to be learnt as well.
        scene = generate.scene(rng, start_s, length_s, actors=actors, text_share=stage.word_share)
        # Early on things are large and plain, so that looking pays at once.
        if rng.random() < stage.large_share:
            bare = [
                a.model_copy(update={"size": "large", "pattern": "plain"}) for a in scene.actors
            ]
            scene = scene.model_copy(update={"actors": tuple(bare)})
        # Scenes follow each other without a gap, whatever their rounded times.
        world_scenes.append(scene.model_copy(update={"start_s": start_s}))
        start_s = scene.end_s
    return World(scenes=tuple(world_scenes))


def _window(rng: random.Random, world: World) -> Span:
    """A stretch of the world as a node of a tree would cut it: whole, or cut somewhere inside."""
    if rng.random() < 0.4:
        return world.span
    first, last = world.scenes[0], world.scenes[-1]
    start_s = rng.uniform(0, 0.5) * (first.end_s - first.start_s)
    end_s = last.end_s - rng.uniform(0, 0.5) * (last.end_s - last.start_s)
    # Too short a cut tells nothing of motion.
    if len(world.scenes) == 1 and end_s - start_s < 1.0:
        return world.span
    return Span(start_s, end_s)


def _balanced(rng: random.Random, candidates: list[Question], n: int) -> list[Question]:
    """Up to `n` questions, families first drawn evenly so that rare ones are not drowned."""
    by_family = {f: [q for q in candidates if q.family == f] for f in FAMILIES}
    pool = []
    while len(pool) < n and any(by_family.values()):
        # A question of each family in turn, in an order drawn anew.
        for family in rng.sample(FAMILIES, len(FAMILIES)):
            if by_family[family]:
                pool.append(by_family[family].pop())
    return pool[:n]


def _ask(rng: random.Random, question: Question) -> tuple[str, str]:
    # Few: nano answers in words, and options are what benchmarks add.
    if rng.random() < 0.1:
        question = with_options(question, rng)
    lines = [f"{chr(65 + i)}. {option}" for i, option in enumerate(question.options)]
    return "\n".join([question.text, *lines]), question.answer


def _image_dialogue(
    rng: random.Random, world: World, moment: Span, n: int
) -> tuple[tuple[str, str], ...]:
    """Boxes for all that is seen and one thing that is not, then questions that a single frame
    answers."""
    visible = find_sightings(world, moment, least_s=MOMENT_LEAST_S)
    boxes_by_id = boxes_at(world, moment.start_s)
    pairs = []
    for s in visible:
        name = refer_to(s, visible) or name_sighting(s)
        if s.actor.id in boxes_by_id:
            pairs.append((box_prompt(name), box_answer(boxes_by_id[s.actor.id], name)))
    # Now and then a thing that is not there, or every question would have a box.
    missing = [x for x in get_args(Shape) if all(s.actor.shape != x for s in visible)]
    if rng.random() < 0.4:
        name = rng.choice(missing)
        pairs.append((box_prompt(name), box_answer(None, name)))
    still = [
        q
        for q in make_questions(world, moment, seed=rng.randrange(1 << 30), least_s=MOMENT_LEAST_S)
        if q.family in ("attribute", "count", "text", "comparison", "absence")
    ]
    rng.shuffle(pairs)
    # Boxes are many; the rest of the questions are of other families.
    pairs = pairs[:2]
    pairs += [_ask(rng, q) for q in _balanced(rng, still, n - len(pairs))]
    return ((CAPTION_PROMPT, describe_still(world, moment.start_s)), *pairs)


def _attribute_swap_dialogue(
    rng: random.Random, world: World, moment: Span
) -> tuple[tuple[str, str], ...]:
    """What is there, and what only seems to be, asked in the same words."""
    visible = find_sightings(world, moment, least_s=MOMENT_LEAST_S)
    name = find_attribute_swap(visible, rng)
    if name is None:
        return ()
    there = name_thing(rng.choice(visible), rng)
    return (
        (f"Is there {add_article(name)}?", "no"),
        (f"Is there {add_article(there)}?", "yes"),
        (box_prompt(name), box_answer(None, name)),
    )


def describe_still(world: World, time_s: float) -> str:
    """What is said of a single frame: who is there (motion cannot be told), and the word on the
    screen."""
    moment = Span(time_s, min(world.duration_s, time_s + 1e-3))
    visible = find_sightings(world, moment, least_s=MOMENT_LEAST_S)
    names = " and ".join(f"a {name_sighting(s, size=True)}" for s in visible) or "nothing"
    word = world.scene_at(time_s).text
    return f"{names}." + (f" the word {word} is on the screen." if word else "")


def dense_targets(
    world: World, times_s: list[float], coverages: list[np.ndarray], span: Span
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What each visual token (16x16 pixels, two frames) shows: classes and the actor's box."""
    # Motion is that of the whole clip: no single token shows it.
    sighting_of = {(id(s.scene), s.actor.id): s for s in find_sightings(world, span, least_s=0.0)}
    # A token covers two frames; an odd last frame stands twice, as `patchify` has it.
    slices = [(i, min(i + 1, len(times_s) - 1)) for i in range(0, len(times_s), 2)]
    height, width = coverages[0].shape[1:]
    grid = (len(slices), height // TOKEN_PX, width // TOKEN_PX)
    labels = {name: np.zeros(grid, np.int64) for name in LABELS}
    targets = np.zeros((*grid, 4), np.float32)
    for token_slice, pair in enumerate(slices):
        for i in pair:
            scene = world.scene_at(times_s[i])
            if not scene.actors:
                continue
            coverage = coverages[i].reshape(len(scene.actors), grid[1], TOKEN_PX, grid[2], TOKEN_PX)
            coverage = coverage.mean((2, 4))
            # A token shows the actor that covers most of it, from a tenth on.
            winner = np.where(coverage.max(0) >= 0.1, coverage.argmax(0), -1)
            boxes_by_id = boxes_at(world, times_s[i])
            # What a token shows of its winner: classes, and where all of the actor is.
            for index, actor in enumerate(scene.actors):
                tokens = winner == index
                if not tokens.any():
                    continue
                sighting = sighting_of.get((id(scene), actor.id))
                colour = actor.colour if sighting is None else colour_at(scene, actor, times_s[i])
                motion = None if sighting is None else sighting.motion
                values = {"shape": actor.shape, "colour": colour, "pattern": actor.pattern}
                values |= {"size": actor.size, "motion": motion}
                for name, value in values.items():
                    labels[name][token_slice][tokens] = (
                        # 0 is the background; -100 is ignored by the loss, as a motion that cannot
                        # be told must be.
                        -100 if value is None else LABELS[name].index(value) + 1
                    )
                targets[token_slice][tokens] = boxes_by_id.get(actor.id, (0, 0, 0, 0))
    return labels, targets


def weather(rng: random.Random, frames: np.ndarray) -> np.ndarray:
    """Small changes of light and grain, such as encoding leaves behind."""
    noise = np.random.default_rng(rng.randrange(1 << 32))
    gain, lift, grain = rng.uniform(0.92, 1.06), rng.uniform(-6, 6), rng.uniform(0, 4)
    # Encoders change levels a little, and so do cameras.
    grainy = frames * np.float32(gain) + np.float32(lift)
    grainy += grain * noise.standard_normal(frames.shape, np.float32)
    return grainy.clip(0, 255).astype(np.uint8)


def _outside(rng: random.Random, config: NanoConfig, stage: Stage, frames: int) -> Example:
    """Footage that is no scripted world, asked the same kinds of questions."""
    world = _small_world(rng, Stage(share=0, image_share=0), scenes=1)
    candidates = make_questions(world, world.span, seed=rng.randrange(1 << 30))
    # Questions of a world that is not shown, so that only the picture tells that it is another.
    prompts = [
        CAPTION_PROMPT,
        *(_ask(rng, q)[0] for q in _balanced(rng, candidates, config.questions - 1)),
    ]
    if stage.outside_kinds == "all" and frames == 1:
        prompts.append(box_prompt(f"{rng.choice(get_args(Colour))} {rng.choice(get_args(Shape))}"))
    width, height = config.size_px
    grid = ((frames + 1) // 2, height // TOKEN_PX, width // TOKEN_PX)
    step_s = rng.uniform(0.2, 1.0)
    return Example(
        frames=draw_outside_frames(rng, frames, config.size_px, stage.outside_kinds),
        times_s=tuple((i + 0.5) * step_s for i in range(frames)) if frames > 1 else (0.0,),
        is_image=frames == 1,
        labels={name: np.zeros(grid, np.int64) for name in LABELS},
        boxes=np.zeros((*grid, 4), np.float32),
        dialogue=tuple((prompt, OUTSIDE_ANSWER) for prompt in prompts),
    )
