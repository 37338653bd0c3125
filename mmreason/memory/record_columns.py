"""The facts of records that a search filters by, as columns: 100,000 records in a millisecond."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.memory.records import (
    CHANNELS,
    FRAMES,
    LEAF,
    Channel,
    MemoryQuery,
    MemoryRecord,
)

SEARCHED: tuple[Channel, ...] = tuple(channel for channel in CHANNELS if channel != "shot")
"""Channels of a search that names none."""
OBSERVED: tuple[Channel, ...] = ("event", "entity", "screen_text")
"""Channels that a model which watches writes. The others, and what a sense reads on a screen, do
not depend on it."""


def is_observed(record: MemoryRecord) -> bool:
    """Whether a describing model wrote this: such records of different models are not mixed.

    Example:
        >>> from mmreason.video.types import Span
        >>> is_observed(MemoryRecord("screen_text", Span(0, 9), "EXIT", "ocr", "rapidocr"))
        False
    """
    return record.channel in OBSERVED and record.source == FRAMES


@dataclass(frozen=True, slots=True)
class RecordColumns:
    """One row a record.

    Example:
        >>> from mmreason.video.types import Span
        >>> columns = RecordColumns.of([MemoryRecord("event", Span(0, 9), "A dog.", "frames", "m")])
        >>> columns.select(MemoryQuery("dog", channels=("speech",)), "m")
        array([False])
    """

    channel: np.ndarray
    """Position in `CHANNELS`, int8 (n,)."""
    start_s: np.ndarray
    end_s: np.ndarray
    is_leaf: np.ndarray
    model: np.ndarray
    """Position in `models` for the channels that a model observed, -1 for others, int32 (n,)."""
    models: tuple[str, ...]
    """Names of models that observed, the one with most records first."""

    @classmethod
    def of(cls, records: Sequence[MemoryRecord]) -> RecordColumns:
        """The columns of these records, in their order."""
        counts = Counter(r.model for r in records if is_observed(r))
        models = tuple(name for name, _ in counts.most_common())
        numbers = {name: number for number, name in enumerate(models)}
        channels = {channel: number for number, channel in enumerate(CHANNELS)}
        return cls(
            channel=np.array([channels[r.channel] for r in records], np.int8),
            start_s=np.array([r.span.start_s for r in records], np.float64),
            end_s=np.array([r.span.end_s for r in records], np.float64),
            is_leaf=np.array([r.level == LEAF for r in records], bool),
            model=np.array([numbers[r.model] if is_observed(r) else -1 for r in records], np.int32),
            models=models,
        )

    def choose_model(self, model: str | None) -> str:
        """`model`, or without it the one that observed most; empty where none did."""
        if model is not None:
            return model
        return self.models[0] if self.models else ""

    def select(self, query: MemoryQuery, model: str) -> np.ndarray:
        """Which records of the lowest level a query is about: bool (n,). Of what models observed
        only what `model` did."""
        rows = self.is_leaf & self._is_by(model)
        # Shots have no words of their own: only who asks for them gets them.
        channels = query.channels or SEARCHED
        rows &= np.isin(self.channel, [CHANNELS.index(channel) for channel in channels])
        if query.span is not None:
            start_s, end_s = query.span.start_s, query.span.end_s
            meets = (self.start_s < end_s) & (self.end_s > start_s)
            # A still is one time, without length.
            rows &= meets | ((self.start_s >= start_s) & (self.start_s < end_s))
        return rows

    def count_others(self, model: str) -> dict[str, int]:
        """Records of the lowest level that other models observed, by their names."""
        numbers = self.model[self.is_leaf & ~self._is_by(model)]
        return {self.models[n]: int(count) for n, count in Counter(numbers.tolist()).items()}

    def _is_by(self, model: str) -> np.ndarray:
        # A model that observed nothing gets a number that no record has.
        number = self.models.index(model) if model in self.models else len(self.models)
        return (self.model == number) | (self.model == -1)
