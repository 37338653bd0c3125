"""`mmreason train nano`: make the packaged model, from nothing or from another's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmreason.cli.common import Json, out, print_json, quiet_libraries

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
    from mmreason.training.nano.cli import train_command

    done = train_command(config=config, start=start, out=folder, resume=resume, minutes=minutes)
    if as_json:
        print_json(done)
        return
    out().print(f"{done['steps']} of {done['of']} steps done; the model is in {done['model']}")
