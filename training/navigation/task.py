"""The same plays as problems to be reinforced on: what the teacher showed, now tried by oneself.

An attempt ends with its first answer. It earns a point where that is right, and up to half a point
for places opened and looked at that hold what is asked for. Leaves out the loop's checks
(`tasks/agentic.py` plays with them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from mmreason.evaluation.needle.items import Item
from mmreason.language.refusals import says_absent
from mmreason.models.base import Conversation
from mmreason.training.navigation.plays import ITEMS, Split, Table, is_right, needle_world
from mmreason.training.rewards import Combination, Component, Scored, Trajectory, Truth, correct
from mmreason.training.rewards.reading import final_answer
from mmreason.training.rollouts.episode import Codec, Episode, TurnRequest
from mmreason.training.rollouts.types import Completion, Outcome, Problem, Prompt
from mmreason.training.tasks.agentic import to_reply


@dataclass(frozen=True, kw_only=True)
class Navigation:
    """Questions about scripted long videos, an attempt a play. See `Task`.

    Problem i is item i % `items` of world i // `items`; splits never share a world.
    """

    split: Split = "train"
    worlds: int = 10_000
    first: int = 0
    """Number of the first world."""
    duration_s: float | None = None
    """Length of the videos; None takes three lengths in turn."""
    items: int = ITEMS

    @property
    def name(self) -> str:
        return f"navigation/{self.split}/{self.first}/{self.duration_s}/{self.items}"

    def __len__(self) -> int:
        return self.worlds * self.items

    def problem(self, index: int) -> Problem:
        """See `Task`."""
        world, place = divmod(index, self.items)
        table = self._table(world)
        item = table.needles.items[place]
        truth = Truth(
            question=item.question,
            options=item.options,
            choice=item.answer,
            spans=None if item.kind == "global" else item.gold_spans,
            tree=table.tree,
        )
        return Problem(
            id=f"{self.name}/{index}", question=item.question, truth=truth, kind=item.kind
        )

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        """See `Task`. What one attempt has seen costs the others nothing."""
        world, place = divmod(int(problem.id.rsplit("/", 1)[1]), self.items)
        table = self._table(world)
        return [_episode(table, table.needles.items[place], codec) for _ in range(count)]

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        """See `Task`."""
        return REWARD(outcome.trajectory, problem.truth)

    def _table(self, world: int) -> Table:
        return _table(self.split, self.first + world, self.duration_s, self.items)


def answered(seen: Trajectory, truth: Truth) -> float | None:
    """Whether the right option was chosen, or said that there is none: 0 or 1."""
    declined = says_absent(seen.answer, truth.question)
    if truth.choice is None:
        return float(declined)
    return 0.0 if declined else correct(seen, truth)


def on_the_way(seen: Trajectory, truth: Truth) -> float | None:
    """Share of the visited places that hold what is asked for, 0..1; 0 without visits. None where
    there is no such place."""
    if not truth.spans or truth.tree is None:
        return None
    visited = [truth.tree.node(node).span for node in seen.visits]
    hits = [any(gold.overlap_s(span) > 0 for gold in truth.spans) for span in visited]
    return sum(hits) / len(hits) if hits else 0.0


REWARD = Combination(
    (
        Component(name="answer", reward=answered),
        Component(name="way", reward=on_the_way, weight=0.5),
    )
)


@lru_cache(maxsize=64)
def _table(split: Split, world: int, duration_s: float | None, items: int) -> Table:
    return Table(needle_world(split, world, duration_s, items))


def _episode(table: Table, item: Item, codec: Codec) -> Episode:
    """One play, written by whoever drives it."""
    play = table.play(item)
    said: list[Completion] = []
    last: tuple[Prompt, Completion, Conversation] | None = None
    wish = next(play, None)
    while wish is not None:
        conversation = list(wish.messages)
        prompt = (
            codec.encode_prompt(conversation)
            if last is None
            else codec.continue_prompt(*last, conversation)
        )
        written: Completion = yield TurnRequest(prompt, wish.max_new_tokens)
        said.append(written)
        last = (prompt, written, conversation)
        try:
            wish = play.send(to_reply(prompt, written))
        except StopIteration:
            break
    turns = tuple(written.text for written in said)
    visits = [table.visited(item, text) for text in turns]
    return Outcome(
        trajectory=Trajectory(
            answer=final_answer(turns[-1]) if turns else "",
            turns=turns,
            visits=tuple(node for node in visits if node is not None),
            tokens_out=sum(len(written.token_ids) for written in said),
        ),
        correct=bool(turns) and is_right(item, turns[-1]),
        turns=len(said),
    )
