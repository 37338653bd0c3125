"""Scripts of natural videos: shots with all that can be told of them, and lines of speech.

The numbers in these records are places in the lists of texts of a genre, or of those that all
genres share: a script has no language.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmreason.natural.texts import Genre
from mmreason.video.types import Span

SpeechKind = Literal["price", "weight", "origin", "chatter"]


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """Who does what: places in the genre's lists.

    Example:
        >>> Event(person=0, verb=1, object=2).verb
        1
    """

    person: int
    verb: int
    object: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A stretch that shows one event; the numbers are places in lists of texts.

    Example:
        >>> shot = Shot(
        ...     span=Span(0, 12), event=Event(0, 1, 2), colour=3, place=0, thing=1, tally=4,
        ...     reason=0, filler=2,
        ... )
        >>> shot.sign is None
        True
    """

    span: Span
    event: Event
    colour: int
    place: int
    thing: int
    tally: int
    """How many of the thing can be seen."""
    reason: int
    filler: int
    sign: str | None = None
    doing: int | None = None
    """What the visitor does, in the shots that show it."""
    label: tuple[int, int] | None = None
    """(topic, the number on it)"""
    theme: int | None = None
    """Announced by the first shot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechLine:
    """What somebody says.

    Example:
        >>> SpeechLine(span=Span(4, 7), kind="price", topic=0, number=340).number
        340
    """

    span: Span
    kind: SpeechKind
    topic: int
    """Of chatter the place of the line in its list."""
    number: int = 0
    """Euros, kilos, or the place of a city."""


@dataclass(frozen=True, kw_only=True)
class VideoScript:
    """All that a natural video shows and says.

    Example:
        >>> from mmreason.natural.scripts import draw_script
        >>> script = draw_script("news", 1, 600.0)
        >>> script.name, script.duration_s
        ('natural-news-600s-1', 600.0)
    """

    name: str
    genre: Genre
    seed: int
    theme: int
    shots: tuple[Shot, ...]
    speech: tuple[SpeechLine, ...]
    unused: tuple[Event, ...]
    """Likely events that never happen."""

    @property
    def duration_s(self) -> float:
        """Seconds of the whole video."""
        return self.shots[-1].span.end_s
