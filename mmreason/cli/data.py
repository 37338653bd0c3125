"""`mmreason data`: samples that teach a model to navigate, and problems for other libraries.

Verbs about referring expressions are in `data_referring`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mmreason.cli.common import (
    Json,
    print_json,
    print_notice,
    quiet_libraries,
    result_console,
    show_progress,
)

MOST_WARNED_OF = 10
"""Problems without their video that are named; the rest is counted."""

data_app = typer.Typer(no_args_is_help=True, help="Make, check and convert data sets.")


class Target(StrEnum):
    """Who shall read an export."""

    TRL = "trl"
    VERL = "verl"
    EASYR1 = "easyr1"
    MS_SWIFT = "ms-swift"


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


@data_app.command(
    "export", epilog="Example: mmreason data export problems.jsonl --to verl --out train.parquet"
)
def data_export(
    problems: Annotated[Path, typer.Argument(help="Problems (JSON lines); see docs/problems.md.")],
    to: Annotated[Target, typer.Option("--to", help="The library that shall read them.")],
    file: Annotated[Path, typer.Option("--out", help="File to write: .jsonl or .parquet.")],
    relative: Annotated[
        bool, typer.Option("--relative", help="Name videos from the folder of --out.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write problems as a data set of another library: TRL, verl, EasyR1 or ms-swift."""
    quiet_libraries()
    from mmreason.report.text import format_count
    from mmreason.training.data.export import export_problems
    from mmreason.training.data.problem_file import read_problems
    from mmreason.video.files import check_writable

    check_writable(file)
    exported = read_problems(problems)
    export_problems(exported, to.value, file, paths="relative" if relative else "absolute")
    # Told, not refused: rows are often written on another machine than the one that trains.
    missing = {p.id: p.video for p in exported if p.video and not _is_file(p.video)}
    if as_json:
        totals = {"problems": len(exported), "to": to.value, "file": str(file)}
        print_json(totals | {"missing_videos": missing})
        return
    problem_count = f"{format_count(len(exported), 'problem')} for {to.value}"
    verb = "is" if len(exported) == 1 else "are"
    result_console().print(f"{problem_count} {verb} in {file}", soft_wrap=True)
    _warn_of_missing(missing, len(exported))


def _is_file(path: str) -> bool:
    """False too for a name that no file can have."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def _warn_of_missing(missing: dict[str, str], total: int) -> None:
    """Say on stderr which problems (id: path) name a video or image that is not there."""
    from mmreason.report.text import format_count

    if not missing:
        return
    verb = "names" if len(missing) == 1 else "name"
    total_text = format_count(total, "problem")
    head = f"warning: {len(missing)} of {total_text} {verb} a file that is not there"
    named = list(missing.items())[:MOST_WARNED_OF]
    lines = [f"  {key}: {path}" for key, path in named]
    if len(missing) > MOST_WARNED_OF:
        lines.append(f"  and {len(missing) - MOST_WARNED_OF:,} more")
    for line in (f"{head}:", *lines):
        print_notice(line)
