"""`mmreason train rl`: reinforcement learning, by a recipe or on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmreason.cli.common import (
    Json,
    print_json,
    print_notice,
    progress_console,
    quiet_libraries,
    result_console,
)
from mmreason.cli.train_export import note_recipe

if TYPE_CHECKING:
    from mmreason.training.rl import Recipe
    from mmreason.training.rl.plan import RunPlan


_RECIPES = (".yaml", ".yml", ".py")
RECIPE_FILE = "recipe.yaml"
"""In a run's folder: the recipe that was made of the command line."""


def train_rl(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE_OR_RECIPE",
            help="A recipe (YAML, or Python that sets `recipe`), or a data set in any dialect.",
        ),
    ],
    model: Annotated[
        str | None, typer.Option("--model", help="Of a data set: name or folder; default: nano.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Of a data set: folder of the run.")
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option("--held-out", help="Of a data set: rows never trained on."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Of a data set: batches of rollouts.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Of a data set: frames of each clip.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Of a data set: leave rows out that cannot be used.")
    ] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = True,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so long; run again to go on.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print memory, work, launch lines; open every video; train nothing.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Fine-tune a model by reinforcement learning. Can be interrupted and resumed.

    Of a data set a recipe is made, which lies in the run's folder as recipe.yaml. A recipe in
    Python is run as it is. `docs/reinforcement.md` shows both.
    """
    quiet_libraries()
    from mmreason.training.rl import read_recipe
    from mmreason.training.rl.data_task import make_tasks
    from mmreason.training.rl.plan import plan_run
    from mmreason.types import UsageError

    changes: dict[str, Any] = {
        "model": model,
        "out": None if out is None else str(out),
        "steps": steps,
        "data.held_out": None if held_out is None else str(held_out),
        "data.frames": frames,
        "data.bad_rows": "skip" if skip_bad else None,
    }
    if source.suffix.lower() not in _RECIPES:
        recipe, recipe_file = _make_recipe(source, changes, dry_run)
    elif any(value is not None for value in changes.values()):
        setting = next(name for name, value in changes.items() if value is not None)
        option = setting.rpartition(".")[2].replace("_", "-").replace("bad-rows", "skip-bad")
        raise UsageError(f"--{option} is for a data set; set {setting} in the recipe {source}")
    else:
        recipe, recipe_file = read_recipe(source), source
    if dry_run:
        # A task that gives no problem is told before memory is counted.
        recipe = make_tasks(recipe, None)
        recipe.problems.problem(0)
        made_plan = plan_run(recipe, recipe_file)
        # Every video is opened once now, rather than after hours of training.
        wrong = _wrong_data(recipe)
        if as_json:
            print_json(made_plan.to_dict() | {"wrong": wrong})
        else:
            _print_plan(made_plan)
            for line in wrong:
                print_notice(line)
        if wrong:
            raise typer.Exit(1)
        return
    from mmreason.report.text import format_count
    from mmreason.training.monitoring.live import LiveTable
    from mmreason.training.monitoring.watch import watch_steps
    from mmreason.training.parallel.processes import destroy_process_group
    from mmreason.training.rl import TrainingStopped, train
    from mmreason.training.stopping import StopSignal

    last, failed = None, ""
    with StopSignal(minutes) as should_stop, LiveTable(progress_console()) as table:
        trackers = recipe.report.trackers
        reports = train(recipe, resume=resume, should_stop=should_stop)
        try:
            for report in watch_steps(reports, recipe.out, trackers=trackers, table=table):
                # With the first step: a run that never began leaves no note of itself.
                if last is None:
                    note_recipe(recipe.out, recipe_file, "rl")
                last = report
        except TrainingStopped as error:
            failed = str(error)
    # Or the others of a distributed run would wait for this one at exit.
    destroy_process_group()
    model = recipe.out / "model"
    has_model = model.is_dir() and not failed
    done = {
        "out": str(recipe.out),
        "steps": last.step if last else recipe.steps,
        "of": recipe.steps,
        "model": str(model) if has_model else None,
        "metrics": dict(last.metrics) if last else {},
        "learnt_something": has_model,
    }
    if as_json:
        print_json(done)
    else:
        model_text = f"the model is in {model}" if has_model else "no model is written"
        step_text = f"{done['steps']} of {format_count(recipe.steps, 'step')} done"
        result_console().print(f"{step_text}; {model_text}", soft_wrap=True)
        result_console().print(
            f"look at the run: mmreason train report {recipe.out}", soft_wrap=True
        )
    if failed:
        print_notice(f"error: {failed}")
        raise typer.Exit(1)


def _make_recipe(source: Path, changes: dict[str, Any], dry_run: bool) -> tuple[Recipe, Path]:
    """A recipe for a data set, written into the run's folder; a dry run writes nothing."""
    import yaml

    from mmreason.training.rl import Recipe
    from mmreason.training.rl.defaults import default_settings
    from mmreason.training.runs.recipe_file import build_recipe, read_recipe_file
    from mmreason.types import UsageError
    from mmreason.video.files import write_atomic

    settings = default_settings(source, changes)
    folder = Path(settings["out"])
    path = folder / RECIPE_FILE
    if dry_run:
        return build_recipe(Recipe, settings), path
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"{path} is of a run with other settings; go on with it: mmreason train rl {path}; or "
            "give another folder with --out"
        )
    # Refused settings leave no folder behind.
    build_recipe(Recipe, settings)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode())
    return read_recipe_file(path, Recipe), path


def _wrong_data(recipe: Recipe) -> list[str]:
    """A line for each video that cannot be read and each reward that does not apply."""
    from mmreason.cli.inputs import progress_bar
    from mmreason.training.rl.data_check import count_videos, find_faults

    problems = []
    for name, task in (("", recipe.problems), ("held out: ", recipe.evaluation.held_out)):
        if task is not None:
            with progress_bar("opening videos", count_videos(task)) as advance:
                problems += [name + line for line in find_faults(task, advance)]
    return problems


def _print_plan(plan: RunPlan) -> None:
    from rich.table import Table
    from rich.text import Text

    # In units of 1e9 bytes, as GPUs are sold.
    table = Table("memory for", "GB", title="One process that holds the whole model")
    for name, size in plan.memory.items():
        table.add_row(name, f"{size / 1e9:.2f}")
    table.add_row("together", f"{plan.total_bytes / 1e9:.2f}", style="bold")
    console = result_console()
    console.print(f"{plan.parameters:,} parameters, {plan.trained:,} of them trained")
    console.print(f"{plan.rollouts:,} rollouts, {plan.updates:,} updates")
    console.print(table)
    for launcher, line in plan.launches.items():
        console.print(Text(f"{launcher}: ").append(line, style="bold"), soft_wrap=True)
