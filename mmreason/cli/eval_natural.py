"""`mmreason eval natural`: questions in natural language about scripted videos, resumable, with a
table and a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from mmreason.cli.common import (
    Json,
    print_json,
    print_line,
    progress_console,
    quiet_libraries,
    result_console,
)
from mmreason.cli.measuring import show_bar, split_names

if TYPE_CHECKING:
    from mmreason.evaluation.natural.runner import NaturalPlan
    from mmreason.evaluation.natural.summary import NaturalRow

OBSERVERS = "perfect,forgetful,wrong,verbose,thinking,refusing,distracted"
TABLE_WIDTH = 130


def eval_natural(
    folder: Annotated[
        Path, typer.Option("--out", help="Folder of the run; what is there is not done again.")
    ],
    observers: Annotated[
        str,
        typer.Option(
            "--observer",
            help="Models by script: perfect, forgetful, wrong, verbose, thinking, refusing, "
            "distracted, random, stubborn; separated by commas.",
        ),
    ] = OBSERVERS,
    model: Annotated[
        str | None, typer.Option(help="A real model in their place: a name, a folder or a URL.")
    ] = None,
    policy: Annotated[
        str,
        typer.Option(
            help="Policies, separated by commas; NAME-STAGE leaves a stage out, NAME+index makes "
            "an index first."
        ),
    ] = "auto",
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="Also measure each policy without this stage, for the first observer; may be "
            "repeated."
        ),
    ] = None,
    reasoner: Annotated[
        str | None,
        typer.Option(help="Who decides in a tool loop: strong, a model by script."),
    ] = None,
    even: Annotated[
        str,
        typer.Option(help="Also view so many even frames in one call, such as 64,128."),
    ] = "",
    videos: Annotated[int, typer.Option(min=1, help="Videos; genres and lengths take turns.")] = 8,
    lengths: Annotated[
        str, typer.Option(help="Lengths of the videos, from 5m to 2h.")
    ] = "10m,30m,1h,2h",
    items: Annotated[int, typer.Option(min=1, help="Questions a video, in one language.")] = 10,
    languages: Annotated[
        str,
        typer.Option(
            "--language",
            help="en, de, zh, es. The first is for all; the others ask the first observer and "
            "policy the same questions.",
        ),
    ] = "en,de,zh,es",
    seed: Annotated[int, typer.Option(min=0, help="Of the first eight videos.")] = 0,
    frames: Annotated[
        int | None, typer.Option(min=0, help="Budget of a policy, in frames a question.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Two short videos, one observer: under a minute.")
    ] = False,
    table: Annotated[
        Path | None, typer.Option(help="Also write the table to this file, as Markdown.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how well policies answer natural questions about videos of minutes to hours."""
    quiet_libraries()
    from mmreason.evaluation.natural.page import write_report
    from mmreason.evaluation.natural.runner import read_outcomes, run_plan
    from mmreason.evaluation.natural.summary import build_rows, comparison_lines
    from mmreason.evaluation.natural.table import write_table
    from mmreason.needle.items import duration_of

    if quick:
        observers, videos, lengths, languages = observers.split(",")[0], 2, "10m,30m", "en,de"
    who = [model] if model else split_names(observers)
    plans = _plans(
        who=who,
        methods=_methods(split_names(policy), reasoner),
        ablations=tuple(without or ()),
        even=split_names(even),
        videos=videos,
        durations_s=tuple(duration_of(name) for name in split_names(lengths)),
        languages=tuple(split_names(languages)),
        items=items,
        seed=seed,
        frames=frames,
    )
    results = folder / "results.jsonl"
    for plan in plans:
        with show_bar(f"measuring {', '.join(who)} in {', '.join(plan.languages)}") as say:
            run_plan(plan, folder, on_progress=say)
    outcomes = read_outcomes(results)
    # The page tells how to make it again, so only what moves a figure is in the line.
    command = f"mmreason eval natural --observer {','.join(who)} --policy {policy}"
    command += "".join(f" --without {stage}" for stage in without or ())
    command += f" --reasoner {reasoner}" if reasoner else ""
    command += f" --even {even}" if even else ""
    command += f" --videos {videos} --lengths {lengths} --items {items} --language {languages}"
    command += f" --seed {seed}" + (f" --frames {frames}" if frames is not None else "")
    page = write_report(outcomes, folder, command=command)
    if table is not None:
        write_table(outcomes, table, command=command)
    if as_json:
        print_json(json.loads((folder / "summary.json").read_text(encoding="utf-8")))
        return
    # Rich drops letters, and whole columns, that do not fit; a line that wraps loses nothing.
    result_console(least_width=TABLE_WIDTH).print(_table(build_rows(outcomes)))
    for line in comparison_lines(outcomes):
        print_line(line)
    progress_console().print(f"page written to {page}")


def _methods(policies: list[str], reasoner: str | None) -> list[str]:
    return [f"{name}@{reasoner}" if reasoner else name for name in policies]


def _plans(
    *,
    who: list[str],
    methods: list[str],
    ablations: tuple[str, ...],
    even: list[str],
    videos: int,
    durations_s: tuple[float, ...],
    languages: tuple[str, ...],
    items: int,
    seed: int,
    frames: int | None,
) -> list[NaturalPlan]:
    """All observers and methods in the first language; the first of them in the others."""
    from mmreason.evaluation.natural.methods import parse_method, without_stage
    from mmreason.evaluation.natural.runner import NaturalPlan
    from mmreason.natural.texts import checked_languages
    from mmreason.types import UsageError

    if not who or not methods or not languages:
        raise UsageError("a run needs an observer, a policy and a language")
    first, *others = checked_languages(languages)
    runs = [(name, parse_method(method).name) for name in who for method in methods]
    runs += [
        (who[0], without_stage(parse_method(method), stage).name)
        for method in methods
        for stage in ablations
    ]
    runs += [(who[0], parse_method(f"even_{count}").name) for count in even]
    plan = NaturalPlan(
        videos=videos,
        durations_s=durations_s,
        runs=tuple(dict.fromkeys(runs)),
        languages=(first,),
        seed=seed,
        most_items=items,
        frames=frames,
    )
    if not others:
        return [plan]
    from dataclasses import replace

    translated = replace(plan, runs=(runs[0],), languages=tuple(others), compare_even=False)
    return [plan, translated]


def _table(rows: list[NaturalRow]) -> Table:
    """Right with its 95 % interval, evidence and costs, a row for each observer and method."""
    table = Table("observer", box=None, pad_edge=False, padding=(0, 1))
    table.add_column("method")
    for name in (
        "right",
        "evidence right",
        "frames",
        "index",
        "scanned",
        "calls",
        "tokens",
        "abst.F1",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.observer,
            row.method,
            _percent(row.right),
            _percent(row.grounded),
            f"{row.frames.value:,.0f}",
            f"{row.index_frames:,.0f}",
            f"{row.scanned.value:,.0f}",
            f"{row.calls.value:.1f}",
            f"{row.tokens.value:,.0f}",
            f"{row.abstention_f1:.2f}",
        )
    return table


def _percent(interval: tuple[float, float, float]) -> str:
    value, low, high = interval
    return f"{value:.1%} ({low:.0%}-{high:.0%})" if value == value else "-"
