"""The model that is trained, with all that is needed to write with it and to read its tokens.

Leaves out its optimiser (`trainer.py`) and adapters (`adapters.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmreason.models.hf import TransformersModel
from mmreason.training.rollouts.codec import ChatCodec
from mmreason.training.rollouts.episode import Codec
from mmreason.types import UsageError


@dataclass(frozen=True, eq=False, kw_only=True)
class Trainee:
    """A causal language model of `transformers`, with eyes or without."""

    model: Any
    tokenizer: Any
    codec: Codec
    end_ids: tuple[int, ...]
    pad_id: int
    name: str
    fingerprint: str
    """Of the weights it starts from."""
    processor: Any = None
    """Saved beside the weights; the tokenizer where None."""

    @classmethod
    def load(cls, name_or_path: str | Path, *, dtype: str = "float32") -> Trainee:
        """A model by name or path, as `mmreason.models.load` finds it. Weights are kept in float32:
        small updates vanish in bfloat16; `Recipe.precision` is what is computed in.

        Raises UsageError where it cannot be loaded or has no token that ends a turn.
        """
        chat = TransformersModel.load(str(name_or_path), dtype=dtype)
        return cls.of_chat(chat)

    @classmethod
    def of_chat(cls, chat: TransformersModel) -> Trainee:
        """The trainee behind a loaded model."""
        ends = chat.model.generation_config.eos_token_id
        end_ids: Sequence[int] = [ends] if isinstance(ends, int) else ends or []
        if not end_ids:
            raise UsageError(
                f"model {chat.name!r} names no end token in its generation config; set eos_token_id"
            )
        return cls(
            model=chat.model,
            tokenizer=chat.tokenizer,
            codec=ChatCodec(chat),
            end_ids=tuple(end_ids),
            pad_id=chat.tokenizer.pad_token_id,
            name=chat.name,
            fingerprint=chat.fingerprint,
            processor=chat.processor,
        )

    def save(self, folder: Path) -> None:
        """Write a model folder that `Trainee.load` and `mmreason.models.load` take."""
        self.model.save_pretrained(folder)
        (self.processor or self.tokenizer).save_pretrained(folder)
