"""Writes a narration as a video (H.264 and AAC through PyAV) and says what is in it, and when."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmreason.narration.drawing import (
    draw_cursor,
    draw_inset,
    draw_photograph,
    draw_slide,
    place_lines,
)
from mmreason.narration.script import Narration, Slide
from mmreason.narration.speech import NarrationError, SpokenWord
from mmreason.narration.track import SpokenSentence, SpokenTrack, speak_narration
from mmreason.video.types import Span

SIZE_PX = (854, 480)
FPS_HZ = 10
_BLOCK = 1024
"""Samples of one frame of AAC."""


@dataclass(frozen=True, slots=True)
class ShownLine:
    """A line on the screen: its text, when it is there, and the box of its ink (x0, y0, x1, y1)
    in pixels of the video."""

    text: str
    span: Span
    box_px: tuple[int, int, int, int]
    scene: int


@dataclass(frozen=True, slots=True)
class ShownLabel:
    """What a photograph shows, and when."""

    name: str
    span: Span
    scene: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrationTruth:
    """All that is in a rendered narration, in seconds and pixels of the video.

    Example:
        >>> truth = render_narration(make_narration(0), "talk.mp4")  # doctest: +SKIP
        >>> truth.words[0].text  # doctest: +SKIP
        'Good'
    """

    duration_s: float
    size_px: tuple[int, int]
    fps_hz: float
    scenes: tuple[Span, ...]
    sentences: tuple[SpokenSentence, ...]
    lines: tuple[ShownLine, ...]
    labels: tuple[ShownLabel, ...]

    @property
    def words(self) -> tuple[SpokenWord, ...]:
        """All spoken words in order."""
        return tuple(word for sentence in self.sentences for word in sentence.words)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "duration_s": self.duration_s,
            "size_px": list(self.size_px),
            "fps_hz": self.fps_hz,
            "scenes": [span.to_list() for span in self.scenes],
            "words": [{"text": w.text, "span": w.span.to_list()} for w in self.words],
            "lines": [
                {"text": line.text, "span": line.span.to_list(), "box_px": list(line.box_px)}
                for line in self.lines
            ],
            "labels": [{"name": lab.name, "span": lab.span.to_list()} for lab in self.labels],
        }


def render_narration(
    narration: Narration,
    path: str | Path,
    *,
    size_px: tuple[int, int] = SIZE_PX,
    fps_hz: int = FPS_HZ,
    track: SpokenTrack | None = None,
) -> NarrationTruth:
    """Write `narration` to `path` (mp4) and return what is in it. The file appears only when it is
    complete.

    `track` is its sound where it was spoken before; by default espeak-ng speaks it now.
    NarrationError where the folder cannot be written or a line does not fit.
    """
    path = Path(path)
    if size_px[0] % 2 or size_px[1] % 2 or min(size_px) < 64:
        raise NarrationError(f"size_px is {size_px}; H.264 takes even numbers from 64 on")
    track = track or speak_narration(narration)
    truth = describe_narration(narration, track, size_px=size_px, fps_hz=fps_hz)
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _encode(narration, track, temporary, size_px, fps_hz)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise NarrationError(f"{path}: cannot be written ({error})") from error
    return truth


def describe_narration(
    narration: Narration,
    track: SpokenTrack,
    *,
    size_px: tuple[int, int] = SIZE_PX,
    fps_hz: int = FPS_HZ,
) -> NarrationTruth:
    """What a video of `narration` holds, without drawing it."""
    lines: list[ShownLine] = []
    labels: list[ShownLabel] = []
    for number, (scene, span) in enumerate(zip(narration.scenes, track.scenes, strict=True)):
        if isinstance(scene.ground, Slide):
            for line in place_lines(scene.ground, size_px):
                first_s = _first_frame_s(span, line.appears, fps_hz)
                lines.append(ShownLine(line.text, Span(first_s, span.end_s), line.box_px, number))
        else:
            labels.append(ShownLabel(scene.ground.label, span, number))
    return NarrationTruth(
        duration_s=track.duration_s,
        size_px=size_px,
        fps_hz=fps_hz,
        scenes=track.scenes,
        sentences=track.sentences,
        lines=tuple(lines),
        labels=tuple(labels),
    )


def draw_frame(
    narration: Narration, track: SpokenTrack, time_s: float, size_px: tuple[int, int] = SIZE_PX
) -> Image.Image:
    """The picture at `time_s`."""
    number = next(
        (n for n, span in enumerate(track.scenes) if time_s < span.end_s), len(track.scenes) - 1
    )
    span, ground = track.scenes[number], narration.scenes[number].ground
    part = (time_s - span.start_s) / span.duration_s
    if not isinstance(ground, Slide):
        return draw_photograph(ground, size_px, part)
    # A hair more, so that a line appears on the very frame of its time.
    image = draw_slide(ground, size_px, part + 1e-9)
    if narration.has_inset:
        draw_inset(image, time_s, narration.seed)
    if narration.has_cursor:
        draw_cursor(image, time_s)
    return image


def _first_frame_s(span: Span, appears: float, fps_hz: int) -> float:
    """Time of the first frame that shows a line which appears after a share of its scene."""
    return float(np.ceil((span.start_s + appears * span.duration_s) * fps_hz - 1e-6) / fps_hz)


def _encode(
    narration: Narration, track: SpokenTrack, path: Path, size_px: tuple[int, int], fps_hz: int
) -> None:
    import av
    from av.video.reformatter import ColorRange, Colorspace

    with av.open(str(path), "w", format="mp4") as container:
        pictures = container.add_stream(
            "libx264", rate=fps_hz, options={"crf": "20", "preset": "veryfast"}
        )
        pictures.width, pictures.height = size_px
        pictures.pix_fmt = "yuv420p"
        # With more threads the bytes would depend on how many cores there are.
        pictures.codec_context.thread_count = 1
        pictures.codec_context.colorspace = Colorspace.ITU601
        pictures.codec_context.color_range = ColorRange.MPEG
        pictures.codec_context.gop_size = 2 * fps_hz
        sound = container.add_stream("aac", rate=track.rate_hz, layout="mono")
        sound.codec_context.bit_rate = 64_000
        written = 0
        for index in range(round(track.duration_s * fps_hz)):
            image = draw_frame(narration, track, index / fps_hz, size_px)
            for packet in pictures.encode(av.VideoFrame.from_image(image)):
                container.mux(packet)
            # Sound follows the pictures, so that players need not look far ahead.
            while written < min(len(track.samples), (index + 1) * track.rate_hz // fps_hz):
                block = track.samples[written : written + _BLOCK]
                frame = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = track.rate_hz, written
                frame.time_base = Fraction(1, track.rate_hz)
                container.mux(sound.encode(frame))
                written += len(block)
        for stream in (pictures, sound):
            container.mux(stream.encode())
