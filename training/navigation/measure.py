"""How well a model navigates scripted videos that no training saw, beside a policy that needs none.

The observer is faultless and sees no pixels, so that only the choice of where to look is measured.
Leaves out the loop's check of answers: a play counts by its first answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mmreason.evaluation.needle.items import Item
from mmreason.evaluation.scoring import Share
from mmreason.models.base import ChatModel
from mmreason.reasoner import Reasoner
from mmreason.training.navigation.plays import ITEMS, Table, Turn, is_right, needle_world, play_all
from mmreason.training.navigation.teacher import Teacher

NOTHING = Share(0, 0)


@dataclass
class Navigation:
    """Shares over the items of held-out worlds."""

    valid: Share = NOTHING
    """Turns that hold one call of a known tool on a known node, or an answer."""
    right_open: Share = NOTHING
    """Opened nodes that hold a place which has to be seen (items that have one)."""
    right_look: Share = NOTHING
    """Looks at such a place."""
    model: Share = NOTHING
    """Items answered right: by the model,"""
    greedy: Share = NOTHING
    """by `Greedy`, with the loop's checks,"""
    teacher: Share = NOTHING
    """and by the teacher without hints."""
    turns: int = 0
    """Turns of all plays together."""
    by_kind: dict[str, Share] = field(default_factory=dict)
    """The model's, by kind of item."""


def measure(
    model: ChatModel,
    *,
    worlds: int,
    duration_s: float | None = None,
    items: int = ITEMS,
    on_world: Callable[[int], None] = lambda _: None,
) -> Navigation:
    """Let `model` play every item of `worlds` held-out worlds."""
    found = Navigation()
    for index in range(worlds):
        table = Table(needle_world("held-out", index, duration_s, items))
        asked = table.needles.items
        plays = play_all([table.play(item) for item in asked], model)
        for item, turns in zip(asked, plays, strict=True):
            _tally(found, table, item, turns)
        on_world(index + 1)
    return found


def _tally(found: Navigation, table: Table, item: Item, turns: tuple[Turn, ...]) -> None:
    found.turns += len(turns)
    right = Share(bool(turns) and is_right(item, turns[-1].text), 1)
    found.model += right
    found.by_kind[item.kind] = found.by_kind.get(item.kind, NOTHING) + right
    for turn in turns:
        said = table.said(item, turn.text)
        found.valid += Share(said is not None, 1)
        node = table.visited(item, turn.text)
        if said is not None and node is not None and item.gold_spans:
            span = table.tree.node(node).span
            hit = Share(any(gold.overlap_s(span) > 0 for gold in item.gold_spans), 1)
            if said.calls[0].name == "caption":
                found.right_open += hit
            else:
                found.right_look += hit
    answer = Reasoner(table.eyes).ask(table.video, item.question, options=item.options)
    found.greedy += Share(answer.choice == item.answer, 1)
    (shown,) = play_all([table.play(item)], Teacher(item, table.tree, table.read, 0))
    found.teacher += Share(bool(shown) and is_right(item, shown[-1].text), 1)
