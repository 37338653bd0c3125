"""Problems as other libraries read them: fields, placeholders, paths, and what they cannot hold."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mmreason.cli import app, data, main
from mmreason.grounding import Box
from mmreason.training.data.export import (
    WRITERS,
    Target,
    export_problems,
    ground_truth,
    question_text,
)
from mmreason.training.data.problem_file import from_row, write_problems
from mmreason.training.rewards import Frame, Truth
from mmreason.training.rollouts.types import Problem
from mmreason.types import UsageError
from mmreason.video.types import Span

CHOICE = Problem(
    id="1",
    question="what?",
    truth=Truth(question="what?", options=("red", "blue"), choice=1),
    video="/videos/a.mp4",
    kind="colour",
)
COUNT = Problem(
    id="2", question="how many?", truth=Truth(question="how many?", number=3), video="/videos/b.mkv"
)
TEXT = Problem(id="3", question="why?", truth=Truth(question="why?", answer="because"))
IMAGE = replace(COUNT, id="4", video="/images/c.PNG")
ALL = (CHOICE, COUNT, TEXT)


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()


def exported(problems: Any, to: Target, folder: Path, **options: Any) -> list[dict[str, Any]]:
    out = export_problems(problems, to, folder / f"set{WRITERS[to][0]}", **options)
    assert [one.name for one in folder.iterdir()] == [out.name]
    return rows_of(out)


def test_trl(tmp_path: Path) -> None:
    first, second, third = exported(ALL, "trl", tmp_path)
    assert first["prompt"] == [{"role": "user", "content": "what?\nA. red\nB. blue"}]
    assert [row["solution"] for row in (first, second, third)] == ["B", "3", "because"]
    assert first["video"] == "/videos/a.mp4" and third["video"] is None
    assert from_row(json.loads(first["truth"])) == CHOICE


def test_trl_rows_are_a_data_set(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    path = export_problems(ALL, "trl", tmp_path / "set.jsonl")
    read = datasets.Dataset.from_list(rows_of(path))
    assert read.column_names == ["id", "prompt", "video", "solution", "truth"]


def test_verl(tmp_path: Path) -> None:
    shown = replace(COUNT, span=Span(2, 8.5))
    first, second, third = exported((CHOICE, shown, TEXT), "verl", tmp_path)
    assert first["prompt"] == [{"role": "user", "content": "<video>what?\nA. red\nB. blue"}]
    assert first["data_source"] == "mmreason" and first["ability"] == "colour"
    assert first["reward_model"] == {"style": "rule", "ground_truth": "B"}
    whole = {"video": "/videos/a.mp4", "video_start": None, "video_end": None}
    assert first["videos"] == [whole]
    assert second["videos"][0] | {"video": ""} == {
        "video": "",
        "video_start": 2.0,
        "video_end": 8.5,
    }
    assert third["videos"] == [] and third["prompt"][0]["content"] == "why?"
    assert [row["extra_info"]["index"] for row in (first, second, third)] == [0, 1, 2]
    assert from_row(json.loads(second["extra_info"]["truth"])) == shown
    assert "images" not in first


def test_verl_reads_images_beside_videos(tmp_path: Path) -> None:
    first, second = exported((CHOICE, IMAGE), "verl", tmp_path)
    assert second["images"] == [{"image": "/images/c.PNG"}] and second["videos"] == []
    assert second["prompt"][0]["content"].startswith("<image>") and first["images"] == []


def test_a_stretch_is_one_that_qwen_vl_utils_reads(tmp_path: Path) -> None:
    """verl hands the row's object to qwen-vl-utils as it is."""
    vision = pytest.importorskip("qwen_vl_utils.vision_process")
    (row,) = exported((replace(COUNT, span=Span(2, 8.5)),), "verl", tmp_path)
    first, last, count = vision.calculate_video_frame_range(row["videos"][0], 300, 25.0)
    assert (first, last) == (50, 212) and count == last - first + 1
    (tmp_path / "set.parquet").unlink()
    (row,) = exported((COUNT,), "verl", tmp_path)
    assert vision.calculate_video_frame_range(row["videos"][0], 300, 25.0) == (0, 299, 300)


def test_easyr1(tmp_path: Path) -> None:
    first, _, third = exported(ALL, "easyr1", tmp_path)
    assert first["problem"] == "<video>what?\nA. red\nB. blue" and first["answer"] == "B"
    assert first["videos"] == ["/videos/a.mp4"] and third["videos"] == []
    assert "images" not in first, "their reader takes the column for a sign"


def test_ms_swift(tmp_path: Path) -> None:
    first, _, third = exported(ALL, "ms-swift", tmp_path)
    assert first["messages"] == [{"role": "user", "content": "<video>what?\nA. red\nB. blue"}]
    assert first["videos"] == ["/videos/a.mp4"] and first["solution"] == "B"
    assert "videos" not in third and "images" not in third


