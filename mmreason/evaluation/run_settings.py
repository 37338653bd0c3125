"""`run.json` of a measurement: one folder, one way of measuring."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmreason.types import UsageError
from mmreason.video.files import write_atomic
from mmreason.video.json_input import JsonInputError, read_json

_MOST_SHOWN = 80


def require_same_settings(
    path: Path, settings: Mapping[str, Any], *, told: Mapping[str, Any]
) -> None:
    """Write `settings` to `path`, or check that what is there has the same: outcomes of two ways
    would be averaged. `told` is written with them and not compared: a run may go on after an
    update. UsageError naming what differs, or where the file cannot be read.

    Example:
        >>> require_same_settings(Path("runs/a/run.json"), {"seed": 0}, told={})  # doctest: +SKIP
    """
    # As they would come back from the file: tuples are lists then.
    plain_settings: dict[str, Any] = json.loads(json.dumps(settings))
    if not path.is_file():
        text = json.dumps(plain_settings | dict(told), indent=1)
        write_atomic(path, f"{text}\n".encode())
        return
    try:
        earlier = read_json(path)
        if not isinstance(earlier, dict):
            raise JsonInputError("is no JSON object")
    except (JsonInputError, OSError) as error:
        raise UsageError(f"{path}: {error}; give a new folder") from error
    differ = [
        f"{name} {_show(earlier.get(name))} there, {_show(value)} here"
        for name, value in plain_settings.items()
        if value != earlier.get(name)
    ]
    if differ:
        raise UsageError(
            f"{path.parent}: holds another run ({'; '.join(differ)}); give a new folder"
        )


def _show(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."
