"""Small videos of known colours: pictures turned into stored planes by formulas of the standards,
written with their marks. Knows nothing of how the package converts them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIZE_PX = (64, 48)
PATCHES = [
    (255, 255, 255), (0, 0, 0), (128, 128, 128), (255, 0, 0), (0, 255, 0), (0, 0, 255),
    (255, 255, 0), (0, 255, 255), (255, 0, 255), (200, 150, 120), (60, 90, 40), (30, 30, 200),
]  # fmt: skip
LUMA = {
    1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114),
    7: (0.212, 0.087), 9: (0.2627, 0.0593),
}  # fmt: skip
"""Weights of red and blue, by the number of the matrix in ITU-T H.273."""
BT709, BT2020, P3 = 1, 9, 12
PQ, HLG = 16, 18
_XYZ = {
    BT709: [[0.4123908, 0.3575843, 0.1804808], [0.2126390, 0.7151687, 0.0721923],
            [0.0193308, 0.1191948, 0.9505322]],
    BT2020: [[0.6369580, 0.1446169, 0.1688810], [0.2627002, 0.6779981, 0.0593017],
             [0.0000000, 0.0280727, 1.0609851]],
    P3: [[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869],
         [0.0000000, 0.0451134, 1.0439444]],
}  # fmt: skip
"""Linear RGB to XYZ, by the number of the primaries."""


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What a file says of its colours, by number; 2 is unknown, a range of 0 too."""

    matrix: int = 2
    range: int = 1
    transfer: int = 2
    primaries: int = 2


def patches(size_px: tuple[int, int] = SIZE_PX) -> np.ndarray:
    """uint8 (H, W, 3): twelve patches in rows of four."""
    width, height = size_px
    rows, columns = np.arange(height) * 3 // height, np.arange(width) * 4 // width
    return np.array(PATCHES, np.uint8)[rows[:, None] * 4 + columns]


def ramp(size_px: tuple[int, int] = SIZE_PX) -> np.ndarray:
    """float64 (H, W): 0 on the left to 1 on the right."""
    return np.tile(np.linspace(0, 1, size_px[0]), (size_px[1], 1))


def linear(pixels: np.ndarray, primaries: int = BT709) -> np.ndarray:
    """Light of standard BT.709 pictures (uint8), white 1, in other primaries."""
    light = (pixels / 255) ** 2.4
    change = np.linalg.inv(_XYZ[primaries]) @ np.array(_XYZ[BT709])
    return np.clip(light @ change.T, 0, None)


def pq(nits: np.ndarray) -> np.ndarray:
    """Signal 0..1 by SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = (np.asarray(nits) / 10000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def hlg(nits: np.ndarray) -> np.ndarray:
    """Signal 0..1 by BT.2100 for a screen of 1000 cd/m2, of light in BT.2020 primaries."""
    shown = nits @ np.array(_XYZ[BT2020][1])
    scene = nits / 1000 * (np.maximum(shown, 1e-9) / 1000)[..., None] ** (1 / 1.2 - 1)
    low = np.sqrt(3 * np.minimum(scene, 1 / 12))
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, low, high)


def luma(signal: np.ndarray, matrix: int) -> np.ndarray:
    """float64 (3, H, W): luma 0..1 and two colour differences -0.5..0.5 of RGB 0..1 (H, W, 3)."""
    red, green, blue = np.moveaxis(signal, -1, 0)
    if matrix == 8:
        return np.stack((
            green / 2 + (red + blue) / 4, green / 2 - (red + blue) / 4, (red - blue) / 2,
        ))  # fmt: skip
    of_red, of_blue = LUMA[matrix]
    y = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    return np.stack((y, (blue - y) / (2 - 2 * of_blue), (red - y) / (2 - 2 * of_red)))


def frame_of(signal: np.ndarray, matrix: int, range_: int, pixels: str) -> av.VideoFrame:
    """RGB 0..1 (H, W, 3), or grey (H, W), as stored planes of `pixels` ("yuv420p10le", "gray")."""
    bits = next((b for b in (10, 12, 16) if pixels.endswith(f"{b}le")), 8)
    y_, *differences = [signal] if signal.ndim == 2 else luma(signal, matrix)
    unit, top = 2.0 ** (bits - 8), 2.0**bits - 1
    limited = range_ == 1
    planes = [y_ * 219 * unit + 16 * unit if limited else y_ * top]
    step = 2 if "420" in pixels else 1
    for difference in differences:
        stored = difference * (224 * unit if limited else top) + 128 * unit
        planes.append(stored[::step, ::step])
    dtype = np.uint8 if bits == 8 else np.dtype("<u2")
    height, width = y_.shape
    frame = av.VideoFrame(width, height, pixels)
    for plane, values in zip(frame.planes, planes, strict=True):
        row = np.zeros((plane.height, plane.line_size // dtype_size(dtype)), dtype)
        row[:, : values.shape[1]] = np.clip(np.round(values), 0, top)
        plane.update(row.tobytes())
    return frame


def dtype_size(dtype: np.dtype | type) -> int:
    return np.dtype(dtype).itemsize


def write(
    path: Path,
    frames: Sequence[av.VideoFrame],
    marks: Marks = Marks(),
    *,
    codec: str = "ffv1",
    options: dict[str, str] | None = None,
    tag: str | None = None,
) -> Path:
    """Encode `frames` as they are, ten a second, marked with `marks`."""
    lossless = {
        "libx264": {"qp": "0", "preset": "ultrafast"},
        "libx265": {"preset": "ultrafast", "x265-params": "lossless=1:log-level=none"},
        "libvpx-vp9": {"lossless": "1", "deadline": "realtime", "cpu-used": "8"},
    }
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            codec, rate=10, options=lossless.get(codec, {}) | (options or {})
        )
        assert isinstance(stream, av.VideoStream)
        first, context = frames[0], stream.codec_context
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        context.thread_count, context.time_base = 1, Fraction(1, 10)
        context.colorspace, context.color_range = marks.matrix, marks.range
        context.color_trc, context.color_primaries = marks.transfer, marks.primaries
        if tag:
            context.codec_tag = tag
        for pts, frame in enumerate(frames):
            frame.pts, frame.time_base = pts, Fraction(1, 10)
            frame.colorspace, frame.color_range = marks.matrix, marks.range
            frame.color_trc, frame.color_primaries = marks.transfer, marks.primaries
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def remark(path: Path, source: Path, marks: Marks) -> Path:
    """A copy of `source` whose container alone is marked with `marks`."""
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        copy = writer.add_stream_from_template(reader.streams.video[0])
        assert isinstance(copy, av.VideoStream)
        context = copy.codec_context
        context.colorspace, context.color_range = marks.matrix, marks.range
        context.color_trc, context.color_primaries = marks.transfer, marks.primaries
        for packet in reader.demux(video=0):
            if packet.size:
                packet.stream = copy
                writer.mux(packet)
    return path


def error(shown: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute difference in levels."""
    return float(np.abs(shown.astype(float) - truth).mean())
