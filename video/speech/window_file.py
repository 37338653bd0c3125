"""Windows of speech that were recognised, kept in a file: work that was interrupted goes on."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from mmreason.video.isolation.records import RecordError, record_from_json
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.speech.recogniser import Recogniser
from mmreason.video.speech.transcript import Segment

_MOST_BYTES = 64 * 2**20
_MOST_LINE = 2**20
_HASH_LETTERS = 32


class WindowFile:
    """A `WindowStore` in one file of JSON lines, for one track of one video and one recogniser.

    Example: `transcribe(path, recogniser, windows=open_window_file(folder, path, recogniser))`.
    """

    def __init__(self, path: Path) -> None:
        """Read what is kept at `path`; a line that cannot be read is recognised again. Raises
        OSError."""
        self._path = path
        self.fault = ""
        """Why nothing is kept any more, "" where all is."""
        self._windows: dict[str, tuple[Segment, ...]] = {}
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            for line in path.read_bytes().splitlines():
                self._take(line)

    def find_window(self, key: str) -> tuple[Segment, ...] | None:
        """See `WindowStore`."""
        return self._windows.get(key)

    def keep_window(self, key: str, segments: tuple[Segment, ...]) -> None:
        """See `WindowStore`. A full disk costs what is kept and not the transcript: see `fault`."""
        self._windows[key] = segments
        line = json.dumps({"key": key, "segments": [asdict(segment) for segment in segments]})
        # One write of a whole line: two processes do not mix theirs, and half a line is not read.
        try:
            # What was said is nobody else's: only its user may read it, as in the store.
            with open(self._path, "ab", opener=_open_privately) as file:
                file.write(line.encode() + b"\n")
        except OSError as error:
            self.fault = f"{self._path}: cannot be written ({error.strerror})"

    def _take(self, line: bytes) -> None:
        try:
            value = parse_json(line, most_bytes=_MOST_LINE)
            segments = record_from_json(tuple[Segment, ...], value["segments"])
            self._windows[str(value["key"])] = segments
        except (JsonInputError, RecordError, KeyError, TypeError):
            return


def open_window_file(
    folder: Path, content_hash: str, recogniser: Recogniser, track: int | None = None
) -> WindowFile:
    """The windows of a video, known by its content, in `folder`, which is made. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = hashlib.sha256(f"{recogniser.key}\n{track}".encode()).hexdigest()[:16]
    return WindowFile(folder / f"{content_hash[:_HASH_LETTERS]}-{settings}.jsonl")


def forget_windows(folder: Path, content_hash: str) -> int:
    """Remove what is kept of a video, of every recogniser and track; returns how many files there
    were. Raises OSError."""
    files = list(folder.glob(f"{content_hash[:_HASH_LETTERS]}-*.jsonl"))
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)


def _open_privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
