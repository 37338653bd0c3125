"""`mmreason data navigation`: write text samples that teach a model to navigate long videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmreason.cli.common import Json, out, print_json, progress, quiet_libraries

data_app = typer.Typer(no_args_is_help=True, help="Make training data.")


@data_app.callback()
def _data_group() -> None:
    """Make training data."""


@data_app.command(
    "navigation", epilog="Example: mmreason data navigation --out train.jsonl --worlds 200"
)
def data_navigation(
    file: Annotated[Path, typer.Option("--out", help="File for the samples (JSON lines).")],
    worlds: Annotated[int, typer.Option(min=1, help="Scripted videos to ask about.")] = 100,
    first: Annotated[int, typer.Option(min=0, help="Number of the first video.")] = 0,
    length: Annotated[
        str | None, typer.Option(help="Length of the videos, such as 3m; default: 3m, 15m, 1h.")
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="Questions about each video.")] = 10,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Videos that are kept for measuring.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write correct plays of the long-video policy, one sample a step, over scripted videos.

    A line holds messages and, for each, whether it is learnt: the last one only.
    """
    quiet_libraries()
    from mmreason.evaluation.needle.items import duration_of
    from mmreason.training.navigation.samples import navigation_samples, write_samples

    split = "held-out" if held_out else "train"
    file.parent.mkdir(parents=True, exist_ok=True)
    with progress("playing") as say:
        samples = navigation_samples(
            worlds,
            split=split,
            first=first,
            duration_s=None if length is None else duration_of(length),
            items=items,
            on_world=lambda done: say(f"playing: world {done} of {worlds}"),
        )
        count = write_samples(file, samples)
    if as_json:
        print_json({"samples": count, "worlds": worlds, "split": split, "file": str(file)})
        return
    out().print(f"{count} samples from {worlds} worlds are in {file}")
