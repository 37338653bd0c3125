"""Values that cross the borders of the reasoner: evidence, cost, budget, trace, answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mmreason.json_values import to_json
from mmreason.tool_calls import AgentCall
from mmreason.video.types import Span

if TYPE_CHECKING:
    from mmreason.video.inputs import VideoInput
    from mmreason.video.reader import Video
    from mmreason.video.types import FrameBatch


class UsageError(ValueError):
    """The caller asked for something that cannot be done. The message says what to do instead."""


class StopReason(StrEnum):
    """Why a question ended."""

    ANSWERED = "answered"
    """An answer was found and its evidence looked at."""
    ABSTAINED = "abstained"
    """Everything worth looking at was looked at and nothing supports an answer."""
    INVALID_OUTPUT = "invalid_output"
    """The model that decides kept writing what is neither a call nor an answer."""
    MODEL_FAILED = "model_failed"
    """The model that decides could not be asked any more; this is the best answer until then."""
    BUDGET_FRAMES = "budget_frames"
    """The next call would have shown more frames than allowed; this is the best answer so far."""
    BUDGET_ROUNDS = "budget_rounds"
    """The same for rounds."""
    BUDGET_TOKENS = "budget_tokens"
    """The same for tokens, by forecast."""
    BUDGET_SECONDS = "budget_seconds"
    """The same for seconds."""


class CheckKind(StrEnum):
    """How a piece of evidence was checked."""

    NONE = "none"
    """It was not: no other frames were there, or no budget was left."""
    SECOND_LOOK = "second_look"
    """The same model, or one of its family, looked at other frames with the question alone."""
    OTHER_MODEL = "other_model"
    """A model of another family did."""
    TRANSCRIPT = "transcript"
    """The words were looked up in the subtitles."""
    SECOND_READING = "second_reading"
    """What heard, read or recognised it did so again: in another window, or on other frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was done to test a piece of evidence, by whom, and how it went.

    Example:
        >>> check = Check(kind=CheckKind.OTHER_MODEL, by="Qwen/Qwen3-VL-4B-Instruct", agreed=True)
        >>> check.is_independent
        True
    """

    kind: CheckKind = CheckKind.NONE
    by: str = ""
    """Name of the model or part that looked again, or of the file or track of the subtitles."""
    agreed: bool | None = None
    """True where it says the same, False where it contradicts, None where there was no check,
    where one look agrees and another does not, or where it neither proves nor refutes."""

    @property
    def is_independent(self) -> bool:
        """Whether it does not depend on what it checks: a model of another family, or the
        transcript."""
        return self.kind in (CheckKind.OTHER_MODEL, CheckKind.TRANSCRIPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What was spent. Costs add up with `+`.

    Example:
        >>> (Cost(frames=8, rounds=1) + Cost(frames=4)).frames
        12
    """

    JSON_WITHOUT_ZEROS: ClassVar[bool] = True

    rounds: int = 0
    """Decisions of the policy; one may hold several tool calls. The opening read is round 0."""
    model_calls: int = 0
    """Conversations answered by models, all roles together."""
    reasoner_calls: int = 0
    """Of these, by the model that decides where to look."""
    observer_calls: int = 0
    """Of these, by the model that captions and looks."""
    checker_calls: int = 0
    """Of these, by the model that looks again at the evidence."""
    frames: int = 0
    """Frames shown to a model (the same frame shown twice counts twice)."""
    frames_unique: int = 0
    """Different frames shown. Known of a whole question only: 0 in the cost of a single call."""
    frames_scanned: int = 0
    """Small frames decoded and compared with each other, and shown to no model."""
    tokens_in: int = 0
    """Text and visual tokens read by models."""
    tokens_visual: int = 0
    """The visual ones among `tokens_in`; 0 where a model does not tell."""
    tokens_out: int = 0
    cache_hits: int = 0
    """Tool calls served by the store without a model call."""
    decode_seconds: float = 0.0
    model_seconds: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(**{name: getattr(self, name) + getattr(other, name) for name in _COST_FIELDS})

    def to_dict(self) -> dict[str, Any]:
        """JSON types only, zeros too."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


_COST_FIELDS = tuple(field.name for field in fields(Cost))


@dataclass(frozen=True, slots=True)
class Budget:
    """Hard limits for one question. None means no limit; zero is allowed and leaves nothing to
    spend.

    Example:
        >>> Budget(frames=48).exceeded_by(Cost(frames=49))
        <StopReason.BUDGET_FRAMES: 'budget_frames'>
    """

    frames: int | None = None
    rounds: int | None = None
    tokens: int | None = None
    """Tokens read and written by models together."""
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("frames", "rounds", "tokens", "seconds"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise UsageError(f"budget {name} must be 0 or more, got {value}")

    def exceeded_by(self, spent: Cost) -> StopReason | None:
        """The first limit that `spent` breaks (strictly above it), or None."""
        used = {
            StopReason.BUDGET_FRAMES: (spent.frames, self.frames),
            StopReason.BUDGET_ROUNDS: (spent.rounds, self.rounds),
            StopReason.BUDGET_TOKENS: (spent.tokens_in + spent.tokens_out, self.tokens),
            StopReason.BUDGET_SECONDS: (spent.seconds, self.seconds),
        }
        for reason, (amount, limit) in used.items():
            if limit is not None and amount > limit:
                return reason
        return None


EvidenceSource = Literal["frames", "subtitles", "speech", "screen", "labels"]
"""What a model said of frames, what is written in the subtitles, what a recogniser heard, what was
read on a screen, what a classifier named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A stretch of video that supports an answer.

    Example:
        >>> check = Check(kind=CheckKind.SECOND_LOOK, by="nano", agreed=True)
        >>> Evidence(span=Span(8, 11), quote="green", check=check).verified
        False
    """

    JSON_PROPERTIES: ClassVar[tuple[str, ...]] = ("verified",)

    span: Span
    frame_times_s: tuple[float, ...] = ()
    """Times of the frames that were looked at; empty for subtitles. Of what the senses found, the
    middle of each record."""
    quote: str = ""
    """What the model said about this stretch, the lines of the subtitles, or what was heard, read
    or recognised."""
    boxes_px: tuple[tuple[float, float, float, float], ...] = ()
    """xyxy in pixels of the original frame."""
    source: EvidenceSource = "frames"
    """What it rests on."""
    check: Check = field(default_factory=Check)
    video: str = field(default="", repr=False, compare=False, metadata={"json": False})
    """Path of the video as given, for `frames` and `save`; not part of `to_dict`."""

    @property
    def verified(self) -> bool:
        """Whether an independent check agrees: a model of another family, or the transcript. A
        second look by the same model is none, nor is a second reading by the same part."""
        return self.check.is_independent and self.check.agreed is True

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return to_json(self)

    def frames(self, video: VideoInput | Video | None = None) -> FrameBatch:
        """The frames of this evidence at full size (see `evidence_files.read_frames`)."""
        from mmreason.report.evidence_files import read_frames

        return read_frames(self, video)

    def save(self, folder: str | Path, video: VideoInput | Video | None = None) -> list[Path]:
        """Write its frames as PNG files to `folder` (see `evidence_files.save_frames`)."""
        from mmreason.report.evidence_files import save_frames

        return save_frames(self, folder, video)


@dataclass(frozen=True, slots=True)
class Note:
    """A line of text about a stretch of video: a caption, a still, a subtitle, an answer.

    Example:
        >>> Note(Span(4, 8), "a red star.").time_s is None
        True
    """

    span: Span
    """What the line speaks for; of a still the stretch up to half-way to its neighbours."""
    text: str
    time_s: float | None = None
    """Time of the one frame it was written from, where it was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a tool returned.

    Example:
        >>> Observation(text="red", span=Span(4, 8), frame_times_s=(5.0, 7.0)).error is None
        True
    """

    text: str
    span: Span
    notes: tuple[Note, ...] = ()
    """The lines of `text` with their times, where it has more than one."""
    frame_times_s: tuple[float, ...] = ()
    confidence: float | None = None
    """Mean probability of the written tokens, 0..1, where the model tells it."""
    cached: bool = False
    cost: Cost = field(default_factory=Cost)
    error: str | None = None
    """Why the tool failed; `text` is then empty. Never raises into the loop."""
    note: str = ""
    """What was done to the question or the reply on its way, such as "declined: ..." where a guard
    spoke in the place of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of the agent with what came of it. Calls of one round follow each other.

    Example:
        >>> from mmreason.tool_calls import Skim
        >>> span = Span(4, 8)
        >>> step = Step(
        ...     thought="look here",
        ...     call=Skim(span=span),
        ...     observation=Observation(text="a star.", span=span, cost=Cost(frames=4)),
        ... )
        >>> step.call.name, step.cost.frames
        ('skim', 4)
    """

    thought: str
    call: AgentCall
    observation: Observation
    thinking: Cost = field(default_factory=Cost)
    """What deciding on the call took, where a model decided."""

    @property
    def cost(self) -> Cost:
        """Of deciding and of the call."""
        return self.thinking + self.observation.cost

    def to_dict(self) -> dict[str, Any]:
        """JSON types only. Counters of its cost that are 0 are left out."""
        return to_json(self)


Trace = tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer with the evidence for it and what it cost, or that there is none and what to do.

    Without an answer (`answered` is False) there is no text, choice, confidence or evidence; what
    was looked at and what the model said is in `trace`.
    """

    JSON_PROPERTIES: ClassVar[tuple[str, ...]] = ("answered",)

    question: str
    text: str
    """Empty where nothing could be answered; `stop_reason` says why."""
    choice: int | None = None
    """Index into `options` (0-based), or None for an open question, for an answer that is none of
    the options, and without an answer."""
    options: tuple[str, ...] = ()
    confidence: float | None = None
    """0..1: mean probability of the written tokens, mapped to how often such answers are right
    where the model comes with a calibration; None where the model does not tell it."""
    confidence_calibrated: bool = False
    """Whether `confidence` is such a share of right answers; else it is the model's own number."""
    evidence: tuple[Evidence, ...] = ()
    cost: Cost = field(default_factory=Cost)
    trace: Trace = ()
    stop_reason: StopReason
    next_steps: tuple[str, ...] = ()
    """What can be done where there is no answer, one sentence each."""
    video: str = ""
    """Path of the video as given."""
    duration_s: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)
    """Everything that moves the result: model, versions, prompt hash, plan recipe, seed."""
    thumbnails: dict[float, bytes] = field(
        default_factory=dict, repr=False, compare=False, metadata={"json": False}
    )
    """JPEG bytes of evidence frames by time in seconds, for reports; not part of `to_dict`."""

    @property
    def answered(self) -> bool:
        """Whether there is an answer; a decline is none, "no" to a question for yes or no is."""
        return bool(self.text)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; `thumbnails` are left out."""
        return to_json(self) | {"cost": self.cost.to_dict()}

    def to_row(self) -> dict[str, Any]:
        """One flat row for a table (CSV, pandas): plain values, the first evidence only.

        Example: `{"video": "talk.mp4", "question": "...", "answered": True, "text": "green",
        "choice": None, "confidence": 0.99, "stop_reason": "answered", "start_s": 8.0,
        "end_s": 11.0, "quote": "green", "frames": 48, "tokens": 2787, "seconds": 1.53}`; what is
        not known is None.
        """
        first = self.evidence[0] if self.evidence else None
        return {
            "video": self.video,
            "question": self.question,
            "answered": self.answered,
            "text": self.text,
            "choice": self.choice,
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "stop_reason": str(self.stop_reason),
            "start_s": None if first is None else round(first.span.start_s, 6),
            "end_s": None if first is None else round(first.span.end_s, 6),
            "quote": "" if first is None else first.quote,
            "frames": self.cost.frames,
            "tokens": self.cost.tokens_in + self.cost.tokens_out,
            "seconds": round(self.cost.seconds, 3),
        }

    def __str__(self) -> str:
        """Answer, evidence and cost in three lines; `repr` has everything."""
        from mmreason.report.terminal import short_lines

        return "\n".join(short_lines(self))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The same at a prompt of IPython, whose printer this is."""
        printer.text(str(self))

    def save_html(self, path: str | Path) -> Path:
        """Write one self-contained HTML page (no scripts, no external files); returns its path.

        What UTF-8 cannot hold, such as a file name in another encoding, is written as "?"."""
        from mmreason.report.html import answer_page
        from mmreason.video.files import write_atomic

        return write_atomic(Path(path), answer_page(self).encode("utf-8", "replace"))

    def _repr_html_(self) -> str:
        from mmreason.report.html import answer_fragment

        return answer_fragment(self)
