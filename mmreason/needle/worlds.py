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
from mmreason.needle.item_maker import ItemDraft, ItemSpec, planted
from mmreason.needle.items import (
    NEEDLES_S,
    POSITIONS,
    Border,
    Item,
    Kind,
    NeedleSet,
    duration_name,
)
from mmreason.needle.placement import PlacementPlan, look_alikes, relation, residents
from mmreason.needle.words import shuffled
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
GLOBALS = (
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
    """
    if not 1 <= items <= MOST_ITEMS:
        raise UsageError(f"a needle world has 1 to {MOST_ITEMS} items, got {items}")
    name = f"needle-{duration_name(duration_s)}-{seed}"
    for attempt in range(_ATTEMPTS):
        rng = random.Random(f"{name}/{items}/{attempt}")
        made = _attempt(rng, name, seed, duration_s, items)
        if made is not None:
            return made
    raise UsageError(
        f"{items} items do not fit into {duration_name(duration_s)}; ask for fewer items a world"
    )


def _attempt(
    rng: random.Random, name: str, seed: int, duration_s: float, count: int
) -> NeedleSet | None:
    tree = plan_tree(Span(0.0, duration_s), leaf_s=LEAF_S)
    garden = PlacementPlan(tree, layout.chapters(rng, duration_s))
    tenth = min(round(count / 10), len(GLOBALS))
    drafts: list[ItemDraft] = []
    for action in _wishes(rng, duration_s, count - tenth, round(count / 10)):
        draft = planted(rng, garden, action)
        if draft is None:
            return None
        drafts.append(draft)
    drafts.sort(key=lambda d: d.action.index)
    doubles = [
        look_alikes(rng, garden, draft.plants[0], draft.vary, f"double{draft.action.index}")
        for draft in drafts
    ]
    places = layout.sections(rng, garden.chapters, garden.plants)
    figures = residents(rng, garden, places)
    if figures is None:
        return None
    scenes = layout.scenes(rng, garden.chapters, places, figures, garden.plants)
    world = World(name=name, seed=seed, scenes=scenes)
    made = [_item(d, n, garden, world) for d, n in zip(drafts, doubles, strict=True)]
    for number in rng.sample(range(len(GLOBALS)), tenth):
        made.append(_global_item(rng, garden, world, number, len(made)))
    return NeedleSet(world=world, items=tuple(made))


def _wishes(rng: random.Random, duration_s: float, count: int, absent: int) -> list[ItemSpec]:
    """The planted items: kinds, lengths, positions and borders each in their own cycle, from a
    random start. The longest come first, while there is room."""
    lengths_s = [s for s in NEEDLES_S if s <= LONGEST_SHARE * duration_s]
    kinds, sizes = _cycle(rng, LOCAL_KINDS), _cycle(rng, lengths_s)
    borders, places = _cycle(rng, _BORDERS), _cycle(rng, (2, 3))
    positions = itertools.cycle(rng.sample(range(POSITIONS), POSITIONS))
    actions = []
    for index in range(count):
        kind: Kind = "absent" if index < absent else next(kinds)
        length_s = next(sizes)
        actions.append(
            ItemSpec(
                index=index,
                kind=kind,
                length_s=max(4.0, length_s) if kind == "motion" else length_s,
                position=next(positions),
                border=next(borders),
                places=next(places) if kind == "order" else 4 if kind == "count" else 1,
            )
        )
    return sorted(actions, key=lambda w: -w.length_s * w.places)


def _cycle(rng: random.Random, values: Sequence[_T]) -> itertools.cycle[_T]:
    start = rng.randrange(len(values))
    return itertools.cycle([*values[start:], *values[:start]])


def _item(draft: ItemDraft, distractors: int, garden: PlacementPlan, world: World) -> Item:
    first = draft.plants[0].span
    is_absent = draft.answer is None
    spans = sorted(p.span for p in draft.plants)
    return Item(
        id=f"{world.name}-{draft.action.index:02d}",
        world=world.name,
        duration_s=world.duration_s,
        seed=world.seed or 0,
        question=draft.question,
        options=draft.options,
        answer=None if draft.answer is None else draft.options.index(draft.answer),
        kind=draft.action.kind,
        gold_spans=() if is_absent else tuple(spans),
        needle_s=draft.action.length_s,
        position=min(9, int(10 * first.middle_s / world.duration_s)),
        border=relation(garden.tree, first),
        context=draft.context,
        distractors=distractors + is_absent,
    )


def _global_item(
    rng: random.Random, garden: PlacementPlan, world: World, number: int, index: int
) -> Item:
    by_length = sorted(garden.chapters, key=lambda c: -c.span.duration_s)
    right = (by_length[0], garden.chapters[-1], by_length[-1], garden.chapters[0])[number]
    wrong = rng.sample([c.word for c in garden.chapters if c is not right], 3)
    options = shuffled(rng, [right.word, *wrong])
    return Item(
        id=f"{world.name}-{index:02d}",
        world=world.name,
        duration_s=world.duration_s,
        seed=world.seed or 0,
        question=GLOBALS[number],
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
