"""Cues: stretches of text with a time, as srt, vtt and ass files hold them.

Every parser here reads a text once, line by line, and tells what it could not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mmreason.video.subtitles.markup import count_lines, strip_ass, strip_tags

Format = Literal["srt", "vtt", "ass"]


@dataclass(frozen=True, slots=True)
class Cue:
    """Text between two times in microseconds, which are as stated: the end may come first.

    Example: `Cue(1_000_000, 2_500_000, ("Good morning,", "everybody."))`.
    """

    start_us: int
    end_us: int
    rows: tuple[str, ...]
    """Its rows of plain text, without empty ones."""


@dataclass(frozen=True, slots=True)
class Cues:
    cues: list[Cue]
    notes: list[str]
    """What could not be read."""


# Every repetition is bounded, so that a row is read in time linear in its length.
_STAMP = r"(-)?(?:(\d{1,6}) ?: ?)?(\d{1,3}) ?: ?(\d{1,2})(?: ?[.,] ?(\d{1,9}))?"
_TIMES = re.compile(rf"{_STAMP} {{0,40}}(--? ?>|[\u2013\u2014]>|\u2192) {{0,40}}{_STAMP}(?!\d)(.*)")
_BROKEN_TIMES = re.compile(
    r"-?\d\S{0,20} {0,40}-->"
    r"|-?\d{1,4}:\d{2}:\d{2}(?:[.,]\d{0,3})? {0,40}-{0,2}>?[\d:., ]{0,40}$"
)
_NUMBER = re.compile(r"\d{1,9}")
_SETTINGS = ("align:", "line:", "position:", "region:", "size:", "vertical:")
_SETTINGS += ("x1:", "x2:", "y1:", "y2:")
_VTT_BLOCKS = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")

_ASS_TIME = re.compile(r"(-)?(\d{1,6}):(\d{1,2}):(\d{1,2})(?:[.,:](\d{1,9}))?")
_ASS_FIELDS = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect")


@dataclass(frozen=True, slots=True)
class _TimeRow:
    """A row that states a time, or tries to."""

    row: int
    times_us: tuple[int, int] | None
    """None where it cannot be read."""
    trailing: str
    """Text after the times that is no setting."""


def parse_srt(text: str) -> Cues:
    """Cues of an srt file; numbers may be wrong or missing, as may blank lines between cues.

    Example:
        >>> parse_srt("1\\n00:00:01,000 --> 00:00:02,500\\nhello\\n").cues
        [Cue(start_us=1000000, end_us=2500000, rows=('hello',))]
    """
    return _parse(text, "srt")


def parse_vtt(text: str) -> Cues:
    """Cues of a WebVTT file; notes, styles, regions and identifiers are left out.

    Example:
        >>> parse_vtt("WEBVTT\\n\\n00:01.000 --> 00:02.500\\nhello\\n").cues
        [Cue(start_us=1000000, end_us=2500000, rows=('hello',))]
    """
    return _parse(text, "vtt")


def _parse(text: str, kind: Format) -> Cues:
    rows = text.split("\n")
    # Loosely only where nothing is found else: prose may hold two times with a dash.
    times = _time_rows(rows, strict=True) or _time_rows(rows, strict=False)
    if not times:
        return Cues([], [])
    # 1. What stands before the first time: a number, or lines that belong to nothing.
    preamble = [row.strip() for row in rows[: times[0].row] if row.strip()]
    is_numbered = bool(preamble) and _NUMBER.fullmatch(preamble[-1]) is not None
    notes = []
    if kind == "srt" and len(preamble) > is_numbered:
        notes.append(f"left out {count_lines(len(preamble) - is_numbered)} before the first time")
    cues, unread = [], []
    # 2. A cue goes on to the next row of times, whatever blank lines there are in it.
    ends = [time_row.row for time_row in times[1:]] + [len(rows)]
    for time_row, end in zip(times, ends, strict=True):
        # 3. A time that cannot be read ends the cue before it and is told; its text is left out.
        if time_row.times_us is None:
            unread.append(rows[time_row.row].strip()[:60])
            continue
        body = _text_rows(rows[time_row.row + 1 : end], kind, end == len(rows), is_numbered)
        joined = strip_tags("\n".join((time_row.trailing, *body)))
        lines = tuple(row.strip() for row in joined.split("\n") if row.strip())
        cues.append(Cue(*time_row.times_us, lines))
    if unread:
        notes.append(
            f"left out {count_lines(len(unread))} whose time cannot be read, the first at "
            f"{unread[0]!r}"
        )
    return Cues(cues, notes)


def _time_rows(rows: Sequence[str], *, strict: bool) -> list[_TimeRow]:
    """The rows of times. `strict` takes `-->` between times that have hours or a fraction; without
    it anything like it counts, for files in which no row is strictly right."""
    time_rows: list[_TimeRow] = []
    for number, row in enumerate(rows):
        # Most rows are text, and no row of times lacks both signs.
        if ":" not in row and ">" not in row:
            continue
        row = row.strip()
        match = _TIMES.match(row)
        if match and (not strict or _is_strict(match)):
            fields = match.groups()
            times_us = (_microseconds(fields[:5]), _microseconds(fields[6:11]))
            time_rows.append(_TimeRow(number, times_us, _without_settings(fields[11])))
        elif _BROKEN_TIMES.match(row):
            time_rows.append(_TimeRow(number, None, ""))
    return time_rows if any(row.times_us for row in time_rows) else []


def _is_strict(match: re.Match[str]) -> bool:
    fields = match.groups()
    whole = all(fields[first + 1] or fields[first + 4] for first in (0, 6))
    return whole and fields[5] in ("-->", "-- >")


def _microseconds(fields: Sequence[str | None]) -> int:
    sign, hours, minutes, seconds, fraction = fields
    total_s = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    total_us = total_s * 1_000_000 + int((fraction or "0")[:6].ljust(6, "0"))
    return -total_us if sign else total_us


def _without_settings(trailing: str) -> str:
    terms = trailing.split()
    return " ".join(word for word in terms if not word.lower().startswith(_SETTINGS))


def _text_rows(rows: Sequence[str], kind: Format, is_last: bool, is_numbered: bool) -> list[str]:
    """The rows of a cue's text out of all up to the next time: without the number or identifier of
    the next cue and, for vtt, comments."""
    # 1. The first block is the cue's own; later ones follow a blank line.
    blocks = _blocks(rows, kind)
    if kind == "vtt":
        blocks = [b for index, b in enumerate(blocks) if not index or not _VTT_BLOCKS.match(b[0])]
    # 2. The last row may be the number or identifier of the cue that follows.
    touches_next = not is_last and bool(rows) and bool(rows[-1].strip())
    if blocks and blocks[-1]:
        ends_in_number = is_numbered and _NUMBER.fullmatch(blocks[-1][-1].strip()) is not None
        is_alone = len(blocks) > 1 and len(blocks[-1]) == 1
        if kind == "vtt" and touches_next and is_alone:
            blocks.pop()  # an identifier
        elif ends_in_number and (touches_next or is_alone):
            blocks[-1].pop()
    return [row for block in blocks for row in block]


def _blocks(rows: Sequence[str], kind: Format) -> list[list[str]]:
    """Rows parted at blank ones; the first block, the cue's own, may be empty. In vtt a row of
    spaces is not blank: YouTube writes one to keep a cue going."""
    blocks: list[list[str]] = [[]]
    for row in rows:
        # Blank means empty in vtt; in srt also a row of spaces.
        if row if kind == "vtt" else row.strip():
            blocks[-1].append(row)
        elif blocks[-1] or len(blocks) == 1:
            blocks.append([])
    return blocks if blocks[-1] or len(blocks) == 1 else blocks[:-1]


def parse_ass(text: str) -> Cues:
    """Cues of an ass or ssa file: its dialogue, without comments and drawings."""
    cues, notes, unread = [], [], 0
    for values, fields in _ass_events(text):
        # A row with too few values lacks its text and is counted as unread below.
        named = dict(zip(fields, values, strict=False))
        start, end = (_ass_microseconds(named.get(name, "")) for name in ("start", "end"))
        if start is None or end is None or "text" not in named:
            unread += 1
            continue
        rows = strip_ass(named["text"]).split("\n")
        cues.append(Cue(start, end, tuple(row.strip() for row in rows if row.strip())))
    if unread:
        notes.append(f"left out {count_lines(unread)} of dialogue that cannot be read")
    return Cues(cues, notes)


def _ass_events(text: str) -> Iterator[tuple[list[str], tuple[str, ...]]]:
    """Values of each line of dialogue, and the names of its fields."""
    # These fields hold until a `Format` line names others.
    fields, in_events = (*_ASS_FIELDS, "text"), False
    for row in text.split("\n"):
        row = row.strip()
        if row.startswith("[") and row.endswith("]"):
            in_events = row.lower() == "[events]"
            continue
        key, colon, values = row.partition(":")
        if not (in_events and colon):
            continue
        if key.strip().lower() == "format":
            fields = tuple(name.strip().lower() for name in values.split(","))
        elif key.strip().lower() == "dialogue":
            # The last field is the text, which may hold commas.
            yield values.split(",", len(fields) - 1), fields


def _ass_microseconds(text: str) -> int | None:
    match = _ASS_TIME.fullmatch(text.strip())
    return _microseconds(match.groups()) if match else None
