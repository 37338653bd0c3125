"""The log of a run on disk: every step's figures, and the newest steps' samples.

A step is in the file before `write` returns, whole or not at all, so that a run killed anywhere
loses none it has told of. The format of a line is `rows`', reading a log `runs`'.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

from mmreason.training.monitoring.rows import (
    LogError,
    encode_sample,
    encode_step,
    parse_step,
    read_rows,
)
from mmreason.training.rl.events import StepReport
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
            _append(self.folder / SAMPLES_FILE, lines)
        # Last, so that a step with figures has its samples too.
        _append(self.folder / METRICS_FILE, encode_step(report))
        self._step = report.step
        if len(self._sample_steps) > 2 * self._keep_samples:
            self._forget_samples()

    def _resume(self, after_step: int) -> None:
        self._cut(self.folder / METRICS_FILE, after_step)
        self._sample_steps = self._cut(self.folder / SAMPLES_FILE, after_step)
        rows = read_rows(self.folder / METRICS_FILE, parse_step)
        self._step = max((row.step for row in rows if not isinstance(row, LogError)), default=0)

    def _cut(self, path: Path, after_step: int) -> set[int]:
        """Drop rows of later steps; returns the steps that are left. Lines that cannot be read stay
        where they are, for whoever mends them, except a torn last one."""
        if not path.is_file():
            return set()
        data = path.read_bytes()
        lines: list[bytes] = []
        steps: set[int] = set()
        for line in io.BytesIO(data):
            step = _step_of(line)
            if step is None and not line.endswith(b"\n"):
                continue
            if step is not None and step > after_step:
                continue
            lines.append(line if line.endswith(b"\n") else line + b"\n")
            steps |= set() if step is None else {step}
        whole = b"".join(lines)
        if whole != data:
            write_atomic(path, whole)
        return steps

    def _forget_samples(self) -> None:
        newest = set(sorted(self._sample_steps)[-self._keep_samples :])
        path = self.folder / SAMPLES_FILE
        lines = io.BytesIO(path.read_bytes())
        write_atomic(path, b"".join(line for line in lines if _step_of(line) in newest))
        self._sample_steps = newest


def _step_of(line: bytes) -> int | None:
    """The step of a row; None where the line cannot be read."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = row.get("step") if isinstance(row, dict) else None
    return step if isinstance(step, int) else None


def _append(path: Path, data: bytes) -> None:
    """Add whole lines at the end of the file, or nothing."""
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, 2)
        try:
            unwritten = memoryview(data)
            while unwritten:
                unwritten = unwritten[file.write(unwritten) :]
        except OSError:
            file.truncate(before)
            raise
