"""Files of public benchmarks in the forms in which they are published, and in others."""

from pathlib import Path
from typing import Any

import pytest

from mmreason.evaluation.public.catalog import BENCHMARKS, find_benchmark, load_questions
from mmreason.evaluation.public.items import BenchmarkQuestions, QuestionGroup, spread_items
from mmreason.types import UsageError
from mmreason.video.types import Span
from tests.evaluation.public.conftest import (
    lvbench_line,
    touch,
    videomme_row,
    videomme_v2_row,
    write_csv,
    write_json,
    write_lines,
    write_parquet,
)


def _load(name: str, folder: Path, **options: Any) -> BenchmarkQuestions:
    return load_questions(find_benchmark(name), folder, **options)


def test_videomme_is_read_from_its_parquet_with_videos_and_subtitles(tmp_path: Path) -> None:
    write_parquet(tmp_path / "videomme" / "test-00000-of-00001.parquet", [videomme_row()])
    # An id of YouTube that begins with a hyphen and holds a dot.
    touch(tmp_path / "data" / "-a.Z_9fFjv4.mp4", tmp_path / "subtitle" / "-a.Z_9fFjv4.srt")
    loaded = _load("videomme", tmp_path)
    (item,) = loaded.items
    assert (item.id, item.options, item.answer) == (
        "001-1",
        ("Red.", "Green.", "Blue.", "White."),
        0,
    )
    assert item.video == tmp_path / "data" / "-a.Z_9fFjv4.mp4"
    assert item.subtitles == tmp_path / "subtitle" / "-a.Z_9fFjv4.srt"
    assert (item.categories, item.duration_group) == (("Object Recognition",), "short")
    assert (loaded.found_videos, loaded.problems) == ((1, 1), ())


def test_videomme_is_read_from_the_json_of_its_repository(tmp_path: Path) -> None:
    question = {
        "question_id": "001-1",
        "task_type": "Counting Problem",
        "question": "How many jars are there?",
        "choices": ["A. 4.", "B. 9.", "C. 5.", "D. 13."],
        "answer": "B",
        "response": "B",
    }
    video = {"video_id": "001", "duration_category": "long", "questions": [question]}
    write_json(tmp_path / "videomme.json", [video])
    (item,) = _load("videomme", tmp_path).items
    assert (item.video_name, item.options[1], item.answer) == ("001", "9.", 1)
    assert (item.duration_group, item.video) == ("long", None)


def test_the_groups_of_videomme_v2_are_kept(tmp_path: Path) -> None:
    write_parquet(tmp_path / "test.parquet", [videomme_v2_row(place) for place in range(1, 5)])
    touch(tmp_path / "videos" / "007.mp4", tmp_path / "subtitle" / "007.jsonl")
    items = _load("videomme-v2", tmp_path).items
    assert items[3].group == QuestionGroup(
        id="007", place=4, kind="logic", structure="[1, [2, 3], 4]", level="2"
    )
    assert (items[0].group.level if items[0].group else None) == ""
    assert (len(items[0].options), items[0].answer, items[0].categories) == (8, 7, ("Order",))
    assert items[0].subtitles == tmp_path / "subtitle" / "007.jsonl"


def test_lvbench_splits_options_and_reads_times(tmp_path: Path) -> None:
    write_lines(tmp_path / "video_info.meta.jsonl", [lvbench_line()])
    first, second = _load("lvbench", tmp_path).items
    assert (first.question, first.options[1], first.answer) == (
        "What colour comes first?",
        "Blue",
        1,
    )
    assert first.reference_spans == (Span(15.0, 19.0),)
    assert (first.categories, first.duration_group) == (
        ("entity recognition", "event understanding"),
        "over 60 min",
    )
    # What is no time loses no question.
    assert second.reference_spans == () and second.answer == 0


