"""Measures a model on scripted worlds that it was never taught.

Worlds come from seeds that training never uses, are drawn at the size the model watches, and every
question is asked with the same prompts as in use. The agent has no part in this: it measures
what the model sees in one clip.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mmreason.evaluation.calibration import Pair
from mmreason.evaluation.scoring import Mean, Proportion, normalise_text, says_same
from mmreason.grounding import Box, iou, parse_boxes
from mmreason.language.refusals import declines_to_answer
from mmreason.models.base import ChatModel, FramesPart, GenerateRequest, Message, Reply, TextPart
from mmreason.models.calibration import ReplyKind
from mmreason.video import plan
from mmreason.video.types import FrameBatch, Span
from mmreason.video.world import World, generate
from mmreason.video.world.questions import FAMILIES, Question, make_questions, refer_to
from mmreason.video.world.truth import boxes_at, find_sightings, motion_phrase, write_caption

QUESTIONS_A_WORLD = 8
BATCH = 16
NOTHING = Proportion(0, 0)
Split = Literal["held-out", "calibration"]
"""Worlds that figures are taken from, and worlds that confidence is calibrated on."""
SECOND_LOOK = 0.25
"""Shift of a second look, as a share of the distance between frames, as agents take it."""


@dataclass
class NanoResults:
    """Everything the card reports."""

    worlds: int
    families: dict[str, dict[str, Proportion]] = field(default_factory=dict)
    """By kind of world ("single scene", "with a cut"), then by question family."""
    caption_words: dict[str, Proportion] = field(default_factory=dict)
    """Actors whose attribute stands in the caption, by attribute (single scenes)."""
    box_iou: Mean = field(default_factory=lambda: Mean.of([]))
    box_found: Proportion = NOTHING
    """Boxes with IoU >= 0.5."""
    box_absent: Proportion = NOTHING
    """Expressions about nothing that got an empty list."""
    absent: Proportion = NOTHING
    """Questions about absent things that were declined or answered "no"."""
    present_declined: Proportion = NOTHING
    """Questions with an answer that were wrongly declined."""
    agreeing: Proportion = NOTHING
    """Answers that a second look at other frames repeats, and how many of these are right."""
    disagreeing: Proportion = NOTHING
    """The same of answers that the second look does not repeat."""
    stated: dict[ReplyKind, list[Pair]] = field(default_factory=dict)
    """(confidence, right) of every reply, by what it is to."""


@dataclass(frozen=True, slots=True)
class _Ask:
    frames: FrameBatch
    prompt: str
    score: Callable[[Reply], None]
    is_image: bool = False


def measure_nano(
    model: ChatModel,
    *,
    worlds: int,
    split: Split = "held-out",
    second_looks: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> NanoResults:
    """Measure `model` on `worlds` worlds of a split; each question twice with `second_looks`.

    Example:
        >>> print(measure_nano(model, worlds=200).absent)  # doctest: +SKIP
        98.7% (97.1% to 99.4%, n = 447)
    """
    results = NanoResults(worlds=worlds)
    for index in range(worlds):
        asks = _world_asks(model, index, split, results, second_looks=second_looks)
        _run(model, list(asks))
        if on_progress is not None:
            on_progress(index + 1, worlds)
    return results


def _run(model: ChatModel, asks: list[_Ask]) -> None:
    """Ask in batches of equal kind, so that all rows hold clips or all hold images."""
    for is_image in (False, True):
        same_kind = [ask for ask in asks if ask.is_image == is_image]
        # In the order of the asks: a second look is scored after the first.
        for start in range(0, len(same_kind), BATCH):
            chunk = same_kind[start : start + BATCH]
            kind = "image" if is_image else "video"
            conversations = [
                [Message("user", (FramesPart(ask.frames, kind), TextPart(ask.prompt)))]
                for ask in chunk
            ]
            replies = model.generate(GenerateRequest(conversations))
            for ask, reply in zip(chunk, replies, strict=True):
                ask.score(reply)


def held_out_world(index: int, split: Split = "held-out") -> World:
    """World number `index` of a split: even ones show one scene of 4 s, odd ones a cut."""
    # The split is part of the seed: no world of one is in the other, and none is of training.
    rng = random.Random(f"{split}/{index}")
    scenes, start_s = [], 0.0
    for _ in range(1 + index % 2):
        scene = generate.scene(rng, start_s, 4.0, actors=rng.randint(1, 3))
        scenes.append(scene)
        start_s = scene.end_s
    return World(name=f"{split}-{index}", scenes=tuple(scenes))


def _world_asks(
    model: ChatModel, index: int, split: Split, results: NanoResults, *, second_looks: bool
) -> Iterator[_Ask]:
    world = held_out_world(index, split)
    kind = "with a cut" if index % 2 else "single scene"
    rng = random.Random(f"{split}/questions/{index}")
    times_s = plan.uniform(world.span, model.clip.frames).times_s
    # 1. The clip, and the same moments a little later for the second look.
    shift_s = SECOND_LOOK * world.duration_s / model.clip.frames
    clip = _draw_frames(world, times_s, model)
    again = _draw_frames(world, tuple(t + shift_s for t in times_s), model)
    # 2. Only what lasts longer than the gap between two frames is sure to be on one of them.
    least_s = 1.2 * world.duration_s / model.clip.frames
    table = results.families.setdefault(kind, {})
    for question in _choose_questions(make_questions(world, seed=index, least_s=least_s), rng):
        prompt = model.clip.prompts.ask(question.text)
        first, second = _question_scorers(question, table, results)
        yield _Ask(clip, prompt, first)
        if second_looks:
            yield _Ask(again, prompt, second)
    # 3. Captions and boxes are asked of single scenes: over a cut neither has one right answer.
    if index % 2 == 0:
        yield _Ask(clip, model.clip.prompts.caption, _caption_scorer(world, least_s, results))
        yield from _box_asks(model, world, rng, results)


def _draw_frames(world: World, times_s: tuple[float, ...], model: ChatModel) -> FrameBatch:
    size_px = model.clip.frame_size_px(world.width_px, world.height_px)
    pixels = np.stack([world.frame(t, size_px) for t in times_s])
    return FrameBatch(
        pixels=pixels, times_s=np.array(times_s, float), exact=np.ones(len(times_s), bool)
    )


def _choose_questions(candidates: list[Question], rng: random.Random) -> list[Question]:
    """One question of every family, then more at random."""
    # Families are rare to different degrees; each must be measured in every world that has it.
    first = [next((q for q in candidates if q.family == f), None) for f in FAMILIES]
    chosen = [q for q in first if q is not None]
    remaining = [q for q in candidates if q not in chosen]
    rng.shuffle(remaining)
    return (chosen + remaining)[:QUESTIONS_A_WORLD]


def _question_scorers(
    question: Question, table: dict[str, Proportion], results: NanoResults
) -> tuple[Callable[[Reply], None], Callable[[Reply], None]]:
    """For the first look and for the second."""
    answers: list[str] = []

    def score(reply: Reply) -> None:
        answer = reply.text
        answers.append(answer)
        right = says_same(answer, question.answer)
        _note_stated(results, ReplyKind.QUESTION, reply, right)
        table[question.family] = table.get(question.family, NOTHING) + Proportion(right, 1)
        # Saying "no" to what is not there is as good as declining; declining what is there is a
        # fault.
        is_absent = question.family == "absence" and question.answer != "yes"
        if is_absent:
            results.absent += Proportion(
                declines_to_answer(answer) or normalise_text(answer) == "no", 1
            )
        else:
            results.present_declined += Proportion(declines_to_answer(answer), 1)

    def compare(reply: Reply) -> None:
        # Of the first look: whether agreement says anything about being right.
        right = Proportion(says_same(answers[0], question.answer), 1)
        if says_same(answers[0], reply.text):
            results.agreeing += right
        else:
            results.disagreeing += right

    return score, compare


def _note_stated(results: NanoResults, kind: ReplyKind, reply: Reply, right: bool) -> None:
    if reply.confidence is not None:
        results.stated.setdefault(kind, []).append((reply.confidence, right))


def _caption_scorer(world: World, least_s: float, results: NanoResults) -> Callable[[Reply], None]:
    """An actor's attribute counts where the one sentence that names its shape holds the right
    word."""
    visible = find_sightings(world, least_s=least_s)

    def score(reply: Reply) -> None:
        answer = reply.text
        sentences = [normalise_text(text) for text in answer.split(".") if text.strip()]
        for sighting in visible:
            fits = [
                x
                for x in sentences
                if sighting.actor.shape in x.split() and sighting.colour in x.split()
            ]
            sentence = fits[0] if fits else ""
            facts = {
                "shape and colour": bool(fits),
                "size": sighting.actor.size in sentence.split(),
                "pattern": all(
                    (word in sentence.split()) == (word == sighting.actor.pattern)
                    for word in ("striped", "dotted")
                ),
            }
            # What an event changes (a colour, a direction) has no one word, so it is not counted.
            phrase = motion_phrase(sighting)
            if phrase is not None and not sighting.events:
                facts["motion"] = phrase in sentence
            for name, right in facts.items():
                # Words of a sentence that is not there are wrong, "not striped" included.
                hit = Proportion(right and bool(fits), 1)
                results.caption_words[name] = results.caption_words.get(name, NOTHING) + hit
        whole = Proportion(says_same(answer, write_caption(world, least_s=least_s)), 1)
        _note_stated(results, ReplyKind.CAPTION, reply, bool(whole.hits))
        results.caption_words["whole caption"] = (
            results.caption_words.get("whole caption", NOTHING) + whole
        )

    return score


def _box_asks(
    model: ChatModel, world: World, rng: random.Random, results: NanoResults
) -> Iterator[_Ask]:
    # Not near the ends: actors may still come in, or be gone already.
    time_s = rng.uniform(0.3, 0.7) * world.duration_s
    frame = _draw_frames(world, (time_s,), model)
    moment = Span(time_s, time_s + 1e-3)
    visible = find_sightings(world, moment, least_s=1e-4)
    true_boxes = boxes_at(world, time_s)
    size = frame.pixels.shape[2], frame.pixels.shape[1]
    for sighting in visible:
        name = refer_to(sighting, visible)
        if name is None or sighting.actor.id not in true_boxes:
            continue
        truth = Box(
            # Fractions to pixels: x, y, x, y by width, height, width, height.
            *(v * side for v, side in zip(true_boxes[sighting.actor.id], size * 2, strict=True))
        )
        yield _Ask(
            frame, model.clip.prompts.find(name), _box_scorer(truth, size, model, results), True
        )
    shapes = {sighting.actor.shape for sighting in visible}
    # One question about nothing a frame: a model that always finds something would score well
    # without.
    missing = sorted({"circle", "square", "triangle", "star", "cross", "ring"} - shapes)
    prompt = model.clip.prompts.find(rng.choice(missing))
    yield _Ask(frame, prompt, _box_scorer(None, size, model, results), True)


def _box_scorer(
    truth: Box | None, size: tuple[int, int], model: ChatModel, results: NanoResults
) -> Callable[[Reply], None]:
    def score(reply: Reply) -> None:
        found_boxes = parse_boxes(reply.text, model.clip.box_dialect, size).boxes
        if truth is None:
            results.box_absent += Proportion(not found_boxes, 1)
            _note_stated(results, ReplyKind.BOX, reply, not found_boxes)
            return
        overlap = iou(found_boxes[0], truth) if found_boxes else 0.0
        _note_stated(results, ReplyKind.BOX, reply, overlap >= 0.5)
        results.box_found += Proportion(overlap >= 0.5, 1)
        m = results.box_iou
        # A box that is not found counts as an overlap of 0, and is not left out of the mean.
        results.box_iou = Mean(m.total + overlap, m.squares + overlap**2, m.n + 1)

    return score


def by_family(results: NanoResults) -> dict[str, Proportion]:
    """All kinds of worlds together."""
    total: dict[str, Proportion] = defaultdict(lambda: NOTHING)
    for table in results.families.values():
        for family, proportion in table.items():
            total[family] += proportion
    return dict(total)
