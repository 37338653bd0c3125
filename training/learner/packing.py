"""Sequences of a micro-batch as the tensors of one forward pass: padded, or packed into one row.

Both give the same log-probabilities (tested); packing wastes no tokens on padding and pays where
attention skips what other sequences hold (flash attention), padding pays on a CPU. Sequences are
never cut. Which sequences go together is decided in `rl/batches.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mmreason.training.learner.isolation import (
    find_packing,
    has_positions_in_space,
    positions_for_text,
)
from mmreason.training.rollouts.inputs import (
    concat_media,
    pad_prompts,
    token_type_names,
    unwrap_adapter,
)
from mmreason.training.rollouts.types import Prompt, Role, TokenSequence
from mmreason.types import UsageError

LayoutKind = Literal["padded", "packed"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PackedInputs:
    """One forward pass. B sequences, C columns: enough for the most tokens written in any.

    Example: two padded sequences "p p A A" and "p A", where p was read and A was written, have
    C = 2 columns, `keep` [0, 1, 2] (what predicts any A), `source` [[1, 2], [3, 0]] and `mask`
    [[1, 1], [1, 0]].
    """

    inputs: Mapping[str, Tensor]
    """Arguments of the model."""
    keep: Tensor
    """(K,) positions along the input whose logits are needed."""
    source: Tensor
    """(B, C): which of the logits, flattened over (rows, K), predicts each written token; 0 where
    there is none."""
    ids: Tensor
    """(B, C) the written tokens; 0 where there is none."""
    mask: Tensor
    """(B, C) bool, true where there is one."""
    sampler_logp: Tensor | None
    """(B, C) as the sampler told them; None where it did not."""

    def to(self, device: torch.device) -> PackedInputs:
        """The same on a device."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return PackedInputs(
            inputs={name: move(tensor) for name, tensor in self.inputs.items()},
            keep=move(self.keep),
            source=move(self.source),
            ids=move(self.ids),
            mask=move(self.mask),
            sampler_logp=None if self.sampler_logp is None else move(self.sampler_logp),
        )


def pack_sequences(
    sequences: Sequence[TokenSequence], *, kind: LayoutKind, pad_id: int, model: Any
) -> PackedInputs:
    """The forward pass of some sequences that may share one (`input_signature`). `model` is asked
    for its config and, where it has eyes, for the positions of its tokens.

    UsageError for several packed sequences that the model would not keep apart (`choose_layout`
    tells before)."""
    if kind == "packed" and len(sequences) > 1 and not (packing := find_packing(model)).is_exact:
        raise UsageError(
            f"this model does not keep packed sequences apart: {packing.reason}; "
            "set layout='padded'"
        )
    # 1) Which positions of each sequence were written: (tokens written) for each of B sequences.
    positions = [_completion_positions(sequence) for sequence in sequences]
    # 2) Lay out the inputs. The token at position p is predicted by the logits at p - 1, of the one
    #    row (packed: behind what earlier sequences take) or of the sequence's own row (padded).
    if kind == "packed":
        inputs, starts = _concat_row(sequences, model)
        rows = [0] * len(sequences)
        keep = [s + p - 1 for s, written in zip(starts, positions, strict=True) for p in written]
    else:
        inputs, starts = _pad_rows(sequences, pad_id, model), [0] * len(sequences)
        rows = list(range(len(sequences)))
        # All rows get logits at every position that any of them needs.
        keep = sorted({p - 1 for written in positions for p in written})
    # Never empty: a pass without a logit would have no gradient to join in.
    keep = keep or [0]
    # 3) Where each written token finds its logits in (rows, K) laid flat.
    index_of = {position: i for i, position in enumerate(keep)}
    source = [
        [row * len(keep) + index_of[start + p - 1] for p in written]
        for row, start, written in zip(rows, starts, positions, strict=True)
    ]
    # 4) What was written, and what the sampler thought of it, in the same columns.
    pairs = list(zip(sequences, positions, strict=True))
    ids = [[sequence.token_ids[p] for p in written] for sequence, written in pairs]
    logprobs = [
        [sequence.logprobs[p] for p in written]
        for sequence, written in pairs
        if sequence.logprobs is not None
    ]
    # All or none: a correction of some rows only would weigh them against the others.
    has_logprobs = len(logprobs) == len(sequences)
    width = max([1, *map(len, positions)])
    return PackedInputs(
        inputs=inputs,
        keep=torch.tensor(keep),
        source=_to_table(source, width, torch.long),
        ids=_to_table(ids, width, torch.long),
        mask=_to_table([[1] * len(written) for written in positions], width, torch.bool),
        sampler_logp=_to_table(logprobs, width, torch.float32) if has_logprobs else None,
    )


