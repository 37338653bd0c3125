"""Completions of prompts from a local model, each from its own seed.

What is sampled depends on the prompt, the weights and the seed, not on what else is in the batch or
on which process samples it (up to rounding of the logits). Served models: `endpoint.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from mmreason.tools.calls import FAILURES
from mmreason.training.generation.decode import decode_rows
from mmreason.training.generation.kv_cache import (
    CacheUnsupportedError,
    can_cache_frames,
    why_uncacheable,
)
from mmreason.training.generation.prefill import Prefiller
from mmreason.training.generation.sampling import SampleRequest, sample_token, uniform_draws
from mmreason.training.rollouts.inputs import input_signature, pad_prompts, unwrap_adapter
from mmreason.training.rollouts.types import Completion, SampleFailure


class Sampler(Protocol):
    """Whatever continues prompts: one contract test over all."""

    def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
        """One result a request, in order. One that fails does not take others with it."""
        ...


@runtime_checkable
class PrefixCaching(Protocol):
    """A sampler that can keep what it has read from one call to the next."""

    def cache_prefixes(self) -> AbstractContextManager[None]:
        """Keep it until the context is left, however it is left: then all of it is dropped. The
        weights must stay as they are inside."""
        ...


def cache_prefixes(sampler: Sampler) -> AbstractContextManager[None]:
    """The prefix cache of a sampler that has one; nothing for others."""
    return sampler.cache_prefixes() if isinstance(sampler, PrefixCaching) else nullcontext()


def follows_weights(sampler: Sampler) -> bool:
    """Whether what it writes comes of the weights as they are: it says so by an attribute of this
    name. A server, which goes on with those it was started with, does not."""
    return bool(getattr(sampler, "follows_weights", False))


class LocalSampler:
    """A `transformers` model in this process.

    Prompts of similar length run together, at most `batch_tokens` tokens, padding and answers
    included. No truncation (top-p, top-k) and no penalties: the log-probabilities are those of the
    distribution that was sampled.

    Nothing is read twice in one call, nor inside `cache_prefixes`: of what was read, keys and
    values stay within `cache_bytes`. Where that is 0, or for the models that `why_uncached` tells
    of, every request reads its whole prompt, through the model's own `generate`.
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
        cache_bytes: int = 2**31,
    ):
        self._model = model
        self._tokenizer = tokenizer
        self._end_ids = tuple(end_ids)
        self._pad_id = pad_id
        self._batch_tokens = batch_tokens
        self._cache_bytes = cache_bytes
        self._prefiller: Prefiller | None = None
        self.why_uncached = why_uncacheable(model) if cache_bytes else "cache_bytes is 0"
        """Why prompts are read from their beginning every time; empty where they are not. Prompts
        with frames are, besides, where `can_cache_frames` does not hold of the model."""

    @contextmanager
    def cache_prefixes(self) -> Iterator[None]:
        """See `PrefixCaching`. Inside another, the outer one decides."""
        if self._prefiller is not None:
            yield
            return
        self._prefiller = Prefiller(
            self._model,
            cache_bytes=self._cache_bytes,
            pad_id=self._pad_id,
            batch_tokens=self._batch_tokens,
        )
        try:
            yield
        finally:
            self._prefiller = None

    def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
        """See `Sampler`."""
        results: dict[int, Completion | SampleFailure] = {}
        was_training = self._model.training
        # A cache of this call alone is not worth what was written: nothing goes on from it.
        cache_completions = self._prefiller is not None
        # Dropout would make tokens of another distribution than the one that is reported.
        self._model.eval()
        try:
            with self.cache_prefixes():
                for indices in self._batches(requests):
                    batch = [requests[i] for i in indices]
                    completions = self._sample_or_halve(batch, cache_completions)
                    results |= zip(indices, completions, strict=True)
        finally:
            self._model.train(was_training)
        return [results[i] for i in range(len(requests))]

    def _batches(self, requests: Sequence[SampleRequest]) -> Iterator[list[int]]:
        """Indices of requests that run together: same kinds of input, similar lengths."""

        def size(i: int) -> int:
            return len(requests[i].prompt.token_ids) + requests[i].max_new_tokens

        def kind(i: int) -> tuple[Any, ...]:
            # One forward pass has one set of tensors and one temperature.
            return (input_signature(requests[i].prompt), requests[i].temperature)

        # Longest first: a batch is padded to its first.
        batch: list[int] = []
        for i in sorted(range(len(requests)), key=lambda i: (kind(i), -size(i), i)):
            is_full = bool(batch) and size(batch[0]) * (len(batch) + 1) > self._batch_tokens
            if batch and (is_full or kind(i) != kind(batch[0])):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    def _sample_or_halve(
        self, requests: Sequence[SampleRequest], cache_completions: bool
    ) -> list[Completion | SampleFailure]:
        """A batch; where the model refuses it, or memory runs out, its halves: what is sampled is
        the same, and only the request that is at fault fails."""
        try:
            return self._sample_batch(requests, cache_completions)
        except FAILURES as error:
            # What is cached may be what is in the way.
            if isinstance(error, torch.OutOfMemoryError) and self._prefiller is not None:
                self._prefiller.cache.clear()
            if len(requests) == 1:
                line = " ".join(str(error).split()) or type(error).__name__
                return [SampleFailure(kind=type(error).__name__, message=line)]
        # Draws depend on a request's own seed, so that halves write what the whole would have.
        half = len(requests) // 2
        first = self._sample_or_halve(requests[:half], cache_completions)
        return first + self._sample_or_halve(requests[half:], cache_completions)

    @torch.inference_mode()
    def _sample_batch(
        self, requests: Sequence[SampleRequest], cache_completions: bool
    ) -> list[Completion | SampleFailure]:
        has_media = requests[0].prompt.media is not None
        if not self.why_uncached and (can_cache_frames(self._model) or not has_media):
            try:
                return self._sample_cached(requests, cache_completions)
            except CacheUnsupportedError as error:
                # Kept: the model will not learn it, and trying costs a pass each time.
                self.why_uncached = str(error)
        return self._sample_uncached(requests)

    def _sample_cached(
        self, requests: Sequence[SampleRequest], cache_completions: bool
    ) -> list[Completion | SampleFailure]:
        """Prefill with what is cached, then decode."""
        prefiller = self._prefiller
        assert prefiller is not None, "a call caches at least for itself"
        rows = decode_rows(
            self._model,
            requests,
            prefiller.prefill([request.prompt for request in requests]),
            self._end_ids,
            buffer=prefiller.buffer,
            cache=prefiller.cache if cache_completions else None,
        )
        return [self._complete(row.request, row.token_ids, row.logprobs) for row in rows]

    def _sample_uncached(
        self, requests: Sequence[SampleRequest]
    ) -> list[Completion | SampleFailure]:
        """Through the model's own `generate`."""
        inputs = pad_prompts(
            [request.prompt for request in requests],
            pad_id=self._pad_id,
            side="left",
            model=self._model,
            device=self._model.device,
        )
        for name, tensor in inputs.items():
            if tensor.is_floating_point():
                inputs[name] = tensor.to(self._model.dtype)
        longest = max(request.max_new_tokens for request in requests)
        choice = _SeededChoice(requests, longest, self._model.device)
        # What is not said here is taken from the model's own settings, penalties among them.
        model_settings = self._model.generation_config
        self._model.generation_config = GenerationConfig()
        try:
            output = self._model.generate(
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
            self._model.generation_config = model_settings
            # An adapter's `generate` sets that of the model inside it too.
            unwrap_adapter(self._model).generation_config = model_settings
        # Prompts are padded on the left, so all completions begin in the same column.
        ids = output[:, inputs["input_ids"].shape[1] :].tolist()
        logprobs = torch.stack(choice.logprobs, dim=1).tolist()
        return [
            self._complete(request, row, row_logprobs)
            for request, row, row_logprobs in zip(requests, ids, logprobs, strict=True)
        ]

    def _complete(
        self, request: SampleRequest, token_ids: list[int], logprobs: list[float]
    ) -> Completion | SampleFailure:
        """The completion up to its end token or its limit; `generate` pads what comes after."""
        limit = min(request.max_new_tokens, len(token_ids))
        end = next((i for i in range(limit) if token_ids[i] in self._end_ids), None)
        length = limit if end is None else end + 1
        if any(map(math.isnan, logprobs[:length])):
            return SampleFailure(kind="NonFinite", message="the model's probabilities are NaN")
        return Completion(
            token_ids=tuple(token_ids[:length]),
            logprobs=tuple(logprobs[:length]),
            text=self._tokenizer.decode(token_ids[:length], skip_special_tokens=True).strip(),
            finish_reason="length" if end is None else "stop",
        )


class _SeededChoice(LogitsProcessor):
    """Has `generate` take the tokens that are chosen here: all others are made impossible."""

    def __init__(self, requests: Sequence[SampleRequest], longest: int, device: torch.device):
        uniforms = [uniform_draws(request.seed, longest) for request in requests]
        self._uniforms = torch.stack(uniforms).to(device)
        self._temperature = requests[0].temperature
        self.logprobs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`scores` (B, V) of the next token."""
        uniforms = self._uniforms[:, len(self.logprobs)]
        chosen, logprobs = sample_token(scores, uniforms, self._temperature)
        self.logprobs.append(logprobs)
        # `generate` is greedy here and has one token to take.
        return torch.full_like(scores, -torch.inf).scatter(1, chosen[:, None], 0.0)
