"""`mmreason train rl`: reinforcement learning by a recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import Json, out, print_json, quiet_libraries

if TYPE_CHECKING:
    from mmreason.training.rl.plan import Plan


def train_rl(
    recipe_file: Annotated[
        Path, typer.Argument(metavar="RECIPE.py", help="Python file that sets `recipe`.")
    ],
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = True,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so long; run again to go on.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print memory, work and launch lines; train nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fine-tune a model by reinforcement learning. Can be interrupted and resumed.

    The recipe is your own Python: it is run as it is. `docs/reinforcement.md` shows one.
    """
    quiet_libraries()
    from mmreason.training.rl import read_recipe
    from mmreason.training.rl.plan import plan

    recipe = read_recipe(recipe_file)
    if dry_run:
        recipe.task.problem(0)
        made = plan(recipe, recipe_file)
        print_json(made.to_dict()) if as_json else _print_plan(made)
        return
    from mmreason.report.words import counted
    from mmreason.training.logs.live import LiveTable
    from mmreason.training.logs.watch import watched
    from mmreason.training.rl import train
    from mmreason.training.rl.processes import part
    from mmreason.training.stopping import StopSignal

    last = None
    with StopSignal(minutes) as should_stop, LiveTable() as table:
        reports = train(recipe, resume=resume, should_stop=should_stop)
        for report in watched(reports, recipe.out, trackers=recipe.trackers, table=table):
            last = report
    part()
    done = {
        "out": str(recipe.out),
        "steps": last.step if last else recipe.steps,
        "of": recipe.steps,
        "model": str(recipe.out / "model"),
        "metrics": dict(last.metrics) if last else {},
    }
    taught = _has_taught(recipe.out)
    if as_json:
        print_json(done | {"learnt_something": taught})
    else:
        told = f"{done['steps']} of {counted(recipe.steps, 'step')} done"
        out().print(f"{told}; the model is in {done['model']}", soft_wrap=True)
        out().print(f"look at the run: mmreason train report {recipe.out}", soft_wrap=True)
    if not taught:
        print(
            "nothing was learnt from rewards: in every step all attempts at a problem earned the "
            "same; look at the samples, and try other problems, another reward or a higher "
            "temperature",
            file=sys.stderr,
        )
        if done["steps"] == recipe.steps:
            raise typer.Exit(1)


def _has_taught(run_folder: Path) -> bool:
    """Whether any step of the run so far had attempts at one problem that earned differently; true
    where this process has no log, because another one keeps it."""
    from mmreason.training.logs import Run
    from mmreason.types import UsageError

    try:
        equal_shares = Run.read(run_folder).curve("groups/zero_variance")
    except UsageError:
        return True
    return not equal_shares or any(share < 1 for _, share in equal_shares)


def _print_plan(made: Plan) -> None:
    from rich.table import Table

    table = Table("memory for", "GB", title="One process that holds the whole model")
    for name, size in made.memory.items():
        table.add_row(name, f"{size / 1e9:.2f}")
    table.add_row("together", f"{made.total_bytes / 1e9:.2f}", style="bold")
    console = out()
    console.print(f"{made.parameters:,} parameters, {made.trained:,} of them trained")
    console.print(f"{made.attempts:,} attempts, {made.updates:,} updates")
    console.print(table)
    for where, line in made.launches.items():
        console.print(f"{where}: [bold]{line}[/bold]", soft_wrap=True)
