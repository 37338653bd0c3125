"""Tubes drawn on every frame of a video, with its times and its sound.

Pictures are encoded anew (H.264); each keeps its time, to the tick of the file's clock. Packets of
sound are copied as they are. The result is read back before it takes its name.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.drawing.boxes import BOX_COLOURS, DrawingStyle, draw_boxes, draw_masks
from mmreason.grounding.tubes import Tube
from mmreason.video.file_kinds import is_world_script
from mmreason.video.files import check_writable
from mmreason.video.reader import Video
from mmreason.video.types import VideoError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from mmreason.video.inputs import VideoInput

AudioOutcome = Literal["copied", "none", "moved to mkv"]

_CONTAINER_OF = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_QUALITY = {"crf": "18", "preset": "veryfast"}
_MOST_LISTED = 3
SAME_FRAME_S = 6e-4
"""A look no further from a frame was at that frame: files round times to the millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnVideo:
    """A video that was written.

    Example:
        >>> DrawnVideo(path=Path("drawn.mp4"), frames=90, audio="copied").audio
        'copied'
    """

    path: Path
    """Ends in `.mkv` where the container that was asked for cannot carry the sound."""
    frames: int
    audio: AudioOutcome
    notes: tuple[str, ...] = ()
    """What is not as in the video that was drawn on."""


def draw_video(
    video: VideoInput | Video,
    tubes: Sequence[Tube],
    path: str | Path,
    *,
    style: DrawingStyle = "plain",
    labels: Sequence[str] | None = None,
    most_gap_s: float = 1.0,
    progress: Callable[[int, int | None], None] | None = None,
) -> DrawnVideo:
    """Write `video` to `path` (.mp4, .mov or .mkv) with `tubes`, in pixels of the upright frame.

    Each frame is written once, upright, with the time it had, so that a variable frame rate stays
    one. Boxes between two looks, at most `most_gap_s` apart, are dashed; where an object is absent
    nothing is drawn; masks are tinted. Sound is copied packet by packet; where the container cannot
    carry it, the file becomes an .mkv. `labels` are one a tube, by default its own.
    `progress(frames, of)` is called after each batch; `of` is None where the file does not tell.
    The file appears only when it is whole; memory does not grow with the length of the video.

    Raises VideoError where the video cannot be read or the file not be written, and ValueError for
    another kind of file, for a `path` that is the video itself, and where labels are not as many.

    Example:
        >>> draw_video("match.mp4", [grounding.targets[0].tube], "drawn.mp4")  # doctest: +SKIP
    """
    target = Path(path).expanduser()
    if target.suffix.lower() not in _CONTAINER_OF:
        kinds = ", ".join(_CONTAINER_OF)
        raise ValueError(f"{target}: a drawn video must end in one of {kinds}")
    texts = [_label_of(tube) for tube in tubes] if labels is None else list(labels)
    if len(texts) != len(tubes):
        raise ValueError(f"labels must be one a tube: {len(tubes)}, got {len(texts)}")
    with ExitStack() as stack:
        opened = nullcontext(video) if isinstance(video, Video) else closing(Video.open(video))
        source = stack.enter_context(opened)
        sound = _open_sound(source)
        if sound is not None:
            stack.enter_context(sound)
        destination = _choose_destination(target, source, sound)
        check_writable(destination.path)
        if destination.audio == "none":
            sound = None
        drawer = _Drawer(tubes=tubes, labels=texts, style=style, most_gap_s=most_gap_s)
        return _write(source, sound, destination, drawer, progress)


def _label_of(tube: Tube) -> str:
    return " ".join(text for text in (tube.id, tube.label) if text)


