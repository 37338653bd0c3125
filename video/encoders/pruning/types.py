"""What a pruner is told and what it gives back; the checks that all of them make."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from mmreason.video.plain_text import show_line
from mmreason.video.types import VideoError

if TYPE_CHECKING:
    from torch import Tensor

PruneMethod = Literal["evs", "dycoke", "framefusion", "tome"]


@dataclass(frozen=True, slots=True)
class PrunedTokens:
    """The visual tokens that are left of a clip, in the order in which they stood.

    Example:
        >>> import torch
        >>> from mmreason.video.encoders.pruning import prune_evs
        >>> pruned = prune_evs(torch.ones(4, 2, 2, 8), keep=0.5)
        >>> pruned.tokens.shape, pruned.kept_index[:2].tolist()
        (torch.Size([8, 8]), [[0, 0, 0], [0, 0, 1]])
    """

    tokens: Tensor
    """(K, D); where tokens were merged, their mean."""
    kept_index: Tensor
    """int64 (K, 3): frame, row and column of each, ascending. It keeps this position."""
    merged_into: Tensor
    """int64 (T, H, W): the row of `tokens` that each token of the clip went into; -1 where it was
    dropped."""

    @property
    def flat_index(self) -> Tensor:
        """int64 (K,): the same as places in the clip laid out flat."""
        _, height, width = self.merged_into.shape
        frame, row, column = self.kept_index.unbind(dim=1)
        return (frame * height + row) * width + column

    def reduce(self, features: Tensor) -> Tensor:
        """(K, E) of other features (T * H * W, E) of the same tokens, such as those of an inner
        layer: selected, or averaged, as the tokens were."""
        import torch

        row = self.merged_into.flatten()
        (source,) = (row >= 0).nonzero(as_tuple=True)
        sums = torch.zeros(
            len(self.kept_index), features.shape[1], device=features.device, dtype=torch.float32
        )
        sums = sums.index_add(0, row[source], features[source].float())
        counts = torch.bincount(row[source], minlength=len(sums))
        return (sums / counts[:, None]).to(features.dtype)


@dataclass(frozen=True, slots=True)
class PruneSettings:
    """Which pruner, and the share of the visual tokens that it keeps.

    Example:
        >>> PruneSettings.parse("evs:0.5")
        PruneSettings(method='evs', keep=0.5)
        >>> str(PruneSettings("tome", 0.25))
        'tome:0.25'
    """

    method: PruneMethod
    keep: float
    """In (0, 1]: 0.5 keeps half of the tokens."""

    def __post_init__(self) -> None:
        if self.method not in get_args(PruneMethod):
            raise VideoError(
                f"prune: {show_line(str(self.method))!r} is none of "
                f"{', '.join(get_args(PruneMethod))}"
            )
        check_keep(self.keep)

    def __str__(self) -> str:
        return f"{self.method}:{self.keep:g}"

    @classmethod
    def parse(cls, text: str) -> PruneSettings:
        """Of "method:share kept", such as "evs:0.5". VideoError for anything else."""
        method, colon, share = text.partition(":")
        try:
            keep = float(share) if colon else math.nan
        except ValueError:
            keep = math.nan
        if math.isnan(keep):
            raise VideoError(
                f'prune: expected "method:share of tokens kept" such as "evs:0.5", '
                f"got {show_line(text)[:60]!r}"
            )
        return cls(method, keep)  # pyright: ignore[reportArgumentType]  # checked when made


def check_keep(keep: float) -> None:
    """VideoError for a share outside (0, 1]."""
    if not 0 < keep <= 1:
        raise VideoError(f"prune: the share of tokens kept must lie in (0, 1], got {keep}")


def check_tokens(tokens: Tensor) -> None:
    """VideoError for what are no features of a clip: (T, H, W, D), floating, finite, not empty."""
    shape = tuple(tokens.shape)
    if tokens.ndim != 4 or 0 in shape:
        raise VideoError(
            f"prune: expected features of shape (frames, rows, columns, width), each 1 or more, "
            f"got {shape}"
        )
    if not tokens.is_floating_point():
        raise VideoError(f"prune: expected features in floating point, got {tokens.dtype}")
    if not bool(tokens.detach().isfinite().all()):
        raise VideoError(f"prune: features {shape} hold nan or infinity")


def count_kept(tokens: int, keep: float, least: int) -> int:
    """How many of `tokens` are kept: the share, rounded down, and never fewer than `least`, which
    a method cannot do without.

    Example:
        >>> count_kept(100, 0.25, least=10), count_kept(100, 0.05, least=10)
        (25, 10)
    """
    check_keep(keep)
    # A share such as 0.3 of 10 is 3, though 0.3 * 10 may lie a hair below it.
    return max(least, math.floor(tokens * keep + 1e-9))


Pruner = Callable[["Tensor", float], PrunedTokens]
"""(tokens (T, H, W, D), share kept) -> what is left."""
