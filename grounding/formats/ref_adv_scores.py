"""Scoring predictions on Ref-Adv: as its authors publish it, and corrected, side by side.

Published: the first box, in the numbers that the model wrote. Qwen2.5-VL writes pixels of the
resized picture that it saw, so that even perfect boxes miss. Corrected: scaled back to the
original image, where the size that the model saw is known. Both count every row, parse failures
and rows without a prediction as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmreason.grounding.formats.ref_adv import HIT_IOU, RefAdvPrediction
from mmreason.grounding.formats.rows import FormError, ReferringRow, RowError
from mmreason.grounding.formats.shared_media import media_key
from mmreason.grounding.metrics.image import (
    ImageScores,
    distractor_bin,
    hits_at,
    mean_by_group,
    row_ious,
    score_rows,
)
from mmreason.grounding.metrics.statistics import Interval
from mmreason.grounding.spaces import smart_resize


@dataclass(frozen=True, slots=True, kw_only=True)
class RefAdvScore:
    """One way to score one run. Intervals draw whole images, since rows of one are not
    independent.

    Example:
        >>> score.overall.accuracy[0.5].value  # doctest: +SKIP
        0.54
    """

    overall: ImageScores
    """Accuracy at .5, .75 and .9, mAcc and mean IoU."""
    by_distractors: Mapping[str, Interval]
    """Accuracy at .5 by the published bins."""
    by_negation: Mapping[str, Interval]
    """Of rows "with" and "without" one."""
    by_author: Mapping[str, Interval]
    """Of expressions by "people" and by a "model". In Ref-Adv-s they are also of different image
    sources, so that this is no effect of authorship alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefAdvScores:
    """Both ways side by side, and what they stand on.

    Example:
        >>> scores = score_ref_adv(rows, predictions)  # doctest: +SKIP
        >>> scores.corrected.overall.mean_iou.value  # doctest: +SKIP
        0.17
    """

    corrected: RefAdvScore
    published: RefAdvScore | None
    """None unless asked for."""
    rows: int
    parse_failures: int
    """Rows whose text gave no box: 0, never dropped."""
    missing: int
    """Rows without any prediction: 0 too."""
    several_boxes: int
    """Predictions with more than one box, of which the first is scored."""
    rescaled: int
    """Predictions in pixels of a resized picture that the correction scaled back."""
    unknown_scale: int
    """Predictions in pixels of a picture of which nobody says the size: not corrected."""
    notes: tuple[str, ...]


def score_ref_adv(
    rows: Sequence[ReferringRow],
    predictions: Iterable[RefAdvPrediction | RowError],
    *,
    compat: bool = True,
    seen_sizes: Mapping[int, tuple[int, int]] | None = None,
) -> RefAdvScores:
    """Score `predictions` on the `rows` of Ref-Adv that `read_rows` gives. With `compat` the
    published scoring stands beside the corrected one. `seen_sizes` gives, by `row_idx`, the
    (width, height) that the model saw, which prediction files do not hold. Raises FormError where
    the predictions are of another data set, or nothing can be scored; rows and predictions that
    cannot be used are counted in `notes`.

    Example:
        >>> score_ref_adv(rows, read_predictions(path)).rows  # doctest: +SKIP
        1142
    """
    if not rows:
        raise FormError("no rows to score on")
    notes = []
    by_row, without_row = _by_row(rows, predictions, seen_sizes or {})
    if without_row:
        notes.append(f"{without_row} predictions are of rows that could not be read: not scored")
    scorable = [row for row in rows if row.size_px is not None and len(row.boxes_px) == 1]
    if len(scorable) < len(rows):
        notes.append(f"{len(rows) - len(scorable)} rows have no size or not one box: not scored")
    rows = scorable
    if not rows:
        raise FormError("no row has a size and one box, which Ref-Adv's scoring needs")
    answers = [by_row.get(int(row.row_id)) for row in rows]
    present = [answer for answer in answers if answer is not None]
    in_seen = [p for p in present if p.box_px is not None and p.box_format == "abs_xyxy"]
    unknown = [prediction for prediction in in_seen if prediction.seen_size_px is None]
    several = sum(prediction.box_count > 1 for prediction in present)
    if unknown:
        notes.append(
            f"{len(unknown)} predictions are pixels of a picture whose size is unknown: where it "
            "was resized, the corrected score is too low; give seen_sizes"
        )
    return RefAdvScores(
        corrected=_score(rows, answers, corrected=True),
        published=_score(rows, answers, corrected=False) if compat else None,
        rows=len(rows),
        parse_failures=sum(prediction.box_px is None for prediction in present),
        missing=answers.count(None),
        several_boxes=several,
        rescaled=len(in_seen) - len(unknown),
        unknown_scale=len(unknown),
        notes=tuple(notes),
    )


