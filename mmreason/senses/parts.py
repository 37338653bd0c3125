"""What a sense is: a plan of stretches, and what is found in one of them. No libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

from mmreason.memory.records import MemoryRecord
from mmreason.types import UsageError
from mmreason.video.reader import Video
from mmreason.video.types import FrameSource, Span, VideoError

SenseName = Literal["shots", "labels", "speech", "screen"]
"""Where shots begin, what a picture shows, what is said, what stands on a screen."""
SENSE_NAMES: tuple[SenseName, ...] = get_args(SenseName)
"""In the order of what they cost, the cheapest first."""
STRETCH_S = 300.0
"""About how long a stretch is: what is lost at most by whoever is killed."""


class SenseMissingError(ValueError):
    """A sense cannot be used on this machine. The message says what to install or to fetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensePlan:
    """By what, and in which stretches, a sense goes through a video.

    Example:
        >>> SensePlan(part="rapidocr", recipe=1, stretches=(Span(0, 60),)).planned_s
        60
    """

    part: str
    """Name of what does it; records of another part are never mixed with these."""
    recipe: int
    """Version of how the part is used: a new one counts as another part."""
    stretches: tuple[Span, ...]
    """In order of time; the same each time for the same video."""
    shots: tuple[Span, ...] = ()
    """Those of the video, where the sense of shots has found them already; not part of what is
    planned."""

    @property
    def planned_s(self) -> float:
        return sum(span.duration_s for span in self.stretches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a sense found in one stretch.

    Example:
        >>> Findings(records=(), notes=("no sound",)).refused
        0
    """

    records: tuple[MemoryRecord, ...]
    empty: int = 0
    """Findings without words, which gave no record."""
    repeated: int = 0
    """Findings that say what the one before says."""
    refused: int = 0
    """Findings that the sense itself did not trust."""
    notes: tuple[str, ...] = ()


class Sense(Protocol):
    """An ear, a reader of screens, a classifier or a detector of shots, ready for use."""

    @property
    def name(self) -> SenseName: ...

    def plan(self, video: FrameSource) -> SensePlan:
        """By what and in which stretches. SenseMissingError where this video cannot be perceived
        with what is installed; VideoError where the file cannot be read."""
        ...

    def find(self, video: FrameSource, plan: SensePlan, span: Span) -> Findings:
        """What there is in one of the plan's stretches. VideoError, OSError, MemoryError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Senses:
    """The senses that can be used on this machine, and why the others cannot.

    Example:
        >>> senses = Senses(parts=(), missing={"screen": 'pip install ".[ocr]"'})
        >>> senses.names, senses.missing["screen"]
        ((), 'pip install ".[ocr]"')
    """

    parts: tuple[Sense, ...]
    """The cheapest first."""
    missing: Mapping[SenseName, str] = field(default_factory=dict)
    """Why a sense cannot be used, with the line that installs it. Speech may stand here and in
    `parts`: subtitles are read without a recogniser."""

    @property
    def names(self) -> tuple[SenseName, ...]:
        return tuple(part.name for part in self.parts)


def read_sense_names(names: Sequence[str]) -> tuple[SenseName, ...]:
    """The senses of these names, the cheapest first. UsageError for a name that is none.

    Example:
        >>> read_sense_names(["screen", "speech"])
        ('speech', 'screen')
    """
    unknown = [str(name) for name in names if name not in SENSE_NAMES]
    if unknown:
        raise UsageError(f"senses are {', '.join(SENSE_NAMES)}; got {', '.join(unknown)[:100]}")
    return tuple(name for name in SENSE_NAMES if name in names)


def plan_stretches(span: Span, length_s: float = STRETCH_S) -> tuple[Span, ...]:
    """Even stretches of about `length_s` that tile a span; bounds are whole seconds after its
    start, so that a duration that is told a little differently gives the same ones.

    Example:
        >>> plan_stretches(Span(0, 700))
        (Span(start_s=0, end_s=300.0), Span(start_s=300.0, end_s=700))
    """
    bounds_s = [span.start_s]
    # A remainder of less than half a stretch is not worth one of its own.
    while span.end_s - bounds_s[-1] > 1.5 * length_s:
        bounds_s.append(bounds_s[-1] + length_s)
    bounds_s.append(span.end_s)
    return tuple(map(Span, bounds_s[:-1], bounds_s[1:]))


def open_as_video(video: FrameSource) -> Video:
    """The opened file behind a source of frames. VideoError for what is only drawn."""
    if isinstance(video, Video):
        return video
    raise VideoError(f"{video.info.path}: senses go through files, not through what is only drawn")
