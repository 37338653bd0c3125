"""What fewer visual tokens save in a language model: the formula of FastV (ECCV 2024)."""

from __future__ import annotations

from mmreason.video.types import VideoError


def count_layer_flops(tokens: int, hidden: int, intermediate: int) -> int:
    """Multiply-adds of one layer over `tokens`: 4 n d^2 + 2 n^2 d + 2 n d m.

    Example:
        >>> count_layer_flops(10, hidden=4, intermediate=8)
        2080
    """
    n, d, m = tokens, hidden, intermediate
    return 4 * n * d * d + 2 * n * n * d + 2 * n * d * m


def estimate_flops_share(
    tokens: int,
    keep: float,
    *,
    layers: int,
    whole_layers: int,
    hidden: int,
    intermediate: int,
) -> float:
    """The share of the multiply-adds that is left where all `tokens` go through the first
    `whole_layers` and a share `keep` of them through the others: FastV's K and 1 - R. Pruning
    before the language model has `whole_layers` 0. VideoError for numbers out of range.

    Example:
        >>> round(estimate_flops_share(
        ...     576, 0.5, layers=32, whole_layers=2, hidden=4096, intermediate=11008
        ... ), 3)
        0.524
    """
    if not (0 < keep <= 1 and 0 <= whole_layers <= layers and min(tokens, layers) >= 1):
        raise VideoError(
            "expected 1 or more tokens and layers, keep in (0, 1] and whole_layers in 0..layers, "
            f"got tokens={tokens}, layers={layers}, keep={keep}, whole_layers={whole_layers}"
        )
    whole = count_layer_flops(tokens, hidden, intermediate)
    pruned = count_layer_flops(round(tokens * keep), hidden, intermediate)
    return (whole_layers * whole + (layers - whole_layers) * pruned) / (layers * whole)