@pytest.mark.parametrize("to", WRITERS)
def test_paths_in_full_or_from_the_file(
    to: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    problem = replace(COUNT, video="videos/b.mkv")
    (row,) = exported((problem,), to, _folder(tmp_path / "full"))
    assert str(tmp_path / "videos" / "b.mkv") in json.dumps(row)
    (row,) = exported((problem,), to, _folder(tmp_path / "sets"), paths="relative")
    assert '"../videos/b.mkv"' in json.dumps(row)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


REFUSED: dict[str, tuple[tuple[Problem, ...], Target, str, str]] = {
    "ending": (ALL, "verl", "a.jsonl", "a file for verl must end in .parquet"),
    "nothing": ((), "trl", "a.jsonl", "no problem to export"),
    "easyr1 span": (
        (replace(COUNT, span=Span(1, 2)),),
        "easyr1",
        "a.parquet",
        "problem '2' shows 1.0-2.0 s of its video only, which EasyR1 cannot",
    ),
    "swift span": ((replace(COUNT, span=Span(1, 2)),), "ms-swift", "a.jsonl", "ms-swift cannot"),
    "both": ((COUNT, IMAGE), "easyr1", "a.parquet", "images or videos from one file"),
    "placeholder": (
        (replace(TEXT, question="a <video>?"),),
        "verl",
        "a.parquet",
        "problem '3': its text holds <video>",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_a_format_cannot_hold_is_told(why: str, tmp_path: Path) -> None:
    problems, to, name, said = REFUSED[why]
    said = said.replace("1.0-2.0 s", str(Span(1, 2)))
    with pytest.raises(UsageError, match=re.escape(said)):
        export_problems(problems, to, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_ground_truths() -> None:
    box = Truth(boxes=(Box(1, 2, 3, 4),), frame=Frame(size_px=(9, 9)))
    assert ground_truth(box) == "[[1, 2, 3, 4]]"
    assert ground_truth(Truth(spans=(Span(1, 2.5),))) == "[[1, 2.5]]"
    assert ground_truth(Truth(number=0.1)) == "0.1" and ground_truth(Truth()) == ""
    assert question_text(TEXT) == "why?"


def test_the_command_knows_all_formats() -> None:
    assert {one.value for one in data.Target} == set(WRITERS)


def test_the_command_names_the_wrong_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "p.jsonl"
    source.write_text('{"id": "1"}\n')
    words = ["data", "export", str(source), "--to", "trl", "--out", str(tmp_path / "o.jsonl")]
    assert main(words) == 2
    assert f"{source}, line 1: question: expected a text" in capsys.readouterr().err
    assert not (tmp_path / "o.jsonl").exists()


def test_a_path_that_is_not_utf_8_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    problem = replace(ALL[0], video="/videos/\udcff.mp4")
    targets: tuple[tuple[Target, str], ...] = (("trl", "jsonl"), ("verl", "parquet"))
    for to, ending in targets:
        with pytest.raises(UsageError, match=f"problem '{problem.id}' holds half a surrogate"):
            export_problems([problem], to, tmp_path / f"o.{ending}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "\\ud800", "question": "?"}', "half a surrogate pair"),
        (f'{{"id": "2", "question": "?", "number": {"9" * 400}}}', "400 digits"),
        ("[" * 100_000, "brackets inside each other"),
    ],
)
def test_a_row_that_cannot_be_exported_is_named_by_its_line(
    line: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "p.jsonl"
    source.write_text(f'\ufeff{{"id": "1", "question": "?"}}\n{line}\n', encoding="utf-8")
    words = ["data", "export", str(source), "--to", "trl", "--out", str(tmp_path / "o.jsonl")]
    assert main(words) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {source}, line 2: ") and reason in error


@pytest.mark.parametrize("name", ["a" * 5_000, "a\\u0000b", "[/x].mp4", "\\u001b[2J.mp4"])
def test_a_video_of_any_name_is_exported_and_told_to_be_missing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "p.jsonl", tmp_path / "[/x].jsonl"
    source.write_text(f'{{"id": "1", "question": "?", "video": "{name}"}}\n')
    assert main(["data", "export", str(source), "--to", "trl", "--out", str(target)]) == 0
    printed, warned = capsys.readouterr()
    assert printed == f"1 problem for trl is in {target}\n"
    assert warned.count("\n") == 2 and "\x1b" not in warned and len(rows_of(target)) == 1


def test_the_command_writes_and_tells(tmp_path: Path) -> None:
    source, out = tmp_path / "p.jsonl", tmp_path / "out.jsonl"
    write_problems(source, ALL)
    run = CliRunner().invoke(
        app, ["data", "export", str(source), "--to", "ms-swift", "--out", str(out), "--json"]
    )
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert (told["schema"], told["problems"], told["to"], told["file"]) == (
        2,
        3,
        "ms-swift",
        str(out),
    )
    assert told["missing_videos"] == {"1": "/videos/a.mp4", "2": "/videos/b.mkv"}
    assert len(rows_of(out)) == 3
