"""What `mmreason train nano` does: settings in, a progress bar, a model folder out."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmreason.training.nano.config import NanoConfig
from mmreason.training.nano.train import train

PACKAGED = Path(__file__).with_name("nano.json")
"""The settings the packaged weights were trained with."""


def train_command(
    *, config: Path | None, out: Path, resume: bool, minutes: float | None
) -> dict[str, str | int]:
    """Train until done, until `minutes` are over, or until interrupted; say where the model is."""
    settings = NanoConfig.load(config or PACKAGED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    started, step = time.monotonic(), 0
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("answers right {task.fields[right]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("training nano", total=settings.steps, right="")
        for progress in train(settings, out, resume=resume, device=device):
            step = progress.step
            bar.update(task, completed=step, right=f"{progress.report['answer_accuracy']:.0%}")
            if minutes is not None and time.monotonic() - started > 60 * minutes:
                break
    return {"steps": step, "of": settings.steps, "model": str(out / "model")}
