"""What is written is read back as it was; what a form cannot hold is told."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmreason.grounding import Box, Grounding, GroundingStatus, Mask, Target, Tube
from mmreason.grounding.formats import Form, FormError, ReferringRow, read_rows
from mmreason.grounding.formats.convert import WrittenForm, convert_rows
from mmreason.grounding.formats.detections import to_detections, tubes_to_detections
from mmreason.grounding.formats.rle import decode_counts, encode_counts
from mmreason.grounding.formats.tracks import read_mot, write_mot
from mmreason.video.types import Span
from tests.grounding.formats.formats_files import good, reasons

IMAGE = ReferringRow(
    source="val.jsonl",
    row=3,
    row_id="2",
    form=Form.REF_ADV,
    expression="the dög not lying",
    image="a/7.jpg",
    group_id="7",
    size_px=(100, 80),
    boxes_px=(Box(10, 20, 40.5, 60), Box(50.25, 20, 80, 60)),
    category="dog",
    split="val",
    tags={"negation": True},
)
TUBE = Tube.from_boxes(
    [0.5, 1.0, 1.5],
    [Box(0, 1, 8, 9.5), None, Box(4, 1, 12, 9)],
    observed=[True, True, False],
    id="0",
    label="dog",
)
VIDEO = ReferringRow(
    source="v.json",
    row=1,
    row_id="1:0",
    form=Form.VIDSTG,
    expression="a dog <i>runs</i> --> away",
    video="10/44.mp4",
    group_id="44",
    size_px=(64, 48),
    tubes=(TUBE,),
    span=Span(0.5, 2.0),
    category="dog",
    split="val",
    tags={"kind": "caption", "type": "", "fps_hz": 2, "frame_count": 6, "used_frames": [0, 6]},
)


def same_truth(row: ReferringRow) -> dict[str, Any]:
    """Everything but where the row stands, and in which form."""
    values = row.to_dict()
    return {k: v for k, v in values.items() if k not in ("source", "row", "form", "row_id")}


@pytest.mark.parametrize("form", [WrittenForm.ROWS, WrittenForm.COCO, WrittenForm.ODVG])
def test_rows_of_images_are_read_back_as_they_were(tmp_path: Path, form: WrittenForm) -> None:
    none = replace(IMAGE, row=4, row_id="3", boxes_px=(), category="", expression="a zebra")
    path = tmp_path / ("a.json" if form is WrittenForm.COCO else "a.jsonl")
    converted = convert_rows([IMAGE, none], form, path)
    assert converted.rows == 2 and converted.skipped == ()
    again = good(list(read_rows(path)))
    assert [same_truth(row) for row in again] == [same_truth(IMAGE), same_truth(none)]
    assert [row.row_id for row in again] == ["2", "3"] and again[1].is_no_target


def test_own_rows_keep_masks_scores_and_what_was_filled_in(tmp_path: Path) -> None:
    mask = Mask.from_array(np.eye(3, dtype=bool))
    tube = Tube(
        times_s=TUBE.times_s,
        boxes_px=TUBE.boxes_px,
        present=TUBE.present,
        observed=np.array([True, False, True]),
        scores=np.array([0.5, 0, 1.0]),
        masks=(mask, None, mask),
    )
    row = replace(VIDEO, tubes=(tube, TUBE), truth_known=False, notes=("two clocks",))
    path = tmp_path / "a.jsonl"
    convert_rows([row, IMAGE], WrittenForm.ROWS, path)
    again = good(list(read_rows(path)))
    assert [each.to_dict() for each in again] == [row.to_dict(), IMAGE.to_dict()]


def test_tubes_are_written_as_vidstg_with_their_boxes_beside(tmp_path: Path) -> None:
    other = replace(
        VIDEO, row=2, row_id="2:0", expression="what?", tags={**VIDEO.tags, "kind": "question"}
    )
    path = tmp_path / "out.json"
    converted = convert_rows([VIDEO, other, IMAGE], WrittenForm.VIDSTG, path)
    assert [p.name for p in converted.paths] == ["out.json", "out.vidor.json"]
    assert [str(e) for e in converted.skipped] == [
        "val.jsonl, row 3: has not one tube, which VidSTG needs"
    ]
    first, second = good(list(read_rows(path)))
    assert same_truth(first) == same_truth(VIDEO) and first.row_id == "1:0"
    # One video, two objects: each has an id of its own there.
    assert second.tube is not None and second.tube.id == "1"
    assert second.tube.boxes_px.tolist() == TUBE.boxes_px.tolist()
    assert second.tags["kind"] == "question"


def test_mot_counts_frames_from_1_and_is_read_back(tmp_path: Path) -> None:
    text = write_mot([replace(TUBE, id="7")], 2.0)
    assert text == "2,7,0,1,8,8.5,1,-1,-1,-1\n4,7,4,1,8,8,1,-1,-1,-1\n"
    path = tmp_path / "gt.txt"
    path.write_text(text + "0,1,1,1,1,1\n2,7,0,1,8,8\n3,x,1,1,1,1\n3,8,1,1,-1,1\n\n1,2\n")
    (tube,), errors = read_mot(path, 2.0)
    everything = np.ones(3, bool)  # MOT does not say what was filled in
    assert tube.to_dict() == replace(TUBE, id="7", label="", observed=everything).to_dict()
    assert [error.row for error in errors] == [3, 4, 5, 6, 8]
    assert "from 1" in errors[0].reason and "two boxes in frame 2" in errors[1].reason


def test_two_tubes_of_one_id_stay_two_tracks() -> None:
    ids = [line.split(",")[1] for line in write_mot([TUBE, TUBE], 2.0).splitlines()]
    assert sorted(ids) == ["1", "1", "2", "2"]


def test_trap_4_times_that_are_no_frames_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(FormError, match=r"1\.5 s of tube '0' is no frame at 1 a second"):
        write_mot([Tube.from_boxes([1.0, 1.5], [None, None], id="0")], 1.0)


def test_label_studio_has_percent_and_key_frames(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    none = replace(IMAGE, boxes_px=(), row=4)
    converted = convert_rows([IMAGE, VIDEO, none], WrittenForm.LABEL_STUDIO, path)
    assert converted.rows == 3
    image, video, empty = json.loads(path.read_text())
    value = image["annotations"][0]["result"][0]["value"]
    assert (value["x"], value["y"], value["width"], value["height"]) == (10, 25, 30.5, 50)
    (result,) = video["annotations"][0]["result"]
    first, last = result["value"]["sequence"]
    # Frames count from 1; the object is gone after the first, and the tube ends after the last.
    assert (first["frame"], first["enabled"]) == (2, False)
    assert (last["frame"], last["enabled"]) == (4, False)
    assert empty["annotations"] == [{"result": []}]


def test_fiftyone_has_parts_of_the_image_and_expressions(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    none = replace(IMAGE, boxes_px=(), row=4, image="a/8.jpg")
    twin = replace(IMAGE, row=5, image="b/7.jpg")
    converted = convert_rows([IMAGE, none, VIDEO], WrittenForm.FIFTYONE, path)
    assert len(converted.skipped) == 1
    labels = json.loads(path.read_text())["labels"]
    assert labels["8"] == []
    assert labels["7"][0]["bounding_box"] == [0.1, 0.25, 0.305, 0.5]
    assert labels["7"][0]["attributes"]["expression"] == IMAGE.expression
    with pytest.raises(FormError, match="have one name there"):
        convert_rows([IMAGE, twin], WrittenForm.FIFTYONE, path)


def test_webvtt_shows_expressions_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.vtt"
    convert_rows([VIDEO], WrittenForm.WEBVTT, path)
    assert path.read_text() == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\na dog &lt;i&gt;runs&lt;/i&gt; --&gt; away\n"
    )


def test_what_no_row_can_be_written_as_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormError, match="none of 1 rows can be written as coco: is about a video"):
        convert_rows([VIDEO], WrittenForm.COCO, tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_supervision_has_boxes_labels_scores_and_status() -> None:
    targets = (
        Target(box=Box(1, 2, 3, 4), label="dog", score=0.5, score_kind="detector"),
        Target(box=Box(5, 6, 7, 8), label="cat", score=0.25, score_kind="detector"),
    )
    found = Grounding(status=GroundingStatus.FOUND, targets=targets, expression="pets")
    detections = to_detections(found)
    assert detections.xyxy.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert detections.confidence is not None and detections.confidence.tolist() == [0.5, 0.25]
    assert list(detections.data["class_name"]) == ["dog", "cat"]
    # No target and no answer are both without a box, and stay apart.
    for status in (GroundingStatus.NONE, GroundingStatus.UNPARSED, GroundingStatus.ERROR):
        empty = to_detections(Grounding(status=status))
        assert len(empty) == 0 and empty.metadata["status"] == str(status)


def test_supervision_takes_tubes_at_a_time() -> None:
    other = Tube.from_boxes([0.5, 1.0], [None, Box(1, 1, 2, 2)], id="cat-1", label="cat")
    at_start = tubes_to_detections([TUBE, other], 0.5)
    assert at_start.tracker_id is not None and at_start.tracker_id.tolist() == [1]
    at_one = tubes_to_detections([TUBE, other], 1.0)
    assert at_one.tracker_id is not None and at_one.tracker_id.tolist() == [2]
    assert list(at_one.data["tube_id"]) == ["cat-1"]
    assert len(tubes_to_detections([TUBE, other], 9.0)) == 0


def test_without_supervision_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(FormError, match=r"pip install '\.\[supervision\]'"):
        to_detections(Grounding(status=GroundingStatus.NONE))


def test_run_lengths_as_letters_are_read_back() -> None:
    generator = np.random.default_rng(1)
    for _ in range(200):
        runs = generator.integers(0, 5000, generator.integers(1, 12)).tolist()
        assert decode_counts(encode_counts(runs)) == runs
    # By hand: runs 30, 3, 6, 3, 6, 3, 30, the last four as differences to the last but one.
    mask = np.zeros((9, 9), bool)
    mask[3:6, 3:6] = True
    assert encode_counts(Mask.from_array(mask).counts) == "n036000h0"


def test_rows_outside_a_frame_rate_are_told(tmp_path: Path) -> None:
    odd = replace(VIDEO, tags={}, row=2)
    converted = convert_rows([VIDEO, odd], WrittenForm.MOT, tmp_path / "a.txt")
    assert reasons(converted.skipped) == ["says no frame rate; give one"]
