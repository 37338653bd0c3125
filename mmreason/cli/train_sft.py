"""`mmreason train sft`: supervised fine-tuning on one's own rows, by a data set or a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmreason.cli.common import (
    Json,
    print_json,
    print_line,
    print_notice,
    progress_console,
    quiet_libraries,
)
from mmreason.cli.train_export import note_recipe

if TYPE_CHECKING:
    from mmreason.training.runs.events import StepReport
    from mmreason.training.sft import SftRecipe

_RECIPES = (".yaml", ".yml", ".py")
_FIGURES = ("loss", "correct", "preferred")
RECIPE_FILE = "recipe.yaml"
"""In a run's folder: the recipe that was made of the command line."""


def train_sft(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE_OR_RECIPE", help="A data set in any dialect, or a recipe (YAML, Python)."
        ),
    ],
    model: Annotated[
        str | None, typer.Option("--model", help="Name or folder of the model; default: nano.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run.")] = None,
    held_out: Annotated[
        Path | None, typer.Option("--held-out", help="Rows to evaluate on, never trained on.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="How often every row is learnt.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates, in place of epochs.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of an update.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    lora: Annotated[
        bool | None,
        typer.Option("--lora/--full", help="Adapters, or all weights; default: by the model."),
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames of each clip.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave bad rows out, named, in place of refusing.")
    ] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = True,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so long; run again to go on.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and encode every row; train nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Teach a model the answers of your own rows. Can be interrupted and resumed.

    Of a data set a recipe is made, which lies in the run's folder as recipe.yaml: edit it, and run
    it again into another folder.
    """
    quiet_libraries()
    from mmreason.training.sft.trainer import load_samples
    from mmreason.types import UsageError

    changes: dict[str, Any] = {
        "model": model,
        "out": None if out is None else str(out),
        "epochs": epochs,
        "steps": steps,
        "data.held_out": None if held_out is None else str(held_out),
        "data.frames": frames,
        "data.bad_rows": "skip" if skip_bad else None,
        "batching.rows": rows,
        "optimiser.learning_rate": learning_rate,
    }
    is_recipe = source.suffix.lower() in _RECIPES
    if is_recipe and lora is not None:
        raise UsageError("--lora/--full is for a data set; in a recipe set weights.lora")
    recipe, recipe_file = (
        _read_recipe(source, changes) if is_recipe else _make_recipe(source, changes, lora, dry_run)
    )
    if dry_run:
        _show_plan(recipe, *load_samples(recipe), as_json=as_json)
        if is_recipe and not as_json:
            _show_launches(source)
        return
    _run(recipe, recipe_file, resume, minutes, as_json)


def _show_launches(source: Path) -> None:
    run = f"mmreason train sft {source}"
    print_line(f"on one device: {run}")
    for what, settings in (
        ("on two GPUs, each with the whole model", "--multi_gpu"),
        ("on two GPUs, in shards", "--use_fsdp --fsdp_version 2"),
    ):
        print_line(f"{what}: accelerate launch --num_processes 2 {settings} -m {run}")


def _read_recipe(source: Path, changes: dict[str, Any]) -> tuple[SftRecipe, Path]:
    from mmreason.training.runs.recipe_file import read_recipe_file
    from mmreason.training.sft import SftRecipe
    from mmreason.training.sft.defaults import change_recipe

    return change_recipe(read_recipe_file(source, SftRecipe), changes), source


def _make_recipe(
    source: Path, changes: dict[str, Any], lora: bool | None, dry_run: bool
) -> tuple[SftRecipe, Path]:
    import yaml

    from mmreason.training.runs.recipe_file import read_recipe_file
    from mmreason.training.sft import SftRecipe
    from mmreason.training.sft.defaults import default_settings
    from mmreason.video.files import write_atomic

    settings = default_settings(source, changes, lora=lora)
    folder = Path(settings["out"])
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    path = folder / RECIPE_FILE
    if dry_run:
        from mmreason.training.runs.recipe_file import build_recipe

        return build_recipe(SftRecipe, settings), path
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        from mmreason.types import UsageError

        raise UsageError(
            f"{path} is of a run with other settings; go on with it: mmreason train sft {path}; or "
            "give another folder with --out"
        )
    write_atomic(path, text.encode())
    return read_recipe_file(path, SftRecipe), path


def _run(
    recipe: SftRecipe, recipe_file: Path, resume: bool, minutes: float | None, as_json: bool
) -> None:
    from mmreason.report.text import format_count
    from mmreason.training.monitoring.live import LiveTable
    from mmreason.training.monitoring.watch import watch_steps
    from mmreason.training.parallel.processes import destroy_process_group
    from mmreason.training.sft import TrainingStopped, train_sft
    from mmreason.training.stopping import StopSignal

    first: StepReport | None = None
    last: StepReport | None = None
    failed = ""
    with StopSignal(minutes) as should_stop, LiveTable(progress_console()) as table:
        reports = train_sft(recipe, resume=resume, should_stop=should_stop)
        try:
            trackers = recipe.report.trackers
            for report in watch_steps(reports, recipe.out, trackers=trackers, table=table):
                if first is None:
                    note_recipe(recipe.out, recipe_file, "sft")
                    first = report
                last = report
        except TrainingStopped as error:
            failed = str(error)
    destroy_process_group()
    model = recipe.out / "model"
    has_model = model.is_dir() and not failed
    compared = _compare(first, last)
    if as_json:
        print_json(
            {
                "out": str(recipe.out),
                "steps": last.step if last else 0,
                "of": last.steps if last else recipe.steps,
                "model": str(model) if has_model else None,
                "held_out": compared,
                "metrics": dict(last.metrics) if last else {},
            }
        )
    else:
        if last is None:
            print_line("the run was done already")
        else:
            print_line(f"{last.step} of {format_count(last.steps, 'step')} done")
        for name, (before, after) in compared.items():
            start = "not measured" if before is None else f"{before:.3g}"
            print_line(f"held out, {name}: {start} before, {after:.3g} now{_interval(name, last)}")
        print_line(f"the model is in {model}" if has_model else "no model is written")
        print_line(f"look at the run: mmreason train report {recipe.out}")
    if failed:
        print_notice(f"error: {failed}")
        raise typer.Exit(1)


def _compare(
    first: StepReport | None, last: StepReport | None
) -> dict[str, tuple[float | None, float]]:
    """Held-out figures before the run and at its end."""
    if first is None or last is None:
        return {}
    return {
        name: (first.metrics.get(f"start/{name}"), last.metrics[f"eval/{name}"])
        for name in _FIGURES
        if f"eval/{name}" in last.metrics
    }


def _interval(name: str, last: StepReport | None) -> str:
    """In which range a share of right answers lies with a probability of 95 %: of few questions a
    difference may be chance."""
    from mmreason.grounding.metrics.statistics import wilson_interval

    questions = last.metrics.get("eval/questions") if last else None
    if name != "correct" or last is None or not questions:
        return ""
    low, high = wilson_interval(last.metrics["eval/correct"] * questions, questions)
    return f" ({low:.3g} to {high:.3g} with 95 % of {questions:.0f} questions)"


def _show_plan(recipe: SftRecipe, samples: Any, held_out: Any, *, as_json: bool) -> None:
    """Every row encoded as the run would: what it would leave out is told now."""
    from mmreason.cli.inputs import progress_bar
    from mmreason.training.sft.plan import plan_rows

    with progress_bar("encoding rows", len(samples)) as advance:
        plan = plan_rows(recipe, samples, len(held_out), advance)
    if as_json:
        print_json(plan.to_dict())
    else:
        for line in plan.describe():
            print_line(line)
    if plan.faults and recipe.data.bad_rows == "refuse":
        raise typer.Exit(1)
