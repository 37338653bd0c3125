"""How well a model navigates scripted videos that no training saw, beside a policy that needs none.

The observer is faultless and sees no pixels, so that only the choice of where to look is measured.
The loop's check of answers is left aside: a play counts by its first answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mmreason.evaluation.scoring import Proportion
from mmreason.models.base import ChatModel
from mmreason.needle.items import Item
from mmreason.reasoner import Reasoner
from mmreason.tool_calls import Caption
from mmreason.training.navigation.demonstrations import (
    ITEMS,
    PlayedWorld,
    PlayTurn,
    is_right,
    needle_world,
    play_all,
)
from mmreason.training.navigation.teacher import Teacher

NOTHING = Proportion(0, 0)


@dataclass
class NavigationScore:
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

    def add(self, played: PlayedWorld, item: Item, turns: tuple[PlayTurn, ...]) -> None:
        """Count one play."""
        right = Proportion(bool(turns) and is_right(item, turns[-1].text), 1)
        self.turns += len(turns)
        self.right += right
        self.by_kind[item.kind] = self.by_kind.get(item.kind, NOTHING) + right
        for turn in turns:
            decision = played.read_turn(item, turn.text)
            self.valid += Proportion(decision is not None, 1)
            node = played.visited_node(item, turn.text)
            # Where the truth names no time, no visit is right or wrong.
            if decision is None or node is None or not item.gold_spans:
                continue
            span = played.tree.node(node).span
            hit = Proportion(any(gold.overlap_s(span) > 0 for gold in item.gold_spans), 1)
            if isinstance(decision.calls[0], Caption):
                self.right_open += hit
            else:
                self.right_look += hit


@dataclass
class NavigationComparison:
    """What a model does, beside the teacher at the same tables and a policy that needs neither."""

    model: NavigationScore = field(default_factory=NavigationScore)
    teacher: NavigationScore = field(default_factory=NavigationScore)
    """Without hints."""
    greedy: Proportion = NOTHING
    """Items that `Greedy` answers right, with the loop's checks."""


def measure_navigation(
    model: ChatModel,
    *,
    worlds: int,
    duration_s: float | None = None,
    items: int = ITEMS,
    on_world: Callable[[int], None] = lambda _: None,
) -> NavigationComparison:
    """Let `model` play every item of `worlds` held-out worlds."""
    comparison = NavigationComparison()
    for index in range(worlds):
        played = PlayedWorld(needle_world("held-out", index, duration_s, items))
        questions = played.needles.items
        plays = play_all([played.play(item) for item in questions], model)
        for item, turns in zip(questions, plays, strict=True):
            comparison.model.add(played, item, turns)
            # Each player has the same captions: what one has read costs the next nothing.
            teacher = Teacher(item, played.tree, played.read_notes, hints=0)
            comparison.teacher.add(played, item, *play_all([played.play(item)], teacher))
            answer = Reasoner(played.observer).ask(
                played.video, item.question, options=item.options
            )
            comparison.greedy += Proportion(answer.choice == item.answer, 1)
        on_world(index + 1)
    return comparison
