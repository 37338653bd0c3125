"""What one grounding works on, may spend, and has to tell: passed from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmreason.agent.grounding.request import GroundRequest
from mmreason.grounding import Grounding, GroundingStatus, Issue, Target
from mmreason.grounding.expressions import Expression, parse_expression
from mmreason.grounding.results import IssueKind, Rival
from mmreason.language.grounding_prompts import GroundingPrompts
from mmreason.tools.calls import FAILURES, first_line
from mmreason.tools.ground import describe_model, shown_frames
from mmreason.tools.ground_chat import ask_expression
from mmreason.tools.ground_meter import BudgetSpent, Meter, MeteredModel
from mmreason.types import Cost
from mmreason.video.types import FrameBatch, FrameSource, VideoInfo

STEP_TEXT = 300
"""Characters of a model's words in the trace."""


@dataclass(kw_only=True)
class GroundTask:
    """A request on one video or image, with its meter, trace and issues."""

    request: GroundRequest
    model: MeteredModel
    """Finds."""
    judge: MeteredModel
    """Takes the expression apart, chooses and checks; the same one where no other was given."""
    meter: Meter
    source: FrameSource
    is_image: bool
    prompts: GroundingPrompts = field(default_factory=GroundingPrompts)
    expression: Expression = field(init=False)
    steps: list[Mapping[str, Any]] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.expression = parse_expression(self.request.expression)
        if self.judge.name != self.model.name:
            self.settings["judge"] = describe_model(self.judge)["model"]

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) of the original frames."""
        return self.source.info.width_px, self.source.info.height_px

    @property
    def can_judge(self) -> bool:
        """Whether the judge can be asked about objects in words: nano was taught boxes alone."""
        return self.judge.tier != "nano"

    @property
    def phrase_of_all(self) -> str:
        """What a chat model is asked to box where all candidates are wanted: its prompt speaks of
        one thing, and most models would give one box. Nano knows its own words alone."""
        return self.phrase if self.model.tier == "nano" else f"{self.expression.head} (every one)"

    @property
    def phrase(self) -> str:
        """What detectors look for: the head; for nano its looks too, in the order that it was
        taught, since it cannot tell afterwards who of several has them."""
        expression = self.expression
        if self.model.tier != "nano":
            return expression.head
        kinds = ("size", "colour", "pattern")
        looks = [
            d.text
            for kind in kinds
            for d in expression.descriptors
            if d.kind == kind and not d.negated and " " not in d.text and not _is_relative(d.text)
        ]
        return " ".join([*looks, expression.head])

    def read_small(self, times_s: Sequence[float]) -> FrameBatch:
        """Frames at the size at which the model is shown them, decoded one at a time: memory is
        that of small frames, however large the video's own are."""
        size_px = self.model.clip.frame_size_px(*self.size_px)
        rows = [
            shown_frames(self.source.frames_at([time_s], size_px), [0], size_px)
            for time_s in times_s
        ]
        return FrameBatch(
            pixels=np.concatenate([row.pixels for row in rows]),
            times_s=np.concatenate([row.times_s for row in rows]),
            exact=np.concatenate([row.exact for row in rows]),
        )

    def log(self, step: str, **details: object) -> None:
        """Add to the trace; texts are cut."""
        row = {k: v[:STEP_TEXT] if isinstance(v, str) else v for k, v in details.items()}
        self.steps.append({"step": step, **row})

    def tell(self, kind: IssueKind, text: str) -> None:
        """Add an issue, once."""
        issue = Issue(kind, text)
        if issue not in self.issues:
            self.issues.append(issue)

    def take_apart(self) -> None:
        """Have the model take the expression apart, where it can and there is room; else the rules
        have. Whole images with nothing but a name need no model for that."""
        parsed_by = "rules"
        if self.can_judge and len(self.request.expression.split()) > 1:
            try:
                expression = ask_expression(self.judge, self.request.expression, self.prompts)
            except BudgetSpent as error:
                self.tell("budget", f"the expression was taken apart by rules: {error}")
            except FAILURES as error:
                self.tell("failed", f"the expression was taken apart by rules: {first_line(error)}")
            else:
                if expression is None:
                    self.tell("repaired", "the expression was taken apart by rules: the model gave "
                              "no usable JSON")  # fmt: skip
                else:
                    self.expression, parsed_by = expression, "model"
        for note in self.expression.notes:
            self.tell("unsure", note)
        self.log(
            "parse",
            by=parsed_by,
            head=self.expression.head,
            descriptors=[
                {"text": d.text, "kind": d.kind, "negated": d.negated}
                for d in self.expression.descriptors
            ],
            temporal=self.expression.temporal,
        )

    def all_issues(self) -> tuple[Issue, ...]:
        """What there is to tell, with the reasons of models that declined: those were not looks."""
        for reason in self.meter.declined:
            self.tell("unsure", f"the model {reason}; that it names no box does not mean absence")
        return tuple(self.issues)

    def result(
        self,
        status: GroundingStatus,
        *,
        targets: Sequence[Target] = (),
        rivals: Sequence[Rival] = (),
        frame_time_s: float | None = None,
        rationale: str = "",
        raw_text: str = "",
        rule: str = "",
    ) -> Grounding:
        """The outcome, with all that the task has to tell."""
        return Grounding(
            status=status,
            targets=tuple(targets),
            rivals=tuple(rivals),
            rule=rule,
            issues=self.all_issues(),
            rationale=rationale,
            raw_text=raw_text,
            expression=self.request.expression,
            frame_time_s=frame_time_s,
            size_px=self.size_px,
            settings=describe_model(self.model) | self.settings,
            steps=tuple(self.steps),
            cost=self.meter.to_dict(),
        )


def _is_relative(word: str) -> bool:
    """Whether a look compares: "largest" cannot be seen in one thing alone."""
    return word.lower().endswith("est")


@dataclass(frozen=True, slots=True)
class StillSource:
    """One picture as a video of one frame, shown at any time. See `FrameSource`.

    Example:
        >>> StillSource(np.zeros((4, 8, 3), np.uint8)).info.width_px
        8
    """

    pixels: np.ndarray
    """uint8 (H, W, 3) RGB."""
    time_s: float = 0.0

    @property
    def info(self) -> VideoInfo:
        height_px, width_px = self.pixels.shape[:2]
        return VideoInfo(
            path="<image>",
            duration_s=0.0,
            start_s=self.time_s,
            width_px=width_px,
            height_px=height_px,
            codec="",
            mean_fps_hz=0.0,
            frame_count=1,
            rotation_deg=0,
            has_audio=False,
            backend="picture",
            size_bytes=0,
        )

    @property
    def content_hash(self) -> str:
        """Not asked for: what is known of a video is not searched for a picture."""
        return ""

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """See `FrameSource`; `size_px` is not taken."""
        count = len(times_s)
        return FrameBatch(
            pixels=np.repeat(self.pixels[None], count, axis=0),
            times_s=np.full(count, self.time_s),
            exact=np.ones(count, np.bool_),
        )


@dataclass
class CountedSource:
    """A video that counts what is decoded of it. See `FrameSource`."""

    inner: FrameSource
    meter: Meter

    @property
    def info(self) -> VideoInfo:
        return self.inner.info

    @property
    def content_hash(self) -> str:
        return self.inner.content_hash

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """See `FrameSource`. Raises BudgetSpent where the time is over."""
        self.meter.check(Cost())
        frames = self.inner.frames_at(times_s, size_px)
        self.meter.cost += Cost(frames_scanned=len(frames))
        return frames
