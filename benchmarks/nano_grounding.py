"""How well nano-grounding reads referring expressions: procedural Ref-Adv of seeds that it never
learnt from, with what it does when words are shuffled or taken away, or only one frame is shown.

    python benchmarks/nano_grounding.py --items 200 \\
      --out benchmarks/results/grounding/nano.md

Packaged nano stands beside it, asked for a box on single frames: tubes it was not taught.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mmreason import models
from mmreason.evaluation.scoring import Proportion
from mmreason.grounding import (
    Box,
    Dialect,
    GroundingStatus,
    Tube,
    iou,
    parse_boxes,
    parse_tubes,
)
from mmreason.grounding.metrics.statistics import cluster_bootstrap
from mmreason.grounding.refadv import Item, Knobs, generate
from mmreason.grounding.refadv.items import ItemKind
from mmreason.models.base import ChatModel, FramesPart, GenerateRequest, Message, TextPart
from mmreason.models.nano_expressions import understand_referring
from mmreason.models.nano_model import NanoModel
from mmreason.training.nano.grounding_examples import PROMPTS, clip_times, write_referring
from mmreason.training.nano.packing import slice_times
from mmreason.video.types import FrameBatch
from mmreason.video.world.script import World
from mmreason.video.world.truth import boxes_at

FIRST_SEED = 500_000
"""Training begins at 1,000,000; the frozen items lie below this."""
SIZE_PX = (144, 80)
CLIP_FRAMES = 8
BATCH = 32
STILL_TOKENS, CLIP_TOKENS = 64, 180
RIGHT_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Shown:
    """One item as it is asked."""

    item: Item
    text: str
    world: World
    target_ids: tuple[str, ...]
    """What the text means there."""


@dataclass
class Scores:
    """Of one suite, one value an item."""

    overlaps: list[float] = field(default_factory=list)
    """IoU of the box, or the mean over the union of times of a tube; 0 for none where there is
    one."""
    identified: list[bool] = field(default_factory=list)
    """Whether the object that the answer overlaps most is the target."""
    said_none: list[bool] = field(default_factory=list)

    @property
    def accuracy(self) -> Proportion:
        """Overlaps of one half and more."""
        return _share([overlap >= RIGHT_IOU for overlap in self.overlaps])


Answer = Box | Tube | None
"""None where the reply says that nothing is there, or cannot be read."""


def make_items(kind: ItemKind, knobs: Knobs, count: int) -> list[Item]:
    """Held-out items of one difficulty."""
    return list(generate(kind=kind, seed=FIRST_SEED, count=count, knobs=knobs))


def show_plainly(items: Sequence[Item], *, in_nano_words: bool = False) -> list[Shown]:
    """The items as they are; `in_nano_words` where no guard brings the text into them."""
    return [
        Shown(
            item,
            write_referring(item.program) if in_nano_words else item.expression,
            item.world,
            item.target_ids,
        )
        for item in items
    ]


def show_variants(items: Sequence[Item], kind: str, *, keep_target: bool = False) -> list[Shown]:
    """Each item's first variant of a kind that means one object, in nano's words; `keep_target`
    scores it against the target of the item instead of what it means."""
    shown = []
    for item in items:
        variant = next(v for v in item.variants if v.kind == kind)
        text = understand_referring(variant.text, moving=item.kind == "video")
        assert isinstance(text, str) and variant.world is not None
        ids = item.target_ids if keep_target else variant.target_ids
        shown.append(Shown(item, text, variant.world, ids))
    return [one for one in shown if len(one.target_ids) == 1]


def shuffle_words(items: Sequence[Item]) -> list[Shown]:
    """The items with the words of their expression in another order."""
    shown = []
    for one in show_plainly(items, in_nano_words=True):
        words = one.text.split()
        rng = random.Random(one.item.id)
        shuffled = next(w for _ in iter(int, 1) if (w := rng.sample(words, len(words))) != words)
        shown.append(replace(one, text=" ".join(shuffled)))
    return shown


def ask_stills(model: ChatModel, shown: Sequence[Shown]) -> Iterator[tuple[Answer, bool]]:
    """(box in pixels of nano's frame, whether it said that nothing is there) of each."""
    prompts = [(_frames(one.world, [one.item.frame_time_s or 0.0]), one.text) for one in shown]
    for text in _generate(model, prompts, PROMPTS.find, "image", STILL_TOKENS):
        read = parse_boxes(text, Dialect.NORM_1000, SIZE_PX)
        yield (read.boxes[0] if read.boxes else None), read.status is GroundingStatus.NONE


def ask_clips(model: ChatModel, shown: Sequence[Shown]) -> Iterator[tuple[Answer, bool]]:
    """(tube at the times of the slices, whether it said that nothing is there) of each."""
    prompts = [(_frames(one.world, clip_times(one.world, CLIP_FRAMES)), one.text) for one in shown]
    texts = _generate(model, prompts, PROMPTS.follow, "video", CLIP_TOKENS)
    for one, text in zip(shown, texts, strict=True):
        times_s = _slice_times(one.world)
        read = parse_tubes(text, Dialect.NORM_1000, SIZE_PX, times_s=times_s)
        yield (read.targets[0].tube if read.targets else None), read.status is GroundingStatus.NONE


def ask_frames_of_clips(model: ChatModel, shown: Sequence[Shown]) -> Iterator[tuple[Answer, bool]]:
    """Tubes of a model that knows boxes alone: it is asked at the middle of each slice."""
    prompts = [
        (_frames(one.world, [time_s]), one.text)
        for one in shown
        for time_s in _slice_times(one.world)
    ]
    reads = [
        parse_boxes(text, Dialect.NORM_1000, SIZE_PX)
        for text in _generate(model, prompts, PROMPTS.find, "image", STILL_TOKENS)
    ]
    for index, one in enumerate(shown):
        times_s = _slice_times(one.world)
        own = reads[index * len(times_s) : (index + 1) * len(times_s)]
        tube = Tube.from_boxes(times_s, [read.boxes[0] if read.boxes else None for read in own])
        yield tube, all(read.status is GroundingStatus.NONE for read in own)


def score(shown: Sequence[Shown], answers: Iterator[tuple[Answer, bool]]) -> Scores:
    """Overlap and identity of every answer."""
    scores = Scores()
    for one, (answer, said_none) in zip(shown, answers, strict=True):
        scores.said_none.append(said_none)
        if not one.target_ids:
            continue
        overlap_by_id = _overlaps(one, answer)
        target = one.target_ids[0]
        scores.overlaps.append(overlap_by_id.get(target, 0.0))
        best = max(overlap_by_id, key=overlap_by_id.__getitem__, default="")
        scores.identified.append(bool(best) and overlap_by_id[best] > 0 and best == target)
    return scores


def _overlaps(one: Shown, answer: Answer) -> dict[str, float]:
    if answer is None:
        return {}
    item = one.item
    if isinstance(answer, Box):
        boxes = _boxes(one.world, item.frame_time_s or 0.0)
        return {name: iou(answer, box) for name, box in boxes.items()}
    times_s = _slice_times(one.world)
    frames = [_boxes(one.world, time_s) for time_s in times_s]
    overlap_by_id = {}
    for name in item.candidate_ids:
        values = []
        for time_s, boxes in zip(times_s, frames, strict=True):
            said, true = answer.at(time_s), boxes.get(name)
            if said is not None and true is not None:
                values.append(iou(said, true))
            elif said is not None or true is not None:
                values.append(0.0)
        overlap_by_id[name] = float(np.mean(values)) if values else 0.0
    return overlap_by_id


def _boxes(world: World, time_s: float) -> dict[str, Box]:
    width, height = SIZE_PX
    return {
        name: Box(x1 * width, y1 * height, x2 * width, y2 * height)
        for name, (x1, y1, x2, y2) in boxes_at(world, time_s).items()
    }


def _slice_times(world: World) -> list[float]:
    return slice_times(tuple(clip_times(world, CLIP_FRAMES)))


def _frames(world: World, times_s: Sequence[float]) -> FrameBatch:
    pixels = np.stack([world.frame(time_s, SIZE_PX) for time_s in times_s])
    return FrameBatch(pixels=pixels, times_s=np.array(times_s), exact=np.ones(len(times_s), bool))


def _generate(
    model: ChatModel,
    prompts: Sequence[tuple[FrameBatch, str]],
    request: Callable[[str], str],
    kind: ItemKind,
    most_tokens: int,
) -> list[str]:
    conversations = [
        [Message("user", (FramesPart(frames, kind), TextPart(request(text))))]
        for frames, text in prompts
    ]
    texts = []
    for start in range(0, len(conversations), BATCH):
        batch = GenerateRequest(conversations[start : start + BATCH], max_new_tokens=most_tokens)
        texts += [reply.text for reply in model.generate(batch)]
    return texts


def _share(values: Sequence[bool]) -> Proportion:
    return Proportion(int(sum(values)), len(values))


EASY, HARD = Knobs(k=1, n=4, families=("attribute",)), Knobs(k=2, n=6, families=("attribute",))
NEGATED = Knobs(k=2, n=6, negation=1, families=("attribute",))
NOBODY = Knobs(k=2, n=6, none_rate=1.0, families=("attribute",))
MOTION = Knobs(k=1, n=4, families=("motion",))
ORDER = Knobs(k=2, n=5, families=("order",))
NO_MOTION = Knobs(k=2, n=5, none_rate=1.0, families=("motion",))


def measure_stills(model: ChatModel, count: int, *, in_nano_words: bool = False) -> dict[str, str]:
    """A figure for every suite of single frames."""
    figures = {}
    for name, knobs in (("k = 1, n = 4", EASY), ("k = 2, n = 6", HARD), ("negated", NEGATED)):
        shown = show_plainly(make_items("image", knobs, count), in_nano_words=in_nano_words)
        scores = score(shown, ask_stills(model, shown))
        figures[f"Acc@.5, {name}"] = str(scores.accuracy)
        figures[f"identity, {name}"] = str(_share(scores.identified))
        figures[f"said nothing fits, {name}"] = str(_share(scores.said_none))
    shown = show_plainly(make_items("image", NOBODY, count), in_nano_words=in_nano_words)
    figures["nothing fits, said so (k = 2, n = 6)"] = str(
        _share(score(shown, ask_stills(model, shown)).said_none)
    )
    return figures


def measure_clips(
    model: ChatModel,
    count: int,
    ask: Callable[..., Iterator[tuple[Answer, bool]]],
    *,
    in_nano_words: bool = False,
) -> dict[str, str]:
    """A figure for every suite of clips."""
    figures = {}
    for name, knobs in (("motion, k = 1, n = 4", MOTION), ("order, k = 2, n = 5", ORDER)):
        items = make_items("video", knobs, count)
        shown = show_plainly(items, in_nano_words=in_nano_words)
        scores = score(shown, ask(model, shown))
        figures[f"m_vIoU, {name}"] = _mean(scores.overlaps)
        figures[f"identity, {name}"] = str(_share(scores.identified))
        bound = float(np.mean([item.certificate.single_frame_bound for item in items]))
        figures[f"single-frame bound of identity, {name}"] = f"{bound:.1%}"
    shown = show_plainly(make_items("video", NO_MOTION, count), in_nano_words=in_nano_words)
    figures["nothing fits, said so (motion, k = 2, n = 5)"] = str(
        _share(score(shown, ask(model, shown)).said_none)
    )
    return figures


def measure_shortcuts(model: ChatModel, count: int, *, tracks: bool) -> dict[str, str]:
    """What the weights do with texts and clips that are not what was taught, without the guard."""
    figures = {}
    items = make_items("image", HARD, count)
    plain = show_plainly(items, in_nano_words=True)
    for name, shown in (
        ("as it is: identity (k = 2, n = 6)", plain),
        ("words shuffled: identity (k = 2, n = 6)", shuffle_words(items)),
        (
            "one of two descriptors deleted: identity (k = 2, n = 6)",
            show_variants(items, "delete", keep_target=True),
        ),
        ('no words, "object": identity (k = 2, n = 6)', [replace(p, text="object") for p in plain]),
    ):
        figures[name] = str(_share(score(shown, ask_stills(model, shown)).identified))
    if not tracks:
        return figures
    clips = make_items("video", MOTION, count)
    shown = show_variants(clips, "single_frame", keep_target=True)
    figures["one frame throughout: identity (motion)"] = str(
        _share(score(shown, ask_clips(model, shown)).identified)
    )
    shown = show_variants(clips, "reverse")
    figures["clip reversed: identity of what is then meant (motion)"] = str(
        _share(score(shown, ask_clips(model, shown)).identified)
    )
    return figures


def _mean(values: Sequence[float]) -> str:
    interval = cluster_bootstrap(values)
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f}, n = {interval.n})"


