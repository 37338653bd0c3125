"""KV cache: which models can have one, and memory of ours to lay it out in.

What is put into it is in `prefill.py` and `decode.py`, what is cached from it in `prefix_cache.py`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from mmreason.training.generation.prefix_cache import CachedPrefix
from mmreason.training.rollouts.inputs import unwrap_adapter

_TRIED_ATTENTION = ("sdpa", "eager")
_LENGTH_DEPENDENT_ROPE = ("dynamic", "longrope")
"""Positions that are coded anew for all tokens when a sequence grows."""


class CacheUnsupportedError(Exception):
    """What the model holds after reading is not one key and value a token. Says how."""


def why_uncacheable(model: Any) -> str:
    """Why nothing of what this model reads can be cached; empty where it can."""
    base = unwrap_adapter(model)
    adapter = getattr(model, "active_peft_config", None)
    if getattr(adapter, "is_prompt_learning", False):
        return "its adapter puts tokens of its own before every prompt"
    if getattr(base.config, "is_encoder_decoder", False):
        return "it is an encoder with a decoder"
    # A model that swallows these in `**kwargs` would ignore them without a word.
    needed = {"position_ids", "attention_mask", _cache_argument(type(base)), "logits_to_keep"}
    missing = needed - set(inspect.signature(base.forward).parameters)
    if missing:
        return f"its forward pass does not name {', '.join(sorted(missing))}"
    try:
        layers = DynamicCache(config=base.config).layers
    except (AttributeError, KeyError) as error:
        return f"transformers has no plain cache for it ({type(error).__name__}: {error})"
    # Sliding windows and states forget tokens: what they hold cannot be cut and joined.
    odd = sorted({type(layer).__name__ for layer in layers} - {DynamicLayer.__name__})
    if odd or not layers or getattr(base, "_is_stateful", False):
        return f"it does not keep one key and value a token ({', '.join(odd) or 'states'})"
    # Such codes turn the keys of earlier tokens anew once a sequence grows.
    rope = str(getattr(base.config.get_text_config(decoder=True), "rope_parameters", None))
    if any(kind in rope for kind in _LENGTH_DEPENDENT_ROPE):
        return "its code of positions changes with the length of a sequence"
    attention = base.config._attn_implementation
    if attention not in _TRIED_ATTENTION:
        return f"tried with attention by {' or '.join(_TRIED_ATTENTION)} only, not {attention!r}"
    return ""


@lru_cache
def _cache_argument(model_class: Any) -> str:
    """What the forward pass of a class calls its cache: `past_key_values` until transformers
    5.23."""
    names = inspect.signature(model_class.forward).parameters
    return "cache" if "cache" in names else "past_key_values"


def can_cache_frames(model: Any) -> bool:
    """Whether the model tells by how much positions are shifted behind frames (Qwen-VL families):
    what it read of them can then be gone on from."""
    return hasattr(getattr(unwrap_adapter(model), "model", None), "rope_deltas")


@dataclass(frozen=True, slots=True, eq=False)
class PrefilledPrompt:
    """A prompt that the model has read."""

    key: bytes
    """Of the prefix cache."""
    prefix: CachedPrefix
    next_logits: Tensor
    """(V,) of the token that comes next."""


def forward_last(model: Any, cache: Any, **inputs: Tensor) -> Tensor:
    """(B, V) logits behind the last token of each row; `cache` grows by what is read."""
    on_device = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    with_cache = {_cache_argument(type(unwrap_adapter(model))): cache}
    output = model(**on_device, **with_cache, use_cache=True, logits_to_keep=1)
    return output.logits[:, -1]


class _BufferLayer(DynamicLayer):
    """Keys and values of a layer as a view of a buffer: a step copies one token."""

    def __init__(self, buffer: Tensor, filled: int):
        super().__init__()
        self._buffer = buffer  # (2, B, heads, columns, head width)
        self.dtype, self.device, self.is_initialized = buffer.dtype, buffer.device, True
        self._view_first(filled)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """See `DynamicLayer`."""
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        self._buffer[0, :, :, start:end] = key_states
        self._buffer[1, :, :, start:end] = value_states
        return self._view_first(end)

    def _view_first(self, columns: int) -> tuple[Tensor, Tensor]:
        self.keys = self._buffer[0, :, :, :columns]
        self.values = self._buffer[1, :, :, :columns]
        return self.keys, self.values


def wrap_buffer(buffer: Tensor, filled: int) -> DynamicCache:
    """A cache of transformers over a buffer whose first `filled` columns are filled."""
    cache = DynamicCache()
    cache.layers.extend(_BufferLayer(layer, filled) for layer in buffer)
    return cache


class KVBuffer:
    """Memory that one batch after the other is laid out in: a CPU takes longer to get new pages
    than to copy into old ones."""

    def __init__(self) -> None:
        self._flat: Tensor | None = None

    def lay_out(
        self,
        prefixes: Sequence[CachedPrefix | None],
        lengths: Sequence[int],
        filled: int,
        columns: int,
    ) -> Tensor:
        """(layers, 2, B, heads, columns, head width): the first `lengths[b]` tokens of each prefix,
        on the right of the first `filled` columns. Zero before them: what is masked must be finite.
        Valid until the next call."""
        states = next(prefix for prefix in prefixes if prefix is not None).states
        layers, two, heads, _, width = states.shape
        buffer = self._take((layers, two, len(prefixes), heads, columns, width), states)
        for row, (prefix, length) in enumerate(zip(prefixes, lengths, strict=True)):
            buffer[:, :, row, :, : filled - length] = 0
            if prefix is not None:
                buffer[:, :, row, :, filled - length : filled] = prefix.states[:, :, :, :length]
        return buffer

    def _take(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        count = math.prod(shape)
        if self._flat is None or self._flat.numel() < count or self._flat.dtype != like.dtype:
            self._flat = None  # freed before the new one is made
            spare = count // 2 if like.device.type == "cpu" else 0  # untouched it costs nothing
            self._flat = like.new_empty(count + spare)
        return self._flat[:count].view(shape)


def stack_states(cache: Any) -> Tensor:
    """(layers, 2, B, heads, tokens, head width) of what a cache holds. CacheUnsupportedError where
    layers differ or hold nothing."""
    pairs = [(layer.keys, layer.values) for layer in cache.layers]
    tensors = [tensor for pair in pairs for tensor in pair]
    if not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise CacheUnsupportedError("some of its layers keep nothing")
    if len({(tensor.shape, tensor.device, tensor.dtype) for tensor in tensors}) > 1:
        raise CacheUnsupportedError("its layers differ in shape or device")
    return torch.stack([torch.stack(pair) for pair in pairs])
