"""The live table and the trackers."""

from __future__ import annotations

import importlib.util
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mmreason.training.monitoring.live import LiveTable, draw_sparkline, format_step
from mmreason.training.monitoring.runs import Run
from mmreason.training.monitoring.trackers import Trackers, check_trackers
from mmreason.training.monitoring.watch import watch_steps
from mmreason.training.runs.events import StepReport
from mmreason.types import UsageError
from tests.fakes.made_up_runs import reports


def _console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=110, color_system=None)


def _shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_terminal_every_step_is_one_line() -> None:
    console = _console(terminal=False)
    made = list(reports(71))
    with LiveTable(console) as live:
        for report in made[-3:]:
            live.show(report)
    lines = _shown(console).splitlines()
    assert lines == [
        format_step(made[-3]),
        format_step(made[-2]),
        "warning: step 70: update 70: skipped, the loss of clip-7 was nan",
        format_step(made[-1]),
    ]
    assert re.match(r"step 71 of 71: reward \S+, correct \S+, entropy \S+, length ", lines[-1])


def test_on_a_terminal_the_newest_steps_a_sparkline_and_warnings_stand() -> None:
    console = _console(terminal=True)
    with LiveTable(console) as live:
        for report in reports(75):
            live.show(report)
    last = _shown(console).rpartition("step 75 of 75")[2]
    assert re.search(r"reward [▁▂▃▄▅▆▇█]{40}", last)
    assert [int(n) for n in re.findall(r"^(\d+) ", last, re.MULTILINE)] == list(range(68, 76))
    assert "step 70: update 70: skipped" in last and "tokens/s" in last


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interruption_leaves_the_terminal_as_it_was(error: type[BaseException]) -> None:
    console = _console(terminal=True)
    with pytest.raises(error), LiveTable(console) as live:
        for report in reports(3):
            live.show(report)
        raise error
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    text = _shown(console)
    assert text.count(hidden) == text.count(shown) == 1 and text.rindex(shown) > text.index(hidden)


@pytest.mark.parametrize("terminal", [True, False])
def test_warnings_cannot_control_the_terminal(terminal: bool) -> None:
    console = _console(terminal=terminal)
    (report,) = reports(1)
    with LiveTable(console) as live:
        live.show(
            replace(report, warnings=("clip \x1b]0;owned\x07\x9b2J [red]x[/red]" + "a" * 999,))
        )
    text = _shown(console)
    assert not re.search("\x1b\\]|\x07|\x9b", text)
    assert "[red]x[/red]" in text and "…" in text and "a" * 200 not in text.replace("\n", "")


def test_a_step_without_figures_is_shown() -> None:
    for terminal in (True, False):
        with LiveTable(_console(terminal=terminal)) as live:
            live.show(StepReport(step=1, steps=2, metrics={}))


def test_sparklines_follow_the_values() -> None:
    assert draw_sparkline([]) == "" and draw_sparkline([3.0, 3.0]) == "▁▁"
    assert draw_sparkline([float(i) for i in range(8)]) == "▁▂▃▄▅▆▇█"
    assert len(draw_sparkline([float(i % 7) for i in range(1000)], width=10)) == 10


def test_unknown_and_missing_trackers_are_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"no tracker 'tensorbord'; there are tensorboard, wandb"):
        check_trackers(["tensorbord"])
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", list)
    with pytest.raises(UsageError, match="the tracker wandb is not installed; pip install wandb"):
        watch_steps([], Path(), trackers=["wandb"])
    with pytest.raises(UsageError, match=r"trackio are not installed; pip install wandb trackio$"):
        check_trackers(["wandb", "trackio", "wandb"])
    assert check_trackers([]) == ()


needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed"
)


@needs_tensorboard
def test_tensorboard_gets_every_figure_and_forgets_what_is_taken_again(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = list(reports(6, samples=0))
    with Trackers(["tensorboard"], tmp_path) as trackers:
        for report in made:
            trackers.log(report)
    again = list(reports(6, samples=0, seed=1))
    with Trackers(["tensorboard"], tmp_path, after_step=4) as trackers:
        for report in again[4:]:
            trackers.log(report)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {name for report in made for name in report.metrics}
    wanted = [*made[:4], *again[4:]]
    for name in ("reward/mean", "entropy/mean"):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in found] == [1, 2, 3, 4, 5, 6]
        assert [v for _, v in found] == pytest.approx([r.metrics[name] for r in wanted], rel=1e-6)


@needs_tensorboard
def test_settings_are_stored_once(tmp_path: Path) -> None:
    for after_step in (0, 3):
        settings = {"objective": "dapo", "samples": 8}
        with Trackers(["tensorboard"], tmp_path, after_step=after_step, settings=settings):
            pass
    (stored,) = (tmp_path / "tensorboard").rglob("hparams.yml")
    assert "objective: dapo" in stored.read_text()


def test_no_tracker_needs_no_library(tmp_path: Path) -> None:
    with Trackers([], tmp_path) as trackers:
        trackers.log(StepReport(step=1, steps=1, metrics={"a/b": 1.0}))
    assert list(tmp_path.iterdir()) == []


@needs_tensorboard
def test_one_process_of_several_tracks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.PartialState.is_main_process", False)
    with Trackers(["tensorboard"], tmp_path) as trackers:
        trackers.log(StepReport(step=1, steps=1, metrics={"a/b": 1.0}))
    assert list(tmp_path.iterdir()) == []


@needs_tensorboard
def test_a_watched_run_is_logged_tracked_and_shown(tmp_path: Path) -> None:
    console = _console(terminal=False)
    made = list(reports(4))
    with LiveTable(console) as table:
        passing = watch_steps(made, tmp_path, trackers=["tensorboard"], table=table)
        for report in passing:
            assert Run.read(tmp_path).done == report.step
    again = list(watch_steps(made[2:3], tmp_path, table=table))
    assert again == made[2:3] and Run.read(tmp_path).done == 3
    assert len(_shown(console).splitlines()) == 5
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_a_finished_run_that_is_resumed_keeps_its_log(tmp_path: Path) -> None:
    for _ in watch_steps(reports(4), tmp_path):
        pass
    assert list(watch_steps([], tmp_path)) == [] and Run.read(tmp_path).done == 4
