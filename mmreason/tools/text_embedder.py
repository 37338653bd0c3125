"""Sentence embedders of the Hugging Face kind: texts to vectors, for searching a video's memory.

    embedder = load_embedder("minilm-l6")
    Reasoner.load("nano", embed=embedder)

An encoder with mean or first-token pooling, which is most of them; what else its folder asks for is
refused, not skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from mmreason.memory.vector_index import Embedder
from mmreason.models.folders import fingerprint_of, locate_weights, weights_folder
from mmreason.models.hf_settings import is_small, limit_threads, progress_bars
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, read_json
from mmreason.weights import find_weights, list_weights

MOST_TOKENS = 512
"""Of one text, beyond which it is cut; less where the model takes less."""
BATCH = 32
_POOLING = Path("1_Pooling", "config.json")


def load_embedder(name_or_path: str) -> Embedder:
    """The embedder of a folder, of weights that `mmreason weights` fetches ("minilm-l6"), or of a
    Hugging Face name (looked for in the local cache first). Its
    name holds a digest of the weights: vectors of other weights are never taken for its own.

    UsageError (one line) where it cannot be had, or pools in a way that is not known here;
    WeightsMissingError with the line that fetches them.
    """
    if name_or_path in {source.name for source in list_weights()}:
        name_or_path = str(find_weights(name_or_path))
    source, only_local = locate_weights(name_or_path)
    settings = {"local_files_only": only_local, "trust_remote_code": False}
    try:
        with progress_bars(False):
            tokenizer = AutoTokenizer.from_pretrained(source, **settings)
            model = AutoModel.from_pretrained(source, use_safetensors=True, **settings)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(f"{name_or_path!r} cannot be loaded as an embedder: {reason}") from error
    if model.config.is_encoder_decoder:
        raise UsageError(f"{name_or_path!r} is no encoder of texts; name a sentence embedder")
    folder = weights_folder(source)
    takes_first = _reads_first_token(folder, name_or_path)
    encoder = _Encoder(model.eval(), tokenizer, takes_first=takes_first)
    name = f"{Path(name_or_path).name} {fingerprint_of(folder)[:12]}"
    return Embedder(name, encoder.embed)


class _Encoder:
    """Weights and tokenizer at work."""

    def __init__(self, model: Any, tokenizer: Any, *, takes_first: bool):
        self._model = model
        self._tokenizer = tokenizer
        self._takes_first = takes_first
        self._is_small = is_small(model)
        # Tokenizers without a limit report a huge one: that of the positions holds as well.
        longest = getattr(model.config, "max_position_embeddings", MOST_TOKENS)
        self._most_tokens = min(MOST_TOKENS, tokenizer.model_max_length, longest)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (texts, width)."""
        rows: list[np.ndarray] = []
        with (
            torch.inference_mode(),
            limit_threads(1 if self._is_small else torch.get_num_threads()),
        ):
            for start in range(0, len(texts), BATCH):
                rows.append(self._embed_batch(list(texts[start : start + BATCH])))
        return np.concatenate(rows) if rows else np.zeros((0, self._model.config.hidden_size))

    def _embed_batch(self, texts: list[str]) -> np.ndarray:
        inputs = self._tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=self._most_tokens,
            return_tensors="pt",
        )
        # Pooled in float32: sums of many half floats lose digits.
        states = self._model(**inputs).last_hidden_state.float()
        if self._takes_first:
            return states[:, 0].numpy()
        # The mean of what is text: padding says nothing.
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        return ((states * mask).sum(1) / mask.sum(1).clamp(min=1)).numpy()


def _reads_first_token(folder: Path, name: str) -> bool:
    """Whether the first token stands for the text, by the folder's own description; else the
    mean of all does. UsageError for other poolings, and for layers behind them."""
    if (folder / "2_Dense").exists():
        raise UsageError(f"embedder {name!r} has a dense layer behind its encoder: choose another")
    path = folder / _POOLING
    if not path.is_file():
        return False
    try:
        pooling = read_json(path)
    except (JsonInputError, OSError) as error:
        raise UsageError(f"embedder {name!r}: {_POOLING} cannot be read: it {error}") from error
    modes = {
        str(key).removeprefix("pooling_mode_")
        for key, value in (pooling.items() if isinstance(pooling, dict) else ())
        if str(key).startswith("pooling_mode_") and value is True
    }
    if modes not in ({"mean_tokens"}, {"cls_token"}):
        raise UsageError(
            f"embedder {name!r} pools by {', '.join(sorted(modes)) or 'nothing'}; expected "
            "mean_tokens or cls_token"
        )
    return modes == {"cls_token"}