def write_table(columns: dict[str, dict[str, str]]) -> str:
    """Rows by figure, one column a model; markdown."""
    names = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for name in names:
        cells = [figures.get(name, "not measured") for figures in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="nano-grounding")
    parser.add_argument("--items", type=int, default=200, help="of each suite")
    parser.add_argument("--without-nano", action="store_true", help="only the model")
    parser.add_argument("--out", type=Path, help="file for the table")
    args = parser.parse_args()
    model = models.load(args.model)
    figures = measure_stills(model, args.items)
    # Who was not taught clips is not asked for tubes.
    tracks = bool(model.clip.prompts.track)
    if tracks:
        figures |= measure_clips(model, args.items, ask_clips)
    weights = model.inner if isinstance(model, NanoModel) else model
    figures |= measure_shortcuts(weights, args.items, tracks=tracks)
    columns = {args.model: figures}
    if not args.without_nano:
        nano = models.load("nano")
        assert isinstance(nano, NanoModel)
        # Without its guard, which declines most of these expressions.
        baseline = measure_stills(nano.inner, args.items, in_nano_words=True)
        if tracks:
            baseline |= measure_clips(
                nano.inner, args.items, ask_frames_of_clips, in_nano_words=True
            )
        columns["nano, without its guard"] = baseline
    table = write_table(columns)
    print(table)
    if args.out is not None:
        command = f"python benchmarks/nano_grounding.py --items {args.items}"
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(f"# Referring expressions: {args.model}\n\n`{command}`\n\n{table}")


if __name__ == "__main__":
    main()
