"""A chat model as detector and as chooser, and what else it is asked about objects in frames.

    tubes = ...  # candidates, from any detector and tracker
    choice = ChatChooser(model).choose(frames, tubes, "the dog that runs off first")

Nano is asked for boxes alone: all other questions are outside of what it was taught.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from mmreason.grounding import Choice, Detection, Grounding, Tube
from mmreason.grounding.dialects.tubes import parse_tubes
from mmreason.grounding.expressions import MOST_CHARACTERS, Descriptor, DescriptorKind, Expression
from mmreason.grounding.tracking.numbering import number_crops
from mmreason.language.grounding_prompts import (
    GroundingPrompts,
    read_contrast,
    read_numbers,
    read_verdicts,
)
from mmreason.language.thoughts import split_thought
from mmreason.models.base import (
    ChatModel,
    Constraint,
    FramesPart,
    GenerateRequest,
    Message,
    TextPart,
)
from mmreason.tools.calls import BATCH_PIXELS, BATCH_VIEWS
from mmreason.tools.ground import ask_boxes, shown_frames
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.types import FrameBatch

SHEET_PX = 960
"""Width of the picture in which candidates are numbered, before it is made as large as the model
takes it."""
UNREAD = "the reply names no number"
"""Reason of a choice of nobody whose reply could not be read: no refusal."""
ANSWER_TOKENS = 96
PARSE_TOKENS = 384
CHECK_TOKENS = 160
TUBE_TOKENS = 1024
_MOST_DESCRIPTORS = 16
_KINDS: dict[str, DescriptorKind] = {
    "colour": "colour",
    "color": "colour",
    "size": "size",
    "pattern": "pattern",
    "relation": "relation",
    "motion": "motion",
    "order": "order",
}


@dataclass
class ChatDetector:
    """A chat model that is asked for the boxes of a phrase in each frame. See `Detector`.

    What it wrote is in `readings`, one a frame looked at.
    """

    model: ChatModel
    readings: list[tuple[float, Grounding]] = field(default_factory=list)
    """(time of the frame in seconds, what was read), in order of looking."""

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    def detect(self, frames: FrameBatch, phrase: str) -> list[tuple[Detection, ...]]:
        """See `Detector`. Scores are None: chat models give none. Raises what models raise."""
        detections: list[tuple[Detection, ...]] = []
        for start in range(0, len(frames), self._batch_size(frames)):
            stop = min(len(frames), start + self._batch_size(frames))
            frame_part = FrameBatch(
                pixels=frames.pixels[start:stop],
                times_s=frames.times_s[start:stop],
                exact=frames.exact[start:stop],
            )
            for time_s, reading in zip(
                frame_part.times_s, ask_boxes(self.model, frame_part, phrase), strict=True
            ):
                self.readings.append((float(time_s), reading))
                detections.append(_to_detections(reading))
        return detections

    def _batch_size(self, frames: FrameBatch) -> int:
        height_px, width_px = frames.pixels.shape[1:3]
        size_px = self.model.clip.frame_size_px(width_px, height_px)
        return max(1, min(BATCH_VIEWS, BATCH_PIXELS // max(1, size_px[0] * size_px[1])))


def _to_detections(reading: Grounding) -> tuple[Detection, ...]:
    return tuple(
        Detection(box=target.box, label=target.label)
        for target in reading.targets
        if target.box is not None
    )


@dataclass(frozen=True, slots=True)
class ChatChooser:
    """A chat model that is shown numbered candidates and names a number. See `Chooser`."""

    model: ChatModel
    prompts: GroundingPrompts = field(default_factory=GroundingPrompts)

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    def choose(self, frames: FrameBatch, tubes: Sequence[Tube], expression: str) -> Choice:
        """See `Chooser`. A reply that names no number chooses nothing, and says so in `reason`.
        Raises what models raise."""
        if not tubes:
            return Choice(ids=(), reason="there was nothing to choose from")
        sheet = number_crops(frames, tubes, width_px=SHEET_PX)
        texts = (*(str(number) for number in range(1, len(tubes) + 1)), "none")
        picture = still_batch(sheet.pixels, sheet.key_time_s)
        text = _ask(
            self.model, [(picture, "image")], self.prompts.choose_text(expression), texts=texts
        )
        numbers = read_numbers(text, len(tubes))
        if numbers is None:
            return Choice(ids=(), reason=UNREAD, raw_text=text)
        ids = tuple(sheet.ids[number - 1] for number in numbers)
        return Choice(ids=ids, ambiguous=len(ids) > 1, reason=_reason(text), raw_text=text)


def _reason(text: str) -> str:
    """What stands behind the first full stop."""
    return text.partition(".")[2].strip()


def still_batch(pixels: np.ndarray, time_s: float = 0.0) -> FrameBatch:
    """One picture, uint8 (H, W, 3), as a batch."""
    return FrameBatch(pixels=pixels[None], times_s=np.array([time_s]), exact=np.ones(1, np.bool_))


def ask_statements(
    model: ChatModel,
    frames: FrameBatch,
    statements: Sequence[str],
    prompts: GroundingPrompts,
) -> tuple[bool | None, ...]:
    """Whether each statement holds for the thing that is framed in `frames`: True, False, or None
    where the model is unsure or cannot be read. Raises what models raise."""
    kind = "video" if len(frames) > 1 else "image"
    text = _ask(model, [(frames, kind)], prompts.check_text(statements), CHECK_TOKENS)
    return read_verdicts(text, len(statements))


def ask_contrast(
    model: ChatModel, pictures: Sequence[FrameBatch], expression: str, prompts: GroundingPrompts
) -> tuple[str, str]:
    """("A", "B", "both", "neither", or empty where it cannot be read; the model's words) of two
    things that are framed in the pictures. Raises what models raise."""
    clips: list[tuple[FrameBatch, Literal["video", "image"]]] = [(p, "image") for p in pictures]
    text = _ask(model, clips, prompts.contrast_text(expression))
    return read_contrast(text), text


def ask_survey(
    model: ChatModel, frames: FrameBatch, expression: str, prompts: GroundingPrompts
) -> tuple[int, ...]:
    """Indices of frames in which the model could imagine the thing, the likeliest first; none where
    it says so or cannot be read. Raises what models raise."""
    text = _ask(model, [(frames, "image")], prompts.survey_text(expression, len(frames)))
    return tuple(number - 1 for number in read_numbers(text, len(frames)) or ())


def ask_tubes(
    model: ChatModel,
    frames: FrameBatch,
    size_px: tuple[int, int],
    expression: str,
    prompts: GroundingPrompts,
) -> Grounding:
    """Tubes as the model writes them, in pixels of original frames of `size_px`: at the times that
    it was taught to name where it has words of its own for that, else at those of `frames`, which
    are of the size at which it is shown them. Raises what models raise."""
    height_px, width_px = frames.pixels.shape[1:3]
    times_s = [float(time_s) for time_s in frames.times_s]
    model_prompts = model.clip.prompts
    if model_prompts.track:
        text = model_prompts.follow(expression)
        # Models with two frames to a slice name the middle of each.
        times_s = [(times_s[i] + times_s[min(i + 1, len(times_s) - 1)]) / 2
                   for i in range(0, len(times_s), 2)]  # fmt: skip
    else:
        text = prompts.tubes_text(expression, times_s)
    return parse_tubes(
        _ask(model, [(frames, "video")], text, TUBE_TOKENS),
        model.clip.box_dialect,
        size_px,
        seen_size_px=(width_px, height_px),
        times_s=times_s,
    )


def ask_expression(model: ChatModel, text: str, prompts: GroundingPrompts) -> Expression | None:
    """The expression as the model takes it apart; None where its reply is no such thing. Raises
    what models raise."""
    written = _ask(model, [], prompts.parse_text(text), PARSE_TOKENS)
    return read_expression(written, text)


def read_expression(written: str, text: str) -> Expression | None:
    """The parts of `text` from a model's JSON; None where it is none, or says nothing of use.

    Example:
        >>> written = '{"head": "dog", "descriptors": [{"text": "red", "kind": "colour"}]}'
        >>> read_expression(written, "the red dog").noun_phrase
        'red dog'
    """
    start, end = written.find("{"), written.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        value = parse_json(written[start : end + 1], most_bytes=20_000)
    except JsonInputError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("head"), str):
        return None
    head = " ".join(value["head"].split())[:100]
    listed = value.get("descriptors")
    rows = listed[:_MOST_DESCRIPTORS] if isinstance(listed, list) else []
    descriptors = tuple(filter(None, map(_read_descriptor, rows)))
    temporal = value.get("temporal")
    temporal = " ".join(temporal.split())[:MOST_CHARACTERS] if isinstance(temporal, str) else ""
    return Expression(text, head, descriptors, temporal) if head else None


def _read_descriptor(row: object) -> Descriptor | None:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        return None
    text = " ".join(row["text"].split())[:200]
    kind = _KINDS.get(str(row.get("kind", "")).lower(), "other")
    negated = row.get("negated") is True
    if negated and kind == "other":
        kind = "negation"
    return Descriptor(text, kind, negated) if text else None


def _ask(
    model: ChatModel,
    clips: Sequence[tuple[FrameBatch, Literal["video", "image"]]],
    text: str,
    tokens: int = ANSWER_TOKENS,
    *,
    texts: tuple[str, ...] = (),
) -> str:
    """What the model says, without its thought. With `texts` it is held to one of them, where it
    can be."""
    parts = [FramesPart(_fitted(model, frames), kind) for frames, kind in clips]
    conversation = [Message("user", (*parts, TextPart(text)))]
    request = GenerateRequest([conversation], max_new_tokens=max(tokens, model.clip.answer_tokens))
    if texts:
        try:
            (reply,) = model.generate(replace(request, constraint=Constraint(texts)))
        except UsageError:
            # Most models take no constraint; their words are read instead.
            (reply,) = model.generate(request)
    else:
        (reply,) = model.generate(request)
    return split_thought(reply.text)[1].strip()


def _fitted(model: ChatModel, frames: FrameBatch) -> FrameBatch:
    height_px, width_px = frames.pixels.shape[1:3]
    size_px = model.clip.frame_size_px(width_px, height_px)
    return shown_frames(frames, range(len(frames)), size_px)
