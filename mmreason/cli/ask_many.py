"""`mmreason ask --questions`: a file of questions, answered into a file that is resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mmreason.cli.common import out, print_json, print_notice
from mmreason.cli.inputs import bar
from mmreason.json_values import to_json

if TYPE_CHECKING:
    from mmreason.agent.batch import Result, ResultsFile
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
) -> None:
    """Answer what has no answer yet. Ends with exit code 1 where a question failed, now or in an
    earlier run whose failure is still in the file, or where a row is no question.

    An answer that cannot be written is printed as its row, and ends the work.

    Without `use_subtitles` those beside or inside a video are left alone; a row that names a file
    of its own keeps it.
    """
    from mmreason.agent.batch import BatchTotals, ResultsFile, read_questions
    from mmreason.report.words import counted
    from mmreason.video.files import check_writable

    rows = read_questions(questions_path)
    questions = list(rows.questions)
    check_writable(answers_path)
    if not use_subtitles:
        questions = [replace(q, subtitles=None) if q.subtitles == "auto" else q for q in questions]
    results = ResultsFile(answers_path, retry_failed=retry_failed)
    left = results.unfinished(questions)
    for unreadable in rows.unreadable:
        results.add(unreadable)
    if left:
        reasoner = load()
        with bar("asking", len(questions)) as advance:
            for _ in range(len(questions) - len(left)):
                advance()
            for result in reasoner.ask_many(left, budget=budget, workers=workers, seed=seed):
                _add_or_print(results, result)
                advance()
    questions += [result.question for result in rows.unreadable]
    try:
        results.sort(questions)
    except OSError as error:
        why = error.strerror or type(error).__name__
        print_notice(f"{answers_path}: rows stay in the order in which they were answered ({why})")
    # Those of earlier runs are in the file too, and count until they are asked again.
    failed = [(q.id, row["failure"]) for q in questions if "failure" in (row := results.rows[q.id])]
    before = len(rows.questions) - len(left)
    totals = BatchTotals(
        answers=str(answers_path),
        questions=len(questions),
        answered_before=before,
        unanswered=sum(results.rows[q.id].get("answered") is False for q in questions),
        failed=len(failed),
    )
    if as_json:
        print_json(to_json(totals))
    else:
        of_before = f", {before} of them before" if before else ""
        text = (
            f"{counted(len(questions), 'question')} done{of_before}, {totals.unanswered} without "
            f"an answer, {len(failed)} failed: {answers_path}"
        )
        out().print(text, soft_wrap=True)
    for name, failure in failed:
        print_notice(f"  {name}: {failure['message']}")
    to_ask = {question.id for question in (*left, *(row.question for row in rows.unreadable))}
    if not retry_failed and any(row_id not in to_ask for row_id, _ in failed):
        print_notice("--retry-failed asks those again that failed before")
    if failed:
        raise typer.Exit(1)


def _add_or_print(results: ResultsFile, result: Result) -> None:
    """Nothing that was paid for is lost: a row that finds no room on the disk goes to stdout."""
    try:
        results.add(result)
    except OSError:
        print_json(results.rows[result.question.id])
        raise
