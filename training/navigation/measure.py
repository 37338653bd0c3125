"""How well a model navigates scripted videos that no training saw, beside a policy that needs none.

The observer is faultless and sees no pixels, so that only the choice of where to look is measured.
Leaves out the loop's check of answers: a play counts by its first answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mmreason.evaluation.scoring import Proportion
from mmreason.models.base import ChatModel
from mmreason.needle.items import Item
from mmreason.reasoner import Reasoner
from mmreason.tool_calls import Caption
from mmreason.training.navigation.plays import ITEMS, Table, Turn, is_right, needle_world, play_all
from mmreason.training.navigation.teacher import Teacher

NOTHING = Proportion(0, 0)


@dataclass
class Player:
    """How one player of the same policy does, over the items of held-out worlds."""

    valid: Proportion = NOTHING
    """Turns that hold one call of a known tool on a known node, or an answer."""
    right_open: Proportion = NOTHING
    """Opened nodes that hold a place which has to be seen (items that have one)."""
    right_look: Proportion = NOTHING
    """Looks at such a place."""
    right: Proportion = NOTHING
    """Items answered right."""
    turns: int = 0
    """Of all plays together."""
    by_kind: dict[str, Proportion] = field(default_factory=dict)
    """Items answered right, by kind of item."""

    def add(self, table: Table, item: Item, turns: tuple[Turn, ...]) -> None:
        """Count one play."""
        right = Proportion(bool(turns) and is_right(item, turns[-1].text), 1)
        self.turns += len(turns)
        self.right += right
        self.by_kind[item.kind] = self.by_kind.get(item.kind, NOTHING) + right
        for turn in turns:
            said = table.said(item, turn.text)
            self.valid += Proportion(said is not None, 1)
            node = table.visited(item, turn.text)
            if said is None or node is None or not item.gold_spans:
                continue
            span = table.tree.node(node).span
            hit = Proportion(any(gold.overlap_s(span) > 0 for gold in item.gold_spans), 1)
            if isinstance(said.calls[0], Caption):
                self.right_open += hit
            else:
                self.right_look += hit


@dataclass
class Navigation:
    """What a model does, beside the teacher at the same tables and a policy that needs neither."""

    model: Player = field(default_factory=Player)
    teacher: Player = field(default_factory=Player)
    """Without hints."""
    greedy: Proportion = NOTHING
    """Items that `Greedy` answers right, with the loop's checks."""


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
            found.model.add(table, item, turns)
            teacher = Teacher(item, table.tree, table.read, hints=0)
            found.teacher.add(table, item, *play_all([table.play(item)], teacher))
            answer = Reasoner(table.eyes).ask(table.video, item.question, options=item.options)
            found.greedy += Proportion(answer.choice == item.answer, 1)
        on_world(index + 1)
    return found
