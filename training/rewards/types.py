"""What a reward sees: one trajectory as it was said, and what is known to be true.

Both are read from text by `reading.py`. Imports no model library.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmreason.grounding import Box, Dialect
from mmreason.memory.tree import NodeId, Tree
from mmreason.types import UsageError
from mmreason.video.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """How the numbers of boxes in a text become pixels, as for `parse_boxes`.

    Example:
        >>> Frame(size_px=(1920, 1080)).dialect.name
        'NORM_1000'
    """

    size_px: tuple[int, int]
    """(width, height) of the original frame."""
    dialect: Dialect = Dialect.NORM_1000
    seen_size_px: tuple[int, int] | None = None
    """(width, height) of the frame the model saw, for `Dialect.SEEN_PX`."""

    def __post_init__(self) -> None:
        if min(self.size_px) <= 0:
            raise UsageError(f"a frame needs a positive size in pixels, got {self.size_px}")


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at a time and a place: cited by a model, or annotated.

    Example:
        >>> Mark(12.5, Box(10, 20, 110, 220)).time_s
        12.5
    """

    time_s: float
    box: Box
    """In pixels of the original frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """What a model did and said about one problem, read once (`from_turns`, `from_answer`).

    Example:
        >>> Trajectory(answer="B", spans=(Span(3, 5),), tool_calls=2).boxes is None
        True
    """

    answer: str
    """The final answer without thoughts and tags; empty where there is none."""
    turns: tuple[str, ...] = ()
    """Everything the model wrote, turn by turn; empty where it was not kept."""
    spans: tuple[Span, ...] | None = None
    """Stretches given as the answer or its evidence, in order. `()` says that there is none, None
    that nothing readable was said."""
    boxes: tuple[Box, ...] | None = None
    """Boxes given as the answer, in pixels of the original frame; `()` and None as for `spans`."""
    tube: tuple[Mark, ...] | None = None
    """Boxes of one object through time, given as the answer; `()` and None as for `spans`."""
    marks: tuple[Mark, ...] = ()
    """Evidence cited with a time and a place."""
    visits: tuple[NodeId, ...] = ()
    """Nodes the model asked a caption of, in order and with repeats; the opening read, which is
    not its choice, is left out. Ids that are in no tree are allowed, and count for nothing."""
    tool_calls: int | None = None
    """Calls of the model's own that returned something; None for a task without tools."""
    tokens_out: int | None = None
    """Tokens the model wrote, observations left out; None where not known."""
    frames_seen: int | None = None
    """Different frames that were looked at for it; None where not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known of one problem. What is left at None is not known, and the rewards that need it
    are not applicable. Raises UsageError for values that contradict each other.

    Example:
        >>> Truth(question="Which one?", options=("red", "blue"), choice=1).options
        ('red', 'blue')
    """

    question: str = ""
    answer: str | None = None
    """The right answer in words."""
    answers: tuple[str, ...] = field(default=(), metadata={"came_later": True})
    """All that are right, where several are; `answer` is the first of them."""
    options: tuple[str, ...] = ()
    choice: int | None = None
    """Index into `options`, from 0."""
    number: float | None = None
    spans: tuple[Span, ...] | None = None
    """Where the proof can be seen; `()` says that the thing asked for is not in the video."""
    duration_s: float | None = None
    """Length of the video: without it the whole video cannot be told from a good answer."""
    boxes: tuple[Box, ...] | None = None
    """Every box wanted, in pixels of the original frame; `()` says that there is nothing to box."""
    marks: tuple[Mark, ...] | None = None
    """Annotated boxes with their times; several may have one time."""
    tube: tuple[Mark, ...] | None = field(default=None, metadata={"came_later": True})
    """Where the one object wanted is, one box a time; `()` says that it is not in the video."""
    tube_times_s: tuple[float, ...] = field(default=(), metadata={"came_later": True})
    """All times at which that is known, rising: it is absent at those that `tube` does not have.
    Needed with `tube`."""
    frame: Frame | None = None
    """Needed with `boxes`, `marks` and `tube`."""
    tree: Tree | None = None
    """The tree that the visits of a trajectory are nodes of."""
    columns: Mapping[str, Any] = field(
        default_factory=dict, hash=False, metadata={"came_later": True}
    )
    """Further fields of the row as JSON values, for rewards of one's own."""

    @property
    def is_known(self) -> bool:
        """Whether an answer can be judged: by words, option, number, times or places."""
        known = (self.answer, self.choice, self.number, self.spans, self.boxes, self.tube)
        return any(value is not None for value in known)

    def __post_init__(self) -> None:
        if self.answers and self.answer != self.answers[0]:
            raise UsageError(f"answer must be the first of answers, got {self.answer!r:.60}")
        if self.choice is not None and not 0 <= self.choice < len(self.options):
            raise UsageError(
                f"choice must be an index into the {len(self.options)} options, got {self.choice}"
            )
        if self.number is not None and not math.isfinite(self.number):
            raise UsageError(f"number must be finite, got {self.number}")
        if self.duration_s is not None and not 0 < self.duration_s < math.inf:
            raise UsageError(f"duration_s must be a positive time, got {self.duration_s}")
        if any(span.duration_s <= 0 for span in self.spans or ()):
            raise UsageError(f"true spans must have a length, got {self.spans}")
        marks = (*(self.marks or ()), *(self.tube or ()))
        boxes = [*(self.boxes or ()), *(mark.box for mark in marks)]
        if any(box.area_px2 <= 0 for box in boxes):
            raise UsageError("true boxes must have an area; leave out what cannot be seen")
        if list(self.tube_times_s) != sorted(set(self.tube_times_s)):
            raise UsageError(f"tube_times_s must rise, got {self.tube_times_s}")
        unknown_s = {mark.time_s for mark in self.tube or ()} - set(self.tube_times_s)
        if unknown_s or (self.tube is not None and not self.tube_times_s):
            raise UsageError(
                "a true tube needs tube_times_s, with the times of all of its boxes; "
                f"missing {sorted(unknown_s)}"
            )
        located = (self.boxes, self.marks, self.tube)
        if self.frame is None and any(value is not None for value in located):
            raise UsageError("true boxes need the frame they are in: give frame=Frame(size_px=...)")


Reward = Callable[[Trajectory, Truth], float | None]
"""A pure function with a stated range. None says that it does not apply to this problem. Options
are bound with `functools.partial`, which keeps it picklable."""
BatchedReward = Callable[
    [Sequence[Trajectory], Sequence[Truth]], Sequence[float | Exception | None]
]
"""Of many trajectories at once, a value for each; an exception says why there is none."""
AsyncReward = Callable[[Trajectory, Truth], Awaitable[float | None]]
"""A coroutine: several run together."""
AnyReward = Reward | BatchedReward | AsyncReward

WHOLE_LIMIT = 0.9
"""What fills more of the whole than this cannot be told from it: overlap is then not applicable."""


def above_whole(value: float, whole: float) -> float:
    """`value` as the share of what lies between the score of naming the whole and 1, 0..1.

    Naming everything always scores something under an overlap; here it scores nothing. `whole` is
    its score, at most `WHOLE_LIMIT`.

    Example:
        >>> [above_whole(value, whole=0.5) for value in (0.25, 0.5, 0.75, 1.0)]
        [0.0, 0.0, 0.5, 1.0]
    """
    assert 0 <= whole <= WHOLE_LIMIT, whole
    return min(1.0, max(0.0, (value - whole) / (1 - whole)))
