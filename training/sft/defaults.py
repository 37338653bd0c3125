"""A recipe for a data set that comes without one, and changes to one that is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from mmreason.training.sft.recipe import SftRecipe

_SMALL_MODELS = ("nano", "nano-reinforced", "nano-grounding")
"""Packaged models, of which all weights are trained."""
_FULL = {"learning_rate": 3e-4, "warmup_updates": 10, "schedule": "cosine"}
_ADAPTERS = {"learning_rate": 1e-4, "warmup_updates": 10, "schedule": "cosine"}


def default_settings(
    data: Path, changes: Mapping[str, Any], *, lora: bool | None = None
) -> dict[str, Any]:
    """Settings by name, for YAML: three epochs over the file, adapters unless the model is small.
    `changes` are settings by their full names; None changes nothing."""
    model = changes.get("model") or "nano"
    has_adapters = model not in _SMALL_MODELS if lora is None else lora
    settings: dict[str, Any] = {
        "data": {"train": str(data.resolve())},
        "out": str(Path("runs") / f"sft-{data.stem}"),
        "model": model,
        "epochs": 3.0,
        "optimiser": dict(_ADAPTERS if has_adapters else _FULL),
    }
    if has_adapters:
        settings["weights"] = {"lora": {"rank": 16}}
    for name, value in changes.items():
        if value is None:
            continue
        part, _, setting = name.rpartition(".")
        if part:
            settings.setdefault(part, {})[setting] = value
        else:
            settings[name] = value
    # From where the recipe lies, paths would mean something else.
    for name in ("out",):
        settings[name] = str(Path(settings[name]).resolve())
    if "held_out" in settings["data"]:
        settings["data"]["held_out"] = str(Path(settings["data"]["held_out"]).resolve())
    return settings


def change_recipe(recipe: SftRecipe, changes: Mapping[str, Any]) -> SftRecipe:
    """The recipe with some settings, by their full names, set otherwise; None changes nothing."""
    by_part: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        part, _, setting = name.rpartition(".")
        if value is not None:
            by_part.setdefault(part, {})[setting] = value
    top = by_part.pop("", {})
    parts = {
        item.name: replace(getattr(recipe, item.name), **by_part[item.name])
        for item in fields(recipe)
        if item.name in by_part
    }
    return replace(recipe, **top, **parts)
