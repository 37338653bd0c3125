"""Decode: one token a step after prompts that have been prefilled, a batch of rows at a time.

Rows that have ended leave the batch. What comes out equals `generate` on whole conversations (up to
rounding), which stays the way for the models that `kv_cache.why_uncacheable` names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from mmreason.training.generation.kv_cache import (
    KVBuffer,
    PrefilledPrompt,
    forward_last,
    wrap_buffer,
)
from mmreason.training.generation.prefix_cache import CachedPrefix, PrefixCache
from mmreason.training.generation.sampling import SampleRequest, sample_token, uniform_draws


@dataclass(eq=False)
class ActiveRow:
    """A request that is being decoded, with what it has come to."""

    request: SampleRequest
    prompt: PrefilledPrompt
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def add_token(self, token_id: int, logprob: float) -> None:
        """Append a sampled token."""
        self.token_ids.append(token_id)
        self.logprobs.append(logprob)

    def is_over(self, end_ids: Sequence[int]) -> bool:
        """Whether an end token or the limit was reached."""
        is_full = len(self.token_ids) == self.request.max_new_tokens
        return self.token_ids[-1] in end_ids or is_full


def decode_rows(
    model: Any,
    requests: Sequence[SampleRequest],
    prompts: Sequence[PrefilledPrompt],
    end_ids: Sequence[int],
    *,
    buffer: KVBuffer,
    cache: PrefixCache | None,
) -> list[ActiveRow]:
    """One row a request, in order, up to its end token or its limit. All requests have one
    temperature. What was decoded is put into `cache`, but for each last token, which has not been
    read."""
    rows = [ActiveRow(*pair) for pair in zip(requests, prompts, strict=True)]
    batch = _ActiveBatch(rows, buffer, model.device)
    logits = torch.stack([prompt.next_logits for prompt in prompts])
    while True:
        # 1) Choose a token for every row, each by its own number of this step.
        chosen, logprobs = sample_token(
            logits, batch.uniforms[:, batch.step], requests[0].temperature
        )
        token_ids, values = torch.stack((chosen.double(), logprobs.double())).tolist()  # at once
        # 2) Let go of the rows that have ended, and cache what was read of them.
        going = []
        for i, row in enumerate(batch.rows):
            row.add_token(int(token_ids[i]), values[i])
            if not row.is_over(end_ids):
                going.append(i)
            elif cache is not None and batch.step:
                key = cache.make_key(row.request.prompt, tuple(row.token_ids[:-1]))
                cache.put(key, batch.copy_prefix(i))
        if not going:
            return rows
        if len(going) < len(batch.rows):
            chosen = chosen[batch.keep_rows(going)]
        # 3) Read what was chosen.
        logits = batch.read_tokens(model, chosen)


class _ActiveBatch:
    """Rows that go on, with their keys and values: all prompts end at column `width`."""

    def __init__(self, rows: Sequence[ActiveRow], buffer: KVBuffer, device: torch.device):
        self.rows = list(rows)
        self.step = 0
        """Decoded tokens that have been read."""
        longest = max(row.request.max_new_tokens for row in rows)
        prefixes = [row.prompt.prefix for row in rows]
        lengths = [prefix.length for prefix in prefixes]
        self.width = max(lengths)
        # One column less than tokens: the last one is never read.
        self._states = buffer.lay_out(prefixes, lengths, self.width, self.width + longest - 1)
        self._cache = wrap_buffer(self._states, self.width)
        columns = torch.arange(self.width + longest)
        starts = torch.tensor([self.width - length for length in lengths])
        self._mask = (columns >= starts[:, None]).long().to(device)
        next_positions = [prefix.length + prefix.position_shift for prefix in prefixes]
        self._next_positions = torch.tensor(next_positions, device=device)
        # Drawn before: what a row gets does not depend on how long the others go on.
        uniforms = [uniform_draws(row.request.seed, longest) for row in rows]
        self.uniforms = torch.stack(uniforms).to(device)

    def copy_prefix(self, row: int) -> CachedPrefix:
        """A copy of what has been read of a row."""
        prefix = self.rows[row].prompt.prefix
        columns = slice(self.width - prefix.length, self.width + self.step)
        # A copy: the row's columns are about to be given to another row.
        return CachedPrefix(self._states[:, :, row, :, columns].clone(), prefix.position_shift)

    def keep_rows(self, going: Sequence[int]) -> list[int]:
        """Keep these rows alone. The last of them move into the gaps of those that leave, so that
        only they are copied. Returns the rows in their new order."""
        count = len(going)
        order = list(range(count))
        gaps = [row for row in order if row not in going]
        # Columns behind these are not written yet: nothing to copy.
        used = slice(self.width + self.step)
        # As many gaps below `count` as rows at or above it, since `count` rows go on.
        for gap, row in zip(gaps, (row for row in going if row >= count), strict=True):
            self._states[:, :, gap, :, used] = self._states[:, :, row, :, used]
            order[gap] = row
        self.rows = [self.rows[row] for row in order]
        self._states = self._states[:, :, :count]
        self._cache = wrap_buffer(self._states, self.width + self.step)
        self._mask, self._next_positions = self._mask[order], self._next_positions[order]
        self.uniforms = self.uniforms[order]
        return order

    def read_tokens(self, model: Any, chosen: torch.Tensor) -> torch.Tensor:
        """Read the tokens `chosen` (B,); (B, V) logits of what comes next."""
        logits = forward_last(
            model,
            self._cache,
            input_ids=chosen[:, None],
            attention_mask=self._mask[:, : self.width + self.step + 1],
            position_ids=self._next_positions[:, None] + self.step,
        )
        self.step += 1
        return logits
