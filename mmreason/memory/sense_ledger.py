"""The ledger of what senses have done: which stretch of which video was heard, read or looked at,
by what, and with what outcome. It stands in the store beside the records.

A stretch and its records are written in one transaction, so that whoever is killed loses at most
one stretch and doubles none. Functions over an open connection, as in `record_tables`.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mmreason.memory.records import Channel
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.plain_text import show_line
from mmreason.video.types import Span

LEDGER_SCHEMA = (
    "CREATE TABLE stretches (video TEXT NOT NULL, sense TEXT NOT NULL, part TEXT NOT NULL, "
    "start_us INTEGER NOT NULL, end_us INTEGER NOT NULL, body TEXT NOT NULL, "
    "PRIMARY KEY (video, sense, part, start_us, end_us))",
    "CREATE TABLE claims (video TEXT NOT NULL, sense TEXT NOT NULL, owner TEXT NOT NULL, "
    "at_ns INTEGER NOT NULL, PRIMARY KEY (video, sense))",
)
SENSE_CHANNELS: dict[str, Channel] = {
    "speech": "speech",
    "screen": "screen_text",
    "labels": "label",
    "shots": "shot",
}
"""What each sense writes records of."""
STALE_CLAIM_S = 1_800.0
"""Age of a claim that another may take over: longer than any stretch takes."""
MOST_STRETCHES = 100_000
"""Of one video that are read."""
MOST_NOTES = 10
"""Of one stretch that are kept."""

RunState = Literal["done", "partial", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One stretch of a video that a sense has gone through.

    Example:
        >>> stretch = Stretch(sense="speech", part="whisper-tiny.en", recipe=1, span=Span(0, 300),
        ...                   planned_s=600.0, records=12, cpu_s=40.5)
        >>> stretch.has_failed
        False
    """

    sense: str
    part: str
    """Name of what did it: a recogniser, a reader of screens, a classifier, "subtitles"."""
    recipe: int
    """Version of how it is used; one of another version counts as another part."""
    span: Span
    planned_s: float
    """Seconds that all stretches of this sense have together."""
    records: int
    cpu_s: float
    empty: int = 0
    """Findings without words, which gave no record."""
    repeated: int = 0
    """Findings that say what the one before says."""
    refused: int = 0
    """Findings that the sense itself did not trust."""
    notes: tuple[str, ...] = ()
    error: str = ""
    """Why it failed; empty where it did not."""

    @property
    def has_failed(self) -> bool:
        """Whether it is to be tried again."""
        return bool(self.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class SenseRun:
    """What a sense has done of a video until now, all stretches together.

    Example:
        >>> stretch = Stretch(sense="speech", part="tiny", recipe=1, span=Span(0, 300),
        ...                   planned_s=600.0, records=12, cpu_s=40.5)
        >>> (run,) = sum_runs([stretch])
        >>> run.state, run.covered_s
        ('partial', 300)
    """

    sense: str
    part: str
    recipe: int
    state: RunState
    """"failed" where nothing was done but failures."""
    covered_s: float
    planned_s: float
    stretches: int
    records: int
    cpu_s: float
    empty: int
    repeated: int
    refused: int
    notes: tuple[str, ...]
    reason: str
    """Of the last failure; empty without one."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self) | {"notes": list(self.notes)}


def sum_runs(stretches: Iterable[Stretch]) -> tuple[SenseRun, ...]:
    """One run for each sense, part and recipe, in the order of their first stretch."""
    groups: dict[tuple[str, str, int], list[Stretch]] = {}
    for stretch in stretches:
        groups.setdefault((stretch.sense, stretch.part, stretch.recipe), []).append(stretch)
    return tuple(map(_sum_run, groups.values()))


def _sum_run(stretches: Sequence[Stretch]) -> SenseRun:
    first = stretches[0]
    done = [s for s in stretches if not s.has_failed]
    covered_s = sum(s.span.duration_s for s in done)
    planned_s = max(s.planned_s for s in stretches)
    reason = next((s.error for s in reversed(stretches) if s.has_failed), "")
    # Times are whole microseconds in the table, so that sums differ by rounding only.
    is_whole = covered_s >= planned_s - 1e-3 and bool(done)
    return SenseRun(
        sense=first.sense,
        part=first.part,
        recipe=first.recipe,
        state="done" if is_whole else "partial" if done else "failed",
        covered_s=round(covered_s, 3),
        planned_s=round(planned_s, 3),
        stretches=len(done),
        records=sum(s.records for s in done),
        cpu_s=round(sum(s.cpu_s for s in stretches), 3),
        empty=sum(s.empty for s in done),
        repeated=sum(s.repeated for s in done),
        refused=sum(s.refused for s in done),
        notes=tuple(dict.fromkeys(note for s in done for note in s.notes)),
        reason="" if is_whole else reason,
    )


def insert_stretch(connection: sqlite3.Connection, video: str, stretch: Stretch) -> bool:
    """Write a stretch down; one that failed before is replaced. False, and nothing is written,
    where it was done already: then its records are there too."""
    key = (video, stretch.sense, show_line(stretch.part), *_to_us(stretch.span))
    row = connection.execute(_SELECT_ONE, key).fetchone()
    earlier = None if row is None else _read_stretch((*key[1:], row[0]))
    if earlier is not None and earlier.recipe == stretch.recipe and not earlier.has_failed:
        return False
    body = {
        name: value
        for name, value in asdict(stretch).items()
        if name not in ("sense", "part", "span")
    }
    body["notes"] = [show_line(note)[:500] for note in stretch.notes[:MOST_NOTES]]
    body["error"] = show_line(stretch.error)[:500]
    connection.execute(_INSERT, (*key, json.dumps(body)))
    return True


def select_stretches(connection: sqlite3.Connection, video: str) -> tuple[Stretch, ...]:
    """All of a video, by sense and time; what is damaged counts as not done."""
    rows = connection.execute(_SELECT, (video, MOST_STRETCHES))
    return tuple(filter(None, map(_read_stretch, rows)))


def select_recent_stretches(connection: sqlite3.Connection) -> tuple[Stretch, ...]:
    """The last thousand of any videos: what work takes on this machine."""
    return tuple(filter(None, map(_read_stretch, connection.execute(_SELECT_RECENT))))


def delete_stretches(connection: sqlite3.Connection, video: str, sense: str | None = None) -> None:
    """Forget what is written of one sense, or of all."""
    connection.execute(
        "DELETE FROM stretches WHERE video = ?1 AND (?2 IS NULL OR sense = ?2)", (video, sense)
    )


def make_owner(token: str) -> str:
    """The name under which this process claims work: host, process and a token of its own.

    Example:
        >>> make_owner("a").endswith(":a")
        True
    """
    return f"{socket.gethostname()}:{os.getpid()}:{token}"


def claim_sense(connection: sqlite3.Connection, video: str, sense: str, owner: str) -> str:
    """Claim a sense of a video for `owner`, or renew the claim: then empty. Who has it, where
    another is at work; claims of processes that are gone, and old ones, are taken over."""
    now_ns = time.time_ns()
    row = connection.execute(_SELECT_CLAIM, (video, sense)).fetchone()
    if row is not None and row[0] != owner and not _is_stale(row[0], row[1], now_ns):
        return show_line(str(row[0]))
    connection.execute(
        "INSERT OR REPLACE INTO claims (video, sense, owner, at_ns) VALUES (?, ?, ?, ?)",
        (video, sense, owner, now_ns),
    )
    return ""


def release_claims(connection: sqlite3.Connection, video: str, owner: str) -> None:
    """Give back all that `owner` has claimed of a video."""
    connection.execute("DELETE FROM claims WHERE video = ? AND owner = ?", (video, owner))


def _is_stale(owner: Any, at_ns: Any, now_ns: int) -> bool:
    if type(at_ns) is not int or not isinstance(owner, str) or owner.count(":") < 2:
        return True
    # A clock that was set back would make a claim last for ever.
    if not 0 <= now_ns - at_ns <= STALE_CLAIM_S * 1e9:
        return True
    host, process, _ = owner.rsplit(":", 2)
    return host == socket.gethostname() and not _is_running(process)


def _is_running(process: str) -> bool:
    if not process.isdecimal() or int(process) == 0:
        return False
    # Signal 0 reaches nobody: it only asks whether the process is there.
    with suppress(PermissionError):
        try:
            os.kill(int(process), 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True


def _to_us(span: Span) -> tuple[int, int]:
    return round(span.start_s * 1_000_000), round(span.end_s * 1_000_000)


def _read_stretch(row: Sequence[Any]) -> Stretch | None:
    """A row of anybody's; None for one that no stretch can be read from."""
    sense, part, start_us, end_us, body = row
    try:
        values = parse_json(body)
        return Stretch(
            sense=_text(sense),
            part=_text(part),
            recipe=_count(values["recipe"]),
            span=Span(start_us / 1_000_000, end_us / 1_000_000),
            planned_s=_seconds(values["planned_s"]),
            records=_count(values["records"]),
            cpu_s=_seconds(values["cpu_s"]),
            empty=_count(values["empty"]),
            repeated=_count(values["repeated"]),
            refused=_count(values["refused"]),
            notes=tuple(map(_text, values["notes"])),
            error=_text(values["error"]),
        )
    except (JsonInputError, KeyError, TypeError, ValueError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < 1e12:
        raise TypeError
    return float(value)


_INSERT = (
    "INSERT OR REPLACE INTO stretches (video, sense, part, start_us, end_us, body) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
_SELECT_ONE = (
    "SELECT body FROM stretches WHERE video = ? AND sense = ? AND part = ? AND start_us = ? "
    "AND end_us = ?"
)
_SELECT = (
    "SELECT sense, part, start_us, end_us, body FROM stretches WHERE video = ? "
    "ORDER BY sense, start_us, part LIMIT ?"
)
_SELECT_RECENT = (
    "SELECT sense, part, start_us, end_us, body FROM stretches ORDER BY rowid DESC LIMIT 1000"
)
_SELECT_CLAIM = "SELECT owner, at_ns FROM claims WHERE video = ? AND sense = ?"
