"""`mmreason train nano`: make the packaged model, from nothing or from another's weights.
`mmreason train report`: a page about a run, or several side by side. `rl` and `export` are beside
this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mmreason.cli.common import Json, print_json, progress_console, quiet_libraries, result_console
from mmreason.cli.train_export import train_export
from mmreason.cli.train_rl import train_rl
from mmreason.cli.train_sft import train_sft

if TYPE_CHECKING:
    from mmreason.training.monitoring import Run

_FIGURES = 5
"""Columns of figures that leave room for a run's name in 80 characters."""

train_app = typer.Typer(no_args_is_help=True, help="Train a model.")


@train_app.callback()
def _train_group() -> None:
    """Train a model."""


@train_app.command("nano", epilog="Example: mmreason train nano --out runs/nano --minutes 30")
def train_nano(
    folder: Annotated[Path, typer.Option("--out", help="Folder for checkpoints and the model.")],
    config: Annotated[
        Path | None, typer.Option(help="Settings (JSON); default: the packaged ones.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="Go on from 'nano' or a model folder; default: from nothing."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint in --out.")] = True,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so long; run again to go on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train nano on scripted worlds. Can be interrupted and resumed."""
    quiet_libraries()
    from mmreason.report.text import format_count
    from mmreason.training.nano.cli import train_command

    done = train_command(config=config, start=start, out=folder, resume=resume, minutes=minutes)
    if as_json:
        print_json(done)
        return
    steps = format_count(int(done["of"]), "step")
    result_console().print(
        f"{done['steps']} of {steps} done; the model is in {done['model']}", soft_wrap=True
    )


train_app.command("rl", epilog="Example: mmreason train rl recipe.py --dry-run")(train_rl)
train_app.command("sft", epilog="Example: mmreason train sft train.json --model nano")(train_sft)
train_app.command("export", epilog="Example: mmreason train export runs/kitchen --step 120")(
    train_export
)


@train_app.command(
    "report", epilog="Example: mmreason train report runs/dapo-seed* --out compared.html"
)
def train_report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of runs; several are compared.")
    ],
    page: Annotated[
        Path | None,
        typer.Option("--out", help="HTML page to write; default for one run: its report.html."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a run's curves, silenced tokens and samples; or several runs side by side."""
    from mmreason.training.monitoring import Run
    from mmreason.training.monitoring.compare import Comparison
    from mmreason.types import UsageError

    loaded_runs = [Run.read(folder) for folder in runs]
    if len(loaded_runs) == 1:
        path = loaded_runs[0].save_html(page or runs[0] / "report.html")
    # Of one run the page belongs into its folder; of several there is no such place.
    elif page is None:
        raise UsageError(f"{len(loaded_runs)} runs need --out: the page that compares them")
    else:
        path = Comparison.of(loaded_runs).save_html(page)
    if as_json:
        print_json({"page": str(path), "runs": [run.summary() for run in loaded_runs]})
        return
    result_console().print(_runs_table(loaded_runs))
    for run in loaded_runs:
        if run.damaged:
            lines = f"{len(run.damaged)} damaged line{'s' if len(run.damaged) > 1 else ''}"
            progress_console().print(f"{run.name}: {lines} passed over")
    progress_console().print(f"page written to {path}", soft_wrap=True)


def _runs_table(runs: list[Run]) -> Table:
    """Final values (the mean over the last tenth) of the figures one looks at first."""
    from mmreason.training.monitoring.figures import KEY_FIGURES
    from mmreason.viz.axes import format_number

    logged_names = {name for run in runs for name in run.names}
    # Objectives log different figures; empty columns would push others off the screen.
    present = [(short, name) for short, name in KEY_FIGURES.items() if name in logged_names]
    figures = dict(present[:_FIGURES])
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("run", overflow="fold")
    for short in ("steps", *figures):
        table.add_column(short, justify="right", no_wrap=True)
    for run in runs:
        ends = (run.final(name) for name in figures.values())
        cells = ("-" if end is None else format_number(end.mean) for end in ends)
        table.add_row(Text(run.name), f"{run.done}/{run.planned}", *cells)
    return table
