"""Tasks that the agent plays: the model that is trained decides where to look.

Attempts run through the one loop that answers users' questions (`mmreason.agent.loop`), with its
tools, checks and budget; only the reasoning model's turns are sampled and trained on. Observers
are other models, whose captions go through the reasoner's store and are made once. Their own
training is `single_turn.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmreason.agent.driver import AgentRun
from mmreason.models.base import ClipRecipe, Conversation, Reply
from mmreason.reasoner import Reasoner
from mmreason.tools.calls import FAILURES, Request
from mmreason.training.rewards import (
    Combination,
    Scored,
    Trajectory,
    Truth,
    as_combination,
    correct,
    from_answer,
)
from mmreason.training.rollouts.episode import Ask, Codec, Episode
from mmreason.training.rollouts.types import Outcome, Problem, Prompt, Written
from mmreason.training.tasks.single_turn import judged
from mmreason.types import Answer, Budget, UsageError


class Player:
    """Stands where the reasoning model would: what it is asked is sampled by whoever drives the
    episodes. Asked directly, it refuses."""

    name = "player"
    fingerprint = "player"
    lineage = "player"
    calibrated = False
    notes: tuple[str, ...] = ()

    def __init__(self, clip: ClipRecipe):
        self.clip = clip

    def generate(
        self,
        conversations: Sequence[Conversation],
        *,
        max_new_tokens: int = 96,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[Reply]:
        """Raises UsageError: use it in rollouts only."""
        raise UsageError("a player writes in rollouts only; give the reasoner a model of its own")


@dataclass(frozen=True, kw_only=True)
class AgentTask:
    """Questions about videos for the agent. See `Task`.

    `reasoner` gives a `Reasoner` whose model is the player it is given, with observer and policy as
    wanted. `watch` opens the video of a problem (a path, or something `Watchable`); it is called
    once a group.
    """

    name: str
    problems: Sequence[Problem]
    reasoner: Callable[[Player], Reasoner]
    clip: ClipRecipe
    """Of the model that is trained."""
    reward: Combination
    watch: Callable[[Problem], Any] = lambda problem: problem.video
    judge: Callable[[Trajectory, Truth], float | None] = correct
    budget: Budget | None = None
    turn_tokens: int | None = None
    """Most tokens of a turn; None leaves it to the policy."""

    def __post_init__(self) -> None:
        """A plain function as `reward` is taken for a combination of it alone."""
        object.__setattr__(self, "reward", as_combination(self.reward))

    def __len__(self) -> int:
        return len(self.problems)

    def problem(self, index: int) -> Problem:
        """See `Task`."""
        return self.problems[index]

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        """See `Task`. The attempts share a store: what one has seen costs the others nothing."""
        player = Player(self.clip)
        reasoner = self.reasoner(player)
        video = self.watch(problem)
        return [
            self._episode(
                problem,
                reasoner.play(
                    video,
                    problem.question,
                    options=problem.truth.options or None,
                    budget=self.budget,
                ),
                player,
                codec,
            )
            for _ in range(count)
        ]

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        """See `Task`."""
        return self.reward(outcome.trajectory, problem.truth)

    def _episode(
        self, problem: Problem, run: AgentRun[Answer], player: Player, codec: Codec
    ) -> Episode:
        sent: Any = None
        failure: Exception | None = None
        said: list[Written] = []
        last: tuple[Prompt, Written, Conversation] | None = None
        while True:
            try:
                item = run.send(sent) if failure is None else run.throw(failure)
            except StopIteration as end:
                return self._outcome(problem, end.value, said)
            sent, failure = None, None
            if not isinstance(item, Request):
                continue  # a step, or keys to reserve: attempts wait for nobody
            if item.model is not player:
                sent, failure = yield from _observed(item)
                continue
            (conversation,) = item.conversations
            prompt = (
                codec.prompt(conversation) if last is None else codec.continued(*last, conversation)
            )
            written: Written = yield Ask(prompt, self.turn_tokens or item.max_new_tokens)
            said.append(written)
            last = (prompt, written, conversation)
            sent = [as_reply(prompt, written)]

    def _outcome(self, problem: Problem, answer: Answer, said: Sequence[Written]) -> Outcome:
        seen = from_answer(
            answer,
            turns=[written.text for written in said],
            tokens_out=sum(len(written.token_ids) for written in said),
        )
        errors = sum(step.observation.error is not None for step in answer.trace)
        return Outcome(
            trajectory=seen,
            correct=judged(self.judge, seen, problem.truth),
            turns=len(said),
            tool_errors=errors,
        )


def _observed(request: Request) -> Any:
    """The replies to a request, or the error that came instead."""
    try:
        return (yield request), None
    except FAILURES as error:
        return None, error


def as_reply(prompt: Prompt, written: Written) -> Reply:
    """What was sampled, as a model would have given it."""
    return Reply(
        text=written.text,
        token_ids=written.token_ids,
        logprobs=written.logprobs,
        tokens_in=len(prompt.token_ids),
        tokens_out=len(written.token_ids),
    )
