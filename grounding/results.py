"""What grounding an expression came to: a status, targets, rivals, and everything odd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from mmreason.grounding.boxes import Box
from mmreason.grounding.spaces import Transform
from mmreason.grounding.tubes import Tube
from mmreason.video.types import Span

ScoreKind = Literal["detector", "agreement", "token probability", "stated", "calibrated"]
"""What a score is: a detector's own, the share of looks that agree, a probability of the text, a
number that a model wrote beside its box, or one that was fitted to how often such targets are
right."""

IssueKind = Literal[
    "repaired",
    "cut",
    "dropped_box",
    "dropped_span",
    "clipped_box",
    "merged_box",
    "swapped_corners",
    "scale_conflict",
    "no_box",
    "unsure",
    "skipped",
    "picked",
    "budget",
    "unchecked",
    "failed",
]


class GroundingStatus(StrEnum):
    """What grounding came to."""

    FOUND = "found"
    """As many targets as were asked for, or fewer."""
    NONE = "none"
    """It was looked for and is not there."""
    AMBIGUOUS = "ambiguous"
    """Several targets fit and nothing tells them apart; all are in `targets`."""
    UNPARSED = "unparsed"
    """The model's text holds no box that can be used, or it declined to look; see `raw_text` and
    `issues`."""
    ERROR = "error"
    """Nothing could be asked; see `issues`."""


@dataclass(frozen=True, slots=True)
class Issue:
    """Something mended, dropped, skipped or odd.

    Example:
        >>> str(Issue("clipped_box", "a box was clipped to the frame: [0, 0, 9, 9]"))
        'a box was clipped to the frame: [0, 0, 9, 9]'
    """

    kind: IssueKind
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One object that an expression refers to.

    Example:
        >>> Target(box=Box(1, 2, 3, 4), label="star").label
        'star'
    """

    box: Box | None = None
    """In pixels of the original frame, at `Grounding.frame_time_s`; None where only a tube is
    known and the object is not to be seen in that frame."""
    point_px: tuple[float, float] | None = None
    """(x, y) in pixels of the original frame, where a model points instead."""
    label: str = ""
    """The model's or detector's word for it, empty where there is none."""
    tube: Tube | None = None
    span: Span | None = None
    """When it is the one meant, not only to be seen."""
    score: float | None = None
    """0..1, of the kind `score_kind`; None where nothing scores."""
    score_kind: ScoreKind | None = None
    checks: Mapping[str, bool | None] = field(default_factory=dict)
    """Each descriptor of the expression, and whether a look at the target confirmed it; None where
    it could not be checked."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "box_px": None if self.box is None else list(self.box.xyxy),
            "point_px": None if self.point_px is None else list(self.point_px),
            "label": self.label,
            "tube": None if self.tube is None else self.tube.to_dict(),
            "span": None if self.span is None else self.span.to_list(),
            "score": self.score,
            "score_kind": self.score_kind,
            "checks": dict(self.checks),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A runner-up that was looked at and not chosen.

    Example:
        >>> Rival(target=Target(label="blue star"), fails=("red",)).fails
        ('red',)
    """

    target: Target
    fails: tuple[str, ...] = ()
    """Descriptors of the expression that do not hold for it; empty where it was only the weaker
    one."""
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return self.target.to_dict() | {"fails": list(self.fails), "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounding:
    """Where an expression is in an image or a video. Never empty without a status that says why.

    Example:
        >>> star = Target(box=Box(1, 2, 3, 4), label="star")
        >>> Grounding(status=GroundingStatus.FOUND, targets=(star,)).labels
        ('star',)
    """

    status: GroundingStatus
    targets: tuple[Target, ...] = ()
    """In the model's order, or the best first where they are scored."""
    rivals: tuple[Rival, ...] = ()
    rule: str = ""
    """Which rule read the boxes from the text: fence, json, objects, pairs, refusal, ..."""
    issues: tuple[Issue, ...] = ()
    """Everything mended, dropped or odd."""
    rationale: str = ""
    """Why this target, in the words of who chose it."""
    raw_text: str = ""
    expression: str = ""
    frame_time_s: float | None = None
    """Presentation time of the frame that boxes are in; None for an image."""
    size_px: tuple[int, int] | None = None
    """(width, height) of the original frame."""
    transform: Transform | None = None
    """From the original frame to the one that the model saw; boxes are in the original already."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Everything that moves the result: model, prompt hash, dialect, size shown, frame times."""
    steps: tuple[Mapping[str, Any], ...] = ()
    """The trace: what was done, one JSON object a step, in order."""
    cost: Mapping[str, float] = field(default_factory=dict, compare=False)
    """What was spent: frames, calls, tokens, seconds. No part of what a result is compared by."""

    def __post_init__(self) -> None:
        count_fits = {
            GroundingStatus.FOUND: len(self.targets) >= 1,
            GroundingStatus.AMBIGUOUS: len(self.targets) > 1,
        }.get(self.status, not self.targets)
        if not count_fits:
            raise ValueError(
                f"status {self.status!r} does not go with {len(self.targets)} target(s)"
            )

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Boxes of the targets that have one, in pixels of the original frame."""
        return tuple(target.box for target in self.targets if target.box is not None)

    @property
    def labels(self) -> tuple[str, ...]:
        """One a box, empty strings where there is none."""
        return tuple(target.label for target in self.targets if target.box is not None)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "status": str(self.status),
            "boxes_px": [list(box.xyxy) for box in self.boxes],
            "labels": list(self.labels),
            "targets": [target.to_dict() for target in self.targets],
            "rivals": [rival.to_dict() for rival in self.rivals],
            "rule": self.rule,
            "issues": [{"kind": issue.kind, "text": issue.text} for issue in self.issues],
            "rationale": self.rationale,
            "raw_text": self.raw_text,
            "expression": self.expression,
            "frame_time_s": self.frame_time_s,
            "size_px": None if self.size_px is None else list(self.size_px),
            "transform": None if self.transform is None else self.transform.to_dict(),
            "settings": dict(self.settings),
            "steps": [dict(step) for step in self.steps],
            "cost": dict(self.cost),
        }

    def _repr_html_(self) -> str:
        """A page without crops, in a notebook."""
        from mmreason.grounding.drawing.page import grounding_fragment

        return grounding_fragment(self)
