"""`mmreason ask --questions`: a file of questions, answered into a file that is resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mmreason.cli.common import check_target, out, print_json, print_notice
from mmreason.cli.inputs import bar
from mmreason.json_values import to_json

if TYPE_CHECKING:
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
    earlier run whose failure is still in the file.

    Without `use_subtitles` those beside or inside a video are left alone; a row that names a file
    of its own keeps it.
    """
    from mmreason.batch import BatchTotals, ResultsFile, read_questions
    from mmreason.report.words import counted

    questions = read_questions(questions_path)
    check_target(answers_path, "the answers")
    if not use_subtitles:
        questions = [replace(q, subtitles=None) if q.subtitles == "auto" else q for q in questions]
    results = ResultsFile(answers_path, retry_failed=retry_failed)
    left = results.left(questions)
    if left:
        reasoner = load()
        with bar("asking", len(questions)) as advance:
            for _ in range(len(questions) - len(left)):
                advance()
            for result in reasoner.ask_many(left, budget=budget, workers=workers, seed=seed):
                results.add(result)
                advance()
    results.sort(questions)
    # Those of earlier runs are in the file too, and count until they are asked again.
    failed = [(q.id, row["failure"]) for q in questions if "failure" in (row := results.rows[q.id])]
    before = len(questions) - len(left)
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
    if failed and before and not retry_failed:
        print_notice("--retry-failed asks those again that failed before")
    if failed:
        raise typer.Exit(1)
