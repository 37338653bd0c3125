"""Finds the videos and subtitles of a benchmark, wherever their archives were unpacked to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmreason.types import UsageError
from mmreason.video.files import VIDEO_SUFFIXES
from mmreason.video.json_input import JsonInputError, read_json

SUBTITLE_SUFFIXES = (".srt", ".vtt", ".ass", ".json", ".jsonl")
MOST_FILES = 2_000_000
_NUMBER = re.compile(r"\d{6,12}")


@dataclass(frozen=True, slots=True)
class MediaIndex:
    """Files below some folders by the name that a benchmark gives them.

    Example:
        >>> MediaIndex.of([Path("Video-MME")]).find_video("fFjv93ACGo8")  # doctest: +SKIP
        PosixPath('Video-MME/data/fFjv93ACGo8.mp4')
    """

    videos: dict[str, list[Path]] = field(default_factory=dict)
    """By name without ending, or by the id that they were downloaded under."""
    subtitles: dict[str, list[Path]] = field(default_factory=dict)
    """Of folders whose name begins with or ends in "subtitle" or "subtitles"."""

    @classmethod
    def of(cls, folders: list[Path]) -> MediaIndex:
        """Look through `folders` once, into linked folders too. UsageError for what is no
        folder."""
        index = cls()
        # One of the folders may lie in another.
        entered: set[str] = set()
        for folder in folders:
            if not folder.is_dir():
                raise UsageError(f"{folder}: is no folder")
            for path in _walk(folder, entered):
                suffix = path.suffix.lower()
                if suffix in VIDEO_SUFFIXES:
                    name = _read_source_name(path) or path.stem
                    index.videos.setdefault(name, []).append(path)
                elif suffix in SUBTITLE_SUFFIXES and "subtitle" in path.parent.name.lower():
                    index.subtitles.setdefault(path.stem, []).append(path)
        return index

    def find_video(self, name: str, folder: str = "") -> Path | None:
        """The video called `name`, with or without an ending or folders before it. Where several
        are, the one in a folder whose name ends in `folder`. ValueError where that is not one."""
        return _choose(self.videos, name, folder)

    def find_subtitles(self, name: str) -> Path | None:
        """The file of subtitles of that name."""
        return _choose(self.subtitles, name, "")


def _choose(files: dict[str, list[Path]], name: str, folder: str) -> Path | None:
    # Ids of YouTube may hold dots and begin with hyphens: only a known ending is one.
    last = name.replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = last.rpartition(".")
    if dot and f".{ending.lower()}" in (*VIDEO_SUFFIXES, *SUBTITLE_SUFFIXES):
        last = stem
    candidates = files.get(last, [])
    if len(candidates) > 1:
        beside = [path for path in candidates if folder and path.parent.name.endswith(folder)]
        candidates = beside or candidates
    if len(candidates) > 1:
        named = ", ".join(map(str, candidates[:3]))
        raise ValueError(f"{len(candidates)} files are called {last!r}: {named}; leave one there")
    return candidates[0] if candidates else None


def _read_source_name(video: Path) -> str:
    """The id in the address that a video came from, which video2dataset writes beside it: it calls
    files 00000000.mp4 and so on. Empty for other files."""
    beside = video.with_suffix(".json")
    if not _NUMBER.fullmatch(video.stem) or not beside.is_file():
        return ""
    try:
        about = read_json(beside, most_bytes=1_000_000, odd_numbers_as_null=True)
    except (JsonInputError, OSError):
        return ""
    address = about.get("url") if isinstance(about, dict) else None
    return address.rpartition("v=")[2].rpartition("/")[2] if isinstance(address, str) else ""


def _walk(folder: Path, entered: set[str]) -> Iterator[Path]:
    """All files, sorted; each real folder once, so that links in a circle end."""
    count = 0
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders.sort()
        count += len(names)
        if count > MOST_FILES:
            raise UsageError(
                f"{folder}: holds more than {MOST_FILES:,} files; give the benchmark's own folder"
            )
        for name in sorted(names):
            yield Path(root, name)
