"""`mmreason data`: samples that teach a model to navigate.

Checking is in `data_referring`, converting in `data_convert`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmreason.cli.common import (
    Json,
    print_json,
    quiet_libraries,
    result_console,
    show_progress,
)

data_app = typer.Typer(no_args_is_help=True, help="Make, check and convert data sets.")


@data_app.callback()
def _data_group() -> None:
    """Make, check and convert data sets."""


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
    most_hints: Annotated[
        int, typer.Option(min=0, max=4, help="Most hints of a play that is kept; 0: none.")
    ] = 4,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Videos that are kept for measuring.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write correct plays of the long-video policy, one sample a step, over scripted videos.

    A line holds messages and, for each, whether it is learnt: the last one only.
    """
    quiet_libraries()
    from mmreason.needle.items import duration_of
    from mmreason.report.text import format_count
    from mmreason.training.navigation.samples import generate_samples, write_samples
    from mmreason.video.files import check_writable

    check_writable(file)
    split = "held-out" if held_out else "train"
    # Samples are written as they are played: the file must be there from the first on.
    file.parent.mkdir(parents=True, exist_ok=True)
    with show_progress("playing") as say:
        samples = generate_samples(
            worlds,
            split=split,
            first=first,
            duration_s=None if length is None else duration_of(length),
            items=items,
            most_hints=most_hints,
            on_world=lambda done: say(f"playing: world {done} of {worlds}"),
        )
        count = write_samples(file, samples)
    if as_json:
        print_json({"samples": count, "worlds": worlds, "split": split, "file": str(file)})
        return
    sample_count = f"{format_count(count, 'sample')} from {format_count(worlds, 'world')}"
    result_console().print(
        f"{sample_count} {'is' if count == 1 else 'are'} in {file}", soft_wrap=True
    )
