"""Sequences of a micro-batch as the tensors of one forward pass: padded, or packed into one row.

Both give the same log-probabilities (tested); packing wastes no tokens on padding and pays where
attention skips what other sequences hold (flash attention), padding pays on a CPU. Sequences are
never cut. Leaves out the model (`logps.py`) and which sequences go together (`batches.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mmreason.training.rollouts.inputs import media_tensors, padded, type_names
from mmreason.training.rollouts.types import Prompt, Role, TokenSequence

LayoutKind = Literal["padded", "packed"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Layout:
    """One forward pass. B sequences, C columns: enough for the most tokens written in any."""

    inputs: Mapping[str, Tensor]
    """Arguments of the model."""
    keep: Tensor
    """(K,) positions along the input whose logits are wanted."""
    source: Tensor
    """(B, C): which of the logits, flattened over (rows, K), predicts each written token; 0 where
    there is none."""
    ids: Tensor
    """(B, C) the written tokens; 0 where there is none."""
    mask: Tensor
    """(B, C) bool, true where there is one."""
    sampler_logp: Tensor | None
    """(B, C) as the sampler told them; None where it did not."""

    def to(self, device: torch.device) -> Layout:
        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return Layout(
            inputs={name: moved(tensor) for name, tensor in self.inputs.items()},
            keep=moved(self.keep),
            source=moved(self.source),
            ids=moved(self.ids),
            mask=moved(self.mask),
            sampler_logp=None if self.sampler_logp is None else moved(self.sampler_logp),
        )


def lay_out(
    sequences: Sequence[TokenSequence], *, kind: LayoutKind, pad_id: int, model: Any
) -> Layout:
    """The forward pass of some sequences that may share one (`same_inputs`). `model` is asked for
    its config and, where it has eyes, for the positions of its tokens."""
    places = [_written_places(sequence) for sequence in sequences]
    if kind == "packed":
        inputs, starts = _packed(sequences, model)
        keep = [start + p - 1 for start, own in zip(starts, places, strict=True) for p in own]
        rows = [[0] * len(own) for own in places]
    else:
        inputs, starts = _padded(sequences, pad_id, model), [0] * len(sequences)
        keep = sorted({p - 1 for own in places for p in own})
        rows = [[row] * len(own) for row, own in enumerate(places)]
    keep = keep or [0]
    column = {position: i for i, position in enumerate(keep)}
    source = [
        [row * len(keep) + column[start + p - 1] for row, p in zip(own_rows, own, strict=True)]
        for own_rows, own, start in zip(rows, places, starts, strict=True)
    ]
    ids = [
        [sequence.token_ids[p] for p in own]
        for sequence, own in zip(sequences, places, strict=True)
    ]
    told = [
        None if sequence.logprobs is None else [sequence.logprobs[p] for p in own]
        for sequence, own in zip(sequences, places, strict=True)
    ]
    known = [one for one in told if one is not None]
    width = max(1, *(len(own) for own in places)) if places else 1
    return Layout(
        inputs=inputs,
        keep=torch.tensor(keep),
        source=_table(source, width, torch.long),
        ids=_table(ids, width, torch.long),
        mask=_table([[1] * len(own) for own in places], width, torch.bool),
        sampler_logp=_table(known, width, torch.float32) if len(known) == len(told) else None,
    )


def empty_layout(pad_id: int, model: Any) -> Layout:
    """A forward pass of nothing written, for a process that has nothing when others have."""
    empty = TokenSequence(token_ids=(pad_id,) * 2, roles=(Role.PROMPT,) * 2, logprobs=None)
    return lay_out([empty], kind="padded", pad_id=pad_id, model=model)


def _written_places(sequence: TokenSequence) -> list[int]:
    return [i for i, role in enumerate(sequence.roles) if role is Role.MODEL and i > 0]


def _table(rows: Sequence[Sequence[float]], width: int, dtype: torch.dtype) -> Tensor:
    table = torch.zeros((len(rows), width), dtype=dtype)
    for i, row in enumerate(rows):
        table[i, : len(row)] = torch.tensor(row, dtype=dtype)
    return table


def _padded(sequences: Sequence[TokenSequence], pad_id: int, model: Any) -> dict[str, Tensor]:
    prompts = [Prompt(sequence.token_ids, sequence.media) for sequence in sequences]
    inputs = padded(prompts, pad_id=pad_id, side="right", model=model)
    mask = inputs["attention_mask"]
    text = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return inputs | {"position_ids": _positions(model, inputs, text)}


def _packed(sequences: Sequence[TokenSequence], model: Any) -> tuple[dict[str, Tensor], list[int]]:
    """All sequences in one row; positions begin anew with each, which models take for a border."""
    parts, starts, at = [], [], 0
    for sequence in sequences:
        ids = torch.tensor([sequence.token_ids])
        own: dict[str, Tensor] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if sequence.media is not None:
            own |= dict(sequence.media.tensors) | _types(sequence, model)
        text = torch.arange(ids.shape[1])[None]
        parts.append((ids, _positions(model, own, text)))
        starts.append(at)
        at += ids.shape[1]
    inputs = {"input_ids": torch.cat([ids for ids, _ in parts], dim=1)}
    inputs |= media_tensors([sequence.media for sequence in sequences])
    types = [_types(sequence, model) for sequence in sequences]
    inputs |= {name: torch.cat([own[name] for own in types], dim=1) for name in types[0]}
    return inputs | {"position_ids": torch.cat([where for _, where in parts], dim=-1)}, starts


def _types(sequence: TokenSequence, model: Any) -> dict[str, Tensor]:
    """(1, T) types of a sequence's tokens, by the arguments that the model takes."""
    if sequence.media is None:
        return {}
    known = sequence.media.token_types
    found = {}
    for name in type_names([sequence.media], model):
        found[name] = torch.zeros((1, len(sequence.token_ids)), dtype=torch.long)
        found[name][0, : len(known[name])] = torch.tensor(known[name])
    return found


def _positions(model: Any, inputs: Mapping[str, Tensor], text: Tensor) -> Tensor:
    """Positions of every token: `text` (B, T); for models with positions in time and space (4, B,
    T), of which the first are those in the text. They are told rather than left to the model, which
    remembers offsets from what it wrote last."""
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model  # of an adapter
    index = getattr(getattr(bare, "model", None), "get_rope_index", None)
    if index is None or "mm_token_type_ids" not in inputs:
        return text
    wanted = inspect.signature(index).parameters
    where, _ = index(**{name: tensor for name, tensor in inputs.items() if name in wanted})
    return torch.cat([text[None], where.to(text.device)])
