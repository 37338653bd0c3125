"""Each dialect's files are told by their content, and read to the samples that they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmreason.grounding import Box
from mmreason.training.data.dialects.detect import open_samples
from mmreason.training.data.dialects.rows import Dialect
from mmreason.training.data.sample import MediaKind, Sample
from mmreason.training.rewards import Truth
from mmreason.video.types import Span
from tests.training.data.dialects.golden_files import GOLDEN, faults_of, samples_of

FILES = {
    "2u1_grpo.json": (Dialect.TWO_U1, 2, 0),
    "charades_sta.txt": (Dialect.CHARADES_STA, 2, 0),
    "clips": (Dialect.TABLE, 2, 0),
    "coco_captions.json": (Dialect.COCO, 1, 1),
    "coco_instances.json": (Dialect.COCO, 1, 0),
    "easyr1.jsonl": (Dialect.EASYR1, 2, 0),
    "easyr1.parquet": (Dialect.EASYR1, 1, 0),
    "easyr1_empty_images.jsonl": (Dialect.EASYR1, 1, 0),
    "hub_saved": (Dialect.TABLE, 1, 0),
    "llamafactory/demo.json": (Dialect.SHAREGPT, 1, 0),
    "llava.json": (Dialect.LLAVA, 4, 0),
    "llava_packed.json": (Dialect.LLAVA, 3, 0),
    "messages.jsonl": (Dialect.MESSAGES, 3, 0),
    "ms_swift.jsonl": (Dialect.MS_SWIFT, 7, 0),
    "navigation.jsonl": (Dialect.NAVIGATION, 1, 0),
    "onethinker.json": (Dialect.ONETHINKER, 4, 0),
    "problems.jsonl": (Dialect.PROBLEMS, 4, 0),
    "sharegpt.json": (Dialect.SHAREGPT, 3, 0),
    "table.csv": (Dialect.TABLE, 2, 0),
    "table.tsv": (Dialect.TABLE, 1, 0),
    "trl_images.jsonl": (Dialect.TRL, 2, 0),
    "trl_pairs.jsonl": (Dialect.TRL, 2, 0),
    "trl_sft.jsonl": (Dialect.TRL, 2, 0),
    "verl.parquet": (Dialect.VERL, 1, 0),
    "video_r1.json": (Dialect.VIDEO_R1, 2, 0),
    "vidstg.json": (Dialect.VIDSTG, 2, 0),
    "vlm_r1.jsonl": (Dialect.VLM_R1, 2, 0),
    "vlm_r1_problem.jsonl": (Dialect.VLM_R1, 1, 0),
    # Rows of two dialects: those of the rarer one are told and not guessed.
    "mixed_llava_sharegpt.json": (Dialect.LLAVA, 2, 1),
    "mixed_stages_of_2u1.json": (Dialect.TWO_U1, 3, 0),
    "mixed_swift_easyr1.jsonl": (Dialect.MS_SWIFT, 2, 2),
}
"""The dialect, and how many rows are samples and faults."""


def first(name: str, place: int = 0) -> Sample:
    return samples_of(open_samples(GOLDEN / name))[place]


def test_each_golden_file_has_a_case() -> None:
    beside = {"dataset_info.json", "vidstg.vidor.json"}
    files = {file.name for file in GOLDEN.rglob("*.*") if file.is_file()}
    folders = {"clips", "hub_saved"}
    inside = {file.name for folder in folders for file in (GOLDEN / folder).iterdir()}
    assert {Path(name).name for name in FILES} - folders == files - beside - inside


@pytest.mark.parametrize("name", FILES)
def test_the_dialect_is_told_and_says_why(name: str) -> None:
    opened = open_samples(GOLDEN / name)
    dialect, samples, faults = FILES[name]
    assert opened.dialect is dialect
    assert opened.reason
    assert len(samples_of(opened)) == samples
    assert len(faults_of(opened)) == faults


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("mixed")])
def test_a_mixed_file_says_so(name: str) -> None:
    assert any(note.startswith("mixed: ") for note in open_samples(GOLDEN / name).notes)


def test_placeholders_become_files_in_their_places() -> None:
    row = first("llava.json", 3)
    question, clip = row.messages[0].parts
    assert question == "Where does it go?\n"
    assert not isinstance(clip, str) and clip.path == str(GOLDEN / "clips" / "a.mp4")


def test_letters_of_options_in_the_question_are_a_choice() -> None:
    truth = first("llava.json").truth
    assert (truth.options, truth.choice) == (("red", "blue"), 1)


def test_options_lose_their_letters_and_the_solution_its_tags() -> None:
    row = first("video_r1.json")
    assert (row.truth.options, row.truth.choice) == (("red", "blue"), 0)
    assert row.question == "Which colour?\nOptions:\nA. red\nB. blue"
    assert row.target == "<answer>A</answer>"
    assert first("video_r1.json", 1).truth.number == 2.0


def test_boxes_of_onethinker_are_a_tube_where_the_size_is_known_and_text_where_not() -> None:
    known, unknown = first("onethinker.json", 1), first("onethinker.json", 2)
    assert known.truth.spans == (Span(1.0, 3.0),)
    assert known.truth.tube is not None
    assert known.truth.tube[0].box == Box(64.0, 72.0, 192.0, 144.0)
    assert unknown.truth.tube is None
    assert unknown.target == '{"boxes": {"1": [100, 200, 300, 400]}}'


def test_boxes_of_ms_swift_fill_their_places_in_pixels() -> None:
    several, fractions, point = (first("ms_swift.jsonl", place) for place in (2, 3, 4))
    assert several.target == "[2, 4, 10, 12] and [20, 4, 30, 12]"
    assert several.question == "Find the sheep."
    assert fractions.truth.boxes == (Box(8.0, 12.0, 16.0, 24.0),)
    assert point.target == "[7, 9]"
    assert point.truth.boxes is None and "objects" in point.columns


def test_a_list_of_frames_is_one_clip() -> None:
    (clip,) = first("ms_swift.jsonl", 1).media
    assert clip.kind is MediaKind.FRAMES and len(clip.paths) == 2


def test_pairs_have_the_better_answer_last_and_the_worse_one_beside() -> None:
    for name, place in (("trl_pairs.jsonl", 1), ("sharegpt.json", 2), ("ms_swift.jsonl", 5)):
        row = first(name, place)
        assert (row.target, row.rejected[0].text) == ("No.", "Yes.")


def test_several_right_answers_and_own_columns_reach_the_truth() -> None:
    row = first("problems.jsonl", 3)
    assert row.truth.answers == ("a car", "a taxi")
    assert row.truth.columns == row.columns == {"judge": "llm"}
    assert row.transcript == "Look at it."
    assert row.media[0].span == Span(1.0, 3.0)


def test_rows_of_boxes_alone_have_no_answer_to_learn() -> None:
    assert first("problems.jsonl", 1).target == ""
    assert first("coco_instances.json").target == ""


def test_the_step_of_a_play_says_what_is_learnt() -> None:
    assert [message.is_learnt for message in first("navigation.jsonl").messages] == [
        False,
        False,
        False,
        True,
    ]


def test_expressions_become_questions_with_their_truth() -> None:
    assert first("charades_sta.txt").truth.spans == (Span(24.3, 30.4),)
    dog = first("vidstg.json")
    assert dog.question == "When and where in the video is this: a dog chases a cat"
    assert dog.truth.tube is not None and dog.truth.tube_times_s
    assert first("coco_instances.json").truth.boxes == (
        Box(2.0, 4.0, 10.0, 12.0),
        Box(20.0, 4.0, 28.0, 12.0),
    )


def test_a_picture_inside_of_a_row_becomes_a_file() -> None:
    (picture,) = first("hub_saved").media
    assert Path(picture.path).read_bytes() == (GOLDEN / "clips" / "a.png").read_bytes()
    assert first("hub_saved").truth == Truth(question="Which?", options=("red", "blue"), choice=1)


def test_the_tag_map_beside_a_file_says_what_its_fields_are_called() -> None:
    row = first("llamafactory/demo.json")
    assert (row.question, row.target) == ("What happens?", "It rains.")


def test_the_two_parts_of_an_instruction_are_one_question() -> None:
    assert first("table.tsv").question == "Translate.\nOui"
