"""Parts of a model by the names of their parameters: the eyes, what joins them to the language
model, and the language model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

ModelPart = Literal["vision", "projector", "language"]
PARTS: tuple[ModelPart, ...] = get_args(ModelPart)

_LANGUAGE = frozenset({"language_model", "text_model", "lm_head"})
_PROJECTOR = frozenset(
    {
        *("merger", "deepstack_merger_list"),  # Qwen, GLM, MiniCPM-V; within the tower of the first
        *("multi_modal_projector", "mm_projector", "image_newline"),  # LLaVA, InternVL, Gemma 3
        *("connector", "projector", "embed_vision"),  # SmolVLM, VideoLLaMA3, Gemma 4
        *("perceiver", "resampler", "aligner"),
    }
)
_VISION = frozenset({"visual", "vision_tower", "vision_model", "video_tower", "image_tower"})


def part_of_parameter(name: str) -> ModelPart:
    """The part that a parameter or module belongs to, by its name in any family that can be
    trained, adapters on it included. What is of no eyes is of the language model.

    Example:
        >>> part_of_parameter("model.visual.blocks.0.attn.qkv.weight")
        'vision'
        >>> part_of_parameter("model.visual.merger.mlp.0.weight")
        'projector'
        >>> part_of_parameter("base_model.model.model.text_model.layers.0.mlp.down_proj.weight")
        'language'
    """
    pieces = name.split(".")
    if not _LANGUAGE.isdisjoint(pieces):
        return "language"
    if not _PROJECTOR.isdisjoint(pieces):
        return "projector"
    return "language" if _VISION.isdisjoint(pieces) else "vision"


def is_of_vision(module_name: str) -> bool:
    """Whether a module or parameter belongs to the eyes of a model, or joins them to the rest.

    Example:
        >>> is_of_vision("model.visual.blocks.0"), is_of_vision("model.layers.0")
        (True, False)
    """
    return part_of_parameter(module_name) != "language"


def is_frozen(name: str, freeze: Iterable[str]) -> bool:
    """Whether a parameter is frozen by the setting `freeze`: names of parts, or beginnings of names
    without what adapters put in front.

    Example:
        >>> is_frozen("model.visual.patch_embed.proj.weight", ("vision",))
        True
        >>> is_frozen("model.layers.0.mlp.up_proj.weight", ("model.layers.1.",))
        False
    """
    plain = name.removeprefix("base_model.model.")
    return any(
        part_of_parameter(plain) == item if item in PARTS else plain.startswith(item)
        for item in freeze
    )


def language_prefix(model: Any) -> str:
    """Name of the module that holds the language model; empty where it is the whole model."""
    for name, _ in model.named_modules():
        if name.rpartition(".")[2] in _LANGUAGE - {"lm_head"}:
            return name
    return ""
