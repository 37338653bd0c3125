"""From the sound of a video to its transcript: speech is found, cut into windows, recognised, and
what nobody said is refused. Memory does not grow with the video.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from mmreason.video.audio import AudioSamples, NoAudioError, list_audio_tracks, stream_audio
from mmreason.video.reader import Video
from mmreason.video.speech.activity import RATE_HZ, find_speech, load_detector
from mmreason.video.speech.gates import Verdict, judge_segments, order_segments
from mmreason.video.speech.recogniser import Recogniser
from mmreason.video.speech.transcript import Segment, Transcript
from mmreason.video.speech.windows import Window, pack_windows
from mmreason.video.stopping import check_stop
from mmreason.video.types import Span

_BLOCK_S = 30.0
_JOIN_REFUSED_S = 5.0
"""Refused stretches this near to each other are told as one."""
_MOST_TOLD = 8

OnProgress = Callable[[float, float | None], None]
"""Called with the seconds of sound that are done and, where it is known, how many there are."""


class WindowStore(Protocol):
    """Keeps what was recognised in one track of one video by one recogniser, so that work that was
    interrupted goes on where it was."""

    def find_window(self, key: str) -> tuple[Segment, ...] | None:
        """What was kept by `key`, None where nothing was."""
        ...

    def keep_window(self, key: str, segments: tuple[Segment, ...]) -> None:
        """Keep `segments` by `key`."""
        ...


def transcribe(
    video: Video | str | Path,
    recogniser: Recogniser,
    *,
    span: Span | None = None,
    track: int | None = None,
    on_progress: OnProgress | None = None,
    windows: WindowStore | None = None,
) -> Transcript:
    """What is said in `video` (an open video, or the path of a file with sound) over `span`, the
    whole of it for None.

    A video without sound, or in which nobody speaks, gives a transcript without segments whose
    `notes` say so. Speech in a language that the recogniser does not know is refused and told.
    `track` is a track of sound (`Video.audio_tracks`). With `windows` nothing is recognised twice.
    Raises VideoError, and RecogniserError.

    Example:
        >>> said = transcribe("talk.mp4", load_recogniser())  # doctest: +SKIP
        >>> said.during(Span(60, 75))[0].text  # doctest: +SKIP
        'The budget is next.'
    """
    detector = load_detector()
    notes: list[str] = [detector.note] if detector.note else []
    try:
        total_s = _total_s(video, span, track)
        blocks = _Listened(_stream(video, span, track), on_progress, total_s)
        stretches = find_speech(blocks, detector, recogniser.window_s)
        packed = pack_windows(stretches, recogniser.window_s, joins=recogniser.has_word_times)
        judged = [pair for window in packed for pair in _judge_window(window, recogniser, windows)]
    except NoAudioError as error:
        name = video.info.path if isinstance(video, Video) else str(video)
        reason = str(error).removeprefix(f"{name}: ")
        return Transcript(segments=(), model=recogniser.name, notes=(reason,))
    segments = order_segments([segment for segment, verdict in judged if verdict == "kept"])
    languages = Counter[str]()
    for segment in segments:
        languages[segment.language] += len(segment.text)
    if not judged:
        notes.append("nobody speaks")
    return Transcript(
        segments=segments,
        language=languages.most_common(1)[0][0] if languages else "",
        model=recogniser.name,
        notes=(*notes, *_refusals(judged, recogniser), *blocks.notes),
    )


class _Listened:
    """Blocks of sound, with progress told and their last notes kept."""

    def __init__(
        self, blocks: Iterator[AudioSamples], on_progress: OnProgress | None, total_s: float | None
    ) -> None:
        self._blocks, self._on_progress, self._total_s = blocks, on_progress, total_s
        self.notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[AudioSamples]:
        done_s = 0.0
        for block in self._blocks:
            check_stop()
            yield block
            # After the yield: by now what it brought out is recognised.
            self.notes = block.notes
            done_s += len(block) / block.rate_hz
            if self._on_progress is not None:
                total_s = None if self._total_s is None else max(self._total_s, done_s)
                self._on_progress(done_s, total_s)


def _stream(
    video: Video | str | Path, span: Span | None, track: int | None
) -> Iterator[AudioSamples]:
    if isinstance(video, Video):
        return video.stream_audio(span, track=track, rate_hz=RATE_HZ, block_s=_BLOCK_S)
    return stream_audio(video, span, track=track, rate_hz=RATE_HZ, block_s=_BLOCK_S)


def _total_s(video: Video | str | Path, span: Span | None, track: int | None) -> float | None:
    """Seconds of sound that will be read, as far as the container tells."""
    if span is not None:
        return span.duration_s
    tracks = video.audio_tracks if isinstance(video, Video) else list_audio_tracks(video)
    lengths = [t.duration_s for t in tracks if t.duration_s and track in (None, t.index)]
    return lengths[0] if lengths else None


def _judge_window(
    window: Window, recogniser: Recogniser, windows: WindowStore | None
) -> list[tuple[Segment, Verdict]]:
    check_stop()
    segments = None if windows is None else windows.find_window(window.key)
    if segments is None:
        segments = window.place(recogniser.recognise(window.join()))
        if windows is not None:
            windows.keep_window(window.key, segments)
    activities = [window.activity_over(segment.span) for segment in segments]
    verdicts = judge_segments(segments, activities)
    judged: list[tuple[Segment, Verdict]] = list(zip(segments, verdicts, strict=True))
    for span in window.list_unheard(segments):
        judged.append((Segment(span, ""), "no speech"))
    if len(window.stretches) == 1 or all(verdict == "kept" for _, verdict in judged):
        return judged
    # What is not understood costs its neighbours in the window words: each is heard by itself.
    return [
        pair
        for stretch in window.stretches
        for pair in _judge_window(Window((stretch,)), recogniser, windows)
    ]


def _refusals(judged: list[tuple[Segment, Verdict]], recogniser: Recogniser) -> Iterator[str]:
    """A line for each kind of what was refused."""
    foreign = _joined(s.span for s, verdict in judged if verdict == "not understood")
    if foreign:
        spans = _listed(foreign)
        if recogniser.languages == ("en",):
            yield (
                "speech that is not English, or not understood: this model hears English only; "
                f"nothing was written for {spans}"
            )
        else:
            yield f"speech that was not understood; nothing was written for {spans}"
    doubtful = _joined(s.span for s, verdict in judged if verdict == "no speech")
    if doubtful:
        only = " (this model hears English only)" if recogniser.languages == ("en",) else ""
        yield f"sound that may be speech was left out{only}: {_listed(doubtful)}"
    repeated = _joined(s.span for s, verdict in judged if verdict == "repeats")
    if repeated:
        yield f"the model repeated itself; nothing was written for {_listed(repeated)}"


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start_s - joined[-1].end_s < _JOIN_REFUSED_S:
            joined[-1] = Span(joined[-1].start_s, max(joined[-1].end_s, span.end_s))
        else:
            joined.append(span)
    return joined


def _listed(spans: list[Span]) -> str:
    more = f" and {len(spans) - _MOST_TOLD} more" if len(spans) > _MOST_TOLD else ""
    return ", ".join(map(str, spans[:_MOST_TOLD])) + more
