"""Low-rank adapters as one small file that is added to a base model when it is loaded.

Plain torch: who uses an adapter needs none of the libraries that trained it. A weight W with the
factors A (rank, in) and B (out, rank) becomes W + alpha / rank * B A (LoRA, Hu et al. 2021,
equation 3).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmreason.types import UsageError

_TRAINED = re.compile(r"(?:^|\.)base_model\.model\.(.+)\.lora_([AB])\.default\.weight$")
"""Names of factors in checkpoints of peft."""
_STORED = re.compile(r"^(.+)\.lora_([AB])$")


def write_adapter(
    path: Path, trained: Mapping[str, Tensor], *, alpha: float, base_fingerprint: str
) -> int:
    """Write the factors among `trained` (tensors by their names in a checkpoint) in bfloat16, and
    return the bytes of the file. UsageError where there are none.

    Example::

        tensors = load_file("run/checkpoints/step-000300/model.safetensors")
        write_adapter(Path("adapter.safetensors"), tensors, alpha=16, base_fingerprint="5f...")
    """
    factors = {
        f"{match[1]}.lora_{match[2]}": tensor.to(torch.bfloat16).contiguous()
        for name, tensor in trained.items()
        if (match := _TRAINED.search(name))
    }
    if not factors:
        raise UsageError(f"{path}: the checkpoint holds no adapter; train with weights.lora")
    rank = next(t.shape[0] for name, t in factors.items() if name.endswith("A"))
    scale = alpha / rank
    save_file(factors, path, {"scale": repr(scale), "base_fingerprint": base_fingerprint})
    return path.stat().st_size


@dataclass(frozen=True, slots=True)
class Adapter:
    """Factors by the names of their modules with ".lora_A" or ".lora_B" behind, what their product
    is multiplied with, and the fingerprint of the weights that they were trained on.

    Example:
        >>> Adapter({}, 2.0, "5f").scale
        2.0
    """

    factors: Mapping[str, Tensor]
    scale: float
    base_fingerprint: str


def read_adapter(path: Path, *, base_fingerprint: str) -> Adapter:
    """The adapter in a file. UsageError for a file that is none, and for one of another base."""
    try:
        with safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            factors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        adapter = Adapter(factors, float(notes["scale"]), notes["base_fingerprint"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UsageError(f"{path}: no adapter can be read from it ({error})") from error
    if adapter.base_fingerprint != base_fingerprint:
        raise UsageError(
            f"{path}: the adapter was trained on weights {adapter.base_fingerprint[:12]}, these "
            f"are {base_fingerprint[:12]}; fetch them again: mmreason weights get"
        )
    return adapter


def load_factors(model: Any, adapter: Adapter) -> None:
    """Put the factors into a model that peft gave adapters of the same shape, to train on from
    them. UsageError where one does not fit."""
    waiting = dict(adapter.factors)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if (match := _TRAINED.search(name)) is None:
                continue
            factor = waiting.pop(f"{match[1]}.lora_{match[2]}", None)
            if factor is None or factor.shape != parameter.shape:
                raise UsageError(f"the adapter has no factor that fits {name}")
            parameter.copy_(factor)
    if waiting:
        raise UsageError(f"the model has no place for {next(iter(waiting))}")


@torch.no_grad()
def merge_adapter(model: Any, path: Path, *, base_fingerprint: str) -> str:
    """Add an adapter to the weights of `model` and return a digest of its file.

    UsageError, with the weights as they were, for a file that is none, that is of another base
    model, or whose factors do not fit.
    """
    adapter = read_adapter(path, base_fingerprint=base_fingerprint)
    # 1. Everything is checked before anything is changed.
    factors = adapter.factors
    modules = dict(model.named_modules())
    pairs: list[tuple[Tensor, Tensor, Tensor]] = []
    for name in sorted(factors):
        match = _STORED.match(name)
        if match is None:
            raise UsageError(f"{path}: {name!r} is no factor of an adapter")
        if match[2] == "B":
            continue
        module, a, b = modules.get(match[1]), factors[name], factors.get(f"{match[1]}.lora_B")
        weight = getattr(module, "weight", None)
        if b is None or weight is None or (b.shape[0], a.shape[1]) != tuple(weight.shape):
            raise UsageError(f"{path}: the factors of {match[1]!r} do not fit the model")
        pairs.append((weight, a, b))
    # 2. In float32, whatever the weights are kept in.
    for weight, a, b in pairs:
        change = adapter.scale * (b.float() @ a.float())
        weight.copy_((weight.float() + change.to(weight.device)).to(weight.dtype))
    return hashlib.sha256(path.read_bytes()).hexdigest()
