"""Whether the attempts of a step can teach anything, and in one line why they cannot.

A step without a signal leaves the weights as they are, however long it took. Leaves out what
follows from it (`trainer.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmreason.training.parallel.processes import Gather
from mmreason.training.rl.batches import Row
from mmreason.training.rl.recipe import Recipe
from mmreason.training.rollouts.types import Group, Rollout

TRY_OTHERS = "try other problems, another reward or a higher temperature"


def has_signal(rows: Iterable[Row], recipe: Recipe) -> bool:
    """Whether any row can move the weights towards what earned more: it has an advantage, or a
    share of DSDR's entropy term, and is not left out of the loss."""
    return any(
        row.share != 0
        or (row.advantage != 0 and not (recipe.mask_truncated and row.rollout.truncated))
        for row in rows
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSignal:
    """Why a step had no signal."""

    reason: str
    """One line, with what to do."""
    is_fault: bool
    """Nothing could be rewarded at all; else attempts earned rewards that do not differ."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    group: tuple[int, str]
    failure: str = ""
    """Why there is none."""
    fault: str = ""
    """Why it has no reward."""
    reward: float | None = None
    correct: bool | None = None
    is_left_out: bool = False
    """Cut off by the length limit in a recipe that leaves those out."""


def why_no_signal(groups: Sequence[Group], recipe: Recipe, gather: Gather = list) -> NoSignal:
    """The reason, from the attempts of all processes, which `gather` brings together."""
    attempts = gather([one for group in groups for one in _attempts(group, recipe)])
    failures = Counter(one.failure for one in attempts if one.failure)
    faults = Counter(one.fault for one in attempts if one.fault)
    rewarded = [one for one in attempts if one.reward is not None]
    told = []
    if failures.total() == len(attempts):
        told.append(f"no attempt came through ({_commonest(failures)})")
    elif failures:
        told.append(
            f"{failures.total()} of {len(attempts)} attempts failed ({_commonest(failures)})"
        )
    if faults:
        count = f"{faults.total()} of {len(attempts)} attempts"
        told.append(f"a reward gave no number for {count} ({_commonest(faults)})")
    unknown = len(attempts) - failures.total() - faults.total() - len(rewarded)
    if unknown:
        told.append(
            f"no reward applies to {unknown} of {len(attempts)} attempts: give the problems their "
            "answers, or a reward that needs none"
        )
    if rewarded:
        told.append(_why_equal(rewarded, recipe))
    return NoSignal(reason="; ".join(told), is_fault=not rewarded)


def _attempts(group: Group, recipe: Recipe) -> list[_Attempt]:
    of = (group.place, group.problem.id)
    failed = [_Attempt(of, failure=f"{f.kind}: {f.message}") for f in group.failures.values()]
    return [*failed, *(_attempt(of, rollout, recipe) for rollout in group.rollouts)]


def _attempt(group: tuple[int, str], rollout: Rollout, recipe: Recipe) -> _Attempt:
    faults = [f"reward {name}: {fault}" for name, fault in rollout.scored.faults.items()]
    return _Attempt(
        group,
        fault=faults[0] if faults else "",
        reward=None if faults else rollout.scored.total,
        correct=rollout.outcome.correct,
        is_left_out=recipe.mask_truncated and rollout.truncated,
    )


def _why_equal(rewarded: Sequence[_Attempt], recipe: Recipe) -> str:
    """Why attempts with rewards teach nothing."""
    rewards: dict[tuple[int, str], list[float | None]] = {}
    for one in rewarded:
        rewards.setdefault(one.group, []).append(one.reward)
    if all(one.is_left_out for one in rewarded):
        return (
            "every attempt was cut off by the length limit, and mask_truncated leaves those out: "
            "raise max_new_tokens of the task"
        )
    if all(len(values) == 1 for values in rewards.values()):
        return "one attempt at each problem has a reward, and attempts are compared with each other"
    if all(len(set(values)) == 1 for values in rewards.values()):
        least, most = (f"{end(v[0] or 0.0 for v in rewards.values()):g}" for end in (min, max))
        earned = least if least == most else f"{least} to {most}"
        return f"all attempts at a problem earned the same ({earned}): {TRY_OTHERS}"
    if recipe.dynamic_sampling and all(one.correct is None for one in rewarded):
        return (
            "dynamic_sampling keeps problems with right and wrong answers, and of none of these it "
            "is known whether they are right: give the problems their answers, or switch it off"
        )
    if recipe.dynamic_sampling:
        right = sum(bool(one.correct) for one in rewarded)
        return (
            f"dynamic_sampling keeps problems with right and wrong answers, and found none in "
            f"{len(rewards)} ({right} of {len(rewarded)} answers right): {TRY_OTHERS}"
        )
    return "the objective gives no advantage to rewards that differ"


def _commonest(reasons: Counter[str]) -> str:
    (first, _), *others = reasons.most_common()
    return first + (f"; and {len(others)} more reasons" if others else "")
