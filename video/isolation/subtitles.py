"""The subtitles inside a file, read by a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmreason.video.backends.base import ReadOptions
from mmreason.video.isolation.process import ReadingProcess
from mmreason.video.isolation.source import checked_answer, checked_field, file_request
from mmreason.video.subtitles.find import ContainerTimes
from mmreason.video.subtitles.lines import Subtitles


def find_subtitles_in_process(path: Path, options: ReadOptions) -> Subtitles | None:
    """`find_subtitles` within the limits of `options`. Raises VideoError."""
    return _ask_once("find subtitles", Subtitles | None, path, options)


def container_times_in_process(path: Path, options: ReadOptions) -> ContainerTimes | None:
    """`container_times` within the limits of `options`. Raises VideoError."""
    return _ask_once("container times", ContainerTimes | None, path, options)


def _ask_once(action: str, kind: Any, path: Path, options: ReadOptions) -> Any:
    """The record that a process answers to one request."""
    process = ReadingProcess(path, options, ["pyav", "subtitles"])
    try:
        answer, _ = process.ask(file_request(action, path, options), process.deadline())
        return checked_field(process, kind, checked_answer(answer, path, options), "value")
    finally:
        process.close()
