"""What the next round of problems should be of: weak kinds get more, and new problems that are too
easy or too hard none.

The arithmetic of DPE's loop (arXiv 2602.22859, as released): weights by accuracy, quotas, and the
band of agreement. `tasks.mixture.Mixture` takes quotas as shares; the problems are the caller's.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from mmreason.types import UsageError

WEIGHT_STEPS = ((0.70, 2.0), (0.75, 1.5), (0.85, 1.0), (0.90, 0.8))
"""(accuracy below which, weight), as released."""
LOWEST_WEIGHT = 0.5
"""From the last step on."""
BAND = (0.3, 0.8)
"""Share of rollouts that agree, both ends included, between which a problem teaches something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRecord:
    """How a kind of problem went. Raises UsageError for negative numbers.

    Example:
        >>> KindRecord(right=3, wrong=1).unknown
        0
    """

    right: int
    wrong: int
    unknown: int = 0
    """The judge failed: neither for nor against the model. (The release counts these as wrong, so
    that an outage of the judge changes what is taught.)"""

    def __post_init__(self) -> None:
        if min(self.right, self.wrong, self.unknown) < 0:
            raise UsageError(f"numbers of verdicts must be 0 or more, got {self}")


def weigh_kinds(records: Mapping[str, KindRecord]) -> dict[str, float]:
    """Weights of kinds, summing to 1 before any quota; kinds without a verdict have none.

    Example:
        >>> count, order = KindRecord(right=1, wrong=9), KindRecord(right=10, wrong=0)
        >>> weigh_kinds({"count": count, "order": order})
        {'count': 0.8, 'order': 0.2}
    """
    raw = {
        kind: _weight_at(record.right / (record.right + record.wrong))
        for kind, record in records.items()
        if record.right + record.wrong
    }
    total = sum(raw.values())
    return {kind: weight / total for kind, weight in raw.items()}


def allot_quotas(records: Mapping[str, KindRecord], count: int) -> dict[str, int]:
    """How many of `count` new problems should be of each kind; they add up to `count` (largest
    remainders, ties in order of kind). UsageError where no kind has a verdict.

    Example:
        >>> count, order = KindRecord(right=1, wrong=9), KindRecord(right=10, wrong=0)
        >>> allot_quotas({"count": count, "order": order}, 7)
        {'count': 6, 'order': 1}
    """
    weights = weigh_kinds(records)
    if not weights or count < 1:
        raise UsageError("quotas need a count of at least 1 and a kind with a verdict")
    # Whole problems first, then one more for those that lose most by rounding down.
    exact = {kind: weight * count for kind, weight in weights.items()}
    quotas = {kind: math.floor(value) for kind, value in exact.items()}
    missing = count - sum(quotas.values())
    for kind in sorted(exact, key=lambda kind: (quotas[kind] - exact[kind], kind))[:missing]:
        quotas[kind] += 1
    return quotas


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Problems taken for a round, by id.

    Example:
        >>> Selection(in_band=("a", "c"), shortfall=1).refilled
        ()
    """

    in_band: tuple[str, ...]
    refilled: tuple[str, ...] = ()
    """Out of the band, and taken all the same because that was asked for."""
    shortfall: int = 0
    """How many are missing to the number wanted."""


def select_in_band(
    agreement: Mapping[str, float],
    count: int,
    *,
    band: tuple[float, float] = BAND,
    refill_seed: int | None = None,
) -> Selection:
    """The first `count` problems whose agreement (0..1) lies within `band`. What is missing is
    reported; rejected problems fill it only where `refill_seed` draws them, as the release does.

    Example:
        >>> select_in_band({"easy": 1.0, "fair": 0.5, "hard": 0.0}, 2)
        Selection(in_band=('fair',), refilled=(), shortfall=1)
    """
    # In the order given, so that the same problems are taken every time.
    low, high = band
    in_band = [name for name, agreed in agreement.items() if low <= agreed <= high][:count]
    missing = count - len(in_band)
    refilled: list[str] = []
    if refill_seed is not None and missing > 0:
        rejected = [name for name in agreement if name not in set(in_band)]
        refilled = random.Random(refill_seed).sample(rejected, min(missing, len(rejected)))
    return Selection(
        in_band=tuple(in_band), refilled=tuple(refilled), shortfall=missing - len(refilled)
    )


def _weight_at(accuracy: float) -> float:
    return next((weight for below, weight in WEIGHT_STEPS if accuracy < below), LOWEST_WEIGHT)
