"""Low-rank adapters as one small file that is added to a base model when it is loaded.

Plain torch: who uses an adapter needs none of the libraries that trained it. A weight W with the
factors A (rank, in) and B (out, rank) becomes W + alpha / rank * B A (LoRA, Hu et al. 2021,
equation 3).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
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


@torch.no_grad()
def merge_adapter(model: Any, path: Path, *, base_fingerprint: str) -> str:
    """Add an adapter to the weights of `model` and return a digest of its file.

    UsageError, with the weights as they were, for a file that is none, that is of another base
    model, or whose factors do not fit.
    """
    try:
        with safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            factors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: no adapter can be read from it ({error})") from error
    if notes.get("base_fingerprint") != base_fingerprint:
        raise UsageError(
            f"{path}: the adapter was trained on weights {notes.get('base_fingerprint', '')[:12]}, "
            f"these are {base_fingerprint[:12]}; fetch them again: mmreason weights get"
        )
    # 1. Everything is checked before anything is changed.
    scale = float(notes["scale"])
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
        change = scale * (b.float() @ a.float())
        weight.copy_((weight.float() + change.to(weight.device)).to(weight.dtype))
    return hashlib.sha256(path.read_bytes()).hexdigest()
