"""Rows of somebody's data set as cases, and predictions that somebody made elsewhere as outcomes.

What is known of a row is its expression and its target: no other object, so that a wrong answer
lies on the background, and only changes that need no program are made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mmreason.evaluation.refadv.cases import RefAdvCase, shuffle_words
from mmreason.evaluation.refadv.footage import PictureFootage
from mmreason.evaluation.refadv.outcomes import CaseOutcome, Change, Facts
from mmreason.evaluation.refadv.scoring import score_answer
from mmreason.grounding import Grounding, GroundingStatus, Issue, Target
from mmreason.grounding.expressions import parse_expression
from mmreason.grounding.formats.ref_adv import RefAdvPrediction
from mmreason.grounding.formats.rows import ReferringRow

FLOOR_TEXT = "the one"
"""Asked in place of the expression: what is reached without reading it."""
ROW_CHANGES: tuple[Change, ...] = ("original", "shuffle", "delete", "blind", "floor")
_WORD_KINDS = ("colour", "size", "pattern")
"""Descriptors that are words before the noun: the sentence stands without them."""


def row_cases(
    row: ReferringRow, folder: Path, changes: Sequence[Change], *, shuffles: int = 1
) -> Iterator[RefAdvCase]:
    """A row about a picture in `folder`, as it is and under those of `changes` that it can be asked
    under. Raises ValueError for a row about a video, or without truth or size."""
    plain = _plain_case(row, folder)
    yield plain
    if "shuffle" in changes:
        for number in range(shuffles):
            text = shuffle_words(plain.expression, f"{plain.item} {number}")
            if text is not None:
                yield replace(
                    plain, change="shuffle", number=number, expression=text, denoted_ids=None
                )
    if "delete" in changes:
        for number, (kind, text) in enumerate(delete_words(plain.expression)):
            yield replace(
                plain,
                change="delete",
                number=number,
                changed=kind,
                expression=text,
                denoted_ids=None,
            )
    if "blind" in changes:
        yield replace(plain, change="blind", is_blind=True, denoted_ids=None)
    if "floor" in changes:
        yield replace(plain, change="floor", expression=FLOOR_TEXT, denoted_ids=None)


def delete_words(expression: str) -> list[tuple[str, str]]:
    """(kind, text without it) of each descriptor that is a word before the noun.

    Example:
        >>> delete_words("the small red star")
        [('size', 'the red star'), ('colour', 'the small star')]
    """
    texts = []
    for descriptor in parse_expression(expression).descriptors:
        if descriptor.kind not in _WORD_KINDS or descriptor.negated:
            continue
        pattern = rf"\b{re.escape(descriptor.text)}\b\s*"
        text = re.sub(pattern, "", expression, count=1).strip()
        if text and text != expression:
            texts.append((descriptor.kind, text))
    return texts


def predicted_outcome(
    row: ReferringRow, prediction: RefAdvPrediction | None, subject: str
) -> CaseOutcome:
    """A prediction of somebody's for a row about a picture, scored as any answer: in pixels of the
    original. None, for a row that has none, counts as wrong."""
    case = _plain_case(row, Path())
    box = None
    if prediction is not None:
        box = prediction.corrected_box(case.footage.size_px)
    if box is not None:
        grounding = Grounding(status=GroundingStatus.FOUND, targets=(Target(box=box),))
    elif prediction is None:
        issue = Issue("failed", "the file has no prediction for this row")
        grounding = Grounding(status=GroundingStatus.ERROR, issues=(issue,))
    elif prediction.parse_error:
        issue = Issue("no_box", prediction.parse_error)
        grounding = Grounding(status=GroundingStatus.UNPARSED, issues=(issue,))
    else:
        grounding = Grounding(status=GroundingStatus.NONE)
    return score_answer(case, subject, grounding, ceiling=None, seconds=0.0)


def _plain_case(row: ReferringRow, folder: Path) -> RefAdvCase:
    name = f"{row.source}, row {row.row}"
    if not row.image:
        raise ValueError(f"{name}: is about a video; rows about pictures are asked")
    if not row.truth_known:
        raise ValueError(f"{name}: says not what is meant, so that nothing can be scored")
    if row.size_px is None:
        raise ValueError(f"{name}: has no size of its picture")
    targets = {f"target {i}": box for i, box in enumerate(row.boxes_px)}
    distractors = row.tags.get("distractors")
    candidates = 0 if distractors is None else int(distractors) + len(targets)
    return RefAdvCase(
        item=f"{row.source}:{row.row_id}",
        kind="image",
        cluster=row.media_id,
        expression=row.expression,
        footage=PictureFootage(str(folder / row.image), row.size_px, targets),
        facts=Facts(
            descriptors=len(parse_expression(row.expression).descriptors),
            candidates=candidates,
            negation=_has_negation(row.tags, row.expression),
            hops=0,
            family=str(row.tags.get("image_source", "")) or str(row.form),
        ),
        target_ids=tuple(targets),
        denoted_ids=tuple(targets),
    )


def _has_negation(tags: Mapping[str, object], expression: str) -> bool:
    if "negation" in tags:
        return bool(tags["negation"])
    return any(descriptor.negated for descriptor in parse_expression(expression).descriptors)


def join_predictions(
    rows: Sequence[ReferringRow],
    predictions: Sequence[RefAdvPrediction],
    seen_sizes: Mapping[int, tuple[int, int]],
) -> list[CaseOutcome]:
    """An outcome of every row, in their order; `seen_sizes` as `score_ref_adv` takes them, which
    also says what cannot be joined."""
    by_id = {
        str(p.row_idx): replace(p, seen_size_px=p.seen_size_px or seen_sizes.get(p.row_idx))
        for p in predictions
    }
    subject = next((p.model for p in predictions if p.model), "predictions")
    # A row without a prediction is a failure: what is not there is not left out of the means.
    return [predicted_outcome(row, by_id.get(row.row_id), subject) for row in rows]
