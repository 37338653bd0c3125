"""The log of a run: no row is lost, none is torn, and no file can harm its reader."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.json_lines import JsonLine, JsonLineError
from mmreason.training.monitoring import Run, RunLog
from mmreason.training.monitoring.rows import parse_sample, parse_step, read_rows
from mmreason.training.monitoring.run_log import METRICS_FILE, SAMPLES_FILE
from mmreason.training.rollouts.types import Role
from mmreason.training.runs.events import SampleToken, StepReport
from mmreason.types import UsageError
from tests.fakes.made_up_runs import reports

ROOT = Path(__file__).parents[3]


def _logged(folder: Path, steps: int = 6, **limits: int) -> list[StepReport]:
    log = RunLog(folder, **limits)
    made = list(reports(steps))
    for report in made:
        log.write(report)
    return made


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    made = _logged(tmp_path)
    run = Run.read(tmp_path)
    assert run.steps == tuple(replace(report, samples=()) for report in made)
    assert (run.done, run.planned, run.damaged) == (6, 6, ())
    for report in made:
        for view, found in zip(report.samples, run.samples[report.step], strict=True):
            assert (found.problem, found.correct, found.components) == (
                view.problem,
                view.correct,
                view.components,
            )
            wrote = [t for row in view.sequences for t in row if t.role is Role.ASSISTANT]
            read = [t for row in found.sequences for t in row if t.role is Role.ASSISTANT]
            assert [(t.text, t.silenced) for t in read] == [(t.text, t.silenced) for t in wrote]
            told = [t.logprob or 0.0 for t in wrote]
            assert [t.logprob for t in read] == pytest.approx(told, rel=1e-5)


def test_a_step_is_in_the_file_when_write_returns(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for report in reports(3):
        log.write(report)
        assert Run.read(tmp_path).done == report.step


def test_long_runs_of_a_token_are_told_in_one(tmp_path: Path) -> None:
    _logged(tmp_path, 1)
    (row,) = Run.read(tmp_path).samples[1][0].sequences
    assert [t.text for t in row if "<frame>" in t.text] == ["<frame> \N{MULTIPLICATION SIGN} 256"]


def test_the_middle_of_an_endless_sequence_is_left_out_and_told(tmp_path: Path) -> None:
    (report,) = reports(1, samples=1)
    token = SampleToken(text="a", role=Role.ASSISTANT, logprob=-1.0)
    view = replace(report.samples[0], sequences=((token,) * 10_000,))
    RunLog(tmp_path).write(replace(report, samples=(view,)))
    (row,) = Run.read(tmp_path).samples[1][0].sequences
    assert len(row) == 4097
    assert row[2048].text == " [5,904 tokens are not shown] "


def test_resuming_cuts_later_steps_and_goes_on(tmp_path: Path) -> None:
    made = _logged(tmp_path)
    log = RunLog(tmp_path, after_step=4)
    run = Run.read(tmp_path)
    assert run.done == 4 and set(run.samples) == {1, 2, 3, 4}
    for report in made[4:]:
        log.write(report)
    assert Run.read(tmp_path).steps == tuple(replace(report, samples=()) for report in made)


def test_the_first_step_written_tells_where_the_run_goes_on(tmp_path: Path) -> None:
    made = _logged(tmp_path)
    log = RunLog(tmp_path)
    assert Run.read(tmp_path).done == 6
    log.write(made[3])
    run = Run.read(tmp_path)
    assert run.done == 4 and set(run.samples) == {1, 2, 3, 4}


def test_a_step_is_never_written_twice(tmp_path: Path) -> None:
    made = _logged(tmp_path)
    before = (tmp_path / METRICS_FILE).read_bytes()
    with pytest.raises(UsageError, match="step 6 comes after step 6"):
        RunLog(tmp_path, after_step=6).write(made[-1])
    assert (tmp_path / METRICS_FILE).read_bytes() == before


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.integers(0, 6))
def test_a_log_cut_anywhere_is_mended(lost: int, after_step: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = _logged(folder, 4)
        for path in (folder / METRICS_FILE, folder / SAMPLES_FILE):
            path.write_bytes(path.read_bytes()[:-lost])
        RunLog(folder, after_step=after_step)
        run = Run.read(folder)
        assert run.damaged == ()
        whole = 4 if lost == 1 else 3  # only the line's end was cut: nothing is lost
        assert [step.step for step in run.steps] == [s + 1 for s in range(min(whole, after_step))]
        assert all(step <= after_step for step in run.samples)
        for report in made[run.done :]:
            RunLog(folder, after_step=run.done).write(report)
            run = Run.read(folder)
        assert run.done == 4


def test_damage_in_the_middle_stays_for_its_owner_and_is_told(tmp_path: Path) -> None:
    _logged(tmp_path)
    path = tmp_path / METRICS_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"\x00 rubbish \r half\n"
    path.write_bytes(b"".join(lines))
    RunLog(tmp_path, after_step=5)
    assert path.read_bytes() == b"".join(lines[:5])
    run = Run.read(tmp_path)
    assert [step.step for step in run.steps] == [1, 2, 4, 5]
    (error,) = run.damaged
    assert (error.path, error.line) == (path, 3) and str(error).startswith(f"{path}, line 3: ")


def test_samples_of_the_newest_steps_are_kept(tmp_path: Path) -> None:
    _logged(tmp_path, 12, keep_samples=3)
    run = Run.read(tmp_path)
    kept = sorted(run.samples)
    assert 3 <= len(kept) <= 6 and kept == list(range(13 - len(kept), 13))
    assert run.done == len(run.steps) == 12


def test_figures_that_are_not_finite_are_told_and_not_logged(tmp_path: Path) -> None:
    report = StepReport(step=1, steps=2, metrics={"a/b": float("nan"), "a/c": 1.0})
    RunLog(tmp_path).write(report)
    (step,) = Run.read(tmp_path).steps
    assert step.metrics == {"a/c": 1.0} and step.warnings == ("a/b was nan: not logged",)


_FULL = """
import resource, signal, sys
from pathlib import Path
from mmreason.training.monitoring import RunLog
from tests.fakes.made_up_runs import reports
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
log = RunLog(folder)
for report in reports(9, samples=0):
    size = sum(f.stat().st_size for f in folder.iterdir())
    if report.step == 5:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
    try:
        log.write(report)
    except OSError:
        print(report.step)
        break
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.write(report)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX's")
def test_a_full_disk_leaves_no_half_row(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL, tmp_path], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr
    run = Run.read(tmp_path)
    assert [step.step for step in run.steps] == [1, 2, 3, 4, 5] and run.damaged == ()


