"""`mmreason data convert`: one verb for dialects of fine-tuning and for forms of expressions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmreason.cli import main

TURNS = [{"from": "human", "value": "<video>\nWhy?"}, {"from": "gpt", "value": "Rain."}]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "train.json"
    good = {"id": "1", "video": "a.mp4", "conversations": TURNS}
    bad = {"id": "2", "video": "a.mp4", "conversations": TURNS[1:]}
    path.write_text(json.dumps([good, bad]))
    return path


def test_rows_of_a_dialect_become_problems(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "train.jsonl"
    assert main(["data", "convert", str(rows), "--to", "problems", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "1 row of llava" in printed.out and "not read (1)" in printed.out
    assert "1 row names a file that is not there" in printed.err
    (line,) = out.read_text().splitlines()
    problem = {"id": "1", "question": "Why?", "video": "a.mp4", "answer": "Rain."}
    assert json.loads(line) == problem


def test_the_json_output_says_what_was_told(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new.jsonl"
    call = ["data", "convert", str(rows), "--to", "ms-swift", "--out", str(out), "--json"]
    assert main(call) == 0
    output = json.loads(capsys.readouterr().out)
    assert (output["source"], output["form"], output["rows"]) == ("llava", "ms-swift", 1)
    assert output["missing"] == {"1": str(tmp_path / "a.mp4")}
    assert len(output["errors"]) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--to", "trl", "--out", "NEW.json"], "must end in .jsonl or .parquet"),
        (["--to", "llava", "--out", "train.json"], "is the very file that is to be read"),
        (["--to", "llava", "--out", "NEW.json", "--fps", "2"], "--fps says nothing where"),
        (["--to", "odvg", "--out", "NEW.jsonl", "--from", "llava"], "--from says nothing where"),
        (["--to", "trl", "--out", "NEW.jsonl", "--from", "verl"], "no row of it can be read"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    options: list[str],
    expected: str,
    rows: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(rows.parent)
    assert main(["data", "convert", rows.name, *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert expected in line
    assert not list(rows.parent.glob("NEW*"))
