"""Which JSON outputs there are, and the record behind each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mmreason.agent.batch import BatchTotals, Failure
from mmreason.audit.doctor import DoctorCheck
from mmreason.bench.attention_report import AttentionReport
from mmreason.bench.encode_report import EncodeReport
from mmreason.bench.preprocess_report import PreprocessReport
from mmreason.bench.prune_report import PruneReport
from mmreason.cli.cache import VideoUsageOutput
from mmreason.cli.cache_merge import MergeOutput
from mmreason.cli.data_convert import DataConvertOutput
from mmreason.cli.data_referring import DataCheckOutput
from mmreason.cli.index import Indexed
from mmreason.cli.index_senses import VideoEstimate
from mmreason.cli.inputs import FileFailure
from mmreason.cli.scenes import ScenesOutput
from mmreason.cli.search import SearchOutput
from mmreason.cli.search_like import SearchLikeOutput
from mmreason.cli.timeline import TimelineOutput
from mmreason.cli.transcribe import TranscribedFile
from mmreason.cli.weights import WeightsOutput
from mmreason.evaluation.refadv.diagnosis import Diagnosis
from mmreason.grounding import GroundingStatus, Issue
from mmreason.memory.store_usage import Usage
from mmreason.policies.estimate import Estimate
from mmreason.types import Answer
from mmreason.video.inspect import FileReport
from mmreason.video.types import Span

OPTIONAL: dict[str, bool] = {"optional": True}
"""Metadata of a field that is there only where it says something."""


@dataclass(frozen=True, kw_only=True)
class AnswerOutput(Answer):
    """An answer, or that there is none; with `--questions` a row of the file of answers."""

    id: str = field(default="", metadata=OPTIONAL)
    """Of the question, in a file of answers."""
    html: str = field(default="", metadata=OPTIONAL)
    """Path of the report, where one was asked for. It is written after the answer is printed."""
    clips: str = field(default="", metadata=OPTIONAL)
    """Folder of clips and frames of the evidence, where one was asked for; written afterwards."""


@dataclass(frozen=True, kw_only=True)
class FailedRow:
    """A row of the file of answers whose question failed."""

    id: str
    """Of the question."""
    failure: Failure


@dataclass(frozen=True, kw_only=True)
class GroundingOutput:
    """Where an expression is in one frame, or through time."""

    status: GroundingStatus
    boxes_px: tuple[tuple[float, float, float, float], ...]
    """x1, y1, x2, y2 in pixels of the original frame, from its upper left corner."""
    labels: tuple[str, ...]
    """One a box, empty where the model gave none."""
    rule: str
    """Which rule read the boxes from the model's text."""
    issues: tuple[Issue, ...]
    """Everything mended, dropped or odd."""
    raw_text: str
    expression: str
    frame_time_s: float | None
    """Time of the frame that was looked at; null for an image."""
    size_px: tuple[int, int] | None
    """Width and height of the frame."""
    transform: dict[str, Any] | None
    """From the frame to the picture that the model saw: sizes, scales and shifts as fractions; null
    where no text was read."""
    settings: dict[str, Any]
    """What moves the result: model, prompts, dialect, grounder and why it, parts looked at."""
    targets: tuple[dict[str, Any], ...]
    """Every target: its box or point, label, tube, span, score and what was checked of it."""
    rivals: tuple[dict[str, Any], ...]
    """Runners-up, with the descriptors that they fail."""
    rationale: str
    """Why this target, in the words of who chose it."""
    steps: tuple[dict[str, Any], ...]
    """What was done, in order."""
    cost: dict[str, float]
    """Frames, calls, tokens and seconds."""
    picture: str | None = field(default=None, metadata=OPTIONAL)
    """Path of the picture, video or page that was asked for; null where nothing was found to
    draw."""


@dataclass(frozen=True, kw_only=True)
class CaptionOutput:
    """What is to be seen in a stretch of video."""

    video: str
    span: Span
    text: str


@dataclass(frozen=True, kw_only=True)
class SampledFrame:
    """A frame of a plan."""

    time_s: float
    reason: str
    """Why it was taken; empty for plans that take even times."""
    moved: bool = field(default=False, metadata=OPTIONAL)
    """Whether it was moved to another frame than the plan's own."""
    shown_s: float = field(default=0.0, metadata=OPTIONAL)
    """When the decoded frame begins to be shown."""
    exact: bool = field(default=False, metadata=OPTIONAL)
    """Whether the decoded frame is the one shown at the time that was asked for."""
    picture: str = field(default="", metadata=OPTIONAL)
    """Path of the picture, with --dump."""


