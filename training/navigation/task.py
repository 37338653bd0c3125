"""The same plays as problems to be reinforced on: what the teacher showed, now tried by oneself.

An attempt ends with its first answer. It earns a point where that is right, and up to half a point
for places opened and looked at that hold what is asked for. The loop's checks are not
made here; `tasks/agentic` plays with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from mmreason.language.refusals import says_absent
from mmreason.models.base import Conversation
from mmreason.needle.items import Item
from mmreason.training.navigation.demonstrations import (
    ITEMS,
    PlayedWorld,
    Split,
    is_right,
    needle_world,
)
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
        world, position = divmod(index, self.items)
        played = self._played_world(world)
        item = played.needles.items[position]
        truth = Truth(
            question=item.question,
            options=item.options,
            choice=item.answer,
            spans=None if item.kind == "global" else item.gold_spans,
            tree=played.tree,
        )
        return Problem(
            id=f"{self.name}/{index}", question=item.question, truth=truth, kind=item.kind
        )

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        """See `Task`. What one attempt has seen costs the others nothing."""
        world, position = divmod(int(problem.id.rsplit("/", 1)[1]), self.items)
        played = self._played_world(world)
        return [_episode(played, played.needles.items[position], codec) for _ in range(count)]

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        """See `Task`."""
        return REWARD(outcome.trajectory, problem.truth)

    def _played_world(self, world: int) -> PlayedWorld:
        return _played_world(self.split, self.first + world, self.duration_s, self.items)


def score_answer(trajectory: Trajectory, truth: Truth) -> float | None:
    """Whether the right option was chosen, or said that there is none: 0 or 1."""
    # "There is no star" is the right answer where there is none.
    declined = says_absent(trajectory.answer, truth.question)
    if truth.choice is None:
        return float(declined)
    return 0.0 if declined else correct(trajectory, truth)


def score_visits(trajectory: Trajectory, truth: Truth) -> float | None:
    """Share of the visited places that hold what is asked for, 0..1; 0 without visits. None where
    there is no such place."""
    if not truth.spans or truth.tree is None:
        return None
    visited = [truth.tree.node(node).span for node in trajectory.visits]
    hits = [any(gold.overlap_s(span) > 0 for gold in truth.spans) for span in visited]
    return sum(hits) / len(hits) if hits else 0.0


REWARD = Combination(
    (
        Component(name="answer", reward=score_answer),
        Component(name="way", reward=score_visits, weight=0.5),
    )
)


@lru_cache(maxsize=64)
def _played_world(split: Split, world: int, duration_s: float | None, items: int) -> PlayedWorld:
    return PlayedWorld(needle_world(split, world, duration_s, items))


def _episode(played: PlayedWorld, item: Item, codec: Codec) -> Episode:
    """One play, written by whoever drives it."""
    play = played.play(item)
    completions: list[Completion] = []
    previous: tuple[Prompt, Completion, Conversation] | None = None
    action = next(play, None)
    # The policy writes prompts, the trainer answers them: one turn a time round.
    while action is not None:
        conversation = list(action.messages)
        # Continued token by token: text that is encoded again may be split otherwise.
        prompt = (
            codec.encode_prompt(conversation)
            if previous is None
            else codec.continue_prompt(*previous, conversation)
        )
        written: Completion = yield TurnRequest(prompt, action.max_new_tokens)
        completions.append(written)
        previous = (prompt, written, conversation)
        try:
            action = play.send(to_reply(prompt, written))
        except StopIteration:
            break
    turns = tuple(written.text for written in completions)
    visits = [played.visited_node(item, text) for text in turns]
    return Outcome(
        trajectory=Trajectory(
            answer=final_answer(turns[-1]) if turns else "",
            turns=turns,
            visits=tuple(node for node in visits if node is not None),
            tokens_out=sum(len(written.token_ids) for written in completions),
        ),
        correct=bool(turns) and is_right(item, turns[-1]),
        turns=len(completions),
    )
