"""Draws continuations of prompts from a local model, each from its own seed.

What is drawn depends on the prompt, the weights and the seed, not on what else is in the batch or
on which process draws it (up to rounding of the logits). Leaves out endpoints (`endpoint.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from mmreason.tools.toolbox import FAILURES
from mmreason.training.generation.decode import write
from mmreason.training.generation.kv_cache import CannotKeepError, base_of, hindrance, reads_frames
from mmreason.training.generation.prefill import Reader
from mmreason.training.generation.sampling import Draw, choose, uniforms
from mmreason.training.rollouts.inputs import padded, same_inputs
from mmreason.training.rollouts.types import SampleFailure, Written


class Sampler(Protocol):
    """Whatever continues prompts: one contract test over all."""

    def draw(self, draws: Sequence[Draw]) -> list[Written | SampleFailure]:
        """One result a draw, in order. A draw that fails does not take others with it."""
        ...


@runtime_checkable
class Keeping(Protocol):
    """A sampler that can keep what it has read from one call to the next."""

    def keeping(self) -> AbstractContextManager[None]:
        """Keep it until the context is left, however it is left: then all of it is dropped. The
        weights must stay as they are inside."""
        ...


def keeping(sampler: Sampler) -> AbstractContextManager[None]:
    """What a sampler keeps, where it is one that keeps anything."""
    return sampler.keeping() if isinstance(sampler, Keeping) else nullcontext()


def follows_weights(sampler: Sampler) -> bool:
    """Whether what it writes comes of the weights as they are: it says so by an attribute of this
    name. A server, which goes on with those it was started with, does not."""
    return bool(getattr(sampler, "follows_weights", False))


class LocalSampler:
    """A `transformers` model in this process.

    Prompts of similar length run together, at most `batch_tokens` tokens, padding and answers
    included. No truncation (top-p, top-k) and no penalties: the log-probabilities are those of the
    distribution that was sampled.

    Nothing is read twice in one call, nor inside `keeping`: of what was read, keys and values stay
    within `keep_bytes`. Where that is 0, or the model is one that `why_read_again` tells of, every
    draw reads its whole prompt, through the model's own `generate`.
    """

    follows_weights = True

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        end_ids: Sequence[int],
        pad_id: int,
        batch_tokens: int = 65_536,
        keep_bytes: int = 2**31,
    ):
        self._model = model
        self._tokenizer = tokenizer
        self._end_ids = tuple(end_ids)
        self._pad_id = pad_id
        self._batch_tokens = batch_tokens
        self._keep_bytes = keep_bytes
        self._reader: Reader | None = None
        self.why_read_again = hindrance(model) if keep_bytes else "keep_bytes is 0"
        """Why prompts are read from their beginning every time; empty where they are not. Prompts
        with frames are, besides, where `reads_frames` does not hold of the model."""

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """See `Keeping`. Inside another, the outer one decides."""
        if self._reader is not None:
            yield
            return
        self._reader = Reader(
            self._model,
            keep_bytes=self._keep_bytes,
            pad_id=self._pad_id,
            batch_tokens=self._batch_tokens,
        )
        try:
            yield
        finally:
            self._reader = None

    def draw(self, draws: Sequence[Draw]) -> list[Written | SampleFailure]:
        """See `Sampler`."""
        found: list[Written | SampleFailure | None] = [None] * len(draws)
        training = self._model.training
        goes_on = self._reader is not None
        self._model.eval()
        try:
            with self.keeping():
                for places in self._batches(draws):
                    together = self._whole_or_parts([draws[i] for i in places], goes_on)
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

    def _whole_or_parts(
        self, draws: Sequence[Draw], goes_on: bool
    ) -> list[Written | SampleFailure]:
        """A batch; where the model refuses it, or memory runs out, its halves: what is drawn is the
        same, and only the draw that is at fault fails."""
        try:
            return self._batch(draws, goes_on)
        except FAILURES as error:
            if isinstance(error, torch.OutOfMemoryError) and self._reader is not None:
                self._reader.kept.clear()
            if len(draws) == 1:
                line = " ".join(str(error).split()) or type(error).__name__
                return [SampleFailure(kind=type(error).__name__, message=line)]
        half = len(draws) // 2
        first = self._whole_or_parts(draws[:half], goes_on)
        return first + self._whole_or_parts(draws[half:], goes_on)

    @torch.inference_mode()
    def _batch(self, draws: Sequence[Draw], goes_on: bool) -> list[Written | SampleFailure]:
        shown = draws[0].prompt.media is not None
        if not self.why_read_again and (reads_frames(self._model) or not shown):
            try:
                return self._going_on(draws, goes_on)
            except CannotKeepError as error:
                self.why_read_again = str(error)
        return self._from_the_beginning(draws)

    def _going_on(self, draws: Sequence[Draw], goes_on: bool) -> list[Written | SampleFailure]:
        """With what is kept."""
        reader = self._reader
        assert reader is not None, "a draw keeps at least for itself"
        pages = reader.read([draw.prompt for draw in draws])
        kept = reader.kept if goes_on else None
        lines = write(self._model, draws, pages, self._end_ids, desk=reader.desk, kept=kept)
        return [self._written(line.draw, line.token_ids, line.logprobs) for line in lines]

    def _from_the_beginning(self, draws: Sequence[Draw]) -> list[Written | SampleFailure]:
        """Through the model's own `generate`."""
        inputs = padded(
            [draw.prompt for draw in draws],
            pad_id=self._pad_id,
            side="left",
            model=self._model,
            device=self._model.device,
        )
        for name, tensor in inputs.items():
            if tensor.is_floating_point():
                inputs[name] = tensor.to(self._model.dtype)
        longest = max(draw.max_new_tokens for draw in draws)
        choice = _Choice(draws, longest, self._model.device)
        # What is not said here is taken from the model's own settings, penalties among them.
        own, self._model.generation_config = self._model.generation_config, GenerationConfig()
        try:
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
                # Processes sample different numbers of turns: none waits for another.
                synced_gpus=False,
            )
        finally:
            self._model.generation_config = own
            base_of(self._model).generation_config = own  # an adapter's `generate` sets it too
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
    """Has `generate` take the tokens that are chosen here: all others are made impossible."""

    def __init__(self, draws: Sequence[Draw], longest: int, device: torch.device):
        self._numbers = torch.stack([uniforms(draw.seed, longest) for draw in draws]).to(device)
        self._temperature = draws[0].temperature
        self.logprobs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`scores` (B, V) of the next token."""
        numbers = self._numbers[:, len(self.logprobs)]
        chosen, logprobs = choose(scores, numbers, self._temperature)
        self.logprobs.append(logprobs)
        return torch.full_like(scores, -torch.inf).scatter(1, chosen[:, None], 0.0)
