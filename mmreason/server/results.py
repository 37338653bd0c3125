"""What the tools of the server give. The docstrings of fields are part of the schemas that clients
read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from mmreason.grounding import Grounding, GroundingStatus, Target, Tube
from mmreason.json_values import SCHEMA
from mmreason.report.text import all_notes, check_words, looked_words
from mmreason.types import Answer, Cost, Evidence, EvidenceSource, StopReason
from mmreason.video.inspect import FileReport, FrameRateKind

MOST_PATH = 40
"""Boxes of one target through time that a client is given."""

_CONFIG = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ToolResult(BaseModel):
    """What a tool gives, with the version of its schema."""

    model_config = _CONFIG

    schema_version: int = Field(default=SCHEMA, serialization_alias="schema")
    """Version of this result: it grows where a field goes or changes its meaning."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame to be shown."""

    time_s: float
    """Presentation time of the frame; of a sheet of many the first."""
    jpeg: bytes
    label: str = "frame at"
    """What the picture is; its time follows."""


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool gives: values, and the pictures that go with them."""

    values: ToolResult
    pictures: tuple[Picture, ...] = ()


class EvidenceResult(BaseModel):
    """A stretch of the video that supports the answer."""

    model_config = _CONFIG

    start_s: float
    end_s: float
    """Not included."""
    quote: str
    """What the model said about this stretch, or the lines of the subtitles."""
    source: EvidenceSource
    check: str
    """How it was checked and by whom, in words: second look agrees, another model (NAME) agrees,
    stands in the transcript, not checked, ..."""
    verified: bool
    """Whether an independent check agrees: a model of another family, or the transcript. A second
    look by the same model is none."""
    frame_times_s: list[float]
    """Times of the frames that were looked at."""

    @classmethod
    def of(cls, evidence: Evidence) -> EvidenceResult:
        start_s, end_s = evidence.span.to_list()
        return cls(
            start_s=start_s,
            end_s=end_s,
            quote=evidence.quote,
            source=evidence.source,
            check=check_words(evidence),
            verified=evidence.verified,
            frame_times_s=[round(time_s, 6) for time_s in evidence.frame_times_s],
        )


class CostResult(BaseModel):
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
    def of(cls, cost: Cost) -> CostResult:
        return cls(
            seconds=round(cost.seconds, 3),
            frames=cost.frames,
            model_calls=cost.model_calls,
            cache_hits=cost.cache_hits,
            rounds=cost.rounds,
            tokens=cost.tokens_in + cost.tokens_out,
        )


class AskResult(ToolResult):
    """An answer, what supports it and what it took; or that there is none, and what to do."""

    answered: bool
    """False: there is no answer; do not make one up."""
    text: str
    """The answer; empty where nothing could be answered, and stop_reason says why. Where only
    subtitles answer, it quotes them."""
    choice: int | None
    """Position of the answer in options, from 0; null for an open question or without an answer."""
    confidence: float | None
    """0 to 1, or null where it is not known."""
    confidence_calibrated: bool
    """Whether that is how often such answers are right; else it is the model's own number."""
    stop_reason: StopReason
    """answered; abstained: nothing in the video supports an answer; budget_*: that limit ended it;
    model_failed or invalid_output: the model could not be used."""
    evidence: list[EvidenceResult]
    looked_at: str
    """What was seen on the way."""
    next_steps: list[str]
    """What the user can do where there is no answer."""
    pictured_s: list[float]
    """Times in seconds of the pictures given with this, in their order."""
    cost: CostResult
    notes: list[str]
    """Fallbacks and oddities on the way."""

    @classmethod
    def of(cls, answer: Answer, pictures: tuple[Picture, ...]) -> AskResult:
        return cls(
            answered=answer.answered,
            text=answer.text,
            choice=answer.choice,
            confidence=None if answer.confidence is None else round(answer.confidence, 4),
            confidence_calibrated=answer.confidence_calibrated,
            stop_reason=answer.stop_reason,
            evidence=[EvidenceResult.of(item) for item in answer.evidence],
            looked_at=looked_words(answer),
            next_steps=list(answer.next_steps),
            pictured_s=[round(picture.time_s, 6) for picture in pictures],
            cost=CostResult.of(answer.cost),
            notes=all_notes(answer),
        )


