"""Writes on from prompts that have been read, a batch of rows at a time.

Rows that have ended leave the batch. What comes out equals `generate` on whole conversations (up to
rounding), which stays the way for the models that `cache.hindrance` names. Leaves out reading
(`reading.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from mmreason.training.generation.kv_cache import Desk, Page, cache_over, forward
from mmreason.training.generation.prefix_cache import Kept, Stretch
from mmreason.training.generation.sampling import Draw, choose, uniforms


@dataclass(eq=False)
class Line:
    """A draw on its way, and what it has come to."""

    draw: Draw
    page: Page
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def add(self, token_id: int, logprob: float) -> None:
        self.token_ids.append(token_id)
        self.logprobs.append(logprob)

    def is_over(self, end_ids: Sequence[int]) -> bool:
        return self.token_ids[-1] in end_ids or len(self.token_ids) == self.draw.max_new_tokens


def write(
    model: Any,
    draws: Sequence[Draw],
    pages: Sequence[Page],
    end_ids: Sequence[int],
    *,
    desk: Desk,
    kept: Kept | None,
) -> list[Line]:
    """One line a draw, in order, up to its end token or its limit. All draws have one temperature.
    What was written is put into `kept`, but for each last token, which has not been read."""
    lines = [Line(draw, page) for draw, page in zip(draws, pages, strict=True)]
    rows = _Rows(lines, desk, model.device)
    scores = torch.stack([page.scores for page in pages])
    while True:
        chosen, logprobs = choose(scores, rows.numbers[:, rows.step], draws[0].temperature)
        told = torch.stack((chosen.double(), logprobs.double())).tolist()  # in one transfer
        going = []
        for row, line in enumerate(rows.lines):
            line.add(int(told[0][row]), told[1][row])
            if not line.is_over(end_ids):
                going.append(row)
            elif kept is not None and rows.step:
                key = kept.key(line.draw.prompt, tuple(line.token_ids[:-1]))
                kept.put(key, rows.stretch(row))
        if not going:
            return lines
        if len(going) < len(rows.lines):
            chosen = chosen[rows.thin(going)]
        scores = rows.advance(model, chosen)


class _Rows:
    """Lines that go on, and what the model holds of each: prompts end at place `width`."""

    def __init__(self, lines: Sequence[Line], desk: Desk, device: torch.device):
        self.lines = list(lines)
        self.step = 0
        """Written tokens that have been read."""
        longest = max(line.draw.max_new_tokens for line in lines)
        stretches = [line.page.stretch for line in lines]
        lengths = [one.tokens for one in stretches]
        self.width = max(lengths)
        self._room = desk.room(stretches, lengths, self.width, self.width + longest - 1)
        self._cache = cache_over(self._room, self.width)
        places = torch.arange(self.width + longest)
        starts = torch.tensor([self.width - length for length in lengths])
        self._mask = (places >= starts[:, None]).long().to(device)
        shifted = [one.tokens + one.shift for one in stretches]
        self._positions = torch.tensor(shifted, device=device)
        numbers = [uniforms(line.draw.seed, longest) for line in lines]
        self.numbers = torch.stack(numbers).to(device)

    def stretch(self, row: int) -> Stretch:
        """A copy of what has been read of a row."""
        of_prompt = self.lines[row].page.stretch
        places = slice(self.width - of_prompt.tokens, self.width + self.step)
        return Stretch(self._room[:, :, row, :, places].clone(), of_prompt.shift)

    def thin(self, going: Sequence[int]) -> list[int]:
        """Keep these rows alone, the last of them in the places of those that leave; the rows in
        their new order."""
        count = len(going)
        order = list(range(count))
        left = [row for row in order if row not in going]
        for place, row in zip(left, (row for row in going if row >= count), strict=True):
            self._room[:, :, place, :, : self.width + self.step] = self._room[
                :, :, row, :, : self.width + self.step
            ]
            order[place] = row
        self.lines = [self.lines[row] for row in order]
        self._room = self._room[:, :, :count]
        self._cache = cache_over(self._room, self.width + self.step)
        self._mask, self._positions = self._mask[order], self._positions[order]
        self.numbers = self.numbers[order]
        return order

    def advance(self, model: Any, chosen: torch.Tensor) -> torch.Tensor:
        """Read what was chosen (B,); scores (B, V) of what comes next."""
        scores = forward(
            model,
            self._cache,
            input_ids=chosen[:, None],
            attention_mask=self._mask[:, : self.width + self.step + 1],
            position_ids=self._positions[:, None] + self.step,
        )
        self.step += 1
        return scores