@dataclass(frozen=True, kw_only=True)
class SampleOutput:
    """The frames that a plan takes of one video."""

    video: str
    plan: str
    """Name of the method."""
    settings: dict[str, Any]
    frames: tuple[SampledFrame, ...]
    sheet: str | None
    """Path of the contact sheet."""
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class InspectOutput(FileReport):
    """What is in a file."""

    sheet: str = field(default="", metadata=OPTIONAL)
    """Path of the contact sheet, where one was asked for."""


@dataclass(frozen=True, kw_only=True)
class IndexOutput:
    """What was found ahead of questions."""

    results: tuple[Indexed, ...]
    failures: tuple[FileFailure, ...]
    not_reached: int
    """Files that an interruption left undone."""


@dataclass(frozen=True, kw_only=True)
class IndexEstimateOutput:
    """What senses would still cost."""

    results: tuple[VideoEstimate, ...]
    failures: tuple[FileFailure, ...]
    not_reached: int


@dataclass(frozen=True, kw_only=True)
class TranscribeOutput:
    """What is said in files."""

    results: tuple[TranscribedFile, ...]
    failures: tuple[FileFailure, ...]
    not_reached: int
    """Files that an interruption left undone."""


@dataclass(frozen=True, kw_only=True)
class SampleManyOutput:
    """The frames of many files."""

    results: tuple[SampleOutput, ...]
    failures: tuple[FileFailure, ...]
    not_reached: int


@dataclass(frozen=True, kw_only=True)
class InspectManyOutput:
    """What is in many files."""

    results: tuple[InspectOutput, ...]
    failures: tuple[FileFailure, ...]
    not_reached: int


@dataclass(frozen=True, kw_only=True)
class CacheOutput(Usage):
    """What the store holds; `--clear` adds how many replies were removed."""

    cleared: int = field(default=0, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class DoctorOutput:
    """What works on this machine."""

    checks: tuple[DoctorCheck, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """One kind of JSON output."""

    name: str
    command: str
    record: type


OUTPUTS = (
    Output("answer", "mmreason ask VIDEO QUESTION --json; rows of --questions FILE", AnswerOutput),
    Output("failed_row", "rows of mmreason ask --questions FILE that failed", FailedRow),
    Output("answers_totals", "mmreason ask --questions FILE --out FILE --json", BatchTotals),
    Output("estimate", "mmreason ask VIDEO --dry-run --json", Estimate),
    Output("grounding", "mmreason ground FILE EXPRESSION --json", GroundingOutput),
    Output("diagnosis", "mmreason eval refadv --json; mmreason diagnose FILE --json", Diagnosis),
    Output("caption", "mmreason caption VIDEO --json", CaptionOutput),
    Output("index", "mmreason index FILES --json", IndexOutput),
    Output("search", "mmreason search PATHS WORDS --json", SearchOutput),
    Output("search_like", "mmreason search PATHS --like PICTURE --json", SearchLikeOutput),
    Output("timeline", "mmreason timeline VIDEO --json", TimelineOutput),
    Output("scenes", "mmreason scenes VIDEO --json", ScenesOutput),
    Output("index_estimate", "mmreason index FILES --dry-run --json", IndexEstimateOutput),
    Output("transcribe", "mmreason transcribe FILES --json", TranscribeOutput),
    Output("sample", "mmreason sample FILE --json", SampleOutput),
    Output("sample_many", "mmreason sample FILES --json", SampleManyOutput),
    Output("inspect", "mmreason inspect FILE --json", InspectOutput),
    Output("inspect_many", "mmreason inspect FILES --json", InspectManyOutput),
    Output("cache", "mmreason cache --json", CacheOutput),
    Output("cache_video", "mmreason cache show FILE --json", VideoUsageOutput),
    Output("cache_merge", "mmreason cache merge STORE --json", MergeOutput),
    Output("data_check", "mmreason data check FILES --json", DataCheckOutput),
    Output(
        "data_convert", "mmreason data convert IN --to NAME --out OUT --json", DataConvertOutput
    ),
    Output("doctor", "mmreason doctor --json", DoctorOutput),
    Output("bench_attention", "mmreason bench attention --json", AttentionReport),
    Output("bench_encode", "mmreason bench encode --json", EncodeReport),
    Output("bench_preprocess", "mmreason bench preprocess --json", PreprocessReport),
    Output("bench_prune", "mmreason bench prune --json", PruneReport),
    Output("weights", "mmreason weights list|get --json", WeightsOutput),
)
