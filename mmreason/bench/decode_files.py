"""The files of the decoding benchmark, made once and kept: what each holds is known frame by frame.

One loop of made footage is encoded; the two long files and several of the others are stream copies
of it, so that their frames carry the number within the loop. Others are encoded anew. Each file has
a table beside it (`.npz`) with what its packets say.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from mmreason.bench.footage import Footage

OnProgress = Callable[[str, int, int], None]
"""Called with what is being made, how much of it is done, and of how much."""

FPS_HZ = 30
_X264 = {"preset": "veryfast"}
_X265 = {"preset": "ultrafast", "x265-params": "log-level=none:bframes=4:open-gop=1:keyint=120"}
_VP9 = {"deadline": "realtime", "cpu-used": "8"}
_AV1 = {"preset": "11", "crf": "30"}
_TRIM_S = 1.5
"""How far behind its key frame the trimmed file begins to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large everything is made."""

    name: str
    size_px: tuple[int, int]
    """(width, height) of the files."""
    out_px: tuple[int, int]
    """(width, height) that readers deliver."""
    loop_s: int
    short_loops: int
    long_loops: int
    other_s: int
    """Seconds of every file but the loop and the two long ones."""
    targets: int
    """Frames asked for."""
    rounds: int
    other_rounds: int
    """Of every file but the two long ones, which are there to tell right from wrong."""


FULL = Scale(
    name="full",
    size_px=(1280, 720),
    out_px=(683, 384),
    loop_s=120,
    short_loops=5,
    long_loops=60,
    other_s=20,
    targets=32,
    rounds=3,
    other_rounds=1,
)
QUICK = Scale(
    name="quick",
    size_px=(640, 360),
    out_px=(342, 192),
    loop_s=20,
    short_loops=3,
    long_loops=36,
    other_s=8,
    targets=8,
    rounds=1,
    other_rounds=1,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one file is made, and what a reader has to know of it."""

    name: str
    title: str
    suffix: str
    turns: int = 0
    """Counter-clockwise quarter turns that set its pictures upright."""
    loops: bool = False
    """Whether its frames begin again at number 0 after each loop."""


