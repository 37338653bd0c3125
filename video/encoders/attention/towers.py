"""Gives packed attention to models of transformers.

Vision towers of the Qwen-VL, GLM-V and like families have a branch for flash attention, which makes
one call with the bounds of all sequences, and one for everything else, which calls once a
sequence. The branch is taken by name: whatever has "flash" in it. So the name that users give is
settled where attention is called first: into one with "flash" on the configuration of towers that
know the bounds, into "sdpa" wherever a model brings masks, caches or causality. There are models
that ask for that very name before they leave out a mask.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from mmreason.video.encoders.attention.choose import choose_backend
from mmreason.video.encoders.attention.packed import packed_attention
from mmreason.video.encoders.attention.types import AttentionChoice
from mmreason.video.types import VideoError

PACKED_ATTENTION = "mmreason_packed"
"""The name for `attn_implementation=`."""
_TOWER_ATTENTION = "mmreason_packed_flash"
"""What the configuration of a packed tower says: "flash" leads into the branch of one call."""
_SCORE_SETTINGS = ("position_bias", "softcap", "sliding_window", "s_aux")
"""What models of transformers may ask of attention beyond the formula."""


@dataclass(frozen=True, slots=True)
class PackedTowers:
    """Which parts of a model make one call for all of their sequences.

    Example:
        >>> choice = AttentionChoice("varlen", "cuda: one call")
        >>> print(PackedTowers(classes=("Qwen3VLVisionAttention",), choice=choice))
        Qwen3VLVisionAttention: varlen (cuda: one call)
        >>> print(PackedTowers(classes=(), choice=None))
        no part of the model packs sequences
    """

    classes: tuple[str, ...]
    """Classes of their attention, as transformers names them."""
    choice: AttentionChoice | None
    """What computes it where the weights lie; None without such parts."""

    def __str__(self) -> str:
        if self.choice is None:
            return "no part of the model packs sequences"
        return f"{', '.join(self.classes)}: {self.choice}"


def register_packed_attention() -> str:
    """Make packed attention known to transformers; returns the name to pass as
    `attn_implementation`, to any model.

    Everything with a mask, a cache or causality is SDPA's, and says so after the first call. A
    vision tower that has its sequences end to end makes one call for all of them: from its second
    layer on where no gradients are taken, since the first tells that it does; in all of them, and
    in training, after `pack_vision_towers(model)`.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    for name in (PACKED_ATTENTION, _TOWER_ATTENTION):
        AttentionInterface.register(name, _attend)
        AttentionMaskInterface.register(name, sdpa_mask)
    return PACKED_ATTENTION


def pack_vision_towers(model: torch.nn.Module) -> PackedTowers:
    """Have every vision tower of `model` that can make one call for all of its sequences, in place.

    The result equals SDPA's up to rounding; on a CPU in float32 it is the same number for number.
    `model.set_attn_implementation("sdpa")` takes it back.
    """
    register_packed_attention()
    for attention in _attention_with_bounds(model):
        _settle_name(attention.config, _TOWER_ATTENTION)
    return find_packed_towers(model)


def find_packed_towers(model: torch.nn.Module) -> PackedTowers:
    """What packs sequences in `model` as it stands, and by which back end."""
    packed = [
        attention
        for attention in _attention_with_bounds(model)
        if attention.config._attn_implementation == _TOWER_ATTENTION
    ]
    if not packed:
        return PackedTowers(classes=(), choice=None)
    weight = next(packed[0].parameters())
    choice = choose_backend(weight.device, weight.dtype, packed[0].head_dim)
    return PackedTowers(tuple(dict.fromkeys(type(module).__name__ for module in packed)), choice)


def _attention_with_bounds(model: torch.nn.Module) -> list[Any]:
    return [module for module in model.modules() if _knows_bounds(module)]


def _knows_bounds(module: torch.nn.Module) -> bool:
    """Whether this is attention of a tower that is handed the bounds of its sequences."""
    return (
        hasattr(module, "config")
        and getattr(module, "is_causal", None) is False
        and _takes_bounds(type(module))
    )


def _settle_attention(module: Any) -> None:
    """Give the configuration of a module that is called by the name of users its own."""
    if not _knows_bounds(module):
        _settle_name(module.config, "sdpa")
    # A loop over sequences: the next call goes the other way. Not where gradients are taken, since
    # checkpointing computes a layer twice and compares what was kept.
    elif not torch.is_grad_enabled():
        _settle_name(module.config, _TOWER_ATTENTION)


def _settle_name(config: Any, name: str) -> None:
    # The public attribute would change configurations inside this one too.
    config._attn_implementation_internal = name


@cache
def _takes_bounds(module_class: type[torch.nn.Module]) -> bool:
    return "cu_seqlens" in inspect.signature(module_class.forward).parameters


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    cu_seq_lens_k: torch.Tensor | None = None,
    max_length_q: int | None = None,
    # Whatever else a model hands to every kind of attention: the interface of transformers.
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in the form that transformers calls: query (batch, heads, tokens, head_dim), result
    (batch, tokens, heads, head_dim)."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    def attend_by_sdpa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        mixed, _ = sdpa_attention_forward(
            module,
            q,
            k,
            v,
            attention_mask,
            dropout=dropout,
            scaling=scaling,
            is_causal=is_causal,
            **settings,
        )
        return mixed

    is_packed = module.config._attn_implementation == _TOWER_ATTENTION
    if not is_packed or cu_seq_lens_q is None:
        if not (is_packed or torch.compiler.is_compiling()):
            _settle_attention(module)
        return attend_by_sdpa(query, key, value), None
    if cu_seq_lens_k is not cu_seq_lens_q:
        raise VideoError(
            f"packed attention: {type(module).__name__} has queries and keys in different "
            'sequences; load the model with attn_implementation="sdpa"'
        )
    is_plain = attention_mask is None and not dropout and not is_causal and len(query) == 1
    if is_plain and all(settings.get(name) is None for name in _SCORE_SETTINGS):
        # (1, heads, tokens, dim) -> (tokens, heads, dim)
        q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
        mixed = packed_attention(q, k, v, cu_seq_lens_q, scale=scaling, max_seqlen=max_length_q)
        return mixed[None], None
    # Beyond the formula: sequence by sequence, as transformers does it.
    lengths = cu_seq_lens_q.diff().tolist()
    parts = zip(*(tensor.split(lengths, dim=2) for tensor in (query, key, value)), strict=True)
    return torch.cat([attend_by_sdpa(q, k, v) for q, k, v in parts], dim=1), None
