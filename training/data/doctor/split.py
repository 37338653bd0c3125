"""Rows to learn from and rows to hold out, such that no file is on both sides."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmreason.training.data.doctor.answers import kind_of_truth
from mmreason.training.data.doctor.groups import FileGroups
from mmreason.training.data.sample import Sample
from mmreason.training.rollouts.types import stable_seed
from mmreason.types import UsageError

_Stratum = tuple[str, str]


@dataclass(frozen=True, slots=True)
class SampleSplit:
    """Both sides.

    Example:
        >>> SampleSplit((), (), ()).notes
        ()
    """

    train: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    notes: tuple[str, ...]
    """What could not be balanced."""


def split_samples(
    samples: Sequence[Sample],
    groups: FileGroups,
    *,
    held_out: float,
    seed: int,
    column: str | None = None,
) -> SampleSplit:
    """Whole groups of rows that share a file (or one value of `column`), so that each channel and
    kind of answer has about its share on either side. Rows without files stand alone. The same for
    the same rows and seed. UsageError where one side would be empty."""
    if not 0 < held_out < 1:
        raise UsageError(f"held out must be a share between 0 and 1, got {held_out}")
    bundles = _bundle(samples, groups, column)
    order = list(bundles.values())
    random.Random(stable_seed("split", seed)).shuffle(order)
    # Large groups first: small ones fill what is left.
    order.sort(key=len, reverse=True)
    wanted = {
        stratum: held_out * count for stratum, count in Counter(map(_stratum, samples)).items()
    }
    taken: Counter[_Stratum] = Counter()
    chosen: set[int] = set()
    for bundle in order:
        counts = Counter(map(_stratum, bundle))
        if _distance(taken + counts, wanted, counts) < _distance(taken, wanted, counts):
            taken += counts
            chosen.update(map(id, bundle))
    sides = [tuple(s for s in samples if (id(s) in chosen) is flag) for flag in (False, True)]
    if not all(sides):
        raise UsageError(
            f"{len(samples):,} rows in {len(order):,} groups cannot be split {held_out:.0%}: rows "
            "about one file stay together; give more files, or another share"
        )
    notes = [
        f"{' '.join(filter(None, stratum))}: {taken[stratum]:,} held out, {count:.0f} wanted"
        for stratum, count in sorted(wanted.items())
        if abs(taken[stratum] - count) > max(1.0, 0.5 * count)
    ]
    return SampleSplit(sides[0], sides[1], tuple(notes))


def _bundle(
    samples: Sequence[Sample], groups: FileGroups, column: str | None
) -> dict[str, list[Sample]]:
    """Rows that must not be parted."""
    joined = FileGroups([])
    keys_of: list[list[str]] = []
    key_of = _column_key(column) if column is not None else None
    for number, sample in enumerate(samples):
        keys = [f"row {number}"]
        keys += [f"file {groups.name(path)}" for medium in sample.media for path in medium.paths]
        if key_of is not None:
            keys.append(key_of(sample))
        keys_of.append(keys)
    joined = FileGroups(list(dict.fromkeys(key for keys in keys_of for key in keys)))
    for keys in keys_of:
        for key in keys[1:]:
            joined.join(keys[0], key)
    bundles: defaultdict[str, list[Sample]] = defaultdict(list)
    for keys, sample in zip(keys_of, samples, strict=True):
        bundles[joined.name(keys[0])].append(sample)
    return bundles


def _column_key(column: str) -> Callable[[Sample], str]:
    def key(sample: Sample) -> str:
        if column not in sample.columns:
            raise UsageError(f"{sample.source}: has no field {column!r} to group by")
        return f"column {sample.columns[column]!r}"

    return key


def _stratum(sample: Sample) -> _Stratum:
    return sample.channel, kind_of_truth(sample)


def _distance(
    taken: Counter[_Stratum], wanted: dict[_Stratum, float], strata: Counter[_Stratum]
) -> float:
    """How far the strata of a group are from what is wanted of them."""
    return sum(abs(taken[stratum] - wanted[stratum]) for stratum in strata)
