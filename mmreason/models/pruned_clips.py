"""Clips with fewer visual tokens: pruned behind the vision tower of a model of Qwen's families.

The tokens that a pruner drops leave the prompt; those it keeps stand where they stood: their three
rotary positions are of the whole clip, and what follows goes on from the end of it. Works on the
processor's tensors, so that everything that is told of a prompt (its tokens, its context) is of the
pruned one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor

from mmreason.types import UsageError
from mmreason.video.encoders.pruning import PrunedTokens, PruneSettings, prune

_FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe")
_OF_TOKENS = ("input_ids", "attention_mask", "mm_token_type_ids")
"""Tensors of a prompt with a column a token."""


@dataclass(frozen=True, slots=True)
class PrunedPrompts:
    """A batch of prompts without the visual tokens that were dropped.

    `inputs` are the processor's tensors, `features` what the vision tower is to give for them,
    `positions` int64 (3, rows, columns), `deltas` int64 (rows, 1): what to add to a column to get
    the position of a token that follows.
    """

    inputs: dict[str, Any]
    features: Any
    positions: Tensor
    deltas: Tensor


def check_prunable(model: Any, settings: PruneSettings, name: str, *, takes_video: bool) -> None:
    """UsageError for a model whose clips cannot be pruned here."""
    family = model.config.model_type
    if family not in _FAMILIES or not takes_video:
        raise UsageError(
            f"option prune={settings}: clips of model {name!r} ({family}) cannot be pruned; it "
            f"takes models that see clips of {', '.join(_FAMILIES)}; leave it out"
        )


@contextmanager
def pruned_clips(model: Any, inputs: Any, settings: PruneSettings | None) -> Iterator[Any]:
    """The inputs to give to `model.generate` or to `model` inside this block. Without settings, or
    without clips, they are those of the caller."""
    if settings is None or inputs.get("pixel_values_videos") is None:
        yield inputs
        return
    prompts = prune_prompts(model, inputs, settings)
    inner = model.model

    # `generate` reads the names of the parameters.
    def give_features(self: Any, pixel_values_videos: Any, video_grid_thw: Any, **_: Any) -> Any:
        return prompts.features

    def give_positions(self: Any, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return prompts.positions, prompts.deltas

    # On the instance, and only for the prompts of this block: they stand for these tensors alone.
    inner.get_video_features = MethodType(give_features, inner)
    inner.get_rope_index = MethodType(give_positions, inner)
    try:
        yield type(inputs)(prompts.inputs)
    finally:
        del inner.get_video_features, inner.get_rope_index


def prune_prompts(model: Any, inputs: Mapping[str, Any], settings: PruneSettings) -> PrunedPrompts:
    """The prompts `inputs` of a processor, which hold clips, with as many visual tokens as
    `settings` keep of each clip."""
    inner = model.model
    grid = inputs["video_grid_thw"]
    features = inner.get_video_features(inputs["pixel_values_videos"], grid, return_dict=True)
    merge = inner.visual.spatial_merge_size
    clips = [
        prune(tokens.view(t, h // merge, w // merge, -1), settings)
        for tokens, (t, h, w) in zip(features.pooler_output, grid.tolist(), strict=True)
    ]
    _replace_features(features, clips)
    # 1. Which columns of which rows stay?
    is_visual = inputs["input_ids"] == model.config.video_token_id
    is_left = inputs["attention_mask"].bool()
    is_kept = torch.zeros(int(is_visual.sum()), dtype=torch.bool, device=is_left.device)
    offset = 0
    for clip in clips:
        is_kept[clip.flat_index + offset] = True
        offset += clip.merged_into.numel()
    is_left[is_visual] &= is_kept
    # 2. Positions of the whole prompts, of which those of the kept tokens stay as they are.
    positions, deltas = inner.get_rope_index(
        **{
            key: inputs.get(key)
            for key in (*_OF_TOKENS, "image_grid_thw", "video_grid_thw", "second_per_grid_ts")
            if inputs.get(key) is not None
        }
    )
    dropped = inputs["attention_mask"].sum(dim=1) - is_left.sum(dim=1)
    # 3. The rows are of other lengths now: padded on the left up to the longest.
    shortened = {
        key: _shorten_rows(inputs[key], is_left, 0 if key != "input_ids" else _padding(inputs))
        for key in _OF_TOKENS
        if inputs.get(key) is not None
    }
    return PrunedPrompts(
        inputs={**inputs, **shortened},
        features=features,
        positions=torch.stack([_shorten_rows(axis, is_left, 1) for axis in positions]),
        deltas=deltas + dropped[:, None].to(deltas),
    )


def _replace_features(features: Any, clips: list[PrunedTokens]) -> None:
    """Put what is left into what the tower gave, those of its inner layers (Qwen3-VL) too."""
    features.pooler_output = tuple(clip.tokens for clip in clips)
    layers = getattr(features, "deepstack_features", None)
    if layers is not None:
        features.deepstack_features = [
            tuple(clip.reduce(layer) for clip, layer in zip(clips, by_clip, strict=True))
            for by_clip in layers
        ]


def _padding(inputs: Mapping[str, Any]) -> int:
    """A token id that stands where nothing is read."""
    return int(inputs["input_ids"][inputs["attention_mask"] == 0][:1].sum())


def _shorten_rows(table: Tensor, is_left: Tensor, fill: int) -> Tensor:
    """(rows, longest): the columns of each row that are left, behind as many `fill` as it takes."""
    rows = [row[left] for row, left in zip(table, is_left, strict=True)]
    longest = max(map(len, rows))
    padded = table.new_full((len(rows), longest), fill)
    for target, row in zip(padded, rows, strict=True):
        target[longest - len(row) :] = row
    return padded
