"""Drives the episodes of many problems together and gives their groups.

All turns that wait for the trained model go to the sampler as one call, all requests to other
models (observers) as one call a model. A problem that cannot be shown gives a group without
rollouts, an attempt that fails is missing from its group, with the reason: nothing is substituted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from mmreason.agent.batch import answer_requests
from mmreason.models.base import Reply
from mmreason.tools.calls import FAILURES, ModelRequest
from mmreason.training.generation.sampler import Draw, Sampler, keeping
from mmreason.training.rewards import Scored
from mmreason.training.rollouts.episode import Ask, Codec, Episode, Task
from mmreason.training.rollouts.join import joined
from mmreason.training.rollouts.types import (
    Group,
    Outcome,
    Problem,
    Prompt,
    Rollout,
    SampleFailure,
    Written,
    stable_seed,
)
from mmreason.types import UsageError

TURNS_LIMIT = 200
"""An episode that asks for more turns fails: a task that never ends must not stop the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How attempts are sampled. Seeds come from `seed`, `step`, the problem and the sample."""

    samples: int
    temperature: float
    seed: int
    step: int
    policy_version: int = 0


def collect(
    task: Task,
    problems: Sequence[Problem],
    codec: Codec,
    sampler: Sampler,
    how: Sampling,
    *,
    epochs: Sequence[int] | None = None,
) -> list[Group]:
    """`how.samples` attempts at each problem, one group a problem, in order.

    `epochs`, one a problem, are part of the seeds: how often the problem came before, which tells
    its attempts apart where it comes more than once in a step. Counted in `problems` where None.
    """
    if epochs is None:
        epochs = _times_before([problem.id for problem in problems])
    opened = [
        _open(task, problem, codec, how, epoch)
        for problem, epoch in zip(problems, epochs, strict=True)
    ]
    flights = [flight for found in opened if isinstance(found, list) for flight in found]
    waiting = flights
    with keeping(sampler):  # the weights stay as they are until all episodes are over
        while waiting:
            for flight in waiting:
                flight.advance()
            waiting = [flight for flight in waiting if not flight.is_over]
            _write(sampler, [flight for flight in waiting if flight.ask is not None], how)
            answer_requests([flight for flight in waiting if flight.request is not None])
    return [
        _group(task, problem, found, how) for problem, found in zip(problems, opened, strict=True)
    ]


@dataclass
class _Flight:
    """An episode on its way: it waits for a turn (`ask`) or for other models (`request`)."""

    problem: Problem
    sample: int
    episode: Episode
    seed: int
    turns: list[tuple[Prompt, Written]] = field(default_factory=list)
    ask: Ask | None = None
    request: ModelRequest | None = None
    written: Written | None = None
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
        sent, failure = self.written or self.replies, self.failure
        self.ask = self.request = self.written = self.replies = self.failure = None
        try:
            action = self.episode.send(sent) if failure is None else self.episode.throw(failure)
        except StopIteration as end:
            self.outcome = end.value
            return
        except FAILURES as error:
            self.fail(type(error).__name__, str(error))
            return
        if isinstance(action, ModelRequest):
            self.request = action
        elif len(self.turns) < TURNS_LIMIT:
            self.ask = action
        else:
            self.fail("EndlessEpisode", f"asked for more than {TURNS_LIMIT} turns")

    def fail(self, kind: str, message: str) -> None:
        """This attempt is missing from its group."""
        self.failed = SampleFailure(kind=kind, message=" ".join(message.split()) or kind)
        self.episode.close()


def _times_before(ids: Sequence[str]) -> list[int]:
    """For each id, how often it came before."""
    seen: Counter[str] = Counter()
    times = []
    for one in ids:
        times.append(seen[one])
        seen[one] += 1
    return times


def _open(
    task: Task, problem: Problem, codec: Codec, how: Sampling, epoch: int
) -> list[_Flight] | SampleFailure:
    try:
        episodes = task.episodes(problem, codec, how.samples)
    except FAILURES as error:
        return SampleFailure(kind=type(error).__name__, message=" ".join(str(error).split()))
    return [
        _Flight(problem, i, episode, stable_seed(how.seed, how.step, problem.id, i, epoch))
        for i, episode in enumerate(episodes)
    ]


def _write(sampler: Sampler, flights: Sequence[_Flight], how: Sampling) -> None:
    """Have the trained model write the turns that are waited for."""
    draws = [
        Draw(
            prompt=flight.ask.prompt,
            max_new_tokens=flight.ask.max_new_tokens,
            temperature=how.temperature,
            # Each turn has numbers of its own, whatever else is in the batch.
            seed=stable_seed(flight.seed, len(flight.turns)),
        )
        for flight in flights
        if flight.ask is not None
    ]
    if not draws:
        return
    for flight, draw, written in zip(flights, draws, sampler.draw(draws), strict=True):
        if isinstance(written, SampleFailure):
            flight.fail(written.kind, written.message)
        else:
            flight.turns.append((draw.prompt, written))
            flight.written = written


def _group(
    task: Task, problem: Problem, found: list[_Flight] | SampleFailure, how: Sampling
) -> Group:
    if isinstance(found, SampleFailure):
        return Group(
            problem=problem, rollouts=(), failures=dict.fromkeys(range(how.samples), found)
        )
    rollouts: list[Rollout] = []
    failures: dict[int, SampleFailure] = {}
    for flight in found:
        if flight.failed is None:
            made = _rollout(task, flight, how)
            if isinstance(made, Rollout):
                rollouts.append(made)
                continue
            flight.failed = made
        failures[flight.sample] = flight.failed
    return Group(problem=problem, rollouts=tuple(rollouts), failures=failures)


def _rollout(task: Task, flight: _Flight, how: Sampling) -> Rollout | SampleFailure:
    """An attempt that came to its end; why it is none, where it cannot be trained on."""
    if flight.outcome is None or not flight.turns:
        return SampleFailure(kind="NothingWritten", message="the model was never asked")
    try:
        sequences = joined(flight.turns)
    except UsageError as error:  # it wrote a token that stands for frames
        return SampleFailure(kind="PlaceholderWritten", message=str(error))
    try:
        scored = task.score(flight.problem, flight.outcome)
        if not isinstance(scored, Scored):
            raise TypeError(f"the task's score gave {type(scored).__name__}, expected Scored")
    except Exception as error:  # of a task of the user's: it costs the attempt, not the run
        named = "" if isinstance(error, TypeError) else f"{type(error).__name__}: "
        return SampleFailure(kind="RewardError", message=" ".join(f"{named}{error}".split()))
    return Rollout(
        problem=flight.problem,
        sample=flight.sample,
        sequences=sequences,
        outcome=flight.outcome,
        scored=scored,
        truncated=not all(written.ended for _, written in flight.turns),
        policy_version=how.policy_version,
        temperature=how.temperature,
    )