def choose_layout(kind: LayoutKind, model: Any) -> tuple[LayoutKind, tuple[str, ...]]:
    """The layout that gives right losses, with a note where it is not the one asked for. Before the
    model is put into shards: it may be measured (`find_packing`)."""
    if kind == "padded" or (packing := find_packing(model)).is_exact:
        return kind, ()
    note = f"rows are padded, not packed: this model does not keep them apart ({packing.reason})"
    return "padded", (note,)


def pack_nothing(pad_id: int, model: Any) -> PackedInputs:
    """A forward pass of nothing written, for a process that has nothing when others have."""
    empty = TokenSequence(token_ids=(pad_id,) * 2, roles=(Role.PROMPT,) * 2, logprobs=None)
    return pack_sequences([empty], kind="padded", pad_id=pad_id, model=model)


def _completion_positions(sequence: TokenSequence) -> list[int]:
    # Nothing predicts the first token of a sequence.
    return [i for i, role in enumerate(sequence.roles) if role is Role.ASSISTANT and i > 0]


def _to_table(rows: Sequence[Sequence[float]], width: int, dtype: torch.dtype) -> Tensor:
    """(len(rows), width), zeros behind the end of each row."""
    table = torch.zeros((len(rows), width), dtype=dtype)
    for i, row in enumerate(rows):
        table[i, : len(row)] = torch.tensor(row, dtype=dtype)
    return table


def _pad_rows(sequences: Sequence[TokenSequence], pad_id: int, model: Any) -> dict[str, Tensor]:
    prompts = [Prompt(sequence.token_ids, sequence.media) for sequence in sequences]
    inputs = pad_prompts(prompts, pad_id=pad_id, side="right", model=model)
    # Counted over real tokens, so that padding does not shift what follows.
    text_positions = (inputs["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    return inputs | {"position_ids": _position_ids(model, inputs, text_positions)}


def _concat_row(
    sequences: Sequence[TokenSequence], model: Any
) -> tuple[dict[str, Tensor], list[int]]:
    """All sequences in one row, and where each starts. Positions begin anew with each, which models
    take for a border."""
    ids, positions, starts = [], [], [0]
    types = [_token_types(sequence, model) for sequence in sequences]
    for sequence, sequence_types in zip(sequences, types, strict=True):
        row = torch.tensor([sequence.token_ids])
        # Positions are asked for one sequence at a time, as if it were alone.
        inputs: dict[str, Tensor] = {"input_ids": row, "attention_mask": torch.ones_like(row)}
        if sequence.media is not None:
            inputs |= dict(sequence.media.tensors) | sequence_types
        ids.append(row)
        positions.append(_position_ids(model, inputs, torch.arange(row.shape[1])[None]))
        starts.append(starts[-1] + row.shape[1])
    together = {"input_ids": torch.cat(ids, dim=1)}
    together |= concat_media([sequence.media for sequence in sequences])
    for name in types[0]:
        together[name] = torch.cat([row_types[name] for row_types in types], dim=1)
    # No attention mask: with one, models would not look for borders in the positions.
    return together | {"position_ids": torch.cat(positions, dim=-1)}, starts[:-1]


def _token_types(sequence: TokenSequence, model: Any) -> dict[str, Tensor]:
    """(1, T) types of a sequence's tokens, by the arguments that the model takes."""
    if sequence.media is None:
        return {}
    types = {}
    for name in token_type_names([sequence.media], model):
        prompt_types = sequence.media.token_types[name]
        types[name] = torch.zeros((1, len(sequence.token_ids)), dtype=torch.long)
        types[name][0, : len(prompt_types)] = torch.tensor(prompt_types)
    return types


def _position_ids(model: Any, inputs: Mapping[str, Tensor], text_positions: Tensor) -> Tensor:
    """Positions of every token: `text_positions` (B, T); for models with positions in time and
    space (4, B, T), of which the first are those in the text. They are told rather than left to the
    model, which remembers offsets from what it wrote last."""
    if not has_positions_in_space(model) or "mm_token_type_ids" not in inputs:
        return positions_for_text(model, text_positions)
    get_rope_index = unwrap_adapter(model).model.get_rope_index
    names = inspect.signature(get_rope_index).parameters
    arguments = {name: tensor for name, tensor in inputs.items() if name in names}
    positions, _ = get_rope_index(**arguments)
    return torch.cat([text_positions[None], positions.to(text_positions.device)])
