"""Where a model's files are: packaged, a folder, the local Hugging Face cache, or the hub.

Also reads what the files say: their fingerprint and the clip recipe in `mmreason.json`. Weights are
loaded in `hf.py`. Imports huggingface_hub at first use.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmreason.language.prompts import Prompts
from mmreason.models.base import ClipRecipe
from mmreason.types import UsageError
from mmreason.video.json_input import read_json
from mmreason.video.model_folders import DESCRIPTIONS, PICKLES, WEIGHTS, check_model_folder
from mmreason.video.plain_text import show_line
from mmreason.video.types import VideoError

PACKAGED = {
    name: Path(__file__).resolve().parent / name.replace("-", "_")
    for name in ("nano", "nano-reinforced", "nano-grounding")
}
"""Models that come with mmreason: as trained on scripted worlds, reinforced on crowded frames of
them afterwards, and taught to find things by referring expressions."""
NANO_FOLDER = PACKAGED["nano"]
HUB_TIMEOUT_S = 10.0
CLIP_RECIPE = "mmreason.json"
"""Beside the weights: how the model likes to watch a clip."""
WHOLE_FILE_BYTES = 32 * 2**20
BLOCK_BYTES = 64 * 2**10
BLOCKS = 32
_Side = Annotated[int, Field(ge=16, le=8192)]
_PromptText = Annotated[str, Field(max_length=4000)]


def locate_weights(name_or_path: str) -> tuple[str, bool]:
    """(what to give to `from_pretrained`, whether it is all here already).

    UsageError when it is nowhere (the hub is asked once, with a short timeout), and for files that
    are none of a model (`check_model_folder`).
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
        _check_folder(folder)
        return str(folder), True
    # What is in the cache is used without asking the network.
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
    has_weights = any(path.name.endswith((WEIGHTS, *PICKLES)) for path in folder.iterdir())
    if not has_weights or not (folder / "config.json").is_file():
        return False
    _check_folder(folder)
    return True


def _check_folder(folder: Path) -> None:
    try:
        check_model_folder(folder)
    except VideoError as error:
        raise UsageError(str(error)) from error


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
    """sha256 over the descriptions and the weights, which are regular files by then
    (`check_model_folder`).

    Files up to 32 MiB count whole; of larger ones the size and 32 blocks spread over the file.
    """
    digest = hashlib.sha256()
    # Sorted, since file systems list a folder in orders of their own.
    for path in sorted(p for p in folder.iterdir() if p.suffix in (WEIGHTS, *DESCRIPTIONS)):
        if not path.is_file():
            raise UsageError(f"model folder {str(folder)!r}: {path.name!r} is no regular file")
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as file:
            if size <= WHOLE_FILE_BYTES:
                digest.update(file.read(size))
                continue
            for i in range(BLOCKS):
                # The first and the last block are always among them.
                file.seek((size - BLOCK_BYTES) * i // (BLOCKS - 1))
                digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()


class _ClipRecipeFile(BaseModel):
    """`mmreason.json` as it may be written; fields that are not named are of no matter."""

    model_config = ConfigDict(strict=True, frozen=True)

    clip_frames: int = Field(ge=1, le=4096)
    clip_size_px: tuple[_Side, _Side] | None = Field(default=None, strict=False)
    leaf_s: float = Field(gt=0, le=86_400)
    overview: Literal["denser", "stills"] = "denser"
    reads_options: bool = True
    reads_transcript: bool = False
    prompts: dict[str, _PromptText] = Field(default_factory=dict)


def clip_recipe_from(folder: Path) -> ClipRecipe | None:
    """The recipe in the folder's `mmreason.json`, or None where there is no such file. UsageError
    for one that is none."""
    path = folder / CLIP_RECIPE
    if not path.exists():
        return None
    try:
        return _clip_recipe(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise _no_recipe(path, f"{field}: {first['msg']}") from error
    except (ValueError, TypeError, OSError) as error:
        raise _no_recipe(path, str(error)) from error


def _clip_recipe(raw: Any) -> ClipRecipe:
    file = _ClipRecipeFile.model_validate(raw)
    return ClipRecipe(
        frames=file.clip_frames,
        size_px=file.clip_size_px,
        leaf_s=file.leaf_s,
        overview=file.overview,
        reads_options=file.reads_options,
        reads_transcript=file.reads_transcript,
        prompts=Prompts(**file.prompts),
    )


def _no_recipe(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"{path} is no clip recipe ({show_line(reason)[:200]}); it needs clip_frames, clip_size_px "
        "and leaf_s"
    )
