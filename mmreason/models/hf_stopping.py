"""Has a generation of transformers ask before every token whether it is to go on (`stopping`)."""

from __future__ import annotations

from typing import cast

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from mmreason.video.stopping import check_stop


class _StopCheck(StoppingCriteria):
    """Stops no row by itself: what `check_stop` raises ends the generation."""

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **settings: object
    ) -> torch.BoolTensor:
        check_stop()
        nowhere = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        return cast(torch.BoolTensor, nowhere)


STOP_CHECKS = StoppingCriteriaList([_StopCheck()])
"""For `generate(stopping_criteria=)`."""
