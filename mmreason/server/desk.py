"""The work behind the tools of the server: thin calls of the public API on files that may be read.

Methods block. Those that ask a model want to be called one at a time. Leaves out the protocol
(`server`). UsageError and VideoError tell a client what was wrong with its call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from mmreason.language.validate import checked_part
from mmreason.server.results import (
    Answered,
    Captioned,
    Found,
    Framed,
    FrameTime,
    Grounded,
    Inspected,
    Picture,
)
from mmreason.server.roots import Roots
from mmreason.types import Answer, Budget, UsageError
from mmreason.video import Span, Video, inspect_file
from mmreason.video.sheet import jpeg_bytes
from mmreason.video.types import VideoInfo

if TYPE_CHECKING:
    from mmreason.reasoner import Reasoner

MOST_PICTURES = 6
"""Frames of evidence that go with an answer."""
MOST_FRAMES = 8
"""Frames that one call may ask for."""
LONGEST_SIDE_PX = 640
"""Of frames that are asked for."""

_MOMENT_S = 1e-6

Tell = Callable[[int, str], None]
"""Called with a number that grows and what goes on; what it raises ends the work."""


class Desk:
    """Does what the tools ask for. Its model is loaded when it is first needed, and kept."""

    def __init__(self, load: Callable[[], Reasoner], roots: Roots):
        self.roots = roots
        self._load = load
        self._loaded: Reasoner | None = None

    def _reasoner(self) -> Reasoner:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def ask(
        self,
        video: str,
        question: str,
        *,
        options: Sequence[str] | None,
        subtitles: str | None,
        budget: Budget,
        tell: Tell,
    ) -> Found:
        """An `Answered` with frames of its evidence."""
        lines = "auto" if subtitles is None else self.roots.file(subtitles)
        with Video.open(self.roots.file(video)) as opened:
            if self._loaded is None:
                tell(0, "loading the model")
            steps = self._reasoner().stream(
                opened, question, options=options, budget=budget, subtitles=lines
            )
            with closing(steps):
                for number, step in enumerate(steps, start=1):
                    tell(number, f"step {number}: {step.call.name} {step.observation.span}")
        pictures = evidence_pictures(steps.answer)
        return Found(Answered.of(steps.answer, pictures), pictures)

    def caption(self, video: str, start_s: float | None, end_s: float | None) -> Found:
        """A `Captioned` of the part between two times, or from or to an end of the video."""
        with Video.open(self.roots.file(video)) as opened:
            span = checked_part(start_s, end_s, opened.info)
            text = self._reasoner().caption(opened, span)
        start_s, end_s = span.to_list()
        return Found(Captioned(start_s=start_s, end_s=end_s, text=text))

    def ground(self, file: str, expression: str, at_s: float | None) -> Found:
        """A `Grounded` in an image, or in the frame of a video at a time (default: its middle)."""
        path = self.roots.file(file)
        span = None if at_s is None else Span(at_s, at_s + _MOMENT_S)
        return Found(Grounded.of(self._reasoner().ground(path, expression, span=span)))

    def inspect(self, video: str) -> Found:
        """An `Inspected`. Asks no model."""
        return Found(Inspected.of(inspect_file(self.roots.file(video), try_backends=False)))

    def frames(self, video: str, times_s: Sequence[float]) -> Found:
        """A `Framed` with its frames, at most 8 of at most 640 pixels a side. Asks no model."""
        if not 1 <= len(times_s) <= MOST_FRAMES:
            raise UsageError(f"times_s must be 1 to {MOST_FRAMES} times, got {len(times_s)}")
        with Video.open(self.roots.file(video)) as opened:
            size_px = picture_size_px(opened.info)
            batch = opened.frames_at(times_s, size_px)
        shown_s = [round(float(time_s), 6) for time_s in batch.times_s]
        frames = [
            FrameTime(asked_s=asked_s, time_s=time_s, exact=bool(exact))
            for asked_s, time_s, exact in zip(times_s, shown_s, batch.exact, strict=True)
        ]
        pictures = tuple(
            Picture(time_s, jpeg_bytes(pixels))
            for time_s, pixels in zip(shown_s, batch.pixels, strict=True)
        )
        return Found(Framed(frames=frames, size_px=size_px), pictures)


def evidence_pictures(answer: Answer) -> tuple[Picture, ...]:
    """Thumbnails of frames of the evidence, by time; evenly spread where there are more than 6."""
    taken = {time_s for one in answer.evidence for time_s in one.frame_times_s}
    times_s = sorted(taken & answer.thumbnails.keys())
    if len(times_s) > MOST_PICTURES:
        last = len(times_s) - 1
        times_s = [times_s[round(i * last / (MOST_PICTURES - 1))] for i in range(MOST_PICTURES)]
    return tuple(Picture(time_s, answer.thumbnails[time_s]) for time_s in times_s)


def picture_size_px(info: VideoInfo) -> tuple[int, int]:
    """(width, height) in true shape, no side above 640."""
    width_px, height_px = info.square_size_px
    scale = min(1.0, LONGEST_SIDE_PX / max(width_px, height_px))
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))
