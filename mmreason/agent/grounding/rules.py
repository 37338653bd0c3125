"""Choosing among tubes by rules: for models that were not taught to choose. Pure.

What the tubes tell is measured: which way something moves, who comes or goes first, who is larger,
on which side it is. All other words are None, and the chooser says that it did not check them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmreason.agent.grounding.looks import LookVotes
from mmreason.grounding import Choice, Tube
from mmreason.grounding.expressions import Descriptor, Expression
from mmreason.video.types import FrameBatch

MOVED = 0.4
"""Of its own size: less is no movement."""
EDGE = 0.03
"""Of the frame: a box that begins so near to an edge comes in or goes out there."""
LARGER = 1.15
"""How much larger the largest is than the next, in area."""
_DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_ALSO = {
    "leftward": "left", "leftwards": "left", "rightward": "right", "rightwards": "right",
    "upward": "up", "upwards": "up", "rises": "up", "rising": "up",
    "downward": "down", "downwards": "down", "falls": "down", "falling": "down", "sinks": "down",
}  # fmt: skip
_SMALLEST = frozenset({"smallest", "tiniest", "littlest", "shortest"})
_LARGEST = frozenset({"largest", "biggest", "tallest", "longest", "widest"})
_ENDS = ("leave", "exit", "disappear", "vanish", "depart", "out")
_RANKS = {"first": 0, "earliest": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4}
_LAST = frozenset({"last", "final", "latest"})


@dataclass(frozen=True, slots=True)
class RuleChooser:
    """Chooses by what tubes tell. See `Chooser`."""

    expression: Expression
    size_px: tuple[int, int]
    """(width, height) of the frames."""
    looks: Mapping[str, LookVotes] = field(default_factory=dict)
    """What was seen of the looks of each tube, by its id."""

    def judge(self, tube: Tube, tubes: Sequence[Tube]) -> dict[str, bool | None]:
        """Each descriptor, and whether it holds by the tracks or by what was seen of its looks."""
        checks = judge_by_rules(tube, tubes, self.expression, self.size_px)
        votes = self.looks.get(tube.id, LookVotes())
        return {t: votes.holds(t) if holds is None else holds for t, holds in checks.items()}

    @property
    def name(self) -> str:
        return "rules"

    def choose(self, frames: FrameBatch, tubes: Sequence[Tube], expression: str) -> Choice:
        """See `Chooser`; `expression` was taken apart already."""
        return self.choose_by_tracks(tubes)

    def choose_by_tracks(self, tubes: Sequence[Tube]) -> Choice:
        """Whom the tracks speak for. Several that fit equally are told as ambiguous."""
        checks = [self.judge(tube, tubes) for tube in tubes]
        failures = tuple(
            (tube.id, text)
            for tube, row in zip(tubes, checks, strict=True)
            for text, holds in row.items()
            if holds is False
        )
        fit = [i for i, row in enumerate(checks) if False not in row.values()]
        most = max((sum(v is True for v in checks[i].values()) for i in fit), default=0)
        best = [i for i in fit if sum(v is True for v in checks[i].values()) == most]
        return Choice(
            ids=tuple(tubes[i].id for i in best),
            ambiguous=len(best) > 1,
            reason=_explain(checks[best[0]]) if len(best) == 1 else "",
            failures=failures,
        )


def _explain(checks: Mapping[str, bool | None]) -> str:
    texts = [text for text, holds in checks.items() if holds]
    return f"what holds for it alone or best: {', '.join(texts)}" if texts else ""


def judge_by_rules(
    tube: Tube, tubes: Sequence[Tube], expression: Expression, size_px: tuple[int, int]
) -> dict[str, bool | None]:
    """Each descriptor, and whether the tube shows it, among `tubes`; None where tubes do not tell.

    Example:
        >>> from mmreason.grounding import Box
        >>> from mmreason.grounding.expressions import parse_expression
        >>> boxes = [Box(80 - 20 * i, 0, 90 - 20 * i, 10) for i in range(4)]
        >>> tube = Tube.from_boxes([0.0, 0.5, 1.0, 1.5], boxes, id="1")
        >>> expression = parse_expression("the red star that moves left")
        >>> judge_by_rules(tube, [tube], expression, (100, 50))
        {'red': None, 'moves left': True}
    """
    checks: dict[str, bool | None] = {}
    for descriptor in expression.descriptors:
        holds = _judge(descriptor, expression, tube, tubes, size_px)
        is_denied = holds is not None and descriptor.negated
        checks[descriptor.text] = not holds if is_denied else holds
    if expression.temporal and not any(expression.temporal in text for text in checks):
        # Order words are descriptors already; a clause about other things is not measured.
        orders = {word for word in expression.temporal.split() if word in _RANKS or word in _LAST}
        if not orders or len(expression.temporal.split()) > len(orders):
            checks[expression.temporal] = None
    return checks


def _judge(
    descriptor: Descriptor,
    expression: Expression,
    tube: Tube,
    tubes: Sequence[Tube],
    size_px: tuple[int, int],
) -> bool | None:
    tokens = descriptor.text.lower().split()
    if not tube.present.any():
        return None
    if descriptor.kind == "motion":
        return _judge_motion(tokens, tube, size_px)
    if descriptor.kind == "relation":
        return _judge_place(tokens, tube, tubes, size_px)
    if descriptor.kind == "order":
        verbs = [w for d in expression.descriptors for w in d.text.lower().split()]
        return _judge_order(tokens, verbs, tube, tubes)
    if descriptor.kind == "size" and len(tokens) == 1 and tokens[0] in _LARGEST | _SMALLEST:
        return _judge_size(tokens[0], tube, tubes)
    return None


def _centres_px(tube: Tube) -> np.ndarray:
    """float64 (n, 2): of the boxes where it is present."""
    boxes_px = tube.boxes_px[tube.present]
    return (boxes_px[:, :2] + boxes_px[:, 2:]) / 2


def _side_px(tube: Tube) -> float:
    boxes_px = tube.boxes_px[tube.present]
    return float(np.median(np.maximum(*(boxes_px[:, 2:] - boxes_px[:, :2]).T)))


def _judge_motion(tokens: Sequence[str], tube: Tube, size_px: tuple[int, int]) -> bool | None:
    centres_px = _centres_px(tube)
    if len(centres_px) < 2:
        return None  # one look shows no movement
    way_px = centres_px[-1] - centres_px[0]
    path_px = np.abs(np.diff(centres_px, axis=0)).sum(axis=0)
    side_px = _side_px(tube)
    is_moved = bool(np.linalg.norm(way_px) > MOVED * side_px or path_px.max() > 1.5 * side_px)
    stems = " ".join(tokens)
    # Coming and going before directions: "enters from the left" moves right.
    if any(verb in stems for verb in ("enter", "come in", "comes in", "arriv")):
        return _judge_edge(tokens, tube, size_px, at_end=False)
    if any(verb in stems for verb in ("leave", "leaving", "exit", "goes out", "depart")):
        return _judge_edge(tokens, tube, size_px, at_end=True)
    if "disappear" in stems or "vanish" in stems:
        return not tube.present[-1]
    if "appear" in stems:
        return not tube.present[0]
    if "still" in tokens or "motionless" in tokens or "stationary" in tokens or stems == "stays":
        return not is_moved
    directions = [_ALSO.get(word, word) for word in tokens]
    direction = next((word for word in directions if word in _DIRECTIONS), None)
    if direction is not None:
        axis = np.array(_DIRECTIONS[direction], np.float64)
        along, across = float(way_px @ axis), float(np.abs(way_px @ (1 - np.abs(axis))))
        return bool(along > MOVED * side_px and along > across)
    if any(verb in stems for verb in ("bounc", "hop", "jump")):
        return bool(path_px[1] > 2 * abs(way_px[1]) + side_px / 2 and path_px[1] > path_px[0])
    if "circl" in stems or "orbit" in stems:
        return bool(path_px.min() > side_px and np.linalg.norm(way_px) < path_px.sum() / 3)
    bare = [word for word in tokens if word not in ("does", "do", "not", "is", "never", "around")]
    if len(bare) == 1 and bare[0] in ("moves", "moving", "move", "moved"):
        return is_moved
    return None  # turning a colour, touching, following: tubes of one object do not tell


def _judge_edge(
    tokens: Sequence[str], tube: Tube, size_px: tuple[int, int], *, at_end: bool
) -> bool | None:
    """Whether it comes in, or goes out, over an edge; over that of a side where one is named."""
    boxes_px = tube.boxes_px[tube.present]
    box_px = boxes_px[-1 if at_end else 0]
    if not tube.present[-1 if at_end else 0] and len(boxes_px) > 1:
        # One step further it was or will be, where nobody sees it any more.
        box_px = 2 * box_px - boxes_px[-2 if at_end else 1]
    margin_px = np.array(size_px) * EDGE
    touched = {
        "left": box_px[0] <= margin_px[0],
        "right": box_px[2] >= size_px[0] - margin_px[0],
        "up": box_px[1] <= margin_px[1],
        "down": box_px[3] >= size_px[1] - margin_px[1],
    }
    sides = {"top": "up", "bottom": "down"}
    named = [sides.get(word, word) for word in tokens if sides.get(word, word) in touched]
    is_gone = not tube.present[-1 if at_end else 0]
    if not named:
        return bool(is_gone or any(touched.values()))
    return bool(touched[named[0]])


def _judge_place(
    tokens: Sequence[str], tube: Tube, tubes: Sequence[Tube], size_px: tuple[int, int]
) -> bool | None:
    """Sides of the frame; what is beside something else is not measured."""
    if "of" in tokens and tokens[-1] not in ("frame", "picture", "image", "video", "screen"):
        return None
    x, y = np.median(_centres_px(tube), axis=0) / np.array(size_px)
    extremes = {"leftmost": (0, 1), "rightmost": (0, -1), "topmost": (1, 1), "bottommost": (1, -1)}
    for word, (axis, sign) in extremes.items():
        if word in tokens:
            values = [sign * np.median(_centres_px(t), axis=0)[axis] for t in tubes
                      if t.present.any()]  # fmt: skip
            return bool(sign * np.median(_centres_px(tube), axis=0)[axis] <= min(values))
    sides = {"left": x < 0.5, "right": x > 0.5, "top": y < 0.5, "bottom": y > 0.5,
             "upper": y < 0.5, "lower": y > 0.5}  # fmt: skip
    named = [side for side in sides if side in tokens]
    if named:
        return all(bool(sides[side]) for side in named)
    if {"middle", "centre", "center"} & set(tokens):
        return bool(1 / 3 <= x <= 2 / 3)
    return None


def _judge_order(
    tokens: Sequence[str], verbs: Sequence[str], tube: Tube, tubes: Sequence[Tube]
) -> bool | None:
    """Its rank by when it comes, or by when it goes where the words speak of that; None where two
    come at once."""
    if {"left", "right", "from"} & set(tokens):
        return None
    is_end = any(verb.startswith(_ENDS) or verb == "leaving" for verb in verbs)
    spans = [t.span for t in tubes if t.span is not None]
    if tube.span is None:
        return None
    value = tube.span.end_s if is_end else tube.span.start_s
    values = sorted(span.end_s if is_end else span.start_s for span in spans)
    if values.count(value) > 1:
        return None
    if _LAST & set(tokens):
        return value == values[-1]
    rank = next((_RANKS[word] for word in tokens if word in _RANKS), None)
    return None if rank is None else values.index(value) == rank


def _judge_size(word: str, tube: Tube, tubes: Sequence[Tube]) -> bool | None:
    areas = [_area_px2(t) for t in tubes if t is not tube and t.present.any()]
    if not areas:
        return None
    area = _area_px2(tube)
    return area > LARGER * max(areas) if word in _LARGEST else LARGER * area < min(areas)


def _area_px2(tube: Tube) -> float:
    boxes_px = tube.boxes_px[tube.present]
    return float(np.median(np.prod(boxes_px[:, 2:] - boxes_px[:, :2], axis=1)))
