"""`load_encoder`: by the name of weights, of a timm model, of a model on a hub, or a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import torch

from mmreason.video.encoders import timm_models
from mmreason.video.encoders.backbone import Backbone
from mmreason.video.encoders.efficientnet import load_efficientnet
from mmreason.video.encoders.encoder import BATCH_BYTES, FrameEncoder
from mmreason.video.encoders.image_text import load_image_text
from mmreason.video.json_input import JsonInputError, read_json
from mmreason.video.model_folders import check_model_folder
from mmreason.video.plain_text import show_line
from mmreason.video.types import VideoError
from mmreason.weights import WeightsMissingError, find_weights

DEFAULT = "efficientnet-lite0"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
"""An owner and a model."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def load_encoder(
    name: str = DEFAULT,
    *,
    device: str | None = None,
    dtype: Literal["float32", "bfloat16"] = "float32",
    batch_bytes: int = BATCH_BYTES,
    compile: bool = False,
) -> FrameEncoder:
    """The encoder of that name.

    "efficientnet-lite0" works without a hub; its weights come by `mmreason weights get
    efficientnet-lite0`. `device` is CUDA where there is one, else the CPU; a batch holds what fits
    into `batch_bytes` by an estimate (`FrameEncoder.frame_bytes`); with `compile` torch.compile
    makes the image tower, at its first frames. Raises VideoError for a name that is none, with the
    nearest ones, and for weights that are not there or do not serve.

    Example:
        >>> load_encoder()  # doctest: +SKIP
        FrameEncoder(efficientnet-lite0, frames, 224x224, float32 on cpu)
    """
    if dtype not in _DTYPES:
        raise VideoError(f"dtype {dtype!r}: expected one of {', '.join(_DTYPES)}")
    if batch_bytes < 1:
        raise VideoError(f"batch_bytes must be at least 1, got {batch_bytes}")
    chosen = _choose_device(device)
    return FrameEncoder(
        _load_backbone(name),
        device=chosen,
        dtype=_DTYPES[dtype],
        batch_bytes=batch_bytes,
        compile=compile,
        notes=_note_slow_numbers(chosen) if dtype == "bfloat16" else (),
    )


def _load_backbone(name: str) -> Backbone:
    path = Path(name).expanduser()
    is_folder = bool(name.strip()) and path.is_dir()
    if name == DEFAULT or (is_folder and not (path / "config.json").is_file()):
        return load_efficientnet(_find_packaged(name))
    if path.suffix == ".safetensors":
        check_model_folder(path.parent)
        return timm_models.load_timm_folder(path)
    if is_folder:
        check_model_folder(path)
        is_timm = _is_timm_config(path / "config.json")
        return timm_models.load_timm_folder(path) if is_timm else load_image_text(str(path))
    if timm_models.is_timm_name(name):
        return timm_models.load_timm(name)
    if not _HUB_NAME.fullmatch(name) or name.startswith(timm_models.PREFIX):
        near = timm_models.find_near_names(name) or (DEFAULT,)
        raise VideoError(
            f"{show_line(name)!r} is no encoder that mmreason or timm knows, and no folder; near "
            f"are: {', '.join(near)}"
        )
    if _is_timm_config(timm_models.fetch_file(name, "config.json")):
        return timm_models.load_timm_folder(timm_models.fetch_file(name, "model.safetensors"))
    return load_image_text(name)


def _find_packaged(name: str) -> Path:
    try:
        return find_weights(name)
    except WeightsMissingError as error:
        raise VideoError(str(error)) from error


def _is_timm_config(path: Path) -> bool:
    try:
        config = read_json(path)
    except (JsonInputError, OSError) as error:
        raise VideoError(f"{path}: {error}") from error
    return isinstance(config, dict) and "architecture" in config


def _choose_device(device: str | None) -> str:
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise VideoError(f'device {device!r} is none; give "cpu", "cuda" or "cuda:1"') from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise VideoError(f'device {device!r}: no CUDA device is there; give "cpu" or leave it out')
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if kind == "cuda" and (torch.device(device).index or 0) >= count:
        raise VideoError(f"device {device!r}: there are {count} CUDA devices, counted from 0")
    return device


def _note_slow_numbers(device: str) -> tuple[str, ...]:
    """A note where the device works out bfloat16 by way of float32."""
    if device.startswith("cuda"):
        is_fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device == "cpu":
        # Since torch 2.10.
        abilities = getattr(torch.cpu, "get_capabilities", dict)()
        is_fast = any(abilities.get(key) for key in ("avx512_bf16", "amx_bf16", "bf16"))
    else:
        return ()
    return () if is_fast else (f"{device} has no fast bfloat16: float32 takes less time here",)
