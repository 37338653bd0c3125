"""Finding the subtitles of a video, beside it or inside it, and the clock that they are on.

Only the folder of the video is looked into, and no link is followed out of it.
"""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from pathlib import Path

from mmreason.video.backends.base import check_file
from mmreason.video.file_kinds import is_world_script
from mmreason.video.files import VIDEO_SUFFIXES
from mmreason.video.subtitles.files import SUFFIXES, read_subtitle_file
from mmreason.video.subtitles.languages import is_language, same_language
from mmreason.video.subtitles.limits import MAX_FILES_TRIED
from mmreason.video.subtitles.lines import Subtitles
from mmreason.video.subtitles.markup import name_first
from mmreason.video.subtitles.tracks import (
    SubtitleTrack,
    choose_track,
    open_for_subtitles,
    read_subtitle_track,
    subtitle_tracks,
)
from mmreason.video.types import VideoError

_MARKS = {"auto", "cc", "default", "forced", "full", "generated", "orig", "sdh"}
"""Words in names of subtitle files that are no language."""
_MIN_OFFSET_S = 0.1
"""Smaller starts are the delay of an encoder, less than is seen in subtitles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtitleFile:
    """A subtitle file beside a video, by its name alone: it has not been read.

    Example: `SubtitleFile(path=Path("film.en.forced.srt"), language="en", is_forced=True)`.
    """

    path: Path
    language: str = ""
    """The code in its name, "" without one."""
    is_forced: bool = False
    """Whether it says so in its name: signs only."""
    is_plain: bool = False
    """Whether nothing but the video's name stands in its own."""


@dataclass(frozen=True, slots=True)
class ContainerTimes:
    """When a video is shown, in seconds as players count.

    Example: `ContainerTimes(start_s=3601.0, end_s=7201.0)`.
    """

    start_s: float
    end_s: float | None
    """None where it is not stated."""


def find_subtitles(path: str | Path, *, language: str | None = None) -> Subtitles | None:
    """The subtitles of a video on its own clock: a file beside it, else a track inside it.

    Of files the one that bears just the video's name comes first (`film.srt`), then others by name
    (`film.en.srt`); of tracks the default one. Those of forced lines only are not taken. With
    `language` (`en`, `eng`) only that language is, or one that is not stated.

    None where there are none. Nothing that is wrong with them raises: what cannot be read is passed
    over, and where nothing else is there the result holds no lines. `notes` tell what was chosen,
    passed over and left. Raises VideoError only where the video itself is not there.

        said = find_subtitles("talk.mkv", language="en")
        if said:
            print(said.during(Span(60, 75)), said.notes)
    """
    path = Path(path)
    files, notes = _look_beside(path)
    # 1. Files beside the video, the most fitting first; one that cannot be read is passed over.
    candidates = _by_rank(files, language)[:MAX_FILES_TRIED]
    for file in candidates:
        try:
            read = place_on_video(read_subtitle_file(file.path), path)
        except VideoError as error:
            notes.append(f"{file.path.name} was not read: {_reason(error, file.path)}")
            continue
        other_names = [other.path.name for other in files if other != file]
        chosen = f"read from {file.path.name}, found beside the video"
        left_note = _left_note([*other_names, *map(str, _tracks_or_none(path)[0])])
        notes = [chosen, *left_note, *notes, *read.notes]
        return replace(read, language=file.language, notes=tuple(notes))
    # 2. Else a track inside the video.
    tracks, fault = _tracks_or_none(path)
    track = choose_track(tracks, language)
    unused = [file.path.name for file in files if file not in candidates]
    if track is not None:
        try:
            read = read_subtitle_track(path, track.index)
        except VideoError as error:
            notes.append(f"{track} was not read: {_reason(error, path)}")
        else:
            left_note = _left_note([*unused, *(str(other) for other in tracks if other != track)])
            notes = [f"read from {track} inside the video", *left_note, *notes, *read.notes]
            return replace(read, notes=tuple(notes))
    notes += _left_note([*unused, *(str(other) for other in tracks if other != track)])
    # 3. Nothing was read: say what there was, where there was something.
    notes += [fault] if fault and notes else []
    return Subtitles(lines=(), path=str(path), notes=tuple(notes)) if notes else None


def find_subtitle_files(path: str | Path) -> tuple[SubtitleFile, ...]:
    """The subtitle files beside a video, by name: `film.srt`, `film.en.srt`, `film.eng.forced.vtt`
    for `film.mkv`, whatever their case. Raises VideoError where the folder cannot be read."""
    return tuple(_look_beside(Path(path))[0])


def place_on_video(subtitles: Subtitles, path: str | Path) -> Subtitles:
    """The lines of a subtitle file on the clock of the video at `path`.

    Players count a file's times from the start of the video, but some videos do not start at 0
    (recordings of television at 3,601 s, say): the lines are moved by that start, with a note. They
    stay where they are if more of them lie inside the video as they are than after the move: then
    they were made from the video's own clock. Starts under 0.1 s are not looked at.
    """
    clock = container_times(Path(path))
    return subtitles if clock is None else place_in_times(subtitles, clock)


