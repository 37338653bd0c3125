"""The loss of CS-CLIP (arXiv 2602.23906): full captions, and single units against their own foils.

    L = L_full + unit_weight * L_unit

Vectors have length 1. All is computed in float32, whatever the vectors are in.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

UNIT_WEIGHT = 0.5
TEMPERATURE = 0.07


def full_loss(
    images: Tensor,
    captions: Tensor,
    foils: Tensor,
    has_foil: Tensor,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """The loss of NegCLIP: image to text over the captions and the foils of the whole batch, text
    to image over the images; averaged.

    `images`, `captions`, `foils` (B, D), `has_foil` bool (B,): foils that are none count for
    nothing. Raises ValueError for other shapes.
    """
    _check(images, captions, foils, has_foil)
    images, captions = images.float(), captions.float()
    # Put to 0 before the product: a row of nan would reach the gradients of the images.
    foils = foils.float().masked_fill(~has_foil[:, None], 0.0)
    to_captions = images @ captions.T / temperature
    to_foils = (images @ foils.T / temperature).masked_fill(~has_foil, -torch.inf)
    own = torch.arange(len(images), device=images.device)
    to_text = cross_entropy(torch.cat([to_captions, to_foils], dim=1), own)
    return (to_text + cross_entropy(to_captions.T, own)) / 2


def unit_loss(
    images: Tensor,
    units: Tensor,
    foils: Tensor,
    is_there: Tensor,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Units against their foils, slot by slot: image to text over the units of the batch and the
    image's own foil alone (B + 1 columns), text to image over the images; averaged, then the mean
    over slots.

    `images` (B, D), `units` and `foils` (B, slots, D), `is_there` bool (B, slots): a pair that is
    not there gives no loss and no gradient. 0 where none is. Raises ValueError for other shapes.
    """
    if units.ndim != 3 or units.shape != foils.shape or is_there.shape != units.shape[:2]:
        raise ValueError(
            "expected units and foils (B, slots, D) and is_there (B, slots), got "
            f"{tuple(units.shape)}, {tuple(foils.shape)} and {tuple(is_there.shape)}"
        )
    if not units.shape[1]:
        return images.float().sum() * 0
    _check(images, units[:, 0], foils[:, 0], is_there[:, 0])
    losses = [
        _slot_loss(images, units[:, slot], foils[:, slot], is_there[:, slot], temperature)
        for slot in range(units.shape[1])
        if bool(is_there[:, slot].any())
    ]
    return torch.stack(losses).mean() if losses else images.float().sum() * 0


def _slot_loss(
    images: Tensor, units: Tensor, foils: Tensor, is_there: Tensor, temperature: float
) -> Tensor:
    # Images without a pair in this slot have no row; they stay what texts are compared with.
    images, units, foils = images.float(), units[is_there].float(), foils[is_there].float()
    rows = images[is_there]
    to_units = rows @ units.T / temperature
    to_own_foil = (rows * foils).sum(dim=1, keepdim=True) / temperature
    to_text = cross_entropy(
        torch.cat([to_units, to_own_foil], dim=1), torch.arange(len(rows), device=images.device)
    )
    own_image = is_there.nonzero()[:, 0]
    to_images = cross_entropy(units @ images.T / temperature, own_image)
    return (to_text + to_images) / 2


def _check(images: Tensor, captions: Tensor, foils: Tensor, mask: Tensor) -> None:
    if not bool(images.isfinite().all()):
        raise ValueError(f"images {tuple(images.shape)} hold nan or infinity")
    fits = images.ndim == 2 and images.shape == captions.shape == foils.shape
    if not fits or mask.shape != images.shape[:1] or mask.dtype != torch.bool or not len(images):
        raise ValueError(
            "expected images, texts and foils (B, D) of one shape and a bool mask (B,), got "
            f"{tuple(images.shape)}, {tuple(captions.shape)}, {tuple(foils.shape)} and "
            f"{mask.dtype} {tuple(mask.shape)}"
        )
