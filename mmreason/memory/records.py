"""What is known of a video, one typed record a fact, and what a search over them asks and gives.

A record is a cue where to look, never evidence: evidence is frames that a model was shown.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mmreason.types import UsageError
from mmreason.video.types import Span

Channel = Literal["event", "entity", "screen_text", "speech", "label", "shot", "still"]
"""What a record tells of: what happens, who or what is there, what stands written in the picture,
what is said, what a classifier names, a stretch between two cuts, a frame that was kept."""
CHANNELS: tuple[Channel, ...] = get_args(Channel)
FRAMES = "frames"
"""Source of what a model wrote that was shown frames, and of stills."""
BY_HAND = "by hand"
"""Source of what a person wrote in place of what a sense or a model had found."""
LEAF, SCENE, ROOT = 0, 1, 2
"""Levels: about half a minute, several of these, the whole video."""
MOST_TEXT_CHARACTERS = 20_000
"""Of one record: more than a talkative model writes of a scene."""
MOST_QUERY_CHARACTERS = 2_000
MOST_HITS = 100


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """One thing that is known of a stretch of video, and from where.

    Example:
        >>> record = MemoryRecord("speech", Span(4, 8), "The budget is two million.", "talk.srt")
        >>> record.id
        'sp-fz5hqlvb'
    """

    channel: Channel
    span: Span
    text: str
    """As it was written or said; empty for stills of which nothing is said."""
    source: str
    """What it was read from: "frames", a file or track of subtitles."""
    model: str = ""
    """Name of the model that wrote it; empty where none did."""
    level: int = LEAF
    """0 for a leaf, 1 for a scene, 2 for the whole video."""
    confidence: float | None = None
    """0..1, of who wrote it; None where that does not tell. Not part of `id`."""
    box_px: tuple[float, float, float, float] | None = None
    """Where it is in the picture, xyxy in pixels of the original frame. Not part of `id`."""
    speaker: str = ""
    """Who says it, of speech that tells. Not part of `id`."""

    def __post_init__(self) -> None:
        if self.channel not in CHANNELS:
            raise UsageError(
                f"the channel of a record is one of {', '.join(CHANNELS)}, got {self.channel!r}"
            )
        if self.level not in (LEAF, SCENE, ROOT):
            raise UsageError(f"the level of a record is 0, 1 or 2, got {self.level!r}")
        if self.channel != "still" and not self.text.strip():
            raise UsageError(f"a record of channel {self.channel} needs a text, got none")
        if len(self.text) > MOST_TEXT_CHARACTERS:
            raise UsageError(
                f"the text of a record has at most {MOST_TEXT_CHARACTERS:,} characters, got "
                f"{len(self.text):,}"
            )

    @property
    def id(self) -> str:
        """Short, and the same for the same content: the first letters of the channel and 40 bits
        of a digest, so that 100,000 records of one video do not meet."""
        start_us, end_us = self.span_us
        content = [self.channel, start_us, end_us, self.text, self.source, self.model, self.level]
        digest = hashlib.sha256(json.dumps(content).encode()).digest()
        return f"{self.channel[:2]}-{base64.b32encode(digest[:5]).decode().lower()}"

    @property
    def span_us(self) -> tuple[int, int]:
        """Start and end in whole microseconds: how a record is kept and compared."""
        return round(self.span.start_s * 1_000_000), round(self.span.end_s * 1_000_000)


@dataclass(frozen=True, slots=True)
class MemoryQuery:
    """What is looked for.

    Example:
        >>> MemoryQuery("red car", channels=("event", "speech"), span=Span(0, 600)).limit
        8
    """

    text: str
    """A few words or a whole question, in any language."""
    channels: tuple[Channel, ...] = ()
    """Only these; empty for all."""
    span: Span | None = None
    """Only records that overlap this; None for the whole video."""
    limit: int = 8
    """Most hits, 1 to 100."""

    def __post_init__(self) -> None:
        read_channels(self.channels)
        if not 1 <= self.limit <= MOST_HITS:
            raise UsageError(f"a search gives 1 to {MOST_HITS} hits, got limit {self.limit}")
        if not self.text.strip():
            raise UsageError("a search needs words to look for, got none")
        if len(self.text) > MOST_QUERY_CHARACTERS:
            raise UsageError(
                f"a search takes at most {MOST_QUERY_CHARACTERS:,} characters, got "
                f"{len(self.text):,}: give the words that matter"
            )


def read_channels(names: Sequence[str]) -> tuple[Channel, ...]:
    """The channels of these names. UsageError for a name that is none.

    Example:
        >>> read_channels(["speech"])
        ('speech',)
    """
    unknown = [str(name) for name in names if name not in CHANNELS]
    if unknown:
        raise UsageError(f"channels are {', '.join(CHANNELS)}; got {', '.join(unknown)[:100]}")
    return tuple(channel for channel in CHANNELS if channel in names)


@dataclass(frozen=True, slots=True)
class Hit:
    """A record that a search found: a cue where to look, not evidence."""

    record: MemoryRecord
    score: float
    """Only orders the hits of one search, the best first; says nothing of how well one fits."""
    similarity: float
    """How well it fits, 0..1: the share of the query's words that it holds, rare ones counting
    more, or the cosine of the embeddings, whichever is larger."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found. Without hits nothing is near enough: that is no answer by itself, for
    what was never read or heard cannot be found."""

    hits: tuple[Hit, ...]
    note: str = ""
    """Why nothing was found, or what was not searched; empty where all went the plain way."""
