"""How a generation of transformers is set, and ends: from outside (`stopping`), at stop texts."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from mmreason.models.base import GenerateRequest
from mmreason.video.stopping import check_stop


class StopCheck(StoppingCriteria):
    """Stops no row by itself: what `check_stop` raises ends the generation."""

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **settings: object
    ) -> torch.BoolTensor:
        check_stop()
        return _as_mask([False] * len(input_ids), input_ids)


class StopAtText(StoppingCriteria):
    """Stops each row whose written text holds one of the `stop` texts."""

    def __init__(self, tokenizer: Any, stop: Sequence[str], prompt_length: int):
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._prompt_length = prompt_length
        # A token writes a byte or more, so that the last tokens hold a text that has just ended.
        self._last_tokens = max((len(text.encode()) for text in self._stop), default=0) + 1
        self.lengths: dict[int, int] = {}
        """Tokens written when a stop text was complete, by row; no entry where there was none."""

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **settings: object
    ) -> torch.BoolTensor:
        written = input_ids[:, self._prompt_length :]
        if self._stop:
            for row, tail in enumerate(self._decode(written[:, -self._last_tokens :])):
                # The whole is read only where its end promises: reading it at each step would
                # take time with the square of its length.
                if row not in self.lengths and self._holds_stop(tail):
                    (text,) = self._decode(written[row : row + 1])
                    if self._holds_stop(text):
                        self.lengths[row] = written.shape[1]
        return _as_mask([row in self.lengths for row in range(len(input_ids))], input_ids)

    def _decode(self, ids: torch.Tensor) -> list[str]:
        return self._tokenizer.batch_decode(ids, skip_special_tokens=True)

    def _holds_stop(self, text: str) -> bool:
        return any(stop in text for stop in self._stop)


def stopping_criteria(stop_at_text: StopAtText) -> StoppingCriteriaList:
    """For `generate(stopping_criteria=)`."""
    return StoppingCriteriaList([StopCheck(), stop_at_text])


def build_generation_config(model: Any, request: GenerateRequest, *, pad_token_id: int) -> Any:
    """The model's own settings, with the limits of a request; sampling is plain, or greedy."""
    config = copy.deepcopy(model.generation_config)
    config.max_new_tokens, config.max_length = request.max_new_tokens, None
    config.pad_token_id = pad_token_id
    config.return_dict_in_generate = config.output_logits = True
    samples = request.temperature > 0
    config.do_sample = samples
    config.temperature = request.temperature if samples else None
    config.top_p, config.top_k = (1.0, 0) if samples else (None, None)
    return config


def end_ids_of(generation_config: Any) -> frozenset[int]:
    """Token ids that end a reply."""
    ends = generation_config.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or ())


def _as_mask(rows: Sequence[bool], input_ids: torch.Tensor) -> torch.BoolTensor:
    return cast(torch.BoolTensor, torch.tensor(rows, dtype=torch.bool, device=input_ids.device))
