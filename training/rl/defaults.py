"""A recipe for a data set that comes without one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SMALL_MODELS = ("nano", "nano-reinforced", "nano-grounding")
"""Packaged models, of which all weights but the eyes' are trained."""


def default_settings(data: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, for YAML: rollouts over the file's questions, adapters unless the model is
    small. `changes` are settings by their full names; None changes nothing.

    Example:
        >>> settings = default_settings(Path("train.jsonl"), {"steps": 20})
        >>> settings["steps"], settings["model"], settings["weights"]
        (20, 'nano', {'freeze': ['model.visual']})
    """
    model = changes.get("model") or "nano"
    is_small = model in _SMALL_MODELS
    settings: dict[str, Any] = {
        "data": {"train": str(data.resolve())},
        "rewards": {"answer": 1.0, "time": 1.0, "box": 1.0},
        "out": str(Path("runs") / f"rl-{data.stem}"),
        "model": model,
        "steps": 100,
        "optimiser": {"learning_rate": 2e-4 if is_small else 1e-5, "warmup_updates": 5},
        "weights": {"freeze": ["model.visual"]} if is_small else {"lora": {"rank": 16}},
    }
    for name, value in changes.items():
        if value is None:
            continue
        part, _, setting = name.rpartition(".")
        if part:
            settings.setdefault(part, {})[setting] = value
        else:
            settings[name] = value
    # From where the recipe lies, paths would mean something else.
    settings["out"] = str(Path(settings["out"]).resolve())
    if "held_out" in settings["data"]:
        settings["data"]["held_out"] = str(Path(settings["data"]["held_out"]).resolve())
    return settings
