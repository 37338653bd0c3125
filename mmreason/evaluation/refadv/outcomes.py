"""What came of one case asked of one subject, scored. A line of `results.jsonl`, in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from pydantic import TypeAdapter, ValidationError

Kind = Literal["image", "video"]

Change = Literal[
    "original",
    "shuffle",
    "delete",
    "strip_negation",
    "swap",
    "reverse",
    "single_frame",
    "blind",
    "floor",
]
"""What was done to an item before it was asked: `original` is nothing, `floor` replaces the
expression by "the one", `blind` replaces every pixel by grey."""

CHANGES: tuple[Change, ...] = get_args(Change)

MOST_COUNT = 100_000
"""Of what is counted in one picture or video: files of outcomes may be anybody's."""

Pick = Literal["target", "hard", "other", "background", "none"]
"""What an answer lies on: the target, a distractor that lacks one descriptor, another candidate,
none of them, or no box at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What tables split items by.

    Example:
        >>> Facts(descriptors=2, candidates=6, negation=True, hops=0, family="attributes").hops
        0
    """

    descriptors: int
    candidates: int
    """Objects that could be meant, the target among them; 0 where it is not known."""
    negation: bool
    hops: int
    """Relations between the target and the landmark that is described last."""
    family: str
    hard: int = 0
    """Of the candidates, those that lack one descriptor only."""
    look: str = "plain"
    """What is behind the objects, and whether they are cut out of photographs."""

    def __post_init__(self) -> None:
        counts = (self.descriptors, self.candidates, self.hops, self.hard)
        if not all(0 <= count <= MOST_COUNT for count in counts):
            raise ValueError(f"counts of an item must be 0 to {MOST_COUNT:,}, got {counts}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TubeScores:
    """How a tube fits the target's. All 0..1.

    Example:
        >>> TubeScores(viou=0.4, tiou=0.8, siou=0.5, absent=1.0).viou
        0.4
    """

    viou: float
    tiou: float
    siou: float
    """Mean IoU over the frames in which the target is to be seen."""
    absent: float | None
    """Share of the frames without the target that have no box; None where it is always there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOutcome:
    """One case asked of one subject.

    Example: `CaseOutcome.from_dict(outcome.to_dict()) == outcome`.
    """

    subject: str
    item: str
    change: Change
    number: int = 0
    """Which shuffle, or which descriptor is deleted; 0 for changes that there is one of."""
    kind: Kind
    cluster: str
    """The picture or video: items that share one are not independent."""
    facts: Facts
    expression: str
    """As it was asked."""
    changed: str = ""
    """The descriptor that was deleted, or negated."""
    targets: int
    """Objects that the item's own expression refers to; 0 where it refers to nothing."""
    status: str
    """Of `GroundingStatus`."""
    error: str | None = None
    """Why nothing could be asked: class and message of what was raised."""
    note: str = ""
    """The first thing that was odd about the answer."""
    box_px: tuple[float, float, float, float] | None = None
    """The first box of the answer."""
    boxes: int = 0
    time_s: float | None = None
    """Time of the frame that `box_px` is in; None in a picture."""
    has_tube: bool = False
    iou: float = 0.0
    """Of the first box with the item's own target, the best of several; of a tube its vIoU."""
    pick: Pick = "none"
    """What the first answer lies on, judged by what the item's own expression refers to."""
    picked: str = ""
    """Id of that candidate."""
    missed: tuple[str, ...] = ()
    """Descriptors that the picked candidate lacks."""
    follows: bool | None = None
    """Whether the answer is what the changed case refers to; None where that is not known, or is
    nothing in particular."""
    exact: bool = False
    """Of items with none or several targets: whether exactly those were given."""
    tube: TubeScores | None = None
    largest: bool | None = None
    """Whether no candidate is larger than the picked one; None where nothing was picked."""
    largest_of: int = 0
    """How many candidates are as large as the largest."""
    central: bool | None = None
    first: bool | None = None
    """Whether it is the first that was drawn: the farthest."""
    ceiling: float | None = None
    """IoU of the best box that the subject's way of writing numbers can say; None where it writes
    none."""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.iou <= 1 and 0 <= self.targets <= MOST_COUNT):
            raise ValueError(
                f"iou must be 0 to 1 and targets a count, got {self.iou}, {self.targets}"
            )

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Names the outcome in a run."""
        return self.subject, self.item, self.change, self.number

    @property
    def is_hit(self) -> bool:
        """Acc@.5 of single targets; of none or several whether exactly those were given."""
        return self.iou >= 0.5 if self.targets == 1 else self.exact

    @property
    def is_right(self) -> bool:
        """Whether the right one was chosen, however well its box is drawn."""
        return self.pick == "target" if self.targets == 1 else self.exact

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        values = asdict(self)
        for name in ("iou", "ceiling", "seconds"):
            values[name] = None if values[name] is None else round(values[name], 6)
        if self.box_px is not None:
            values["box_px"] = [round(v, 3) for v in self.box_px]
        return values

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CaseOutcome:
        """What `to_dict` gave. Raises ValueError for anything else: the file may be anybody's."""
        try:
            return _OUTCOMES.validate_python(data)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(step) for step in first["loc"])
            raise ValueError(f"is no outcome: {field}: {first['msg']}") from error


_OUTCOMES = TypeAdapter(CaseOutcome)
