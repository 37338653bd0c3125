"""Which files a client may have opened: those below some folders, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmreason.types import UsageError


@dataclass(frozen=True, slots=True)
class Roots:
    """Folders, absolute and without links; `of` makes them so."""

    folders: tuple[Path, ...]

    @classmethod
    def of(cls, folders: Sequence[Path]) -> Roots:
        """Resolve the folders. UsageError for one that is not there."""
        resolved = tuple(folder.expanduser().resolve() for folder in folders)
        for given, folder in zip(folders, resolved, strict=True):
            if not folder.is_dir():
                raise UsageError(f"{given}: is not a folder; --root names folders that are there")
        return cls(resolved)

    def file(self, name: str) -> Path:
        """The path behind `name`, links followed, which need not be there. Relative names are
        looked for in each folder, in order. UsageError where one leads out of all folders."""
        try:
            tried = [(folder / name).resolve() for folder in self.folders]
        except (OSError, ValueError, RuntimeError) as error:  # such as a ring of links
            raise UsageError(f"{name!r}: is no path that can be followed ({error})") from error
        for path in tried:
            if not any(path.is_relative_to(folder) for folder in self.folders):
                raise UsageError(
                    f"{name}: lies outside the folders that may be read ({self}); use a file in "
                    "them, or start the server with --root FOLDER for its folder too"
                )
            if path.exists():
                return path
        return tried[0]

    def __str__(self) -> str:
        return ", ".join(map(str, self.folders))