def test_half_a_surrogate_pair_is_read_as_the_sign_for_what_is_no_character(tmp_path: Path) -> None:
    (report,) = reports(1, samples=1)
    view = replace(report.samples[0], question="\ud83d?")
    RunLog(tmp_path).write(replace(report, samples=(view,)))
    run = Run.read(tmp_path)
    assert run.samples[1][0].question == "\ufffd?"
    assert run.save_html(tmp_path / "page.html").read_text(encoding="utf-8")


_KEYS = st.sampled_from(["step", "steps", "metrics", "sequences", "problem", "reward", "x"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40) | _JSON.map(lambda v: json.dumps(v).encode()), max_size=8))
def test_no_line_can_do_worse_than_be_told(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / METRICS_FILE
        data = b"\n".join(lines)
        path.write_bytes(data)
        count = sum(bool(line.strip()) for line in data.split(b"\n"))
        for parse in (parse_step, parse_sample):
            rows = list(read_rows(path, parse))
            assert len(rows) == count
            assert all(isinstance(row, JsonLineError | JsonLine) for row in rows)
        RunLog(Path(name))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[" * 100_000, "brackets inside each other"),
        ("[1]", "expected a JSON object, found list"),
        ('{"step": 1, "steps": 2, "metrics": {"a": NaN}}', "finite number"),
        ('{"step": 1, "steps": 2, "metrics": {"a": 1e999}}', "finite number"),
        ('{"step": 1, "steps": 2, "metrics": {"a": ' + "9" * 400 + "}}", "400 digits"),
        ('{"step": 1, "steps": 2, "metrics": {"a": true}}', "finite number"),
        ('{"step": 0, "steps": 2, "metrics": {}}', "1 or more"),
        ('{"step": "1", "steps": 2, "metrics": {}}', "whole number"),
        ('{"step": 1, "steps": 2}', "'metrics' must be an object"),
        ('{"step": 1, "steps": 2, "metrics": {"a\\u001b[2J": 1}}', "no name of a figure"),
    ],
)
def test_what_is_wrong_is_said(line: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / METRICS_FILE
    path.write_text(line + "\n")
    (error,) = read_rows(path, parse_step)
    assert isinstance(error, JsonLineError) and error.line == 1
    assert re.search(reason, str(error))
    with pytest.raises(UsageError, match="none of its 1 lines can be read"):
        Run.read(tmp_path)


def test_a_folder_without_a_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no metrics\.jsonl"):
        Run.read(tmp_path)


def test_finals_are_means_of_the_end_and_best_is_the_largest(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for step in range(1, 21):
        value = 9.0 if step == 3 else float(step % 2)
        figures = {"reward/mean": value, "entropy/mean": value}
        log.write(StepReport(step=step, steps=20, metrics=figures))
    run = Run.read(tmp_path)
    final = run.final("reward/mean")
    assert final is not None
    assert (final.last, final.mean, final.best, final.best_step) == (0.0, 0.5, 9.0, 3)
    entropy = run.final("entropy/mean")
    assert entropy is not None and entropy.best is None
    assert run.final("no/such") is None
