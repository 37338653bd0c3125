"""Learning from pairs of a better and a worse answer."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def dpo_loss(margin: Tensor, *, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """Direct preference optimisation (Rafailov et al. 2023, equation 7), elementwise.

    `margin` is log p(better) - log p(worse) of the model less the same of the reference, nats over
    whole answers. With label smoothing (conservative DPO) that share of pairs is taken to be the
    wrong way round.

    Example: a model that is its reference has the loss log 2:

        >>> import torch
        >>> round(float(dpo_loss(torch.tensor(0.0), beta=0.1)), 4)
        0.6931
    """
    scaled = beta * margin
    right, wrong = -functional.logsigmoid(scaled), -functional.logsigmoid(-scaled)
    return (1 - label_smoothing) * right + label_smoothing * wrong
