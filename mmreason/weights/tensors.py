"""Turns files of PyTorch and GGUF into safetensors. Nothing is unpickled.

A `.pth` of a pinned package is a known file: a table (`layouts/NAME.json`) says where the numbers
of each tensor lie in it, their type and shape, and in which order they are stored where that is not
C order. Only those numbers are read; the pickle between them is skipped.
"""

from __future__ import annotations

import importlib.util
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

_TYPES = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}


class ConversionError(ValueError):
    """Weights cannot be converted. The message says what is missing or wrong."""


Layout = dict[str, list[Any]]
"""By tensor: type ("F32", "I64"), shape, offset in bytes, and strides where not in C order."""


def read_layout(name: str) -> Layout:
    """The packaged table of the weights called `name`."""
    path = resources.files("mmreason.weights") / "layouts" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def convert_by_table(layout: Layout, source: Path, target: Path) -> None:
    """Write the tensors that `layout` places in `source` as safetensors to `target`.
    ConversionError where one lies beyond the end of the file."""
    from safetensors.numpy import save_file

    data = source.read_bytes()
    save_file({key: _read_tensor(data, key, *row) for key, row in layout.items()}, target)


def _read_tensor(
    data: bytes,
    key: str,
    type_name: str,
    shape: list[int],
    offset: int,
    strides: list[int] | None = None,
) -> np.ndarray:
    """One tensor in C order; `strides` count elements."""
    dtype = _TYPES[type_name]
    count = int(np.prod(shape, dtype=np.int64))
    if offset + count * dtype.itemsize > len(data):
        raise ConversionError(f"{key} lies beyond the end of the file: it is not the one expected")
    numbers = np.frombuffer(data, dtype, count, offset)
    if strides is None:
        return numbers.reshape(shape)
    in_bytes = [stride * dtype.itemsize for stride in strides]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(numbers, shape, in_bytes))


def convert_gguf(source: Path, target_folder: Path) -> None:
    """Write a language model of `source` (GGUF) as bfloat16 safetensors with its tokenizer."""
    # transformers reads GGUF through this package, and its own message names no extra of ours.
    if importlib.util.find_spec("gguf") is None:
        raise ConversionError(
            'a GGUF file needs the extra reader; in the clone of mmreason: pip install ".[reader]"'
        )
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, name = str(source.parent), source.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name, trust_remote_code=False)
    quantised = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.bfloat16, trust_remote_code=False
    )
    config = quantised.config
    # What was read is no longer quantised; with this entry transformers refuses to save it.
    vars(config).pop("quantization_config", None)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(quantised.state_dict())
    model.save_pretrained(target_folder)
    tokenizer.save_pretrained(target_folder)
