"""Weights and processor of a Hugging Face model, from a folder, the local cache or the hub."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from mmreason.models.folders import PACKAGED, locate_weights, weights_folder
from mmreason.models.hf_settings import is_small, progress_bars
from mmreason.models.hf_text import reads_text_only
from mmreason.models.options import ModelOptions
from mmreason.models.vision_cache import VisionFeatureCache
from mmreason.video.encoders.attention import PACKED_ATTENTION, pack_vision_towers

VISION_CACHE_MB = 256
"""Memory for the features of frames: a second question about a clip does not look at it again."""


@dataclass(frozen=True, slots=True)
class LoadedWeights:
    """A model of transformers, its processor (a tokenizer where it reads text only), and the folder
    that they came from."""

    model: Any
    processor: Any
    folder: Path


def load_weights(
    name_or_path: str,
    *,
    device_map: str | dict[str, int | str] | None,
    dtype: str,
    attn_implementation: str,
    options: ModelOptions,
) -> LoadedWeights:
    """See `mmreason.models.load`. Raises UsageError, or whatever the readers of files raise."""
    source, only_local = locate_weights(name_or_path)
    settings = {"local_files_only": only_local, "trust_remote_code": False}
    packs = attn_implementation in ("auto", PACKED_ATTENTION)
    with progress_bars(name_or_path not in PACKAGED and sys.stderr.isatty()):
        is_text = reads_text_only(source, local_files_only=only_local)
        kind = AutoModelForCausalLM if is_text else AutoModelForImageTextToText
        reader = AutoTokenizer if is_text else AutoProcessor
        processor = reader.from_pretrained(source, **settings)
        model: Any = kind.from_pretrained(
            source,
            use_safetensors=True,
            device_map=device_map,
            dtype=dtype,
            attn_implementation="sdpa" if packs else attn_implementation,
            **settings,
        )
    if dtype == "auto" and model.device.type == "cpu" and is_small(model):
        # Many processors have no arithmetic for bfloat16 and take several times as long.
        model.float()
    if packs:
        pack_vision_towers(model)
    cache_mb = VISION_CACHE_MB if options.vision_cache_mb is None else options.vision_cache_mb
    VisionFeatureCache.attach(model, cache_mb * 2**20, is_trainable=True)
    return LoadedWeights(model, processor, weights_folder(source))