def test_videos_that_were_downloaded_as_numbers_are_found_by_their_addresses(
    tmp_path: Path,
) -> None:
    write_lines(tmp_path / "video_info.meta.jsonl", [lvbench_line()])
    videos = tmp_path / "videos" / "00000"
    touch(videos / "00000000.mp4", videos / "00000001.mp4")
    write_json(videos / "00000001.json", {"url": "https://www.youtube.com/watch?v=Cm73ma6Ibcs"})
    write_json(videos / "00000000.json", {"url": None})
    first, _ = _load("lvbench", tmp_path).items
    assert first.video == videos / "00000001.mp4"


def test_lvbench_is_read_from_the_parquet_of_others(tmp_path: Path) -> None:
    row = {
        "uid": "4",
        "question": "What colour comes first?",
        "options": ["Red", "Blue"],
        "answer": "B",
        "question_type": ["reasoning"],
        "time_reference": "1:02:03-1:02:05",
        "video_path": "videos/Cm73ma6Ibcs.mp4",
    }
    write_parquet(tmp_path / "data" / "train-00000-of-00001.parquet", [row])
    touch(tmp_path / "videos" / "Cm73ma6Ibcs.mp4")
    (item,) = _load("lvbench", tmp_path).items
    assert item.reference_spans == (Span(3723.0, 3725.0),)
    assert item.video is not None and item.answer == 1


_LONGVIDEOBENCH = {
    "id": "86CxyhFV9MI_0",
    "video_id": "86CxyhFV9MI",
    "video_path": "86CxyhFV9MI.mp4",
    "subtitle_path": "86CxyhFV9MI_en.json",
    "question": "What does the man hold?",
    "question_category": "S2E",
    "duration_group": 600,
    "starting_timestamp_for_subtitles": 30,
    "duration": 190.16,
}


def test_longvideobench_takes_val_and_knows_where_subtitles_begin(tmp_path: Path) -> None:
    row = _LONGVIDEOBENCH | {"candidates": ["a cup", "a book"], "correct_choice": 1}
    write_json(tmp_path / "lvb_val.json", [row])
    write_json(tmp_path / "lvb_test_wo_gt.json", [row | {"id": "b"}])
    touch(tmp_path / "videos" / "86CxyhFV9MI.mp4", tmp_path / "subtitles" / "86CxyhFV9MI_en.json")
    (item,) = _load("longvideobench", tmp_path).items
    assert (item.answer, item.duration_group, item.subtitle_start_s) == (1, "up to 600 s", 30.0)
    assert item.subtitles is not None and item.video is not None


def test_questions_without_a_published_answer_are_items_that_are_not_scored(tmp_path: Path) -> None:
    write_json(
        tmp_path / "lvb_test_wo_gt.json", [_LONGVIDEOBENCH | {"candidates": ["a cup", "a book"]}]
    )
    (item,) = _load("longvideobench", tmp_path).items
    assert item.answer is None and not item.has_answer


def test_longvideobench_in_parquet_has_options_that_are_none(tmp_path: Path) -> None:
    options = {f"option{n}": text for n, text in enumerate(["a", "b", "c", "N/A", "N/A"])}
    row = _LONGVIDEOBENCH | options | {"correct_choice": 2}
    write_parquet(tmp_path / "validation-00000-of-00001.parquet", [row])
    (item,) = _load("longvideobench", tmp_path).items
    assert (item.options, item.answer) == (("a", "b", "c"), 2)


