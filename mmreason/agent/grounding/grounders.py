"""Who grounds: what `grounder="auto"` takes and why, and what other names mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mmreason.agent.grounding.request import AUTO, BOXES, END_TO_END, GroundRequest
from mmreason.grounding import Detector, Tracker
from mmreason.grounding.recipes import ConceptTracker
from mmreason.models.base import ChatModel
from mmreason.types import UsageError

GrounderKind = Literal["boxes", "end_to_end", "detector", "masks", "concepts"]
_MASKS = re.compile(r"^(?:sam2|sam3|edgetam)")
_CONCEPTS = "sam3_video"
"""Finds and follows everything that a noun names, by itself."""
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
        kind = _kind_of(name)
        if request.want == "mask" and kind == "detector":
            raise UsageError(
                f"grounder {name!r} is a detector, which makes boxes; want='mask' needs one that "
                "makes masks, such as grounder='facebook/sam2.1-hiera-tiny'"
            )
        return GrounderChoice(kind, name, "asked for")
    if request.want == "tube" and not is_image:
        if model.clip.prompts.track:
            return GrounderChoice("end_to_end", model.name, "the model was taught to write tubes")
        if _WRITES_TUBES.search(model.name):
            reason = "its family was trained to write a box a second"
            return GrounderChoice("end_to_end", model.name, reason)
    if request.want == "box" or is_image:
        return GrounderChoice("boxes", model.name, "the model boxes the frame itself")
    return GrounderChoice(
        "boxes",
        model.name,
        "no detector was named: the model boxes frames, and the tracker that is always there links "
        "them",
    )


def _kind_of(name: str) -> GrounderKind:
    """By the type that the settings of the model name. UsageError where they cannot be read."""
    from mmreason.grounding.detectors.loading import GrounderError, read_model_type

    try:
        model_type = read_model_type(name)
    except GrounderError as error:
        raise UsageError(
            f"grounder {error}; expected auto, boxes, end_to_end, or the name or folder of a "
            "detector or mask tracker"
        ) from error
    if model_type == _CONCEPTS:
        return "concepts"
    return "masks" if _MASKS.search(model_type) else "detector"


def load_detector_of(grounder: GrounderChoice) -> Detector:
    """The detector that was named. UsageError where it cannot be loaded."""
    from mmreason.grounding.detectors import load_detector
    from mmreason.grounding.detectors.loading import GrounderError

    try:
        return load_detector(grounder.name)
    except GrounderError as error:
        raise UsageError(f"grounder {error}") from error


def load_mask_tracker_of(grounder: GrounderChoice) -> Tracker:
    """The mask tracker that was named. UsageError where it cannot be loaded."""
    from mmreason.grounding.detectors.loading import GrounderError
    from mmreason.grounding.tracking.mask_trackers import load_mask_tracker

    try:
        return load_mask_tracker(grounder.name)
    except GrounderError as error:
        raise UsageError(f"grounder {error}") from error


def load_concept_tracker_of(grounder: GrounderChoice) -> ConceptTracker:
    """What finds and follows a concept. UsageError where it cannot be loaded."""
    from mmreason.grounding.detectors.loading import GrounderError
    from mmreason.grounding.tracking.concepts import load_concept_tracker

    try:
        return load_concept_tracker(grounder.name)
    except GrounderError as error:
        raise UsageError(f"grounder {error}") from error
