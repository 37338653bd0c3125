"""Subtitles as timed text: what is said when, from files beside a video or tracks inside it.

    subtitles = find_subtitles("talk.mp4")           # beside it or inside it, on the video's clock
    lines = Subtitles.load("talk.srt").during(Span(60, 75))

Subtitles are untrusted: their size is limited, markup is taken out, and what had to be left out
or guessed is told in `notes`.
"""

from mmreason.video.subtitles.find import (
    SubtitleFile,
    find_subtitle_files,
    find_subtitles,
    place_on_video,
)
from mmreason.video.subtitles.lines import Line, Subtitles
from mmreason.video.subtitles.tracks import SubtitleTrack, subtitle_tracks

__all__ = [
    "Line",
    "SubtitleFile",
    "SubtitleTrack",
    "Subtitles",
    "find_subtitle_files",
    "find_subtitles",
    "place_on_video",
    "subtitle_tracks",
]
