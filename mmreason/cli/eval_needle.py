"""`mmreason eval needle`: the needle-tree benchmark, resumable, with a table and a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from mmreason.cli.common import Json, print_json, progress_console, quiet_libraries, result_console
from mmreason.cli.measuring import read_seeds, show_bar, split_names

if TYPE_CHECKING:
    from mmreason.evaluation.needle.summary import Row

TABLE_WIDTH = 120


def eval_needle(
    folder: Annotated[
        Path, typer.Option("--out", help="Folder of the run; what is there is not done again.")
    ],
    model: Annotated[
        str,
        typer.Option(help="nano, a model's name or folder, or oracle, which reads the script."),
    ] = "nano",
    lengths: Annotated[str, typer.Option(help="Lengths of the videos, such as 3m,15m,1h.")] = "1h",
    seeds: Annotated[str, typer.Option(help="One world a length for each: 0-4 or 0,3,7.")] = "0-2",
    items: Annotated[int, typer.Option(min=1, help="Questions about each world.")] = 10,
    policy: Annotated[
        str, typer.Option(help="Policies, separated by commas; NAME_warm keeps what it saw.")
    ] = "greedy",
    baselines: Annotated[bool, typer.Option(help="Measure all baselines as well.")] = False,
    methods: Annotated[
        str | None, typer.Option(help="Further methods by name, such as one_pass,stills_32.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=0, help="Budget of a policy, in frames a question.")
    ] = None,
    rotations: Annotated[
        int, typer.Option(min=1, max=4, help="Ask with the options turned so many times.")
    ] = 1,
    mention: Annotated[
        float, typer.Option(help="Chance that a caption of the oracle tells of a thing, 0 to 1.")
    ] = 1.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes; no result depends on it.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure how well hours of video are searched: short events, look-alikes, half-truths."""
    quiet_libraries()
    from mmreason.evaluation.needle import methods as needle_methods
    from mmreason.evaluation.needle.page import comparison_sentence, write_report
    from mmreason.evaluation.needle.runner import Plan, read_outcomes, run_plan
    from mmreason.evaluation.needle.summary import build_rows
    from mmreason.needle.items import duration_of

    names = [
        *split_names(policy),
        *(needle_methods.BASELINES if baselines else ()),
        *split_names(methods or ""),
    ]
    plan = Plan(
        model=model,
        durations_s=tuple(duration_of(name) for name in split_names(lengths)),
        seeds=read_seeds(seeds),
        items=items,
        methods=needle_methods.check_methods(names),
        frames=frames,
        rotations=rotations,
        mention=mention,
    )
    with show_bar(f"measuring {model}") as say:
        path = run_plan(plan, folder, workers=workers, on_progress=say)
    outcomes = read_outcomes(path)
    # The page tells how to make it again, so only what moves a figure is in the line.
    command = f"mmreason eval needle --model {model} --lengths {lengths} --seeds {seeds}"
    command += f" --items {items} --policy {policy}" + " --baselines" * baselines
    command += f" --mention {mention:g}" * (mention < 1.0)
    page = write_report(outcomes, folder, model=model, command=command)
    if as_json:
        print_json(json.loads((folder / "summary.json").read_text(encoding="utf-8")))
        return
    table = build_rows(outcomes)
    # Rich drops letters, and whole columns, that do not fit; a line that wraps loses nothing.
    result_console(least_width=TABLE_WIDTH).print(_table(table))
    for row in table:
        if sentence := comparison_sentence(outcomes, row.method):
            result_console().print(sentence)
    progress_console().print(f"page written to {page}")


def _table(build_rows: list[Row]) -> Table:
    """Accuracy with its 95 % interval, costs, and where items were lost."""
    from mmreason.evaluation.needle.metrics import ErrorKind

    table = Table("method", box=None, pad_edge=False, padding=(0, 1))
    kinds = [str(kind) for kind in ErrorKind if any(str(kind) in row.errors for row in build_rows)]
    for name in ("accuracy", "frames", "scanned", "rounds", "hit@3", "abst.F1", *kinds):
        table.add_column(name, justify="right", no_wrap=True)
    for row in build_rows:
        low, high = row.accuracy.interval
        table.add_row(
            row.method,
            f"{row.accuracy.value:.1%} ({low:.0%}-{high:.0%})",
            f"{row.frames.value:,.0f}",
            f"{row.scanned.value:,.0f}",
            f"{row.rounds.value:.1f}",
            f"{row.hit.value:.0%}" if row.hit.n else "-",
            f"{row.abstention_f1:.2f}",
            *(str(row.errors.get(kind, 0)) for kind in kinds),
        )
    return table
