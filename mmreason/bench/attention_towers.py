"""Measures whole vision towers of random weights: eager, the loop of SDPA, and packed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch

from mmreason.bench.attention import AttentionScale, wait_for
from mmreason.bench.attention_report import TowerRow
from mmreason.bench.rounds import measure_rounds
from mmreason.video.encoders.attention import PACKED_ATTENTION, pack_vision_towers

LOOP_NAME = "sdpa"
_WIDTH, _HEADS, _GRID = 384, 6, 24
"""24 x 24 patches a frame are 576 tokens, 9 windows of 64 in the windowed tower."""


def measure_tower(
    name: str, scale: AttentionScale, dtype: torch.dtype, device: torch.device
) -> list[TowerRow]:
    """One tower with each kind of attention, in shuffled order within each round."""
    torch.manual_seed(0)
    tower, patch_values = TOWERS[name](scale.tower_layers)
    tower = tower.to(device, dtype).eval()
    grid = torch.tensor([[scale.tower_frames, _GRID, _GRID]], device=device)
    patches = torch.randn(scale.tower_frames * _GRID**2, patch_values)
    patches = patches.to(device, dtype)

    def run(attention: str) -> torch.Tensor:
        # Changing it costs microseconds, a forward pass of this size a large part of a second.
        tower.set_attn_implementation(LOOP_NAME if attention == PACKED_ATTENTION else attention)
        if attention == PACKED_ATTENTION:
            pack_vision_towers(tower)
        return tower(patches, grid_thw=grid).last_hidden_state

    kinds = ("eager", LOOP_NAME, PACKED_ATTENTION)
    with torch.inference_mode():
        outputs = {kind: run(kind).float() for kind in kinds}
        rounds = measure_rounds(
            {kind: partial(run, kind) for kind in kinds},
            scale.tower_rounds,
            partial(wait_for, device),
        )
    rows = []
    for kind in kinds:
        ratios = [taken[kind] / taken[LOOP_NAME] for taken in rounds]
        rows.append(
            TowerRow(
                tower=name,
                dtype=str(dtype).removeprefix("torch."),
                attention=kind,
                seconds=median(taken[kind] for taken in rounds),
                ratio=median(ratios),
                lowest=min(ratios),
                highest=max(ratios),
                greatest_difference=float((outputs[kind] - outputs[LOOP_NAME]).abs().max()),
            )
        )
    return rows


def _windowed(layers: int) -> tuple[Any, int]:
    """Qwen2.5-VL: windows in all layers but the last."""
    from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as modeling
    from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig

    config = Qwen2_5_VLVisionConfig(
        depth=layers,
        hidden_size=_WIDTH,
        out_hidden_size=_WIDTH,
        num_heads=_HEADS,
        intermediate_size=4 * _WIDTH,
        fullatt_block_indexes=[layers - 1],
    )
    return modeling.Qwen2_5_VisionTransformerPretrainedModel(config), 3 * 2 * 14 * 14


def _framed(layers: int) -> tuple[Any, int]:
    """Qwen3-VL: each pair of frames attends to itself, in all layers."""
    from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
    from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

    config = Qwen3VLVisionConfig(
        depth=layers,
        hidden_size=_WIDTH,
        out_hidden_size=_WIDTH,
        num_heads=_HEADS,
        intermediate_size=4 * _WIDTH,
        num_position_embeddings=_GRID**2,
        deepstack_visual_indexes=[],
    )
    return Qwen3VLVisionModel(config), 3 * 2 * 16 * 16


TOWERS: dict[str, Callable[[int], tuple[Any, int]]] = {
    "Qwen2.5-VL, windows": _windowed,
    "Qwen3-VL, frames": _framed,
}
"""Makes a tower of so many layers, and says how many numbers one of its patches has."""
