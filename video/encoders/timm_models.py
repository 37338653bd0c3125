"""Backbones of timm: by name with weights of the hub, or from a folder. No pickled weights."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import hf_hub_download
from safetensors import SafetensorError
from timm.data.config import resolve_model_data_config
from timm.data.naflex_transforms import get_image_size_for_seq
from timm.models import NaFlexVit

from mmreason.video.encoders.backbone import (
    Backbone,
    FitSize,
    Frames,
    Inputs,
    SizePx,
    check_whole,
    first_line,
)
from mmreason.video.encoders.packed_vit import can_pack, embed_packed, pack_frames
from mmreason.video.encoders.pixels import prepare_pixels
from mmreason.video.encoders.preprocess import FrameRecipe
from mmreason.video.json_input import JsonInputError, read_json
from mmreason.video.plain_text import show_line
from mmreason.video.types import VideoError

PREFIX = "timm/"
_OPEN_CLIP = "open_clip"
_NAMES_SHOWN = 3
_MISSING = re.compile(r"Missing keys \((.*?)\) discovered")
_LEAST_PART = 4
"""Letters of a part of a name, such as "dinov3"."""


def is_timm_name(name: str) -> bool:
    """Whether timm has an architecture of that name, with or without "timm/" and a tag.

    Example:
        >>> is_timm_name("timm/vit_base_patch16_siglip_224.v2_webli"), is_timm_name("gpt2")
        (True, False)
    """
    return timm.is_model(name.removeprefix(PREFIX).split(".")[0])


def find_near_names(name: str) -> tuple[str, ...]:
    """Up to three names with published weights that look like `name`, the nearest first.

    Example:
        >>> find_near_names("timm/efficientnet_bo")
        ('efficientnet_b0', 'efficientnet_b1', 'efficientnet_b2')
    """
    name = name.removeprefix(PREFIX)
    published = timm.list_models(pretrained=True)
    # Without a tag timm takes its default weights, so an architecture alone is a name too.
    choices = {full.split(".")[0] for full in published} | set(published)
    near = get_close_matches(name, choices, 20, cutoff=0.75)
    near.sort(key=lambda choice: (-SequenceMatcher(None, name, choice).ratio(), choice))
    if not near and len(name) >= _LEAST_PART:
        near = [full for full in published if name in full]
    return tuple(near[:_NAMES_SHOWN])


def load_timm(name: str) -> Backbone:
    """The backbone of that name with its published weights, from the hub or its cache. Raises
    VideoError where there are none, or none in safetensors, or the hub cannot be reached."""
    name = name.removeprefix(PREFIX)
    try:
        config = timm.models.get_pretrained_cfg(name)
    except RuntimeError:
        config = None
    if config is None or not config.hf_hub_id:
        published = timm.list_models(f"{name.split('.')[0]}.*", pretrained=True)
        near = (published or find_near_names(name))[:_NAMES_SHOWN]
        raise VideoError(
            f"{name}: timm publishes no weights of that name"
            + (f"; near are: {', '.join(near)}" if near else "")
        )
    file_name = config.hf_hub_filename or ""
    if not file_name.endswith(".safetensors"):
        # Beside what its authors pickled the hub has the same in safetensors.
        is_open_clip = file_name.startswith(_OPEN_CLIP)
        file_name = f"{_OPEN_CLIP}_model.safetensors" if is_open_clip else "model.safetensors"
    path = fetch_file(config.hf_hub_id, file_name)
    return build_backbone(_create(name, name, path), name)


def fetch_file(repository: str, file_name: str) -> Path:
    """A file of the hub, from its cache where it is there. Raises VideoError."""
    try:
        return Path(hf_hub_download(repository, file_name))
    except (OSError, ValueError) as error:
        raise VideoError(
            f"{repository}: {file_name} is not on this machine and cannot be fetched from the hub "
            f"({first_line(error)}); fetch it where the hub can be reached "
            f"(`hf download {repository} --local-dir FOLDER`) and give the folder, or use "
            '"efficientnet-lite0"'
        ) from error


def load_timm_folder(path: Path) -> Backbone:
    """The backbone of a folder with timm's `config.json` and `model.safetensors`, or of another
    safetensors file beside such a config. Raises VideoError."""
    folder, weights = (path, path / "model.safetensors") if path.is_dir() else (path.parent, path)
    try:
        config = read_json(folder / "config.json")
    except (JsonInputError, OSError) as error:
        raise VideoError(f"{folder / 'config.json'}: {error}") from error
    architecture = config.get("architecture") if isinstance(config, dict) else None
    if not isinstance(architecture, str) or not is_timm_name(architecture):
        raise VideoError(
            f"{folder / 'config.json'}: names no architecture of timm, found "
            f"{show_line(repr(architecture))[:100]}"
        )
    if not weights.is_file():
        raise VideoError(
            f"{weights}: is not there; pickled weights are not read, save the model with "
            "timm.models.save_for_hf(model, FOLDER, safe_serialization=True)"
        )
    return build_backbone(_create(f"local-dir:{folder}", str(path), weights), str(path))


def _create(source: str, name: str, weights: Path) -> torch.nn.Module:
    # One file, whatever the config names: timm would else look for pickled ones too.
    overlay = {"source": "", "file": str(weights), "state_dict": None, "custom_load": False}
    try:
        with _read_missing_tensors() as missing:
            model = timm.create_model(
                source, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay
            )
    except (RuntimeError, ValueError, TypeError, KeyError, OSError, SafetensorError) as error:
        raise VideoError(
            f"{name}: {weights.name} does not fit the model of timm {timm.__version__} "
            f"({first_line(error)})"
        ) from error
    check_whole(model, missing, f"{name}: {weights.name}")
    return model


@contextmanager
def _read_missing_tensors() -> Iterator[list[str]]:
    """Names of tensors that timm does not find in the file: it starts those at random, and says so
    in its log alone."""
    missing: list[str] = []

    class Reader(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if listed := _MISSING.match(record.getMessage()):
                missing.extend(listed[1].split(", "))

    log, reader = logging.getLogger("timm.models._builder"), Reader(logging.INFO)
    level, passes_on = log.level, log.propagate
    log.setLevel(logging.INFO)
    log.addHandler(reader)
    # What it says at this level is for us, not for the log of the program.
    log.propagate = False
    try:
        yield missing
    finally:
        log.removeHandler(reader)
        log.setLevel(level)
        log.propagate = passes_on


def build_backbone(model: Any, name: str) -> Backbone:
    """`model` of timm, made with `num_classes=0`, as a backbone. Raises VideoError where it does
    not take RGB."""
    config: dict[str, Any] = resolve_model_data_config(model)
    architecture: str = model.pretrained_cfg["architecture"]
    channels, height, width = config["input_size"]
    if channels != 3:
        raise VideoError(f"{name}: takes {channels} channels, expected 3 (RGB)")
    keep_shape = _keep_shape(model, (height, width)) if isinstance(model, NaFlexVit) else None
    recipe = _read_recipe(config, name, keep_shape)
    settings = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")
    packing = model if can_pack(model) else None

    def prepare_frames(frames: Frames, size_px: SizePx, device: torch.device) -> Inputs:
        if packing is not None:
            return pack_frames(frames, recipe, device)
        return {"pixels": prepare_pixels(frames, recipe, device)}

    def embed_frames(inputs: Inputs) -> torch.Tensor:
        return model(inputs["pixels"]) if packing is None else embed_packed(packing, inputs)

    def fit_size(frame_height: int, frame_width: int) -> SizePx:
        if keep_shape is None or packing is not None:
            return height, width
        return keep_shape(frame_height, frame_width)

    return Backbone(
        name=name,
        model=model,
        size_px=(height, width),
        fit_size=fit_size,
        prepare_frames=prepare_frames,
        embed_frames=embed_frames,
        # With the arguments that it was made with, such as the number of heads.
        architecture=json.dumps(
            [architecture, getattr(model, "_model_args", {})],
            sort_keys=True,
            default=str,
        ),
        recipe=json.dumps([config[key] for key in settings]),
    )


def _read_recipe(config: dict[str, Any], name: str, keep_shape: FitSize | None) -> FrameRecipe:
    """timm's own evaluation transform, from the `config` of the weights."""
    _, height, width = config["input_size"]
    resample, crop_mode = config["interpolation"], config["crop_mode"]
    if resample not in ("bicubic", "bilinear"):
        raise VideoError(f"{name}: resizes by {resample!r}, expected 'bicubic' or 'bilinear'")
    if crop_mode == "border" or (crop_mode == "center" and height != width):
        raise VideoError(f"{name}: crops by {crop_mode!r} to {height}x{width}, which is not read")
    # Larger by so much, of which the middle is cut out.
    scaled_px = tuple(math.floor(side / config["crop_pct"]) for side in (height, width))

    def size(count: int, frame_height: int, frame_width: int) -> SizePx:
        if keep_shape is not None:
            return keep_shape(frame_height, frame_width)
        if crop_mode == "squash":
            return scaled_px[0], scaled_px[1]
        shorter = min(frame_height, frame_width)
        return scaled_px[0] * frame_height // shorter, scaled_px[1] * frame_width // shorter

    return FrameRecipe(
        mean=_triple(config["mean"]),
        std=_triple(config["std"]),
        size=size,
        resample=resample,
        crop_px=None if keep_shape else (height, width),
    )


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue


def _keep_shape(model: NaFlexVit, size_px: SizePx) -> FitSize:
    """Sizes of whole patches in the shape of the frame, of at most as many as `size_px` holds."""
    patch_px = model.get_patch_size()
    most_patches = (size_px[0] // patch_px[0]) * (size_px[1] // patch_px[1])

    def fit_size(height: int, width: int) -> SizePx:
        _, (fit_height, fit_width) = get_image_size_for_seq(
            (height, width), patch_size=patch_px, max_seq_len=most_patches
        )
        return fit_height, fit_width

    return fit_size
