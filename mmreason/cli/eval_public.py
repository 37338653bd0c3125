"""`mmreason eval public`: a public benchmark, from the files that its authors publish."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from mmreason.cli.ask import POLICIES, ReasonerSetup
from mmreason.cli.common import (
    ApiKeyFile,
    Json,
    ModelName,
    OptionItems,
    OptionsFile,
    Probe,
    ServedModel,
    StorePath,
    load_reasoner,
    print_json,
    print_notice,
    read_model_options,
    result_console,
    show_progress,
)
from mmreason.cli.measuring import show_bar

if TYPE_CHECKING:
    from mmreason.evaluation.public.items import BenchmarkQuestions
    from mmreason.evaluation.public.page import BenchmarkReport

TABLE_WIDTH = 100
_MOST_NAMED = 5
"""Missing videos and unusable rows that are named on the terminal."""


def eval_public(
    name: Annotated[
        str,
        typer.Argument(
            help="videomme, videomme-v2, lvbench, longvideobench, mlvu, egoschema, nextqa, cgbench "
            "or hourvideo."
        ),
    ],
    folder: Annotated[Path, typer.Argument(help="Folder of its files; see docs/benchmarks.md.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the run; what is there is not asked again.")
    ],
    model: ModelName = "nano",
    observer: Annotated[
        str | None, typer.Option(help="Another model that looks; --model then only decides.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="Who decides where to look: " + ", ".join(POLICIES) + ".")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="A stage to do without: search, score, check, speech; may be repeated."),
    ] = None,
    videos: Annotated[
        Path | None, typer.Option(help="Folder of the videos, where they are elsewhere.")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="File of questions, where the folder has several.")
    ] = None,
    with_subtitles: Annotated[
        bool, typer.Option("--with-subtitles", help="Use the benchmark's subtitles.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask so many questions, evenly over the file.")
    ] = None,
    budget_frames: Annotated[
        int | None, typer.Option(min=0, help="Most frames to show, a question.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="Model that scores open answers; without one they are not.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Questions at a time.")] = 1,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask those again that failed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only read the files, and tell what is there.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of whatever is drawn at random.")] = 0,
    store: StorePath = None,
    option: OptionItems = None,
    options_file: OptionsFile = None,
    probe: Probe = False,
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    as_json: Json = False,
) -> None:
    """Ask the questions of a public benchmark and score them strictly and leniently.

    Nothing is downloaded. Exit code 1 where a question failed.
    """
    from mmreason.evaluation.public.catalog import find_benchmark, load_questions
    from mmreason.evaluation.public.items import spread_items
    from mmreason.evaluation.public.outcomes import read_outcomes
    from mmreason.evaluation.public.page import BenchmarkReport
    from mmreason.evaluation.public.runner import BenchmarkRun, run_benchmark
    from mmreason.evaluation.public.summary import summarise
    from mmreason.types import Budget, UsageError
    from mmreason.video.json_input import read_json

    # 1. The files are read before a model is loaded.
    benchmark = find_benchmark(name)
    with show_progress(f"reading {folder}"):
        loaded = load_questions(benchmark, folder, videos=videos, questions=questions)
    _print_found(loaded)
    if dry_run:
        return
    # Of those that can be asked: a limit of 100 asks 100.
    items = spread_items([item for item in loaded.items if item.video is not None], limit)
    if not items:
        raise UsageError(
            f"{folder}: none of the videos is there, such as {loaded.missing_videos[0]}; unpack "
            "their archives, or give their folder with --videos"
        )
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; give a folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    setup = ReasonerSetup(
        model=model,
        observer=observer,
        policy=policy,
        without=tuple(without or ()),
        # One of its own: what was seen for other questions would make these look cheap.
        store=store or out / "replies.sqlite3",
        served_model=served_model,
        api_key_file=api_key_file,
        options=read_model_options(option, options_file),
        probe=probe,
    )
    with show_progress(f"loading {model}"):
        reasoner = setup.load()
        run = BenchmarkRun(
            with_subtitles=with_subtitles,
            budget=Budget(frames=budget_frames),
            seed=seed,
            workers=workers,
            retry_failed=retry_failed,
            # As any model is loaded; the key of --model's server is not for the judge's.
            judge=None if judge is None else load_reasoner(judge, setup.store).model,
        )
    # 2. Asked, each outcome on disk before the next is waited for.
    with show_bar(f"asking {benchmark.title}") as on_progress:
        path = run_benchmark(reasoner, loaded, items, run, out, on_progress=on_progress)
    # 3. What came of it, with all that an earlier run of this folder asked.
    outcomes = read_outcomes(path)
    summary = summarise(benchmark, loaded.items, outcomes)
    report = BenchmarkReport(
        benchmark=benchmark,
        questions=loaded,
        summary=summary,
        settings=read_json(out / "run.json"),
        command=_command(
            name,
            folder,
            out,
            {
                "--model": model,
                "--observer": observer,
                "--policy": policy,
                "--without": without,
                "--option": option,
                "--options-file": options_file,
                "--videos": videos,
                "--questions": questions,
                "--with-subtitles": with_subtitles,
                "--limit": limit,
                "--budget-frames": budget_frames,
                "--judge": judge,
                "--seed": seed or None,
            },
        ),
    )
    page = report.write(out)
    if as_json:
        print_json(summary.to_dict())
    else:
        _print_report(report)
    print_notice(f"page written to {page}")
    failed = [outcome for outcome in outcomes.values() if outcome.failed]
    for outcome in failed[:_MOST_NAMED]:
        print_notice(f"  {outcome.id}: {outcome.error}")
    if failed:
        print_notice(f"{len(failed)} questions failed; --retry-failed asks them again")
        raise typer.Exit(1)


def _print_found(loaded: BenchmarkQuestions) -> None:
    """On stderr: what was read, which videos are missing, which rows are not used."""
    found, named = loaded.found_videos
    files = ", ".join(file.name for file in loaded.files)
    print_notice(
        f"{len(loaded.items):,} questions in {files}; {found:,} of {named:,} videos found, "
        f"subtitles for {loaded.subtitled:,} questions"
    )
    missing = loaded.missing_videos
    if missing:
        more = f" and {len(missing) - _MOST_NAMED:,} more" if len(missing) > _MOST_NAMED else ""
        print_notice(f"videos not found: {', '.join(missing[:_MOST_NAMED])}{more}")
    for problem in loaded.problems[:_MOST_NAMED]:
        print_notice(f"not used: {problem}")
    if len(loaded.problems) > _MOST_NAMED:
        more = len(loaded.problems) - _MOST_NAMED
        print_notice(f"{more:,} more rows are not used; --out has them in problems.txt")


def _print_report(report: BenchmarkReport) -> None:
    console = result_console(least_width=TABLE_WIDTH)
    for sentence in report.sentences():
        console.print(sentence)
    for title, header, rows in report.tables():
        # The settings are long, and in the folder.
        if title == "Settings":
            continue
        table = Table(title, box=None, pad_edge=False, padding=(0, 1))
        for name in header[1:]:
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        console.print(table)


def _command(
    name: str,
    folder: Path,
    out: Path,
    options: Mapping[str, str | int | Path | bool | list[str] | None],
) -> str:
    """The line that makes these results again, with the options that move a figure."""
    words = ["mmreason", "eval", "public", name, str(folder), "--out", str(out)]
    for option, value in options.items():
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            for item in value if isinstance(value, list) else [value]:
                words += [option, str(item)]
    return shlex.join(words)
