"""What a reading came to: the status of targets, refusals and complaints."""

from __future__ import annotations

from mmreason.grounding.dialects.choose import Answer
from mmreason.grounding.results import Grounding, GroundingStatus, Issue, Target
from mmreason.grounding.spaces import Size, Transform

ISSUE_LIMIT = 100
"""Issues of one reading that are told."""


def finish_grounding(
    targets: tuple[Target, ...],
    answer: Answer,
    issues: list[Issue],
    *,
    text: str,
    size_px: Size | None = None,
    transform: Transform | None = None,
    strict: bool,
) -> Grounding:
    """The grounding with its status. With `strict`, anything mended, dropped or odd gives
    `unparsed`; that one of several was picked is neither."""
    refused = [issue for issue in issues if issue.kind != "picked"] if strict else []
    if targets and not refused:
        status = GroundingStatus.FOUND if len(targets) == 1 else GroundingStatus.AMBIGUOUS
    # "None" counts only where nothing hints at a box: an unusable box is not its absence.
    elif answer.says_none and not answer.rows and not answer.has_complaints and not refused:
        status = GroundingStatus.NONE
    else:
        status = GroundingStatus.UNPARSED
        if refused:
            issues.append(Issue("no_box", f"refused, since strict: {refused[0]}"))
        else:
            issues.append(Issue("no_box", "no usable box in the text"))
    distinct = list(dict.fromkeys(issues))
    # The last one says what the reading came to.
    reported = (
        (*distinct[: ISSUE_LIMIT - 1], distinct[-1]) if len(distinct) > ISSUE_LIMIT else distinct
    )
    return Grounding(
        status=status,
        targets=() if refused else targets,
        rule=answer.rule,
        issues=tuple(reported),
        raw_text=text,
        size_px=size_px,
        transform=transform,
    )
