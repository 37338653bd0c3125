"""Models behind one protocol, `ChatModel`. Loading one imports torch; importing this does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmreason.models.base import (
    ChatModel,
    ClipRecipe,
    FramesPart,
    Message,
    Part,
    Reply,
    TextPart,
)

if TYPE_CHECKING:
    from mmreason.models.hf import TransformersModel

__all__ = [
    "ChatModel",
    "ClipRecipe",
    "FramesPart",
    "Message",
    "Part",
    "Reply",
    "TextPart",
    "load",
]


def load(
    name_or_path: str,
    *,
    device_map: str | dict[str, int | str] | None = None,
    dtype: str = "auto",
    attn_implementation: str = "sdpa",
) -> TransformersModel:
    """Load a video-language model.

    `name_or_path` is "nano" (packaged), a folder, or a Hugging Face name, which is looked for in
    the local cache first and on the hub second. `device_map`, `dtype` and `attn_implementation`
    go to `from_pretrained` as they are. Raises `UsageError` (one line) when it cannot be had.
    """
    from mmreason.models.hf import TransformersModel

    return TransformersModel.load(
        name_or_path, device_map=device_map, dtype=dtype, attn_implementation=attn_implementation
    )
