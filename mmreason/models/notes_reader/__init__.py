"""The packaged reader of notes: an adapter on SmolLM2-135M-Instruct, taught by
`mmreason.training.reader` to answer from timed notes. See `card.md`."""

from __future__ import annotations

import copy
from pathlib import Path

from mmreason.models.adapter_file import merge_adapter
from mmreason.models.hf import TransformersModel

ADAPTER = Path(__file__).resolve().parent / "adapter.safetensors"


def add_to_base(base: TransformersModel, adapter: Path, *, name: str) -> TransformersModel:
    """The base model with an adapter merged into its weights, which change in place, under a new
    name. UsageError where the adapter does not fit."""
    digest = merge_adapter(base.model, adapter, base_fingerprint=base.fingerprint)
    reader = copy.copy(base)
    reader.name, reader.fingerprint = name, f"{base.fingerprint}+{digest[:16]}"
    return reader
