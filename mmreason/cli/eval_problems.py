"""`mmreason eval problems`: a model, or two, on one's own rows, with a knowledge audit."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mmreason.cli.common import (
    ApiKeyFile,
    Json,
    OptionItems,
    OptionsFile,
    ServedModel,
    load_reasoner,
    print_json,
    print_line,
    print_notice,
    read_model_options,
    result_console,
    show_progress,
)
from mmreason.cli.measuring import show_bar

if TYPE_CHECKING:
    from mmreason.models.base import ChatModel
    from mmreason.training.data.dialects.detect import ReadSamples
    from mmreason.training.evaluation.compare import ScoresComparison
    from mmreason.training.evaluation.judging import AnswerJudge
    from mmreason.training.evaluation.settings import AuditSize, EvaluateSettings
    from mmreason.training.evaluation.summary import ProblemScores
    from mmreason.training.evaluation.tables import ScoreTable
    from mmreason.training.evaluation.training_text import TextIndex

TABLE_WIDTH = 200
_MOST_NAMED = 5
"""Rows that could not be asked that are named on the terminal."""
SECOND_RUN = "against"
"""Folder of the second model's rows, in that of the first."""


def eval_problems(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Rows in any dialect of docs/own_data.md.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="nano, a model's name, folder or URL.")
    ] = "nano",
    against: Annotated[
        str | None, typer.Option(help="A second model on the same rows, compared in pairs.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", help="Compare two finished folders; nothing is asked."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the run; what is there is not asked again."),
    ] = None,
    dialect: Annotated[
        str | None, typer.Option(help="Read the rows as this dialect; default: told by content.")
    ] = None,
    media_root: Annotated[
        Path | None, typer.Option(help="Folder that relative paths of the rows start from.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames of each clip; default: as the model likes.")
    ] = None,
    longest_px: Annotated[int | None, typer.Option(min=1, help="Longest side of a frame.")] = None,
    circular: Annotated[
        bool,
        typer.Option("--circular", help="Ask choice questions in every rotation of their options."),
    ] = False,
    judge: Annotated[
        str | None, typer.Option(help="A model, by name or URL, that judges answers in words too.")
    ] = None,
    judge_model: Annotated[
        str | None, typer.Option(help="With a judge's URL: its model, where there are several.")
    ] = None,
    judge_key_file: Annotated[
        Path | None, typer.Option(help="With a judge's URL: file that holds the key.")
    ] = None,
    audit: Annotated[
        str,
        typer.Option(help="Where answers come from: sample (of 100 questions), full or off."),
    ] = "sample",
    training_text: Annotated[
        list[Path] | None,
        typer.Option(help="What the model learnt from: rows, or plain text. May be repeated."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Draw so many rows.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 draws nothing.")] = 0.0,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of a reply; default: the model's own.")
    ] = None,
    system_prompt: Annotated[str, typer.Option(help="For rows that have none.")] = "",
    batch_size: Annotated[int, typer.Option(min=1, help="Conversations at a time.")] = 8,
    report: Annotated[Path | None, typer.Option(help="Also write the page to this file.")] = None,
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    option: OptionItems = None,
    options_file: OptionsFile = None,
    as_json: Json = False,
) -> None:
    """Evaluate a model on your own rows: strict, lenient and judged scores, and a knowledge audit
    that tells sight from what the model knew before. With --against, whether one is better.

    Exit code 1 where a row could not be asked.
    """
    from mmreason.training.evaluation.compare import compare_scores
    from mmreason.training.evaluation.problems import evaluate_problems, read_scores
    from mmreason.training.evaluation.settings import EvaluateSettings
    from mmreason.types import UsageError

    words = ["mmreason", "eval", "problems"]
    if compare is not None:
        if file is not None:
            raise UsageError("--compare takes two finished folders, and no FILE beside them")
        comparison = compare_scores(*(read_scores(run) for run in compare))
        command = shlex.join([*words, "--compare", *map(str, compare)])
        show_comparison(comparison, command=command, as_json=as_json, report=report)
        return
    if file is None:
        raise UsageError("name a FILE of rows, or two finished folders with --compare")
    # 1. What is asked and how, before a model is loaded.
    settings = EvaluateSettings(
        frames=frames,
        longest_px=longest_px,
        system_prompt=system_prompt,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
        limit=limit,
        circular=circular,
        audit=cast("AuditSize", audit),
        batch_size=batch_size,
    )
    read = _read_rows(file, dialect, media_root)
    index = _read_training_text(training_text)
    answer_judge = _load_judge(judge, judge_model, judge_key_file)
    command = _command(file, model, against, settings, judge, training_text, folder)
    # 2. Each model in turn: two need not fit into the memory at once.
    runs: list[ProblemScores] = []
    for number, name in enumerate([model, *([against] if against else [])]):
        with show_progress(f"loading {name}"):
            loaded = load_chat_model(
                name,
                served_model=served_model if not number else None,
                api_key_file=api_key_file,
                option=option,
                options_file=options_file,
            )
        out = folder if folder is None or not number else folder / SECOND_RUN
        with show_bar(f"asking {name}") as say:
            scores = evaluate_problems(
                read.samples,
                loaded,
                settings,
                out=out,
                faults=read.faults,
                judge=answer_judge,
                scorer=_scorer_of(loaded, settings),
                training_text=index,
                on_done=say or (lambda done, total: None),
            )
        runs.append(scores)
        del loaded
    # 3. What came of it.
    comparison = compare_scores(runs[0], runs[1]) if len(runs) > 1 else None
    shown = RunOutput(command, read, comparison, as_json, folder, report)
    show_scores(runs[0], shown)
    errors = [row for row in runs[0].main_rows if row.error]
    for row in errors[:_MOST_NAMED]:
        print_notice(f"  {row.id}: {row.error}")
    if errors:
        print_notice(f"{len(errors):,} of {runs[0].questions:,} rows could not be asked")
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class RunOutput:
    """What is shown beside the scores of a run, and where.

    Example: `RunOutput("mmreason eval problems f", read, None, False, None, None).as_json`.
    """

    command: str
    read: ReadSamples
    comparison: ScoresComparison | None
    as_json: bool
    folder: Path | None
    report: Path | None


