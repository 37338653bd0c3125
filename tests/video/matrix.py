"""The kinds of file every reader is held to, and the slow reading they are compared with.

`Clip.make` writes one; `reference` decodes every frame of a file in order, with nothing of this
project, and says what is displayed when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec.codec import UnknownCodecError

from tests.video import clips

_X265 = "log-level=none:"
_REALTIME = {"deadline": "realtime", "cpu-used": "8"}
_X264 = {"preset": "veryfast"}


def _h264(suffix: str = ".mp4", gop: int = 30, muxer: dict[str, str] | None = None, **x264: object):
    params = ":".join(f"{name.replace('_', '-')}={value}" for name, value in x264.items())
    options = {"x264-params": params} if params else None
    return lambda folder: clips.write(
        folder / f"clip{suffix}", frames=90, gop=gop, options=options, muxer=muxer
    )


def _hevc(params: str, suffix: str = ".mp4"):
    return lambda folder: clips.write(
        folder / f"clip{suffix}",
        codec="libx265",
        frames=90,
        gop=30,
        options={"preset": "ultrafast", "x265-params": _X265 + params},
    )


def _other(codec: str, suffix: str, options: dict[str, str] | None = None, gop: int = 30):
    return lambda folder: clips.write(
        folder / f"clip{suffix}", codec=codec, frames=90, gop=gop, options=options
    )


def _ten_bits(folder: Path) -> Path:
    options = {"preset": "ultrafast", "x265-params": _X265 + "open-gop=1:bframes=3"}
    return clips.write(
        folder / "clip.mp4",
        codec="libx265",
        frames=90,
        gop=30,
        options=options,
        pixel_format="yuv420p10le",
    )


def _delayed(suffix: str):
    """Its first frame is shown seconds after 0."""
    stamps = [2000 + round(i * 1000 / 30) for i in range(90)]
    return lambda folder: clips.write(folder / f"clip{suffix}", pts_ms=stamps)


def _vfr(suffix: str):
    return lambda folder: clips.write(folder / f"clip{suffix}", pts_ms=clips.vfr_pts_ms(90))


def _trimmed(folder: Path) -> Path:
    source = clips.write(folder / "source.mp4", frames=150, gop=90)
    return clips.trimmed(folder / "clip.mp4", source, 2.0)


def _rotated(folder: Path) -> Path:
    return clips.write(folder / "clip.mp4", frames=90, rotation_deg=90)


MAKERS: dict[str, Callable[[Path], Path]] = {
    "h264": _h264(),
    "h264 keys": _h264(gop=1),
    "h264 long": _h264(gop=600, bframes=5, b_adapt=0, b_pyramid="normal"),
    "h264 open": _h264(gop=20, open_gop=1, bframes=3, b_adapt=0),
    "h264 interlaced": _h264(tff=1),
    "h264 refresh": _h264(intra_refresh=1, keyint=30, bframes=0),
    "hevc open": _hevc("open-gop=1:bframes=4:b-adapt=0"),
    "hevc closed": _hevc("open-gop=0:bframes=3"),
    "hevc layers": _hevc("temporal-layers=3:bframes=4:b-adapt=0"),
    "hevc ten bits": _ten_bits,
    "hevc ts": _hevc("open-gop=1:bframes=3", ".ts"),
    "vp9 webm": _other("libvpx-vp9", ".webm", _REALTIME),
    "vp9 altref": _other(
        "libvpx-vp9", ".webm", {"cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "16"}
    ),
    "vp8 webm": _other("libvpx", ".webm", _REALTIME),
    "av1": _other("libsvtav1", ".mp4", {"preset": "12"}),
    "av1 mkv": _other("libsvtav1", ".mkv", {"preset": "12"}),
    "vfr": _vfr(".mp4"),
    "vfr mkv": _vfr(".mkv"),
    "rotated": _rotated,
    "delayed": _delayed(".mp4"),
    "delayed mkv": _delayed(".mkv"),
    "edit list": _trimmed,
    "ts": _h264(".ts"),
    "mkv": _h264(".mkv"),
    "mov": _h264(".mov"),
    "avi": _other("mpeg4", ".avi", {"bf": "2"}),
    "mpeg2": _other("mpeg2video", ".mpg", {"bf": "2"}, gop=12),
    "mjpeg": _other("mjpeg", ".avi", {"strict": "unofficial"}),
    "fragmented": _h264(muxer={"movflags": "frag_keyframe+empty_moov"}),
}


def make(kind: str, folder: Path) -> Path:
    """Write the clip of `kind`; skip the test, saying why, where there is no encoder for it."""
    try:
        return MAKERS[kind](folder)
    except UnknownCodecError as error:
        pytest.skip(f"no encoder for {kind}: {error}")


@dataclass(frozen=True)
class Reference:
    """Every frame that is displayed, in order."""

    times_s: np.ndarray
    pixels: list[np.ndarray]

    def rows(self, times_s: Sequence[float] | np.ndarray) -> np.ndarray:
        """Which frame is displayed at each time: the last that begins at or before it."""
        return np.searchsorted(self.times_s, np.asarray(times_s) + 1e-6, "right").clip(1) - 1


def reference(path: Path, size_px: tuple[int, int] | None = None) -> Reference:
    shown: dict[int, np.ndarray] = {}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            pts = frame.pts if frame.pts is not None else frame.dts
            assert pts is not None
            turns = frame.rotation // 90
            width, height = size_px or (None, None)
            if turns % 2:
                width, height = height, width
            rgb = frame.to_ndarray(
                format="rgb24", width=width, height=height, interpolation="BICUBIC"
            )
            shown.setdefault(pts, np.rot90(rgb, turns))
        tick = stream.time_base or Fraction(1)
    stamps = sorted(shown)
    return Reference(np.asarray(stamps) * float(tick), [shown[pts] for pts in stamps])
