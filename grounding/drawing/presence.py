"""When a tube is to be seen, as bars of a timeline: looked at, filled in, or nothing."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmreason.grounding.tubes import Tube
from mmreason.video.types import Span

_COLUMNS = 500
"""Bars are not finer than this many to a timeline."""
_ABSENT, _FILLED, _OBSERVED = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceBar:
    """A stretch in which a tube is to be seen.

    Example:
        >>> PresenceBar(span=Span(0, 2), kind="observed").kind
        'observed'
    """

    span: Span
    kind: Literal["observed", "filled"]
    """Whether boxes were looked at, or filled in between two looks."""


def presence_bars(tube: Tube, span: Span) -> tuple[PresenceBar, ...]:
    """Bars of `tube` over `span`, rising; stretches of absence have none. Each frame lasts until
    the next one. Where frames are finer than the picture, a look counts more than what is filled
    in, and that more than absence.

    Example:
        >>> from mmreason.grounding.boxes import Box
        >>> tube = Tube.from_boxes([0, 1, 2, 3], [Box(0, 0, 8, 8)] * 2 + [None, Box(0, 0, 8, 8)])
        >>> [(str(bar.span), bar.kind) for bar in presence_bars(tube, Span(0, 4))]
        [('0:00.00-0:02.00', 'observed'), ('0:03.00-0:04.00', 'observed')]
    """
    if not len(tube) or span.duration_s <= 0:
        return ()
    gaps_s = np.diff(tube.times_s)
    last_s = float(np.median(gaps_s)) if len(gaps_s) else 0.0
    ends_s = np.append(tube.times_s[1:], tube.times_s[-1] + last_s)
    states = np.where(tube.present, np.where(tube.observed, _OBSERVED, _FILLED), _ABSENT)
    # 1. What each frame covers, in columns of the timeline; at least one.
    column_s = span.duration_s / _COLUMNS
    first = np.clip(((tube.times_s - span.start_s) / column_s).round(), 0, _COLUMNS - 1)
    end = np.clip(((ends_s - span.start_s) / column_s).round(), first + 1, _COLUMNS)
    columns = np.zeros(_COLUMNS, np.int64)
    inside = (ends_s > span.start_s) & (tube.times_s < span.end_s)
    for state in (_FILLED, _OBSERVED):
        # Starts and ends as steps up and down: their running sum says what is covered.
        steps = np.zeros(_COLUMNS + 1, np.int64)
        picked = inside & (states == state)
        np.add.at(steps, first[picked].astype(int), 1)
        np.add.at(steps, end[picked].astype(int), -1)
        columns[np.cumsum(steps)[:-1] > 0] = state
    # 2. Columns that say the same are one bar.
    edges = [0, *(np.flatnonzero(np.diff(columns)) + 1).tolist(), _COLUMNS]
    return tuple(
        PresenceBar(
            span=Span(span.start_s + a * column_s, span.start_s + b * column_s),
            kind="observed" if columns[a] == _OBSERVED else "filled",
        )
        for a, b in itertools.pairwise(edges)
        if columns[a] != _ABSENT
    )


def tick_times(span: Span, most: int = 6) -> list[float]:
    """Round times inside `span` to write under a timeline.

    Example:
        >>> tick_times(Span(0, 10))
        [0, 2, 4, 6, 8, 10]
    """
    if span.duration_s <= 0:
        return [span.start_s]
    for step_s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600):
        if span.duration_s / step_s <= most:
            break
    else:
        step_s = 3600 * math.ceil(span.duration_s / most / 3600)
    first = math.ceil(span.start_s / step_s - 1e-9)
    count = math.floor(span.end_s / step_s + 1e-9) - first + 1
    return [round((first + i) * step_s, 6) for i in range(count)]
