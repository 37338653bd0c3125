"""Rows of somebody's data set are asked, and predictions for them scored, as items are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmreason.cli import main
from mmreason.evaluation.refadv.rows import delete_words
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.video import FrameBatch

SIZE_PX = (1024, 768)
TRUTH = [(100, 100, 300, 300), (600, 400, 900, 700), (700, 500, 760, 560)]


def write_rows(folder: Path) -> Path:
    for number in range(3):
        pixels = np.full((SIZE_PX[1], SIZE_PX[0], 3), 60 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    rows = [
        {
            "file_name": f"{number}.png",
            "normal_caption": "the small red dog that is not lying",
            "solution": list(box),
            "width": SIZE_PX[0],
            "height": SIZE_PX[1],
            "image_source": "coco_val2017",
            "human_authored": True,
            "use_negation": True,
            "distractors": 3,
        }
        for number, box in enumerate(TRUTH)
    ]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_predictions(folder: Path, boxes: list[list[float]]) -> Path:
    rows = [
        {
            "row_idx": number,
            "pred_box_xyxy_first": box,
            "pred_box_expected_format": "abs_xyxy",
            "model_full_name": "Qwen2.5-VL",
            "parse_error": "" if box else "no_bbox_found",
        }
        for number, box in enumerate(boxes)
    ]
    path = folder / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def diagnose(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main(["diagnose", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_trap_8_a_resize_that_was_not_inverted_is_scored_beside_the_corrected_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_rows(tmp_path)
    # Perfect boxes in the picture of 1036 x 756 that Qwen2.5-VL sees.
    scale = np.array([1036 / 1024, 756 / 768] * 2)
    perfect = [(np.array(box) * scale).tolist() for box in TRUTH]
    predictions = write_predictions(tmp_path, perfect)
    options = ("--rows", rows, "--compat", "ref-adv", "--seen-multiple", 28)
    result = diagnose(capsys, predictions, *options)
    published, corrected = result["ref_adv"]
    assert published["scoring"] == "published" and published["accuracies"][2] < 1.0
    assert corrected["accuracies"] == [1.0, 1.0, 1.0]
    (subject,) = result["subjects"]
    assert subject["tables"]["hits"]["Acc@.9"]["estimate"] == 1.0
    # Without what the model saw nothing is corrected, and that is told.
    assert main(["diagnose", str(predictions), "--rows", str(rows), "--compat", "ref-adv"]) == 0
    assert "whose size is unknown" in capsys.readouterr().err


def test_trap_9_a_row_that_was_not_parsed_or_is_missing_counts_as_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_rows(tmp_path)
    predictions = write_predictions(tmp_path, [list(TRUTH[0]), []])
    (subject,) = diagnose(capsys, predictions, "--rows", rows)["subjects"]
    right = subject["tables"]["right"]
    assert right["n"] == 3 and right["estimate"] == pytest.approx(1 / 3, abs=1e-6)
    assert subject["tables"]["statuses"] == {"found": 1, "unparsed": 1, "error": 1}


def test_predictions_without_their_rows_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = write_predictions(tmp_path, [list(TRUTH[0])])
    assert main(["diagnose", str(predictions)]) == 2
    assert "--rows" in capsys.readouterr().err


def test_rows_are_asked_as_items_are_and_bad_ones_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write_rows(tmp_path)
    lines = rows.read_text().splitlines()
    broken = json.loads(lines[2])
    del broken["solution"]
    rows.write_text("\n".join([*lines[:2], json.dumps(broken)]) + "\n")

    def reply(text: str, frames: FrameBatch | None) -> str:
        x1, y1, x2, y2 = TRUTH[0]
        box = [x1 / 1.024, y1 / 0.768, x2 / 1.024, y2 / 0.768]
        return json.dumps([{"bbox_2d": box, "label": "dog"}])

    model = ScriptedModel(reply, clip=ClipRecipe(frames=4, size_px=(64, 48), leaf_s=1.0))
    monkeypatch.setattr("mmreason.models.load", lambda *_, **__: model)
    out = tmp_path / "run"
    command = ["eval", "refadv", "--model", "m", "--rows", str(rows), "--out", str(out), "--json"]
    assert main(command) == 0
    printed = capsys.readouterr()
    (subject,) = json.loads(printed.out)["subjects"]
    assert "not used: " in printed.err and "solution" in printed.err
    assert subject["tables"]["right"]["estimate"] == 0.5
    changes = {row["change"] for row in subject["tables"]["changes"]}
    assert changes == {"shuffle", "delete", "blind", "floor"}
    assert "data:image/jpeg" in (out / "report.html").read_text()


def test_only_words_before_the_noun_are_deleted() -> None:
    assert delete_words("the small red dog that is not lying") == [
        ("size", "the red dog that is not lying"),
        ("colour", "the small dog that is not lying"),
    ]
    assert delete_words("the dog left of the cat") == []
