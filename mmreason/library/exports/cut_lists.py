"""Exports for editing programs: EDL (CMX 3600) and OpenTimelineIO."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmreason.library.exports.items import ExportItem
from mmreason.library.exports.timecode import find_frame_rate
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

MOST_EDL_EVENTS = 999
_RECORD_START_S = 3600
"""The list plays from 01:00:00:00 on, as tapes do."""
_TITLE_CHARACTERS, _COMMENT_CHARACTERS = 70, 200


def format_edl(items: Sequence[ExportItem], fps_hz: float, title: str = "mmreason") -> str:
    """A cut list of the items one after another: source times to the frame, counted from the start
    of each file, with the file's name and the text as comments. Raises UsageError for a rate
    without timecode and for more than 999 items.

    Example:
        >>> from mmreason.video.types import Span
        >>> item = ExportItem(span=Span(60, 62), text="Budget", video="talk.mp4")
        >>> print(format_edl([item], 25), end="")
        TITLE: mmreason
        FCM: NON-DROP FRAME
        <BLANKLINE>
        001  AX       V     C        00:01:00:00 00:01:02:00 01:00:00:00 01:00:02:00
        * FROM CLIP NAME: talk.mp4
        * COMMENT: Budget
    """
    if len(items) > MOST_EDL_EVENTS:
        raise UsageError(
            f"an EDL holds {MOST_EDL_EVENTS} events, got {len(items):,}; write OTIO (.otio), or "
            "fewer"
        )
    rate = find_frame_rate(fps_hz)
    kind = "DROP FRAME" if rate.is_drop else "NON-DROP FRAME"
    rows = [f"TITLE: {show_line(title)[:_TITLE_CHARACTERS]}", f"FCM: {kind}", ""]
    # An hour of drop-frame timecode is an hour of the clock; without drops it is counted in full.
    record = rate.to_frames(_RECORD_START_S) if rate.is_drop else _RECORD_START_S * rate.counted
    for number, item in enumerate(items, 1):
        first = rate.to_frames(item.span.start_s)
        length = max(1, rate.to_frames(item.span.end_s) - first)
        stamps = (first, first + length, record, record + length)
        codes = " ".join(rate.to_timecode(frames) for frames in stamps)
        rows.append(f"{number:03d}  AX       V     C        {codes}")
        if item.video:
            rows.append(f"* FROM CLIP NAME: {item.video_name[:_COMMENT_CHARACTERS]}")
        rows.append(f"* COMMENT: {item.text[:_COMMENT_CHARACTERS]}")
        record += length
    return "\n".join(rows) + "\n"


def format_otio(items: Sequence[ExportItem], fps_hz: float, title: str = "mmreason") -> str:
    """A timeline of the items one after another, as OpenTimelineIO JSON: each is a clip of its
    file, with what is known of it under `metadata["mmreason"]`. Raises UsageError without the
    library.

    Example:
        >>> from mmreason.video.types import Span
        >>> item = ExportItem(span=Span(60, 62), text="Budget", video="talk.mp4")
        >>> "Budget" in format_otio([item], 25)  # doctest: +SKIP
        True
    """
    try:
        import opentimelineio as otio
    except ImportError as error:
        raise UsageError(
            "writing OTIO needs opentimelineio: in the clone of mmreason, "
            'pip install ".[otio]"; an EDL needs nothing'
        ) from error
    if not fps_hz > 0:
        raise UsageError(f"a timeline needs a rate above 0 frames a second, got {fps_hz}")
    timeline = otio.schema.Timeline(name=show_line(title))
    track = otio.schema.Track(name="found", kind=otio.schema.TrackKind.Video)
    timeline.tracks.append(track)
    for item in items:
        first = round(item.span.start_s * fps_hz)
        length = max(1, round(item.span.end_s * fps_hz) - first)
        time_range = otio.opentime.TimeRange(
            otio.opentime.RationalTime(first, fps_hz), otio.opentime.RationalTime(length, fps_hz)
        )
        media = otio.schema.MissingReference()
        if item.video:
            media = otio.schema.ExternalReference(target_url=Path(item.video).absolute().as_uri())
        clip = otio.schema.Clip(name=item.text, media_reference=media, source_range=time_range)
        clip.metadata["mmreason"] = {
            "channel": item.channel,
            "source": show_line(item.source),
            "speaker": item.speaker,
            "start_s": item.span.start_s,
            "end_s": item.span.end_s,
        }
        track.append(clip)
    return otio.adapters.write_to_string(timeline, "otio_json")
