"""Tools that tell what is known of a video: its overview, records found by words, what is said.

They show no frames and ask no model. What they tell are cues where to look, never evidence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mmreason.memory.records import (
    CHANNELS,
    Channel,
    MemoryQuery,
    MemoryRecord,
    read_channels,
)
from mmreason.memory.video_memory import VideoMemory
from mmreason.tool_calls import MemoryCall, Overview, ReadRecords, ReadScreen, SearchMemory
from mmreason.tools.transcript import plain_line
from mmreason.types import Note, Observation
from mmreason.video.subtitles import Subtitles
from mmreason.video.types import Span

PASSAGES = 48
"""Most passages of a transcript that is read in outline."""
PASSAGE_S = 15.0
"""Length of a passage of a transcript that is read in full; at least that of one in outline."""
PASSAGE_CHARACTERS = 400
"""Of a passage in outline."""
_RECORD_ID = re.compile(r"^\[([a-z]{2}-[a-z2-7]{8})\]", re.MULTILINE)
NOTHING_READ = "nothing was read of the video yet: search, or look at it"
MOST_SCREEN_LINES = 100
"""Of a screen that is read in one call."""
NO_SCREEN = "no text on the screen is known here: look at it, or index the video with its screens"
NOTHING_SAID = "nothing is said here, as far as the subtitles tell"


def answer_from_memory(
    call: MemoryCall,
    memory: VideoMemory,
    subtitles: Subtitles | None,
    hidden: frozenset[Channel] = frozenset(),
) -> Observation:
    """What a call tells, without the `hidden` channels. Raises UsageError for a query that cannot
    be asked."""
    if isinstance(call, Overview):
        overview = memory.select_leaves("event") if call.leaves else memory.overview(call.span)
        return _observe(call.span, overview, "" if overview else NOTHING_READ)
    if isinstance(call, SearchMemory):
        named: tuple[Channel, ...] = read_channels(call.channels)
        shown: tuple[Channel, ...] = tuple(c for c in named or CHANNELS if c not in hidden)
        channels = shown if hidden else named
        if hidden and not channels:
            return _observe(call.span, [], NOTHING_READ)
        query = MemoryQuery(call.text, channels=channels, span=call.span, limit=call.limit)
        result = memory.search(query)
        return _observe(call.span, [hit.record for hit in result.hits], result.note)
    if isinstance(call, ReadRecords):
        records = memory.read(call.ids)
        missing = [i for i in call.ids if i not in {record.id for record in records}]
        note = f"there is no record {', '.join(missing)}" if missing else ""
        return _observe(call.span, records, note)
    if isinstance(call, ReadScreen):
        texts = [] if "screen_text" in hidden else memory.select_leaves("screen_text")
        inside = [record for record in texts if record.span.overlap_s(call.span) > 0]
        left = len(inside) - MOST_SCREEN_LINES
        note = f"{left:,} more lines: ask for a shorter stretch" if left > 0 else ""
        return _observe(call.span, inside[:MOST_SCREEN_LINES], note or NO_SCREEN * (not inside))
    notes = read_passages(subtitles, call.span, in_full=call.in_full)
    text = "\n".join(f"{note.span} {note.text}" for note in notes)
    return Observation(text=text or NOTHING_SAID, span=call.span, notes=notes)


def read_passages(
    subtitles: Subtitles | None, span: Span, *, in_full: bool = False
) -> tuple[Note, ...]:
    """What is said in `span`, in passages: all of it `in_full`, else in at most `PASSAGES` of equal
    length, each cut where it gets long.

    Example:
        >>> read_passages(None, Span(0, 60))
        ()
    """
    lines = [line for line in subtitles or () if line.span.overlap_s(span) > 0]
    length_s = PASSAGE_S if in_full else max(PASSAGE_S, span.duration_s / PASSAGES)
    passages: dict[int, list[Note]] = {}
    for line in lines:
        number = int(max(0.0, line.span.start_s - span.start_s) / length_s)
        passages.setdefault(number, []).append(Note(line.span, line.text))
    joined = (_join(notes) for _, notes in sorted(passages.items()))
    return tuple(joined) if in_full else tuple(map(_shorten, joined))


def record_spans(seen: Observation) -> dict[str, tuple[Span, ...]]:
    """The ids of the records that an observation told of, with where each is.

    Example:
        >>> record = MemoryRecord("event", Span(0, 30), "A chef chops onions.", "frames")
        >>> record_spans(_observe(Span(0, 60), [record], "")) == {record.id: (Span(0, 30),)}
        True
    """
    # A line a record, in the order of the notes: `_observe` writes both from one list.
    ids = _RECORD_ID.findall(seen.text)
    return {i: (note.span,) for i, note in zip(ids, seen.notes, strict=False)}


def _join(notes: Sequence[Note]) -> Note:
    # Rolling captions repeat lines: each is read once.
    text = " ".join(dict.fromkeys(note.text for note in notes))
    return Note(Span(notes[0].span.start_s, max(note.span.end_s for note in notes)), text)


def _shorten(note: Note) -> Note:
    is_long = len(note.text) > PASSAGE_CHARACTERS
    return Note(note.span, note.text[: PASSAGE_CHARACTERS - 1] + "\u2026") if is_long else note


def _observe(span: Span, records: Sequence[MemoryRecord], note: str) -> Observation:
    rows = [f"[{r.id}] {r.channel} {r.span} {plain_line(r.text)}" for r in records]
    text = "\n".join([*rows, *([note] if note else [])])
    notes = tuple(Note(record.span, record.text) for record in records)
    return Observation(text=text or NOTHING_READ, span=span, notes=notes)
