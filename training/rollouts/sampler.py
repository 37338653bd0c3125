"""Draws continuations of prompts from a local model, each from its own seed.

What is drawn depends on the prompt, the weights and the seed, not on what else is in the batch or
on which process draws it (up to rounding of the logits). Leaves out endpoints (`endpoint.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from mmreason.tools import FAILURES
from mmreason.training.rollouts.inputs import padded, same_inputs
from mmreason.training.rollouts.types import Prompt, SampleFailure, Written
from mmreason.types import UsageError


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Draw:
    """One continuation that is wanted."""

    prompt: Prompt
    max_new_tokens: int
    temperature: float
    """0 takes the likeliest token every time; log-probabilities are then at temperature 1."""
    seed: int

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.temperature < 0:
            raise UsageError(
                "a draw needs max_new_tokens >= 1 and temperature >= 0, got "
                f"{self.max_new_tokens} and {self.temperature}"
            )


class Sampler(Protocol):
    """Whatever continues prompts: one contract test over all."""

    def draw(self, draws: Sequence[Draw]) -> list[Written | SampleFailure]:
        """One result a draw, in order. A draw that fails does not take others with it."""
        ...


class LocalSampler:
    """A `transformers` model in this process, through its own `generate`.

    Prompts of similar length run together, at most `batch_tokens` tokens, padding and answers
    included. No truncation (top-p, top-k) and no penalties: the log-probabilities are those of the
    distribution that was sampled.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        end_ids: Sequence[int],
        pad_id: int,
        batch_tokens: int = 65_536,
    ):
        self._model = model
        self._tokenizer = tokenizer
        self._end_ids = tuple(end_ids)
        self._pad_id = pad_id
        self._batch_tokens = batch_tokens

    def draw(self, draws: Sequence[Draw]) -> list[Written | SampleFailure]:
        """See `Sampler`."""
        found: list[Written | SampleFailure | None] = [None] * len(draws)
        training = self._model.training
        self._model.eval()
        try:
            for places in self._batches(draws):
                together = self._whole_or_parts([draws[i] for i in places])
                for place, written in zip(places, together, strict=True):
                    found[place] = written
        finally:
            self._model.train(training)
        return [one for one in found if one is not None]

    def _batches(self, draws: Sequence[Draw]) -> Iterator[list[int]]:
        """Places of draws that run together: same kinds of input, similar lengths."""

        def size(i: int) -> int:
            return len(draws[i].prompt.token_ids) + draws[i].max_new_tokens

        def kind(i: int) -> tuple[Any, ...]:
            return (same_inputs(draws[i].prompt), draws[i].temperature)

        batch: list[int] = []
        for i in sorted(range(len(draws)), key=lambda i: (kind(i), -size(i), i)):
            full = bool(batch) and size(batch[0]) * (len(batch) + 1) > self._batch_tokens
            if batch and (full or kind(i) != kind(batch[0])):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    def _whole_or_parts(self, draws: Sequence[Draw]) -> list[Written | SampleFailure]:
        """A batch; where the model refuses it, or memory runs out, its halves: what is drawn is the
        same, and only the draw that is at fault fails."""
        try:
            return self._batch(draws)
        except FAILURES as error:
            if len(draws) == 1:
                line = " ".join(str(error).split()) or type(error).__name__
                return [SampleFailure(kind=type(error).__name__, message=line)]
        half = len(draws) // 2
        return self._whole_or_parts(draws[:half]) + self._whole_or_parts(draws[half:])

    @torch.inference_mode()
    def _batch(self, draws: Sequence[Draw]) -> list[Written | SampleFailure]:
        inputs = padded(
            [draw.prompt for draw in draws],
            pad_id=self._pad_id,
            side="left",
            config=self._model.config,
            device=self._model.device,
        )
        for name, tensor in inputs.items():
            if tensor.is_floating_point():
                inputs[name] = tensor.to(self._model.dtype)
        longest = max(draw.max_new_tokens for draw in draws)
        choice = _Choice(draws, longest, self._model.device)
        out = self._model.generate(
            **inputs,
            generation_config=GenerationConfig(
                max_new_tokens=longest,
                do_sample=False,
                eos_token_id=list(self._end_ids),
                pad_token_id=self._pad_id,
                use_cache=True,
            ),
            logits_processor=LogitsProcessorList([choice]),
            synced_gpus=False,  # each process writes by itself, also where others have nothing
        )
        ids = out[:, inputs["input_ids"].shape[1] :].tolist()
        logprobs = torch.stack(choice.logprobs, dim=1).tolist()
        return [
            self._written(draw, row, row_logprobs)
            for draw, row, row_logprobs in zip(draws, ids, logprobs, strict=True)
        ]

    def _written(
        self, draw: Draw, row: list[int], logprobs: list[float]
    ) -> Written | SampleFailure:
        limit = min(draw.max_new_tokens, len(row))
        end = next((i for i in range(limit) if row[i] in self._end_ids), None)
        length = limit if end is None else end + 1
        if any(map(math.isnan, logprobs[:length])):
            return SampleFailure(kind="NonFinite", message="the model's probabilities are NaN")
        return Written(
            token_ids=tuple(row[:length]),
            logprobs=tuple(logprobs[:length]),
            text=self._tokenizer.decode(row[:length], skip_special_tokens=True).strip(),
            ended=end is not None,
        )


class _Choice(LogitsProcessor):
    """Chooses the next token of each row by its own uniform number: the inverse of the cumulative
    distribution, in double precision. All but the chosen token are made impossible."""

    def __init__(self, draws: Sequence[Draw], longest: int, device: torch.device):
        rows = [_uniforms(draw.seed, longest) for draw in draws]
        self._uniforms = torch.stack(rows).to(device)
        self._temperature = draws[0].temperature
        self.logprobs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`scores` (B, V) of the next token."""
        step = len(self.logprobs)
        warm = scores.float() / (self._temperature or 1.0)
        if self._temperature == 0:
            chosen = scores.argmax(dim=-1, keepdim=True)
        else:
            cumulative = torch.softmax(warm.double(), dim=-1).cumsum(dim=-1)
            target = self._uniforms[:, step : step + 1] * cumulative[:, -1:]
            # On the right: a token of probability zero is never chosen.
            chosen = torch.searchsorted(cumulative, target, right=True)
            chosen = chosen.clamp(max=scores.shape[-1] - 1)
        self.logprobs.append(torch.log_softmax(warm, dim=-1).gather(1, chosen)[:, 0])
        return torch.full_like(scores, -torch.inf).scatter(1, chosen, 0.0)


def _uniforms(seed: int, count: int) -> Tensor:
    """(count,) numbers in [0, 1); a longer list begins with the same ones."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator, dtype=torch.float64)
