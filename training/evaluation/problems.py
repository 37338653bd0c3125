"""Evaluates a model on rows of a data set, resumable.

samples = read_samples("test.jsonl").samples
scores = evaluate_problems(samples, load(name), EvaluateSettings(frames=8), out=Path("runs/a"))
print(scores.lenient.all_rows.text)
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmreason import __version__
from mmreason.json_values import to_json
from mmreason.models.base import ChatModel, ClipRecipe
from mmreason.training.data.conversation import adapt_clip
from mmreason.training.data.sample import RowFault, Sample
from mmreason.training.evaluation.asking import MOST_FAILURES, ask_batches, most_tokens
from mmreason.training.evaluation.judging import AnswerJudge, judge_rows, read_judged
from mmreason.training.evaluation.plan import EvaluationPlan, plan_asks
from mmreason.training.evaluation.projection import AnswerSupport, project_answers
from mmreason.training.evaluation.rows import FORMAT, EvalRow, RowFile, read_rows
from mmreason.training.evaluation.scoring import right_texts
from mmreason.training.evaluation.settings import EvaluateSettings
from mmreason.training.evaluation.summary import ProblemScores, build_scores
from mmreason.training.evaluation.text_scores import AnswerScorer
from mmreason.training.evaluation.training_text import TextIndex
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

OnDone = Callable[[int, int], None]
_LIBRARIES = ("torch", "transformers", "numpy", "av")


class ModelFailed(UsageError):
    """The model failed on everything it was asked for a while; what was answered before is kept."""


def evaluate_problems(
    samples: Sequence[Sample],
    model: ChatModel,
    settings: EvaluateSettings,
    *,
    out: Path | None = None,
    faults: Sequence[RowFault] = (),
    judge: AnswerJudge | None = None,
    scorer: AnswerScorer | None = None,
    training_text: TextIndex | None = None,
    on_done: OnDone = lambda done, total: None,
) -> ProblemScores:
    """Ask `model` every row and score what it says. Rows go to `rows.jsonl` in the folder `out`,
    where a run that was cut short goes on; without it nothing is kept.

    `faults` are rows that could not be read: they count as such. `scorer` gives the probability of
    an answer (`answer_scorer(model)`), `training_text` what the model learnt from.
    `on_done(done, total)` is called after each batch.

    Raises UsageError where the folder holds a run of other settings, where no row could be asked,
    and ModelFailed for a model that fails on `MOST_FAILURES` conversations on end.
    """
    plan = plan_asks(samples, settings, faults)
    clip = adapt_clip(model.clip, frames=settings.frames, longest_px=settings.longest_px)
    header = describe_run(plan, model, settings, clip, has_scorer=scorer is not None)
    rows = _ask_all(plan, model, settings, clip, header, out, scorer, on_done)
    _check_any_answered(rows)
    if judge is not None:
        rows = list(judge_rows(rows, judge, out))
    elif out is not None:
        rows = list(read_judged(rows, out))
    supports = {} if training_text is None else _find_supports(rows, plan, training_text)
    return build_scores(header, rows, supports=supports, was_judged=judge is not None)


def read_scores(folder: Path) -> ProblemScores:
    """The scores of a folder that `evaluate_problems` wrote. UsageError for a run that is not
    finished, and for what is no such folder."""
    header, rows = read_rows(folder)
    total = header.get("conversations")
    if len(rows) != total:
        raise UsageError(
            f"{folder}: holds {len(rows):,} of {total} rows; run `mmreason eval problems` again "
            "with the same --out, and it goes on"
        )
    judged = read_judged(rows, folder)
    was_judged = any(row.judged is not None for row in judged)
    return build_scores(header, judged, was_judged=was_judged)


def describe_run(
    plan: EvaluationPlan,
    model: ChatModel,
    settings: EvaluateSettings,
    clip: ClipRecipe,
    *,
    has_scorer: bool,
) -> dict[str, Any]:
    """The header of a run: everything that moves a number, as JSON types."""
    return {
        "format": FORMAT,
        "model": model.name,
        "model_fingerprint": model.fingerprint,
        "data_sha256": plan.data_digest,
        "questions": plan.questions,
        "conversations": len(plan.asks),
        "settings": asdict(settings) | {"max_new_tokens": most_tokens(settings, clip)},
        "clip": to_json(clip),
        "tells_probabilities": has_scorer,
        "absent": {name: dict(reasons) for name, reasons in plan.absent.items()},
        "versions": _versions(),
    }


def _ask_all(
    plan: EvaluationPlan,
    model: ChatModel,
    settings: EvaluateSettings,
    clip: ClipRecipe,
    header: Mapping[str, Any],
    out: Path | None,
    scorer: AnswerScorer | None,
    on_done: OnDone,
) -> list[EvalRow]:
    total = len(plan.asks)
    keys = [ask.key for ask in plan.asks]
    file = None if out is None else RowFile(out, header, keys, settings.batch_size)
    rows = [] if file is None else list(file.rows)
    if len(rows) == total:
        on_done(total, total)
        return rows
    batches = ask_batches(plan.asks, model, settings, clip, scorer=scorer, first=len(rows))
    for batch in batches:
        rows += batch
        if file is not None:
            file.append(batch)
        failed = _count_last_failures(rows)
        if failed >= MOST_FAILURES or (failed == len(rows) == total):
            # Not kept: a server that is down has answered nothing, and is asked again.
            keep = (len(rows) - failed) // settings.batch_size * settings.batch_size
            if file is not None:
                file.cut(keep)
            where = "" if out is None else f"; what was answered is in {show_line(str(out))}"
            raise ModelFailed(
                f"model {model.name!r} failed on {failed} conversations on end, the last with "
                f"{show_line(rows[-1].error)[:300]}{where}"
            )
        on_done(len(rows), total)
    return rows


def _count_last_failures(rows: Sequence[EvalRow]) -> int:
    """Rows at the end that the model failed on."""
    count = 0
    for row in reversed(rows):
        if not row.by_model:
            break
        count += 1
    return count


def _check_any_answered(rows: Sequence[EvalRow]) -> None:
    if all(row.error for row in rows):
        raise UsageError(
            f"none of {len(rows):,} conversations could be asked; the first: "
            f"{show_line(rows[0].id)}: {show_line(rows[0].error)[:300]}. See all with: mmreason "
            "data check FILE"
        )


def _find_supports(
    rows: Sequence[EvalRow], plan: EvaluationPlan, index: TextIndex
) -> dict[str, AnswerSupport]:
    audited = {row.id for row in rows if row.is_audited}
    questions = {
        ask.id: (ask.truth.question, right_texts(ask.truth))
        for ask in plan.asks
        if ask.id in audited and ask.condition.value == "video"
    }
    return project_answers(questions, index)


def _versions() -> dict[str, str]:
    versions = {"mmreason": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue  # an extra that is not installed moves no number
    return versions
