"""The transcript of a video from the best source: what people wrote before what is heard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mmreason.video.reader import Video
from mmreason.video.speech.recogniser import Recogniser
from mmreason.video.speech.transcribe import OnProgress, WindowStore, transcribe
from mmreason.video.speech.transcript import Segment, Transcript
from mmreason.video.subtitles.find import find_subtitles
from mmreason.video.subtitles.lines import Subtitles
from mmreason.video.types import Span

INSIDE = "subtitles inside the video"
"""Source of a transcript that was read from a subtitle track."""


def find_transcript(
    video: Video | str | Path,
    recogniser: Recogniser | None = None,
    *,
    language: str | None = None,
    span: Span | None = None,
    on_progress: OnProgress | None = None,
    windows: WindowStore | None = None,
) -> Transcript | None:
    """What is said in `video` over `span`: from a subtitle file beside it, else a subtitle track
    inside it, else by `recogniser`. `source` tells which. `language` (`en`) has only subtitles of
    that language taken.

    None where there are no subtitles and no recogniser. Raises VideoError, and RecogniserError.

    Example:
        >>> find_transcript("talk.mkv").source  # doctest: +SKIP
        'talk.en.srt'
    """
    subtitles = _find_subtitles(video, language)
    if subtitles is not None and subtitles.lines:
        return from_subtitles(subtitles, _path_of(video), span)
    notes = () if subtitles is None else subtitles.notes
    if recogniser is None:
        return Transcript(segments=(), source="", notes=notes) if notes else None
    transcript = transcribe(video, recogniser, span=span, on_progress=on_progress, windows=windows)
    return replace(transcript, notes=(*notes, *transcript.notes))


def from_subtitles(subtitles: Subtitles, video: Path, span: Span | None = None) -> Transcript:
    """Subtitles as a transcript: lines are segments without words.

    Example:
        >>> from mmreason.video.subtitles.lines import Line
        >>> lines = Subtitles(lines=(Line(Span(1, 2), "Hello."),), path="talk.srt")
        >>> from_subtitles(lines, Path("talk.mp4")).source
        'talk.srt'
    """
    lines = subtitles.lines if span is None else subtitles.during(span)
    return Transcript(
        segments=tuple(
            Segment(line.span, line.text, language=subtitles.language) for line in lines
        ),
        language=subtitles.language,
        source=INSIDE if subtitles.path == str(video) else subtitles.name,
        notes=subtitles.notes,
    )


def _find_subtitles(video: Video | str | Path, language: str | None) -> Subtitles | None:
    if not isinstance(video, Video) or video.options.memory_limit_mb is None:
        return find_subtitles(_path_of(video), language=language)
    # A file that nobody vouches for is read in a process of its own, its subtitles too.
    from mmreason.video.isolation.subtitles import find_subtitles_in_process

    return find_subtitles_in_process(video.path, video.options)


def _path_of(video: Video | str | Path) -> Path:
    return video.path if isinstance(video, Video) else Path(video)
