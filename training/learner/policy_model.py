"""The model that is trained, with all that is needed to write with it and to read its tokens."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmreason.models.folders import CLIP_RECIPE, locate_weights, weights_folder
from mmreason.models.hf import TransformersModel
from mmreason.models.hf_settings import progress_bars
from mmreason.models.options import ModelOptions
from mmreason.training.learner.saving import merge_adapters, prepare_to_save
from mmreason.training.rollouts.codec import ChatCodec
from mmreason.training.rollouts.episode import Codec
from mmreason.types import UsageError


@dataclass(frozen=True, eq=False, kw_only=True)
class PolicyModel:
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
    chat: Any = None
    """The same model as a `ChatModel`, where it holds conversations; to ask it things."""
    recipe_file: Path | None = None
    """How the model watches a clip, where its folder says so."""

    def __post_init__(self) -> None:
        """UsageError where tokenizer and weights do not belong together."""
        # A token beyond the table is an index error on a CPU and anything on a GPU.
        rows = self.model.get_input_embeddings().weight.shape[0]
        used = max(len(self.tokenizer), *(token + 1 for token in (*self.end_ids, self.pad_id)))
        if used > rows:
            raise UsageError(
                f"model {self.name!r} has embeddings of {rows} tokens, its tokenizer uses {used}: "
                "give the tokenizer that it was trained with, or resize its embeddings"
            )

    @classmethod
    def load(cls, name_or_path: str | Path, *, dtype: str = "float32") -> PolicyModel:
        """A model by name or path, as `mmreason.models.load` finds it. Weights are kept in float32:
        small updates vanish in bfloat16; `Recipe.precision` is what is computed in.

        Raises UsageError where it cannot be loaded or has no token that ends a turn.
        """
        # Runs bring a cache of their own, of the size that their recipe says.
        options = ModelOptions(vision_cache_mb=0)
        chat = TransformersModel.load(str(name_or_path), dtype=dtype, options=options)
        recipe = weights_folder(locate_weights(str(name_or_path))[0]) / CLIP_RECIPE
        return replace(cls.from_chat(chat), recipe_file=recipe if recipe.is_file() else None)

    @classmethod
    def from_chat(cls, chat: TransformersModel) -> PolicyModel:
        """The policy behind a loaded model."""
        ends = chat.model.generation_config.eos_token_id
        end_ids: Sequence[int] = [ends] if isinstance(ends, int) else ends or []
        # Without one every completion would run to its limit.
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
            chat=chat,
        )

    def save(self, folder: Path, *, merge: bool = True, card: str = "") -> None:
        """Write a model folder that plain `from_pretrained`, `PolicyModel.load` and
        `mmreason.models.load` take: weights with adapters merged in, processor, chat template,
        settings of generation, and what the model came with for us (how it watches a clip).

        With `merge=False` adapters alone go into the folder, for peft. `card` is its README.md.
        UsageError for a model without adapters that is not to be merged.
        """
        if not merge and not hasattr(self.model, "merge_and_unload"):
            raise UsageError(f"model {self.name!r} has no adapters to save; leave out merge=False")
        with progress_bars(False):
            if merge:
                prepare_to_save(merge_adapters(self.model)).save_pretrained(folder)
            else:
                self.model.save_pretrained(folder)
            (self.processor or self.tokenizer).save_pretrained(folder)
        if self.recipe_file is not None:
            shutil.copy(self.recipe_file, folder / self.recipe_file.name)
        if card:
            (folder / "README.md").write_text(card, encoding="utf-8")
