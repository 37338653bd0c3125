"""What was said: words, segments and the transcript of a video. Times are seconds of the video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mmreason.video.types import Span

HEARD = "speech recognition"
"""Source of what a recogniser heard."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it is said.

    Example: `Word(Span(1.2, 1.6), "budget", 0.93)`.
    """

    span: Span
    text: str
    """With the punctuation that belongs to it, without blanks."""
    confidence: float | None = None
    """0 to 1, the probability that the model gives it; None where it gives none."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What is said in one go, a sentence or a part of one.

    Example: `Segment(Span(1.2, 4.0), "The budget is next.", confidence=0.8)`.
    """

    span: Span
    text: str
    """On one line."""
    words: tuple[Word, ...] = ()
    """Empty where the source gives no times of words."""
    speaker: str = ""
    """"" where it is not known."""
    confidence: float | None = None
    """0 to 1: e to the mean log-probability of what the model wrote; None where it gives none."""
    language: str = ""
    """A code such as `en`, "" where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What is said in a video, in order of time.

    Example:
        >>> said = Transcript(segments=(Segment(Span(1, 4), "The budget is next."),), language="en")
        >>> said.text, [segment.text for segment in said.during(Span(3, 9))]
        ('The budget is next.', ['The budget is next.'])
    """

    segments: tuple[Segment, ...]
    language: str = ""
    """A code such as `en`, "" where it is not known."""
    source: str = HEARD
    """`HEARD`, or what it was read from: the name of a subtitle file, or `track 2`."""
    model: str = ""
    """Name of the recogniser; "" where it was read."""
    notes: tuple[str, ...] = ()
    """What was refused, left out, guessed or damaged."""

    def __post_init__(self) -> None:
        starts_s = [segment.span.start_s for segment in self.segments]
        if starts_s != sorted(starts_s):
            raise ValueError("segments must be in ascending order of their start")

    @property
    def text(self) -> str:
        """All that is said, on one line."""
        return " ".join(segment.text for segment in self.segments)

    @property
    def words(self) -> tuple[Word, ...]:
        """All words that have times, in order."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Who speaks, each once, in order of their first word; empty where it is not known."""
        return tuple(dict.fromkeys(s.speaker for s in self.segments if s.speaker))

    def during(self, span: Span) -> tuple[Segment, ...]:
        """The segments that are said at some time inside `span`, in order."""
        return tuple(segment for segment in self.segments if segment.span.overlap_s(span) > 0)

    def __len__(self) -> int:
        return len(self.segments)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)
