"""`mmreason ask --questions`: a file of questions, answered into a file that is resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mmreason.cli.common import print_json, print_notice, result_console
from mmreason.cli.inputs import progress_bar
from mmreason.engines.jobs import Shard, name_shard_file, select_shard
from mmreason.json_values import to_json

if TYPE_CHECKING:
    from mmreason.agent.batch import BatchTotals, QuestionFile, Result, ResultsFile
    from mmreason.agent.question import Question
    from mmreason.reasoner import Reasoner
    from mmreason.types import Budget


def ask_many(
    load: Callable[[], Reasoner],
    questions_path: Path,
    answers_path: Path,
    budget: Budget,
    workers: int,
    retry_failed: bool,
    seed: int,
    as_json: bool,
    *,
    use_subtitles: bool = True,
    shard: Shard | None = None,
) -> None:
    """Answer what has no answer yet. Ends with exit code 1 where a question failed, now or in an
    earlier run whose failure is still in the file, or where a row is no question.

    An answer that cannot be written is printed as its row, and ends the work.

    With a `shard` only its part of the questions is asked, told by their ids, into a file of its
    own: `answers.shard-1-of-8.jsonl`.

    Without `use_subtitles` those beside or inside a video are left alone; a row that names a file
    of its own keeps it.
    """
    from mmreason.agent.batch import BatchTotals, ResultsFile, read_questions
    from mmreason.video.files import check_writable

    # 1. What is asked, and what of it the answers do not hold yet. Both files are tried before a
    # model is loaded.
    rows = read_questions(questions_path)
    if shard is not None:
        rows = _select_rows(rows, shard)
        answers_path = name_shard_file(answers_path, shard)
    questions = list(rows.questions)
    check_writable(answers_path)
    if not use_subtitles:
        questions = [replace(q, subtitles=None) if q.subtitles == "auto" else q for q in questions]
    results = ResultsFile(answers_path, retry_failed=retry_failed)
    unasked = results.unfinished(questions)
    # 2. A row that is no question is a failure of that row, told beside the others.
    for unreadable in rows.unreadable:
        results.add(unreadable)
    if unasked:
        _ask_unasked(load(), unasked, results, len(questions), budget, workers, seed)
    # 3. In the order of the questions, whatever order they were answered in.
    ids = [question.id for question in questions] + [result.id for result in rows.unreadable]
    _sort_rows(results, ids, answers_path)
    # Those of earlier runs are in the file too, and count until they are asked again.
    rows_by_id = [(row_id, results.rows[row_id]) for row_id in ids]
    failed = [(row_id, row["failure"]) for row_id, row in rows_by_id if "failure" in row]
    # 4. What came of it: in numbers on stdout, failures by name on stderr.
    totals = BatchTotals(
        answers=str(answers_path),
        questions=len(ids),
        answered_before=len(rows.questions) - len(unasked),
        unanswered=sum(row.get("answered") is False for _, row in rows_by_id),
        failed=len(failed),
    )
    if as_json:
        print_json(to_json(totals))
    else:
        result_console().print(_totals_line(totals), soft_wrap=True)
    for name, failure in failed:
        print_notice(f"  {name}: {failure['message']}")
    just_tried = {item.id for item in (*unasked, *rows.unreadable)}
    # Said only where it would help: a failure of this very run may fail again.
    if not retry_failed and any(row_id not in just_tried for row_id, _ in failed):
        print_notice("--retry-failed asks those again that failed before")
    if failed:
        raise typer.Exit(1)


def _select_rows(rows: QuestionFile, shard: Shard) -> QuestionFile:
    ids = [row.id for row in (*rows.questions, *rows.unreadable)]
    ours = set(select_shard(ids, shard))
    return replace(
        rows,
        questions=tuple(row for row in rows.questions if row.id in ours),
        unreadable=tuple(row for row in rows.unreadable if row.id in ours),
    )


def _ask_unasked(
    reasoner: Reasoner,
    unasked: list[Question],
    results: ResultsFile,
    total: int,
    budget: Budget,
    workers: int,
    seed: int,
) -> None:
    """Ask, each result being in the file before the next is waited for."""
    with progress_bar("asking", total) as advance:
        # A bar that begins where the earlier run ended.
        for _ in range(total - len(unasked)):
            advance()
        for result in reasoner.ask_many(unasked, budget=budget, workers=workers, seed=seed):
            _add_or_print(results, result)
            advance()


def _sort_rows(results: ResultsFile, ids: list[str], path: Path) -> None:
    """Into the order of `ids`; a full disk leaves them as they are, and is told."""
    try:
        results.sort(ids)
    except OSError as error:
        why = error.strerror or type(error).__name__
        print_notice(f"{path}: rows stay in the order in which they were answered ({why})")


def _totals_line(totals: BatchTotals) -> str:
    from mmreason.report.text import format_count

    before = totals.answered_before
    of_before = f", {before} of them before" if before else ""
    return (
        f"{format_count(totals.questions, 'question')} done{of_before}, {totals.unanswered} "
        f"without an answer, {totals.failed} failed: {totals.answers}"
    )


def _add_or_print(results: ResultsFile, result: Result) -> None:
    """Nothing that was paid for is lost: a row that finds no room on the disk goes to stdout."""
    try:
        results.add(result)
    except OSError:
        print_json(results.rows[result.id])
        raise
