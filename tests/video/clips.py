"""Small real video files for tests, written through PyAV, with the frame number in the pixels.

`read_number` reads the number back from a decoded (and perhaps resized) frame, so a test can say
which frame it was given. Leaves out scripted worlds, which have their own makers.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.subtitles.stream import SubtitleStream

SIZE_PX = (160, 96)
BITS = 10
FPS_HZ = 30


def draw(number: int, size_px: tuple[int, int] = SIZE_PX) -> np.ndarray:
    """uint8 (H, W, 3): the number as bars, its complement below, red in the lowest left."""
    width, height = size_px
    bits = (number >> np.arange(BITS)) & 1
    columns = np.arange(width) * BITS // width
    pixels = np.full((height, width, 3), 90, np.uint8)
    pixels[: height // 3] = (bits[columns] * 235)[None, :, None]
    pixels[height // 3 : 2 * height // 3] = ((1 - bits[columns]) * 235)[None, :, None]
    pixels[2 * height // 3 :, : width // 4] = (220, 20, 20)
    return pixels


def read_number(pixels: np.ndarray) -> int:
    """The number drawn into an upright frame; fails where bars and complement disagree."""
    height, width, _ = pixels.shape
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    upper = pixels[height // 6, centres].mean(axis=-1)
    lower = pixels[height // 2, centres].mean(axis=-1)
    assert (np.abs(upper - lower) > 60).all(), f"no bar code: {upper} {lower}"
    return int(((upper > lower) << np.arange(BITS)).sum())


def numbers(batch_pixels: np.ndarray) -> list[int]:
    return [read_number(pixels) for pixels in batch_pixels]


def write(
    path: Path,
    *,
    frames: int = 60,
    pts_ms: Sequence[int] | None = None,
    codec: str = "libx264",
    gop: int = 15,
    rotation_deg: int = 0,
    title: str | None = None,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    size_px: tuple[int, int] = SIZE_PX,
    pixel_format: str = "yuv420p",
    first: int = 0,
) -> Path:
    """Encode `frames` numbered frames at 30 Hz, or one at each of `pts_ms` milliseconds; the number
    in the picture of the first one is `first`."""
    settings = {"preset": "veryfast", "bf": "2"} if codec == "libx264" else {}
    with av.open(str(path), "w", options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=FPS_HZ, options=settings | (options or {}))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size_px
        stream.pix_fmt = pixel_format
        stream.gop_size = gop
        stream.thread_count = 1
        time_base = Fraction(1, FPS_HZ) if pts_ms is None else Fraction(1, 1000)
        stream.codec_context.time_base = time_base
        if title is not None:
            container.metadata["title"] = title
        if rotation_deg:
            stream.set_display_rotation(rotation_deg)
        stamps = range(frames) if pts_ms is None else pts_ms
        for number, pts in enumerate(stamps):
            picture = draw(first + number, size_px)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = pts, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def with_subtitles(
    path: Path,
    tracks: Sequence[tuple[str, dict[str, str], Sequence[tuple[int, int, bytes]]]],
    *,
    codec: str = "libx264",
    frames: int = 60,
    start_s: int = 0,
    flags: Sequence[int] = (),
    chapters: Sequence[tuple[float, float, str]] = (),
) -> Path:
    """A numbered film with subtitle tracks: each a codec, metadata, and packets of (start in ms,
    length in ms, data) counted from 0. `flags` are dispositions, one a track."""
    with av.open(str(path), "w") as container:
        film = container.add_stream(codec, rate=FPS_HZ)
        assert isinstance(film, av.VideoStream)
        film.width, film.height = SIZE_PX
        film.pix_fmt = "yuv420p"
        written = []
        for number, (name, metadata, packets) in enumerate(tracks):
            stream = container.add_stream(name)
            assert isinstance(stream, SubtitleStream)
            stream.codec_context.time_base = Fraction(1, 1000)
            stream.codec_context.subtitle_header = _ASS_HEADER
            stream.metadata.update(metadata)
            # PyAV 17 takes a number alone, though its types say otherwise.
            stream.disposition = flags[number] if flags else 0  # type: ignore[assignment]
            written.append((stream, packets))
        if chapters:
            tick = Fraction(1, 1000)
            container.set_chapters(
                [
                    {
                        "id": number,
                        "start": round(start * 1000),
                        "end": round(end * 1000),
                        "time_base": tick,
                        "metadata": {"title": title} if title else {},
                    }
                    for number, (start, end, title) in enumerate(chapters)
                ]
            )
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(number), format="rgb24")
            frame.pts, frame.time_base = number + start_s * FPS_HZ, Fraction(1, FPS_HZ)
            container.mux(film.encode(frame))
        container.mux(film.encode(None))
        for stream, packets in written:
            for start_ms, length_ms, data in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = start_ms + 1000 * start_s
                packet.duration = length_ms
                container.mux(packet)
    return path


_ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def vfr_pts_ms(frames: int = 60) -> list[int]:
    """30 Hz for half of the frames, then 5 Hz, with one long pause between."""
    half = frames // 2
    first = [round(i * 1000 / 30) for i in range(half)]
    return first + [first[-1] + 900 + 200 * i for i in range(frames - half)]


def trimmed(path: Path, source: Path, start_s: float) -> Path:
    """Stream copy of `source` from `start_s` on; an edit list hides the frames before."""
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        video = reader.streams.video[0]
        assert video.time_base is not None
        copy = writer.add_stream_from_template(video)
        start_pts = round(start_s / video.time_base)
        reader.seek(start_pts, stream=video)
        for packet in reader.demux(video):
            if packet.pts is None or packet.dts is None:
                continue
            packet.pts -= start_pts
            packet.dts -= start_pts
            packet.stream = copy
            writer.mux(packet)
    return path


def audio_only(path: Path, seconds: float = 0.5) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        samples = av.AudioFrame.from_ndarray(
            np.zeros((1, int(16000 * seconds)), np.float32), format="fltp", layout="mono"
        )
        samples.sample_rate = 16000
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    return path


def cut(path: Path, source: Path, keep: float) -> Path:
    """The first `keep` (0..1) of the bytes of `source`."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def zeroed(path: Path, source: Path, first: float, last: float) -> Path:
    """`source` with the bytes between the two fractions of its length set to zero."""
    data = bytearray(source.read_bytes())
    start, end = int(len(data) * first), int(len(data) * last)
    data[start:end] = bytes(end - start)
    path.write_bytes(bytes(data))
    return path


def without_frames(path: Path) -> Path:
    """A video track that holds no frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS_HZ)
        stream.width, stream.height = SIZE_PX
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    return path
