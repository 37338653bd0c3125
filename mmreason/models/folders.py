"""Where a model's files are: packaged, a folder, the local Hugging Face cache, or the hub.

Also reads what the files say: their fingerprint and the clip recipe in `mmreason.json`.
Leaves out loading the weights (`hf.py`). Imports huggingface_hub at first use.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from mmreason.language.prompts import Prompts
from mmreason.models.base import ClipRecipe
from mmreason.types import UsageError

PACKAGED = {
    name: Path(__file__).resolve().parent / name.replace("-", "_")
    for name in ("nano", "nano-reinforced")
}
"""Models that come with mmreason: as trained on scripted worlds, and reinforced on crowded frames
of them afterwards."""
NANO_FOLDER = PACKAGED["nano"]
HUB_TIMEOUT_S = 10.0
CLIP_RECIPE = "mmreason.json"
"""Beside the weights: how the model likes to watch a clip."""
WHOLE_FILE_BYTES = 32 * 2**20
BLOCK_BYTES = 64 * 2**10
BLOCKS = 32
_WEIGHTS = (".safetensors", ".bin")
_DESCRIPTIONS = (".json", ".jinja", ".model", ".txt")


def locate(name_or_path: str) -> tuple[str, bool]:
    """(what to give to `from_pretrained`, whether it is all here already).

    UsageError when it is nowhere: the hub is asked once, with a short timeout.
    """
    if name_or_path in PACKAGED:
        return _packaged(name_or_path), True
    folder = Path(name_or_path).expanduser()
    if name_or_path.strip() and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(
                f"model folder {name_or_path!r} has no config.json; give the folder that "
                "save_pretrained wrote"
            )
        return str(folder), True
    if _in_cache(name_or_path):
        return name_or_path, True
    _ask_hub(name_or_path)
    return name_or_path, False


def _packaged(name: str) -> str:
    folder = PACKAGED[name]
    if not any(folder.glob("*.safetensors")):
        raise UsageError(
            f"the weights of {name!r} are missing from {folder}; clone mmreason again and install "
            "it, or name another model"
        )
    return str(folder)


def _in_cache(name: str) -> bool:
    """Whether config and weights of a hub name are in the local cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return False
    weights = [p for p in folder.iterdir() if p.suffix in _WEIGHTS]
    return (folder / "config.json").is_file() and bool(weights)


def _ask_hub(name: str) -> None:
    from huggingface_hub import model_info
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    start = f"model {name!r} is neither a folder here nor in the local Hugging Face cache, and "
    todo = "check the name, give a folder, or use 'nano'"
    try:
        model_info(name, timeout=HUB_TIMEOUT_S)
    except HFValidationError as error:
        raise UsageError(f"{start}it is no Hugging Face name; {todo}") from error
    except RepositoryNotFoundError as error:
        raise UsageError(f"{start}the hub has no such public model; {todo}") from error
    except Exception as error:  # the HTTP library's own errors differ from version to version
        raise UsageError(f"{start}the hub could not be reached; {todo}") from error


def weights_folder(source: str) -> Path:
    """The folder that holds the files of a model that has been loaded."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(source, local_files_only=True))


def fingerprint_of(folder: Path) -> str:
    """sha256 over the descriptions and the weights.

    Files up to 32 MiB count whole; of larger ones the size and 32 blocks spread over the file.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in (*_WEIGHTS, *_DESCRIPTIONS)):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as file:
            if size <= WHOLE_FILE_BYTES:
                digest.update(file.read())
                continue
            for i in range(BLOCKS):
                file.seek((size - BLOCK_BYTES) * i // (BLOCKS - 1))
                digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()


def clip_recipe_from(folder: Path) -> ClipRecipe | None:
    """The recipe in the folder's `mmreason.json`, or None where there is no such file."""
    path = folder / CLIP_RECIPE
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        size = raw.get("clip_size_px")
        return ClipRecipe(
            frames=int(raw["clip_frames"]),
            size_px=None if size is None else (int(size[0]), int(size[1])),
            leaf_s=float(raw["leaf_s"]),
            overview=raw.get("overview", "denser"),
            reads_options=bool(raw.get("reads_options", True)),
            reads_transcript=bool(raw.get("reads_transcript", False)),
            prompts=Prompts(**raw.get("prompts", {})),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(
            f"{path} is no clip recipe ({error}); it needs clip_frames, clip_size_px and leaf_s"
        ) from error
