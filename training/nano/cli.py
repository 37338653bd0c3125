"""What `mmreason train nano` does: settings in, a progress bar, a model folder out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmreason.report.console import TextConsole
from mmreason.training.nano.config import NanoConfig
from mmreason.training.nano.train import train_nano
from mmreason.training.stopping import StopSignal

PACKAGED_CONFIG = Path(__file__).with_name("nano.json")
"""The settings the packaged weights were trained with."""


def train_command(
    *, config: Path | None, start: str | None, out: Path, resume: bool, minutes: float | None
) -> dict[str, str | int]:
    """Train until done, until `minutes` are over, or until Ctrl-C; say where the model is.

    `start` takes the place of the config's own. Ctrl-C ends the step at hand and writes a
    checkpoint before `KeyboardInterrupt` is raised; a second one ends at once.
    """
    settings = NanoConfig.load(config or PACKAGED_CONFIG)
    if start is not None:
        settings = replace(settings, start=start)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    console = TextConsole(stderr=True)
    done = settings.steps  # a finished run that is resumed yields nothing
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("answers right {task.fields[right]}"),
    )
    with (
        StopSignal(minutes) as should_stop,
        Progress(*columns, console=console, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("training nano", total=settings.steps, right="")
        for progress in train_nano(
            settings, out, resume=resume, device=device, should_stop=should_stop
        ):
            right = f"{progress.report['answer_accuracy']:.0%}"
            done = progress.step
            bar.update(task, completed=done, right=right)
    return {"steps": done, "of": settings.steps, "model": str(out / "model")}
