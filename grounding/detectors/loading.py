"""Models of transformers from a folder or by name: no code of theirs, no pickles, no bars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmreason.video.plain_text import show_line

if TYPE_CHECKING:
    import torch

_MOST_REASON = 300
"""Characters of what transformers says went wrong."""


class GrounderError(ValueError):
    """A detector or tracker cannot be loaded, or used as asked."""


@dataclass(frozen=True, slots=True)
class ModelParts:
    """A model of transformers with its processor, ready to be called.

    Example: `load_parts("facebook/sam2.1-hiera-tiny", "Sam2VideoModel", "cpu").model`.
    """

    name: str
    """As it was asked for."""
    model: Any
    processor: Any
    device: torch.device


def read_model_type(name_or_folder: str | Path) -> str:
    """`model_type` of the configuration. Raises GrounderError where it cannot be read."""
    from transformers import AutoConfig

    with _loading(name_or_folder) as settings:
        return str(AutoConfig.from_pretrained(name_or_folder, **settings).model_type)


def load_parts(
    name_or_folder: str | Path,
    model_class: str,
    device: str,
    processor_class: str = "AutoProcessor",
) -> ModelParts:
    """The model and its processor (classes of transformers, by their names), in float32 for
    inference, on "cpu", "cuda", ... or "auto" (CUDA where there is one). Raises GrounderError."""
    import torch
    import transformers

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    with _loading(name_or_folder) as settings:
        reader = getattr(transformers, processor_class)
        processor = reader.from_pretrained(name_or_folder, **settings)
        kind = getattr(transformers, model_class)
        model, loaded = kind.from_pretrained(
            name_or_folder,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            **settings,
        )
        # The library fills them with random numbers and goes on.
        if missing := sorted(loaded["missing_keys"]):
            raise ValueError(f"its weights lack {len(missing)} tensors, {missing[0]!r} first")
        torch_device = torch.device(device)
        model = model.eval().to(torch_device)
    return ModelParts(str(name_or_folder), model, processor, torch_device)


@contextmanager
def _loading(name_or_folder: str | Path) -> Iterator[dict[str, Any]]:
    """Settings for `from_pretrained`; what it raises becomes one line that names the input."""
    from transformers.utils import logging

    name = show_line(str(name_or_folder))
    path = Path(name_or_folder)
    if path.is_absolute() and not path.is_dir():
        raise GrounderError(f"{name}: is no folder; give one that save_pretrained wrote, or a name")
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield {"trust_remote_code": False, "local_files_only": path.is_dir()}
    # Readers of configurations, tokenizers and weights raise any kind for a broken folder, those
    # written in Rust a bare Exception.
    except Exception as error:
        reason = show_line(next(iter(str(error).splitlines()), type(error).__name__))
        raise GrounderError(f"{name}: cannot be loaded: {reason[:_MOST_REASON]}") from error
    finally:
        if bars:
            logging.enable_progress_bar()


def check_phrase(name: str, phrase: str, tokenizer: Any, most_tokens: int) -> None:
    """Raise GrounderError where `phrase` has no word, or more tokens than the model `name` reads:
    it would be cut without a word."""
    if not any(character.isalnum() for character in phrase):
        raise GrounderError(f"{name}: the phrase to look for has no word; give a noun like 'dog'")
    # By characters first: nobody tokenises a book to find that it is too long.
    longest = 100 * most_tokens
    count = len(tokenizer(phrase[:longest], truncation=False)["input_ids"])
    if count > most_tokens or len(phrase) > longest:
        raise GrounderError(
            f"{name}: a phrase may have {most_tokens} tokens, this one has {count}"
            f"{' or more' if len(phrase) > longest else ''}; give the noun alone"
        )
