"""`mmreason train export`: a checkpoint of a run as a model folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from mmreason.cli.common import Json, print_json, quiet_libraries, result_console

_NOTE = "recipe.json"
"""In a run's folder: where its recipe lies."""


Kind = Literal["rl", "sft"]


def note_recipe(run: Path, recipe_file: Path, kind: Kind) -> None:
    """Have the folder of a run say which recipe it is of, and of which kind of training."""
    from mmreason.video.files import write_atomic

    run.mkdir(parents=True, exist_ok=True)
    note = json.dumps({"recipe": str(recipe_file.resolve()), "kind": kind})
    write_atomic(run / _NOTE, note.encode())


def train_export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    step: Annotated[
        int | None, typer.Option(help="Checkpoint to take; default: the newest.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Model folder to write; default: in the run's.")
    ] = None,
    recipe_file: Annotated[
        Path | None,
        typer.Option("--recipe", help="The run's recipe, where it was moved or run from Python."),
    ] = None,
    merge: Annotated[
        bool,
        typer.Option("--merge/--adapter", help="Adapters merged in, or alone (supervised runs)."),
    ] = True,
    as_json: Json = False,
) -> None:
    """Write the model as it was at a checkpoint, adapters merged in, for `--model`."""
    quiet_libraries()
    from dataclasses import replace

    from mmreason.training.rl import export, read_recipe
    from mmreason.training.runs.checkpoint import find_newest
    from mmreason.training.runs.recipe_file import read_recipe_file
    from mmreason.training.sft import SftRecipe
    from mmreason.training.sft.trainer import export_sft
    from mmreason.types import UsageError

    if step is None:
        checkpoint = find_newest(run)
        if checkpoint is None:
            raise UsageError(f"{run} has no checkpoint; is it the folder of a run?")
        step = checkpoint[1].step
    # The folder may have been moved since; the checkpoints are where the user says.
    kind = _noted_kind(run)
    noted_file = recipe_file or _noted_recipe(run)
    folder = folder or run / f"model-step-{step:06d}"
    if kind == "sft":
        export_sft(
            replace(read_recipe_file(noted_file, SftRecipe), out=run),
            folder,
            step=step,
            merge=merge,
            metrics=_logged_figures(run, step),
        )
    else:
        if not merge:
            raise UsageError("--adapter is for supervised runs; leave it out to merge")
        export(replace(read_recipe(noted_file), out=run), folder, step=step)
    if as_json:
        print_json({"step": step, "model": str(folder)})
        return
    result_console().print(f"the model as of step {step} is in {folder}", soft_wrap=True)


def _logged_figures(run: Path, step: int) -> dict[str, float]:
    """The newest value of each figure up to a step, by the run's log; empty without one."""
    from mmreason.training.monitoring.run_log import METRICS_FILE
    from mmreason.training.monitoring.runs import Run

    figures: dict[str, float] = {}
    if (run / METRICS_FILE).is_file():
        for report in Run.read(run).steps:
            if report.step <= step:
                figures |= report.metrics
    return figures


def _noted_kind(run: Path) -> Kind:
    try:
        note = json.loads((run / _NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "rl"
    # Notes of earlier versions are of reinforcement learning alone.
    return "sft" if isinstance(note, dict) and note.get("kind") == "sft" else "rl"


def _noted_recipe(run: Path) -> Path:
    from mmreason.types import UsageError

    try:
        return Path(json.loads((run / _NOTE).read_text(encoding="utf-8"))["recipe"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{run} does not say which recipe it is of; name it with --recipe RECIPE.py"
        ) from error
