"""Image-text models of transformers (CLIP, SigLIP, SigLIP 2), by hub name or folder."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoProcessor
from transformers.models.siglip2.image_processing_siglip2 import get_image_size_for_max_num_patches

from mmreason.video.encoders.backbone import (
    Backbone,
    Frames,
    Inputs,
    SizePx,
    TextTower,
    check_whole,
    first_line,
)
from mmreason.video.encoders.pixels import prepare_pixels
from mmreason.video.encoders.preprocess import FrameRecipe, recipe_of
from mmreason.video.plain_text import show_line
from mmreason.video.types import VideoError

_PARTS = ("get_image_features", "get_text_features", "logit_scale")
_PROCESSOR_PARTS = ("image_processor", "tokenizer")


def load_image_text(name: str) -> Backbone:
    """The model of a hub or a folder with its two towers. Raises VideoError where it cannot be
    loaded from safetensors or does not compare pictures with text."""
    try:
        # Only safetensors, and none of the folder's own code: nothing is run.
        model, loaded = AutoModel.from_pretrained(
            name, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
        processor: Any = AutoProcessor.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise VideoError(
            f"{name}: cannot be loaded as an image model ({first_line(error)}); give "
            '"efficientnet-lite0", a folder with config.json, or a name on a hub that can be '
            "reached"
        ) from error
    check_whole(model, loaded["missing_keys"], name)
    has_towers = all(hasattr(model, part) for part in _PARTS)
    if not has_towers or not all(hasattr(processor, part) for part in _PROCESSOR_PARTS):
        raise VideoError(
            f"{name}: is {type(model).__name__}, which does not compare pictures with text; give a "
            "CLIP or SigLIP model"
        )
    return build_backbone(model, processor.image_processor, processor.tokenizer, name)


def build_backbone(model: Any, images: Any, tokenizer: Any | None, name: str) -> Backbone:
    """`model` of transformers with its image processor as a backbone; with its tokenizer it reads
    text too."""
    recipe = recipe_of(images)
    patch_px, most_patches = _read_patches(images)
    side_px = patch_px * math.isqrt(most_patches) or model.config.vision_config.image_size

    def fit_size(height: int, width: int) -> SizePx:
        if most_patches:
            return get_image_size_for_max_num_patches(height, width, patch_px, most_patches)
        return side_px, side_px

    def prepare_frames(frames: Frames, size_px: SizePx, device: torch.device) -> Inputs:
        if isinstance(recipe, FrameRecipe):
            return {"pixel_values": prepare_pixels(frames, recipe, device)}
        # The layout is named because that of a crop three pixels high could be guessed wrong.
        inputs = images(images=list(frames), input_data_format="channels_last", return_tensors="pt")
        if most_patches:
            # All have one grid: what was padded to the most patches is cut off again.
            patches = (size_px[0] // patch_px) * (size_px[1] // patch_px)
            for key in ("pixel_values", "pixel_attention_mask"):
                inputs[key] = inputs[key][:, :patches]
        return dict(inputs)

    logit_bias = getattr(model, "logit_bias", None)
    return Backbone(
        name=name,
        model=model,
        size_px=(side_px, side_px),
        fit_size=fit_size,
        prepare_frames=prepare_frames,
        embed_frames=lambda inputs: _unwrap(model.get_image_features(**inputs)),
        notes=()
        if isinstance(recipe, FrameRecipe)
        else (f"frames are prepared by the model's own processor: {recipe.reason}",),
        architecture=_describe_architecture(model.config),
        recipe=json.dumps(images.to_dict(), sort_keys=True, default=str),
        text_tower=None if tokenizer is None else _build_text_tower(model, tokenizer, name),
        logit_scale=float(model.logit_scale.detach().exp()),
        logit_bias=None if logit_bias is None else float(logit_bias.detach()),
    )


def _describe_architecture(config: Any) -> str:
    """The config without what names a place or a release."""
    towers = [config.vision_config, config.text_config]
    values = [tower.to_dict() for tower in towers]
    for value in values:
        for key in ("_name_or_path", "transformers_version", "dtype"):
            value.pop(key, None)
    return json.dumps([config.model_type, *values], sort_keys=True, default=str)


def _build_text_tower(model: Any, tokenizer: Any, name: str) -> TextTower:
    most_tokens = model.config.text_config.max_position_embeddings
    # SigLIP learned from sentences padded to full length, without a mask.
    has_mask = "siglip" not in model.config.model_type
    return TextTower(
        prepare=lambda texts: _tokenise(tokenizer, texts, most_tokens, has_mask, name),
        embed=lambda inputs: _unwrap(model.get_text_features(**inputs)),
    )


def _read_patches(image_processor: Any) -> tuple[int, int]:
    """(side of a patch in pixels, the most of them) of one that keeps the shape of frames
    (SigLIP 2 NaFlex), else (0, 0)."""
    most_patches = getattr(image_processor, "max_num_patches", None)
    return (image_processor.patch_size, most_patches) if most_patches else (0, 0)


def _tokenise(
    tokenizer: Any, texts: Sequence[str], most_tokens: int, has_mask: bool, name: str
) -> Inputs:
    # Always to full length: then a text means the same in any batch.
    tokens = tokenizer(
        list(texts), padding="max_length", max_length=most_tokens, return_attention_mask=True
    )
    for text, row in zip(texts, tokens["input_ids"], strict=True):
        if len(row) > most_tokens:
            raise VideoError(
                f"{name} reads texts of at most {most_tokens} tokens, got {len(row)} in "
                f"{show_line(text)[:60]!r}...; shorten it"
            )
    keys = ("input_ids", "attention_mask") if has_mask else ("input_ids",)
    return {key: torch.tensor(tokens[key]) for key in keys}


def _unwrap(features: Any) -> torch.Tensor:
    # Newer releases of transformers wrap what they return.
    return getattr(features, "pooler_output", features)
