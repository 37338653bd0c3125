"""The evidence of an answer, or any spans, as clips that play and frames.

A span that begins at a key frame is copied as it is stored; else pictures are encoded anew (H.264),
to the frame. Sound goes along.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mmreason.report.evidence_files import save_frames
from mmreason.types import Answer, UsageError
from mmreason.video.file_kinds import is_world_script
from mmreason.video.files import check_writable
from mmreason.video.reader import Video
from mmreason.video.types import Span, VideoError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream

    from mmreason.video.inputs import VideoInput

LEAST_CLIP_S = 1.0
"""What shorter spans (a single frame) are widened to, around their middle."""
_COPIED_CODECS = frozenset({"h264", "hevc", "av1", "mpeg4"})
_COPIED_SOUND = frozenset({"aac", "mp3", "ac3", "opus"})
"""What mp4 holds and players know."""
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_TICKS_HZ = 90_000
_SOUND_HZ = 48_000
_QUALITY = {"crf": "18", "preset": "veryfast"}


@dataclass(frozen=True, slots=True)
class ClipFile:
    """A clip that was written.

    Example:
        >>> ClipFile(Path("talk_00012.000s-00031.000s.mp4"), Span(12, 31), "copied").method
        'copied'
    """

    path: Path
    span: Span
    """The part of the video that it shows."""
    method: Literal["copied", "encoded"]


def save_clips(
    evidence: Answer | Sequence[Span],
    folder: str | Path,
    video: VideoInput | Video | None = None,
) -> tuple[ClipFile, ...]:
    """Write a clip of every span to `folder`, which is made where it is missing; of an answer also
    the frames that its evidence rests on, as PNG. The same span is written once.

    `video` is where the spans are; of an answer by default the file that was asked. Files are named
    by video and time and replaced as a whole. Raises UsageError where nothing of the video lies in
    a span and where `video` is missing, VideoError where it cannot be read.

    Example:
        >>> save_clips(answer, "proof")[0].path  # doctest: +SKIP
        PosixPath('proof/talk_00012.000s-00031.000s.mp4')
    """
    folder = Path(folder).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; give a folder to save the clips in")
    if isinstance(evidence, Answer):
        spans = [item.span for item in evidence.evidence]
        named = next((item.video for item in evidence.evidence if item.video), "")
        video = (named or None) if video is None else video
    else:
        spans = list(evidence)
    if not spans:
        return ()
    if video is None:
        raise UsageError(
            "clips need the video that the spans are of: save_clips(spans, folder, video)"
        )
    opened = nullcontext(video) if isinstance(video, Video) else closing(Video.open(video))
    with opened as source:
        clips = {span: cut_clip(source, span, folder) for span in _widened(source, spans)}
        if isinstance(evidence, Answer):
            for item in evidence.evidence:
                save_frames(item, folder, source)
    return tuple(clips.values())


def cut_clip(video: Video, span: Span, folder: Path) -> ClipFile:
    """Write the part of `video` inside `span` to a file in `folder`. Raises UsageError where there
    is none, VideoError where the video cannot be read or the file not be written.

    Example:
        >>> cut_clip(Video.open("talk.mp4"), Span(12, 31), Path("proof")).method  # doctest: +SKIP
        'encoded'
    """
    from av.error import FFmpegError

    inside = span.clip(video.info.span)
    if inside.duration_s <= 0:
        raise UsageError(
            f"{video.info.path}: nothing of the video lies in {span}; it is shown {video.info.span}"
        )
    stem = _NOT_IN_NAMES.sub("", Path(video.info.path).stem) or "video"
    path = folder / f"{stem}_{inside.start_s:09.3f}s-{inside.end_s:09.3f}s.mp4"
    check_writable(path)
    folder.mkdir(parents=True, exist_ok=True)
    # Begun beside it and renamed: half a clip is never left.
    unfinished = path.with_name(f".{path.stem}.unfinished.mp4")
    try:
        is_copied = _is_copyable(video, inside) and _copy(video, inside, unfinished)
        if not is_copied:
            _encode(video, inside, unfinished)
        unfinished.replace(path)
    except (OSError, FFmpegError) as error:
        raise VideoError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return ClipFile(path, inside, "copied" if is_copied else "encoded")


def _widened(video: Video, spans: Sequence[Span]) -> Iterator[Span]:
    whole = video.info.span
    for span in dict.fromkeys(spans):
        if span.duration_s >= LEAST_CLIP_S:
            yield span
        else:
            half_s = LEAST_CLIP_S / 2
            yield Span(max(whole.start_s, span.middle_s - half_s), span.middle_s + half_s)


def _is_copyable(video: Video, span: Span) -> bool:
    """Whether the first frame of `span` decodes by itself, and mp4 holds what is stored."""
    import av

    info = video.info
    if is_world_script(video.path) or info.codec not in _COPIED_CODECS or info.rotation_deg:
        return False
    with av.open(str(video.path)) as source:
        sound = source.streams.audio[0] if source.streams.audio else None
        if sound is not None and sound.codec_context.name not in _COPIED_SOUND:
            return False
    frame_s = 1 / max(info.mean_fps_hz, 1.0)
    return any(abs(time_s - span.start_s) < frame_s / 2 for time_s in video.keyframe_times_s)


def _copy(video: Video, span: Span, target: Path) -> bool:
    """Write packets of picture and sound as they are stored, from the key frame at the start on;
    False where mp4 does not take them."""
    from av.error import FFmpegError

    try:
        _copy_packets(video, span, target)
    except FFmpegError:
        return False
    return True


def _copy_packets(video: Video, span: Span, target: Path) -> None:
    import av

    with av.open(str(video.path)) as source, av.open(str(target), "w") as clip:
        picture = _picture_of(source, video)
        streams: dict[int, VideoStream | AudioStream] = {}
        streams[picture.index] = clip.add_stream_from_template(picture)
        for sound in source.streams.audio[:1]:
            streams[sound.index] = clip.add_stream_from_template(sound)
        origin_s = _origin_s(picture, video)
        seek_s = span.start_s + origin_s + 1e-3
        source.seek(int(seek_s / _tick_s(picture)), stream=picture)
        ended: set[int] = set()
        for packet in source.demux([source.streams[i] for i in streams]):
            if packet.dts is None or packet.pts is None:
                continue
            time_s = float(packet.pts * packet.time_base) - origin_s
            # A picture after the end may still be needed by one before it: order of decoding rules.
            if float(packet.dts * packet.time_base) - origin_s >= span.end_s:
                ended.add(packet.stream.index)
                if len(ended) == len(streams):
                    break
            if packet.stream.index in ended or time_s < span.start_s - 0.04:
                continue
            offset = round((span.start_s + origin_s) / packet.time_base)
            packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
            packet.stream = streams[packet.stream.index]
            clip.mux(packet)


def _encode(video: Video, span: Span, target: Path) -> None:
    import av

    width, height = (max(2, px // 2 * 2) for px in video.info.square_size_px)
    with av.open(str(target), "w") as clip:
        rate = Fraction(max(video.info.mean_fps_hz, 1.0)).limit_denominator(1001)
        picture = clip.add_stream("libx264", rate=rate, options=_QUALITY)
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        picture.codec_context.time_base = Fraction(1, _TICKS_HZ)
        sound = _open_sound(video)
        track = None
        if sound is not None:
            track = clip.add_stream("aac", rate=_SOUND_HZ, layout="stereo")
        last = -1
        for batch in video.stream(size_px=(width, height), span=span):
            for pixels, time_s in zip(batch.pixels, batch.times_s.tolist(), strict=True):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                # The frame that is shown at the start may have come before it.
                last = max(last + 1, round((time_s - span.start_s) * _TICKS_HZ))
                frame.pts, frame.time_base = last, Fraction(1, _TICKS_HZ)
                clip.mux(picture.encode(frame))
        clip.mux(picture.encode())
        if sound is not None and track is not None:
            with sound:
                _encode_sound(sound, video, span, clip, track)


def _open_sound(video: Video) -> InputContainer | None:
    """The file, where it has sound."""
    import av

    if is_world_script(video.path) or not video.info.has_audio:
        return None
    container = av.open(str(video.path))
    if container.streams.audio and container.streams.video:
        return container
    container.close()
    return None


def _encode_sound(
    source: InputContainer, video: Video, span: Span, clip: OutputContainer, track: AudioStream
) -> None:
    """The sound of `span`, silence where it has a gap at its start."""
    import av

    sound = source.streams.audio[0]
    origin_s = _origin_s(_picture_of(source, video), video)
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=_SOUND_HZ)
    start_tick = round((span.start_s + origin_s) * _SOUND_HZ)
    end_tick = round((span.end_s + origin_s) * _SOUND_HZ)
    source.seek(int((span.start_s + origin_s - 0.5) / _tick_s(sound)), stream=sound)
    for frame in source.decode(sound):
        if frame.pts is None or frame.time is None:
            continue
        if frame.time >= span.end_s + origin_s:
            break
        for part in resampler.resample(frame):
            if part.pts is None or part.time_base is None:
                continue
            tick = round(part.pts * part.time_base * _SOUND_HZ)
            samples = part.to_ndarray()
            first, last = max(0, start_tick - tick), min(part.samples, end_tick - tick)
            if last <= first:
                continue
            cut = av.AudioFrame.from_ndarray(
                samples[:, first:last].copy(), format="fltp", layout="stereo"
            )
            cut.sample_rate, cut.time_base = _SOUND_HZ, Fraction(1, _SOUND_HZ)
            cut.pts = tick + first - start_tick
            clip.mux(track.encode(cut))
    clip.mux(track.encode())


def _origin_s(picture: VideoStream, video: Video) -> float:
    """What the file's own clock is ahead of the video's."""
    return (picture.start_time or 0) * _tick_s(picture) - video.info.start_s


def _tick_s(stream: VideoStream | AudioStream) -> float:
    """Seconds of one step of a stream's clock."""
    return float(stream.time_base or Fraction(1, _TICKS_HZ))


def _picture_of(source: InputContainer, video: Video) -> VideoStream:
    return next(s for s in source.streams.video if s.index == video.info.track)
