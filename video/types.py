"""Values that cross the borders of `mmreason.video`: spans, frames, plans and what a file is.

Imports numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from rich.table import Table


class VideoError(ValueError):
    """A video cannot be used as asked. The message names the input, what was found and what to
    do."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Half-open interval of presentation time, `[start_s, end_s)` in seconds.

    Example:
        >>> Span(2, 5).clip(Span(4, 9))
        Span(start_s=4, end_s=5)
    """

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.start_s) and np.isfinite(self.end_s)):
            raise ValueError(f"Span needs finite seconds, got ({self.start_s}, {self.end_s})")
        if self.end_s < self.start_s:
            raise ValueError(
                f"Span must not end before it starts, got ({self.start_s}, {self.end_s})"
            )

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2

    def contains(self, time_s: float) -> bool:
        return self.start_s <= time_s < self.end_s

    def overlap_s(self, other: Span) -> float:
        """Length of the intersection in seconds, 0.0 where there is none.

        Example:
            >>> Span(0, 4).overlap_s(Span(3, 9))
            1
        """
        return max(0.0, min(self.end_s, other.end_s) - max(self.start_s, other.start_s))

    def clip(self, other: Span) -> Span:
        """The part of this span inside `other`; empty (at the nearer end) where they do not
        meet.

        Example:
            >>> Span(0, 4).clip(Span(6, 9))
            Span(start_s=6, end_s=6)
        """
        start_s = min(max(self.start_s, other.start_s), other.end_s)
        return Span(start_s, max(start_s, min(self.end_s, other.end_s)))

    def to_list(self) -> list[float]:
        return [round(self.start_s, 6), round(self.end_s, 6)]

    def __str__(self) -> str:
        return f"{format_time(self.start_s)}-{format_time(self.end_s)}"


def format_time(time_s: float) -> str:
    """`75.25` -> `1:15.25`; hours only where needed.

    Example:
        >>> format_time(3725.5)
        '1:02:05.50'
    """
    sign = "-" if time_s < 0 else ""
    hundredths = round(abs(time_s) * 100)
    minutes, remainder = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{remainder / 100:05.2f}"
    return f"{sign}{hours}:{minutes:02d}:{seconds}" if hours else f"{sign}{minutes}:{seconds}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameBatch:
    """Decoded frames and the times at which they are shown.

    Example:
        >>> FrameBatch(
        ...     pixels=np.zeros((2, 36, 64, 3), np.uint8),
        ...     times_s=np.array([0.0, 0.5]),
        ...     exact=np.array([True, False]),
        ... )
        FrameBatch(2 frames 64x36, 0:00.00..0:00.50, 1 inexact)
    """

    pixels: np.ndarray
    """uint8, shape (N, H, W, 3), RGB."""
    times_s: np.ndarray
    """float64, shape (N,): presentation time of each frame, not the requested time."""
    exact: np.ndarray
    """bool, shape (N,): whether the frame is the one displayed at the requested time."""

    def __post_init__(self) -> None:
        n = len(self.pixels)
        if self.pixels.ndim != 4 or self.pixels.shape[-1] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(
                f"pixels must be uint8 (N, H, W, 3), got {self.pixels.dtype} {self.pixels.shape}"
            )
        for name, dtype in (("times_s", np.float64), ("exact", np.bool_)):
            array = getattr(self, name)
            if array.shape != (n,) or array.dtype != dtype:
                raise ValueError(
                    f"{name} must be {np.dtype(dtype)} ({n},), got {array.dtype} {array.shape}"
                )

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        if not len(self):
            return "FrameBatch(0 frames)"
        _, height, width, _ = self.pixels.shape
        inexact = int((~self.exact).sum())
        return (
            f"FrameBatch({len(self)} frames {width}x{height}, "
            f"{format_time(self.times_s[0])}..{format_time(self.times_s[-1])}"
            + (f", {inexact} inexact)" if inexact else ")")
        )

    def _repr_html_(self) -> str:
        """A contact sheet, in a notebook."""
        from mmreason.video.notebook import frames_html

        return frames_html(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTrack:
    """A video stream of a container.

    Example: `VideoTrack(index=1, codec="h264", width_px=1920, height_px=1080, is_default=True)`.
    """

    index: int
    """Index of the stream in its container: what `track=` takes."""
    codec: str
    width_px: int
    """As stored, before any rotation."""
    height_px: int
    duration_s: float | None = None
    """None where the container does not state it."""
    is_default: bool = False
    """Whether the container marks it as the one to play."""
    is_picture: bool = False
    """Whether it is a picture beside the film, such as a cover, and no film."""
    title: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A named part of a video, as its container lists it.

    Example:
        >>> Chapter(Span(0, 90), "Opening").title
        'Opening'
    """

    span: Span
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """What stored pixels mean, by the names of ITU-T H.273 as FFmpeg writes them. Frames are
    delivered as BT.709 RGB of full range, except for HDR that is read with `tone_map="none"`.

    Example: `Colour(transfer="smpte2084", primaries="bt2020", matrix="bt2020nc", range="tv")`.
    """

    transfer: str = "unknown"
    primaries: str = "unknown"
    matrix: str = "unknown"
    range: str = "unknown"
    """"tv" (limited), "pc" (full) or "unknown"."""
    assumed: tuple[str, ...] = ()
    """Fields that the file leaves open and that were taken as usual for such a picture: the matrix
    by its size (BT.709 from 720 lines up, BT.601 below), the range by its pixel format."""
    by_container: tuple[str, ...] = ()
    """Fields that only the container tells. Many readers take them as untagged."""
    tone_map: str = "none"
    """The operator that brought high dynamic range to a standard screen, "none" without one."""
    alpha: str = "none"
    """"on black" where transparent parts are shown on black, "not decoded" where the file has an
    alpha channel that its decoder leaves out, else "none"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a video is, as read from its container. Sizes are as displayed (after rotation).

    Example:
        >>> Video.open("clip.mp4").info.width_px  # doctest: +SKIP
        1920
    """

    path: str
    duration_s: float
    start_s: float
    """Presentation time of the first frame; the video is shown over `[start_s, start_s +
    duration_s)`."""
    width_px: int
    height_px: int
    codec: str
    mean_fps_hz: float
    """Frames per second on average: an estimate for people, never used to compute a time."""
    frame_count: int | None
    rotation_deg: int
    """Counter-clockwise quarter turns applied to the stored picture, in degrees."""
    has_audio: bool
    backend: str
    size_bytes: int
    pixel_aspect: float = 1.0
    """Width of a pixel over its height, upright. Frames are delivered as stored, not stretched."""
    mirrored: bool = False
    """Whether left and right of the stored picture change places, after it is turned."""
    track: int = 0
    """Index of the stream that is shown."""
    tracks: tuple[VideoTrack, ...] = ()
    """All video streams of the container."""
    chapters: tuple[Chapter, ...] = ()
    colour: Colour = field(default_factory=Colour)
    notes: tuple[str, ...] = ()
    """Fallbacks and oddities met while opening."""

    @property
    def span(self) -> Span:
        return Span(self.start_s, self.start_s + self.duration_s)

    def _repr_html_(self) -> str:
        """A table, in a notebook."""
        from mmreason.video.notebook import info_html

        return info_html(self)

    @property
    def square_size_px(self) -> tuple[int, int]:
        """(width, height) at which the picture has its true shape on square pixels: `size_px` for
        who wants it. The stored size where pixels are square."""
        return max(1, round(self.width_px * self.pixel_aspect)), self.height_px


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePlan:
    """Which frames to take, decided before anything is decoded.

    Example:
        >>> plan = SamplePlan(
        ...     times_s=(0.5, 1.5), size_px=None, method="by hand", reasons=("start", "end")
        ... )
        >>> len(plan), plan.part(1, 2).times_s
        (2, (1.5,))
    """

    times_s: tuple[float, ...]
    size_px: tuple[int, int] | None
    """(width, height) to deliver, or None for the video's own."""
    method: str
    reasons: tuple[str, ...]
    """One short reason per frame."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the frames were planned with, in JSON types."""
    span: Span | None = None
    """What the plan chose from, where it is known."""
    token_count: int | None = None
    """Visual tokens the frames cost in `family` when they are not resized again; None without."""
    family: str | None = None
    """The model family that `token_count` is counted for."""
    moved: tuple[bool, ...] = ()
    """One a frame: whether it is taken away from the time that the method asks for, as when it is
    snapped to a key frame. Such frames are never `exact`. Empty where none is moved."""

    def __post_init__(self) -> None:
        if self.moved and len(self.moved) != len(self.times_s):
            raise ValueError(f"moved must be one a frame: {len(self.times_s)}, got {self.moved}")
        if len(self.reasons) != len(self.times_s):
            raise ValueError(
                f"one reason a frame: {len(self.times_s)} times but {len(self.reasons)} reasons"
            )
        if list(self.times_s) != sorted(self.times_s):
            raise ValueError("times_s must be in ascending order")

    def __len__(self) -> int:
        return len(self.times_s)

    def part(self, start: int, stop: int) -> SamplePlan:
        """The plan of frames `start` to `stop` (excluded), to decode a long one bit by bit."""
        return replace(
            self,
            times_s=self.times_s[start:stop],
            reasons=self.reasons[start:stop],
            moved=self.moved[start:stop],
            token_count=None,
        )

    def __str__(self) -> str:
        """A head line and a line for each frame; the middle of a long plan is left out."""
        from mmreason.video.plan.show import format_text

        return format_text(self)

    def __rich__(self) -> Table:
        from mmreason.video.plan.show import rich_table

        return rich_table(self)

    def _repr_html_(self) -> str:
        """A head line above a timeline with a mark for each frame."""
        from mmreason.video.plan.show import render_html

        return render_html(self)


class FrameSource(Protocol):
    """What looks at a video needs of it; `Video` has it, and so may a video that is only drawn.

    Example:
        >>> Video.open("clip.mp4").frames_at([0.0, 2.5])  # doctest: +SKIP
        FrameBatch(2 frames 1920x1080, 0:00.00..0:02.50)
    """

    @property
    def info(self) -> VideoInfo:
        """What the video is."""
        ...

    @property
    def content_hash(self) -> str:
        """Names the content: the same for the same frames, whatever the file is called."""
        ...

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """The frames displayed at `times_s` seconds, in the order asked for; `size_px` is (width,
        height), None for the video's own. Raises VideoError."""
        ...
