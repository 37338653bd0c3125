"""Runs of a diagnosis go on where they ended, and predictions of others are scored alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mmreason.cli import main
from mmreason.evaluation.refadv.cases import RefAdvCase, item_cases, shuffle_words
from mmreason.evaluation.refadv.plan import read_items, write_items
from mmreason.evaluation.refadv.runner import read_outcomes, run_cases
from mmreason.evaluation.refadv.subjects import OracleSubject, detector_phrase
from mmreason.grounding import Box, Grounding
from mmreason.types import UsageError
from tests.evaluation.refadv.made_outcomes import image_items

RUN = ["eval", "refadv", "--seed", "40", "--items", "4", "--families", "attribute"]


class FailingSubject:
    """Raises after so many answers; `kills` ends the whole run."""

    def __init__(self, answers: int, *, kills: bool = False) -> None:
        self.name, self._left, self._kills = "oracle:attributes", answers, kills
        self._oracle = OracleSubject("attributes")

    @property
    def settings(self) -> Mapping[str, Any]:
        return self._oracle.settings

    def answer(self, case: RefAdvCase) -> Grounding:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt if self._kills else RuntimeError("the model is down")
        return self._oracle.answer(case)

    def write_box(self, box: Box, size_px: tuple[int, int]) -> Box | None:
        return None


def cases_of(count: int = 4) -> list[RefAdvCase]:
    return [case for item in image_items()[:count] for case in item_cases(item, ("floor",))]


def test_a_run_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    cases = cases_of()
    with pytest.raises(KeyboardInterrupt):
        run_cases([FailingSubject(3, kills=True)], cases, tmp_path, settings={"seed": 1})
    results = tmp_path / "results.jsonl"
    assert len(read_outcomes(results)) == 3
    # What was being written when it ended.
    with results.open("a") as file:
        file.write('{"subject": "ora')
    asked: list[tuple[int, int]] = []
    run_cases(
        [OracleSubject("attributes")],
        cases,
        tmp_path,
        settings={"seed": 1},
        on_progress=lambda done, total: asked.append((done, total)),
    )
    assert asked[0] == (4, 8) and len(asked) == 5
    whole = run_cases(
        [OracleSubject("attributes")], cases, tmp_path / "whole", settings={"seed": 1}
    )
    strip = [o.to_dict() | {"seconds": 0} for o in read_outcomes(results)]
    assert strip == [o.to_dict() | {"seconds": 0} for o in read_outcomes(whole)]


def test_a_model_that_dies_in_the_middle_leaves_rows_that_count_as_wrong(tmp_path: Path) -> None:
    path = run_cases([FailingSubject(3)], cases_of(), tmp_path, settings={})
    outcomes = read_outcomes(path)
    failed = [o for o in outcomes if o.error is not None]
    assert len(outcomes) == 8 and len(failed) == 5
    assert {o.status for o in failed} == {"error"} and not any(o.is_right for o in failed)
    assert failed[0].error == "RuntimeError: the model is down"


def test_outcomes_do_not_depend_on_workers(tmp_path: Path) -> None:
    one, four = (
        run_cases([OracleSubject("random")], cases_of(), tmp_path / str(n), settings={}, workers=n)
        for n in (1, 4)
    )
    first, second = (
        [o.to_dict() | {"seconds": 0} for o in read_outcomes(path)] for path in (one, four)
    )
    assert first == second


def test_another_run_does_not_share_a_folder(tmp_path: Path) -> None:
    run_cases([OracleSubject("first")], cases_of(1), tmp_path, settings={"seed": 1})
    with pytest.raises(UsageError, match="seed 1 there, 2 here"):
        run_cases([OracleSubject("first")], cases_of(1), tmp_path, settings={"seed": 2})


def test_a_shuffle_never_leaves_the_words_as_they_were() -> None:
    for seed in range(20):
        assert shuffle_words("the red star", str(seed)) != "the red star"
    assert shuffle_words("star", "0") is None and shuffle_words("a a", "0") is None


def test_items_are_read_back_as_they_were(tmp_path: Path) -> None:
    items = image_items()[:2]
    path = write_items(items, tmp_path / "items.jsonl")
    assert read_items(path) == items
    path.write_bytes(path.read_bytes() + path.read_bytes())
    with pytest.raises(UsageError, match="two items"):
        read_items(path)


def test_a_detector_is_asked_for_the_noun_phrase() -> None:
    text = "the small red star left of the ring"
    assert detector_phrase(text, "head") == "star"
    assert detector_phrase(text, "noun") == "small red star"
    assert detector_phrase(text, "whole") == text


def test_oracles_and_a_detector_are_diagnosed_by_the_verb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["--model", "oracle:attributes", "--model", "detector:scripted"]
    page, table = tmp_path / "page.html", tmp_path / "table.md"
    out = ["--out", str(tmp_path / "run"), "--report", str(page), "--table", str(table)]
    assert main([*RUN, *models, *out, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    oracle, detector = (subject["tables"] for subject in summary["subjects"])
    assert oracle["right"]["estimate"] == 1.0
    assert detector["subject"] == "detector:scripted (noun)"
    assert detector["right"]["estimate"] < 1.0
    assert "<html" in page.read_text() and "| oracle:attributes |" in table.read_text()
    # Nothing is asked again.
    before = (tmp_path / "run" / "results.jsonl").read_bytes()
    assert main([*RUN, *models, *out]) == 0
    assert (tmp_path / "run" / "results.jsonl").read_bytes() == before
    assert "oracle:attributes" in capsys.readouterr().out


def test_results_of_a_run_are_diagnosed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, "--model", "oracle:first", "--out", str(tmp_path), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["subjects"]
    assert main(["diagnose", str(tmp_path / "results.jsonl"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["subjects"] == first


def test_answers_of_somebody_are_scored_against_the_items(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [item for item in image_items() if len(item.target_ids) == 1][:4]
    write_items(items, tmp_path / "items.jsonl")
    rows: list[dict[str, Any]] = [
        {"item": item.id, "box_px": list(item.boxes()[item.target_ids[0]].xyxy)} for item in items
    ]
    # One says that nothing is there, one has a box that ends before it starts, one is missing.
    rows[1] = {"item": items[1].id, "box_px": None}
    rows[2]["box_px"] = rows[2]["box_px"][::-1]
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows[:3]))
    command = ["diagnose", str(answers), "--items", str(tmp_path / "items.jsonl"), "--json"]
    assert main(command) == 0
    (subject,) = json.loads(capsys.readouterr().out)["subjects"]
    assert subject["tables"]["right"] | {"interval": None} == {
        "estimate": 0.25,
        "interval": None,
        "n": 4,
        "clusters": 4,
    }
    assert subject["tables"]["errors"] == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"item": "nobody", "box_px": None}, "no item has 'nobody'"),
        ({"item": "ITEM", "box_px": [1, 2, 3]}, "is no answer"),
        ({"item": "ITEM", "change": "sing"}, "is no answer"),
        ({"colour": "red"}, "is no file of predictions"),
    ],
)
def test_answers_that_are_none_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: dict[str, Any], message: str
) -> None:
    item = image_items()[0]
    write_items([item], tmp_path / "items.jsonl")
    text = json.dumps(row).replace("ITEM", item.id)
    (tmp_path / "answers.jsonl").write_text(text + "\n")
    command = ["diagnose", str(tmp_path / "answers.jsonl"), "--items"]
    assert main([*command, str(tmp_path / "items.jsonl")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "sound"], "--kind must be image or video"),
        (["--model", "oracle:delphi"], "oracle:delphi"),
        (["--variants", "sing"], "'sing' is no change"),
        (["--descriptors", "90"], "no image item can be drawn"),
        (["--phrase", "verb"], "--phrase must be"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    command = [*RUN, "--model", "oracle:first", "--out", str(tmp_path), *options]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_the_frozen_set_is_asked_unless_a_seed_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", "refadv", "--model", "oracle:attributes", "--items", "20"]
    assert main([*command, "--variants", "floor", "--out", str(tmp_path), "--json"]) == 0
    (subject,) = json.loads(capsys.readouterr().out)["subjects"]
    tables = subject["tables"]
    assert tables["items"] == 20 and tables["right"]["estimate"] == 1.0
    # Spread over the set: one of each block.
    assert len(tables["groups"]["family"]) > 3 and len(tables["groups"]["look"]) > 2
    # Its items are not drawn, so that there is nothing to choose.
    assert main([*command, "--families", "count", "--out", str(tmp_path)]) == 2
    # Answers to its items need no file of items; who answers few is told so.
    item = json.loads((tmp_path / "items.jsonl").read_text().splitlines()[0])["id"]
    (tmp_path / "answers.jsonl").write_text(json.dumps({"item": item, "error": "down"}) + "\n")
    capsys.readouterr()
    assert main(["diagnose", str(tmp_path / "answers.jsonl")]) == 0
    assert "1 items of the frozen sets are answered" in capsys.readouterr().err
