"""`mmreason eval problems`, from rows in a file to pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmreason.cli import eval_problems, main
from mmreason.models.base import ChatModel
from tests.training.evaluation.made_samples import (
    QUESTION,
    ask_colour,
    draw_pictures,
    first_option,
    perfect,
    scripted,
)

MODELS = {"sees": perfect, "guesses": first_option}


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve questions, one of which has no file; models are scripted."""

    def load(name: str, **_: object) -> ChatModel:
        return scripted(MODELS[name], name)

    monkeypatch.setattr(eval_problems, "load_chat_model", load)
    paths = draw_pictures(tmp_path)
    lines = []
    for number in range(12):
        sample = ask_colour(paths, number)
        row = {"id": sample.id, "question": QUESTION, "video": Path(sample.media[0].path).name}
        row |= {"options": list(sample.truth.options), "choice": sample.truth.choice}
        lines.append(json.dumps(row) + "\n")
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(lines))
    return file


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """(exit code, stdout, stderr) of `mmreason eval problems` with these words."""

    def call(*words: object) -> tuple[int, str, str]:
        code = main(["eval", "problems", *map(str, words)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_a_model_is_evaluated_and_its_page_is_written(rows: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, printed, told = run(rows, "--model", "guesses", "--circular", "--out", out)
    assert code == 0, told
    assert "problems (12 of 12 rows" in told
    for text in ("lenient", "right in all rotations", "Position bias", "Knowledge audit"):
        assert text in printed
    page = (out / "report.html").read_text()
    assert page.count("data:image/jpeg") == 9  # of twelve it guesses three
    assert json.loads((out / "summary.json").read_text())["schema"] == 2


def test_json_has_the_scores_and_every_setting(rows: Path, run: Run) -> None:
    code, printed, _ = run(rows, "--model", "sees", "--frames", 2, "--limit", 8, "--json")
    values = json.loads(printed)
    assert code == 0
    assert values["lenient"]["all_rows"]["estimate"] == 1
    assert values["settings"]["clip"]["frames"] == values["settings"]["settings"]["frames"] == 2
    assert values["questions"] == values["settings"]["settings"]["limit"] == 8
    assert values["audit"]["wrong_video_flip"]["estimate"] == 1


def test_two_models_are_compared_and_so_are_two_folders(
    rows: Path, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    options = ["--audit", "off", "--out", out]
    code, printed, _ = run(rows, "--model", "sees", "--against", "guesses", *options)
    assert code == 0
    last = printed.strip().splitlines()[-1]
    # Four files only: however many questions, that much is no proof.
    assert last.startswith("sees less guesses: +75.0") and last.endswith("no difference is shown")
    page = tmp_path / "two.html"
    code, printed, _ = run("--compare", out, out / "against", "--report", page)
    assert code == 0 and printed.strip().splitlines()[-1] == last
    assert "no difference is shown" in page.read_text()


def test_rows_that_cannot_be_asked_are_named_and_the_exit_code_tells(rows: Path, run: Run) -> None:
    with rows.open("a") as file:
        file.write('{"id": "gone", "video": "gone.mp4", "question": "What?", "answer": "red"}\n')
        file.write('{"id": "odd", "question": 7}\n')
    code, printed, told = run(rows, "--model", "sees", "--audit", "off")
    assert code == 1
    assert "gone.mp4: no such file" in told and "2 of 14 rows could not be asked" in told
    assert "Could not be asked" in printed


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "name a FILE of rows"),
        (["ROWS", "--audit", "some"], "audit must be sample, full, off"),
        (["ROWS", "--dialect", "latin"], "--dialect must be of problems"),
        (["gone.jsonl"], "gone.jsonl"),
        (["ROWS", "--compare", "a", "b"], "two finished folders, and no FILE"),
        (["--compare", "a", "b"], "holds no rows.jsonl"),
        (["ROWS", "--training-text", "gone.txt"], "gone.txt: cannot be read"),
    ],
)
def test_mistakes_are_one_line(rows: Path, run: Run, words: list[str], error: str) -> None:
    code, printed, told = run(*(rows if word == "ROWS" else word for word in words))
    lines = [line for line in told.splitlines() if line.startswith("error")]
    assert (code, printed, len(lines)) == (2, "", 1)
    assert error in lines[0]


def test_a_choice_between_models_is_no_model(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": "1", "question": "Hot?", "answer": "yes"}\n')
    assert main(["eval", "problems", str(file), "--model", "auto"]) == 2
    assert "name one model" in capsys.readouterr().err