def test_mlvu_reads_all_tasks_and_finds_videos_of_one_name_by_task(tmp_path: Path) -> None:
    plot = {
        "video": "movie101_66.mp4",
        "duration": 480.0,
        "question": "What colour is the scarf?",
        "candidates": ["Red", "Brown", "Black", "Yellow"],
        "answer": "Yellow",
        "question_type": "plotQA",
    }
    write_json(tmp_path / "json" / "1_plotQA.json", [plot])
    write_json(tmp_path / "json" / "3_ego.json", [plot | {"question_type": "ego"}])
    summary = {
        "video": "217.mp4",
        "duration": 480.0,
        "question": "Please summarize the video.",
        "answer": "A man walks home.",
        "question_type": "summary",
    }
    write_json(tmp_path / "json" / "9_summary.json", [summary])
    touch(
        tmp_path / "video" / "1_plotQA" / "movie101_66.mp4",
        tmp_path / "video" / "3_ego" / "movie101_66.mp4",
    )
    loaded = _load("mlvu", tmp_path)
    plot_item, ego_item, summary_item = loaded.items
    assert (plot_item.answer, plot_item.categories) == (3, ("plotQA",))
    assert plot_item.video == tmp_path / "video" / "1_plotQA" / "movie101_66.mp4"
    assert ego_item.video == tmp_path / "video" / "3_ego" / "movie101_66.mp4"
    assert summary_item.is_open and summary_item.answer_text == "A man walks home."
    assert loaded.found_videos == (2, 3) and loaded.missing_videos == ("9_summary/217.mp4",)


def test_egoschema_scores_the_subset_whose_answers_are_published(tmp_path: Path) -> None:
    rows = [
        {"q_uid": name, "google_drive_id": "x", "question": "What does C do?"}
        | {f"option {number}": f"C does {number}." for number in range(5)}
        for name in ("0074f737-11cb", "00aa7247-9a4b")
    ]
    write_json(tmp_path / "questions.json", rows)
    write_json(tmp_path / "subset_answers.json", {"0074f737-11cb": 3})
    first, second = _load("egoschema", tmp_path).items
    assert (first.answer, first.options[3]) == (3, "C does 3.")
    assert second.answer is None


def test_hourvideo_names_what_cannot_be_asked_as_text(tmp_path: Path) -> None:
    row = {
        "qid": "uid1/summarization/key_events/0",
        "task": "summarization/key_events_objects",
        "question": "What happens?",
        "mcq_test": "What happens? A. ...",
        "correct_answer_label": "E",
        "relevant_timestamps": "00:10:00-00:11:00",
    } | {f"answer_{n}": f"event {n}" for n in range(1, 6)}
    pictures = {f"answer_{n}": f"images/{n}.png" for n in range(1, 6)}
    rows = [
        row,
        row | pictures | {"qid": "q1", "task": "reasoning/spatial/layout"},
        row | {"qid": "q2", "task": "reasoning/predictive"},
    ]
    video = {
        "video_metadata": {"video_uid": "uid1", "duration_in_seconds": 2700},
        "benchmark_dataset": rows,
    }
    write_json(tmp_path / "v1.0_release" / "json" / "dev_v1.0_annotations.json", {"uid1": video})
    loaded = _load("hourvideo", tmp_path)
    (item,) = loaded.items
    assert (item.answer, item.categories, item.duration_group) == (
        4,
        ("summarization",),
        "30 to 60 min",
    )
    assert item.reference_spans == (Span(600.0, 660.0),)
    assert "q1" in loaded.problems[0] and "pictures" in loaded.problems[0]
    assert "q2" in loaded.problems[1] and "cut video" in loaded.problems[1]


_NEXTQA = {
    "video": "4010069381",
    "frame_count": 369,
    "width": 640,
    "height": 480,
    "question": "how do the two man play the instrument",
    "answer": 0,
    "qid": 6,
    "type": "CH",
    **{f"a{n}": text for n, text in enumerate(["roll", "tap", "strum", "hit", "pat"])},
}


def test_nextqa_has_ids_by_video_and_times_of_nextgqa(tmp_path: Path) -> None:
    write_csv(tmp_path / "val.csv", [_NEXTQA, _NEXTQA | {"video": "4882821564", "type": "TN"}])
    write_json(
        tmp_path / "gsub_val.json",
        {"4010069381": {"duration": 34, "location": {"6": [[1.2, 5.8]]}}},
    )
    touch(tmp_path / "NExTVideo" / "1164" / "4010069381.mp4")
    first, second = _load("nextqa", tmp_path).items
    assert (first.id, first.answer, first.categories) == ("4010069381-6", 0, ("causal",))
    assert first.reference_spans == (Span(1.2, 5.8),) and second.reference_spans == ()
    assert first.video is not None and second.video is None


