"""The part of a recipe that names the data: the same keys in supervised training, reinforcement
learning and evaluation."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from mmreason.training.checked_settings import WHOLE, Kind, check_settings, setting

BadRows = Literal["refuse", "skip"]
Files = str | Path | tuple[str | Path, ...]


def _is_path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike) and bool(str(value))


def _are_paths(value: Any) -> bool:
    several = isinstance(value, tuple) and bool(value) and all(map(_is_path, value))
    return several or _is_path(value)


_FILES = Kind(_are_paths, "the path of a data set, or a tuple of such paths")
_PATH = Kind(_is_path, "a path")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """Which rows, and how their media are shown.

    Example:
        >>> DataSettings(train="train.jsonl", held_out="val.jsonl", frames=8).bad_rows
        'refuse'
    """

    train: Files | None = setting(None, kind=_FILES)
    """Files in any dialect of docs/own_data.md."""
    held_out: Files | None = setting(None, kind=_FILES)
    """Rows that are evaluated and never trained on."""
    media_root: str | Path | None = setting(None, kind=_PATH)
    """Folder that relative paths start from; None: that of the file."""
    frames: int | None = setting(None, kind=WHOLE, least=1)
    """Frames of each clip, evenly spread; None: as many as the model likes."""
    longest_px: int | None = setting(None, kind=WHOLE, least=1)
    """Longest side of a frame; None: as the model likes."""
    system_prompt: str = setting("", kind=Kind(lambda value: isinstance(value, str), "a text"))
    """Put before every conversation that has no system message of its own."""
    bad_rows: BadRows = setting("refuse", choices=get_args(BadRows))
    """With "refuse" a run does not begin while a row or its media cannot be used; with "skip" such
    rows are named and left out."""

    def __post_init__(self) -> None:
        check_settings(self, "data")
