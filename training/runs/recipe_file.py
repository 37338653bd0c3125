"""Recipes from files: YAML, or Python that sets `recipe`, with the very same keys.

    data:
      train: train.jsonl
      held_out: val.jsonl
    model: nano
    epochs: 3
    optimiser: {learning_rate: 1.0e-4, schedule: cosine}
    weights: {lora: {rank: 8}}

YAML is data: nothing in it is run, but for rewards of one's own that it names as
`file.py:function`. Paths start from the file's folder.
"""

from __future__ import annotations

import difflib
import runpy
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from mmreason.training.checked_settings import NUMBER, Kind
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

R = TypeVar("R")

MOST_RECIPE_BYTES = 1_000_000
YAML_SUFFIXES = (".yaml", ".yml")
_PATHS = frozenset({"train", "held_out", "media_root", "out", "api_key_file", "weights_folder"})
"""Settings that are paths of files here; a model may be a name."""


def read_recipe_file(path: Path, kind: type[R]) -> R:
    """The recipe in a file. UsageError, with the file's name, where it cannot be read or holds
    none."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such recipe file")
    if path.suffix.lower() not in YAML_SUFFIXES:
        return _run_python(path, kind)
    if path.stat().st_size > MOST_RECIPE_BYTES:
        raise UsageError(f"{path}: has more than the limit of {MOST_RECIPE_BYTES:,} bytes")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is no YAML: {show_line(str(error))[:200]}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected settings by name, found {type(values).__name__}")
    try:
        return build_recipe(kind, _resolve_paths(values, path.parent.resolve()))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def build_recipe(kind: type[R], values: Mapping[str, Any]) -> R:
    """A recipe of settings by name, its parts as mappings. UsageError for a name that is none, with
    the one that is nearest, and for values that cannot be."""
    return _build(kind, values, "")


def _build(kind: type[R], values: Mapping[str, Any], part_name: str) -> R:
    known = {item.name: item for item in fields(cast(Any, kind))}
    settings: dict[str, Any] = {}
    for name, value in values.items():
        full_name = f"{part_name}.{name}" if part_name else str(name)
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
            raise UsageError(f"recipe: there is no setting {show_line(full_name)[:60]}{hint}")
        part = known[name].metadata.get("kind")
        if isinstance(value, Mapping) and isinstance(part, type) and is_dataclass(part):
            value = _build(part, value, full_name)
        elif known[name].metadata.get("is_part"):
            raise UsageError(
                f"recipe: {full_name} must be settings by name, found {show_line(repr(value))[:60]}"
            )
        settings[str(name)] = _to_number(value, known[name].metadata.get("kind"))
    try:
        return kind(**settings)
    except TypeError as error:  # a setting without a default is missing
        raise UsageError(f"recipe: {show_line(str(error))}") from error


def _to_number(value: Any, kind: Any) -> Any:
    """YAML takes 1e-4 for a text, as it has no point, and 2 for a whole number: where any number is
    expected both are one."""
    is_number = isinstance(kind, Kind) and kind is NUMBER
    if not is_number or isinstance(value, bool) or not isinstance(value, str | int):
        return value
    try:
        return float(value)
    except (ValueError, OverflowError):
        return value


def _resolve_paths(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The settings with their paths as meant from the folder."""
    resolved: dict[str, Any] = {}
    for name, value in values.items():
        if name == "rewards" and isinstance(value, Mapping):
            # Names, but for functions of one's own: file.py:function.
            resolved[name] = {
                str(folder / key) if isinstance(key, str) and ".py:" in key else key: weight
                for key, weight in value.items()
            }
        elif isinstance(value, Mapping):
            resolved[name] = _resolve_paths(value, folder)
        elif name in _PATHS and isinstance(value, str):
            resolved[name] = str(folder / value)
        elif name in _PATHS and isinstance(value, list):
            resolved[name] = tuple(str(folder / str(item)) for item in value)
        else:
            resolved[name] = value
    # A model is a name, or the path of a folder that is there.
    model = resolved.get("model")
    if isinstance(model, str) and "://" not in model and (folder / model).is_dir():
        resolved["model"] = str(folder / model)
    return resolved


def _run_python(path: Path, kind: type[R]) -> R:
    try:
        recipe = runpy.run_path(str(path)).get("recipe")
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except Exception as error:
        line = " ".join(str(error).split())
        raise UsageError(f"{path}: raised {type(error).__name__}: {line}") from error
    if not isinstance(recipe, kind):
        raise UsageError(f"{path}: sets no `recipe = {kind.__name__}(...)`")
    return recipe
