"""Every form is known by its content and read into one record."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from mmreason.grounding.boxes import Box
from mmreason.grounding.formats import Form, FormError, ReferringRow, detect_form, read_rows
from mmreason.video.types import Span
from tests.grounding.formats.formats_files import (
    HCSTVG_CLIP,
    INSTANCES,
    MEVIS,
    MEVIS_MASKS,
    ODVG_ROW,
    REF_ADV_ROW,
    REFERENCES,
    VIDOR,
    VIDSTG,
    good,
    reasons,
    vidor_box,
    write_json,
    write_lines,
    write_mask,
)


def write_references(folder: Path, references: Any, *, protocol: int = 2) -> Path:
    write_json(folder / "instances.json", INSTANCES)
    path = folder / "refs(unc).p"
    path.write_bytes(pickle.dumps(references, protocol=protocol))
    return path


@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_ref_adv_rows_are_read_from_lines_lists_and_parquet(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"val.{ending}"
    if ending == "parquet":
        # The picture is bytes in a column that is not loaded.
        columns = {"image": {"bytes": b"\xff\xd8", "path": None}}
        parquet.write_table(pyarrow.Table.from_pylist([REF_ADV_ROW | columns]), path)
    elif ending == "json":
        write_json(path, [REF_ADV_ROW])
    else:
        write_lines(path, [REF_ADV_ROW])
    assert detect_form(path).form is Form.REF_ADV
    (row,) = good(list(read_rows(path)))
    assert row.boxes_px == (Box(10, 20, 40, 60),) and row.size_px == (100, 80)
    assert (row.source, row.row, row.row_id) == (str(path), 1, "0")
    assert row.expression == "the dog that is not lying" and row.image == "000000000007.jpg"
    assert row.tags == {
        "image_source": "coco_val2017",
        "distractors": 2,
        "negation": True,
        "human_authored": True,
    }


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_refcoco_references_give_a_row_a_sentence(tmp_path: Path, protocol: int) -> None:
    path = write_references(tmp_path, REFERENCES, protocol=protocol)
    assert detect_form(path).form is Form.REFCOCO
    left, lying, cat = good(list(read_rows(path)))
    # xywh of the instances became corners.
    assert left.boxes_px == lying.boxes_px == (Box(10, 20, 40, 60),)
    assert [row.expression for row in (left, lying, cat)] == ["left dog", "dog lying", "a cat"]
    assert (left.row_id, left.split, left.category, left.group_id) == ("5:10", "train", "dog", "7")
    assert left.image == "COCO_train2014_000000000007.jpg"
    # Part of the box lies outside: clipped, and told.
    assert cat.boxes_px == (Box(60, 60, 64, 64),)
    assert cat.notes == ("box [60, 60, 90, 90] was clipped to 64 x 64",)


def test_grefcoco_has_none_one_and_several_targets(tmp_path: Path) -> None:
    write_json(tmp_path / "instances.json", INSTANCES)
    sentence = [{"sent": "x", "sent_id": 1}]
    base = {"image_id": 7, "split": "val", "sentences": sentence}
    references = [
        {**base, "ref_id": 1, "ann_id": [1, 2], "category_id": [18, 18], "no_target": False},
        {**base, "ref_id": 2, "ann_id": [-1], "category_id": [-1], "no_target": True},
        {**base, "ref_id": 3, "ann_id": [2], "category_id": [18]},
        {**base, "ref_id": 4, "ann_id": [1], "no_target": True},
        {**base, "ref_id": 5, "ann_id": [1, -1]},
        {**base, "ref_id": 6, "ann_id": []},
    ]
    path = write_json(tmp_path / "grefs(unc).json", references)
    assert detect_form(path).form is Form.GREFCOCO
    readings = list(read_rows(path))
    both, none, right = good(readings[:3])
    assert both.boxes_px == (Box(10, 20, 40, 60), Box(50, 20, 80, 60))
    assert none.is_no_target and none.boxes_px == ()
    assert right.boxes_px == (Box(50, 20, 80, 60),) and not right.is_no_target
    contradiction, mixed, empty = reasons(readings[3:])
    assert "opposite" in contradiction and "none" in mixed and "-1" in empty


def test_a_reference_and_instances_that_do_not_belong_together_are_told(tmp_path: Path) -> None:
    references = [REFERENCES[0] | {"image_id": 8}, REFERENCES[0] | {"ann_id": 99}, REFERENCES[1]]
    readings = list(read_rows(write_references(tmp_path, references)))
    mismatched, missing = reasons(readings)
    assert "ann_id 1 is in image 7, the reference says 8" in mismatched
    assert "ann_id 99 is in no annotation" in missing
    assert [reading.row for reading in readings] == [1, 2, 3]


def test_coco_gives_a_row_a_class_and_a_row_a_caption(tmp_path: Path) -> None:
    path = write_json(tmp_path / "instances.json", INSTANCES)
    assert detect_form(path).form is Form.COCO
    readings = list(read_rows(path))
    assert reasons(readings) == [
        "annotation: box has the size 0 x 9; width and height must be above 0"
    ]
    dogs, cats = [reading for reading in readings if isinstance(reading, ReferringRow)]
    assert (dogs.expression, len(dogs.boxes_px)) == ("dog", 2)
    assert (cats.expression, len(cats.boxes_px)) == ("cat", 1)
    mdetr = {
        "images": [
            {**INSTANCES["images"][0], "id": 0, "original_id": 7, "caption": "left dog"},
            {**INSTANCES["images"][0], "id": 1, "original_id": 7, "caption": "a zebra"},
        ],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 18, "bbox": [10, 20, 30, 40]},
            {"id": 1, "image_id": 1, "category_id": -1, "bbox": [0, 0, 0, 0], "empty": True},
        ],
        "categories": INSTANCES["categories"],
    }
    left, zebra = good(list(read_rows(write_json(tmp_path / "mdetr.json", mdetr))))
    assert left.boxes_px == (Box(10, 20, 40, 60),) and left.group_id == zebra.group_id == "7"
    assert zebra.is_no_target


def test_odvg_phrases_and_classes_are_rows(tmp_path: Path) -> None:
    detection = {
        **{"filename": "b.jpg", "height": 80, "width": 100},
        "detection": {"instances": [{"bbox": [1, 2, 3, 4], "label": 0, "category": "dog"}]},
    }
    path = write_lines(tmp_path / "train.json", [ODVG_ROW, detection])  # mmdet's ending of lines
    assert detect_form(path).form is Form.ODVG
    dog, cats, third = good(list(read_rows(path)))
    assert dog.boxes_px == (Box(10, 20, 40, 60),) and len(cats.boxes_px) == 2
    assert cats.tags == {"caption": "a dog beside two cats"}
    assert (third.expression, third.category, third.row) == ("dog", "dog", 2)


def test_vidstg_takes_its_boxes_from_vidor_and_keeps_absence(tmp_path: Path) -> None:
    path = write_json(tmp_path / "val_annotations.json", VIDSTG)
    assert detect_form(path).form is Form.VIDSTG
    write_json(tmp_path / "vidor" / "validation" / "10" / "44.json", VIDOR)
    dog, cat = good(list(read_rows(path, boxes=tmp_path / "vidor")))
    # The end is not included: frames 1, 2 and 3 at two a second.
    assert dog.tube is not None and dog.tube.times_s.tolist() == [0.5, 1.0, 1.5]
    assert dog.tube.present.tolist() == [True, False, True]
    assert dog.tube.boxes_px[2].tolist() == [6, 4, 14, 12]
    # A tracker's box is none that somebody looked at.
    assert dog.tube.observed.tolist() == [True, True, False]
    assert dog.span == Span(0.5, 2.0) and (dog.video, dog.media_id) == ("10/44.mp4", "44")
    assert (cat.tags["kind"], cat.tags["type"], cat.category) == ("question", "object", "cat")
    assert cat.tube is not None and cat.tube.present.tolist() == [True, True, False]
    by_video = write_json(tmp_path / "all.json", {"44": VIDOR})
    again = good(list(read_rows(path, boxes=by_video)))
    assert [row.to_dict() for row in again] == [dog.to_dict(), cat.to_dict()]


def test_vidstg_without_boxes_or_with_those_of_others_is_told(tmp_path: Path) -> None:
    path = write_json(tmp_path / "val.json", VIDSTG)
    with pytest.raises(FormError, match="give their folder or file"):
        list(read_rows(path))
    other = write_json(tmp_path / "other.json", {"45": VIDOR})
    assert "no boxes of the video '44'" in reasons(list(read_rows(path, boxes=other)))[0]
    clock = write_json(tmp_path / "clock.json", {"44": VIDOR | {"fps": 30}})
    assert "'fps' is 2 here and 30" in reasons(list(read_rows(path, boxes=clock)))[0]
    short = write_json(tmp_path / "short.json", {"44": VIDOR | {"trajectories": [[], []]}})
    assert "ends at frame 4" in reasons(list(read_rows(path, boxes=short)))[0]
    empty = write_json(tmp_path / "none.json", {"44": VIDOR | {"trajectories": [[]] * 6}})
    assert "has no box in frames 1 to 3" in reasons(list(read_rows(path, boxes=empty)))[0]


def test_boxes_of_a_tube_that_were_clipped_are_counted(tmp_path: Path) -> None:
    path = write_json(tmp_path / "val.json", VIDSTG)
    trajectories = [[vidor_box(0, 60)] for _ in range(6)]
    boxes = write_json(tmp_path / "b.json", {"44": VIDOR | {"trajectories": trajectories}})
    dog, cat = list(read_rows(path, boxes=boxes))
    (row,) = good([dog])
    assert row.notes == ("3 boxes were clipped to the picture",)
    assert row.tube is not None and row.tube.boxes_px[0].tolist() == [60, 4, 64, 12]
    assert reasons([cat]) == ["the target '1' has no box in frames 1 to 3"]


def test_trap_4_hcstvg_counts_frames_from_1(tmp_path: Path) -> None:
    path = write_json(tmp_path / "train.json", {"55_a.mp4": HCSTVG_CLIP})
    assert detect_form(path).form is Form.HCSTVG
    (row,) = good(list(read_rows(path)))
    # Ten frames in 20 s: the third frame is at 4 s, and not at 6.
    assert row.tube is not None and row.tube.times_s.tolist() == [4.0, 6.0]
    assert row.tube.boxes_px[0].tolist() == [0, 0, 10, 20] and row.span == Span(4, 8)
    assert row.notes == () and row.tags["fps_hz"] == 0.5
    zero_based = write_json(tmp_path / "a.json", {"x": HCSTVG_CLIP | {"st_frame": 0}})
    assert reasons(list(read_rows(zero_based))) == ["'st_frame' counts from 1, found int 0"]
    beyond = write_json(tmp_path / "b.json", {"x": HCSTVG_CLIP | {"st_frame": 10}})
    assert "the clip has 10" in reasons(list(read_rows(beyond)))[0]


def test_trap_4_clocks_that_disagree_are_told(tmp_path: Path) -> None:
    clip = HCSTVG_CLIP | {"st_time": 2.0}
    (row,) = good(list(read_rows(write_json(tmp_path / "train.json", {"x": clip}))))
    assert row.notes == ("two clocks: 'st_time' is 2 s, frame 3 of 10 is at 4 s",)


def test_hcstvg_2_gives_its_english_caption_and_size(tmp_path: Path) -> None:
    clip = {key: value for key, value in HCSTVG_CLIP.items() if key not in ("width", "height")}
    clip |= {"img_size": [48, 64], "English": "the woman", "caption": "原文"}
    (row,) = good(list(read_rows(write_json(tmp_path / "valv2.json", {"x": clip}))))
    assert (row.expression, row.size_px) == ("the woman", (64, 48))


def test_mevis_masks_become_tubes_with_boxes(tmp_path: Path) -> None:
    path = write_json(tmp_path / "meta_expressions.json", MEVIS)
    write_json(tmp_path / "mask_dict.json", MEVIS_MASKS)
    assert detect_form(path).form is Form.MEVIS
    bird, both, fish = good(list(read_rows(path, fps_hz=5)))
    assert bird.tube is not None and bird.tube.present.tolist() == [True, False]
    assert bird.tube.boxes_px[0].tolist() == [1, 0, 2, 2] and bird.size_px == (3, 2)
    assert bird.tube.times_s.tolist() == [0.0, 0.2] and bird.tube.masks is not None
    assert len(both.tubes) == 2 and both.tube is None
    assert both.tubes[1].boxes_px[1].tolist() == [0, 0, 3, 2]
    assert fish.is_no_target and fish.row_id == "v1:2"


def test_trap_4_frames_without_a_rate_are_no_seconds(tmp_path: Path) -> None:
    path = write_json(tmp_path / "meta_expressions.json", MEVIS)
    with pytest.raises(FormError, match="says no frame rate, and frames are no seconds"):
        list(read_rows(path))


def test_ref_youtube_vos_masks_are_read_where_the_data_set_keeps_them(tmp_path: Path) -> None:
    meta = {
        "videos": {
            "abc": {
                "expressions": {
                    "0": {"exp": "a lion", "obj_id": "2"},
                    "1": {"exp": "a bear", "obj_id": "9"},
                },
                "frames": ["00000", "00005"],
            }
        }
    }
    path = write_json(tmp_path / "meta_expressions" / "train" / "meta_expressions.json", meta)
    folder = tmp_path / "train" / "Annotations" / "abc"
    write_mask(folder / "00000.png", np.array([[0, 1, 2, 2]], np.uint8))
    write_mask(folder / "00005.png", np.array([[0, 1, 1, 1]], np.uint8))
    assert detect_form(path).form is Form.REF_YOUTUBE_VOS
    lion, bear = list(read_rows(path, fps_hz=30))
    (row,) = good([lion])
    assert row.tube is not None and row.tube.present.tolist() == [True, False]
    assert row.tube.boxes_px[0].tolist() == [2, 0, 4, 1]
    assert row.tube.times_s.tolist() == [0.0, 5 / 30]  # names of frames count the video's frames
    assert reasons([bear]) == ["object 9 is in no mask of the video; there are 1, 2"]


def test_expressions_of_a_test_split_have_no_known_truth(tmp_path: Path) -> None:
    meta = {"videos": {"abc": {"expressions": {"0": {"exp": "a lion"}}, "frames": ["00000"]}}}
    (row,) = good(list(read_rows(write_json(tmp_path / "m.json", meta), fps_hz=30)))
    assert not row.truth_known and not row.is_no_target


def test_names_of_videos_lead_out_of_no_folder(tmp_path: Path) -> None:
    clip = {"expressions": {"0": {"exp": "a lion", "obj_id": "1"}}, "frames": ["00000"]}
    meta = {"videos": {"../up": clip, "..": clip, "a/b": clip}}
    write_mask(tmp_path / "up" / "00000.png", np.ones((1, 1), np.uint8))
    path = write_json(tmp_path / "train" / "m.json", meta)
    (tmp_path / "train" / "Annotations").mkdir()
    assert all("no plain name" in reason for reason in reasons(list(read_rows(path, fps_hz=30))))
    clip = clip | {"frames": ["../../up/00000"]}
    path = write_json(tmp_path / "train" / "m.json", {"videos": {"abc": clip}})
    (reason,) = reasons(list(read_rows(path, fps_hz=30)))
    assert "named by its number" in reason


def test_charades_and_timelens_give_spans(tmp_path: Path) -> None:
    lines = ["AO8RW 0.0 6.9##a person puts a book down.", "", "AO8RW 9 3##x", "x##y", "a 1 2## "]
    lines += ["a nan 2##x", "a 1 1##x"]
    path = write_lines(tmp_path / "charades_sta_test.txt", lines)
    assert detect_form(path).form is Form.CHARADES_STA
    readings = list(read_rows(path))
    (row,) = good(readings[:1])
    assert row.span == Span(0, 6.9) and row.video == "AO8RW" and not row.is_no_target
    swapped, malformed, blank, odd, empty = reasons(readings)
    assert swapped == "ends before it starts: 9 to 3" and "VIDEO START END##" in malformed
    assert blank == "'sentence' is blank" and "finite" in odd and "no length" in empty
    videos = {
        "v": {"duration": 10, "spans": [[2, 5], [8, 12]], "queries": ["he sits", "he leaves"]},
        "w": {"duration": 10, "spans": [[2, 5]], "queries": []},
    }
    readings = list(read_rows(write_json(tmp_path / "timelens.json", videos)))
    sits, leaves = good(readings[:2])
    assert sits.span == Span(2, 5) and leaves.span == Span(8, 10) and leaves.notes
    assert reasons(readings) == ["mismatched: 1 spans and 0 queries of 'w'"]


def swift(content: str, ref: Any, bbox: Any, **objects: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": content}]
    objects |= {"ref": ref, "bbox": bbox}
    return {"messages": messages, "images": ["a.png"], "objects": objects}


def test_ms_swift_boxes_belong_to_the_text_before_them(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", np.zeros((50, 200), np.uint8))
    two = swift(
        "<ref-object><bbox><bbox> <ref-object><bbox>",
        ["dogs", "cat"],
        [[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 20, 20]],
    )
    part = swift("<ref-object><bbox>", ["cat"], [[0.1, 0.2, 0.5, 1.0]], bbox_type="norm1")
    none = swift("<ref-object>: none", ["cat"], [])
    wrong = swift("<ref-object><bbox>", ["cat"], [])
    path = write_lines(tmp_path / "train.jsonl", [two, part, none, wrong])
    assert detect_form(path).form is Form.MS_SWIFT
    readings = list(read_rows(path))
    dogs, cat, scaled, nothing = good(readings[:4])
    assert len(dogs.boxes_px) == 2 and cat.boxes_px == (Box(9, 9, 20, 20),)
    assert scaled.boxes_px == (Box(20, 10, 100, 50),) and scaled.size_px == (200, 50)
    assert nothing.is_no_target
    assert reasons(readings) == [
        "mismatched: messages have 1 <ref-object> and 1 <bbox>, 'ref' has 1 texts and 'bbox' 0 "
        "boxes"
    ]


def test_boxes_of_a_turned_picture_are_told(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (200, 50)).save(tmp_path / "a.png", exif=exif)
    part = swift("<ref-object><bbox>", ["cat"], [[0.0, 0.0, 0.5, 1.0]], bbox_type="norm1")
    (row,) = good(list(read_rows(write_lines(tmp_path / "t.jsonl", [part]))))
    assert row.boxes_px == (Box(0, 0, 100, 50),)
    assert row.notes == (
        "the picture is shown turned (EXIF orientation 6); boxes are in stored pixels",
    )


def test_ms_swift_boxes_of_0_to_1_need_the_image(tmp_path: Path) -> None:
    row = swift("<ref-object><bbox>", ["cat"], [[0.1, 0.2, 0.5, 1.0]], bbox_type="norm1")
    pixels = swift("<ref-object><bbox>", ["cat"], [[1, 2, 3, 4]], bbox_type="norm1")
    kind = swift("<ref-object><bbox>", ["cat"], [[1, 2, 3, 4]], bbox_type="norm1000")
    write_mask(tmp_path / "b.png", np.zeros((5, 5), np.uint8))
    path = write_lines(tmp_path / "t.jsonl", [row, pixels | {"images": ["b.png"]}, kind])
    unreadable, out_of_range, unknown = reasons(list(read_rows(path)))
    assert "need the size of the image" in unreadable and "0 to 1" in out_of_range
    assert "real or norm1" in unknown
