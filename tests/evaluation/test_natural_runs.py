"""Runs of the natural benchmark: resumed, compared with direct viewing, written as a table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mmreason.cli import app
from mmreason.evaluation.natural import runner
from mmreason.evaluation.natural.methods import parse_method, without_stage
from mmreason.evaluation.natural.outcomes import NaturalOutcome
from mmreason.evaluation.natural.runner import NaturalPlan, read_outcomes, run_plan
from mmreason.evaluation.natural.summary import (
    build_rows,
    compare,
    compare_languages,
    score_abstention,
    select,
)
from mmreason.types import UsageError

PLAN = NaturalPlan(
    videos=2,
    durations_s=(300.0,),
    runs=(("perfect", "even_32"), ("stubborn", "even_32")),
    languages=("en", "de"),
    most_items=7,
)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[NaturalOutcome]:
    folder = tmp_path_factory.mktemp("natural")
    return read_outcomes(run_plan(PLAN, folder))


def test_an_outcome_is_the_same_from_its_json(outcomes: list[NaturalOutcome]) -> None:
    for outcome in outcomes:
        text = json.dumps(outcome.to_dict())
        assert NaturalOutcome.from_dict(json.loads(text)).to_dict() == outcome.to_dict()


def test_every_observer_method_language_and_item_is_measured_once(
    outcomes: list[NaturalOutcome],
) -> None:
    assert len(outcomes) == 2 * 2 * 2 * 7
    keys = {(o.observer, o.method, o.item.id) for o in outcomes}
    assert len(keys) == len(outcomes)
    assert len({o.item.pair for o in outcomes}) == 14


def test_a_perfect_observer_beats_one_that_always_picks_the_first(
    outcomes: list[NaturalOutcome],
) -> None:
    rows = {row.observer: row for row in build_rows(outcomes)}
    assert rows["perfect"].right[0] > 0.8 > 0.5 > rows["stubborn"].right[0]
    assert rows["perfect"].right[1] <= rows["perfect"].right[0] <= rows["perfect"].right[2]
    assert rows["stubborn"].abstention_f1 == 0.0
    assert rows["perfect"].frames.value == 32.0
    gain, low, _ = compare(
        select(outcomes, "perfect", "even_32"), select(outcomes, "stubborn", "even_32")
    )
    assert gain > 0.3 and low > 0.0


def test_languages_are_compared_on_the_same_items(outcomes: list[NaturalOutcome]) -> None:
    of_perfect = select(outcomes, "perfect", "even_32")
    assert compare_languages(of_perfect, "de", "en")[0] == pytest.approx(0.0)
    spoiled = [
        replace(o, choice=None, text="", stop_reason="failed", error="lost")
        if o.item.language == "de"
        else o
        for o in of_perfect
    ]
    assert compare_languages(spoiled, "de", "en")[0] < -0.7


def test_a_failure_is_neither_right_nor_an_abstention(outcomes: list[NaturalOutcome]) -> None:
    empty = next(o for o in outcomes if not o.item.is_answerable and o.observer == "perfect")
    assert empty.is_right and empty.abstained
    failed = replace(empty, error="OSError: gone")
    assert not failed.is_right and not failed.abstained
    assert score_abstention([empty]) == 1.0 and score_abstention([failed]) == 0.0


def test_evidence_is_right_where_a_frame_lies_in_the_gold(outcomes: list[NaturalOutcome]) -> None:
    outcome = next(o for o in outcomes if o.is_right and o.item.rule == "any")
    gold = outcome.item.gold_spans[0]
    inside = replace(outcome, evidence=((gold, (gold.middle_s,)),))
    # A long stretch around the gold of which no frame shows it proves nothing.
    beside = replace(outcome, evidence=((gold, (gold.end_s + 1.0,)),))
    said = replace(outcome, evidence=((gold, ()),))
    assert [o.is_grounded for o in (inside, beside, said)] == [True, False, True]


def test_a_run_that_was_cut_short_goes_on_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(PLAN, runs=(("perfect", "even_16"),), languages=("en",))
    asked = []

    def ask_five(*arguments: Any) -> NaturalOutcome:
        if len(asked) == 5:
            raise KeyboardInterrupt
        asked.append(arguments)
        return outcome_of_item(*arguments)

    outcome_of_item = runner._outcome
    monkeypatch.setattr(runner, "_outcome", ask_five)
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, tmp_path)
    results = tmp_path / "results.jsonl"
    whole = results.read_bytes()
    assert whole.count(b"\n") == 5
    results.write_bytes(whole[:-30])  # the last line is torn
    monkeypatch.setattr(runner, "_outcome", outcome_of_item)
    seen: list[tuple[int, int]] = []
    run_plan(plan, tmp_path, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (5, 14) and seen[-1] == (14, 14)
    assert len(read_outcomes(results)) == 14


def test_a_folder_of_another_seed_is_refused(tmp_path: Path) -> None:
    plan = replace(PLAN, videos=1, most_items=1, languages=("en",))
    run_plan(plan, tmp_path)
    with pytest.raises(UsageError, match="seed 0 there, 1 here"):
        run_plan(replace(plan, seed=1), tmp_path)


def test_policies_are_compared_with_as_many_even_frames(tmp_path: Path) -> None:
    plan = replace(PLAN, videos=1, runs=(("perfect", "auto"),), languages=("en",), most_items=4)
    outcomes = read_outcomes(run_plan(plan, tmp_path))
    rows = {row.method: row for row in build_rows(outcomes)}
    (even,) = (name for name in rows if name.startswith("even_"))
    assert even == f"even_{round(rows['auto'].frames.value)}"
    assert rows["auto"].failed == 0 and sum(rows["auto"].policies.values()) == 4


def test_a_strong_reasoner_plays_the_tool_loop_by_what_tools_answer(tmp_path: Path) -> None:
    plan = replace(
        PLAN,
        videos=1,
        runs=(("perfect", "tool_loop@strong"),),
        languages=("de",),
        most_items=5,
        compare_even=False,
    )
    outcomes = read_outcomes(run_plan(plan, tmp_path))
    assert [o.error for o in outcomes] == [None] * 5
    assert sum(o.is_right for o in outcomes) >= 4
    assert all(o.policy == "tool_loop" and 1 <= o.turns <= 8 for o in outcomes)


def test_an_index_is_made_once_a_video_and_its_frames_are_told_beside(tmp_path: Path) -> None:
    runs = (("perfect", "scripted_search+index"),)
    plan = replace(PLAN, videos=1, runs=runs, languages=("en",), most_items=4, compare_even=False)
    outcomes = read_outcomes(run_plan(plan, tmp_path))
    assert [o.error for o in outcomes] == [None] * 4
    assert len({o.index_frames for o in outcomes}) == 1
    (row,) = build_rows(outcomes)
    assert row.index_frames == outcomes[0].index_frames / 4 > 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clever", "is no method"),
        ("even_0", "shows no frame"),
        ("greedy-check", "no stages"),
        ("auto-sleep", "no stage"),
        ("auto@genius", "no such reasoner"),
    ],
)
def test_methods_that_do_not_exist_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_method(name)


def test_the_name_of_a_method_is_read_back() -> None:
    for name in ("even_64", "greedy", "auto-check-score", "tool_loop-search+index@strong"):
        assert parse_method(name).name == name
    assert without_stage(parse_method("auto@strong"), "check").name == "auto-check@strong"


def test_the_verb_writes_page_summary_and_table(tmp_path: Path) -> None:
    table = tmp_path / "natural.md"
    arguments = ["eval", "natural", "--observer", "perfect", "--policy", "direct", "--without"]
    arguments += ["check", "--even", "8", "--videos", "1", "--lengths", "5m", "--items", "2"]
    arguments += ["--language", "en,zh", "--out", str(tmp_path / "run"), "--table", str(table)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "direct-check" in result.output and "even_8" in result.output
    text = table.read_text(encoding="utf-8")
    assert "| perfect | `direct` |" in text and "in zh to en" in text
    assert "mmreason eval natural --observer perfect --policy direct --without check" in text
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert {row["method"] for row in summary["rows"]} >= {"direct", "direct-check", "even_8"}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<svg" in page and "direct-check" in page and "<script" not in page