def test_several_files_of_questions_are_a_choice_of_the_caller(tmp_path: Path) -> None:
    write_csv(tmp_path / "val.csv", [_NEXTQA])
    write_csv(tmp_path / "test.csv", [_NEXTQA | {"qid": 9}])
    with pytest.raises(UsageError, match=r"test\.csv, val\.csv.*--questions"):
        _load("nextqa", tmp_path)
    (item,) = _load("nextqa", tmp_path, questions=tmp_path / "test.csv").items
    assert item.id == "4010069381-9"


def test_cgbench_takes_the_mini_set_with_its_clues(tmp_path: Path) -> None:
    row = {
        "qid": 12,
        "video_uid": "XVXP8hQ",
        "question": "Which dish?",
        "choices": ["soup", "rice", "cake"],
        "right_answer": "C",
        "answer": "cake",
        "clue_intervals": [[10, 12.5], [40.0, 41]],
        "domain": "Food",
        "sub_category": "Cooking",
        "duration": 1301.5,
    }
    write_json(tmp_path / "cgbench.json", [row])
    write_json(tmp_path / "cgbench_mini.json", [row])
    videos = tmp_path / "elsewhere"
    touch(videos / "XVXP8hQ.mp4")
    loaded = _load("cgbench", tmp_path, videos=videos)
    (item,) = loaded.items
    assert loaded.files == (tmp_path / "cgbench_mini.json",)
    assert (item.id, item.answer, item.duration_group) == ("12", 2, "15 to 30 min")
    assert item.reference_spans == (Span(10.0, 12.5), Span(40.0, 41.0))
    # The folder lies in the other: one file is no two files.
    assert item.video == videos / "XVXP8hQ.mp4"


_BROKEN_ROWS = {
    "renamed": ({"question": None}, "lacks 'question'; has 'video_id', 'duration'"),
    "letter": ({"answer": "E"}, "the answer 'E' is not one of the 4 options"),
    "options": ({"options": []}, "the answer 'A' is not one of the 0 options"),
    "blank": ({"options": ["A. Red.", " ", "C. Blue.", "D. White."]}, "has a blank option"),
    "repeated": ({"question_id": "001-9"}, "has the id '001-9' of"),
}


@pytest.mark.parametrize("name", _BROKEN_ROWS)
def test_a_row_that_is_no_question_is_one_line_and_loses_no_other(
    tmp_path: Path, name: str
) -> None:
    changes, reason = _BROKEN_ROWS[name]
    rows = [videomme_row(9), videomme_row(2, **changes), videomme_row(3)]
    path = write_parquet(tmp_path / "videomme" / "test.parquet", rows)
    loaded = _load("videomme", tmp_path)
    assert [item.id for item in loaded.items] == ["001-9", "001-3"]
    (problem,) = loaded.problems
    assert problem.startswith(f"{path}, row 2: ") and reason in problem and "\n" not in problem


def test_where_no_row_is_a_question_the_first_reason_is_told(tmp_path: Path) -> None:
    write_lines(tmp_path / "video_info.meta.jsonl", [{"key": "a", "qas": []}])
    with pytest.raises(UsageError, match=r"no question of lvbench.*row 1: lacks 'uid'|lacks"):
        _load("lvbench", tmp_path)


def test_a_folder_without_the_files_says_what_is_expected_and_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path / "readme.txt")
    for benchmark in BENCHMARKS:
        with pytest.raises(UsageError, match=r"expected .*found readme\.txt.*docs/benchmarks\.md"):
            _load(benchmark.name, tmp_path)
    with pytest.raises(UsageError, match="is no folder"):
        _load("lvbench", tmp_path / "missing")
    with pytest.raises(UsageError, match="they are videomme, videomme-v2"):
        find_benchmark("video-mme")


