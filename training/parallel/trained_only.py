"""Checkpoints of whole models without frozen weights: those are what the run began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import Accelerator

from mmreason.types import UsageError


def train_only_hooks(accelerator: Accelerator) -> None:
    """Leave frozen weights out of checkpoints: they are those the run began with."""

    def on_save(models: list[Any], weights: list[dict[str, Any]], _: str) -> None:
        for model, state in zip(models, weights, strict=False):
            trained = {
                n for n, p in accelerator.unwrap_model(model).named_parameters() if p.requires_grad
            }
            for name in [name for name in state if name not in trained]:
                del state[name]

    def on_load(models: list[Any], folder: str) -> None:
        from safetensors.torch import load_file

        while models:
            model = accelerator.unwrap_model(models.pop())
            found = load_file(str(Path(folder) / "model.safetensors"))
            missing, strange = model.load_state_dict(found, strict=False)
            trained = {name for name, p in model.named_parameters() if p.requires_grad}
            if strange or trained & set(missing):
                raise UsageError(f"{folder}: holds other weights than this recipe trains")

    accelerator.register_save_state_pre_hook(on_save)
    accelerator.register_load_state_pre_hook(on_load)
