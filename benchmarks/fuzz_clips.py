"""Small clips of many kinds to be damaged, with the number of each frame as a bar code in it.

write_clip(Path("clip.mp4"), "h264 mp4")
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from mmreason.bench import bar_code

SIZE_PX = (288, 96)
FRAMES = 90
FPS_HZ = 30
_ASS_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """How a clip is written."""

    encoder: str
    suffix: str
    options: dict[str, str] = field(default_factory=dict)
    muxer: dict[str, str] = field(default_factory=dict)
    pixel_format: str = "yuv420p"
    tags: tuple[int, int, int] | None = None
    """Primaries, transfer and matrix by the numbers of ITU-T H.273."""
    tracks: int = 1
    """With two, the first is a small still that is not marked as default."""
    parts: int = 1
    """How many such files are joined end to end."""
    subtitles: bool = False


_FAST = {"preset": "veryfast", "bf": "2"}
_PYRAMID = {"preset": "veryfast", "bf": "3", "b_strategy": "0"}
_X265 = {"preset": "ultrafast", "x265-params": "log-level=none:open-gop=1:bframes=3"}
_VP9 = {"deadline": "realtime", "cpu-used": "8"}
CLIPS: dict[str, Clip] = {
    "h264 mp4": Clip(encoder="libx264", suffix=".mp4", options=_FAST),
    "h264 index first": Clip(
        encoder="libx264", suffix=".mp4", options=_FAST, muxer={"movflags": "faststart"}
    ),
    "h264 fragmented": Clip(
        encoder="libx264",
        suffix=".mp4",
        options=_FAST,
        muxer={"movflags": "frag_keyframe+empty_moov"},
    ),
    "h264 mkv": Clip(encoder="libx264", suffix=".mkv", options=_FAST),
    "h264 ts": Clip(encoder="libx264", suffix=".ts", options=_FAST),
    "hevc mp4": Clip(encoder="libx265", suffix=".mp4", options=_X265),
    "av1 mp4": Clip(encoder="libsvtav1", suffix=".mp4", options={"preset": "12"}),
    "vp9 webm": Clip(encoder="libvpx-vp9", suffix=".webm", options=_VP9),
    "mpeg4 avi": Clip(encoder="mpeg4", suffix=".avi", options={"bf": "2"}),
    "mpeg2 mpg": Clip(encoder="mpeg2video", suffix=".mpg", options={"bf": "2"}),
    "h264 avi": Clip(encoder="libx264", suffix=".avi", options=_PYRAMID),
    "two tracks mkv": Clip(encoder="libx264", suffix=".mkv", options=_FAST, tracks=2),
    "two tracks mp4": Clip(encoder="libx264", suffix=".mp4", options=_FAST, tracks=2),
    "joined ts": Clip(encoder="libx264", suffix=".ts", options=_FAST, parts=2),
    "joined webm": Clip(encoder="libvpx-vp9", suffix=".webm", options=_VP9, parts=2),
    "hdr hevc": Clip(
        encoder="libx265",
        suffix=".mp4",
        options=_X265,
        pixel_format="yuv420p10le",
        tags=(9, 16, 9),
    ),
    "alpha ffv1": Clip(
        encoder="ffv1",
        suffix=".mkv",
        options={"level": "3", "slicecrc": "1"},
        pixel_format="bgra",
    ),
    "subtitles mkv": Clip(encoder="libx264", suffix=".mkv", options=_FAST, subtitles=True),
    "subtitles mp4": Clip(encoder="libx264", suffix=".mp4", options=_FAST, subtitles=True),
}


def draw_frame(number: int) -> np.ndarray:
    """uint8 (H, W, 3): the number above, a part that moves and changes its colour below."""
    width_px, height_px = SIZE_PX
    pixels = np.zeros((height_px, width_px, 3), np.uint8)
    # The ground changes its colour every 40 frames, so that there are cuts.
    pixels[..., number // 40 % 3] = 200
    pixels[:, number : number + 20] = 255
    luma = np.zeros((height_px, width_px), np.uint8)
    bar_code.draw_number(number, luma)
    rows = bar_code.band_rows(height_px)
    pixels[:rows] = luma[:rows, :, None]
    return pixels


def write_clip(path: Path, kind: str) -> Path:
    """Write the clip `kind` of `CLIPS`. Raises av's error where there is no such encoder.

    Example:
        >>> write_clip(Path("clip.mp4"), "h264 mp4")  # doctest: +SKIP
        PosixPath('clip.mp4')
    """
    clip = CLIPS[kind]
    _write_one(path, clip, 0)
    # Joined byte after byte, as recorders and `cat` do.
    joined = b""
    for number in range(1, clip.parts):
        joined += _write_one(path.with_suffix(f".{number}{clip.suffix}"), clip, number).read_bytes()
    path.write_bytes(path.read_bytes() + joined)
    return path


def _write_one(path: Path, clip: Clip, part_index: int) -> Path:
    import av
    from av.stream import Disposition
    from av.subtitles.stream import SubtitleStream

    with av.open(str(path), "w", options=clip.muxer) as container:
        still = None
        if clip.tracks == 2:
            still = container.add_stream("mjpeg", rate=FPS_HZ)
            assert isinstance(still, av.VideoStream)
            still.width, still.height, still.pix_fmt = 96, 56, "yuvj420p"
            # Cover pictures are tracks too: readers must not take them for the film.
            still.disposition = Disposition(0)
        stream = container.add_stream(clip.encoder, rate=FPS_HZ, options=clip.options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = SIZE_PX
        # A key frame a second: damage then spoils a part, and not all of a clip.
        stream.pix_fmt, stream.gop_size, stream.thread_count = clip.pixel_format, 30, 1
        if clip.tracks == 2:
            stream.disposition = Disposition.default
        if clip.tags is not None:
            context = stream.codec_context
            context.color_primaries, context.color_trc, context.colorspace = clip.tags
        lines = None
        if clip.subtitles:
            lines = container.add_stream("mov_text" if clip.suffix == ".mp4" else "srt")
            assert isinstance(lines, SubtitleStream)
            lines.codec_context.time_base = Fraction(1, 1000)
            lines.codec_context.subtitle_header = _ASS_HEADER
        if still is not None:
            picture = av.VideoFrame.from_ndarray(np.full((56, 96, 3), 200, np.uint8))
            container.mux(still.encode(picture))
            container.mux(still.encode(None))
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(
                draw_frame(FRAMES * part_index + number), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for start_ms in range(0, 3000, 300):
            if lines is None:
                break
            text = f"line {start_ms}".encode()
            # Timed text of mp4 begins with its length.
            data = len(text).to_bytes(2) + text if clip.suffix == ".mp4" else text
            packet = av.Packet(data)
            packet.stream, packet.time_base = lines, Fraction(1, 1000)
            packet.pts = packet.dts = start_ms
            packet.duration = 250
            container.mux(packet)
    return path