def suppose_seen_sizes(
    rows: Iterable[ReferringRow],
    *,
    multiple_px: int = 28,
) -> dict[int, tuple[int, int]]:
    """The `seen_sizes` of `score_ref_adv`, supposing that the server resized pictures as the
    published processor of Qwen2.5-VL does (4 to 16,384 blocks of `multiple_px` squared), and that
    answers are in those pixels. Prediction files
    do not say either: report the supposition with the score. Pictures that cannot be resized so
    have no size.

    Example:
        >>> row = ReferringRow(source="a", row=1, row_id="0", form="ref-adv", image="a.jpg",
        ...     expression="dog", size_px=(1024, 768))
        >>> suppose_seen_sizes([row])
        {0: (1036, 756)}
    """
    sizes = {}
    for row in rows:
        if row.size_px is not None and row.row_id.isdecimal():
            try:
                seen_px = smart_resize(
                    row.size_px,
                    multiple_px=multiple_px,
                    least_px=4 * multiple_px**2,
                    most_px=16_384 * multiple_px**2,
                )
            except ValueError:
                continue  # longer than a server takes: it cannot have answered
            sizes[int(row.row_id)] = seen_px
    return sizes


def describe_scores(scores: RefAdvScores) -> list[str]:
    """Both scorings for people, line by line.

    Example:
        >>> describe_scores(scores)[0]  # doctest: +SKIP
        '1142 rows: 12 gave no box and 0 have no prediction (all count as 0)'
    """
    lines = [
        f"{scores.rows} rows: {scores.parse_failures} gave no box and {scores.missing} have no "
        "prediction (all count as 0)",
        f"the first box is scored; {scores.several_boxes} answers have several",
    ]
    for name, score in (("published", scores.published), ("corrected", scores.corrected)):
        if score is not None:
            figures = [f"Acc@{t:g} {interval}" for t, interval in score.overall.accuracy.items()]
            figures += [f"mAcc {score.overall.mean_accuracy}", f"mIoU {score.overall.mean_iou}"]
            lines += [f"{name}:", *(f"  {figure}" for figure in figures)]
    return lines + [f"note: {note}" for note in scores.notes]


def _by_row(
    rows: Sequence[ReferringRow],
    predictions: Iterable[RefAdvPrediction | RowError],
    seen_sizes: Mapping[int, tuple[int, int]],
) -> tuple[dict[int, RefAdvPrediction], int]:
    """Predictions by `row_idx`, and how many are of rows that are not among `rows`, though their
    file goes on behind them."""
    if not all(row.row_id.isdecimal() for row in rows):
        raise FormError("rows of Ref-Adv are known by their numbers; these have others")
    numbered = {int(row.row_id): row for row in rows}
    if len(numbered) != len(rows):
        raise FormError("two rows have one number; score the rows of one file")
    by_row: dict[int, RefAdvPrediction] = {}
    without_row = 0
    for prediction in predictions:
        if isinstance(prediction, RowError):
            continue  # its row is missing, which counts as 0
        number = prediction.row_idx
        if number > max(numbered):
            raise FormError(f"row_idx {number} is none of the {len(rows)} rows: another data set?")
        if number not in numbered:
            without_row += 1
            continue
        expression = numbered[number].expression
        if prediction.expression and prediction.expression != expression:
            raise FormError(
                f"row_idx {number} is about {prediction.expression[:60]!r} in the predictions and "
                f"{expression[:60]!r} in the rows: another data set, or another order"
            )
        if number in by_row:
            raise FormError(f"row_idx {number} has two predictions; score one run at a time")
        size_px = prediction.seen_size_px or seen_sizes.get(number)
        by_row[number] = replace(prediction, seen_size_px=size_px)
    return by_row, without_row


def _score(
    rows: Sequence[ReferringRow], answers: Sequence[RefAdvPrediction | None], *, corrected: bool
) -> RefAdvScore:
    boxes = []
    for row, answer in zip(rows, answers, strict=True):
        assert row.size_px is not None
        box = None
        if answer is not None:
            size_px = row.size_px
            box = answer.corrected_box(size_px) if corrected else answer.published_box(size_px)
        boxes.append([] if box is None else [box])
    scored = row_ious(boxes, [row.boxes_px[0] for row in rows])
    images = [media_key(row) for row in rows]
    hits = hits_at(scored.ious, HIT_IOU)

    def split_by(tag: str, name: Callable[[Any], str]) -> dict[str, Interval]:
        """Accuracy at .5 of the rows that have the tag, by what `name` calls its value."""
        indices = [index for index, row in enumerate(rows) if tag in row.tags]
        groups = [name(rows[index].tags[tag]) for index in indices]
        return mean_by_group(hits[indices], groups, [images[index] for index in indices])

    return RefAdvScore(
        overall=score_rows(scored, images),
        by_distractors=split_by("distractors", distractor_bin),
        by_negation=split_by("negation", lambda value: "with" if value else "without"),
        by_author=split_by("human_authored", lambda value: "people" if value else "model"),
    )
