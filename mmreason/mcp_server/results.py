"""What the tools of the server give. The docstrings of fields are part of the schemas that clients
read."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from mmreason.grounding import Grounding, GroundingStatus
from mmreason.types import Answer, Cost, Evidence, StopReason
from mmreason.video.inspect import FileReport, FrameRateKind

_CONFIG = ConfigDict(frozen=True, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame to be shown."""

    time_s: float
    """Presentation time of the frame."""
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What a tool gives: values, and the pictures that go with them."""

    values: BaseModel
    pictures: tuple[Picture, ...] = ()


class Support(BaseModel):
    """A stretch of the video that supports the answer."""

    model_config = _CONFIG

    start_s: float
    end_s: float
    """Not included."""
    quote: str
    """What the model said about this stretch."""
    verified: bool
    """Whether a second look at other frames of the stretch gave the same answer."""
    frame_times_s: list[float]
    """Times of the frames that were looked at."""

    @classmethod
    def of(cls, evidence: Evidence) -> Support:
        start_s, end_s = evidence.span.to_list()
        return cls(
            start_s=start_s,
            end_s=end_s,
            quote=evidence.quote,
            verified=evidence.verified,
            frame_times_s=[round(time_s, 6) for time_s in evidence.frame_times_s],
        )


class Spent(BaseModel):
    """What the answer took."""

    model_config = _CONFIG

    seconds: float
    frames: int
    """Frames shown to a model."""
    model_calls: int
    cache_hits: int
    """Calls that were served from the store without a model."""
    rounds: int
    tokens: int
    """Tokens read and written by models."""

    @classmethod
    def of(cls, cost: Cost) -> Spent:
        return cls(
            seconds=round(cost.seconds, 3),
            frames=cost.frames,
            model_calls=cost.model_calls,
            cache_hits=cost.cache_hits,
            rounds=cost.rounds,
            tokens=cost.tokens_in + cost.tokens_out,
        )


class Answered(BaseModel):
    """An answer, what supports it and what it took."""

    model_config = _CONFIG

    text: str
    """The answer; empty where nothing could be answered, and stop_reason says why."""
    choice: int | None
    """Position of the answer in options, from 0; null for an open question or without an answer."""
    confidence: float | None
    """0 to 1, or null where it is not known."""
    stop_reason: StopReason
    """answered; abstained: nothing in the video supports an answer; budget_*: that limit ended it;
    model_failed or invalid_output: the model could not be used."""
    evidence: list[Support]
    pictured_s: list[float]
    """Times in seconds of the pictures given with this, in their order."""
    cost: Spent
    notes: list[str]
    """Fallbacks and oddities on the way."""

    @classmethod
    def of(cls, answer: Answer, pictures: tuple[Picture, ...]) -> Answered:
        return cls(
            text=answer.text,
            choice=answer.choice,
            confidence=answer.confidence,
            stop_reason=answer.stop_reason,
            evidence=[Support.of(one) for one in answer.evidence],
            pictured_s=[round(picture.time_s, 6) for picture in pictures],
            cost=Spent.of(answer.cost),
            notes=list(answer.settings.get("notes", ())),
        )


class Captioned(BaseModel):
    """What is to be seen in a stretch of video."""

    model_config = _CONFIG

    start_s: float
    end_s: float
    text: str
    """One description, or a line a moment that begins with its time."""


class Grounded(BaseModel):
    """Where an expression is in one frame."""

    model_config = _CONFIG

    status: GroundingStatus
    """found: one box; ambiguous: several; other values: no box, and why."""
    boxes_px: list[tuple[float, float, float, float]]
    """x1, y1, x2, y2 in pixels of the original frame, from its upper left corner."""
    labels: list[str]
    """One a box, empty where the model gave none."""
    frame_time_s: float | None
    """Time of the frame that was looked at; null for an image."""
    size_px: tuple[int, int] | None
    """Width and height of the frame."""
    issues: list[str]
    """What was odd about the model's reply."""

    @classmethod
    def of(cls, grounding: Grounding) -> Grounded:
        return cls(
            status=grounding.status,
            boxes_px=[box.xyxy for box in grounding.boxes],
            labels=list(grounding.labels),
            frame_time_s=grounding.frame_time_s,
            size_px=grounding.size_px,
            issues=list(grounding.issues),
        )


class Inspected(BaseModel):
    """What is in a video file."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, from_attributes=True)

    kind: str
    container: str
    codec: str
    size_bytes: int
    duration_s: float
    start_s: float
    """Time of the first frame; the video is shown from here on for duration_s."""
    width_px: int
    height_px: int
    rotation_deg: int
    """Counter-clockwise quarter turns applied to the stored picture, in degrees."""
    frame_count: int | None
    mean_fps_hz: float
    frame_rate: FrameRateKind
    """Measured from the times of the frames, not taken from the header."""
    keyframe_count: int | None
    audio_streams: tuple[str, ...]
    subtitles: tuple[str, ...]
    """Tracks of subtitles inside the file, and files of them beside it."""
    notes: tuple[str, ...]
    """Fallbacks and oddities of the file."""

    @classmethod
    def of(cls, report: FileReport) -> Inspected:
        return cls.model_validate(report)


class FrameTime(BaseModel):
    """When a frame was asked for, and when the one given is shown."""

    model_config = _CONFIG

    asked_s: float
    time_s: float
    exact: bool
    """Whether this is the frame shown at asked_s; false outside the video."""


class Framed(BaseModel):
    """The times of the pictures given with this, in their order."""

    model_config = _CONFIG

    frames: list[FrameTime]
    size_px: tuple[int, int]
    """Width and height of the pictures, which are never larger than the video."""