def _open_sound(video: Video) -> InputContainer | None:
    """The file, where it has sound."""
    from mmreason.video.backends.container import open_container_file

    if is_world_script(video.path) or not video.info.has_audio:
        return None
    container = open_container_file(video.path, {})
    if container.streams.audio:
        return container
    container.close()
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Destination:
    """Where the video goes, and what becomes of its sound."""

    path: Path
    container: str
    """As FFmpeg names it."""
    audio: AudioOutcome
    notes: tuple[str, ...] = ()


def _choose_destination(target: Path, video: Video, sound: InputContainer | None) -> _Destination:
    """`target`; the same name as .mkv where its container cannot carry the sound."""
    container = _CONTAINER_OF[target.suffix.lower()]
    if sound is None:
        destination = _Destination(path=target, container=container, audio="none")
    elif _carries(container, sound):
        destination = _Destination(path=target, container=container, audio="copied")
    elif _carries("matroska", sound):
        moved = target.with_suffix(".mkv")
        if moved.exists():
            raise ValueError(
                f"{target}: {target.suffix} cannot carry the sound ({_codecs(sound)}), and "
                f"{moved.name}, which would be written instead, exists; give the name of an .mkv"
            )
        destination = _Destination(path=moved, container="matroska", audio="moved to mkv")
    else:
        note = (
            f"the sound ({_codecs(sound)}) is not in it: neither {target.suffix} nor .mkv take it"
        )
        if _carries("mov", sound):
            note += ", but .mov does"
        destination = _Destination(path=target, container=container, audio="none", notes=(note,))
    if destination.path.exists() and destination.path.samefile(video.path):
        raise ValueError(f"{destination.path}: is the video itself; give another name")
    return destination


def _carries(container: str, sound: InputContainer) -> bool:
    from io import BytesIO

    import av

    with av.open(BytesIO(), "w", format=container) as probe:
        carried = probe.supported_codecs
    # The name of the codec, which is not always that of the decoder ("libopus").
    return all(s.codec_context.codec.canonical_name in carried for s in sound.streams.audio)


def _codecs(sound: InputContainer) -> str:
    return ", ".join(sorted({s.codec_context.codec.canonical_name for s in sound.streams.audio}))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawer:
    tubes: Sequence[Tube]
    labels: Sequence[str]
    style: DrawingStyle
    most_gap_s: float

    def fill(self, times_s: np.ndarray) -> list[Tube]:
        """The tubes on frames at `times_s`, which rise."""
        return [tube.resample(_snap(times_s, tube.times_s), self.most_gap_s) for tube in self.tubes]

    def draw(self, pixels: np.ndarray, tubes: Sequence[Tube], index: int) -> np.ndarray:
        """A frame with what is present in it."""
        present = [number for number, tube in enumerate(tubes) if tube.present[index]]
        boxes = [
            Box(*(float(value) for value in tubes[number].boxes_px[index])) for number in present
        ]
        # The colour of a tube does not depend on which others are to be seen.
        colours = [BOX_COLOURS[number % len(BOX_COLOURS)] for number in present]
        tinted = [
            (mask, colour)
            for number, colour in zip(present, colours, strict=True)
            if (masks := tubes[number].masks) is not None and (mask := masks[index]) is not None
        ]
        if tinted:
            pixels = draw_masks(pixels, *(list(column) for column in zip(*tinted, strict=True)))
        return draw_boxes(
            pixels,
            boxes,
            [self.labels[number] for number in present],
            colours=colours,
            dashed=[not tubes[number].observed[index] for number in present],
            style=self.style,
        )


def _snap(times_s: np.ndarray, looks_s: np.ndarray) -> np.ndarray:
    """`times_s`, those of frames that were looked at moved to the time of that look."""
    if not len(looks_s):
        return times_s
    after = np.minimum(np.searchsorted(looks_s, times_s), len(looks_s) - 1)
    before = np.maximum(after - 1, 0)
    is_before_nearer = np.abs(looks_s[before] - times_s) < np.abs(looks_s[after] - times_s)
    nearest_s = np.where(is_before_nearer, looks_s[before], looks_s[after])
    snapped_s = np.where(np.abs(nearest_s - times_s) <= SAME_FRAME_S, nearest_s, times_s)
    # Frames closer than that stay apart: each has its own time.
    return snapped_s if (np.diff(snapped_s) > 0).all() else times_s


