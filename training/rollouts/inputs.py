"""Sequences of token ids to the tensors of a model's forward pass, padded on either side.

A model is given the arguments that its forward pass names and no others: what a processor makes
besides (such as `mm_token_type_ids`) some families need and others refuse. Several sequences in one
row are made in `learner/packing.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

from mmreason.training.rollouts.types import Media, Prompt
from mmreason.types import UsageError


def pad_prompts(
    prompts: Sequence[Prompt],
    *,
    pad_id: int,
    side: Literal["left", "right"],
    model: Any,
    device: torch.device | str = "cpu",
) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask` (B, T), the types of tokens (B, T) that `model` takes, and
    the media of all prompts concatenated.

    Prompts for which `input_signature` differs do not mix in a batch.
    """
    # On the left for writing on, so that all rows end together; on the right for training.
    longest = max(len(prompt.token_ids) for prompt in prompts)

    def to_table(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
        """(B, T): rows on the side of their tokens, behind which they may end early."""
        table = torch.full((len(prompts), longest), filler, dtype=torch.long)
        for i, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
            start = longest - len(prompt.token_ids) if side == "left" else 0
            table[i, start : start + len(row)] = torch.tensor(row, dtype=torch.long)
        return table

    inputs = {
        "input_ids": to_table([prompt.token_ids for prompt in prompts], pad_id),
        "attention_mask": to_table([[1] * len(prompt.token_ids) for prompt in prompts], 0),
    }
    media = [prompt.media for prompt in prompts]
    inputs |= concat_media(media)
    for name in token_type_names(media, model):
        types = [item.token_types.get(name, ()) for item in media if item is not None]
        inputs[name] = to_table(types, 0)
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def concat_media(media: Sequence[Media | None]) -> dict[str, Tensor]:
    """The tensors of several prompts, concatenated; empty where none has any. UsageError for
    prompts with media and without in one batch."""
    # All or none: a model cannot tell whose pixels are missing in a batch.
    present = [item for item in media if item is not None]
    if not present:
        return {}
    names = set(present[0].tensors)
    if len(present) < len(media) or any(set(item.tensors) != names for item in present):
        raise UsageError("a batch holds prompts with media of one kind, or without any")
    return {
        name: torch.cat(
            [item.tensors[name] for item in present], dim=_concat_dimension(name, present[0])
        )
        for name in present[0].tensors
    }


def token_type_names(media: Sequence[Media | None], model: Any) -> list[str]:
    """Arguments of the forward pass of `model` that are filled from the types of tokens."""
    first = next((item for item in media if item is not None), None)
    return [name for name in (first.token_types if first else ()) if takes_argument(model, name)]


def input_signature(prompt: Prompt) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Prompts for which this is equal may share a batch: media of the same names, and of the same
    shapes but for the dimension along which they are concatenated.

    Example:
        >>> input_signature(Prompt((1, 2, 3)))
        ()
        >>> pixels = {"pixel_values": torch.zeros(2, 3, 8)}
        >>> media = Media(tensors=pixels, placeholder_counts={1: 1})
        >>> input_signature(Prompt((1, 2, 3), media))
        (('pixel_values', (3, 8)),)
    """
    if prompt.media is None:
        return ()
    signature = []
    for name, tensor in prompt.media.tensors.items():
        shape = list(tensor.shape)
        # How many patches a picture has may differ: they are laid one behind the other.
        del shape[_concat_dimension(name, prompt.media)]
        signature.append((name, tuple(shape)))
    return tuple(sorted(signature))


def _concat_dimension(name: str, media: Media) -> int:
    """Along which media of several prompts are concatenated: the first, but for pixels whose
    patches lie in one row, with the sizes of the pictures beside them (MiniCPM-V)."""
    has_sizes = name.replace("pixel_values", "target_sizes") in media.tensors
    return -1 if name.startswith("pixel_values") and has_sizes else 0


def takes_argument(model: Any, name: str) -> bool:
    """Whether the model's forward pass names this argument."""
    return name in _forward_arguments(type(unwrap_adapter(model)))


def unwrap_adapter(model: Any) -> Any:
    """The model itself, with adapters in it or without."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@lru_cache
def _forward_arguments(model_class: Any) -> frozenset[str]:
    return frozenset(inspect.signature(model_class.forward).parameters)