def load_chat_model(
    name: str,
    *,
    served_model: str | None = None,
    api_key_file: Path | None = None,
    option: list[str] | None = None,
    options_file: Path | None = None,
) -> ChatModel:
    """The model that is asked. UsageError for what is no single model."""
    from mmreason.agent.senses_reader import SENSES_MODELS
    from mmreason.types import UsageError

    if name in SENSES_MODELS:
        raise UsageError(
            f"--model {name!r} chooses between models and senses; name one model, such as nano, a "
            "folder or a URL"
        )
    return load_reasoner(
        name,
        served_model=served_model,
        api_key_file=api_key_file,
        options=read_model_options(option, options_file),
        probe=False,
    ).model


def _read_rows(file: Path, dialect: str | None, media_root: Path | None) -> ReadSamples:
    from mmreason.training.data.dialects.detect import open_samples, read_samples
    from mmreason.training.data.dialects.rows import Dialect
    from mmreason.types import UsageError

    if dialect is not None and dialect not in tuple(Dialect):
        raise UsageError(f"--dialect must be of {', '.join(Dialect)}, got {dialect!r:.60}")
    with show_progress("reading the rows"):
        opened = open_samples(file, dialect, media_root=media_root)
        read = read_samples(file, dialect=dialect, media_root=media_root, bad_rows="skip")
    print_notice(f"{file}: {opened.dialect} ({opened.reason})")
    for note in opened.notes:
        print_notice(f"note: {note}")
    return read


def _read_training_text(paths: Sequence[Path] | None) -> TextIndex | None:
    if not paths:
        return None
    from mmreason.training.evaluation.training_text import read_training_text

    with show_progress("reading the training text"):
        return read_training_text(paths)


