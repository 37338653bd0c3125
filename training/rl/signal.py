"""Whether the rollouts of a step can teach anything, and in one line why they cannot.

A step without a signal leaves the weights as they are, however long it took. What follows from it
is decided in `run.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmreason.training.parallel.processes import Gather
from mmreason.training.rl.batches import TrainingRow
from mmreason.training.rl.recipe import ObjectiveSettings, Recipe
from mmreason.training.rollouts.types import Group, Rollout

TRY_OTHERS = "try other problems, another reward or a higher temperature"


def rows_have_signal(rows: Iterable[TrainingRow], objective: ObjectiveSettings) -> bool:
    """Whether any row can move the weights towards what earned more: it has an advantage, or a
    share of DSDR's entropy term, and is in the loss."""
    return any(
        row.entropy_share != 0
        or (row.advantage != 0 and not (objective.mask_truncated and row.rollout.truncated))
        for row in rows
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSignal:
    """Why a step had no signal.

    Example:
        >>> NoSignal(reason="no rollout came through (VideoError: ...)", is_fault=True).is_fault
        True
    """

    reason: str
    """One line, with what to do."""
    is_fault: bool
    """Nothing could be rewarded at all; else rollouts earned rewards that do not differ."""


@dataclass(frozen=True, slots=True)
class _RolloutSignal:
    """What one rollout, or its failure, has to say."""

    group: tuple[int, str]
    failure: str = ""
    """Why there is none."""
    fault: str = ""
    """Why it has no reward."""
    reward: float | None = None
    correct: bool | None = None
    is_masked: bool = False
    """Cut off by the length limit in a recipe that keeps those out of the loss."""


def why_no_signal(groups: Sequence[Group], recipe: Recipe, gather: Gather = list) -> NoSignal:
    """The reason, from the rollouts of all processes, which `gather` brings together."""
    signals: list[_RolloutSignal] = gather(
        [signal for group in groups for signal in _signals_of_group(group, recipe)]
    )
    # 1) Each rollout is one of four: failed, at fault, without a reward that applies, rewarded.
    failures = Counter(signal.failure for signal in signals if signal.failure)
    faults = Counter(signal.fault for signal in signals if signal.fault)
    rewarded = [signal for signal in signals if signal.reward is not None]
    # 2) A phrase for each that there are any of.
    total, reasons = len(signals), []
    if failures.total() == total:
        reasons.append(f"no rollout came through ({_most_common(failures)})")
    elif failures:
        reasons.append(f"{failures.total()} of {total} rollouts failed ({_most_common(failures)})")
    if faults:
        count = f"{faults.total()} of {total} rollouts"
        reasons.append(f"a reward gave no number for {count} ({_most_common(faults)})")
    # What is neither: the rewards do not apply, as without a known answer.
    unknown = total - failures.total() - faults.total() - len(rewarded)
    if unknown:
        reasons.append(
            f"no reward applies to {unknown} of {total} rollouts: give the problems their "
            "answers, or a reward that needs none"
        )
    if rewarded:
        reasons.append(_why_no_advantage(rewarded, recipe))
    return NoSignal(reason="; ".join(reasons), is_fault=not rewarded)


def _signals_of_group(group: Group, recipe: Recipe) -> list[_RolloutSignal]:
    key = (group.position, group.problem.id)
    return [
        *(_RolloutSignal(key, failure=f"{f.kind}: {f.message}") for f in group.failures.values()),
        *(_signal_of_rollout(key, rollout, recipe) for rollout in group.rollouts),
    ]


def _signal_of_rollout(group: tuple[int, str], rollout: Rollout, recipe: Recipe) -> _RolloutSignal:
    faults = [f"reward {name}: {fault}" for name, fault in rollout.scored.faults.items()]
    return _RolloutSignal(
        group,
        fault=faults[0] if faults else "",
        reward=None if faults else rollout.scored.total,
        correct=rollout.outcome.correct,
        is_masked=recipe.objective.mask_truncated and rollout.truncated,
    )


def _why_no_advantage(rewarded: Sequence[_RolloutSignal], recipe: Recipe) -> str:
    """Why rollouts with rewards teach nothing."""
    # From the most particular reason to the most general one.
    rewards: dict[tuple[int, str], list[float | None]] = {}
    for signal in rewarded:
        rewards.setdefault(signal.group, []).append(signal.reward)
    if all(signal.is_masked for signal in rewarded):
        return (
            "every rollout was cut off by the length limit, and mask_truncated leaves those out: "
            "raise max_new_tokens of the task"
        )
    if all(len(values) == 1 for values in rewards.values()):
        return "one rollout of each problem has a reward, and rollouts are compared with each other"
    if all(len(set(values)) == 1 for values in rewards.values()):
        least, most = (f"{end(v[0] or 0.0 for v in rewards.values()):g}" for end in (min, max))
        earned = least if least == most else f"{least} to {most}"
        return f"all rollouts of a problem earned the same ({earned}): {TRY_OTHERS}"
    if recipe.sampling.dynamic and all(signal.correct is None for signal in rewarded):
        return (
            "dynamic sampling keeps problems with right and wrong answers, and of none of these it "
            "is known whether they are right: give the problems their answers, or switch it off"
        )
    if recipe.sampling.dynamic:
        right = sum(bool(signal.correct) for signal in rewarded)
        return (
            f"dynamic sampling keeps problems with right and wrong answers, and found none in "
            f"{len(rewards)} ({right} of {len(rewarded)} answers right): {TRY_OTHERS}"
        )
    return "the objective gives no advantage to rewards that differ"


def _most_common(reasons: Counter[str]) -> str:
    (first, _), *further = reasons.most_common()
    return first + (f"; and {len(further)} more reasons" if further else "")
