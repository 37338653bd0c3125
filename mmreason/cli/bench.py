"""`mmreason bench`: ways to read frames, to attend and to learn, side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.bench_attention import bench_attention
from mmreason.cli.bench_encode import bench_encode
from mmreason.cli.bench_preprocess import bench_preprocess
from mmreason.cli.bench_prune import bench_prune
from mmreason.cli.common import Json, print_json, progress_console, result_console
from mmreason.json_values import encode_json, with_schema

if TYPE_CHECKING:
    from mmreason.bench.decode_files import Scale
    from mmreason.bench.decode_report import Report
    from mmreason.bench.decode_run import FileResult

bench_app = typer.Typer(no_args_is_help=True, help="Measure speed, and claims of papers.")

bench_app.command("attention", epilog="Example: mmreason bench attention --out results")(
    bench_attention
)
bench_app.command("encode", epilog="Example: mmreason bench encode --out results")(bench_encode)
bench_app.command("preprocess", epilog="Example: mmreason bench preprocess --out results")(
    bench_preprocess
)
bench_app.command("prune", epilog="Example: mmreason bench prune --out results")(bench_prune)

_PLANNING = "planning"


@bench_app.callback()
def _bench_group() -> None:
    """Measure speed beside other libraries, and claims of papers at a small size."""


@bench_app.command(
    "decode", epilog="Example: mmreason bench decode --out results --only short --only long"
)
def bench_decode(
    folder: Annotated[Path, typer.Option("--out", help="Folder for results.")] = Path("bench-out"),
    files: Annotated[
        Path | None, typer.Option("--files", help="Folder that keeps the files made for it.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Measure this file alone (give it again for more); the rest is kept."),
    ] = None,
    quick: Annotated[bool, typer.Option(help="Small files, one round, two files.")] = False,
    as_json: Json = False,
) -> None:
    """Read frames from made files with every installed reader, and check each frame.

    Takes about a quarter of an hour and 1.2 GB of disk; `--quick` takes a minute. Writes
    decode.md, decode.json and decode.svg.
    """
    from mmreason.bench import decode_files, decode_report, decode_run
    from mmreason.cache_folder import cache_folder

    scale = decode_files.QUICK if quick else decode_files.FULL
    # The quick ones: the format that most files have, and the one that is hardest to seek in.
    usual = ("short", "hevc") if quick else decode_files.NAMES
    names = _check_names(tuple(only or ()), (*decode_files.NAMES, _PLANNING)) or (*usual, _PLANNING)
    # Made files are large and always the same: they outlive the run.
    files_folder = files or cache_folder() / "bench"
    report = decode_report.Report(
        scale=scale.name, machine=decode_report.describe_machine(), files=(), planning=None
    )
    if only:
        report = _read_earlier(folder / "decode.json", report)
    with _bar() as say:
        for name in names:
            # Planning is measured on the file where it would hurt.
            source_name = "long" if name == _PLANNING else name
            file = decode_files.make_file(source_name, files_folder, scale, say)
            if name == _PLANNING:
                planning = decode_run.measure_planning(file, scale, say)
                report = replace(report, planning=planning)
            else:
                report = _replace_file(report, decode_run.measure_file(file, scale, say))
            # After each file: a run takes a quarter of an hour.
            _save(report, scale, folder)
    if as_json:
        print_json(decode_report.to_dict(report))
        return
    for table in decode_report.rich_tables(report):
        result_console().print(table)
    result_console().print(f"written to {folder / 'decode.md'}")


@bench_app.command("rl", epilog="Example: mmreason bench rl --out results --only staleness")
def bench_rl(
    folder: Annotated[Path, typer.Option("--out", help="Folder for results.")] = Path("bench-out"),
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="This experiment alone (again for more): staleness, stapo, dsdr, navigation, nano."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Seeds of every arm, from 0; default: 5, for stapo 10."),
    ] = None,
    quick: Annotated[bool, typer.Option(help="Short runs: to see that it works.")] = False,
    as_json: Json = False,
) -> None:
    """Try claims about reinforcement learning on tiny text models (VESPO, STAPO, DSDR, navigation),
    and reinforce nano.

    Takes about two hours on one core, `--quick` a few minutes. Finished runs are kept in
    OUT/rl-runs and not done again; the page tells of all that are there. Writes rl.md, rl.json and
    charts.
    """
    from mmreason.models.hf_settings import limit_threads, progress_bars
    from mmreason.training.claims import experiment, report, runs
    from mmreason.training.claims.runs import EXPERIMENTS

    names = _check_names(tuple(only or ()), tuple(EXPERIMENTS)) or tuple(EXPERIMENTS)
    size = experiment.QUICK if quick else experiment.FULL
    experiments = {name: build(size) for name, build in EXPERIMENTS.items()}
    runs_folder = folder / "rl-runs"
    # One thread: results are to be the same on every machine.
    with limit_threads(1), progress_bars(False):
        for name in names:
            wanted_seeds = range(seeds or experiments[name].seeds)
            runs.run_missing(experiments[name], wanted_seeds, runs_folder, _say)
    results = [
        report.ExperimentResult(experiment=e, runs=runs.select_runs(e, runs_folder))
        for e in experiments.values()
    ]
    # Earlier runs of other experiments are on the page too; those never begun are not.
    results = [result for result in results if result.runs]
    report.write_results(results, size.name, folder)
    if as_json:
        print_json(report.to_dict(results, size.name))
        return
    for result in results:
        result_console().print(report.build_table(result))
    result_console().print(f"written to {folder / 'rl.md'}")


def _say(line: str) -> None:
    progress_console().print(line, soft_wrap=True)


def _check_names(names: tuple[str, ...], measured_names: tuple[str, ...]) -> tuple[str, ...]:
    from mmreason.types import UsageError

    for name in names:
        if name not in measured_names:
            raise UsageError(
                f"--only {name}: is not measured; known are {', '.join(measured_names)}"
            )
    return names


def _read_earlier(path: Path, fresh: Report) -> Report:
    """The report at `path` to add to; `fresh` where there is none of this machine and size."""
    from mmreason.bench.decode_report import from_dict

    if not path.is_file():
        return fresh
    try:
        earlier = from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError):
        progress_console().print(f"{path} is no earlier result: begun anew")
        return fresh
    # Figures of two machines in one table would be compared.
    if (earlier.scale, earlier.machine) != (fresh.scale, fresh.machine):
        progress_console().print(f"{path} is of another size or machine: begun anew")
        return fresh
    return earlier


def _replace_file(report: Report, file: FileResult) -> Report:
    """`report` with `file` in place of an earlier result of it, in the usual order."""
    from mmreason.bench.decode_files import NAMES

    by_name = {old.name: old for old in report.files} | {file.name: file}
    return replace(report, files=tuple(by_name[name] for name in NAMES if name in by_name))


def _save(report: Report, scale: Scale, folder: Path) -> None:
    """Write what is known so far, so that an interruption loses one file at most."""
    from mmreason.bench import decode_report
    from mmreason.video.files import write_atomic
    from mmreason.video.plain_text import show_text

    command = "mmreason bench decode" + (" --quick" if scale.name == "quick" else "")
    # The others are too small for a chart of seconds.
    long_ones = [file for file in report.files if file.name in ("short", "long")]
    chart = "decode.svg" if long_ones else ""
    if chart:
        write_atomic(folder / chart, decode_report.draw_chart(long_ones).encode())
    page = decode_report.build_page(report, scale, command, chart)
    write_atomic(folder / "decode.md", show_text(page).encode())
    text = encode_json(with_schema(decode_report.to_dict(report)), indent=1)
    write_atomic(folder / "decode.json", (text + "\n").encode())


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr that shows (what, done, of how much); none where it is no terminal."""
    console = progress_console()
    if not console.is_terminal:
        yield lambda what, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Elapsed())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )
