"""The readers that the decoding benchmark compares, one small function each.

All do the same work: open the file, select the frames, decode them, give them resized as RGB. Each
is written the way its documentation shows, with its own resizing where it has one. Every library is
imported before the clock starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRequest:
    """What a reader is asked for: the frames `indices`, which begin at `times_s`.

    Example:
        >>> request = DecodeRequest(
        ...     path="clip.mp4", indices=[0, 75], times_s=[0.0, 2.5], size_px=(640, 360)
        ... )
        >>> read_mmreason(request).times_s  # doctest: +SKIP
        [0.0, 2.5]
    """

    path: str
    indices: list[int]
    times_s: list[float]
    size_px: tuple[int, int]
    """(width, height) to deliver, of the upright picture."""


@dataclass(frozen=True, slots=True)
class Frames:
    """What a reader gave."""

    pixels: Any
    """N pictures, (H, W, 3) RGB, 0 to 255."""
    times_s: list[float] | None = None
    """When they begin, from readers that tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One way to read frames."""

    name: str
    imports: tuple[str, ...]
    """Modules loaded before the clock starts; the first one's version is reported."""
    read: Callable[[DecodeRequest], Frames]
    twins: str | None = None
    """A reader that differs in speed alone; it speaks for this one on the smaller files."""
    longest_s: float | None = None
    """Longer files are left out: it would take too long."""


def read_mmreason(request: DecodeRequest) -> Frames:
    from mmreason.video import Video

    with Video.open(request.path) as video:
        batch = video.frames_at(request.times_s, request.size_px)
    return Frames(batch.pixels, batch.times_s.tolist())


def read_decord(request: DecodeRequest) -> Frames:
    width_px, height_px = request.size_px
    module = import_module("decord")
    # 0 threads: as many as it likes.
    reader = module.VideoReader(request.path, width=width_px, height=height_px, num_threads=0)
    return Frames(reader.get_batch(request.indices).asnumpy())


def read_torchcodec(threads: int) -> Callable[[DecodeRequest], Frames]:
    """Its exact mode, with its own resizing."""

    def read(request: DecodeRequest) -> Frames:
        width_px, height_px = request.size_px
        resize = import_module("torchcodec.transforms").Resize((height_px, width_px))
        decoder = import_module("torchcodec.decoders").VideoDecoder(
            request.path, dimension_order="NHWC", num_ffmpeg_threads=threads, transforms=[resize]
        )
        batch = decoder.get_frames_at(request.indices)
        return Frames(batch.data.numpy(), batch.pts_seconds.tolist())

    return read


def read_opencv(request: DecodeRequest) -> Frames:
    """Seeks by frame number."""
    import cv2

    capture = cv2.VideoCapture(request.path)
    pictures = []
    for index in request.indices:
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        is_read, picture = capture.read()
        if not is_read:
            raise RuntimeError(f"frame {index} could not be read")
        # OpenCV gives blue first.
        pictures.append(_shrink(picture[..., ::-1], request.size_px))
    capture.release()
    return Frames(pictures)


def read_transformers(request: DecodeRequest) -> Frames:
    """`load_video` with its defaults, told which frames; it has no resizing of its own."""
    pixels, _ = import_module("transformers.video_utils").load_video(
        request.path, sample_indices_fn=lambda metadata, **_: np.asarray(request.indices)
    )
    return Frames([_shrink(picture, request.size_px) for picture in pixels])


def read_qwen_vl_utils(request: DecodeRequest) -> Frames:
    """`fetch_video`, whose rule selects the same frames, through the back end it chooses itself; it
    resizes to multiples of 28."""
    width_px, height_px = request.size_px
    video = import_module("qwen_vl_utils.vision_process").fetch_video(
        {
            "video": request.path,
            "nframes": len(request.indices),
            "resized_height": height_px,
            "resized_width": width_px,
        }
    )
    # It gives channels before rows.
    return Frames(video.permute(0, 2, 3, 1).numpy())


def read_pyav_seek(request: DecodeRequest) -> Frames:
    """PyAV without a plan: for each time a seek, then decoding up to it, with two threads."""
    import av

    width_px, height_px = request.size_px
    pictures, times_s = [], []
    with av.open(request.path) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.thread_count = "AUTO", 2
        tick_s = stream.time_base or Fraction(1)
        for time_s in request.times_s:
            # Goes to the key frame at or before the time, from which decoding can begin.
            container.seek(int(time_s / tick_s), stream=stream)
            shown_frame = None
            for frame in container.decode(stream):
                # The first frame after the time says that the one before it was shown then.
                if shown_frame is not None and frame.time > time_s + 1e-6:
                    break
                shown_frame = frame
            if shown_frame is None:
                raise RuntimeError(f"no frame at {time_s:.3f} s")
            # PyAV gives frames as stored, and their rotation beside them.
            turns = round(shown_frame.rotation / 90)
            width, height = (height_px, width_px) if turns % 2 else (width_px, height_px)
            rgb = shown_frame.to_ndarray(format="rgb24", width=width, height=height)
            pictures.append(np.rot90(rgb, turns))
            times_s.append(float(shown_frame.time))
    return Frames(pictures, times_s)


def _shrink(picture: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    import cv2

    return cv2.resize(np.ascontiguousarray(picture), size_px, interpolation=cv2.INTER_AREA)


READERS = (
    Reader(
        name="mmreason",
        imports=("mmreason.video", "mmreason.video.backends.pyav"),
        read=read_mmreason,
    ),
    Reader(name="decord", imports=("decord",), read=read_decord),
    Reader(
        name="torchcodec, 2 threads",
        imports=("torchcodec.decoders", "torchcodec.transforms"),
        read=read_torchcodec(2),
        twins="torchcodec",
    ),
    Reader(
        name="torchcodec",
        imports=("torchcodec.decoders", "torchcodec.transforms"),
        read=read_torchcodec(1),
    ),
    Reader(name="OpenCV seek", imports=("cv2",), read=read_opencv),
    Reader(name="PyAV seek, 2 threads", imports=("av",), read=read_pyav_seek),
    Reader(
        name="qwen-vl-utils",
        imports=("qwen_vl_utils.vision_process",),
        read=read_qwen_vl_utils,
    ),
    Reader(
        name="transformers load_video",
        imports=("transformers.video_utils", "av", "cv2"),
        read=read_transformers,
        longest_s=1200,
    ),
)


def find_reader(name: str) -> Reader:
    return next(reader for reader in READERS if reader.name == name)


def find_missing(reader: Reader) -> str | None:
    """The top-level module that is not installed, None where all are.

    Example:
        >>> find_missing(Reader(name="x", imports=("no_such_module.part",), read=read_mmreason))
        'no_such_module'
    """
    tops = dict.fromkeys(module.partition(".")[0] for module in reader.imports)
    return next((top for top in tops if find_spec(top) is None), None)


def read_version(reader: Reader) -> str:
    """The version of the distribution that `reader` is of."""
    top = reader.imports[0].partition(".")[0]
    if top == "mmreason":
        return import_module("mmreason").__version__
    return ", ".join(metadata.version(name) for name in sorted(_distributions().get(top, ())))


@cache
def _distributions() -> dict[str, set[str]]:
    # Reads the records of all packages that are installed, which takes long.
    names_of = metadata.packages_distributions()
    return {top: set(names) for top, names in names_of.items()}
