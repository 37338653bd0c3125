"""Files with clicks at known times, beside pictures or alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

CLICKS_S = (0.5, 1.25, 1.9)
_CLICK_S = 0.002
_FPS_HZ = 20


def clicks(rate_hz: int, length_s: float = 2.4, clicks_s: Sequence[float] = CLICKS_S) -> np.ndarray:
    """float32 (n,): silence with a short bump that begins at each time."""
    samples = np.zeros(round(length_s * rate_hz), np.float32)
    for click_s in clicks_s:
        size = round(_CLICK_S * rate_hz)
        first = round(click_s * rate_hz)
        samples[first : first + size] = 0.9 * np.hanning(size)
    return samples


def write_clip(
    path: Path,
    codec: str,
    *,
    video_codec: str | None = "libx264",
    rate_hz: int = 48_000,
    layout: str = "mono",
    samples: np.ndarray | None = None,
    skipped: Sequence[range] = (),
    tracks: Sequence[tuple[str, str, bool]] = (("", "", True),),
) -> Path:
    """A clip of 2 s of pictures (none without `video_codec`) with one track of sound for each of
    `tracks`: language, title, whether it is the default. Packets whose number is in `skipped` are
    left out."""
    samples = clicks(rate_hz) if samples is None else samples
    with av.open(str(path), "w") as container:
        film = None
        if video_codec is not None:
            film = container.add_stream(video_codec, rate=_FPS_HZ)
            assert isinstance(film, av.VideoStream)
            film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        streams = []
        for language, title, is_default in tracks:
            stream = container.add_stream(codec, rate=rate_hz)
            assert isinstance(stream, av.AudioStream)
            stream.layout = layout
            if language:
                stream.metadata["language"] = language
            if title:
                stream.metadata["title"] = title
            if not is_default:
                stream.disposition = Disposition(0)
            streams.append(stream)
        for number in range(2 * _FPS_HZ if film is not None else 0):
            picture = np.full((48, 64, 3), number * 6 % 255, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, _FPS_HZ)
            assert film is not None
            container.mux(film.encode(frame))
        if film is not None:
            container.mux(film.encode(None))
        for stream in streams:
            for number, packet in enumerate(_encode(stream, samples, rate_hz, layout)):
                if not any(number in numbers for numbers in skipped):
                    container.mux(packet)
    return path


def _encode(
    stream: av.AudioStream, samples: np.ndarray, rate_hz: int, layout: str
) -> Iterator[av.Packet]:
    form = stream.codec_context.format
    resampler = av.AudioResampler(format=form.name if form else "s16", layout=layout, rate=rate_hz)
    whole = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    whole.sample_rate = rate_hz
    fifo = av.AudioFifo()
    for frame in resampler.resample(whole):
        frame.pts = None
        fifo.write(frame)
    position = 0
    while (frame := fifo.read(stream.codec_context.frame_size or 1024, partial=True)) is not None:
        frame.pts, frame.time_base = position, Fraction(1, rate_hz)
        position += frame.samples
        yield from stream.encode(frame)
    yield from stream.encode(None)


def find_clicks(
    samples: np.ndarray, rate_hz: int, start_s: float, clicks_s: Sequence[float]
) -> list[float]:
    """Where the loudest sample near each of `clicks_s` is, less half a click: seconds."""
    found = []
    for click_s in clicks_s:
        first = max(0, round((click_s - 0.1 - start_s) * rate_hz))
        near = np.abs(samples[first : first + round(0.2 * rate_hz)])
        assert near.max() > 0.1, f"no click near {click_s}"
        found.append(start_s + (first + int(near.argmax())) / rate_hz - _CLICK_S / 2)
    return found
