"""Models behind one protocol, `ChatModel`. Loading one of this process imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmreason.models.base import (
    ChatModel,
    ClipRecipe,
    Constraint,
    FramesPart,
    GenerateRequest,
    Message,
    ModelError,
    Part,
    Reply,
    TextPart,
    Tier,
    WrittenCall,
)
from mmreason.models.options import OF_EVERY_MODEL, OF_OWN_PROCESS, ModelOptions, as_options
from mmreason.types import UsageError

if TYPE_CHECKING:
    from mmreason.models.endpoint import EndpointModel
    from mmreason.models.hf import TransformersModel
    from mmreason.models.nano_model import NanoModel

__all__ = [
    "ChatModel",
    "ClipRecipe",
    "Constraint",
    "FramesPart",
    "GenerateRequest",
    "Message",
    "ModelError",
    "ModelOptions",
    "Part",
    "Reply",
    "TextPart",
    "Tier",
    "WrittenCall",
    "is_url",
    "load",
]


def is_url(name_or_path: str) -> bool:
    """Whether this names a server, not a model of this process."""
    return name_or_path.strip().lower().startswith(("http://", "https://"))


def load(
    name_or_path: str,
    *,
    device_map: str | dict[str, int | str] | None = None,
    dtype: str = "auto",
    attn_implementation: str = "auto",
    served_model: str | None = None,
    api_key: str | None = None,
    options: ModelOptions | Mapping[str, Any] | None = None,
    probe: bool | None = False,
    probe_file: Path | None = None,
) -> TransformersModel | NanoModel | EndpointModel:
    """Load a video-language model, or connect to one.

    `name_or_path` is "nano", "nano-reinforced" or "nano-grounding" (packaged), a folder, or a
    Hugging Face name, which is looked for in the local cache first and on the hub second. Weights
    that know scripted worlds only, such as these, come behind a guard (`nano_model.py`).
    `device_map`, `dtype` and `attn_implementation` go to `from_pretrained` as they are. With the
    dtype "auto" a model as small as nano computes in float32 on a CPU, which is several times as
    fast there. Attention of "auto" is SDPA, and in vision towers one call for all frames
    (`mmreason.video.encoders.attention`); "sdpa" leaves towers as transformers has them.

    Or it is the URL of an OpenAI-compatible server, up to and including `/v1`. `served_model` is
    the name of one of its models, needed where it has several; `api_key` is sent to it and kept
    nowhere else.

    `options` are those of `ModelOptions`, such as `{"enable_thinking": False, "max_frames": 32}`:
    each reaches the model, or is refused by its name.

    `probe` has three tiny calls tell the tier, which are made once where there is a `probe_file`:
    True of any model but nano, None of a server in the own network whose tier nothing else tells.

    Raises `UsageError` (one line) when the model cannot be had.
    """
    # Here, since most that import this load nothing.
    from mmreason.models.probe import ProbeFile, settle_tier

    if is_url(name_or_path):
        if device_map is not None or dtype != "auto" or attn_implementation != "auto":
            raise UsageError(
                "device_map, dtype and attn_implementation are for models of this process; a model "
                "behind a URL has them set by its server"
            )
        from mmreason.models.endpoint import EndpointModel

        served = EndpointModel.connect(
            name_or_path, served_model=served_model, api_key=api_key, options=options
        )
        return settle_tier(served, ProbeFile(probe_file), probe)
    if served_model is not None or api_key is not None:
        raise UsageError(
            f"served_model and api_key go with the URL of a server, but the model is "
            f"{name_or_path!r}"
        )
    from mmreason.models.hf import TransformersModel
    from mmreason.models.nano_model import SCRIPTED_WORLD, NanoModel

    options = as_options(options)
    loaded = TransformersModel.load(
        name_or_path,
        device_map=device_map,
        dtype=dtype,
        attn_implementation=attn_implementation,
        options=options,
    )
    folder = Path(loaded.model.name_or_path)
    if not (folder / SCRIPTED_WORLD).is_file():
        return settle_tier(loaded, ProbeFile(probe_file), probe)
    options.refuse(
        set(options.given) - OF_EVERY_MODEL - OF_OWN_PROCESS,
        f"{name_or_path!r} is asked as it was taught",
    )
    return NanoModel.around(loaded, folder)
