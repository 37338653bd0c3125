"""`mmreason bench rl`: every experiment in miniature, runs that are kept, intervals, the page."""

from __future__ import annotations

import dataclasses
import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.cli import main
from mmreason.training.claims import experiment, report, runs
from mmreason.training.claims.statistics import Verdict, compare_paired, estimate_mean
from mmreason.types import UsageError

MINI = experiment.Size(name="mini", shrink=500, held_out=4, staleness=(1, 2), updates=2)
VALUES = st.lists(st.floats(-10, 10), min_size=2, max_size=40)


def _experiment(name: str, *arms: str) -> experiment.Experiment:
    found = runs.EXPERIMENTS[name](MINI)
    kept = [arm for arm in found.arms if not arms or arm.name in arms]
    return dataclasses.replace(found, arms=tuple(kept))


# Statistics


def test_intervals_are_those_of_student() -> None:
    found = estimate_mean([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.mean == 3.0
    # t(0.975, 4) = 2.776, deviation sqrt(2.5), five values.
    assert found.half == pytest.approx(2.776 * math.sqrt(2.5 / 5), abs=1e-3)
    assert estimate_mean([2.0]).high == math.inf
    with pytest.raises(ValueError, match="no values"):
        estimate_mean([])


@given(values=VALUES, shift=st.floats(-5, 5))
def test_intervals_move_with_their_values(values: list[float], shift: float) -> None:
    here, there = estimate_mean(values), estimate_mean([v + shift for v in values])
    assert there.mean == pytest.approx(here.mean + shift, abs=1e-9)
    assert there.half == pytest.approx(here.half, abs=1e-9)
    assert here.low <= here.mean <= here.high


def test_about_one_interval_in_twenty_misses() -> None:
    import random

    draw = random.Random(7)
    tries = [estimate_mean([draw.gauss(0, 1) for _ in range(5)]) for _ in range(2000)]
    missed = sum(not one.low <= 0 <= one.high for one in tries) / len(tries)
    assert missed == pytest.approx(0.05, abs=0.015)


def test_claims_are_judged_within_seeds() -> None:
    base = {0: 0.1, 1: 0.5, 2: 0.9}
    better = {seed: value + 0.05 + seed / 1000 for seed, value in base.items()}
    found = compare_paired(better, base, "higher")
    assert found is not None and found.verdict is Verdict.HOLDS
    found = compare_paired(better, base, "lower")
    assert found is not None and found.verdict is Verdict.REVERSED
    found = compare_paired({0: 0.2, 1: 0.4, 2: 0.9}, base, "higher")
    assert found is not None and found.verdict is Verdict.NOT_SHOWN
    found = compare_paired({0: 0.9, 7: 0.9}, base, "higher")
    assert found is not None and found.verdict is Verdict.NOT_SHOWN  # one seed shows nothing
    assert compare_paired({8: 1.0}, base, "higher") is None


# Runs


@pytest.mark.parametrize(
    "name",
    [
        # These ask whole worlds, which takes up to twenty seconds.
        pytest.param(name, marks=pytest.mark.full) if name in ("navigation", "nano") else name
        for name in runs.EXPERIMENTS
    ],
)
def test_every_experiment_runs_and_is_told(name: str, tmp_path: Path) -> None:
    tried = _experiment(name)
    rows = runs.run_missing(tried, [0], tmp_path / "runs")
    assert {row.arm for row in rows} == {arm.name for arm in tried.arms}
    for row in rows:
        assert set(tried.figures) <= set(row.figures)
        assert all(math.isfinite(value) for value in row.figures.values())
        trained = not row.arm.startswith("start")
        assert bool(row.curves) == trained
        # Where no attempt earned more than another there was no update to take figures of.
        shown = [v.metric for v in tried.views if not v.metric.startswith("entropy")]
        assert all(metric in row.curves for metric in shown) or not trained
    found = report.ExperimentResult(experiment=tried, runs=rows)
    report.write_results([found], "mini", tmp_path)
    page = (tmp_path / "rl.md").read_text()
    assert tried.title in page and f"--only {name} --seeds 1`" in page
    assert all(claim.text in page for claim in tried.claims)
    assert f"rl_{name}.svg" in page
    ET.parse(tmp_path / f"rl_{name}.svg")
    told = json.loads((tmp_path / "rl.json").read_text())["experiments"][0]
    assert len(told["runs"]) == len(rows) and len(told["claims"]) == len(tried.claims)
    assert not list((tmp_path / "runs").glob("unfinished*"))


def test_finished_runs_are_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = _experiment("staleness", "start", "grpo N=1", "vespo N=2")
    first = runs.run_missing(tried, [0], tmp_path)
    path = tmp_path / "runs.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    # An interruption in the middle of the last line: that run alone is done again.
    path.write_text("".join(lines[:-1]) + lines[-1][:50])
    done = []
    run_arm = runs.run_arm
    monkeypatch.setattr(
        runs,
        "run_arm",
        lambda e, arm, seed, folder: done.append((arm.name, seed)) or run_arm(e, arm, seed, folder),
    )
    again = runs.run_missing(tried, [0], tmp_path)
    assert done == [("vespo N=2", 0)]
    # Bit for bit the same, but for the time.
    strip = {row.arm: (row.figures, row.curves) for row in first}
    assert {row.arm: (row.figures, row.curves) for row in again} == strip
    runs.run_missing(tried, [0, 1], tmp_path)
    assert done[1:] == [(arm.name, 1) for arm in tried.arms]
    other = dataclasses.replace(MINI, updates=4)
    larger = runs.EXPERIMENTS["staleness"](other)
    names = {arm.name for arm, _ in runs.find_missing(larger, [0], runs.read_runs(path))}
    assert "grpo N=1" in names and "start" not in names


def test_a_file_that_holds_no_runs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text('{"a": 1}\n')
    with pytest.raises(UsageError, match="line 1: is no run"):
        runs.read_runs(path)


# The page


def _finding(values: dict[str, list[float]]) -> report.ExperimentResult:
    tried = _experiment("staleness")
    rows = [
        runs.ArmRun(
            experiment="staleness",
            arm=arm,
            seed=seed,
            digest="x",
            figures={"pass@1": value, "pass@16": value, "length": 3.0},
            curves={"reward/correct": (0.1, value)},
            skipped=0,
            seconds=1.0,
        )
        for arm, held in values.items()
        for seed, value in enumerate(held)
    ]
    return report.ExperimentResult(experiment=tried, runs=rows)


def test_the_page_says_what_holds_and_what_does_not() -> None:
    found = _finding(
        {
            "vespo N=1": [0.9, 0.8, 0.85],
            "vespo N=2": [0.8, 0.7, 0.75],
            "grpo N=2": [0.5, 0.4, 0.45],
            "sapo N=2": [0.9, 0.81, 0.85],
            "gspo N=2": [0.9, 0.5, 0.8],
        }
    )
    verdicts = {text: verdict for text, _, _, verdict in report.verdict_rows(found)}
    assert verdicts["At N = 2, VESPO is above GRPO."] == "holds"
    assert verdicts["At N = 2, VESPO is above SAPO."] == "the other way round"
    assert verdicts["At N = 2, VESPO is above GSPO."] == "not shown"
    assert "At N = 2, VESPO is above CISPO." not in verdicts  # no runs of it
    page = report.render_markdown([found], "mini")
    assert "| vespo | 0.850 (0.726 to 0.974) | 0.750 (0.626 to 0.874) |" in page
    assert "**the other way round**" in page


def test_charts_have_a_line_for_each_arm() -> None:
    result = _finding({"vespo N=1": [0.9, 0.8], "grpo N=1": [0.5, 0.4]})
    root = ET.fromstring(report.draw_learning_curves(result))
    lines = [e for e in root if e.tag.endswith("polyline") and e.get("stroke-width") == "1.5"]
    assert len(lines) == 2 and all(len(line.attrib["points"].split()) == 2 for line in lines)
    titles = [e.text for e in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "grpo: 0.100 (0.100 to 0.100)" in titles and "vespo: 0.850 (0.215 to 1.485)" in titles
    no_runs = dataclasses.replace(result, runs=[])
    assert report.draw_learning_curves(no_runs) == ""


def test_unknown_experiments_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "rl", "--only", "ppo"]) != 0
    assert "staleness" in capsys.readouterr().err


@pytest.mark.full
def test_the_command_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(experiment, "QUICK", MINI)
    call = [
        "bench",
        "rl",
        "--quick",
        "--only",
        "navigation",
        "--seeds",
        "1",
        "--out",
        str(tmp_path),
    ]
    assert main([*call, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["experiments"]] == ["navigation"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "rl.json",
        "rl.md",
        "rl-runs",
        "rl_navigation.svg",
    }
    lines = (tmp_path / "rl-runs" / "runs.jsonl").read_text()
    assert main(call) == 0  # nothing is left to do
    assert (tmp_path / "rl-runs" / "runs.jsonl").read_text() == lines
    # Another experiment is added to the page.
    run = {"experiment": "stapo", "arm": "start", "seed": 0, "skipped": 0, "seconds": 1.0}
    run |= {"figures": {"pass@1": 0.5, "hard": 0.1, "fillers": 0.0, "length": 3.0}, "curves": {}}
    stapo = _experiment("stapo", "start").arms[0]
    line = json.dumps(run | {"digest": runs.digest_arm(stapo, 0)}) + "\n"
    (tmp_path / "rl-runs" / "runs.jsonl").write_text(lines + line)
    assert main(call) == 0
    assert "Rare spurious tokens" in (tmp_path / "rl.md").read_text()
    assert "not shown" in capsys.readouterr().out
