"""Ref-Adv's own scoring beside the corrected one, and its prediction rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmreason.grounding import Box
from mmreason.grounding.formats import Form, FormError, ReferringRow
from mmreason.grounding.formats.ref_adv import (
    BoxFormat,
    RefAdvPrediction,
    read_predictions,
    to_prediction_row,
    write_predictions,
)
from mmreason.grounding.formats.ref_adv_scores import (
    describe_scores,
    score_ref_adv,
    suppose_seen_sizes,
)
from tests.grounding.formats.formats_files import reasons, write_lines

PREDICTION_FIELDS = [
    *("row_idx", "file_name", "normal_caption", "image_source", "human_authored", "use_negation"),
    *("distractor_count", "gt_bbox_xyxy", "pred_box_xyxy_first", "first_iou", "first_hit"),
    *("parse_error", "retry_followup_used", "model_full_name", "prompt_id"),
    "pred_box_expected_format",
]


def made_rows(count: int) -> list[ReferringRow]:
    """Boxes of COCO's sizes anywhere in its pictures; two expressions a picture."""
    generator = np.random.default_rng(18)
    rows = []
    for index in range(count):
        width, height = [(640, 480), (1024, 768), (480, 640), (612, 612)][index // 2 % 4]
        sides = generator.uniform(30, 300, 2)
        x1, y1 = generator.uniform(0, (width - sides[0], height - sides[1]))
        rows.append(
            ReferringRow(
                source="val.jsonl",
                row=index + 1,
                row_id=str(index),
                form=Form.REF_ADV,
                expression="the dog",
                image=f"{index // 2:012d}.jpg",
                size_px=(width, height),
                boxes_px=(Box(x1, y1, x1 + sides[0], y1 + sides[1]),),
                tags={"distractors": 2 + index % 6, "negation": index % 2 == 0},
            )
        )
    return rows


def perfect_in_seen_picture(rows: Sequence[ReferringRow]) -> list[RefAdvPrediction]:
    """A model as Qwen2.5-VL that is never wrong: the true box in pixels of the picture that it saw,
    resized to multiples of 28."""
    predictions = []
    sizes = suppose_seen_sizes(rows)
    for row in rows:
        assert row.size_px is not None
        width, height = row.size_px
        seen_width, seen_height = sizes[int(row.row_id)]
        x1, y1, x2, y2 = row.boxes_px[0].xyxy
        across, down = seen_width / width, seen_height / height
        numbers = (x1 * across, y1 * down, x2 * across, y2 * down)
        predictions.append(
            RefAdvPrediction.from_numbers(
                int(row.row_id),
                numbers,
                "abs_xyxy",
                size_px=row.size_px,
                seen_size_px=(seen_width, seen_height),
            )
        )
    return predictions


def test_trap_8_a_perfect_model_misses_where_the_resize_is_not_inverted() -> None:
    rows = made_rows(200)
    scores = score_ref_adv(rows, perfect_in_seen_picture(rows), compat=True)
    published, corrected = scores.published, scores.corrected
    assert published is not None and scores.rescaled == 200 and scores.unknown_scale == 0
    # The two numbers: all right when scaled back, and a good part missed at .9 as published.
    assert corrected.overall.accuracy[0.9].value == 1.0
    assert corrected.overall.mean_iou.value == pytest.approx(1.0)
    shares = [published.overall.accuracy[t].value for t in (0.5, 0.75, 0.9)]
    assert shares == pytest.approx([0.995, 0.935, 0.735])
    assert published.overall.mean_iou.value == pytest.approx(0.912, abs=5e-4)


def test_trap_8_without_the_seen_size_the_correction_is_told_to_be_missing() -> None:
    rows = made_rows(8)
    predictions = perfect_in_seen_picture(rows)
    files = [
        RefAdvPrediction(row_idx=p.row_idx, box_px=p.box_px, box_format=p.box_format)
        for p in predictions
    ]
    unknown = score_ref_adv(rows, files, compat=True)
    assert unknown.unknown_scale == 8 and "give seen_sizes" in unknown.notes[0]
    assert unknown.published is not None
    assert unknown.corrected.overall.mean_iou == unknown.published.overall.mean_iou
    known = score_ref_adv(rows, files, compat=False, seen_sizes=suppose_seen_sizes(rows))
    assert known.published is None and known.notes == ()
    assert known.corrected.overall.mean_iou.value == pytest.approx(1.0)


def test_trap_9_rows_that_failed_count_as_0_and_are_not_dropped() -> None:
    rows = made_rows(8)
    predictions = perfect_in_seen_picture(rows)[:6]
    size_px = rows[0].size_px
    assert size_px is not None
    predictions[0] = RefAdvPrediction.from_numbers(0, None, "abs_xyxy", size_px=size_px)
    scores = score_ref_adv(rows, predictions, compat=True)
    assert (scores.rows, scores.parse_failures, scores.missing) == (8, 1, 2)
    # Five of eight; dropping what failed would say all.
    for score in (scores.corrected, scores.published):
        assert score is not None and score.overall.mean_iou.n == 8
    assert scores.corrected.overall.accuracy[0.5].value == 5 / 8
    assert scores.corrected.overall.mean_accuracy.value == pytest.approx(5 / 8)


def test_rows_that_could_not_be_read_cost_themselves_alone() -> None:
    rows = made_rows(6)
    predictions = perfect_in_seen_picture(rows)
    several = replace(rows[5], boxes_px=rows[5].boxes_px * 2)
    scores = score_ref_adv([*rows[:2], *rows[3:5], several], predictions)
    assert scores.rows == 4 and scores.corrected.overall.accuracy[0.9].value == 1
    assert scores.notes == (
        "1 predictions are of rows that could not be read: not scored",
        "1 rows have no size or not one box: not scored",
    )


def test_scores_are_told_side_by_side() -> None:
    rows = made_rows(4)
    lines = describe_scores(score_ref_adv(rows, perfect_in_seen_picture(rows)[:3]))
    assert lines[0] == ("4 rows: 0 gave no box and 1 have no prediction (all count as 0)")
    assert lines.index("published:") < lines.index("corrected:")
    assert "  Acc@0.9 0.750 (" in lines[lines.index("corrected:") + 3]


def test_intervals_draw_images_and_not_rows() -> None:
    rows = made_rows(8)
    scores = score_ref_adv(rows, perfect_in_seen_picture(rows), compat=False)
    assert scores.corrected.overall.mean_iou.clusters == 4
    assert set(scores.corrected.by_distractors) == {"2-3", "4-6", "7+"}
    assert scores.corrected.by_negation["with"].n == 4
    assert scores.corrected.by_author == {}


def test_the_first_box_is_scored_and_several_are_counted() -> None:
    (row,) = made_rows(1)
    assert row.size_px is not None
    prediction = RefAdvPrediction.from_numbers(
        0, row.boxes_px[0].xyxy, "abs_xyxy", size_px=row.size_px, box_count=3
    )
    assert score_ref_adv([row], [prediction]).several_boxes == 1


@pytest.mark.parametrize(
    ("box_format", "numbers"),
    [
        ("abs_xyxy", (64, 48, 320, 240)),
        ("norm_1000_xyxy", (100, 100, 500, 500)),
        ("norm_1_xyxy", (0.1, 0.1, 0.5, 0.5)),
        ("norm_1000_xyxy", (500, 500, 100, 100)),
    ],
)
def test_each_published_format_gives_the_same_box(
    box_format: BoxFormat, numbers: tuple[float, float, float, float]
) -> None:
    prediction = RefAdvPrediction.from_numbers(0, numbers, box_format, size_px=(640, 480))
    assert prediction.published_box((640, 480)) == Box(64, 48, 320, 240)


def test_prediction_rows_have_exactly_the_published_fields(tmp_path: Path) -> None:
    rows = made_rows(2)
    assert rows[1].size_px is not None
    predictions = [
        perfect_in_seen_picture(rows)[0],
        RefAdvPrediction.from_numbers(
            1, None, "norm_1000_xyxy", size_px=rows[1].size_px, model="m", prompt_id="cot"
        ),
    ]
    first, second = (to_prediction_row(*pair) for pair in zip(rows, predictions, strict=True))
    assert list(first) == list(second) == PREDICTION_FIELDS
    assert first["first_hit"] and 0.5 < first["first_iou"] < 1 and first["parse_error"] == ""
    assert second["pred_box_xyxy_first"] == [] and second["parse_error"] == "no_bbox_found"
    assert (second["first_iou"], second["first_hit"]) == (0.0, False)
    path = tmp_path / "run_predictions.jsonl"
    path.write_text(write_predictions(zip(rows, predictions, strict=True)))
    again = [p for p in read_predictions(path) if isinstance(p, RefAdvPrediction)]
    rewritten = [to_prediction_row(*pair) for pair in zip(rows, again, strict=True)]
    assert rewritten == [json.loads(line) for line in path.read_text().splitlines()]


def test_predictions_of_another_set_or_of_two_runs_are_refused(tmp_path: Path) -> None:
    rows = made_rows(2)
    predictions = perfect_in_seen_picture(made_rows(3))
    with pytest.raises(FormError, match="row_idx 2 is none of the 2 rows"):
        score_ref_adv(rows, predictions)
    other = replace(predictions[1], expression="the cat")
    with pytest.raises(FormError, match="row_idx 1 is about 'the cat' in the predictions and 'the"):
        score_ref_adv(rows, [other])
    with pytest.raises(FormError, match="row_idx 0 has two predictions"):
        score_ref_adv(rows, [predictions[0], predictions[0]])
    with pytest.raises(FormError, match="no rows"):
        score_ref_adv([], [])
    bad = [
        {"row_idx": 0, "pred_box_expected_format": "xywh"},
        {"row_idx": -1, "pred_box_expected_format": "abs_xyxy"},
        {"row_idx": 0, "pred_box_expected_format": "abs_xyxy", "pred_box_xyxy_first": [1, 2]},
        '{"row_idx": 0, "pred_box_expected_format": "abs_xyxy", "pred_box_xyxy_first": [NaN,0,1,1]'
        "}",
        "no json",
    ]
    read = list(read_predictions(write_lines(tmp_path / "p.jsonl", bad)))
    assert len(reasons(read)) == 5
    # A row that cannot be read is missing, which counts as 0.
    assert score_ref_adv(rows, read).missing == 2
