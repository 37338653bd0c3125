"""The item asked otherwise, from its program: what changes when words go, or the clip is turned."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from mmreason.grounding.refadv.drafts import Draft
from mmreason.grounding.refadv.items import Item, Variant, VariantKind, show_variant
from mmreason.grounding.refadv.programs import (
    Program,
    delete_descriptor,
    list_descriptors,
    strip_negation,
    swap_bindings,
)
from mmreason.grounding.refadv.texts import Wording, write_text
from mmreason.grounding.refadv.things import Thing, denote, reverse_things
from mmreason.video.world.truth import boxes_at

FLOOR_TEXT = "the one"


def write_variants(
    rng: random.Random, item: Item, draft: Draft, wording: Wording
) -> tuple[Variant, ...]:
    """All variants of an item: `draft` holds its things in the order of its candidates."""
    things = draft.things
    variants = [_shuffle(rng, item), *_delete(item, things, wording)]
    stripped = strip_negation(item.program)
    if stripped is not None:
        variants.append(_reword(item, "strip_negation", stripped, things, wording))
    for swapped in swap_bindings(item.program):
        meant = denote(swapped, things)
        if len(meant) == 1 and _name(item, meant) != item.target_ids:
            variants.append(_reword(item, "swap", swapped, things, wording))
            break
    if item.kind == "video":
        # Frame i of the clip backwards is frame n - 1 - i: its clock ends with the last frame.
        last_s = (item.world.frame_count - 1) / item.world.fps_hz
        backwards = _name(item, denote(item.program, reverse_things(things, last_s)))
        variants.append(_show(item, "reverse", item.expression, backwards))
        variants.append(_freeze(item))
    variants.append(_show(item, "blind", item.expression, item.target_ids))
    variants.append(_show(item, "floor", FLOOR_TEXT, item.target_ids))
    return tuple(variants)


def _name(item: Item, indices: Sequence[int]) -> tuple[str, ...]:
    return tuple(item.candidate_ids[index] for index in indices)


def _show(item: Item, kind: VariantKind, text: str, target_ids: tuple[str, ...]) -> Variant:
    return Variant(
        kind=kind,
        text=text,
        world=show_variant(item.world, kind),
        target_ids=target_ids,
    )


def _shuffle(rng: random.Random, item: Item) -> Variant:
    words = item.expression.replace(",", "").split()
    shuffled = rng.sample(words, len(words))
    return _show(item, "shuffle", " ".join(shuffled), item.target_ids)


def _reword(
    item: Item, kind: VariantKind, program: Program, things: Sequence[Thing], wording: Wording
) -> Variant:
    meant = _name(item, denote(program, things))
    return _show(item, kind, write_text(program, wording), meant)


def _delete(item: Item, things: Sequence[Thing], wording: Wording) -> Iterator[Variant]:
    for name in list_descriptors(item.program):
        shorter = delete_descriptor(item.program, name)
        variant = _reword(item, "delete", shorter, things, wording)
        yield Variant(
            kind="delete",
            text=variant.text,
            world=item.world,
            target_ids=variant.target_ids,
            descriptor=name,
        )


def _freeze(item: Item) -> Variant:
    """The first frame in which the target is to be seen; the first of all where there is none."""
    world, time_s = item.world, 0.0
    for index in range(world.frame_count):
        seen = boxes_at(world, index / world.fps_hz)
        if all(name in seen for name in item.target_ids):
            time_s = index / world.fps_hz
            break
    return Variant(
        kind="single_frame",
        text=item.expression,
        world=show_variant(world, "single_frame", time_s),
        target_ids=item.target_ids,
    )
