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
from mmreason.policies.base import Inquiry
from mmreason.policies.longvideo_r1_text import Said, read_turn
from mmreason.reasoner import Reasoner
from mmreason.training.navigation.observer import CLIP
from mmreason.training.navigation.plays import ITEMS, Table, Turn, is_right, needle_world, play_all
from mmreason.training.navigation.teacher import Teacher
from mmreason.types import UsageError

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
    right = Share(bool(turns) and is_right(item, turns[-1].text), 1)
    found.model += right
    found.by_kind[item.kind] = found.by_kind.get(item.kind, NOTHING) + right
    inquiry = Inquiry(
        question=item.question, options=item.options, tree=table.tree, leaf_s=CLIP.leaf_s
    )
    for turn in turns:
        said = _read(turn.text, inquiry)
        found.valid += Share(said is not None, 1)
        if said is not None and said.calls and item.gold_spans:
            _tally_call(found, table, item, said)
    answer = Reasoner(table.eyes).ask(table.video, item.question, options=item.options)
    found.greedy += Share(answer.choice == item.answer, 1)
    (shown,) = play_all([table.play(item)], Teacher(item, table.tree, table.read, 0))
    found.teacher += Share(bool(shown) and is_right(item, shown[-1].text), 1)


def _tally_call(found: Navigation, table: Table, item: Item, said: Said) -> None:
    """An opened node is the parent of the captions it asks for."""
    first = said.calls[0]
    span, node = first.arguments["span"], first.arguments.get("node")
    if first.name == "caption" and node is not None and len(said.calls) > 1:
        span = table.tree.node(tuple(node[:-1])).span
    hit = Share(any(gold.overlap_s(span) > 0 for gold in item.gold_spans), 1)
    if first.name == "caption":
        found.right_open += hit
    elif first.name in ("look", "focus"):
        found.right_look += hit


def _read(text: str, inquiry: Inquiry) -> Said | None:
    try:
        return read_turn(text, inquiry)
    except (UsageError, ValueError):
        return None