def _load_judge(
    name: str | None, judge_model: str | None, api_key_file: Path | None
) -> AnswerJudge | None:
    if name is None:
        return None
    from mmreason.models import is_url
    from mmreason.training.evaluation.judging import ModelJudge, ServedJudge
    from mmreason.training.rewards.judge import JudgeSettings

    if is_url(name):
        key_file = None if api_key_file is None else str(api_key_file)
        return ServedJudge(JudgeSettings(url=name, model=judge_model, api_key_file=key_file))
    with show_progress(f"loading the judge {name}"):
        return ModelJudge(load_chat_model(name))


def _scorer_of(model: ChatModel, settings: EvaluateSettings) -> Any:
    if settings.audit == "off":
        return None
    from mmreason.training.evaluation.text_scores import answer_scorer

    return answer_scorer(model)


def show_scores(scores: ProblemScores, shown: RunOutput) -> None:
    """Print the scores of a run, and write its page and summary where it has a folder."""
    from mmreason.training.evaluation.page import find_failing, save_page
    from mmreason.training.evaluation.tables import audit_tables, score_tables

    pages = [shown.report] if shown.report is not None else []
    if shown.folder is not None:
        scores.write_summary(shown.folder)
        pages.append(shown.folder / "report.html")
    if pages:
        with show_progress("drawing what was answered wrongly"):
            failing = find_failing(scores, shown.read.samples)
        for page in pages:
            save_page(
                scores, page, command=shown.command, failing=failing, comparison=shown.comparison
            )
    if shown.as_json:
        values = scores.to_dict()
        if shown.comparison is not None:
            values["comparison"] = shown.comparison.to_dict()
        print_json(values)
    else:
        for table in score_tables(scores):
            _print_table(table)
        if scores.audit is not None:
            print_line("")
            print_line(f"Knowledge audit of {scores.audit.questions:,} questions")
            for table in audit_tables(scores.audit):
                _print_table(table)
        if shown.comparison is not None:
            _print_comparison(shown.comparison)
    for page in pages:
        print_notice(f"page written to {page}")


def show_comparison(
    comparison: ScoresComparison, *, command: str, as_json: bool, report: Path | None
) -> None:
    """Print a comparison, and write its page where one was asked for."""
    if report is not None:
        from mmreason.training.evaluation.page import save_comparison

        print_notice(f"page written to {save_comparison(comparison, report, command=command)}")
    if as_json:
        print_json(comparison.to_dict())
        return
    _print_comparison(comparison)


def _print_comparison(comparison: ScoresComparison) -> None:
    from mmreason.training.evaluation.tables import comparison_tables

    for table in comparison_tables(comparison):
        _print_table(table)
    if comparison.not_asked or comparison.only_in_one:
        print_line(
            f"{comparison.not_asked:,} questions could not be asked in one of the two, "
            f"{comparison.only_in_one:,} are in one alone; they are in no figure"
        )
    print_line("")
    print_line(comparison.verdict)


def _print_table(table: ScoreTable) -> None:
    from rich.table import Table

    # Rich drops letters, and whole columns, that do not fit; a line that wraps loses nothing.
    console = result_console(least_width=TABLE_WIDTH)
    drawn = Table(box=None, pad_edge=False, padding=(0, 1))
    for number, name in enumerate(table.header):
        drawn.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in table.rows:
        drawn.add_row(*row)
    print_line("")
    print_line(table.title)
    if table.hint:
        print_line(table.hint)
    console.print(drawn)


def _command(
    file: Path,
    model: str,
    against: str | None,
    settings: EvaluateSettings,
    judge: str | None,
    training_text: Sequence[Path] | None,
    folder: Path | None,
) -> str:
    """The line that makes these results again, with the options that move a figure."""
    from dataclasses import fields

    words = ["mmreason", "eval", "problems", str(file), "--model", model]
    for option, value in (("--against", against), ("--judge", judge), ("--out", folder)):
        words += [] if value is None else [option, str(value)]
    for field in fields(settings):
        value = getattr(settings, field.name)
        if value == field.default:
            continue
        option = f"--{field.name.replace('_', '-')}"
        words += [option] if value is True else [option, str(value)]
    for path in training_text or ():
        words += ["--training-text", str(path)]
    return shlex.join(words)