class CaptionResult(ToolResult):
    """What is to be seen in a stretch of video."""

    start_s: float
    end_s: float
    text: str
    """One description, or a line a moment that begins with its time."""


class TargetResult(BaseModel):
    """One thing that the expression refers to, or a rival that was looked at and not chosen."""

    model_config = _CONFIG

    label: str
    box_px: tuple[float, float, float, float] | None
    """At frame_time_s; null where it is not to be seen then."""
    start_s: float | None
    end_s: float | None
    """First and last second at which it was seen; null for boxes of one frame."""
    path: list[tuple[float, float, float, float, float]]
    """Second, x1, y1, x2, y2, at moments spread over its presence; empty for boxes of one frame."""
    score: float | None
    score_kind: str | None
    checks: dict[str, bool | None]
    """What the expression says of it, and whether a look confirmed it; null: not checked."""
    fails: list[str]
    """Of a rival: what does not hold for it."""

    @classmethod
    def of(cls, target: Target, fails: Sequence[str] = ()) -> TargetResult:
        tube, span = target.tube, target.span
        return cls(
            label=target.label,
            box_px=None if target.box is None else target.box.xyxy,
            start_s=None if span is None else span.start_s,
            end_s=None if span is None else span.end_s,
            path=[] if tube is None else _spread_path(tube),
            score=target.score,
            score_kind=target.score_kind,
            checks=dict(target.checks),
            fails=list(fails),
        )


def _spread_path(tube: Tube) -> list[tuple[float, float, float, float, float]]:
    rows = []
    for time_s, box_px in zip(tube.times_s[tube.present], tube.boxes_px[tube.present], strict=True):
        x1, y1, x2, y2 = (round(float(value), 1) for value in box_px)
        rows.append((round(float(time_s), 3), x1, y1, x2, y2))
    step = -(-len(rows) // MOST_PATH) or 1
    return rows[::step]


class GroundResult(ToolResult):
    """Where an expression is in one frame, or through time."""

    status: GroundingStatus
    """found; ambiguous: several fit and nothing tells them apart; else: nothing, and why."""
    targets: list[TargetResult]
    rivals: list[TargetResult]
    """What was looked at and not chosen."""
    not_looked_at_s: list[tuple[float, float]]
    """Parts of the video that were not looked at closely."""
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
    def of(cls, grounding: Grounding) -> GroundResult:
        return cls(
            status=grounding.status,
            targets=[TargetResult.of(target) for target in grounding.targets],
            rivals=[TargetResult.of(rival.target, rival.fails) for rival in grounding.rivals],
            not_looked_at_s=[tuple(s) for s in grounding.settings.get("not_looked_at_s", ())],
            boxes_px=[box.xyxy for box in grounding.boxes],
            labels=list(grounding.labels),
            frame_time_s=grounding.frame_time_s,
            size_px=grounding.size_px,
            issues=[str(issue) for issue in grounding.issues],
        )


class InspectResult(ToolResult):
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
    def of(cls, report: FileReport) -> InspectResult:
        return cls.model_validate(report)


class SheetResult(ToolResult):
    """The times of the frames on the contact sheet that is given with this, in reading order."""

    start_s: float
    end_s: float
    times_s: list[float]
    size_px: tuple[int, int]
    """Width and height of the picture."""


class FrameTime(BaseModel):
    """When a frame was asked for, and when the one given is shown."""

    model_config = _CONFIG

    asked_s: float
    time_s: float
    exact: bool
    """Whether this is the frame shown at asked_s; false outside the video."""


class FramesResult(ToolResult):
    """The times of the pictures given with this, in their order."""

    frames: list[FrameTime]
    size_px: tuple[int, int]
    """Width and height of the pictures, which are never larger than the video."""
