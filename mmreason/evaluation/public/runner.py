"""Asks the questions of a public benchmark: resumable, one line a question.

A folder holds `run.json` (every setting that moves a number), `results.jsonl` and `subtitles/`. A
run that was cut short goes on where it ended; one of other settings is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from mmreason.agent.batch import Failure, Result
from mmreason.agent.provenance import describe_model
from mmreason.agent.question import Question
from mmreason.evaluation.public.items import BenchmarkItem, BenchmarkQuestions
from mmreason.evaluation.public.judge import JUDGE_PROMPT, judge_answers
from mmreason.evaluation.public.outcomes import BenchmarkOutcome, outcome_of, read_outcomes
from mmreason.evaluation.public.subtitle_files import prepare_subtitles
from mmreason.evaluation.runs import check_same_run
from mmreason.json_lines import append_lines, encode_json_line, mend_last_line
from mmreason.json_values import to_json
from mmreason.models.base import ChatModel
from mmreason.policies import Policy
from mmreason.reasoner import Reasoner
from mmreason.types import Budget, UsageError
from mmreason.video.json_input import replace_half_pairs
from mmreason.video.types import VideoError


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRun:
    """How the questions are asked.

    Example:
        >>> BenchmarkRun(with_subtitles=True, budget=Budget(frames=128)).seed
        0
    """

    with_subtitles: bool = False
    """Whether the benchmark's own subtitles are used; never those inside a video."""
    budget: Budget = field(default_factory=Budget)
    """Of each question."""
    seed: int = 0
    workers: int = 1
    """Questions in flight; no result depends on it."""
    retry_failed: bool = False
    judge: ChatModel | None = None
    """Scores open answers; without one they are not scored."""


OnProgress = Callable[[int, int], None]


def run_benchmark(
    reasoner: Reasoner,
    questions: BenchmarkQuestions,
    items: Sequence[BenchmarkItem],
    run: BenchmarkRun,
    folder: Path,
    *,
    on_progress: OnProgress | None = None,
) -> Path:
    """Ask those of `items` that have a video and no outcome in `folder` yet; returns the path of
    `results.jsonl`. `on_progress(done, total)` is called after each.

    Raises UsageError where the folder holds a run of other settings, and for a run with subtitles
    where there are none. A question that fails is a line with its error.
    """
    if run.with_subtitles and not questions.subtitled:
        raise UsageError(
            f"no subtitles of {questions.benchmark} were found; put them where docs/benchmarks.md "
            "shows, or ask without them"
        )
    # 1. One folder, one way of asking.
    folder.mkdir(parents=True, exist_ok=True)
    check_same_run(describe_run(reasoner, questions, run), folder / "run.json")
    # 2. What an earlier run has done already.
    results = folder / "results.jsonl"
    mend_last_line(results)
    outcomes = read_outcomes(results)
    to_ask = [item for item in items if item.video is not None]
    waiting = [i for i in to_ask if _is_missing(outcomes.get(i.id), retry=run.retry_failed)]
    done = len(to_ask) - len(waiting)
    item_of_id = {item.id: item for item in to_ask}
    if run.retry_failed:
        _judge_again(outcomes, item_of_id, run.judge, results)
    # 3. The rest, each on disk before the next is waited for.
    for result in _ask(reasoner, waiting, run, folder):
        outcome = outcome_of(result, reads_options=reasoner.model.clip.reads_options)
        outcome = _judge(outcome, item_of_id[outcome.id], run.judge)
        _append(results, outcome)
        done += 1
        if on_progress is not None:
            on_progress(done, len(to_ask))
    return results


def describe_run(
    reasoner: Reasoner, questions: BenchmarkQuestions, run: BenchmarkRun
) -> dict[str, Any]:
    """Every setting that moves a number, as JSON types: a folder holds results of one of them."""
    clip, judge = reasoner.model.clip, run.judge
    settings = {
        "benchmark": questions.benchmark,
        # By content: a data set may be mended under the same name.
        "questions": {file.name: _digest(file) for file in questions.files},
        "roles": {
            name: describe_model(model) | {"tier": model.tier}
            for name, model in reasoner.roles.by_name().items()
        },
        "policy": _describe_policy(reasoner.policy),
        "tree": asdict(reasoner.tree),
        "frames": {
            "of_a_clip": clip.frames,
            "size_px": None if clip.size_px is None else list(clip.size_px),
            "longest_px": clip.longest_px,
            "overview": clip.overview,
        },
        "prompts": asdict(clip.prompts),
        "reads_options": clip.reads_options,
        # None where they are not used: with those that are there later, it would be another run.
        "questions_with_subtitles": questions.subtitled if run.with_subtitles else None,
        "reads_transcript": clip.reads_transcript,
        "budget": asdict(run.budget),
        "seed": run.seed,
        "judge": None if judge is None else describe_model(judge) | {"prompt": JUDGE_PROMPT},
    }
    # As they come back from the file: what is compared is the same then.
    return to_json(settings)


def _ask(
    reasoner: Reasoner, items: Sequence[BenchmarkItem], run: BenchmarkRun, folder: Path
) -> Iterator[Result]:
    questions: list[Question] = []
    for item in items:
        try:
            # Without its subtitles it would be another question: it fails, and can be asked again.
            subtitles = (
                prepare_subtitles(item, folder / "subtitles") if run.with_subtitles else None
            )
            question = Question(
                video=str(item.video),
                text=item.question,
                options=item.options,
                subtitles=subtitles,
                id=item.id,
            )
        except (UsageError, VideoError) as error:
            failure = Failure(kind=type(error).__name__, message=str(error))
            yield Result(id=item.id, failure=failure)
            continue
        questions.append(question)
    yield from reasoner.ask_many(questions, budget=run.budget, workers=run.workers, seed=run.seed)


def _judge(
    outcome: BenchmarkOutcome, item: BenchmarkItem, judge: ChatModel | None
) -> BenchmarkOutcome:
    # Where there are options, their letter is scored, and no opinion is needed.
    if judge is None or not item.is_open or not outcome.text:
        return outcome
    return replace(outcome, judged_right=judge_answers(judge, [(item, outcome.text)])[0])


def _judge_again(
    outcomes: Mapping[str, BenchmarkOutcome],
    item_of_id: Mapping[str, BenchmarkItem],
    judge: ChatModel | None,
    results: Path,
) -> None:
    """Judge open answers that have no verdict yet, without asking the question again."""
    for outcome in outcomes.values():
        item = item_of_id.get(outcome.id)
        if item is None or outcome.judged_right is not None:
            continue
        judged = _judge(outcome, item, judge)
        if judged.judged_right is not None:
            _append(results, judged)


def _append(results: Path, outcome: BenchmarkOutcome) -> None:
    # File names and replies may hold what no file can.
    row = replace_half_pairs(outcome.to_dict())
    append_lines(results, encode_json_line(row), wait_for_disk=True)


def _is_missing(outcome: BenchmarkOutcome | None, *, retry: bool) -> bool:
    return outcome is None or (retry and outcome.failed)


def _describe_policy(policy: Policy) -> dict[str, Any]:
    """Its name and what it was made with."""
    values = {"name": policy.name}
    if is_dataclass(policy):
        values |= {field.name: getattr(policy, field.name) for field in fields(policy)}
    # The order of a set is another one in each process.
    return {name: sorted(v) if isinstance(v, frozenset) else v for name, v in values.items()}


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
