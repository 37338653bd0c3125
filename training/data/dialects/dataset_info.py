"""LLaMA-Factory's `dataset_info.json`: it says, beside a data set, what its fields are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmreason.training.data.dialects.rows import TurnTags
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, read_json
from mmreason.video.plain_text import show_line

FILE_NAME = "dataset_info.json"


@dataclass(frozen=True, slots=True)
class ShareGptInfo:
    """What it says of one file.

    Example:
        >>> ShareGptInfo("demo", {"messages": "talk"}, TurnTags()).columns["messages"]
        'talk'
    """

    name: str
    """Of the entry."""
    columns: Mapping[str, str]
    """What stands under which name: messages, system, images, videos, audios, chosen, rejected."""
    tags: TurnTags


def read_dataset_info(path: Path) -> ShareGptInfo | None:
    """What the `dataset_info.json` in a file's folder says of it; None without such a file, without
    an entry for this one, or with one that is not of the ShareGPT kind. Raises UsageError for an
    entry that cannot be meant."""
    info = path.parent / FILE_NAME
    if path.is_dir() or not info.is_file():
        return None
    try:
        document = read_json(info)
    except (JsonInputError, OSError) as error:
        raise UsageError(f"{show_line(str(info))}: {error}") from error
    entries = document.items() if isinstance(document, dict) else ()
    for name, entry in entries:
        if isinstance(entry, dict) and _names(entry, path):
            if entry.get("formatting") != "sharegpt":
                return None
            columns, tags = _texts(entry, "columns", info), _texts(entry, "tags", info)
            return ShareGptInfo(str(name), columns, _to_tags(tags))
    return None


def _names(entry: Mapping[str, Any], path: Path) -> bool:
    return isinstance(entry.get("file_name"), str) and Path(entry["file_name"]).name == path.name


def _texts(entry: Mapping[str, Any], name: str, info: Path) -> dict[str, str]:
    value = entry.get(name) or {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise UsageError(f"{show_line(str(info))}: {name!r} must be an object of texts")
    return value


def _to_tags(tags: Mapping[str, str]) -> TurnTags:
    plain = TurnTags()
    return TurnTags(
        role_field=tags.get("role_tag", plain.role_field),
        content_field=tags.get("content_tag", plain.content_field),
        user=tags.get("user_tag", plain.user),
        assistant=tags.get("assistant_tag", plain.assistant),
        system=tags.get("system_tag", plain.system),
    )
