"""A run as its log tells it: curves by name, the newest samples, the lines that could not be read.

Pages of it are made by `page` and `compare`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmreason.json_lines import JsonLineError
from mmreason.training.monitoring.rows import parse_sample, parse_step, read_rows
from mmreason.training.monitoring.run_log import METRICS_FILE, SAMPLES_FILE
from mmreason.training.runs.events import METRICS, SampleView, StepReport
from mmreason.types import UsageError
from mmreason.video.files import write_atomic
from mmreason.viz.curves import StepCurve

_FINAL_PART = 0.1
"""The last part of a curve whose mean is its final value."""
_UPWARDS = ("reward/", "eval/", "component/")
"""Groups of figures of which more is better; of others there is no best."""
_DOWNWARDS = ("eval/loss", "eval/channel/")
"""Figures in them of which less is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveEnd:
    """What a curve came to.

    Example:
        >>> end = summarise_curve("reward/mean", ((1, 0.25), (2, 0.75), (3, 0.5)))
        >>> end.last, end.best, end.best_step
        (0.5, 0.75, 2)
    """

    last: float
    mean: float
    """Over the last tenth of its points, at least one."""
    best: float | None
    """The largest where more is better, the smallest of held-out losses."""
    best_step: int | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Run:
    """What the log in `folder` holds.

    Example::

        run = Run.read("runs/dapo")
        run.curve("reward/mean")  # ((1, 0.21), (2, 0.25), ...)
        run.save_html("dapo.html")
    """

    name: str
    """Of the folder."""
    folder: Path
    steps: tuple[StepReport, ...]
    """In order, without samples."""
    samples: Mapping[int, tuple[SampleView, ...]]
    """By step, as far as they were kept."""
    damaged: tuple[JsonLineError, ...]
    """Lines that were passed over."""

    @classmethod
    def read(cls, folder: Path | str) -> Run:
        """Read the log in `folder` as far as it can be read. Raises UsageError where there is no
        log, or nothing in it can be read."""
        folder = Path(folder)
        path = folder / METRICS_FILE
        if not path.is_file():
            raise UsageError(f"{folder}: holds no {METRICS_FILE}; give the folder of a run (--out)")
        # Damage is told on the page; a log without any readable step is refused.
        steps, damaged = _read_steps(path)
        samples, broken = _read_samples(folder / SAMPLES_FILE)
        if damaged and not steps:
            raise UsageError(f"{path}: none of its {len(damaged)} lines can be read: {damaged[0]}")
        return cls(
            name=folder.resolve().name or str(folder),
            folder=folder,
            steps=steps,
            samples=samples,
            damaged=(*damaged, *broken),
        )

    @property
    def done(self) -> int:
        """The last step taken."""
        return self.steps[-1].step if self.steps else 0

    @property
    def planned(self) -> int:
        """Steps that the run is to take."""
        return self.steps[-1].steps if self.steps else 0

    @property
    def names(self) -> tuple[str, ...]:
        """All figures there are: those known first, in the order they are listed in."""
        logged = dict.fromkeys(name for step in self.steps for name in step.metrics)
        order = {name: i for i, name in enumerate(METRICS)}
        # Components have names of the user's; they stand where the list has them.
        components = order["component/NAME"]

        def rank(name: str) -> tuple[int, str]:
            is_component = name.startswith("component/")
            return order.get(name, components if is_component else len(order)), name

        return tuple(sorted(logged, key=rank))

    def curve(self, name: str) -> StepCurve:
        """The figure's value at every step that has it."""
        return tuple((s.step, s.metrics[name]) for s in self.steps if name in s.metrics)

    def final(self, name: str) -> CurveEnd | None:
        """What the figure's curve came to; None where it has no point."""
        return summarise_curve(name, self.curve(name))

    def summary(self) -> dict[str, Any]:
        """JSON types only: how far the run came and every figure's end."""
        ends = {name: self.final(name) for name in self.names}
        return {
            "name": self.name,
            "folder": str(self.folder),
            "steps": self.done,
            "of": self.planned,
            "warnings": sum(len(step.warnings) for step in self.steps),
            "damaged_lines": len(self.damaged),
            "metrics": {
                name: {
                    "last": end.last,
                    "final": end.mean,
                    "best": end.best,
                    "best_step": end.best_step,
                }
                for name, end in ends.items()
                if end is not None
            },
        }

    def save_html(self, path: Path | str) -> Path:
        """Write one self-contained page about the run; returns its path."""
        from mmreason.training.monitoring.page import render_run_page

        return write_atomic(Path(path), render_run_page(self).encode())

    def __repr__(self) -> str:
        return f"Run({self.name!r}, step {self.done:,} of {self.planned:,})"

    def _repr_html_(self) -> str:
        """The same in a notebook."""
        from mmreason.training.monitoring.page import render_run_fragment

        return render_run_fragment(self)


def summarise_curve(name: str, curve: StepCurve) -> CurveEnd | None:
    """The numbers that stand for a curve; None where it has no point."""
    if not curve:
        return None
    # Single steps are noisy: runs are compared by the mean of their ends.
    tail = [value for _, value in curve[-max(1, round(_FINAL_PART * len(curve))) :]]
    # Of the rewards, the deviation alone is not better for being larger.
    is_upwards = name.startswith(_UPWARDS) and name != "reward/deviation"
    sign = -1 if name.startswith(_DOWNWARDS) else 1
    best = max(curve, key=lambda point: sign * point[1]) if is_upwards else None
    return CurveEnd(
        last=curve[-1][1],
        mean=math.fsum(tail) / len(tail),
        best=None if best is None else best[1],
        best_step=None if best is None else best[0],
    )


def _read_steps(path: Path) -> tuple[tuple[StepReport, ...], tuple[JsonLineError, ...]]:
    """Rows whose steps rise; one that does not is damage."""
    steps: list[StepReport] = []
    damaged: list[JsonLineError] = []
    for line in read_rows(path, parse_step):
        if isinstance(line, JsonLineError):
            damaged.append(line)
        elif steps and line.row.step <= steps[-1].step:
            reason = f"step {line.row.step} after step {steps[-1].step}"
            damaged.append(JsonLineError(path, line.number, reason))
        else:
            steps.append(line.row)
    return tuple(steps), tuple(damaged)


def _read_samples(
    path: Path,
) -> tuple[dict[int, tuple[SampleView, ...]], tuple[JsonLineError, ...]]:
    samples: dict[int, tuple[SampleView, ...]] = {}
    damaged: list[JsonLineError] = []
    for line in read_rows(path, parse_sample):
        if isinstance(line, JsonLineError):
            damaged.append(line)
        else:
            step, view = line.row
            samples[step] = (*samples.get(step, ()), view)
    return dict(sorted(samples.items())), tuple(damaged)
