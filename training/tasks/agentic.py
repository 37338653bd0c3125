"""Tasks that the agent plays: the model that is trained decides where to look.

Episodes run through the one loop that answers users' questions (`mmreason.agent.loop`), with its
tools, checks and budget; only the reasoning model's turns are sampled and trained on. Observers are
other models, whose captions go through the reasoner's store and are made once; `single_turn.py`
trains them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmreason.agent.driver import AgentRun
from mmreason.agent.question import Question
from mmreason.models.base import ClipRecipe, Conversation, GenerateRequest, Reply, Tier
from mmreason.reasoner import Reasoner
from mmreason.tools.calls import FAILURES, ModelRequest
from mmreason.training.rewards import (
    Combination,
    Scored,
    Trajectory,
    Truth,
    as_combination,
    correct,
    from_answer,
)
from mmreason.training.rollouts.episode import Codec, Episode, TurnRequest
from mmreason.training.rollouts.types import (
    Completion,
    Outcome,
    Problem,
    Prompt,
    stable_seed,
)
from mmreason.training.tasks.single_turn import judge_answer, score_together
from mmreason.types import Answer, Budget, UsageError


class RolloutModel:
    """Stands where the reasoning model would: what it is asked is sampled by whoever drives the
    episodes. Asked directly, it refuses."""

    name = "player"
    fingerprint = "player"
    lineage = "player"
    calibrated = False
    notes: tuple[str, ...] = ()
    tier: Tier = "small"
    takes_tools = False

    def __init__(self, clip: ClipRecipe):
        self.clip = clip

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """Raises UsageError: use it in rollouts only."""
        raise UsageError("this model writes in rollouts only; give the reasoner a model of its own")


@dataclass(frozen=True, kw_only=True)
class AgentTask:
    """Questions about videos for the agent. See `Task`.

    `reasoner` gives a `Reasoner` whose model is the stand-in it is given, with observer and policy
    as wanted. With `overview=(least, most)` it is given a number from there too, drawn anew for
    each problem and step, for how much is shown at the start: where an overview sometimes says too
    little, looking again earns its reward.

        AgentTask(
            ...,
            reasoner=lambda model, k: Reasoner(model, tree=TreeRecipe(branching=(k, k))),
            overview=(2, 8),
        )

    `watch` opens the video of a problem (a path, or any `FrameSource`); it is called
    once a group.
    """

    name: str
    problems: Sequence[Problem]
    reasoner: Callable[..., Reasoner]
    clip: ClipRecipe
    """Of the model that is trained."""
    reward: Combination
    watch: Callable[[Problem], Any] = lambda problem: problem.video
    judge: Callable[[Trajectory, Truth], float | None] = correct
    budget: Budget | None = None
    turn_tokens: int | None = None
    """Most tokens of a turn; None leaves it to the policy."""
    overview: tuple[int, int] | None = None
    """Least and most that is shown at the start, such as captions or frames."""
    step: int = 0
    """Of the run, which the draw depends on; set by `at_step`."""

    def __post_init__(self) -> None:
        """A plain function as `reward` is taken for a combination of it alone."""
        object.__setattr__(self, "reward", as_combination(self.reward))
        if self.overview is not None and not 1 <= self.overview[0] <= self.overview[1]:
            raise UsageError(
                f"{self.name}: overview must be (least, most) with 1 <= least <= most, got "
                f"{self.overview}"
            )

    def at_step(self, step: int) -> AgentTask:
        """See `VariesBySteps`."""
        return replace(self, step=step)

    def __len__(self) -> int:
        return len(self.problems)

    def problem(self, index: int) -> Problem:
        """See `Task`."""
        return self.problems[index]

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        """See `Task`. The episodes share a store: what one has seen costs the others nothing."""
        stand_in = RolloutModel(self.clip)
        drawn = (
            () if self.overview is None else (draw_overview(self.overview, problem.id, self.step),)
        )
        reasoner = self.reasoner(stand_in, *drawn)
        # One reasoner for the whole group, and one store with it.
        question = Question(
            video=self.watch(problem), text=problem.question, options=problem.truth.options
        )
        return [
            self._episode(
                problem,
                reasoner.play(question, budget=self.budget),
                stand_in,
                codec,
            )
            for _ in range(count)
        ]

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        """See `Task`."""
        return self.reward(outcome.trajectory, problem.truth)

    def score_all(
        self, problems: Sequence[Problem], outcomes: Sequence[Outcome]
    ) -> Sequence[Scored]:
        """See `ScoresTogether`."""
        return score_together(self.reward, problems, outcomes)

    def _episode(
        self, problem: Problem, run: AgentRun[Answer], stand_in: RolloutModel, codec: Codec
    ) -> Episode:
        """Plays the agent's loop: turns of the policy are yielded, requests to others passed on."""
        answer: Any = None
        # What other models raise goes into the agent, which may go on without them.
        failure: Exception | None = None
        completions: list[Completion] = []
        last: tuple[Prompt, Completion, Conversation] | None = None
        while True:
            try:
                item = run.send(answer) if failure is None else run.throw(failure)
            except StopIteration as end:
                return self._outcome(problem, end.value, completions)
            answer, failure = None, None
            # 1) A step, or keys to reserve, is only seen: rollouts wait for nobody.
            if not isinstance(item, ModelRequest):
                continue
            # 2) What other models are asked goes on to whoever drives the episodes.
            if item.model is not stand_in:
                answer, failure = yield from _send_request(item)
                continue
            # 3) The policy's turn: its own ids of earlier turns are kept, not encoded again.
            (conversation,) = item.request.conversations
            prompt = (
                codec.encode_prompt(conversation)
                if last is None
                else codec.continue_prompt(*last, conversation)
            )
            max_new_tokens = self.turn_tokens or item.request.max_new_tokens
            completion: Completion = yield TurnRequest(prompt, max_new_tokens)
            completions.append(completion)
            # Kept, so that the next prompt goes on from the very ids that were sampled.
            last = (prompt, completion, conversation)
            answer = [to_reply(prompt, completion)]

    def _outcome(
        self, problem: Problem, answer: Answer, completions: Sequence[Completion]
    ) -> Outcome:
        trajectory = from_answer(
            answer,
            turns=[completion.text for completion in completions],
            tokens_out=sum(len(completion.token_ids) for completion in completions),
        )
        return Outcome(
            trajectory=trajectory,
            correct=judge_answer(self.judge, trajectory, problem.truth),
            turns=len(completions),
            tool_errors=sum(step.observation.error is not None for step in answer.trace),
        )


def draw_overview(overview: tuple[int, int], problem_id: str, step: int) -> int:
    """How much a problem is shown at the start of its episodes in a step: the same for all of its
    episodes, in every process.

    Example:
        >>> [draw_overview((2, 8), "kitchen-1", step) for step in range(4)]
        [7, 4, 7, 8]
    """
    least, most = overview
    return least + stable_seed("overview", problem_id, step) % (most - least + 1)


def _send_request(request: ModelRequest) -> Any:
    """The replies to a request, or the error that came instead."""
    try:
        return (yield request), None
    except FAILURES as error:
        return None, error


def to_reply(prompt: Prompt, completion: Completion) -> Reply:
    """What was sampled, as a model would have given it.

    Example:
        >>> yes = Completion(token_ids=(9,), logprobs=(-0.1,), text="yes", finish_reason="length")
        >>> to_reply(Prompt((1, 2, 3)), yes).tokens_in
        3
    """
    return Reply(
        text=completion.text,
        token_ids=completion.token_ids,
        logprobs=completion.logprobs,
        tokens_in=len(prompt.token_ids),
        tokens_out=len(completion.token_ids),
    )
