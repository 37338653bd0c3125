"""Where this user's files lie that can be made again: replies, records, weights."""

from __future__ import annotations

import os
from pathlib import Path


class CacheFolderError(ValueError):
    """This user has no place for such files. The message says what to set."""


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/mmreason`, or `~/.cache/mmreason` where that is not set to an absolute path
    (a relative one is to be ignored, as the XDG base directory specification says).
    CacheFolderError where the user has no home."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else _home() / ".cache") / "mmreason"


def _home() -> Path:
    try:
        home = Path.home()
    except RuntimeError:
        home = Path()
    # An empty HOME reads as the root of the file system, which is nobody's home.
    if not home.is_absolute() or home == Path(home.anchor):
        raise CacheFolderError(
            f"HOME names no folder of yours ({home}); set HOME or XDG_CACHE_HOME"
        )
    return home
