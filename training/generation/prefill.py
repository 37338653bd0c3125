"""Prefill: prompts through the model, but for the beginnings that are in the prefix cache.

Prompts that are alike are read once. What is cached and for how long is decided in `sampler.py`;
writing on from what was read is `decode.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from mmreason.training.generation.kv_cache import (
    KVBuffer,
    PrefilledPrompt,
    forward_last,
    stack_states,
    wrap_buffer,
)
from mmreason.training.generation.prefix_cache import (
    CachedPrefix,
    PrefixCache,
    count_common_tokens,
)
from mmreason.training.rollouts.inputs import input_signature, pad_prompts, unwrap_adapter
from mmreason.training.rollouts.types import Prompt

_SLACK_TOKENS = 64
"""Padding that is cheaper than another pass, with a quarter of what is read besides."""
_LEAST_SHARED_TOKENS = 16
"""Tokens that different prompts must begin with alike for these to be read by themselves."""


@dataclass(frozen=True, slots=True, eq=False)
class _PendingPrompt:
    """A prompt whose first `start` tokens are in `prefix`."""

    prompt: Prompt
    key: bytes
    prefix: CachedPrefix | None
    start: int

    @property
    def unread(self) -> int:
        """Tokens to read."""
        return len(self.prompt.token_ids) - self.start

    @property
    def signature(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What goes into the model besides tokens."""
        return () if self.start else input_signature(self.prompt)


