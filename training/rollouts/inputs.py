"""Sequences of token ids to the tensors of a model's forward pass, padded on either side.

A model is given the arguments that its forward pass names and no others: what a processor makes
besides (such as `mm_token_type_ids`) some families need and others refuse. Leaves out packing
several sequences into one row (`learner/packing.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

from mmreason.training.generation.kv_cache import base_of
from mmreason.training.rollouts.types import Media, Prompt
from mmreason.types import UsageError


def padded(
    prompts: Sequence[Prompt],
    *,
    pad_id: int,
    side: Literal["left", "right"],
    model: Any,
    device: torch.device | str = "cpu",
) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask` (B, T), the types of tokens (B, T) that `model` takes, and
    the media of all prompts concatenated.

    Prompts for which `same_inputs` differs do not mix in a batch.
    """
    longest = max(len(prompt.token_ids) for prompt in prompts)

    def table(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
        """(B, T): rows on the side of their tokens, behind which they may end early."""
        made = torch.full((len(prompts), longest), filler, dtype=torch.long)
        for at, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
            start = longest - len(prompt.token_ids) if side == "left" else 0
            made[at, start : start + len(row)] = torch.tensor(row, dtype=torch.long)
        return made

    inputs = {
        "input_ids": table([prompt.token_ids for prompt in prompts], pad_id),
        "attention_mask": table([[1] * len(prompt.token_ids) for prompt in prompts], 0),
    }
    media = [prompt.media for prompt in prompts]
    inputs |= media_tensors(media)
    for name in type_names(media, model):
        inputs[name] = table([one.token_types.get(name, ()) for one in media if one is not None], 0)
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def media_tensors(media: Sequence[Media | None]) -> dict[str, Tensor]:
    """The tensors of several prompts, concatenated; empty where none has any."""
    shown = [one for one in media if one is not None]
    if not shown:
        return {}
    names = set(shown[0].tensors)
    if len(shown) < len(media) or any(set(one.tensors) != names for one in shown):
        raise UsageError("a batch holds prompts with media of one kind, or without any")
    return {
        name: torch.cat([one.tensors[name] for one in shown], dim=_dimension(name, shown[0]))
        for name in shown[0].tensors
    }


def type_names(media: Sequence[Media | None], model: Any) -> list[str]:
    """Arguments of the forward pass of `model` that are filled from the types of tokens."""
    first = next((one for one in media if one is not None), None)
    return [name for name in (first.token_types if first else ()) if takes(model, name)]


def same_inputs(prompt: Prompt) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Prompts for which this is equal may share a batch: media of the same names, and of the same
    shapes but for the dimension along which they are concatenated."""
    if prompt.media is None:
        return ()
    found = []
    for name, tensor in prompt.media.tensors.items():
        shape = list(tensor.shape)
        del shape[_dimension(name, prompt.media)]
        found.append((name, tuple(shape)))
    return tuple(sorted(found))


def _dimension(name: str, media: Media) -> int:
    """Along which media of several prompts are concatenated: the first, but for pixels whose
    patches lie in one row, with the sizes of the pictures beside them (MiniCPM-V)."""
    has_sizes = name.replace("pixel_values", "target_sizes") in media.tensors
    return -1 if name.startswith("pixel_values") and has_sizes else 0


def takes(model: Any, name: str) -> bool:
    """Whether the model's forward pass names this argument."""
    return name in _arguments(type(base_of(model)))


@lru_cache
def _arguments(kind: type) -> frozenset[str]:
    return frozenset(inspect.signature(kind.forward).parameters)  # pyright: ignore[reportAttributeAccessIssue]
