"""Finds kernels of flash-attn and of torch without importing what is not there.

Three generations of flash-attn share names: the wheel of the second carries an old copy of the
fourth (`flash_attn/cute`), so that a folder says nothing; what was installed as what does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch

FlashBackend = Literal["flash4", "flash3", "flash2", "varlen"]
FLASH_BACKENDS: tuple[FlashBackend, ...] = ("flash3", "flash4", "varlen", "flash2")
"""In the order in which they are taken: made for the newest cards first."""

_HALF = (torch.float16, torch.bfloat16)
_MOST_HEAD_DIM = 256
_FLASH4_HEAD_DIMS = (64, 96, 128)
_CLONE = "in the clone of mmreason: pip install"
INSTALL: dict[FlashBackend, str] = {
    "flash2": f'{_CLONE} ".[flash]" (flash-attn 2, compiles where no wheel fits)',
    "flash3": "build flash-attn 3 from `hopper/` of its repository",
    "flash4": "pip install flash-attn-4",
    "varlen": "pip install -U torch torchvision",
}
"""What to do where a kernel is not there."""


def explain_gap(
    backend: FlashBackend, device: torch.device, dtype: torch.dtype, head_dims: tuple[int, int]
) -> str:
    """Why a kernel cannot compute this: "" where it can.

    `head_dims` are those of key and value.
    """
    if device.type != "cuda":
        return f"{backend} needs CUDA"
    if dtype not in _HALF:
        return f"{backend} computes in float16 and bfloat16, not {str(dtype).split('.')[-1]}"
    if head_dims[0] != head_dims[1] or head_dims[0] % 8 or head_dims[0] > _MOST_HEAD_DIM:
        return f"{backend} needs one head_dim, a multiple of 8 up to 256, got {head_dims}"
    if backend == "flash4" and head_dims[0] not in _FLASH4_HEAD_DIMS:
        return f"flash4 is made for a head_dim of 64, 96 or 128, got {head_dims[0]}"
    generation = torch.cuda.get_device_capability(device)[0]
    if backend == "flash3" and generation != 9:
        return f"flash3 is made for Hopper (9.x), the card has {generation}.x"
    if backend == "flash4" and generation < 9:
        return f"flash4 is made for Hopper and Blackwell, the card has {generation}.x"
    if backend in ("flash2", "varlen") and generation < 8:
        return f"{backend} needs Ampere (8.x) or newer, the card has {generation}.x"
    kernel = find_kernel(backend)
    return kernel if isinstance(kernel, str) else ""


@cache
def find_kernel(backend: FlashBackend) -> Callable[..., torch.Tensor | tuple] | str:
    """The function, or why there is none."""
    if backend == "varlen":
        return _find_varlen()
    package, module, function = {
        "flash2": ("flash-attn", "flash_attn", "flash_attn_varlen_func"),
        "flash3": ("", "flash_attn_interface", "flash_attn_varlen_func"),
        "flash4": ("flash-attn-4", "flash_attn.cute", "flash_attn_varlen_func"),
    }[backend]
    # The top folder only: a search for a module inside imports it.
    if find_spec(module.split(".")[0]) is None:
        return f"{backend} is not installed"
    if package:
        try:
            installed = metadata.distribution(package)
        except metadata.PackageNotFoundError:
            return f"{backend} is not installed"
        if backend == "flash4" and _is_overwritten(installed):
            return "flash4 lies under the old copy that flash-attn 2 brought: install it last"
    try:
        return getattr(import_module(module), function)
    # A kernel built for another torch fails in any way while it loads.
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return f"{backend} does not load: {reason[0][:200]}"


def _find_varlen() -> Callable[..., torch.Tensor | tuple] | str:
    if find_spec("torch.nn.attention.varlen") is None:
        return f"torch {torch.__version__} has no varlen_attn"
    kernel = import_module("torch.nn.attention.varlen").varlen_attn
    missing = {"scale", "enable_gqa"} - set(inspect.signature(kernel).parameters)
    if missing:
        return f"varlen_attn of torch {torch.__version__} takes no {', '.join(sorted(missing))}"
    return kernel


def _is_overwritten(flash4: metadata.Distribution) -> bool:
    """Whether the files of flash-attn-4 are not those that it was installed with."""
    for file in flash4.files or ():
        if file.as_posix() == "flash_attn/cute/interface.py" and file.size is not None:
            path = Path(str(file.locate()))
            return not path.is_file() or path.stat().st_size != file.size
    return False
