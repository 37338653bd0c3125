"""What senses would cost, before they begin: minutes of one core and megabytes of the store.

Rates are those that the store's ledger has measured on this machine; where it holds too little of a
sense, those that were measured when it was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmreason.memory.sense_ledger import SenseRun, Stretch
from mmreason.senses.parts import SenseName

LEAST_MEASURED_S = 60.0
"""Seconds of video in the ledger from which on its rate counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenseRate:
    """What a second of video takes.

    Example:
        >>> SenseRate(cpu_s=0.5, records=0.1, is_measured=True).records
        0.1
    """

    cpu_s: float
    records: float
    is_measured: bool
    """Whether the ledger of this store says so, and not our own measurement elsewhere."""


USUAL_RATES: dict[SenseName, SenseRate] = {
    "shots": SenseRate(cpu_s=0.03, records=0.2, is_measured=False),
    "labels": SenseRate(cpu_s=0.1, records=0.2, is_measured=False),
    "speech": SenseRate(cpu_s=0.15, records=0.3, is_measured=False),
    "screen": SenseRate(cpu_s=0.4, records=0.3, is_measured=False),
}
"""Of one core of a slow machine, by narrated slides and pans over photographs at 360 lines. Slides
alone take less, and pictures that move all the time more."""
RECORD_BYTES = 400
"""Of a record in the file, its index included."""
VECTOR_BYTES = 1_700
"""Of the embedding of a record: 384 numbers, its key and its row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenseEstimate:
    """What one sense would still cost of a video."""

    sense: SenseName
    open_s: float
    """Seconds of the video that it has not gone through."""
    cpu_minutes: float
    megabytes: float
    """Of records in the store (10^6 bytes)."""
    is_measured: bool
    """Whether the rate is that of earlier work in the same store."""


def measure_rates(stretches: Iterable[Stretch]) -> dict[SenseName, SenseRate]:
    """The rates of a ledger, with the usual ones where it holds too little.

    Example:
        >>> measure_rates([])["labels"].is_measured
        False
    """
    sums: dict[str, list[float]] = {}
    for stretch in stretches:
        if not stretch.has_failed and stretch.part != "subtitles":
            row = (stretch.span.duration_s, stretch.cpu_s, stretch.records)
            total = sums.setdefault(stretch.sense, [0.0, 0.0, 0.0])
            sums[stretch.sense] = [a + b for a, b in zip(total, row, strict=True)]
    rates = dict(USUAL_RATES)
    for name in rates:
        seconds_s, cpu_s, records = sums.get(name, (0.0, 0.0, 0.0))
        if seconds_s >= LEAST_MEASURED_S:
            rates[name] = SenseRate(
                cpu_s=cpu_s / seconds_s, records=records / seconds_s, is_measured=True
            )
    return rates


def estimate_senses(
    duration_s: float,
    runs: Sequence[SenseRun],
    names: Sequence[SenseName],
    rates: Mapping[SenseName, SenseRate],
    *,
    is_embedded: bool = False,
) -> tuple[SenseEstimate, ...]:
    """What these senses would cost of a video of this length, beside the runs that there are.

    Example:
        >>> (estimate,) = estimate_senses(600.0, (), ("labels",), USUAL_RATES)
        >>> estimate.cpu_minutes
        1.0
    """
    estimates: list[SenseEstimate] = []
    for name in names:
        # Of any part: what another has made is not made again.
        covered_s = max((run.covered_s for run in runs if run.sense == name), default=0.0)
        open_s = max(0.0, duration_s - covered_s)
        rate = rates[name]
        each_bytes = RECORD_BYTES + (VECTOR_BYTES if is_embedded else 0)
        estimates.append(
            SenseEstimate(
                sense=name,
                open_s=round(open_s, 3),
                cpu_minutes=round(open_s * rate.cpu_s / 60, 3),
                megabytes=round(open_s * rate.records * each_bytes / 1e6, 4),
                is_measured=rate.is_measured,
            )
        )
    return tuple(estimates)
