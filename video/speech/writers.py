"""A transcript as text: subtitles (SRT, WebVTT with voices), whisper's JSON, plain lines. Pure."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

from mmreason.video.plain_text import escape_hidden, show_line
from mmreason.video.speech.transcript import Segment, Transcript, Word
from mmreason.video.subtitles.lines import Line, Subtitles
from mmreason.video.types import Span, format_time

TranscriptFormat = Literal["srt", "vtt", "json", "text"]
SUFFIXES: dict[TranscriptFormat, str] = {
    "srt": ".srt",
    "vtt": ".vtt",
    "json": ".json",
    "text": ".txt",
}
_MOST_ROW = 84
"""Characters of a cue where words have times: two rows of subtitles."""


def write_transcript(transcript: Transcript, format: TranscriptFormat) -> str:
    """The text of a file in `format`. Text that was heard is escaped where a reader would take it
    for markup, and shows no control characters.

    Example:
        >>> said = Transcript(segments=(Segment(Span(1, 4), "The budget is next.", speaker="Ann"),))
        >>> print(write_transcript(said, "vtt"))
        WEBVTT
        <BLANKLINE>
        00:00:01.000 --> 00:00:04.000
        <v Ann>The budget is next.
        <BLANKLINE>
    """
    if format == "srt":
        return _to_subtitles(transcript).to_srt()
    if format == "vtt":
        return _to_vtt(transcript)
    if format == "json":
        return escape_hidden(json.dumps(to_whisper_json(transcript), ensure_ascii=False, indent=1))
    return "".join(f"[{format_time(s.span.start_s)}] {_spoken(s)}\n" for s in transcript)


def to_whisper_json(transcript: Transcript) -> dict[str, Any]:
    """The object that Whisper's own programs write, with who spoke, the source and notes beside.

    Example:
        >>> to_whisper_json(Transcript(segments=(Segment(Span(1, 4), "Hi."),)))["segments"]
        [{'id': 0, 'start': 1, 'end': 4, 'text': 'Hi.'}]
    """
    return {
        "text": transcript.text,
        "language": transcript.language,
        "source": transcript.source,
        "model": transcript.model,
        "notes": list(transcript.notes),
        "segments": [_segment_json(number, s) for number, s in enumerate(transcript)],
    }


def split_cues(segment: Segment) -> list[Line]:
    """A segment as lines of two rows of subtitles at most, where its words have times.

    Example:
        >>> split_cues(Segment(Span(0, 1), "Hi."))
        [Line(span=Span(start_s=0, end_s=1), text='Hi.')]
    """
    if not segment.words or len(segment.text) <= _MOST_ROW:
        return [Line(segment.span, segment.text)]
    lines: list[Line] = []
    waiting: list[Word] = []
    for word in segment.words:
        length = sum(len(w.text) + 1 for w in waiting)
        # A sentence that has ended, and a half-full row, are good places to break.
        is_end = bool(waiting) and waiting[-1].text[-1:] in ".?!" and length > _MOST_ROW // 2
        if waiting and (is_end or length + len(word.text) > _MOST_ROW):
            lines.append(_line(waiting))
            waiting = []
        waiting.append(word)
    return [*lines, _line(waiting)]


def _line(words: list[Word]) -> Line:
    start_s = words[0].span.start_s
    end_s = max(start_s, *(word.span.end_s for word in words))
    return Line(Span(start_s, end_s), " ".join(word.text for word in words))


def _to_subtitles(transcript: Transcript) -> Subtitles:
    lines = [
        Line(line.span, show_line(f"{s.speaker}: {line.text}" if s.speaker else line.text))
        for s in transcript
        for line in split_cues(s)
    ]
    return Subtitles(lines=tuple(sorted(lines)))


def _to_vtt(transcript: Transcript) -> str:
    blocks = ["WEBVTT\n"]
    for segment in transcript:
        # The name of a voice ends at its bracket, and takes no line break.
        voice = f"<v {_vtt_text(segment.speaker)}>" if segment.speaker else ""
        for line in split_cues(segment):
            start, end = _vtt_stamp(line.span.start_s), _vtt_stamp(line.span.end_s)
            blocks.append(f"{start} --> {end}\n{voice}{_vtt_text(line.text)}\n")
    return "\n".join(blocks)


def _vtt_text(text: str) -> str:
    escaped = show_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return escaped.replace(">", "&gt;")


def _vtt_stamp(time_s: float) -> str:
    """`3723.5` -> `01:02:03.500`. WebVTT has no times below 0."""
    seconds, ms = divmod(round(max(0.0, time_s) * 1000), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"


def _spoken(segment: Segment) -> str:
    return show_line(f"{segment.speaker}: {segment.text}" if segment.speaker else segment.text)


def _segment_json(number: int, segment: Segment) -> dict[str, Any]:
    value: dict[str, Any] = {
        "id": number,
        "start": segment.span.start_s,
        "end": segment.span.end_s,
        "text": segment.text,
    }
    if segment.speaker:
        value["speaker"] = segment.speaker
    if segment.confidence is not None:
        value["avg_logprob"] = round(math.log(max(segment.confidence, 1e-9)), 4)
    if segment.words:
        value["words"] = [
            {
                "word": word.text,
                "start": word.span.start_s,
                "end": word.span.end_s,
                "probability": word.confidence,
            }
            for word in segment.words
        ]
    return value
