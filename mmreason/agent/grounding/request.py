"""What is asked for when an expression is to be grounded, checked before anything is opened."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from mmreason.grounding.expressions import Descriptor, Expression
from mmreason.language.validate import checked_question, checked_span
from mmreason.types import Budget, UsageError
from mmreason.video.types import Span, VideoInfo

Want = Literal["box", "tube", "mask"]
AUTO, BOXES, END_TO_END = "auto", "boxes", "end_to_end"
"""Grounders that the model itself is; all other names are of a detector or a mask tracker."""
MOST_FPS_HZ = 60.0
MOST_TARGETS = 20
MOST_WORDS = 300


@dataclass(frozen=True, slots=True)
class GroundRequest:
    """An expression and how it is to be grounded. UsageError for what cannot be.

    Example:
        >>> GroundRequest(" the red star ", "tube").expression
        'the red star'
    """

    expression: str
    want: Want = "box"
    span: Span | tuple[float, float] | None = None
    """Only this part of the video."""
    at_s: float | None = None
    """The moment of the box: seconds."""
    fps_hz: float = 5.0
    """Frames a second of a tube."""
    max_targets: int = 1
    """How many objects the expression may refer to; more that fit equally are ambiguous."""
    grounder: str = AUTO
    """"auto"; "boxes" (the model boxes single frames, a tracker links them); "end_to_end" (the
    model writes the tube); else the name or folder of a detector or of a mask tracker."""
    budget: Budget = field(default_factory=Budget)
    """A round of it is one question to a model."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "expression", checked_question(self.expression, "expression"))
        word_count = len(self.expression.split())
        if word_count > MOST_WORDS:
            raise UsageError(
                f"the expression has {word_count:,} words, the limit is {MOST_WORDS}; shorten it"
            )
        if self.want not in get_args(Want):
            raise UsageError(f"want must be box, tube or mask, got {self.want!r}")
        if not 0 < self.fps_hz <= MOST_FPS_HZ:
            raise UsageError(f"fps must lie above 0 and up to {MOST_FPS_HZ:g}, got {self.fps_hz}")
        if not 1 <= self.max_targets <= MOST_TARGETS:
            raise UsageError(f"max_targets must be 1 to {MOST_TARGETS}, got {self.max_targets}")
        if self.at_s is not None and not math.isfinite(self.at_s):
            raise UsageError(f"at must be a number of seconds, got {self.at_s}")
        if not self.grounder.strip():
            raise UsageError("grounder is empty; leave it out, or name one")

    def check_times(self, info: VideoInfo) -> Span:
        """The part of the video that is meant. UsageError for times outside of it."""
        span = checked_span(self.span, info)
        if self.at_s is not None and not span.contains(self.at_s):
            whole = "the span" if self.span is not None else "the video"
            raise UsageError(f"at {self.at_s:g} s lies outside {whole}, which is {span}")
        return span

    def refuse_times(self) -> None:
        """For images, which have none. UsageError where times are given."""
        for name, value in (("span", self.span), ("at", self.at_s)):
            if value is not None:
                raise UsageError(f"{name} goes with a video, but an image was given")


MOVING_KINDS = ("motion", "order")
"""Kinds of descriptors that one frame cannot show."""


def is_moving(descriptor: Descriptor) -> bool:
    """Whether it takes several frames to tell."""
    return descriptor.kind in MOVING_KINDS


def name_unseen(expression: Expression) -> tuple[str, ...]:
    """What of an expression one frame cannot show, in its words.

    Example:
        >>> from mmreason.grounding.expressions import parse_expression
        >>> name_unseen(parse_expression("the red star that moves left"))
        ('moves left',)
    """
    moving = [d.text for d in expression.descriptors if is_moving(d)]
    return tuple(dict.fromkeys([*moving, *filter(None, [expression.temporal])]))
