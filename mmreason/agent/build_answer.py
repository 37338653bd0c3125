"""What came of a run of the agent, made into an `Answer`: evidence with frames to show, cost, all
that moved it, and what can be done where there is none.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from mmreason.agent.loop import AnswerDraft
from mmreason.agent.next_steps import Unanswered, next_steps
from mmreason.agent.protocol import Inquiry
from mmreason.agent.provenance import (
    describe_model,
    describe_recipe,
    standing_notes,
    why_declined,
)
from mmreason.agent.quoting import Transcript
from mmreason.memory.store import Store
from mmreason.tool_calls import ChoosePolicy, MemoryCall, ModelTurn, Scan, WrittenAnswer
from mmreason.tools.calls import Roles
from mmreason.tools.thumbnails import take_thumbnails
from mmreason.tools.toolbox import Toolbox
from mmreason.types import Answer, Cost, Step, StopReason
from mmreason.video.types import FrameSource, VideoError

_SHOW_NOTHING = ModelTurn | Scan | MemoryCall | ChoosePolicy | WrittenAnswer
"""Calls whose failure says nothing of the video."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A run that has come to its end, and what it ran on."""

    inquiry: Inquiry
    draft: AnswerDraft
    trace: tuple[Step, ...]
    cost: Cost
    """Its seconds are counted when the answer is made."""
    started: float
    """`time.perf_counter()` when the question was asked."""
    policy: dict[str, Any]
    """As `policies.auto.describe_policy` gives it."""
    roles: Roles
    transcript: Transcript
    seed: int


def build_answer(run: FinishedRun, source: FrameSource, toolbox: Toolbox, store: Store) -> Answer:
    """The answer to the run's question. VideoError where nothing could be looked at."""
    draft, trace, info, question = run.draft, run.trace, source.info, run.inquiry.question
    # 1. A video that cannot be looked at is no video without an answer. What failed because the
    # time was over is told by the stop reason.
    is_late = draft.stop_reason is StopReason.BUDGET_SECONDS
    if draft.decline is not None and not is_late:
        _raise_where_all_failed(trace, info.path)
    # 2. Frames to show, and all that did not go as it was asked for.
    thumbnails, failed = take_thumbnails(source, draft.evidence, trace)
    fallbacks = (*_inexact_notes(toolbox), *toolbox.notes, *failed)
    notes = (*info.notes, *why_declined(trace), *fallbacks)
    # 3. The answer.
    observer, checker = run.roles.observer, run.roles.checker
    return Answer(
        question=question.text,
        text=draft.text,
        choice=draft.choice,
        options=question.options,
        confidence=draft.confidence,
        confidence_calibrated=observer.calibrated and checker.calibrated,
        evidence=tuple(replace(item, video=info.path) for item in draft.evidence),
        cost=replace(run.cost, seconds=time.perf_counter() - run.started),
        trace=trace,
        stop_reason=draft.stop_reason,
        next_steps=_find_next_steps(run),
        video=info.path,
        duration_s=info.duration_s,
        settings={
            **describe_recipe(observer, run.inquiry.tree, info),
            "policy": run.policy,
            "roles": {name: describe_model(model) for name, model in run.roles.by_name().items()},
            "seed": run.seed,
            "budget": asdict(run.inquiry.budget),
            "subtitles": run.transcript.to_settings(),
            "store": store.path,
            "notes": [*standing_notes(observer), *store.notes, *notes],
        },
        thumbnails=thumbnails,
    )


def _find_next_steps(run: FinishedRun) -> tuple[str, ...]:
    if run.draft.decline is None:
        return ()
    return next_steps(
        Unanswered(
            stop_reason=run.draft.stop_reason,
            decline=run.draft.decline,
            question=run.inquiry.question,
            budget=run.inquiry.budget,
            roles=run.roles,
            policy=run.policy["name"],
            subtitles=run.transcript.subtitles,
            trace=run.trace,
        )
    )


def _inexact_notes(toolbox: Toolbox) -> tuple[str, ...]:
    """A note where models were shown other frames than those that were asked for."""
    count = len(toolbox.inexact_s)
    if not count:
        return ()
    what = "1 frame was" if count == 1 else f"{count:,} frames were"
    return (f"{what} shown in place of others that could not be had: the video may be damaged",)


def _raise_where_all_failed(trace: tuple[Step, ...], path: str) -> None:
    looked_for = (step for step in trace if not isinstance(step.call, _SHOW_NOTHING))
    errors = [step.observation.error for step in looked_for]
    # One look that worked is enough: the trace tells of the others.
    if errors and None not in errors:
        raise VideoError(f"{path}: nothing could be looked at: {errors[0]}")
