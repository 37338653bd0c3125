"""Items and outcomes for the tests of diagnosis."""

from __future__ import annotations

from functools import cache
from typing import Any

from mmreason.evaluation.refadv.outcomes import CaseOutcome, Change, Facts
from mmreason.grounding.refadv import Item, Knobs, generate

FACTS = Facts(descriptors=2, candidates=4, negation=False, hops=0, family="attribute", hard=2)


@cache
def image_items(count: int = 12) -> tuple[Item, ...]:
    knobs = Knobs(k=2, n=6, families=("attribute",))
    return tuple(generate(kind="image", seed=40, count=count, knobs=knobs))


@cache
def relation_items(count: int = 8) -> tuple[Item, ...]:
    knobs = Knobs(k=3, n=8, families=("relation",))
    return tuple(generate(kind="image", seed=40, count=count, knobs=knobs))


@cache
def video_items(count: int = 6) -> tuple[Item, ...]:
    knobs = Knobs(k=2, n=6, families=("motion",))
    return tuple(generate(kind="video", seed=60, count=count, knobs=knobs))


def make_outcome(item: str, change: Change = "original", **values: Any) -> CaseOutcome:
    """An outcome with one target that nothing was answered to."""
    common: dict[str, Any] = {
        "subject": "s",
        "item": item,
        "change": change,
        "kind": "image",
        "cluster": item,
        "facts": FACTS,
        "expression": "the red star",
        "targets": 1,
        "status": "found",
    }
    return CaseOutcome(**common | values)


def right(item: str, change: Change = "original", **values: Any) -> CaseOutcome:
    """One answered rightly, with a box that fits."""
    given: dict[str, Any] = {"iou": 0.8, "pick": "target", "picked": "t", "boxes": 1}
    return make_outcome(item, change, **given | values)


def wrong(item: str, change: Change = "original", **values: Any) -> CaseOutcome:
    """One answered by a hard distractor."""
    given: dict[str, Any] = {"iou": 0.0, "pick": "hard", "picked": "d", "boxes": 1}
    return make_outcome(item, change, **given | values)
