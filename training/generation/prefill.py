"""Reads prompts with what was read before at hand.

Only what a prompt adds to a kept beginning goes through the model, and prompts that are alike are
read once. Leaves out what is kept and for how long (`kept.py`, `sampler.py`) and writing on from
what was read (`writing.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from mmreason.training.generation.kv_cache import (
    Desk,
    Page,
    base_of,
    cache_over,
    forward,
    states_of,
)
from mmreason.training.generation.prefix_cache import Kept, Stretch, common
from mmreason.training.rollouts.inputs import padded, same_inputs
from mmreason.training.rollouts.types import Prompt

_SLACK_TOKENS = 64
"""Padding that is cheaper than another pass, with a quarter of what is read besides."""
_WORTH_SHARING = 16
"""Tokens that different prompts must begin with alike for these to be read by themselves."""


@dataclass(frozen=True, slots=True, eq=False)
class _Unread:
    """A prompt whose first `start` tokens are in `stretch`."""

    prompt: Prompt
    key: bytes
    stretch: Stretch | None
    start: int

    @property
    def tokens(self) -> int:
        return len(self.prompt.token_ids) - self.start

    @property
    def inputs(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What goes into the model besides tokens."""
        return () if self.start else same_inputs(self.prompt)


class Reader:
    """A model for as long as its weights stay as they are."""

    def __init__(self, model: Any, *, keep_bytes: int, pad_id: int, batch_tokens: int):
        self.kept = Kept(keep_bytes)
        self.desk = Desk()
        self._model = model
        self._pad_id = pad_id
        self._batch_tokens = batch_tokens

    def read(self, prompts: Sequence[Prompt]) -> list[Page]:
        """One page a prompt, in order. Raises CannotKeepError, or what the model raises."""
        keys = [self.kept.key(prompt) for prompt in prompts]
        different = dict(zip(keys, prompts, strict=True))
        self._read_beginning(different)
        unread = [self._unread(key, prompt) for key, prompt in different.items()]
        pages = {page.key: page for part in self._parts(unread) for page in self._pass(part)}
        return [pages[key] for key in keys]

    def _read_beginning(self, prompts: dict[bytes, Prompt]) -> None:
        """Keep what different prompts have in common (a system prompt, an earlier turn)."""
        keys = sorted(key for key, prompt in prompts.items() if prompt.media is None)
        if len(keys) < 2:
            return
        shared = common(keys[0], keys[-1])  # the first and the last have least in common
        beginning = Prompt(prompts[keys[0]].token_ids[:shared])
        key = self.kept.key(beginning)
        if shared - self.kept.find(key)[1] >= _WORTH_SHARING:
            self._pass([self._unread(key, beginning)])

    def _unread(self, key: bytes, prompt: Prompt) -> _Unread:
        stretch, alike = self.kept.find(key)
        start = min(alike, len(prompt.token_ids) - 1)  # scores come of reading at least one
        places = prompt.media.places if prompt.media is not None else {}
        # Frames are read together with all that stands before them and between them.
        if stretch is None or any(token in places for token in prompt.token_ids[start:]):
            return _Unread(prompt, key, None, 0)
        return _Unread(prompt, key, stretch, start)

    def _parts(self, unread: Sequence[_Unread]) -> Iterator[list[_Unread]]:
        """Prompts that are read together: the same kinds of input, nearly as much to read."""
        part: list[_Unread] = []
        for one in sorted(unread, key=lambda one: (one.inputs, -one.tokens)):
            grown = [*part, one]
            real = sum(each.tokens for each in grown)
            padding = grown[0].tokens * len(grown) - real
            held = (max(each.start for each in grown) + grown[0].tokens) * len(grown)
            apart = padding > real / 4 + _SLACK_TOKENS or held > self._batch_tokens
            if part and (apart or one.inputs != part[0].inputs):
                yield part
                part = []
            part.append(one)
        if part:
            yield part

    def _pass(self, part: Sequence[_Unread]) -> list[Page]:
        """One forward pass over what is new in some prompts; keeps what it gives."""
        width, fresh = max(one.start for one in part), max(one.tokens for one in part)
        if width:
            starts = [one.start for one in part]
            room = self.desk.room([one.stretch for one in part], starts, width, width + fresh)
            cache = cache_over(room, width)
        else:
            cache = DynamicCache(config=base_of(self._model).config)
        if part[0].inputs:
            scores, shifts = self._with_frames([one.prompt for one in part], cache)
        else:
            scores, shifts = self._text(part, cache, width, fresh)
        states = room if width else states_of(cache)
        pages = []
        for row, one in enumerate(part):
            old = states[:, :, row, :, width - one.start : width]
            new = states[:, :, row, :, width + fresh - one.tokens :]
            stretch = Stretch(torch.cat((old, new), dim=3), shifts[row])
            self.kept.put(one.key, stretch)
            pages.append(Page(one.key, stretch, scores[row]))
        return pages

    def _text(
        self, part: Sequence[_Unread], cache: Any, width: int, fresh: int
    ) -> tuple[Tensor, list[int]]:
        ids = torch.full((len(part), fresh), self._pad_id, dtype=torch.long)
        mask = torch.zeros((len(part), width + fresh), dtype=torch.long)
        positions = torch.zeros((len(part), fresh), dtype=torch.long)
        shifts = [0 if one.stretch is None else one.stretch.shift for one in part]
        for row, (one, shift) in enumerate(zip(part, shifts, strict=True)):
            ids[row, fresh - one.tokens :] = torch.tensor(one.prompt.token_ids[one.start :])
            mask[row, width - one.start : width] = 1
            mask[row, width + fresh - one.tokens :] = 1
            first = one.start + shift
            positions[row, fresh - one.tokens :] = torch.arange(first, first + one.tokens)
        return forward(
            self._model, cache, input_ids=ids, attention_mask=mask, position_ids=positions
        ), shifts

    def _with_frames(self, prompts: Sequence[Prompt], cache: Any) -> tuple[Tensor, list[int]]:
        """At the positions that the model gives them."""
        base = base_of(self._model)
        inputs = padded(prompts, pad_id=self._pad_id, side="left", model=base)
        for name, tensor in inputs.items():
            if tensor.is_floating_point():
                inputs[name] = tensor.to(base.dtype)
        scores = forward(self._model, cache, **inputs)
        return scores, base.model.rope_deltas.flatten().tolist()
