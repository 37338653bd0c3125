"""Caches of keys and values whose memory is ours: for which models they can be, and how they look.

Leaves out what is put into them (`reading.py`, `writing.py`) and what is kept of it (`kept.py`).
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

from mmreason.training.generation.prefix_cache import Stretch

_ATTENTION = ("sdpa", "eager")
_REACHING_BACK = ("dynamic", "longrope")
"""Positions that are coded anew for all tokens when a sequence grows."""


class CannotKeepError(Exception):
    """What the model holds after reading is not one key and value a token. Says how."""


def hindrance(model: Any) -> str:
    """Why nothing can be kept of what this model reads; empty where it can."""
    base = base_of(model)
    peft = getattr(model, "active_peft_config", None)
    if getattr(peft, "is_prompt_learning", False):
        return "its adapter puts tokens of its own before every prompt"
    if getattr(base.config, "is_encoder_decoder", False):
        return "it is an encoder with a decoder"
    needed = {"position_ids", "attention_mask", _cache_name(type(base)), "logits_to_keep"}
    missing = needed - set(inspect.signature(base.forward).parameters)
    if missing:
        return f"its forward pass does not name {', '.join(sorted(missing))}"
    try:
        layers = DynamicCache(config=base.config).layers
    except (AttributeError, KeyError) as error:
        return f"transformers has no plain cache for it ({type(error).__name__}: {error})"
    odd = sorted({type(layer).__name__ for layer in layers} - {DynamicLayer.__name__})
    if odd or not layers or getattr(base, "_is_stateful", False):
        return f"it does not keep one key and value a token ({', '.join(odd) or 'states'})"
    positions = str(getattr(base.config.get_text_config(decoder=True), "rope_parameters", None))
    if any(kind in positions for kind in _REACHING_BACK):
        return "its code of positions changes with the length of a sequence"
    attention = base.config._attn_implementation
    if attention not in _ATTENTION:
        return f"tried with attention by {' or '.join(_ATTENTION)} only, not {attention!r}"
    return ""


@lru_cache
def _cache_name(kind: Any) -> str:
    """What the forward pass of a class calls its cache: `past_key_values` until transformers
    5.23."""
    return "cache" if "cache" in inspect.signature(kind.forward).parameters else "past_key_values"


def reads_frames(model: Any) -> bool:
    """Whether the model tells by how much positions are shifted behind frames (Qwen-VL families):
    what it read of them can then be gone on from."""
    return hasattr(getattr(base_of(model), "model", None), "rope_deltas")


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """A prompt that has been read, and the scores (V,) of what comes next."""

    key: bytes
    stretch: Stretch
    scores: Tensor


def forward(model: Any, cache: Any, **inputs: Tensor) -> Tensor:
    """Scores (B, V) of what follows the last token of each row; `cache` grows by what is read."""
    moved = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    held = {_cache_name(type(base_of(model))): cache}
    out = model(**moved, **held, use_cache=True, logits_to_keep=1)
    return out.logits[:, -1]


class _Layer(DynamicLayer):
    """Keys and values of a layer in memory that is there already: a step copies one token."""

    def __init__(self, room: Tensor, tokens: int):
        super().__init__()
        self._room = room  # (2, B, heads, tokens, width)
        self.dtype, self.device, self.is_initialized = room.dtype, room.device, True
        self._show(tokens)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """See `DynamicLayer`."""
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        self._room[0, :, :, before:after] = key_states
        self._room[1, :, :, before:after] = value_states
        return self._show(after)

    def _show(self, tokens: int) -> tuple[Tensor, Tensor]:
        self.keys, self.values = self._room[0, :, :, :tokens], self._room[1, :, :, :tokens]
        return self.keys, self.values


def cache_over(room: Tensor, tokens: int) -> DynamicCache:
    """A cache whose first `tokens` places are filled."""
    cache = DynamicCache()
    cache.layers.extend(_Layer(layer, tokens) for layer in room)
    return cache


class Desk:
    """Memory that one batch after the other is laid out in: a CPU takes longer to get new pages
    than to copy into old ones."""

    def __init__(self) -> None:
        self._flat: Tensor | None = None

    def room(
        self, stretches: Sequence[Stretch | None], starts: Sequence[int], width: int, whole: int
    ) -> Tensor:
        """(layers, 2, B, heads, whole, width of a head): the first `starts` tokens of each stretch,
        up to place `width`. Zero before them: what is masked must be finite. Good until the next.
        """
        some = next(one for one in stretches if one is not None).states
        layers, two, heads, _, size = some.shape
        room = self._take((layers, two, len(stretches), heads, whole, size), some)
        for row, (one, start) in enumerate(zip(stretches, starts, strict=True)):
            room[:, :, row, :, : width - start] = 0
            if one is not None:
                room[:, :, row, :, width - start : width] = one.states[:, :, :, :start]
        return room

    def _take(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        count = math.prod(shape)
        if self._flat is None or self._flat.numel() < count or self._flat.dtype != like.dtype:
            self._flat = None  # before the new one is made
            spare = count // 2 if like.device.type == "cpu" else 0  # untouched it costs nothing
            self._flat = like.new_empty(count + spare)
        return self._flat[:count].view(shape)


def states_of(cache: Any) -> Tensor:
    """What a cache holds, as in `_room`."""
    pairs = [(layer.keys, layer.values) for layer in cache.layers]
    tensors = [tensor for pair in pairs for tensor in pair]
    if not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise CannotKeepError("some of its layers keep nothing")
    if len({(tensor.shape, tensor.device, tensor.dtype) for tensor in tensors}) > 1:
        raise CannotKeepError("its layers differ in shape or device")
    return torch.stack([torch.stack(pair) for pair in pairs])


def base_of(model: Any) -> Any:
    """The model itself, adapters in it or not."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
