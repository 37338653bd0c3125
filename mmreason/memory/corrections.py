"""What people corrected by hand in records: the new text stays, the old one does not come back.

Functions over an open connection, as in `record_tables`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.memory.records import BY_HAND, Channel, MemoryRecord
from mmreason.memory.terms import fold_text
from mmreason.video.types import Span

CORRECTION_SCHEMA = (
    "CREATE TABLE corrections (video TEXT NOT NULL, id TEXT NOT NULL, channel TEXT NOT NULL, "
    "start_us INTEGER NOT NULL, end_us INTEGER NOT NULL, text TEXT NOT NULL, "
    "new_id TEXT NOT NULL, PRIMARY KEY (video, id))",
)
MOST_CORRECTIONS = 10_000
"""Of one video that are read."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A record that a person replaced, and which one stands there now.

    Example:
        >>> correction = Correction("sp-a", "speech", Span(4, 8), "Mister Shmit.", "sp-b")
        >>> correction.covers(MemoryRecord("speech", Span(3, 8), "Mister Smith.", "other ear"))
        True
    """

    id: str
    channel: Channel
    span: Span
    text: str
    """As it was found."""
    new_id: str
    """Of the record by hand; empty where the record was taken out."""

    def covers(self, record: MemoryRecord) -> bool:
        """Whether `record` is what was corrected, found once more, by whatever finds it. Of speech
        that is whatever is heard there; on a screen many texts stand at a time."""
        if record.id == self.id:
            return True
        shorter_s = min(record.span.duration_s, self.span.duration_s)
        is_there = record.span.overlap_s(self.span) > shorter_s / 2
        if record.channel != self.channel or not is_there:
            return False
        return self.channel == "speech" or fold_text(record.text) == fold_text(self.text)


def insert_correction(connection: sqlite3.Connection, video: str, correction: Correction) -> None:
    """Write a correction down; one of a record by hand goes on with what was found at first."""
    chained = connection.execute(
        "UPDATE corrections SET new_id = ? WHERE video = ? AND new_id = ?",
        (correction.new_id, video, correction.id),
    ).rowcount
    if chained:
        return
    start_us, end_us = (round(s * 1e6) for s in (correction.span.start_s, correction.span.end_s))
    row = (video, correction.id, correction.channel, start_us, end_us, correction.text)
    connection.execute(
        "INSERT OR REPLACE INTO corrections VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*row, correction.new_id),
    )


def select_corrections(connection: sqlite3.Connection, video: str) -> tuple[Correction, ...]:
    """All of a video; what is damaged is left out."""
    rows = connection.execute(_SELECT, (video, MOST_CORRECTIONS))
    corrections: list[Correction] = []
    for record_id, channel, start_us, end_us, text, new_id in rows:
        try:
            span = Span(start_us / 1_000_000, end_us / 1_000_000)
        except (TypeError, ValueError):
            continue
        if isinstance(record_id, str) and isinstance(text, str) and isinstance(new_id, str):
            corrections.append(Correction(record_id, channel, span, text, new_id))
    return tuple(corrections)


def without_corrected(
    records: Sequence[MemoryRecord], corrections: Sequence[Correction]
) -> tuple[MemoryRecord, ...]:
    """The records but those in whose place something by hand stands."""
    if not corrections:
        return tuple(records)
    return tuple(
        record
        for record in records
        if record.source == BY_HAND or not any(c.covers(record) for c in corrections)
    )


_SELECT = (
    "SELECT id, channel, start_us, end_us, text, new_id FROM corrections WHERE video = ? LIMIT ?"
)
