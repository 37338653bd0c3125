"""Plays worth learning from: the teacher climbs the ladder of hints until its answer is right.

A question whose answer stays wrong on every rung, or takes too many turns, gives nothing: only
correct plays are kept, each with the fewest hints that make it correct. Leaves out files
(`samples.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mmreason.driver import finished, serve
from mmreason.evaluation.needle.items import Item, NeedleSet
from mmreason.evaluation.needle.worlds import needle_set
from mmreason.policies.longvideo_r1 import LongVideoR1
from mmreason.reasoner import Reasoner
from mmreason.store import Store
from mmreason.tools import Roles, Toolbox
from mmreason.training.navigation.observer import CLIP, Unseen, observer
from mmreason.training.navigation.teacher import HINTS, Teacher, Turn
from mmreason.tree import NodeId, plan_tree
from mmreason.types import Note, ToolCall
from mmreason.wording import match_option, says_absent

LENGTHS_S = (180.0, 900.0, 3600.0)
"""Lengths of the worlds, in turn."""
ITEMS = 10
TURNS_LIMIT = 12
"""Longer plays are not kept."""
POLICY = LongVideoR1(system="", rounds=TURNS_LIMIT, max_new_tokens=96, context_tokens=4096)
"""How a small model plays: nothing is told that it does not need."""


@dataclass(frozen=True, kw_only=True)
class Play:
    """A correct play, up to its first answer."""

    item: Item
    hints: int
    turns: tuple[Turn, ...]


def needle_world(split: Literal["train", "held-out"], index: int) -> NeedleSet:
    """World `index` of a split (`train` or `held-out`), the same whenever asked for."""
    start = {"train": 1_000_000, "held-out": 2_000_000}[split]
    return needle_set(start + index, LENGTHS_S[index % len(LENGTHS_S)], ITEMS)


def plays_of(needles: NeedleSet) -> Iterator[Play]:
    """The correct plays over one world, in the order of its items."""
    table = Table(needles)
    for item in needles.items:
        play = table.play(item)
        if play is not None:
            yield play


class Table:
    """A world with its observer and what that has said so far."""

    def __init__(self, needles: NeedleSet):
        self.video = Unseen(needles.world)
        self.observer = observer(needles.world)
        self.store = Store.in_memory()
        self.tree = plan_tree(self.video.info.span, leaf_s=CLIP.leaf_s)
        self._captions: dict[NodeId, tuple[Note, ...]] = {}

    def play(self, item: Item) -> Play | None:
        """The correct play with the fewest hints; None where there is none."""
        for hints in range(HINTS if item.gold_spans and item.kind != "global" else 1):
            teacher = Teacher(item, self.tree, self.read, hints)
            reasoner = Reasoner(teacher, observer=self.observer, policy=POLICY, store=self.store)
            reasoner.ask(self.video, item.question, options=item.options)
            turns = up_to_answer(teacher.turns)
            if turns and is_right(item, turns[-1].text):
                return Play(item=item, hints=hints, turns=turns)
        return None

    def read(self, node: NodeId) -> tuple[Note, ...]:
        """The notes of a node's caption."""
        if node not in self._captions:
            roles = Roles(self.observer, self.observer, self.observer)
            toolbox = Toolbox(self.video, roles, self.store)
            span = self.tree.node(node).span
            call = ToolCall(name="caption", arguments={"span": span, "node": list(node)})
            seen = finished(serve(toolbox.perform([toolbox.prepare(call)])))[0]
            self._captions[node] = seen.notes
        return self._captions[node]


def up_to_answer(turns: list[Turn]) -> tuple[Turn, ...]:
    """The turns up to the first answer; none where no answer came."""
    for index, turn in enumerate(turns):
        if "<answer>" in turn.text:
            return tuple(turns[: index + 1])
    return ()


def is_right(item: Item, text: str) -> bool:
    """Whether the answer in a turn picks the right option, or says that there is none."""
    answer = text.partition("<answer>")[2].partition("</answer>")[0]
    if says_absent(answer):
        return item.answer is None
    return item.answer is not None and match_option(answer, item.options) == item.answer
