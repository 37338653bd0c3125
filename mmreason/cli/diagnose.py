"""`mmreason diagnose`: what predictions that somebody made elsewhere show of who made them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import Json, print_notice, show_progress
from mmreason.cli.eval_refadv import show_diagnosis

if TYPE_CHECKING:
    from mmreason.evaluation.refadv.cases import RefAdvCase
    from mmreason.evaluation.refadv.outcomes import CaseOutcome
    from mmreason.grounding.formats.ref_adv_scores import RefAdvScores

_MOST_NAMED = 5


def diagnose_predictions(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="JSON lines: results.jsonl of eval refadv, answers to its items, or prediction "
            "rows of Ref-Adv."
        ),
    ],
    items: Annotated[
        Path | None,
        typer.Option(help="Of answers: the items.jsonl that they answer; else the frozen sets."),
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(help="Of Ref-Adv's prediction rows: the rows of the data set.")
    ] = None,
    compat: Annotated[
        str | None,
        typer.Option(help="ref-adv: with --rows, its published scoring beside the corrected one."),
    ] = None,
    seen_multiple: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --compat: the model saw pictures with sides rounded to multiples of this, "
            "and wrote pixels of them (Qwen2.5-VL: 28).",
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page to this file.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="Write the tables to this file, as Markdown.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell from predictions whether who made them reads the expression."""
    from mmreason.evaluation.refadv.diagnosis import build_diagnosis
    from mmreason.evaluation.refadv.failures import draw_failures
    from mmreason.evaluation.refadv.plan import read_items
    from mmreason.evaluation.refadv.predictions import (
        PredictionForm,
        detect_predictions,
        find_answered,
        score_answers,
    )
    from mmreason.evaluation.refadv.runner import read_outcomes
    from mmreason.grounding.refadv import load_frozen
    from mmreason.types import UsageError

    if compat not in (None, "ref-adv"):
        raise UsageError(f"--compat must be ref-adv, got {compat!r}")
    form = detect_predictions(predictions)
    if form is PredictionForm.REF_ADV and rows is None:
        raise UsageError(
            f"{predictions}: holds prediction rows of Ref-Adv; give the rows of its data set with "
            "--rows"
        )
    if compat is not None and form is not PredictionForm.REF_ADV:
        raise UsageError(f"--compat ref-adv is for its prediction rows; {predictions} has others")
    cases: list[RefAdvCase] = []
    scores: RefAdvScores | None = None
    with show_progress(f"reading {predictions}"):
        if form is PredictionForm.OUTCOMES:
            outcomes = read_outcomes(predictions)
        elif form is PredictionForm.ANSWERS:
            if items is not None:
                asked = read_items(items)
            else:
                frozen = (*load_frozen("image"), *load_frozen("video"))
                asked = find_answered(predictions, frozen)
                print_notice(
                    f"{len(asked):,} items of the frozen sets are answered; the others are not "
                    "counted (--items counts each of its own)"
                )
            outcomes, cases = score_answers(predictions, asked)
        else:
            assert rows is not None
            outcomes, scores = _join_ref_adv(predictions, rows, seen_multiple)
    words = ["mmreason", "diagnose", str(predictions)]
    options = {"--items": items, "--rows": rows, "--compat": compat}
    for option, value in (options | {"--seen-multiple": seen_multiple}).items():
        words += [option, str(value)] if value is not None else []
    diagnosis = build_diagnosis(
        outcomes,
        command=shlex.join(words),
        failures=draw_failures(outcomes, cases),
        scores=scores if compat else None,
    )
    show_diagnosis(diagnosis, as_json=as_json, report=report, table=table)


def _join_ref_adv(
    predictions: Path, rows: Path, seen_multiple: int | None
) -> tuple[list[CaseOutcome], RefAdvScores]:
    """Outcomes of all rows that can be scored, and both scorings; bad lines are named."""
    from mmreason.evaluation.refadv.rows import join_predictions
    from mmreason.grounding.formats import FormError, RowError, read_rows
    from mmreason.grounding.formats.ref_adv import read_predictions
    from mmreason.grounding.formats.ref_adv_scores import score_ref_adv, suppose_seen_sizes
    from mmreason.types import UsageError

    try:
        read, made = list(read_rows(rows)), list(read_predictions(predictions))
        problems = [str(row) for row in (*read, *made) if isinstance(row, RowError)]
        for problem in problems[:_MOST_NAMED]:
            print_notice(f"not used: {problem}")
        if len(problems) > _MOST_NAMED:
            print_notice(f"{len(problems) - _MOST_NAMED:,} more lines are not used")
        good = [row for row in read if not isinstance(row, RowError)]
        answers = [row for row in made if not isinstance(row, RowError)]
        sizes = suppose_seen_sizes(good, multiple_px=seen_multiple) if seen_multiple else {}
        scores = score_ref_adv(good, answers, seen_sizes=sizes)
        for note in scores.notes:
            print_notice(note)
        return join_predictions(good, answers, sizes), scores
    except FormError as error:
        raise UsageError(str(error)) from error
    except ValueError as error:
        raise UsageError(f"{predictions}: {error}") from error
