"""A run's steps on their way through: into its log, to trackers, onto the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from mmreason.training.monitoring.live import LiveTable
from mmreason.training.monitoring.run_log import RunLog
from mmreason.training.monitoring.trackers import Setting, Trackers, check_trackers
from mmreason.training.runs.events import StepReport


def watch_steps(
    reports: Iterable[StepReport],
    folder: Path,
    *,
    trackers: Sequence[str] = (),
    settings: Mapping[str, Setting] | None = None,
    table: LiveTable | None = None,
) -> Iterator[StepReport]:
    """Every report of `reports`, logged in `folder` and shown before it is passed on.

    The first one's step tells where the run goes on: what the log has of it and of later ones is
    cut away. `table` must be entered; `settings` are told to the trackers of a new run. In a run of
    several processes, for the main one only. Raises UsageError for trackers that are unknown or
    not installed, at once; OSError where the disk is full.
    """
    return _watch(reports, folder, check_trackers(trackers), settings, table)


def _watch(
    reports: Iterable[StepReport],
    folder: Path,
    names: tuple[str, ...],
    settings: Mapping[str, Setting] | None,
    table: LiveTable | None,
) -> Iterator[StepReport]:
    # The log first: what follows may fail.
    log = RunLog(folder)
    tracking: Trackers | None = None
    with ExitStack() as stack:
        for report in reports:
            log.write(report)
            if tracking is None:
                # Not before the first step is done: by then the trainer has its processes.
                tracking = stack.enter_context(
                    Trackers(names, folder, after_step=report.step - 1, settings=settings)
                )
            tracking.log(report)
            if table is not None:
                table.show(report)
            yield report