@pytest.mark.parametrize("ending", ["parquet", "json"])
def test_a_damaged_file_is_one_line(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"videomme.{ending}"
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(UsageError, match=f"videomme.{ending}: "):
        _load("videomme", tmp_path)


@pytest.mark.parametrize("ending", ["parquet", "json"])
def test_a_file_that_was_cloned_without_its_content_says_so(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"videomme.{ending}"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:9059\nsize 335293\n")
    with pytest.raises(UsageError, match="is a pointer of Git LFS, not the file; run git lfs pull"):
        _load("videomme", tmp_path)


def test_two_videos_of_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    write_lines(tmp_path / "video_info.meta.jsonl", [lvbench_line(), lvbench_line(key="other")])
    touch(tmp_path / "a" / "Cm73ma6Ibcs.mp4", tmp_path / "b" / "Cm73ma6Ibcs.mp4")
    loaded = _load("lvbench", tmp_path)
    assert len(loaded.items) == 2 and "2 files are called 'Cm73ma6Ibcs'" in loaded.problems[0]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    write_lines(tmp_path / "video_info.meta.jsonl", [lvbench_line()])
    touch(tmp_path / "videos" / "Cm73ma6Ibcs.mp4")
    (tmp_path / "videos" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert _load("lvbench", tmp_path).found_videos == (1, 1)


def test_a_limit_takes_questions_from_all_over_the_file(tmp_path: Path) -> None:
    rows = [videomme_row(place) for place in range(1, 11)]
    write_parquet(tmp_path / "videomme" / "test.parquet", rows)
    items = _load("videomme", tmp_path).items
    assert [item.id for item in spread_items(items, 3)] == ["001-1", "001-4", "001-7"]
    assert spread_items(items, 99) == spread_items(items, None) == list(items)


_WHOLE_ROWS: dict[str, dict[str, Any]] = {
    "videomme": videomme_row(),
    "videomme-v2": videomme_v2_row(1),
    "lvbench": lvbench_line(),
    "longvideobench": _LONGVIDEOBENCH | {"candidates": ["a", "b"], "correct_choice": 1},
    "mlvu": {
        "video": "a.mp4",
        "duration": 480.0,
        "question": "Who?",
        "candidates": ["Ada", "Bo"],
        "answer": "Bo",
        "question_type": "plotQA",
    },
    "egoschema": {"q_uid": "u", "question": "What?"} | {f"option {n}": f"o{n}" for n in range(5)},
    "nextqa": _NEXTQA,
    "cgbench": {
        "qid": 1,
        "video_uid": "u",
        "question": "Which?",
        "choices": ["a", "b"],
        "right_answer": "A",
        "clue_intervals": [[1, 2]],
        "domain": "d",
        "duration": 3,
    },
    "hourvideo": {
        "key": "u",
        "video_metadata": {"video_uid": "u", "duration_in_seconds": 3},
        "benchmark_dataset": [
            {"qid": "q", "task": "t", "question": "What?", "correct_answer_label": "A"}
            | {f"answer_{n}": f"e{n}" for n in range(1, 6)}
        ],
    },
}
_ODD_VALUES = (None, True, -1, 1e300, "", "\ud800", "Z" * 3_000, [], [1, None], {"a": [1]})


@pytest.mark.parametrize("name", _WHOLE_ROWS)
def test_whatever_a_field_holds_its_row_is_an_item_or_one_line(tmp_path: Path, name: str) -> None:
    row = _WHOLE_ROWS[name]
    odd = [row | {field: value} for field in row for value in _ODD_VALUES]
    missing = [{k: v for k, v in row.items() if k != field} for field in row]
    rows = [row, *odd, *missing]
    table = write_json(tmp_path / "rows.json", rows)
    loaded = _load(name, tmp_path, questions=table)
    questions = len(row.get("qa", [row]))
    # Of the first row at the least; those with the same id are lines.
    assert loaded.items[0].question and len(loaded.problems) > len(rows) / 2
    assert len(loaded.items) + len(loaded.problems) <= questions * len(rows)
    assert all(line.startswith(f"{table}, row ") for line in loaded.problems)
    assert not any("\n" in line or len(line) > 600 for line in loaded.problems)
