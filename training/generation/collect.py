"""Drives the episodes of many problems together and gives their groups.

All turns that wait for the trained model go to the sampler as one call, all requests to other
models (observers) as one call a model. A problem that cannot be shown gives a group without
rollouts, an episode that fails is missing from its group, with the reason: nothing is substituted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmreason.agent.scheduler import answer_requests, run_together
from mmreason.models.base import Reply
from mmreason.tools.calls import FAILURES, ModelRequest
from mmreason.training.generation.sampler import Sampler, cache_prefixes
from mmreason.training.generation.sampling import SampleRequest
from mmreason.training.rewards import Scored
from mmreason.training.rollouts.episode import (
    Codec,
    Episode,
    Task,
    TurnRequest,
    VariesBySteps,
    score_outcomes,
)
from mmreason.training.rollouts.join import join_turns
from mmreason.training.rollouts.types import (
    Completion,
    Group,
    Outcome,
    Problem,
    Prompt,
    Rollout,
    SampleFailure,
    stable_seed,
)
from mmreason.types import UsageError

MOST_TURNS = 200
"""An episode that asks for more turns fails: a task that never ends must not stop the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How rollouts are sampled. Seeds come from `seed`, `step`, the problem and the sample.

    Example:
        >>> Sampling(samples=8, temperature=1.0, seed=0, step=3).policy_version
        0
    """

    samples: int
    temperature: float
    seed: int
    step: int
    policy_version: int = 0


def collect_rollouts(
    task: Task,
    problems: Sequence[Problem],
    codec: Codec,
    sampler: Sampler,
    sampling: Sampling,
    *,
    epochs: Sequence[int] | None = None,
) -> list[Group]:
    """`sampling.samples` rollouts of each problem, one group a problem, in order.

    `epochs`, one a problem, are part of the seeds: how often the problem came before, which tells
    its rollouts apart where it comes more than once in a step. Counted in `problems` where None.
    """
    if isinstance(task, VariesBySteps):
        task = task.at_step(sampling.step)
    if epochs is None:
        epochs = _count_earlier([problem.id for problem in problems])
    # 1) Begin all episodes; a problem that cannot be shown has a failure in their place.
    started = [
        _start_episodes(task, problem, codec, sampling, epoch)
        for problem, epoch in zip(problems, epochs, strict=True)
    ]
    # 2) Each goes on to its next action or to its end; what they wait for is asked together.
    active = [state for states in started if isinstance(states, list) for state in states]

    def answer(waiting: Sequence[_EpisodeState]) -> None:
        _sample_turns(sampler, waiting, sampling)
        answer_requests(waiting)

    with cache_prefixes(sampler):  # the weights stay as they are until all episodes are over
        for _ in run_together(active, answer):
            pass
    # 3) What they earn: once all are over, so that rewards that ask others wait for many together.
    scored = _score_states(task, active)
    # 4) What came of them, by problem.
    return [
        _build_group(problem, states, scored, sampling)
        for problem, states in zip(problems, started, strict=True)
    ]


@dataclass
class _EpisodeState:
    """An episode on its way: it waits for a turn (`turn_request`) or other models (`request`)."""

    problem: Problem
    sample: int
    episode: Episode
    seed: int
    turns: list[tuple[Prompt, Completion]] = field(default_factory=list)
    turn_request: TurnRequest | None = None
    request: ModelRequest | None = None
    completion: Completion | None = None
    replies: list[Reply] | None = None
    failure: Exception | None = None
    """Of a request; thrown into the episode, which may go on all the same."""
    outcome: Outcome | None = None
    failed: SampleFailure | None = None

    @property
    def is_over(self) -> bool:
        return self.outcome is not None or self.failed is not None

    def advance(self) -> None:
        """Go on to the next action, or to the end."""
        # Taken and cleared first: whatever happens next, no answer is given twice.
        answer, failure = self.completion or self.replies, self.failure
        self.turn_request = self.request = self.completion = self.replies = self.failure = None
        try:
            action = self.episode.send(answer) if failure is None else self.episode.throw(failure)
        except StopIteration as end:
            self.outcome = end.value
            return
        except FAILURES as error:
            self.fail(type(error).__name__, str(error))
            return
        if isinstance(action, ModelRequest):
            self.request = action
        # An episode that never ends would hold up all the others.
        elif len(self.turns) < MOST_TURNS:
            self.turn_request = action
        else:
            self.fail("EndlessEpisode", f"asked for more than {MOST_TURNS} turns")

    def fail(self, kind: str, message: str) -> None:
        """This rollout is missing from its group."""
        self.failed = SampleFailure(kind=kind, message=" ".join(message.split()) or kind)
        # Its `finally` blocks run now, not when memory is cleaned up.
        self.episode.close()


def _count_earlier(ids: Sequence[str]) -> list[int]:
    """For each id, how often it came before."""
    counts: Counter[str] = Counter()
    earlier = []
    for problem_id in ids:
        earlier.append(counts[problem_id])
        counts[problem_id] += 1
    return earlier


def _start_episodes(
    task: Task, problem: Problem, codec: Codec, sampling: Sampling, epoch: int
) -> list[_EpisodeState] | SampleFailure:
    try:
        episodes = task.episodes(problem, codec, sampling.samples)
    except FAILURES as error:
        return SampleFailure(kind=type(error).__name__, message=" ".join(str(error).split()))
    return [
        # By what the rollout is, not by its row: processes and orders give the same rollouts.
        _EpisodeState(
            problem, i, episode, stable_seed(sampling.seed, sampling.step, problem.id, i, epoch)
        )
        for i, episode in enumerate(episodes)
    ]


def _sample_turns(sampler: Sampler, states: Sequence[_EpisodeState], sampling: Sampling) -> None:
    """Have the trained model write the turns that are waited for."""
    requests = [
        SampleRequest(
            prompt=state.turn_request.prompt,
            max_new_tokens=state.turn_request.max_new_tokens,
            temperature=sampling.temperature,
            # Each turn has a seed of its own, whatever else is in the batch.
            seed=stable_seed(state.seed, len(state.turns)),
        )
        for state in states
        if state.turn_request is not None
    ]
    if not requests:
        return
    results = sampler.sample(requests)
    for state, request, result in zip(states, requests, results, strict=True):
        if isinstance(result, SampleFailure):
            state.fail(result.kind, result.message)
        else:
            state.turns.append((request.prompt, result))
            state.completion = result


def _score_states(task: Task, states: Sequence[_EpisodeState]) -> dict[int, Scored | SampleFailure]:
    """What each episode that came to its end earns, by the identity of its state."""
    ended = [state for state in states if state.outcome is not None and state.turns]
    problems = [state.problem for state in ended]
    outcomes = [state.outcome for state in ended if state.outcome is not None]
    try:
        scored = list(score_outcomes(task, problems, outcomes)) if ended else []
        if len(scored) != len(ended):
            raise TypeError(f"the task scored {len(scored)} of {len(ended)} rollouts")
    except Exception:  # of a task of the user's: each is tried alone, and costs itself only
        scored = [_score_alone(task, state) for state in ended]
    return {id(state): _check_scored(item) for state, item in zip(ended, scored, strict=True)}


def _score_alone(task: Task, state: _EpisodeState) -> Scored | SampleFailure:
    assert state.outcome is not None
    try:
        return task.score(state.problem, state.outcome)
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        return SampleFailure(kind="RewardError", message=message)


def _check_scored(scored: object) -> Scored | SampleFailure:
    if isinstance(scored, Scored | SampleFailure):
        return scored
    message = f"the task's score gave {type(scored).__name__}, expected Scored"
    return SampleFailure(kind="RewardError", message=message)


def _build_group(
    problem: Problem,
    states: list[_EpisodeState] | SampleFailure,
    scored: Mapping[int, Scored | SampleFailure],
    sampling: Sampling,
) -> Group:
    # Where the problem itself fails no sample is left: all count as failed.
    if isinstance(states, SampleFailure):
        return Group(
            problem=problem, rollouts=(), failures=dict.fromkeys(range(sampling.samples), states)
        )
    rollouts: list[Rollout] = []
    failures: dict[int, SampleFailure] = {}
    for state in states:
        result = state.failed or _build_rollout(state, scored.get(id(state)), sampling)
        if isinstance(result, Rollout):
            rollouts.append(result)
        else:
            failures[state.sample] = result
    return Group(problem=problem, rollouts=tuple(rollouts), failures=failures)


def _build_rollout(
    state: _EpisodeState, scored: Scored | SampleFailure | None, sampling: Sampling
) -> Rollout | SampleFailure:
    """A rollout that came to its end; why it is none, where it cannot be trained on."""
    # Without a turn there is no token to train on.
    if state.outcome is None or scored is None:
        return SampleFailure(kind="NothingWritten", message="the model was never asked")
    try:
        sequences = join_turns(state.turns)
    except UsageError as error:  # it wrote a token that stands for frames
        return SampleFailure(kind="PlaceholderWritten", message=str(error))
    if isinstance(scored, SampleFailure):
        return scored
    return Rollout(
        problem=state.problem,
        sample=state.sample,
        sequences=sequences,
        outcome=state.outcome,
        scored=scored,
        truncated=not all(completion.is_finished for _, completion in state.turns),
        policy_version=sampling.policy_version,
        temperature=sampling.temperature,
    )
