"""What a model folder must be before a library opens it: regular files of bounded size, weights
that are no programs, descriptions that describe a model.

A folder may come from a stranger. Libraries follow what it says: they wait for ever at a pipe, read
files that an index names elsewhere, and build as many layers as a number asks for.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from mmreason.video.json_input import JsonInputError, read_json
from mmreason.video.plain_text import show_line
from mmreason.video.types import VideoError

WEIGHTS = ".safetensors"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack")
"""Formats of weights that can hold programs, or that are not read."""
DESCRIPTIONS = (".json", ".jinja", ".model", ".txt")
MOST_ENTRIES = 10_000
MOST_SETTINGS_BYTES = 32 * 2**20
"""Of settings that are read as JSON."""
MOST_VOCABULARY_BYTES = 256 * 2**20
"""Of any other description."""
MOST_TEMPLATE_BYTES = 2**20
MOST_LAYERS = 10_000
"""Of layers, heads, experts and the like: more are built for hours, if memory lasts."""

_INDEX = ".index.json"
_SETTINGS = (
    "config.json",  # of the model, its generation, its tokenizer, its processors, an adapter
    "special_tokens_map.json",
    "chat_template.json",
    _INDEX,
)
"""Ends of the names of settings that libraries read."""
_COUNTED = re.compile(r"(?:layers?|depths?|blocks|heads|experts|stages)$")


def check_model_folder(folder: Path) -> None:
    """VideoError, which names the folder and the file, where the folder is none to be opened."""
    paths = list(_regular_files(folder))
    for path in paths:
        _check_size(folder, path)
    names = {path.name for path in paths}
    pickles = sorted(name for name in names if name.endswith(PICKLES))
    # Beside safetensors the other formats are never opened.
    if pickles and not any(name.endswith(WEIGHTS) for name in names):
        raise _refusal(
            folder,
            f"its weights are in {pickles[0]!r}, a format that can hold programs or is not read; "
            "expected .safetensors: load them where they come from and save them with "
            "save_pretrained",
        )
    for path in paths:
        if path.name.endswith(_SETTINGS):
            value = _read_settings(folder, path)
            if path.name.endswith(_INDEX):
                _check_index(folder, path, value)
            if path.name == "config.json":
                _check_config(folder, value)


def _regular_files(folder: Path) -> Iterator[Path]:
    """The files of the folder that a library may open, links followed."""
    try:
        entries = sorted(folder.iterdir())
        if len(entries) > MOST_ENTRIES:
            raise _refusal(
                folder, f"it holds {len(entries):,} files, the limit is {MOST_ENTRIES:,}"
            )
        for path in entries:
            if path.name.startswith(".") or not path.name.endswith(
                (WEIGHTS, *PICKLES, *DESCRIPTIONS)
            ):
                continue
            if not stat.S_ISREG(path.stat().st_mode):
                raise _refusal(folder, f"{path.name!r} is no regular file")
            yield path
    except OSError as error:  # a link that leads nowhere or to itself, no right to read
        raise _refusal(folder, f"it cannot be read ({show_line(str(error))})") from error


def _check_size(folder: Path, path: Path) -> None:
    if not path.name.endswith(DESCRIPTIONS):
        return
    most = MOST_TEMPLATE_BYTES if path.suffix == ".jinja" else MOST_VOCABULARY_BYTES
    if path.name.endswith(_SETTINGS):
        most = MOST_SETTINGS_BYTES
    if (size := path.stat().st_size) > most:
        raise _refusal(folder, f"{path.name!r} has {size:,} bytes, the limit is {most:,}")


def _read_settings(folder: Path, path: Path) -> Any:
    try:
        # Some families write an infinity into their settings.
        return read_json(path, most_bytes=MOST_SETTINGS_BYTES, odd_numbers_as_null=True)
    except (JsonInputError, OSError) as error:
        raise _refusal(folder, f"{path.name!r} {show_line(str(error))}") from error


def _check_index(folder: Path, path: Path, index: Any) -> None:
    """Weights may lie in several files, all of this folder."""
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict):
        raise _refusal(
            folder, f"{path.name!r} has no weight_map, expected names of files by weight"
        )
    for shard in shards.values():
        if not isinstance(shard, str) or not _is_plain_name(shard):
            raise _refusal(
                folder,
                f"{path.name!r} names {show_line(str(shard))[:80]!r}, expected a file beside it",
            )


def _is_plain_name(shard: str) -> bool:
    # On Windows a backslash parts folders.
    return shard.endswith(WEIGHTS) and PurePath(shard).name == shard and "\\" not in shard


def _check_config(folder: Path, config: Any) -> None:
    if not isinstance(config, dict):
        raise _refusal(folder, "'config.json' holds no object, expected the settings of a model")
    for name, value in _named_values(config):
        # Some families give a list, with a number for each stage.
        numbers = value if isinstance(value, list) else [value]
        for number in numbers:
            if _COUNTED.search(name) and type(number) in (int, float) and number > MOST_LAYERS:
                raise _refusal(
                    folder,
                    f"'config.json' has {name[:60]} {number:.3g}, the limit is {MOST_LAYERS:,}",
                )


def _named_values(value: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of all fields, those of objects inside too. Depth is bounded by then."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            yield from _named_values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named_values(inner)


def _refusal(folder: Path, reason: str) -> VideoError:
    return VideoError(f"model folder {str(folder)!r}: {reason}")
