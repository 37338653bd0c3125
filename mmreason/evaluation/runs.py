"""The folder of a benchmark's run: one folder, one way of measuring."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmreason import __version__
from mmreason.types import UsageError
from mmreason.video.files import write_atomic
from mmreason.video.json_input import JsonInputError, read_json


def check_same_run(settings: Mapping[str, Any], path: Path) -> None:
    """Write what is measured to `path`, or check that the folder's earlier run measured the same
    way: outcomes of two would be averaged. Raises UsageError that names what differs."""
    if path.is_file():
        try:
            earlier = read_json(path)
            if not isinstance(earlier, dict):
                raise JsonInputError("is no JSON object")
        except (JsonInputError, OSError) as error:
            raise UsageError(f"{path}: {error}; give a new folder") from error
        earlier_settings = {key: earlier.get(key) for key in settings}
        differ = [
            f"{k} {earlier_settings[k]} there, {v} here"
            for k, v in settings.items()
            if v != earlier_settings[k]
        ]
        if differ:
            raise UsageError(
                f"{path.parent}: holds another run ({'; '.join(differ)}); give a new folder"
            )
        return
    # The version is told, not compared: a run may go on after an update.
    text = json.dumps({**settings, "mmreason": __version__}, indent=1)
    write_atomic(path, f"{text}\n".encode())
