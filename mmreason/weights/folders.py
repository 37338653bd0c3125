"""Folders of weights: where they lie, and whether what lies there is whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmreason.cache_folder import cache_folder
from mmreason.weights.sources import (
    UnknownWeightsError,
    WeightSource,
    find_source,
    list_weights,
)

MANIFEST = "mmreason-weights.json"
LICENCE = "LICENCE.txt"
_MOST_MANIFEST_BYTES = 1_000_000
_BLOCK_BYTES = 1 << 20

State = Literal["missing", "ready", "damaged"]


class WeightsMissingError(ValueError):
    """Weights that mmreason knows are not on this machine. The message names the command that
    fetches them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightStatus:
    """What lies in the folder of one set of weights.

    `state` is "missing" (no folder), "ready", or "damaged", with the `reason`.
    """

    name: str
    folder: Path
    state: State
    size_bytes: int = 0
    reason: str = ""


def weights_folder() -> Path:
    """`cache_folder()/weights`, where weights are kept, one folder each."""
    return cache_folder() / "weights"


def find_weights(name_or_folder: str) -> Path:
    """The folder of weights: a folder given stays, a known name is that in the cache folder.

    WeightsMissingError where it is not there or not whole (sizes are compared, not hashes), and
    UnknownWeightsError for what is neither; whoever loads it may still ask the hub.

    Example:
        >>> find_weights("whisper-tiny.en").name  # doctest: +SKIP
        'whisper-tiny.en'
    """
    known = {source.name for source in list_weights()}
    if name_or_folder not in known:
        folder = Path(name_or_folder).expanduser()
        if not name_or_folder.strip() or not folder.is_dir():
            names = ", ".join(sorted(known))
            raise UnknownWeightsError(
                f"{name_or_folder!r} is neither a folder nor weights that mmreason knows ({names})"
            )
        return folder
    status = check_weights(find_source(name_or_folder))
    if status.state != "ready":
        reason = status.reason or f"not in {status.folder.parent}"
        raise WeightsMissingError(
            f"the weights {name_or_folder} are missing ({reason}); get them with: "
            f"mmreason weights get {name_or_folder}"
        )
    return status.folder


def check_weights(
    source: WeightSource, folder: Path | None = None, *, with_hashes: bool = False
) -> WeightStatus:
    """Whether the files of `source` in `folder/NAME` (default: the cache) are those its manifest
    lists: their sizes always, their SHA-256 `with_hashes`."""
    at = (folder or weights_folder()) / source.name
    if not at.is_dir():
        return WeightStatus(name=source.name, folder=at, state="missing")
    try:
        files = _read_manifest(at / MANIFEST, source)
        for name, (size_bytes, sha256) in files.items():
            path = at / name
            if path.stat().st_size != size_bytes:
                raise ValueError(f"{name} has {path.stat().st_size} bytes, not {size_bytes}")
            if with_hashes and hash_file(path) != sha256:
                raise ValueError(f"{name} has another SHA-256 than when it was written")
    except (OSError, ValueError) as error:
        return WeightStatus(name=source.name, folder=at, state="damaged", reason=str(error))
    total = sum(size_bytes for size_bytes, _ in files.values())
    return WeightStatus(name=source.name, folder=at, state="ready", size_bytes=total)


def write_manifest(source: WeightSource, folder: Path) -> None:
    """Write what lies in `folder`, with sizes and hashes, and where it came from."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    manifest = {
        "name": source.name,
        "package": source.package,
        "version": source.version,
        "licence": source.licence,
        "author": source.author,
        "source_sha256": {file.path: file.sha256 for file in source.files},
        "files": {
            path.relative_to(folder).as_posix(): {
                "bytes": path.stat().st_size,
                "sha256": hash_file(path),
            }
            for path in paths
        },
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def hash_file(path: Path) -> str:
    """SHA-256 of a file (hex), read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _read_manifest(path: Path, source: WeightSource) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 by relative path. ValueError for what is no manifest of `source`."""
    if path.stat().st_size > _MOST_MANIFEST_BYTES:
        raise ValueError(f"{path.name} is no manifest: it is too large")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        pinned = {file.path: file.sha256 for file in source.files}
        if manifest["source_sha256"] != pinned:
            raise ValueError("they come from another release than this version of mmreason names")
        return {
            str(name): (int(file["bytes"]), str(file["sha256"]))
            for name, file in manifest["files"].items()
        }
    except (KeyError, TypeError, AttributeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is no manifest of weights") from error