def _write(
    video: Video,
    sound: InputContainer | None,
    destination: _Destination,
    drawer: _Drawer,
    progress: Callable[[int, int | None], None] | None,
) -> DrawnVideo:
    from av.error import FFmpegError

    path = Path(os.path.realpath(destination.path))
    unfinished = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = _encode(video, sound, unfinished, destination.container, drawer, progress)
        notes = (*destination.notes, *_notes_of(video, sound), *_read_back(unfinished, written))
        unfinished.replace(path)
    except (OSError, FFmpegError) as error:
        raise VideoError(f"{destination.path}: cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return DrawnVideo(
        path=destination.path, frames=len(written.ticks), audio=destination.audio, notes=notes
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What must be found in the file."""

    ticks: array[int]
    """Time of each frame."""
    tick_s: Fraction
    sound: Sequence[hashlib._Hash]
    """A digest of the packets of each track."""


def _encode(
    video: Video,
    sound: InputContainer | None,
    path: Path,
    container: str,
    drawer: _Drawer,
    progress: Callable[[int, int | None], None] | None,
) -> _Written:
    import av

    tick_s, rate = _clock_of(video)
    ticks = array("q")
    # A late start is kept in ticks of the whole file, which are milliseconds unless told.
    clock = {} if container == "matroska" else {"movie_timescale": str(tick_s.denominator)}
    with av.open(str(path), "w", format=container, options=clock) as output:
        picture = _add_picture(output, video, tick_s, rate)
        tracks = _SoundCopy(sound, output)
        output.start_encoding()
        for batch in video.stream():
            filled = drawer.fill(batch.times_s)
            for index, pixels in enumerate(batch.pixels):
                frame = _to_frame(drawer.draw(pixels, filled, index), picture)
                # Two frames never share a tick, whatever a broken file says.
                tick = round(Fraction(float(batch.times_s[index])) / tick_s)
                ticks.append(tick if not ticks else max(tick, ticks[-1] + 1))
                frame.pts, frame.time_base = ticks[-1], tick_s
                # Sound goes ahead of its pictures: no side waits in memory for the other.
                tracks.copy_until(float(batch.times_s[index]))
                output.mux(picture.encode(frame))
            if progress is not None:
                progress(len(ticks), video.info.frame_count)
        output.mux(picture.encode(None))
        tracks.copy_until(float("inf"))
    return _Written(ticks=ticks, tick_s=tick_s, sound=tracks.digests)


def _clock_of(video: Video) -> tuple[Fraction, Fraction]:
    """(seconds of one tick, frames a second), both as fractions: 30000/1001 is no float."""
    from mmreason.video.backends.container import open_container_file

    mean = Fraction(max(video.info.mean_fps_hz, 1e-3)).limit_denominator(1001)
    if is_world_script(video.path):
        return 1 / mean, mean
    with open_container_file(video.path, {}) as container:
        stream = next(s for s in container.streams.video if s.index == video.info.track)
        return stream.time_base or Fraction(1, 90_000), stream.average_rate or mean


def _add_picture(
    output: OutputContainer, video: Video, tick_s: Fraction, rate: Fraction
) -> VideoStream:
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    stream = output.add_stream("libx264", rate=rate, options=_QUALITY)
    width, height = video.info.width_px, video.info.height_px
    stream.width, stream.height = width, height
    # Half as many colours as pixels need even sides.
    stream.pix_fmt = "yuv420p" if width % 2 == height % 2 == 0 else "yuv444p"
    context = stream.codec_context
    context.time_base = tick_s
    context.max_b_frames = 0  # frames leave in order: no container has to move their times
    context.sample_aspect_ratio = Fraction(video.info.pixel_aspect).limit_denominator(1000)
    # Frames are BT.709 as they are delivered; untagged, small pictures would pass for BT.601.
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return stream


def _to_frame(pixels: np.ndarray, picture: VideoStream) -> av.VideoFrame:
    import av
    from av.video.reformatter import ColorRange, Colorspace

    rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return rgb.reformat(
        format=picture.pix_fmt, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )


class _SoundCopy:
    """Packets of all tracks of sound, moved as they are from one container to another."""

    def __init__(self, source: InputContainer | None, output: OutputContainer) -> None:
        streams = [] if source is None else list(source.streams.audio)
        self._output = output
        self._tracks = {
            stream.index: output.add_stream_from_template(stream, opaque=True) for stream in streams
        }
        self._digest_of = {stream.index: hashlib.sha256() for stream in streams}
        packets = iter(()) if source is None or not streams else source.demux(streams)
        self._packets: Iterator[Packet] = packets
        self._waiting: Packet | None = None

    @property
    def digests(self) -> list[hashlib._Hash]:
        """One a track, of its packets so far."""
        return list(self._digest_of.values())

    def copy_until(self, time_s: float) -> None:
        """Move everything that is to be heard up to `time_s`."""
        while (packet := self._waiting or next(self._packets, None)) is not None:
            self._waiting = packet
            stamp = packet.dts if packet.dts is not None else packet.pts
            if stamp is not None and packet.time_base and float(stamp * packet.time_base) > time_s:
                return
            self._waiting = None
            if not packet.size:
                continue  # the mark of the end
            self._digest_of[packet.stream.index].update(bytes(packet))
            packet.stream = self._tracks[packet.stream.index]
            self._output.mux_one(packet)


def _notes_of(video: Video, sound: InputContainer | None) -> Iterator[str]:
    if video.info.width_px % 2 or video.info.height_px % 2:
        yield "sides are odd: colours are stored at full size (yuv444p), which few players show"
    if video.info.colour.tone_map != "none":
        yield f"high dynamic range was brought to a standard screen ({video.info.colour.tone_map})"
    if sound is not None and sound.streams.subtitles:
        yield f"{len(sound.streams.subtitles)} track(s) of subtitles were not carried over"


def _read_back(path: Path, written: _Written) -> Iterator[str]:
    """What differs in the file from what was put in. Raises VideoError where frames are lost."""
    import av

    digests: dict[int, hashlib._Hash] = {}
    count, first_s, worst_s = 0, 0.0, 0.0
    with av.open(str(path)) as container:
        streams = [*container.streams.video, *container.streams.audio]
        digests = {stream.index: hashlib.sha256() for stream in container.streams.audio}
        for packet in container.demux(streams):
            if not packet.size:
                continue
            if packet.stream.type == "audio":
                digests[packet.stream.index].update(bytes(packet))
            elif packet.pts is not None and packet.time_base is not None:
                if count < len(written.ticks):
                    stamp_s = float(packet.pts * packet.time_base)
                    moved_s = stamp_s - float(written.ticks[count] * written.tick_s)
                    first_s = moved_s if count == 0 else first_s
                    worst_s = max(worst_s, abs(moved_s - first_s))
                count += 1
    if count != len(written.ticks):
        raise VideoError(f"{count} of {len(written.ticks)} frames could be written")
    if abs(first_s) > 1e-3:
        yield f"the container moves all times by {first_s:+.3f} s"
    if worst_s > 1e-6:
        yield f"the container rounds times, by up to {1000 * worst_s:.2f} ms"
    rewritten = [
        number
        for number, (before, after) in enumerate(zip(written.sound, digests.values(), strict=True))
        if before.digest() != after.digest()
    ]
    if rewritten:
        listed = ", ".join(map(str, rewritten[:_MOST_LISTED]))
        yield f"the container wrote headers of sound anew (track {listed})"
