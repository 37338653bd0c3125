"""JSON Schemas of what the command line prints with `--json`, as files beside this module.

    load("answer")["properties"]["text"]

Leaves out making them from the records (`generate.py`: `python -m mmreason.schemas` writes the
files anew).
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from mmreason.types import UsageError


def names() -> tuple[str, ...]:
    """Of all schemas that are shipped, such as "answer"."""
    files = (file.name for file in resources.files(__name__).iterdir())
    return tuple(sorted(n.removesuffix(".json") for n in files if n.endswith(".json")))


def load(name: str) -> dict[str, Any]:
    """One schema (JSON Schema 2020-12). UsageError for a name that is none."""
    if name not in names():
        raise UsageError(f"there is no schema {name!r}; there are {', '.join(names())}")
    return json.loads(resources.files(__name__).joinpath(f"{name}.json").read_text("utf-8"))