RECIPES = (
    Recipe(name="short", title="H.264, {short}, default GOP", suffix=".mp4", loops=True),
    Recipe(name="long", title="H.264, {long}, default GOP", suffix=".mp4", loops=True),
    Recipe(name="gop30", title="H.264, GOP 30", suffix=".mp4"),
    Recipe(name="hevc", title="HEVC, open GOP", suffix=".mp4"),
    Recipe(name="vp9", title="VP9 in WebM", suffix=".webm"),
    Recipe(name="av1", title="AV1 in MP4", suffix=".mp4"),
    Recipe(name="vfr", title="H.264, variable frame rate", suffix=".mp4"),
    Recipe(name="rotated", title="H.264, rotated by 90", suffix=".mp4", turns=1),
    Recipe(name="edit-list", title="H.264, trimmed by edit list", suffix=".mp4"),
    Recipe(name="ts", title="H.264 in MPEG-TS", suffix=".ts"),
)
NAMES = tuple(recipe.name for recipe in RECIPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What the packets of one file say, in decoding order; times in seconds."""

    pts_s: np.ndarray
    """float64 (packets,)"""
    is_key: np.ndarray
    """bool (packets,)"""
    is_reference: np.ndarray
    """bool (packets,): whether another frame may need it; True where the codec does not tell."""
    is_shown: np.ndarray
    """bool (packets,): False for those that an edit list hides."""

    @property
    def times_s(self) -> np.ndarray:
        """float64 (frames,), ascending: when each shown frame begins."""
        return np.sort(self.pts_s[self.is_shown])


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchFile:
    """One file and the truth about it."""

    recipe: Recipe
    path: Path
    title: str
    codec: str
    table: Table
    first_number: int
    loop_frames: int
    out_px: tuple[int, int]
    """(width, height) of an upright frame as readers deliver it."""

    @property
    def frame_count(self) -> int:
        return int(self.table.is_shown.sum())

    def targets(self, count: int) -> np.ndarray:
        """int64: `count` indices from the first to the last frame, evenly spread."""
        count = min(count, self.frame_count)
        return np.linspace(0, self.frame_count - 1, count).round().astype(np.int64)

    def numbers(self, indices: np.ndarray) -> np.ndarray:
        """The bar codes of the frames shown at `indices`."""
        return (self.first_number + indices) % self.loop_frames


def make_file(name: str, folder: Path, scale: Scale, say: OnProgress) -> BenchFile:
    """The file `name` of `NAMES`, made in `folder` unless it is there already. Each file appears
    only when it is complete.

    Example:
        >>> make_file("short", Path("files"), QUICK, print)  # doctest: +SKIP
    """
    recipe = next(recipe for recipe in RECIPES if recipe.name == name)
    folder = folder / f"decode-{scale.name}-{_mark(scale)}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{recipe.suffix}"
    table_path = path.with_suffix(".npz")
    if not (path.exists() and table_path.exists()):
        # The file first, then its table: a run that is cut short between them makes both anew.
        with _complete_file(path) as partial:
            _write(recipe, partial, folder, scale, say)
            say(f"reading the packets of {name}", 0, 1)
            with _complete_file(table_path) as partial_table:
                _save_table(partial, partial_table)
    stored = np.load(table_path, allow_pickle=False)
    loop_frames = (scale.loop_s if _copied(name) else scale.other_s) * FPS_HZ
    table = Table(**{key: stored[key] for key in Table.__dataclass_fields__})
    width, height = scale.out_px
    return BenchFile(
        recipe=recipe,
        path=path,
        title=recipe.title.format(
            short=_length(scale.loop_s * scale.short_loops),
            long=_length(scale.loop_s * scale.long_loops),
        ),
        codec=str(stored["codec"]),
        table=table,
        first_number=int(stored["hidden"]),
        loop_frames=loop_frames,
        out_px=(height, width) if recipe.turns % 2 else (width, height),
    )


def _copied(name: str) -> bool:
    return name not in ("gop30", "hevc", "vp9", "av1")


def _length(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"


def _mark(scale: Scale) -> str:
    """Changes with anything that changes the files, so that old ones are not taken for new."""
    sizes = (scale.size_px, scale.loop_s, scale.short_loops, scale.long_loops, scale.other_s)
    recipe = repr((sizes, _X264, _X265, _VP9, _AV1, _TRIM_S, "2"))
    return hashlib.sha256(recipe.encode()).hexdigest()[:8]


# Writing


@contextmanager
def _complete_file(path: Path) -> Iterator[Path]:
    """A place to write to that becomes `path` when the block is done, and is nothing otherwise."""
    partial = path.with_name(f"{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write(recipe: Recipe, path: Path, folder: Path, scale: Scale, say: OnProgress) -> None:
    other_frames = scale.other_s * FPS_HZ
    encoders = {
        "gop30": ("libx264", _X264 | {"g": "30"}),
        "hevc": ("libx265", _X265),
        "vp9": ("libvpx-vp9", _VP9),
        "av1": ("libsvtav1", _AV1),
    }
    # 1. Files whose encoding is the point are encoded anew.
    if recipe.name in encoders:
        codec, options = encoders[recipe.name]
        _encode(
            path, codec, options, scale, other_frames, lambda *n: say(f"encoding {recipe.name}", *n)
        )
        return
    # Encoding takes minutes, copying seconds: eight of the ten files are copies of one loop.
    loop = folder / "loop.mp4"
    # 2. The loop, which all others are cut from.
    if not loop.exists():
        with _complete_file(loop) as partial:
            frames = scale.loop_s * FPS_HZ
            _encode(partial, "libx264", _X264, scale, frames, lambda *n: say("encoding", *n))
    say(f"copying {recipe.name}", 0, 1)
    # 3. Copies of it: repeated, with other times, or with a rotation in the header.
    if recipe.loops:
        _copy(loop, path, loops=scale.short_loops if recipe.name == "short" else scale.long_loops)
    elif recipe.name == "vfr":
        _copy(loop, path, frames=other_frames, slot=_uneven_slot)
    elif recipe.name == "edit-list":
        _copy(loop, path, frames=other_frames, slot=lambda n: n - round(_TRIM_S * FPS_HZ))
    else:
        _copy(loop, path, frames=other_frames, rotation_deg=90 * recipe.turns)


def _encode(
    path: Path,
    codec: str,
    options: dict[str, str],
    scale: Scale,
    frames: int,
    on_frame: Callable[[int, int], None],
) -> None:
    footage = Footage(scale.size_px, frames, FPS_HZ)
    with _silenced_encoder(codec), av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS_HZ, options=dict(options))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = scale.size_px
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 0
        # Readers differ on what untagged pictures of this size are; this is not about them.
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_range = ColorRange.MPEG
        for number, planes in enumerate(footage.planes()):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS_HZ)
            container.mux(stream.encode(frame))
            on_frame(number + 1, frames)
        container.mux(stream.encode(None))


@contextmanager
def _silenced_encoder(codec: str) -> Iterator[None]:
    """SVT-AV1 prints its settings unless the environment says otherwise, which is put back."""
    if codec != "libsvtav1" or "SVT_LOG" in os.environ:
        yield
        return
    os.environ["SVT_LOG"] = "1"
    try:
        yield
    finally:
        del os.environ["SVT_LOG"]


def _uneven_slot(number: int) -> int:
    """When frame `number` is shown, in thirtieths of a second: steps of 1, 1, 3, 1, 2 and, every
    100 frames, a pause of a second."""
    rounds, place_in_five = divmod(number, 5)
    return rounds * 8 + (0, 1, 2, 5, 6)[place_in_five] + 30 * (number // 100)


def _copy(
    source: Path,
    path: Path,
    *,
    loops: int = 1,
    frames: int | None = None,
    slot: Callable[[int], int] = lambda number: number,
    rotation_deg: int = 0,
) -> None:
    """Stream copy of `source`, `loops` times over, or of its first frames up to about `frames`.
    `slot` says when a frame is shown, in thirtieths of a second; below 0 it is hidden."""
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        video = reader.streams.video[0]
        copy = writer.add_stream_from_template(video)
        if rotation_deg:
            copy.set_display_rotation(rotation_deg)
        assert video.time_base is not None
        # Stamps of the copy are multiples of a frame's length, in units of the container.
        tick = round(1 / (FPS_HZ * video.time_base))
        # Whole groups only: a copy that ended within one would end on frames that cannot be
        # decoded.
        for loop in range(loops):
            reader.seek(0, stream=video)
            for packet in _whole_groups(reader, video, frames and frames * tick):
                assert packet.pts is not None and packet.dts is not None
                shift = loop * video.frames
                packet.pts = (slot(packet.pts // tick) + shift) * tick
                packet.dts = (slot(packet.dts // tick) + shift) * tick
                packet.stream = copy
                writer.mux(packet)


def _whole_groups(
    reader: InputContainer, video: VideoStream, end_pts: int | None
) -> Iterator[av.Packet]:
    """Packets with data, up to the first key frame at or after `end_pts`."""
    for packet in reader.demux(video):
        # The packet that flushes a demuxer has no stamps.
        if packet.pts is None or packet.dts is None:
            continue
        if end_pts is not None and packet.is_keyframe and packet.pts >= end_pts:
            return
        yield packet


# What the packets say


def _save_table(video: Path, table: Path) -> None:
    """Read all packets of `video` and store what they say in `table`."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        codec, head = stream.codec_context.codec.canonical_name, stream.codec_context.extradata
        packets = [
            (packet.pts, packet.is_keyframe, _is_reference(packet, codec, head), packet.is_discard)
            for packet in container.demux(stream)
            if packet.pts is not None and packet.size
        ]
        tick_s = float(stream.time_base)
    pts, keys, references, hidden = (np.asarray(column) for column in zip(*packets, strict=True))
    np.savez(
        table,
        pts_s=pts * tick_s,
        is_key=keys,
        is_reference=references,
        is_shown=~hidden,
        hidden=hidden.sum(),
        codec=codec,
    )


def _is_reference(packet: av.Packet, codec: str, head: bytes | None) -> bool:
    """Whether other frames may need this one, from the headers of its slices: nal_ref_idc of H.264
    (7.4.1), sub-layer non-reference types of HEVC (table 7-1)."""
    if codec not in ("h264", "hevc"):
        return True
    for unit in _units(bytes(packet), after_lengths=bool(head) and head[0] == 1):
        if codec == "h264" and unit & 31 in (1, 5):
            return unit >> 5 & 3 > 0
        if codec == "hevc" and unit >> 1 & 63 < 32:
            # Even types below 16 are of pictures that no other picture of their layer needs.
            kind = unit >> 1 & 63
            return kind > 14 or kind % 2 == 1
    return True


def _units(data: bytes, *, after_lengths: bool) -> Iterator[int]:
    """The first byte of each unit, found by four-byte lengths or by start codes."""
    # Raw streams have start codes; mp4 has lengths in their place.
    if not after_lengths:
        for match in re.finditer(rb"\x00\x00\x01([\x00-\xff])", data):
            yield match[1][0]
        return
    offset = 0
    while offset + 4 < len(data):
        yield data[offset + 4]
        offset += 4 + int.from_bytes(data[offset : offset + 4], "big")
