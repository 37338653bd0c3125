"""Vision transformers of timm that take any grid of patches: frames of unequal sizes in one pass.

All patches lie end to end. Whatever works on each alone (projections, norms, MLPs) sees one long
row, and attention stays within each frame by `packed_attention`: nothing is padded.
"""

from __future__ import annotations

from itertools import accumulate, chain
from typing import Any, TypeGuard

import torch
from timm.layers.attention import Attention
from timm.models import NaFlexVit
from timm.models.vision_transformer import Block

from mmreason.video.encoders.attention import packed_attention
from mmreason.video.encoders.backbone import Frames, Inputs, SizePx
from mmreason.video.encoders.pixels import prepare_pixels
from mmreason.video.encoders.preprocess import FrameRecipe

_ORDER = "order"


def can_pack(model: torch.nn.Module) -> TypeGuard[NaFlexVit]:
    """Whether `embed_packed` knows every layer of the model: others would be computed wrongly."""
    return (
        isinstance(model, NaFlexVit)
        and model.rope is None
        and all(
            type(block) is Block and type(block.attn) is Attention and block.attn.gate is None
            for block in model.blocks
        )
    )


def pack_frames(frames: Frames, recipe: FrameRecipe, device: torch.device) -> Inputs:
    """Frames by the size that the recipe brings them to, "HEIGHTxWIDTH", and under "order" which
    row of these groups, one after the other, is the first frame, the second, ..."""
    groups: dict[SizePx, list[int]] = {}
    for number, frame in enumerate(frames):
        groups.setdefault(recipe.size(1, *frame.shape[:2]), []).append(number)
    if len(groups) == 1:
        pixels = {size_px: prepare_pixels(frames, recipe, device) for size_px in groups}
    else:
        pixels = {
            size_px: prepare_pixels([frames[i] for i in numbers], recipe, device)
            for size_px, numbers in groups.items()
        }
    order = torch.tensor(list(chain.from_iterable(groups.values()))).argsort()
    return {f"{height}x{width}": rows for (height, width), rows in pixels.items()} | {_ORDER: order}


def embed_packed(model: NaFlexVit, inputs: Inputs) -> torch.Tensor:
    """Features (frames, D) of what `pack_frames` gives, as the model in evaluation would give them
    of each frame alone."""
    groups = [pixels for name, pixels in inputs.items() if name != _ORDER]
    embedded = [model.norm_pre(model.embeds(pixels)[0]) for pixels in groups]
    lengths = chain.from_iterable([tokens.shape[1]] * len(tokens) for tokens in embedded)
    # On the CPU, where it is read without waiting for the device.
    bounds = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
    tokens = torch.cat([tokens.flatten(0, 1) for tokens in embedded])
    blocks: Any = model.blocks
    for block in blocks:
        tokens = tokens + block.ls1(_attend(block.attn, block.norm1(tokens), bounds))
        tokens = tokens + block.ls2(block.mlp(block.norm2(tokens)))
    tokens = model.norm(tokens)
    rows = tokens.split([len(group) * group.shape[1] for group in embedded])
    features = [
        model.forward_head(row.unflatten(0, group.shape[:2]))
        for row, group in zip(rows, embedded, strict=True)
    ]
    return torch.cat(features)[inputs[_ORDER]]


def _attend(layer: Attention, tokens: torch.Tensor, bounds: torch.Tensor) -> torch.Tensor:
    """As `Attention.forward` of timm, within the sequences between `bounds`."""
    heads = layer.qkv(tokens).unflatten(1, (3, layer.num_heads, layer.head_dim))
    query, key, value = heads.unbind(1)
    mixed = packed_attention(layer.q_norm(query), layer.k_norm(key), value, bounds)
    return layer.proj(layer.norm(mixed.flatten(1)))
