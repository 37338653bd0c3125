"""The log of a run on disk: every step's figures, and the newest steps' samples.

A step is in the file before `write` returns, whole or not at all, so that a run killed anywhere
loses none it has told of. The format of a line is `rows`', reading a log `runs`'.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmreason.json_lines import JsonLine, append_lines, mend_last_line
from mmreason.training.monitoring.rows import (
    encode_sample,
    encode_step,
    parse_step,
    read_rows,
)
from mmreason.training.runs.events import StepReport
from mmreason.types import UsageError
from mmreason.video.files import write_atomic

METRICS_FILE = "metrics.jsonl"
SAMPLES_FILE = "samples.jsonl"


class RunLog:
    """Appends to `metrics.jsonl` and `samples.jsonl` in `folder`.

    Example::

        log = RunLog(Path("runs/dapo"), after_step=0)
        for report in rl.train(recipe):
            log.write(report)

    `after_step` is the step whose checkpoint the run goes on from, 0 for a new run: later rows, of
    steps that will be taken again, are cut away, and so is a last line that was cut short. Without
    it this is done at the first `write`, whose step is then taken for the next one. Of
    `samples.jsonl` at least the newest `keep_samples` steps are kept and at most twice as many.
    Raises UsageError for limits below 1, OSError where the folder cannot be written.
    """

    def __init__(
        self, folder: Path, *, after_step: int | None = None, keep_samples: int = 20
    ) -> None:
        if (after_step or 0) < 0 or keep_samples < 1:
            raise UsageError(
                f"a log needs after_step >= 0 and keep_samples >= 1, got {after_step} and "
                f"{keep_samples}"
            )
        self.folder = folder
        self._keep_samples = keep_samples
        folder.mkdir(parents=True, exist_ok=True)
        self._sample_steps: set[int] = set()
        self._step: int | None = None
        # Otherwise the first step that is written tells where the log goes on.
        if after_step is not None:
            self._resume(after_step)

    def write(self, report: StepReport) -> None:
        """Append a step. Raises UsageError for a step that is in the log already, and OSError
        where the disk is full: nothing of the step is in the file then."""
        if self._step is None:
            self._resume(report.step - 1)
        assert self._step is not None
        if report.step <= self._step:
            raise UsageError(
                f"{self.folder}: step {report.step} comes after step {self._step} in the log; "
                "open it with after_step"
            )
        if report.samples:
            lines = b"".join(encode_sample(report.step, view) for view in report.samples)
            self._sample_steps.add(report.step)
            append_lines(self.folder / SAMPLES_FILE, lines)
        # Last, so that a step with figures has its samples too.
        append_lines(self.folder / METRICS_FILE, encode_step(report))
        self._step = report.step
        # Twice what is kept, so that the file is not written anew at every step.
        if len(self._sample_steps) > 2 * self._keep_samples:
            self._forget_samples()

    def _resume(self, after_step: int) -> None:
        def is_later(step: int) -> bool:
            return step > after_step

        _drop_steps(self.folder / METRICS_FILE, is_later)
        self._sample_steps = _drop_steps(self.folder / SAMPLES_FILE, is_later)
        lines = read_rows(self.folder / METRICS_FILE, parse_step)
        steps = (line.row.step for line in lines if isinstance(line, JsonLine))
        self._step = max(steps, default=0)

    def _forget_samples(self) -> None:
        newest = set(sorted(self._sample_steps)[-self._keep_samples :])
        _drop_steps(self.folder / SAMPLES_FILE, lambda step: step not in newest)
        self._sample_steps = newest


def _drop_steps(path: Path, is_dropped: Callable[[int], bool]) -> set[int]:
    """Drop rows by their step; returns the steps that stay. Lines that cannot be read stay where
    they are, for whoever mends them, except a torn last one."""
    mend_last_line(path)
    steps: set[int] = set()
    dropped: list[tuple[int, int]] = []
    for line in read_rows(path, _step_of):
        if not isinstance(line, JsonLine):
            continue
        if is_dropped(line.row):
            dropped.append((line.start_byte, line.end_byte))
        else:
            steps.add(line.row)
    if dropped:
        # By bytes, so that what stays is not altered, unreadable lines least of all.
        data = path.read_bytes()
        starts = [0, *(end for _, end in dropped)]
        ends = [*(start for start, _ in dropped), len(data)]
        pieces = (data[start:end] for start, end in zip(starts, ends, strict=True))
        write_atomic(path, b"".join(pieces))
    return steps


def _step_of(row: dict[str, Any]) -> int:
    if not isinstance(row.get("step"), int):
        raise ValueError("holds no step")
    return row["step"]
