"""`mmreason data example`: 60 short clips with labels of one's own, to try fine-tuning on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmreason.cli.common import Json, print_json, print_line, quiet_libraries, show_progress


def write_example(
    folder: Annotated[Path, typer.Option("--out", help="Folder for the clips and own.json.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the scenes.")] = 0,
    as_json: Json = False,
) -> None:
    """Write 60 short clips with labels of a made-up house vocabulary, and some mistakes for
    `data check` to find."""
    quiet_libraries()
    from mmreason.training.data.example import write_example_data

    with show_progress("drawing clips") as say:
        written = write_example_data(
            folder, seed=seed, on_clip=lambda done, of: say(f"drawing clip {done} of {of}")
        )
    if as_json:
        print_json(
            {
                "file": str(written.file),
                "clips": written.clips,
                "rows": written.rows,
                "real_clips": written.real_clips,
            }
        )
        return
    real = (
        f"{written.real_clips} of them cuts of real footage" if written.real_clips else "all drawn"
    )
    print_line(f"{written.rows} rows about {written.clips} clips, {real}, are in {written.file}")
