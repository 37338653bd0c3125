"""Who grounds: what `grounder="auto"` takes and why, and what other names mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmreason.agent.grounding.request import AUTO, BOXES, END_TO_END, GroundRequest
from mmreason.models.base import ChatModel
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, read_json

GrounderKind = Literal["boxes", "end_to_end", "detector", "masks"]
_MASKS = re.compile(r"sam[-_]?[23]|edgetam", re.IGNORECASE)
_WRITES_TUBES = re.compile(r"onethinker", re.IGNORECASE)
"""Families that were trained to write a box a second, by what their makers say."""


@dataclass(frozen=True, slots=True)
class GrounderChoice:
    """What grounds, and why it.

    Example:
        >>> GrounderChoice("boxes", "nano", "the model boxes single frames").kind
        'boxes'
    """

    kind: GrounderKind
    name: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """JSON types only."""
        return {"kind": self.kind, "name": self.name, "reason": self.reason}


def choose_grounder(request: GroundRequest, model: ChatModel, *, is_image: bool) -> GrounderChoice:
    """What the request names, or what fits the model. UsageError for masks without who makes
    them."""
    name = request.grounder
    if name in (AUTO, BOXES, END_TO_END) and request.want == "mask":
        raise UsageError(
            "want='mask' needs a grounder that makes masks, such as "
            "grounder='facebook/sam2.1-hiera-tiny' or a folder of one; a chat model makes boxes"
        )
    if name == BOXES:
        return GrounderChoice("boxes", model.name, "asked for")
    if name == END_TO_END:
        if is_image:
            return GrounderChoice("boxes", model.name, "an image has no tube to write")
        return GrounderChoice("end_to_end", model.name, "asked for")
    if name != AUTO:
        kind: GrounderKind = "masks" if _makes_masks(name) else "detector"
        if request.want == "mask" and kind == "detector":
            raise UsageError(
                f"grounder {name!r} is a detector, which makes boxes; want='mask' needs one that "
                "makes masks, such as grounder='facebook/sam2.1-hiera-tiny'"
            )
        return GrounderChoice(kind, name, "asked for")
    if request.want == "tube" and not is_image and _WRITES_TUBES.search(model.name):
        return GrounderChoice(
            "end_to_end", model.name, "its family was trained to write a box a second"
        )
    if request.want == "box" or is_image:
        return GrounderChoice("boxes", model.name, "the model boxes the frame itself")
    return GrounderChoice(
        "boxes",
        model.name,
        "no detector was named: the model boxes frames, and the tracker that is always there links "
        "them",
    )


def _makes_masks(name: str) -> bool:
    """By the type that the settings of a folder name, else by the name."""
    settings = Path(name) / "config.json"
    if settings.is_file():
        try:
            value = read_json(settings)
        except (JsonInputError, OSError):
            return False  # whoever loads it tells what is wrong with it
        name = str(value.get("model_type", "")) if isinstance(value, dict) else ""
    return _MASKS.search(name) is not None
