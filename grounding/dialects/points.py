"""From a model's text to points in pixels of the original frame."""

from __future__ import annotations

import numpy as np

from mmreason.grounding.dialects.answer_text import answer_body
from mmreason.grounding.dialects.boxes import Pick, check_scale, note_unknown_size, pick_items
from mmreason.grounding.dialects.choose import read_answer
from mmreason.grounding.dialects.dialect import NOTATIONS, Dialect, from_numbers
from mmreason.grounding.dialects.rows import RowShape
from mmreason.grounding.dialects.status import finish_grounding
from mmreason.grounding.results import Grounding, Issue, Target
from mmreason.grounding.spaces import Size, Transform, seen_transform


def parse_points(
    text: str,
    dialect: Dialect,
    size_px: Size,
    *,
    seen_size_px: Size | None = None,
    transform: Transform | None = None,
    pick: Pick = "all",
    strict: bool = False,
) -> Grounding:
    """Read the points in `text`, one target each with its `point_px`; see `parse_boxes`. Never
    raises for any text. Points outside the frame are dropped, with an issue: half of a point cannot
    be kept.

    Example:
        >>> tag = '<point x="10.0" y="50.0" alt="dog">dog</point>'
        >>> [target.point_px for target in parse_points(tag, Dialect.MOLMO, (640, 360)).targets]
        [(64.0, 180.0)]
    """
    to_seen = seen_transform(size_px, seen_size_px, transform)
    notation = NOTATIONS[dialect]
    shape = RowShape(count=2, y_first=notation.y_first)
    issues: list[Issue] = []
    answer = read_answer(answer_body(text, issues), notation, shape, issues, pick=pick)
    if not notation.has_points:
        issues.append(Issue("no_box", f"dialect {dialect} writes boxes, not points"))
        answer.rows.clear()
    note_unknown_size(answer.rows, dialect, seen_size_px, transform, issues)
    check_scale(answer.rows, dialect, to_seen.to_size, issues, switch=False)
    targets: list[Target] = []
    if answer.rows:
        numbers = np.array([row.numbers for row in answer.rows])
        seen_points = from_numbers(numbers, dialect, to_seen.to_size)
        for row, (x, y) in zip(
            answer.rows, to_seen.inverse().apply_points(seen_points), strict=True
        ):
            inside = (min(max(x, 0.0), size_px[0]), min(max(y, 0.0), size_px[1]))
            # Less than this is the arithmetic, as at the edge of 999 of 999.
            if max(abs(x - inside[0]), abs(y - inside[1])) > 1e-6:
                issues.append(
                    Issue("dropped_box", f"a point outside the frame: {list(row.numbers)}")
                )
                continue
            point_px = (float(inside[0]), float(inside[1]))
            if any(target.point_px == point_px for target in targets):
                issues.append(Issue("merged_box", f"a repeated point: {list(row.numbers)}"))
                continue
            score_kind = None if row.score is None else "stated"
            targets.append(
                Target(point_px=point_px, label=row.label, score=row.score, score_kind=score_kind)
            )
    picked = tuple(pick_items(targets, [target.score for target in targets], pick, issues))
    return finish_grounding(
        picked, answer, issues, text=text, size_px=size_px, transform=to_seen, strict=strict
    )