class Prefiller:
    """A model for as long as its weights stay as they are."""

    def __init__(self, model: Any, *, cache_bytes: int, pad_id: int, batch_tokens: int):
        self.cache = PrefixCache(cache_bytes)
        self.buffer = KVBuffer()
        self._model = model
        self._pad_id = pad_id
        self._batch_tokens = batch_tokens

    def prefill(self, prompts: Sequence[Prompt]) -> list[PrefilledPrompt]:
        """One result a prompt, in order. Raises CacheUnsupportedError, or what the model raises."""
        keys = [self.cache.make_key(prompt) for prompt in prompts]
        # 1) Equal prompts are one.
        # The samples of a problem have one prompt: a group reads it once.
        distinct = dict(zip(keys, prompts, strict=True))
        # 2) What all of them begin with goes into the cache first.
        self._read_common_beginning(distinct)
        # 3) The rest of each, similar lengths together.
        pending = [self._look_up(key, prompt) for key, prompt in distinct.items()]
        batches = self._batch(pending)
        results = {result.key: result for batch in batches for result in self._forward(batch)}
        return [results[key] for key in keys]

    def _read_common_beginning(self, prompts: dict[bytes, Prompt]) -> None:
        """Cache what different prompts have in common (a system prompt, an earlier turn)."""
        keys = sorted(key for key, prompt in prompts.items() if prompt.media is None)
        if len(keys) < 2:
            return
        # Sorted, the first and the last have least in common.
        shared = count_common_tokens(keys[0], keys[-1])
        beginning = Prompt(prompts[keys[0]].token_ids[:shared])
        key = self.cache.make_key(beginning)
        # Less than that is not worth a pass of its own.
        if shared - self.cache.find_longest(key)[1] >= _LEAST_SHARED_TOKENS:
            self._forward([self._look_up(key, beginning)])

    def _look_up(self, key: bytes, prompt: Prompt) -> _PendingPrompt:
        prefix, common = self.cache.find_longest(key)
        start = min(common, len(prompt.token_ids) - 1)  # logits come of reading at least one
        placeholders = prompt.media.placeholder_counts if prompt.media is not None else {}
        # Frames are read together with all that stands before them and between them.
        if prefix is None or any(token in placeholders for token in prompt.token_ids[start:]):
            return _PendingPrompt(prompt, key, None, 0)
        return _PendingPrompt(prompt, key, prefix, start)

    def _batch(self, pending: Sequence[_PendingPrompt]) -> Iterator[list[_PendingPrompt]]:
        """Prompts that are read together: the same kinds of input, nearly as much to read."""
        batch: list[_PendingPrompt] = []
        # Longest first: the first of a batch says how wide all of it is.
        for item in sorted(pending, key=lambda item: (item.signature, -item.unread)):
            grown = [*batch, item]
            real = sum(row.unread for row in grown)
            padding = grown[0].unread * len(grown) - real
            # Memory goes with the whole width, cached columns included.
            cells = (max(row.start for row in grown) + grown[0].unread) * len(grown)
            is_full = padding > real / 4 + _SLACK_TOKENS or cells > self._batch_tokens
            if batch and (is_full or item.signature != batch[0].signature):
                yield batch
                batch = []
            batch.append(item)
        if batch:
            yield batch

    def _forward(self, batch: Sequence[_PendingPrompt]) -> list[PrefilledPrompt]:
        """One forward pass over what is new in some prompts; caches what it gives.

        Cached tokens end at column `filled`, new ones at column `filled + fresh`."""
        # The longest of each half sets the columns; shorter ones are padded on the left.
        filled = max(item.start for item in batch)
        fresh = max(item.unread for item in batch)
        buffer = None
        if filled:
            prefixes, starts = [item.prefix for item in batch], [item.start for item in batch]
            buffer = self.buffer.lay_out(prefixes, starts, filled, filled + fresh)
            cache = wrap_buffer(buffer, filled)
        else:
            # Nothing cached: the model's own kind of cache, which it fills itself.
            cache = DynamicCache(config=unwrap_adapter(self._model).config)
        if batch[0].signature:
            logits, shifts = self._read_frames([item.prompt for item in batch], cache)
        else:
            logits, shifts = self._read_text(batch, cache, filled, fresh)
        states = stack_states(cache) if buffer is None else buffer
        results = []
        for row, item in enumerate(batch):
            # Padding lies between the two halves of a row: left of the cached and of the new.
            cached = states[:, :, row, :, filled - item.start : filled]
            new = states[:, :, row, :, filled + fresh - item.unread :]
            prefix = CachedPrefix(torch.cat((cached, new), dim=3), shifts[row])
            # Copied out, since the buffer is written over by the next batch.
            self.cache.put(item.key, prefix)
            results.append(PrefilledPrompt(item.key, prefix, logits[row]))
        return results

    def _read_text(
        self, batch: Sequence[_PendingPrompt], cache: Any, filled: int, fresh: int
    ) -> tuple[Tensor, list[int]]:
        """(B, V) logits, and the shift of positions of each row."""
        ids = torch.full((len(batch), fresh), self._pad_id, dtype=torch.long)
        mask = torch.zeros((len(batch), filled + fresh), dtype=torch.long)
        positions = torch.zeros((len(batch), fresh), dtype=torch.long)
        shifts = [0 if item.prefix is None else item.prefix.position_shift for item in batch]
        for row, (item, shift) in enumerate(zip(batch, shifts, strict=True)):
            # The position of a token counts what the model has read, not the columns it lies in.
            ids[row, fresh - item.unread :] = torch.tensor(item.prompt.token_ids[item.start :])
            mask[row, filled - item.start : filled] = 1
            mask[row, filled + fresh - item.unread :] = 1
            first = item.start + shift
            positions[row, fresh - item.unread :] = torch.arange(first, first + item.unread)
        logits = forward_last(
            self._model, cache, input_ids=ids, attention_mask=mask, position_ids=positions
        )
        return logits, shifts

    def _read_frames(self, prompts: Sequence[Prompt], cache: Any) -> tuple[Tensor, list[int]]:
        """As `_read_text`, at the positions that the model itself gives to frames."""
        base = unwrap_adapter(self._model)
        inputs = pad_prompts(prompts, pad_id=self._pad_id, side="left", model=base)
        for name, tensor in inputs.items():
            if tensor.is_floating_point():
                inputs[name] = tensor.to(base.dtype)
        logits = forward_last(self._model, cache, **inputs)
        # By how much the frames moved the positions of what follows them.
        return logits, base.model.rope_deltas.flatten().tolist()
