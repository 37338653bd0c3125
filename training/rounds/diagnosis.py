"""What the next round of problems should be of: weak kinds get more, and too easy or too hard
attempts at new problems are left out.

The arithmetic of DPE's loop (arXiv 2602.22859, as released): weights by accuracy, quotas, and the
band of agreement. `rollouts.mixture.Mixture` takes quotas as shares. Leaves out making the
problems.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from mmreason.types import UsageError

STEPS = ((0.70, 2.0), (0.75, 1.5), (0.85, 1.0), (0.90, 0.8))
"""(accuracy below which, weight), as released."""
LOWEST_WEIGHT = 0.5
"""From the last step on."""
BAND = (0.3, 0.8)
"""Share of attempts that agree, both ends included, between which a problem teaches something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """How a kind of problem went. Raises UsageError for negative numbers."""

    right: int
    wrong: int
    unknown: int = 0
    """The judge failed: neither for nor against the model. (The release counts these as wrong, so
    that an outage of the judge changes what is taught.)"""

    def __post_init__(self) -> None:
        if min(self.right, self.wrong, self.unknown) < 0:
            raise UsageError(f"numbers of verdicts must be 0 or more, got {self}")


def weights(found: Mapping[str, Verdicts]) -> dict[str, float]:
    """Weights of kinds, summing to 1 before any quota; kinds without a verdict are left out."""
    raw = {
        kind: _weight(one.right / (one.right + one.wrong))
        for kind, one in found.items()
        if one.right + one.wrong
    }
    total = sum(raw.values())
    return {kind: weight / total for kind, weight in raw.items()}


def quotas(found: Mapping[str, Verdicts], count: int) -> dict[str, int]:
    """How many of `count` new problems should be of each kind; they add up to `count` (largest
    remainders, ties in order of kind). UsageError where no kind has a verdict."""
    share = weights(found)
    if not share or count < 1:
        raise UsageError("quotas need a count of at least 1 and a kind with a verdict")
    exact = {kind: weight * count for kind, weight in share.items()}
    whole = {kind: math.floor(value) for kind, value in exact.items()}
    rest = count - sum(whole.values())
    for kind in sorted(exact, key=lambda kind: (whole[kind] - exact[kind], kind))[:rest]:
        whole[kind] += 1
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Problems kept for a round, by id."""

    kept: tuple[str, ...]
    refilled: tuple[str, ...] = ()
    """Out of the band, and taken all the same because that was asked for."""
    shortfall: int = 0
    """How many are missing to the number wanted."""


def select(
    agreement: Mapping[str, float],
    wanted: int,
    *,
    band: tuple[float, float] = BAND,
    refill_seed: int | None = None,
) -> Selection:
    """The first `wanted` problems whose agreement (0..1) lies within `band`. What is missing is
    reported; rejected problems fill it only where `refill_seed` draws them, as the release does.
    """
    low, high = band
    kept = [name for name, share in agreement.items() if low <= share <= high][:wanted]
    missing = wanted - len(kept)
    refilled: list[str] = []
    if refill_seed is not None and missing > 0:
        rejected = [name for name in agreement if name not in set(kept)]
        refilled = random.Random(refill_seed).sample(rejected, min(missing, len(rejected)))
    return Selection(kept=tuple(kept), refilled=tuple(refilled), shortfall=missing - len(refilled))


def _weight(accuracy: float) -> float:
    return next((weight for below, weight in STEPS if accuracy < below), LOWEST_WEIGHT)
