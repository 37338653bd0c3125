"""Numbers of rounds under the bars of a lane, placed so that they do not run into each other.

Pure geometry. Numbers that would touch become one mark over both their places.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_CHARACTER_PCT = 0.9
"""Width of a digit in a report of ordinary width."""
_GAP_PCT = 0.9
_LONGEST = 14


@dataclass(frozen=True, slots=True)
class Mark:
    """A text centred under `left_pct`."""

    left_pct: float
    text: str


@dataclass
class _MarkGroup:
    centres_pct: list[float]
    numbers: set[int]

    @property
    def centre_pct(self) -> float:
        return (min(self.centres_pct) + max(self.centres_pct)) / 2

    @property
    def text(self) -> str:
        return _compact(self.numbers)

    @property
    def half_pct(self) -> float:
        return len(self.text) * _CHARACTER_PCT / 2


def place_marks(centres: Sequence[tuple[float, int]]) -> tuple[Mark, ...]:
    """Marks for (centre in percent, number), from left to right.

    Example:
        >>> place_marks([(10.0, 1), (50.0, 2), (50.5, 3)])
        (Mark(left_pct=10.0, text='1'), Mark(left_pct=50.25, text='2, 3'))
    """
    groups: list[_MarkGroup] = []
    for centre_pct, number in sorted(centres):
        groups.append(_MarkGroup([centre_pct], {number}))
        # A merged label is wider, and may now touch the one before it.
        while len(groups) > 1 and _touch(groups[-2], groups[-1]):
            last = groups.pop()
            groups[-1].centres_pct += last.centres_pct
            groups[-1].numbers |= last.numbers
    return tuple(Mark(round(group.centre_pct, 3), group.text) for group in groups)


def _touch(first: _MarkGroup, second: _MarkGroup) -> bool:
    free_pct = second.centre_pct - second.half_pct - first.centre_pct - first.half_pct
    return free_pct < _GAP_PCT


def _compact(numbers: Iterable[int]) -> str:
    """Numbers with runs of three or more as a range; where that is long, the two ends."""
    ordered = sorted(numbers)
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    dash = "\N{EN DASH}"
    texts = [
        f"{run[0]}{dash}{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs
    ]
    text = ", ".join(texts)
    # The exact numbers are in the list of steps below.
    return text if len(text) <= _LONGEST else f"{ordered[0]} … {ordered[-1]}"
