"""What is in a video file: codec, times, frame rate, key frames, tracks, subtitles, chapters.

    print(inspect_file("clip.mp4").to_dict())

Packets are read, and a few frames decoded to see whether they are whole.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mmreason.video.backends.base import OutOfMemoryError, ReadOptions, check_file
from mmreason.video.backends.choose import BACKENDS, Backend, why_not
from mmreason.video.file_kinds import is_world_script
from mmreason.video.inputs import VideoInput, as_path
from mmreason.video.reader import Video
from mmreason.video.subtitles import SubtitleTrack, find_subtitle_files, subtitle_tracks
from mmreason.video.types import Chapter, Colour, VideoError, VideoInfo, VideoTrack

if TYPE_CHECKING:
    from av.container import InputContainer

    from mmreason.video.backends.packets import PacketTable
    from mmreason.video.backends.pyav import PyAVSource

_MAX_PACKETS = 200_000
_BACKEND_LIMIT_S = 10.0
_FRAMES_LOOKED_AT = 16
_LOOK_LIMIT_S = 2.0
"""Time for looking at them: fewer where decoding is slow."""

FrameRateKind = Literal["constant", "variable", "single frame"]


@dataclass(frozen=True, slots=True)
class BackendCheck:
    """Whether a back end can open a file."""

    name: str
    why_not: str | None
    """None where it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What a file holds. Times are presentation seconds; sizes are as displayed."""

    path: str
    kind: Literal["video file", "scripted world"]
    container: str
    codec: str
    profile: str | None
    pixel_format: str | None
    size_bytes: int
    width_px: int
    height_px: int
    rotation_deg: int
    """Counter-clockwise quarter turns applied to the stored picture, in degrees."""
    mirrored: bool
    """Whether left and right then change places."""
    pixel_aspect: float
    """Width of a pixel over its height. Frames are delivered pixel for pixel, as stored."""
    duration_s: float
    start_s: float
    frame_count: int | None
    mean_fps_hz: float
    frame_rate: FrameRateKind
    """Measured from presentation stamps, not from the header."""
    min_frame_gap_s: float | None
    max_frame_gap_s: float | None
    """Gaps between neighbouring frames; None for a single frame."""
    keyframe_count: int | None
    """None for a scripted world, where every frame is drawn by itself."""
    mean_keyframe_gap_s: float | None
    max_keyframe_gap_s: float | None
    hidden_packets: int
    """Packets that an edit list keeps from being shown, as after a trim without re-encoding."""
    track: int
    """Index of the video track that is shown."""
    tracks: tuple[VideoTrack, ...]
    """All video tracks; empty for a world."""
    colour: Colour
    chapters: tuple[Chapter, ...]
    audio_streams: tuple[str, ...]
    subtitle_tracks: tuple[SubtitleTrack, ...]
    """Those inside the file."""
    subtitle_files: tuple[str, ...]
    """Names of those beside it, best first."""
    backends: tuple[BackendCheck, ...]
    """Which back ends can open the file, in the order of `choose.BACKENDS`; empty for a world, and
    where they were not tried."""
    notes: tuple[str, ...]

    @property
    def subtitles(self) -> tuple[str, ...]:
        """Subtitle tracks inside and files beside, one line each."""
        return (
            *map(str, self.subtitle_tracks),
            *(f"{name} beside it" for name in self.subtitle_files),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return _as_json(asdict(self))


def inspect_file(
    path: VideoInput,
    *,
    try_backends: bool = True,
    time_limit_s: float | None = None,
    memory_limit_mb: int | None = None,
    name: str | None = None,
) -> FileReport:
    """Report on a video file or scripted world (`.json`). Raises VideoError for anything else.

    `path` may also be an open file or bytes, called `name`, and both limits are those of
    `Video.open`: `memory_limit_mb` has a process of its own do all of it within `time_limit_s`.
    At most 200,000 packets are read where the container has a full index; a note says so. With
    `try_backends` each back end is given 10 seconds to open the file; the first file of a process
    pays for their imports, some seconds where torchcodec is installed.
    """
    options = ReadOptions(time_limit_s=time_limit_s, memory_limit_mb=memory_limit_mb)
    file = as_path(path, name)
    if isinstance(file, Path):
        return _report(file, try_backends, options)
    try:
        with file.naming():
            report = _report(file.path, try_backends, options)
    finally:
        file.close()
    return replace(report, path=file.name)


def _report(path: Path, try_backends: bool, options: ReadOptions) -> FileReport:
    check_file(path)
    if options.memory_limit_mb is not None:
        from mmreason.video.isolation.source import inspect_in_process

        return inspect_in_process(path, try_backends, options)
    if is_world_script(path):
        with Video.open(path) as video:
            return _report_world(video.info)
    try:
        return _report_file(path, try_backends, options)
    except MemoryError as error:
        raise OutOfMemoryError(f"{path}: needs more memory than there is") from error


def _report_world(info: VideoInfo) -> FileReport:
    gap_s = 1 / info.mean_fps_hz
    return FileReport(
        **_shared(info),
        kind="scripted world",
        container="json",
        profile=None,
        pixel_format=None,
        frame_rate="constant",
        min_frame_gap_s=gap_s,
        max_frame_gap_s=gap_s,
        keyframe_count=None,
        mean_keyframe_gap_s=None,
        max_keyframe_gap_s=None,
        hidden_packets=0,
        audio_streams=(),
        subtitle_tracks=(),
        subtitle_files=_subtitle_files(Path(info.path)),
        backends=(),
        notes=info.notes,
    )


def _report_file(path: Path, try_backends: bool, options: ReadOptions) -> FileReport:
    from mmreason.video.backends.packets import Access, open_container
    from mmreason.video.backends.pyav import PyAVSource

    source = PyAVSource(path, options)
    try:
        info, table = source.info, source.packet_table(_MAX_PACKETS)
        damage = _damage_notes(source)
    finally:
        source.close()
    container, stream = open_container(Access(path=path, track=info.track))
    with container:
        assert stream.time_base is not None
        tick_s = float(stream.time_base)
        gaps = np.diff(table.shown_pts)
        key_gaps = np.diff(table.shown_key_pts) * tick_s
        return FileReport(
            **_shared(info),
            kind="video file",
            container=container.format.name,
            profile=stream.profile,
            pixel_format=stream.codec_context.pix_fmt,
            frame_rate=_frame_rate_kind(gaps, tick_s),
            min_frame_gap_s=float(gaps.min()) * tick_s if len(gaps) else None,
            max_frame_gap_s=float(gaps.max()) * tick_s if len(gaps) else None,
            keyframe_count=len(table.shown_key_pts),
            mean_keyframe_gap_s=float(key_gaps.mean()) if len(key_gaps) else None,
            max_keyframe_gap_s=float(key_gaps.max()) if len(key_gaps) else None,
            hidden_packets=table.discarded,
            audio_streams=_audio_streams(container),
            subtitle_tracks=subtitle_tracks(path),
            subtitle_files=_subtitle_files(path),
            backends=_checked_backends(path) if try_backends else (),
            notes=(*info.notes, *damage, *_notes(table, tick_s)),
        )


def _checked_backends(path: Path) -> tuple[BackendCheck, ...]:
    """PyAV has read the file by now."""
    names: list[Backend] = [name for name in BACKENDS if name != "pyav"]
    checks = (BackendCheck(name, why_not(path, name, _BACKEND_LIMIT_S)) for name in names)
    return (BackendCheck("pyav", None), *checks)


def _shared(info: VideoInfo) -> dict[str, Any]:
    """The fields that a report takes from `VideoInfo` as they are."""
    names = {field.name for field in fields(FileReport)} - {"notes"}
    return {f.name: getattr(info, f.name) for f in fields(info) if f.name in names}


def _frame_rate_kind(gaps_ticks: np.ndarray, tick_s: float) -> FrameRateKind:
    """Constant where gaps differ by a tenth at most, or by the rounding of a fine time base."""
    if not len(gaps_ticks):
        return "single frame"
    spread = int(gaps_ticks.max() - gaps_ticks.min())
    rounding = spread <= 1 and tick_s <= 0.002
    return "constant" if rounding or spread <= 0.1 * np.median(gaps_ticks) else "variable"


def _audio_streams(container: InputContainer) -> tuple[str, ...]:
    return tuple(
        f"{s.codec_context.name} {s.codec_context.sample_rate} Hz {s.codec_context.layout.name}"
        + (f" ({s.language})" if s.language else "")
        for s in container.streams.audio
    )


def _subtitle_files(path: Path) -> tuple[str, ...]:
    try:
        return tuple(file.path.name for file in find_subtitle_files(path))
    except VideoError:  # a folder that may not be listed
        return ()


def _damage_notes(source: PyAVSource) -> list[str]:
    """What comes of decoding a few frames from all over the video."""
    span, started = source.info.span, time.monotonic()
    looked = damaged = 0
    for fraction in np.linspace(0, 1, _FRAMES_LOOKED_AT, endpoint=False) + 0.5 / _FRAMES_LOOKED_AT:
        if looked and time.monotonic() - started > _LOOK_LIMIT_S:
            break
        looked += 1
        try:
            frames = source.frames_at([span.start_s + fraction * span.duration_s], (32, 32))
            damaged += not frames.exact[0]
        except VideoError:
            damaged += 1
    if not damaged:
        return []
    return [f"damaged: {damaged} of {looked} frames looked at could not be decoded"]


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_json(inner) for name, inner in value.items()}
    return [_as_json(inner) for inner in value] if isinstance(value, list | tuple) else value


def _notes(table: PacketTable, tick_s: float) -> list[str]:
    notes: list[str] = []
    if table.discarded:
        notes.append(f"an edit list hides {table.discarded} packets")
    if table.unstamped:
        notes.append(f"{table.unstamped} packets carry no time")
    if not table.complete and len(table.shown_pts):
        end_s = float(table.shown_pts[-1]) * tick_s
        notes.append(f"frame gaps and key frames were measured up to {end_s:.0f} s only")
    return notes
