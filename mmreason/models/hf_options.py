"""Options of a model of this process: which reach its chat template and its processor."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, get_type_hints

from mmreason.models.options import ModelOptions
from mmreason.types import UsageError

_OF_EYES = (
    *("frames_as", "longest_px", "max_frames", "box_dialect", "mm_processor_kwargs"),
    *("prune", "vision_cache_mb"),
)
_OF_SERVERS = ("served_by", "extra_body", "media_io_kwargs", "image_format", "image_quality")


def check_hf_options(options: ModelOptions, name: str, *, is_text_only: bool) -> None:
    """UsageError for options that only servers take, or only models with eyes."""
    if is_text_only:
        # No cache at all is what a text model has: runs ask for that of every model.
        no_cache = options.vision_cache_mb == 0
        of_eyes = [field for field in _OF_EYES if not (no_cache and field == "vision_cache_mb")]
        options.refuse(of_eyes, f"of models that see, but {name!r} reads text only")
    options.refuse(
        _OF_SERVERS, f"of models behind a URL, but {name!r} runs in this process; leave them out"
    )


def fingerprint_with(fingerprint: str, options: ModelOptions) -> str:
    """The fingerprint of weights that are asked with these options."""
    changes = options.changing_replies
    if not changes:
        return fingerprint
    text = json.dumps([fingerprint, changes], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def template_variables(options: ModelOptions, template: str, name: str) -> dict[str, Any]:
    """What the chat template is given beside the messages. UsageError for a variable that it does
    not read: it would change nothing, without a word."""
    variables = dict(options.chat_template_kwargs)
    if options.enable_thinking is not None:
        variables["enable_thinking"] = options.enable_thinking
    for variable in variables:
        if not re.search(rf"\b{re.escape(variable)}\b", template):
            raise UsageError(
                f"option {variable}: the chat template of model {name!r} does not read it; leave "
                "it out, or name a model whose template does"
            )
    return variables


def processor_settings(options: ModelOptions, processor: Any, name: str) -> dict[str, Any]:
    """`mm_processor_kwargs` for a processor: of clips, of images, or of both, as each takes them.
    UsageError for one that neither takes."""
    settings: dict[str, Any] = {}
    takers = {"videos_kwargs": "video_processor", "images_kwargs": "image_processor"}
    for key, value in options.mm_processor_kwargs.items():
        is_taken = False
        for kind, attribute in takers.items():
            part = getattr(processor, attribute, None)
            valid = getattr(part, "valid_kwargs", None)
            if valid is not None and key in get_type_hints(valid):
                settings.setdefault(kind, {})[key] = value
                is_taken = True
        if not is_taken:
            raise UsageError(
                f"option mm_processor_kwargs.{key}: the processor of model {name!r} takes no such "
                "setting; leave it out"
            )
    return settings
