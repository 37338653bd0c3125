"""A second opinion on shots: what PySceneDetect makes of the same frames.

    found = shots.detect(video)
    print(shots.second_opinion(video, found).disagreement)

PySceneDetect (BSD-3) is optional; nothing here decides which of the two is right. It is given the
frames of our reader, so that both speak of the same times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo

if TYPE_CHECKING:
    from mmreason.video.content.shots import Shots

TOLERANCE_S = 0.2
"""How far apart the two may place the same boundary, beside the length of a gradual one."""

_WIDTH_PX = 256
"""What PySceneDetect itself reduces frames to."""


class Streamable(Protocol):
    """What a second opinion needs of a video."""

    @property
    def info(self) -> VideoInfo: ...

    def stream(
        self,
        fps: float | None = None,
        size_px: tuple[int, int] | None = None,
        span: Span | None = None,
    ) -> Iterator[FrameBatch]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondOpinion:
    """Where PySceneDetect sees boundaries, beside those that were found.

    Example:
        >>> second_opinion(video, detect(video)).disagreement  # doctest: +SKIP
        0
    """

    detector: str
    """Its name and version."""
    confirmed: tuple[bool, ...]
    """One for each of the transitions found: whether it sees a boundary there too."""
    only_ours_s: tuple[float, ...]
    """Times of the transitions that it does not see."""
    only_theirs_s: tuple[float, ...]
    """Times of boundaries that it alone sees."""

    @property
    def disagreement(self) -> int:
        """Boundaries that one of the two sees alone."""
        return len(self.only_ours_s) + len(self.only_theirs_s)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "detector": self.detector,
            "confirmed": list(self.confirmed),
            "only_ours_s": [round(time_s, 6) for time_s in self.only_ours_s],
            "only_theirs_s": [round(time_s, 6) for time_s in self.only_theirs_s],
        }


def second_opinion(
    video: Streamable, shots: Shots, *, tolerance_s: float = TOLERANCE_S
) -> SecondOpinion:
    """What PySceneDetect's AdaptiveDetector, on its defaults, says to the `shots` that were found.

    Every frame of their span is decoded once more, in constant memory. Raises VideoError where
    PySceneDetect is not installed and where the video cannot be read.
    """
    try:
        scenedetect = import_module("scenedetect")
    except ImportError as error:
        raise VideoError(
            f"{video.info.path}: a second opinion needs PySceneDetect ({error}); in the "
            'clone of mmreason: pip install ".[scenedetect]"'
        ) from error
    theirs_s = _boundaries(scenedetect, video, shots.span)
    ours = [transition.span for transition in shots.transitions]
    confirmed, unmatched_s = _pair(ours, theirs_s, tolerance_s)
    return SecondOpinion(
        detector=f"PySceneDetect {scenedetect.__version__} AdaptiveDetector",
        confirmed=tuple(confirmed),
        only_ours_s=tuple(
            transition.time_s
            for transition, is_confirmed in zip(shots.transitions, confirmed, strict=True)
            if not is_confirmed
        ),
        only_theirs_s=tuple(unmatched_s),
    )


def _boundaries(scenedetect: Any, video: Streamable, span: Span) -> list[float]:
    """Times of the first frames of its new scenes, ascending."""
    info = video.info
    # Small for speed, never enlarged; the aspect stays.
    height_px = max(1, round(_WIDTH_PX * info.height_px / info.width_px))
    size_px = (min(_WIDTH_PX, info.width_px), min(height_px, info.height_px))
    detector = scenedetect.AdaptiveDetector()
    times_s: list[float] = []
    cuts: list[int] = []
    timecode = None
    for batch in video.stream(size_px=size_px, span=span):
        for rgb, time_s in zip(batch.pixels, batch.times_s.tolist(), strict=True):
            # Frames are counted: its limits are in frames, and our times are looked up after.
            timecode = scenedetect.FrameTimecode(len(times_s), info.mean_fps_hz)
            times_s.append(time_s)
            # Its pictures are BGR, ours are RGB.
            cuts += [cut.frame_num for cut in detector.process_frame(timecode, rgb[..., ::-1])]
    if timecode is not None:
        cuts += [cut.frame_num for cut in detector.post_process(timecode)]
    return [times_s[cut] for cut in sorted(set(cuts))]


def _pair(
    spans: Sequence[Span], times_s: Sequence[float], tolerance_s: float
) -> tuple[list[bool], list[float]]:
    """Whether each span has a time near it, each time serving once, and the times left over."""
    unmatched_s = list(times_s)
    confirmed: list[bool] = []
    for span in spans:
        first_s, last_s = span.start_s - tolerance_s, span.end_s + tolerance_s
        near = [time_s for time_s in unmatched_s if first_s <= time_s <= last_s]
        confirmed.append(bool(near))
        if near:
            unmatched_s.remove(min(near, key=lambda time_s: abs(time_s - span.middle_s)))
    return confirmed, unmatched_s