def place_in_times(subtitles: Subtitles, clock: ContainerTimes) -> Subtitles:
    """`place_on_video` for a video whose times are known."""
    start_s, end_s = clock.start_s, math.inf if clock.end_s is None else clock.end_s
    if abs(start_s) < _MIN_OFFSET_S:
        return subtitles
    # Whichever clock has more of the lines inside the video is the one they were made for.
    stated = sum(start_s <= x.span.start_s < end_s for x in subtitles)
    moved = sum(start_s <= x.span.start_s + start_s < end_s for x in subtitles)
    if stated > moved:
        note = f"times are on the clock of the video, which starts at {start_s:.3f} s"
        return replace(subtitles, notes=(*subtitles.notes, note))
    return subtitles.shifted(start_s)


def container_times(path: Path) -> ContainerTimes | None:
    """When the video at `path` is shown; None where no start is stated or can be read."""
    if is_world_script(path):
        return None
    try:
        container = open_for_subtitles(path)
    except VideoError:
        return None
    with container:
        if container.start_time is None:
            return None
        start_s = container.start_time / 1e6
        duration = container.duration
        return ContainerTimes(start_s, None if duration is None else start_s + duration / 1e6)


def _tracks_or_none(path: Path) -> tuple[tuple[SubtitleTrack, ...], str | None]:
    """The tracks inside, and why they could not be read."""
    if is_world_script(path):
        return (), None
    try:
        return subtitle_tracks(path), None
    except VideoError as error:
        return (), f"tracks were not read: {_reason(error, path)}"


def _look_beside(path: Path) -> tuple[list[SubtitleFile], list[str]]:
    """Subtitle files by rank, and notes of those that are not to be read."""
    check_file(path)
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in entries if entry.is_file()]
    except OSError as error:
        raise VideoError(
            f"{path.parent}: cannot be searched for subtitles ({error.strerror})"
        ) from error
    folder = path.parent.resolve()
    files: list[SubtitleFile] = []
    notes: list[str] = []
    links: list[str] = []
    for file in match_subtitle_files(path, names):
        # A link out of the folder could have any file of the machine read as subtitles.
        if file.path.resolve().parent != folder:
            links.append(file.path.name)
        else:
            files.append(file)
    if links:
        verb = "is a link" if len(links) == 1 else "are links"
        notes.append(f"not read: {name_first(links)}, which {verb} out of the folder of the video")
    return files, notes


def match_subtitle_files(video: Path, names: Iterable[str]) -> list[SubtitleFile]:
    """Those of `names`, of files beside `video`, that name its subtitles, best first. Looks at
    names alone: neither the video nor a file is opened.

    Example:
        >>> names = ["film.en.srt", "film 2.srt", "film.mkv", "film.srt"]
        >>> [file.path.name for file in match_subtitle_files(Path("film.mkv"), names)]
        ['film.srt', 'film.en.srt']
    """
    names = sorted(names)
    # `film 2.srt` begins with the name of `film.mkv` and belongs to `film 2.mkv`.
    rivals = {_key(Path(name).stem) for name in names if _is_video(name) and name != video.name}
    matches = (_as_subtitle_file(video.parent / name, video, rivals) for name in names)
    return sorted((file for file in matches if file is not None), key=_rank)


def _as_subtitle_file(file: Path, video: Path, rivals: Set[str]) -> SubtitleFile | None:
    """What the name of `file` says if it belongs to `video`, and not to one of `rivals`, whose
    longer names it may bear."""
    if file.suffix.lower() not in SUFFIXES:
        return None
    name = _key(file.stem)
    # 1. `film.mp4.srt` or `film.srt`, unless another video has a longer name that fits.
    stem = next(
        (stem for stem in (_key(video.name), _key(video.stem)) if name.startswith(stem)), None
    )
    if stem is None or any(name[:end] in rivals for end in range(len(stem) + 1, len(name) + 1)):
        return None
    # 2. What follows the name: at most one language, and known marks such as `forced`.
    tags = [tag for tag in re.split(r"[. _\[\]()]+", name[len(stem) :]) if tag.strip("-")]
    tags = [tag.strip("-") for tag in tags]
    if tags and name[len(stem)] not in ". _-[(":
        return None
    languages = [tag for tag in tags if tag not in _MARKS and is_language(tag)]
    if len(languages) + sum(tag in _MARKS for tag in tags) < len(tags) or len(languages) > 1:
        return None
    return SubtitleFile(
        path=file,
        language=languages[0] if languages else "",
        is_forced="forced" in tags,
        is_plain=not tags,
    )


def _rank(file: SubtitleFile) -> tuple[bool, int, int, str]:
    """Lowest for the one to take: forced ones last, short names first."""
    suffix = SUFFIXES.index(file.path.suffix.lower())
    return file.is_forced, len(file.path.stem), suffix, file.path.name


def _by_rank(files: list[SubtitleFile], language: str | None) -> list[SubtitleFile]:
    """Those to try, best first."""
    whole = [file for file in files if not file.is_forced]
    if language is None:
        return whole
    # A file without a language may be in any, so that those come after.
    named = [file for file in whole if same_language(file.language, language)]
    return named + [file for file in whole if not file.language]


def _left_note(names: list[str]) -> list[str]:
    return [f"not used: {name_first(names)}"] if names else []


def _reason(error: VideoError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def _key(name: str) -> str:
    """A name for comparing: case and the form of accents do not count."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_video(name: str) -> bool:
    return Path(name).suffix.lower() in VIDEO_SUFFIXES
