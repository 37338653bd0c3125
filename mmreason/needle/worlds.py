"""Needle worlds: long scripted videos with short events that questions are asked about.

`needle_set` lays out chapters, plants needles and look-alikes under claims that keep every question
exactly answerable, chooses residents that break none of them, and cuts the scenes. Same seed, same
worlds and items. At most two actors share a scene, each wholly in the picture and clear of the
word. There are no needles of text: every scene shows its chapter's word.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import TypeVar

from mmreason.memory.tree import plan_tree
from mmreason.needle import layout
from mmreason.needle.item_maker import ItemSpec, NeedleDraft, plant_item
from mmreason.needle.items import (
    NEEDLES_S,
    POSITIONS,
    Border,
    Item,
    Kind,
    NeedleSet,
    duration_name,
)
from mmreason.needle.placement import (
    PlacementPlan,
    choose_residents,
    classify_border,
    plant_look_alikes,
)
from mmreason.needle.words import shuffle_texts
from mmreason.types import UsageError
from mmreason.video.types import Span
from mmreason.video.world.script import World

LEAF_S = 3.0
"""Leaf length that the packaged model sees best; the tree of these worlds has three levels."""
LONGEST_SHARE = 0.1
"""No needle lasts longer than this share of the video."""
MOST_ITEMS = 30
LOCAL_KINDS: tuple[Kind, ...] = (
    "attribute",
    "order",
    "motion",
    "attribute",
    "count",
    "attribute",
    "order",
    "attribute",
)
"""Kinds of items that are neither absent nor global; orders are of two and three needles in
turn."""
GLOBAL_QUESTIONS = (
    "Which word is on the screen for the longest time in the whole video?",
    "Which word is on the screen last in the whole video?",
    "Which word is on the screen for the shortest time in the whole video?",
    "Which word is on the screen first in the whole video?",
)
_BORDERS: tuple[Border, ...] = ("inside", "near", "across")
_ATTEMPTS = 12
_T = TypeVar("_T")


def needle_set(seed: int, duration_s: float, items: int = 10) -> NeedleSet:
    """A world of `duration_s` seconds with `items` items, of which a tenth has no answer and a
    tenth is about the whole video (both rounded).

    Raises UsageError where so many items do not fit.

    Example:
        >>> needles = needle_set(0, 180.0, items=4)  # doctest: +SKIP
        >>> needles.save("worlds")  # doctest: +SKIP
        PosixPath('worlds/needle-3m-0.json')
    """
    if not 1 <= items <= MOST_ITEMS:
        raise UsageError(f"a needle world has 1 to {MOST_ITEMS} items, got {items}")
    name = f"needle-{duration_name(duration_s)}-{seed}"
    for attempt in range(_ATTEMPTS):
        # The attempt is part of the seed: a world that did not come out is drawn anew, the same
        # everywhere.
        rng = random.Random(f"{name}/{items}/{attempt}")
        needles = _attempt(rng, name, seed, duration_s, items)
        if needles is not None:
            return needles
    raise UsageError(
        f"{items} items do not fit into {duration_name(duration_s)}; ask for fewer items a world"
    )


def _attempt(
    rng: random.Random, name: str, seed: int, duration_s: float, count: int
) -> NeedleSet | None:
    # 1. Chapters, and the needles in them: each brings a claim that nothing later may break.
    tree = plan_tree(Span(0.0, duration_s), leaf_s=LEAF_S)
    placement = PlacementPlan(tree, layout.draw_chapters(rng, duration_s))
    tenth = min(round(count / 10), len(GLOBAL_QUESTIONS))
    drafts: list[NeedleDraft] = []
    for spec in _item_specs(rng, duration_s, count - tenth, round(count / 10)):
        draft = plant_item(rng, placement, spec)
        if draft is None:
            return None
        drafts.append(draft)
    # 2. Look-alikes, which differ from their needle in an attribute that the question names.
    drafts.sort(key=lambda d: d.spec.index)
    look_alike_counts = [
        plant_look_alikes(rng, placement, draft.events[0], draft.vary, f"double{draft.spec.index}")
        for draft in drafts
    ]
    # 3. The world around: sections, a resident for each, and scenes cut at every edge of an event.
    sections = layout.draw_sections(rng, placement.chapters, placement.events)
    figures = choose_residents(rng, placement, sections)
    if figures is None:
        return None
    scenes = layout.draw_scenes(rng, placement.chapters, sections, figures, placement.events)
    world = World(name=name, seed=seed, scenes=scenes)
    # 4. The items, those about the whole video last.
    made_items = [
        _item(d, n, placement, world) for d, n in zip(drafts, look_alike_counts, strict=True)
    ]
    for number in rng.sample(range(len(GLOBAL_QUESTIONS)), tenth):
        made_items.append(_global_item(rng, placement, world, number, len(made_items)))
    return NeedleSet(world=world, items=tuple(made_items))


def _item_specs(rng: random.Random, duration_s: float, count: int, absent: int) -> list[ItemSpec]:
    """The planted items: kinds, lengths, positions and borders each in their own cycle, from a
    random start. The longest come first, while there is room."""
    # Cycles, not draws: in a world of ten items every position and every border occurs.
    lengths_s = [s for s in NEEDLES_S if s <= LONGEST_SHARE * duration_s]
    kinds, sizes = _cycle(rng, LOCAL_KINDS), _cycle(rng, lengths_s)
    borders, order_sizes = _cycle(rng, _BORDERS), _cycle(rng, (2, 3))
    positions = itertools.cycle(rng.sample(range(POSITIONS), POSITIONS))
    specs = []
    for index in range(count):
        kind: Kind = "absent" if index < absent else next(kinds)
        length_s = next(sizes)
        specs.append(
            ItemSpec(
                index=index,
                kind=kind,
                length_s=max(4.0, length_s) if kind == "motion" else length_s,
                position=next(positions),
                border=next(borders),
                needles=next(order_sizes) if kind == "order" else 4 if kind == "count" else 1,
            )
        )
    return sorted(specs, key=lambda w: -w.length_s * w.needles)


def _cycle(rng: random.Random, values: Sequence[_T]) -> itertools.cycle[_T]:
    start = rng.randrange(len(values))
    return itertools.cycle([*values[start:], *values[:start]])


def _item(draft: NeedleDraft, distractors: int, placement: PlacementPlan, world: World) -> Item:
    first = draft.events[0].span
    is_absent = draft.answer is None
    spans = sorted(p.span for p in draft.events)
    return Item(
        id=f"{world.name}-{draft.spec.index:02d}",
        world=world.name,
        duration_s=world.duration_s,
        seed=world.seed or 0,
        question=draft.question,
        options=draft.options,
        answer=None if draft.answer is None else draft.options.index(draft.answer),
        kind=draft.spec.kind,
        gold_spans=() if is_absent else tuple(spans),
        needle_s=draft.spec.length_s,
        position=min(9, int(10 * first.middle_s / world.duration_s)),
        border=classify_border(placement.tree, first),
        context=draft.context,
        distractors=distractors + is_absent,
    )


def _global_item(
    rng: random.Random, placement: PlacementPlan, world: World, number: int, index: int
) -> Item:
    by_length = sorted(placement.chapters, key=lambda c: -c.span.duration_s)
    # In the order of `GLOBAL_QUESTIONS`.
    right = (by_length[0], placement.chapters[-1], by_length[-1], placement.chapters[0])[number]
    wrong = rng.sample([c.word for c in placement.chapters if c is not right], 3)
    options = shuffle_texts(rng, [right.word, *wrong])
    return Item(
        id=f"{world.name}-{index:02d}",
        world=world.name,
        duration_s=world.duration_s,
        seed=world.seed or 0,
        question=GLOBAL_QUESTIONS[number],
        options=options,
        answer=options.index(right.word),
        kind="global",
        gold_spans=(right.span,),
        needle_s=0.0,
        position=min(9, int(10 * right.span.middle_s / world.duration_s)),
        border="across",
        context=None,
        distractors=0,
    )
