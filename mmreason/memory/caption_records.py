"""What a model said of a stretch of video, as records. Pure.

A model that can is asked for one JSON object a stretch: what happens, who and what is there, what
can be read. What it writes is read leniently: a reply that is no such object is taken as a
description, and nothing of it is lost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mmreason.language.refusals import declines_to_answer, is_out_of_domain
from mmreason.memory.records import LEAF, MOST_TEXT_CHARACTERS, SCENE, Channel, MemoryRecord
from mmreason.types import Note
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.subtitles import Subtitles
from mmreason.video.types import Span

INDEX_PROMPT = (
    "Describe this stretch of video for somebody who will search for things in it later. Reply "
    "with one JSON object and nothing else:\n"
    '{"events": "two to four sentences: who or what is there and what happens, with colours, '
    'numbers and places", "entities": ["each person or thing, by name or looks, a few words"], '
    '"screen_text": ["each text that can be read, word for word"]}\n'
    "Leave a list empty where there is nothing for it."
)
MOST_ENTRIES = 40
"""Entities or texts of one stretch; a model that repeats itself writes more."""
LONGEST_LEAF_S = 90.0
"""A description of more than this speaks for a scene."""
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)
_SAYS_EMPTY = re.compile(r"\W*(?:there (?:is|are) )?(?:no|none|nobody|nothing)\b", re.IGNORECASE)
_EVENTS = re.compile(r'"events"\s*:\s*"((?:[^"\\]|\\.)*)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class CaptionFaults:
    """What is wrong with the captions of an index: such captions find nothing.

    Example:
        >>> CaptionFaults(captions=10, repeated=6).describe()
        '6 of 10 captions repeat the one before'
    """

    captions: int = 0
    empty: int = 0
    repeated: int = 0
    """The same words as the stretch before, which is as it should be where nothing happens."""
    refused: int = 0
    """The model would not, or could not, describe."""

    def describe(self) -> str:
        """One line; empty where nothing is wrong."""
        shares = (
            (self.empty, "say nothing"),
            (self.repeated, "repeat the one before"),
            (self.refused, "are refusals"),
        )
        return ", ".join(f"{n} of {self.captions} captions {what}" for n, what in shares if n)


def make_caption_records(notes: Iterable[Note], model: str) -> tuple[MemoryRecord, ...]:
    """Records of what a model said, one note a stretch: an event each, and what it listed. Refusals
    and empty notes give none.

    Example:
        >>> note = Note(Span(0, 30), '{"events": "A dog runs.", "screen_text": ["EXIT"]}')
        >>> [(r.channel, r.text) for r in make_caption_records([note], "m")]
        [('event', 'A dog runs.'), ('screen_text', 'EXIT')]
    """
    records: list[MemoryRecord] = []
    for note in notes:
        events, entities, screen_texts = read_caption(note.text)
        level = LEAF if note.span.duration_s <= LONGEST_LEAF_S else SCENE
        if is_refusal(events):
            continue
        by_channel: tuple[tuple[Channel, tuple[str, ...]], ...] = (
            ("event", (events,)),
            ("entity", entities),
            ("screen_text", screen_texts),
        )
        records += [
            MemoryRecord(channel, note.span, text[:MOST_TEXT_CHARACTERS], "frames", model, level)
            for channel, texts in by_channel
            for text in texts
            if text.strip()
        ]
    return tuple(records)


def make_speech_records(subtitles: Subtitles) -> tuple[MemoryRecord, ...]:
    """One record a line; lines without words give none."""
    return tuple(
        MemoryRecord("speech", line.span, line.text[:MOST_TEXT_CHARACTERS], subtitles.name)
        for line in subtitles.lines
        if line.text.strip()
    )


def make_still_record(span: Span, frame_times_s: Sequence[float]) -> tuple[MemoryRecord, ...]:
    """The frame nearest the middle of those that were shown of a stretch; none without frames."""
    if not frame_times_s:
        return ()
    time_s = min(frame_times_s, key=lambda time_s: abs(time_s - span.middle_s))
    # A moment has no length: the empty span marks where to look.
    return (MemoryRecord("still", Span(time_s, time_s), "", "frames"),)


def read_caption(text: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """What happens, entities and texts on screen, of a reply to `INDEX_PROMPT` or a plain caption.

    Example:
        >>> read_caption("A dog runs along a beach.")
        ('A dog runs along a beach.', (), ())
    """
    # From the first brace to the last, since models put prose or a code fence around the object.
    match = _OBJECT.search(text)
    try:
        value = parse_json(match.group()) if match else None
    except JsonInputError:
        value = None
    # Some models give the events as a list of sentences.
    if isinstance(value, dict) and isinstance(value.get("events"), str | list):
        events = " ".join(_read_texts(value["events"]))
        return events, _read_texts(value.get("entities")), _read_texts(value.get("screen_text"))
    # Cut off at the limit of tokens: the description stands first.
    begun = _EVENTS.search(text)
    if begun:
        # The text is cut, so no JSON reader takes it; these are the escapes that models write here.
        return begun.group(1).replace('\\"', '"').replace("\\n", " ").strip(), (), ()
    return text.strip(), (), ()


def is_refusal(caption: str) -> bool:
    """Whether a caption says that nothing can be said. That no one is to be seen is a description.

    Example:
        >>> is_refusal("I'm sorry, I can't help with that."), is_refusal("No people are visible.")
        (True, False)
    """
    if is_out_of_domain(caption):
        return True
    return declines_to_answer(caption) and not _SAYS_EMPTY.match(caption)


def count_faults(captions: Sequence[str]) -> CaptionFaults:
    """Of captions in order of time.

    Example:
        >>> count_faults(["a dog.", "a dog.", " "])
        CaptionFaults(captions=3, empty=1, repeated=1, refused=0)
    """
    events = [read_caption(caption)[0] for caption in captions]
    # The first that fits counts: a refusal that is repeated is a refusal.
    kinds = Counter(
        "empty"
        if not event.strip()
        else "refused"
        if is_refusal(event)
        else "repeated"
        if i and event == events[i - 1]
        else "fine"
        for i, event in enumerate(events)
    )
    return CaptionFaults(len(events), kinds["empty"], kinds["repeated"], kinds["refused"])


def _read_texts(value: Any) -> tuple[str, ...]:
    """A text or a list of texts, without repetitions; what is neither is left out."""
    values = value if isinstance(value, list) else [value]
    texts = (" ".join(item.split()) for item in values if isinstance(item, str))
    return tuple(filter(None, dict.fromkeys(texts)))[:MOST_ENTRIES]
