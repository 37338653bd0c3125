"""What people fall over is told: in the notes of the file, or as the fault of a row."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mmreason.training.data.dialects.detect import open_samples, read_samples
from mmreason.training.data.dialects.rows import Dialect
from mmreason.training.data.problem_file import read_problems
from mmreason.types import UsageError
from tests.training.data.dialects.golden_files import GOLDEN, faults_of, samples_of


def human(text: str) -> dict[str, str]:
    return {"from": "human", "value": text}


def machine(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}


def write(folder: Path, *rows: Any, name: str = "set.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def reason_of(folder: Path, row: dict[str, Any], dialect: str | None = None) -> str:
    """Why the row is none, beside a good one."""
    (fault,) = faults_of(open_samples(write(folder, row), dialect))
    return fault.reason


def notes_of(folder: Path, *rows: dict[str, Any]) -> str:
    return "\n".join(open_samples(write(folder, *rows)).notes)


TURNS = [human("<video>\nWhy?"), machine("Rain.")]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"video": ["a.mp4", "b.mp4"], "conversations": TURNS},
            "1 placeholder <video> for 2 files",
        ),
        (
            {"image": "a.png", "conversations": [human("<image>\n<image>\nWhy?"), machine("So.")]},
            "2 placeholders <image> for 1 file",
        ),
        (
            {"image": "a.png", "conversations": [human("<video>\nWhy?"), machine("So.")]},
            "1 placeholder <video> for 0 files",
        ),
        ({"conversations": TURNS}, "1 placeholder <video> for 0 files"),
        ({"video": "a.mp4", "conversations": [human("<video>"), machine(" ")]}, "is empty"),
        ({"video": 7, "conversations": TURNS}, "'video' must name a file, found int 7"),
        ({"video": "a\0b.mp4", "conversations": TURNS}, "holds a null character"),
        ({"video": "a.mp4", "conversations": "<video>"}, "'conversations' must be a list"),
        ({"video": "a.mp4", "conversations": [*TURNS, machine("So.")]}, "both the assistant's"),
        (
            {"video": "a.mp4", "conversations": [{"from": "narrator", "value": "<video>"}]},
            "a speaker must be one of",
        ),
        ({"id": [1], "video": "a.mp4", "conversations": TURNS}, "'id' must be a text"),
        (
            {"video": "a.mp4", "conversations": TURNS, "mmreason": {"medium": []}},
            "mmreason: unknown field 'medium'",
        ),
        (
            {"video": "a.mp4", "conversations": TURNS, "mmreason": {"media": [{"span": [9, 3]}]}},
            "0 <= start_s < end_s",
        ),
        (
            {"video": "a.mp4", "conversations": TURNS, "mmreason": {"truth": {"choice": 4}}},
            "choice: expected the letter or the index",
        ),
    ],
)
def test_a_row_of_llava_that_cannot_be_meant_says_why(
    row: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    assert expected in reason_of(tmp_path, row, "llava")


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ({"ref": [], "bbox": []}, "1 placeholders <bbox> for 0 in 'objects'"),
        ({"ref": ["it"], "bbox": [[1, 2, 3, 4]]}, "0 placeholders <ref-object> for 1"),
        ({"bbox": [[1, 2, 3]]}, "boxes of 4 numbers or points of 2"),
        ({"bbox": [[9, 2, 3, 4]]}, "has no area"),
        ({"bbox": [[0.1, 0.2, 0.3, 4]], "bbox_type": "norm1"}, "numbers from 0 to 1"),
        ({"bbox": [[0, 0, 1, 1]], "bbox_type": "norm1000"}, "must be real or norm1"),
        ({"bbox": [[0, 0, 1, 1]], "image_id": [3]}, "'image_id' must be places of 1 images"),
        ({"bbox": [[0, 0, 99, 9]]}, "lies outside of its image of 32 x 24"),
    ],
)
def test_objects_of_ms_swift_that_cannot_be_meant_say_why(
    objects: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    shutil.copy(GOLDEN / "clips" / "a.png", tmp_path)
    messages = [
        {"role": "user", "content": "<image>Where?"},
        {"role": "assistant", "content": "<bbox>"},
    ]
    row = {"messages": messages, "images": ["a.png"], "objects": objects}
    assert expected in reason_of(tmp_path, row)


def test_boxes_of_norm1_need_their_image(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "<image>Where?"},
        {"role": "assistant", "content": "<bbox>"},
    ]
    objects = {"bbox": [[0, 0, 1, 1]], "bbox_type": "norm1"}
    row = {"messages": messages, "images": ["gone.png"], "objects": objects}
    assert "need the size of their image" in reason_of(tmp_path, row)


def test_an_empty_answer_is_a_fault(tmp_path: Path) -> None:
    for answer in ("", " ", "<answer> </answer>"):
        row = {"problem": "<video>Why?", "answer": answer, "videos": ["a.mp4"]}
        assert reason_of(tmp_path, row) == "the answer is empty"
        assert reason_of(tmp_path, {"id": "1", "question": "Why?", "answer": " "})


def test_a_message_that_is_not_learnt_stays_so(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "No idea.", "weight": 0},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Rain."},
    ]
    (sample,) = samples_of(open_samples(write(tmp_path, {"messages": turns})))
    assert [message.is_learnt for message in sample.messages] == [None, False, None, None]


def test_an_answer_that_is_none_of_the_options_is_a_fault(tmp_path: Path) -> None:
    row = {"problem": "Which?", "data_type": "video", "problem_type": "multiple choice"}
    row |= {"path": "a.mp4"}
    for solution in ("<answer>E</answer>", "green", "AB"):
        full = row | {"options": ["A. red", "B. blue"], "solution": solution}
        assert "is none of the 2 options" in reason_of(tmp_path, full)


def test_the_empty_column_that_makes_easyr1_pass_over_videos_is_noted() -> None:
    (note,) = open_samples(GOLDEN / "easyr1_empty_images.jsonl").notes
    assert "EasyR1 reads no video of such a file" in note


def test_options_without_letters_are_noted(tmp_path: Path) -> None:
    row = {"problem": "Which?", "data_type": "video", "problem_type": "multiple choice"}
    row |= {"path": "a.mp4", "options": ["red", "blue"], "solution": "<answer>B</answer>"}
    assert "options without letters" in notes_of(tmp_path, row)
    (sample,) = samples_of(open_samples(tmp_path / "set.json"))
    assert sample.truth.choice == 1


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ("[0.1, 0.2, 0.3, 0.4]", "at most 1"),
        ("[1, 2, 990, 4]", "1000"),
        ("[1, 2, 1900, 4]", "pixels"),
    ],
)
def test_the_range_of_boxes_in_texts_is_noted(box: str, expected: str, tmp_path: Path) -> None:
    turns = [human("<image>\nWhere?"), machine(f'{{"bbox_2d": {box}}}')]
    assert expected in notes_of(tmp_path, {"image": "a.png", "conversations": turns})


def test_paths_from_another_folder_are_found_and_noted(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a.mp4").write_bytes(b"x")
    path = write(tmp_path / "rows", {"video": "a.mp4", "conversations": TURNS})
    opened = open_samples(path)
    assert opened.media_root == tmp_path
    assert "the folder above the file's" in opened.notes[0]
    again = open_samples(path, media_root=tmp_path / "elsewhere")
    assert again.media_root == tmp_path and "0 from the media root" in again.notes[0]
    assert open_samples(path, media_root=tmp_path).notes == ()


def test_a_link_is_read_from_its_own_folder_or_from_that_of_its_file(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "there" / "a.mp4").write_bytes(b"x")
    path = write(tmp_path / "there", {"video": "a.mp4", "conversations": TURNS})
    link = tmp_path / "here" / "linked.json"
    link.symlink_to(path)
    assert open_samples(link).media_root == tmp_path / "there"
    (tmp_path / "here" / "a.mp4").write_bytes(b"x")
    assert open_samples(link).media_root == tmp_path / "here"


def test_two_rows_of_one_id_are_a_fault_whatever_their_code_points(tmp_path: Path) -> None:
    row = {"video": "a.mp4", "conversations": TURNS}
    path = write(tmp_path, row | {"id": "caf\u00e9"}, row | {"id": "cafe\u0301"})
    (fault,) = faults_of(open_samples(path))
    assert "is that of row 1" in fault.reason


def test_a_row_of_another_dialect_far_down_is_a_fault_too(tmp_path: Path) -> None:
    rows = [{"video": "a.mp4", "conversations": TURNS}] * 250
    other = {"problem": "<video>?", "answer": "x", "videos": ["a.mp4"]}
    opened = open_samples(write(tmp_path, *rows, other))
    assert opened.notes == ()
    (fault,) = faults_of(opened)
    assert fault.source.row == 251 and "is a row of easyr1" in fault.reason


def test_bad_rows_refuse_by_name_or_are_skipped(tmp_path: Path) -> None:
    bad = {"video": "a.mp4", "conversations": [human("Why?"), machine("Rain.")]}
    path = write(tmp_path, {"video": "a.mp4", "conversations": TURNS}, bad, bad)
    with pytest.raises(UsageError, match=r"2 of 3 rows cannot be used: .*row 2.*data check"):
        read_samples(path, dialect=Dialect.LLAVA)
    read = read_samples(path, dialect=Dialect.LLAVA, bad_rows="skip")
    assert (len(read.samples), len(read.faults)) == (1, 2)
    only_bad = write(tmp_path, bad, name="bad.json")
    with pytest.raises(UsageError, match="1 of 1 rows"):
        read_samples(only_bad, dialect=Dialect.LLAVA, bad_rows="skip")


def test_a_reader_of_problems_names_the_dialect_and_the_command() -> None:
    with pytest.raises(UsageError, match=r"it is llava .*mmreason data convert .*--to problems"):
        read_problems(GOLDEN / "llava.json")


def test_fields_that_no_dialect_has_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is in no dialect that is known; its rows have 'a', 'b'"):
        open_samples(write(tmp_path, {"a": 1, "b": 2}))
    with pytest.raises(UsageError, match="unknown dialect 'lava'; known: problems"):
        open_samples(GOLDEN / "llava.json", "lava")
    with pytest.raises(UsageError, match=r"is coco .* not vidstg"):
        open_samples(GOLDEN / "coco_instances.json", "vidstg")


def test_typed_parts_and_placeholders_do_not_mix(tmp_path: Path) -> None:
    parts = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "<image>Why?"}]
    row = {"messages": [{"role": "user", "content": parts}]}
    assert "expected one of them" in reason_of(tmp_path, row)
    odd = {"messages": [{"role": "user", "content": [{"type": "smell", "smell": "a"}]}]}
    assert "has the type 'smell'" in reason_of(tmp_path, odd)


def test_a_pair_of_one_answer_teaches_nothing(tmp_path: Path) -> None:
    row = {"prompt": "Why?", "chosen": "So.", "rejected": "So."}
    assert "are the same answer" in reason_of(tmp_path, row)
