"""Fewer visual tokens, without training, each with its place in the clip.

pruned = prune(features, PruneSettings.parse("evs:0.5"))    # features (T, H, W, D)
pruned.tokens, pruned.kept_index
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmreason.video.encoders.pruning.flops import count_layer_flops, estimate_flops_share
from mmreason.video.encoders.pruning.merging import merge_framefusion, merge_tome
from mmreason.video.encoders.pruning.selecting import prune_dycoke, prune_evs
from mmreason.video.encoders.pruning.types import (
    PrunedTokens,
    PruneMethod,
    Pruner,
    PruneSettings,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "PRUNERS",
    "PruneMethod",
    "PruneSettings",
    "PrunedTokens",
    "Pruner",
    "count_layer_flops",
    "estimate_flops_share",
    "merge_framefusion",
    "merge_tome",
    "prune",
    "prune_dycoke",
    "prune_evs",
]

PRUNERS: dict[PruneMethod, Pruner] = {
    "evs": prune_evs,
    "dycoke": prune_dycoke,
    "framefusion": merge_framefusion,
    "tome": merge_tome,
}


def prune(tokens: Tensor, settings: PruneSettings) -> PrunedTokens:
    """The tokens (T, H, W, D) of a clip that `settings` leave."""
    return PRUNERS[settings.method](tokens, settings.keep)
