"""What can be done where a question got no answer: sentences that are true of this very case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.agent.loop import Decline
from mmreason.agent.provenance import DECLINED
from mmreason.agent.question import Question
from mmreason.language.refusals import is_out_of_domain
from mmreason.tools.calls import Roles
from mmreason.types import Budget, Step, StopReason
from mmreason.video.subtitles import Subtitles

_LIMITS = {
    StopReason.BUDGET_FRAMES: ("frames", "frames", "--budget-frames"),
    StopReason.BUDGET_ROUNDS: ("rounds", "rounds", "--budget-rounds"),
    StopReason.BUDGET_TOKENS: ("tokens", "tokens", "--budget-tokens"),
    StopReason.BUDGET_SECONDS: ("seconds", "seconds", "--budget-seconds"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A question without an answer, and what it was asked with."""

    stop_reason: StopReason
    decline: Decline
    question: Question
    budget: Budget
    roles: Roles
    policy: str
    subtitles: Subtitles | None
    """Those that were used."""
    trace: Sequence[Step]


def next_steps(case: Unanswered) -> tuple[str, ...]:
    """The most promising first; empty where nothing is known that would help."""
    steps = [*_about_limits(case), *_about_models(case), *_about_subtitles(case)]
    if case.decline in (Decline.ABSENT, Decline.UNSUPPORTED):
        steps.append("Ask about something that the captions in the trace tell of, in their words.")
        if case.question.options:
            steps.append("Ask without options, to read what the model says by itself.")
    return tuple(steps)


def _about_limits(case: Unanswered) -> list[str]:
    if case.stop_reason not in _LIMITS:
        return []
    name, unit, option = _LIMITS[case.stop_reason]
    limit = getattr(case.budget, name)
    if limit is None:  # the policy's own limit
        return [f"The policy {case.policy} came to the end of its own {unit}: ask in parts."]
    return [
        f"Allow more than {limit:,} {unit}: {option} N, or Budget({name}=N). "
        "--dry-run tells what a question takes."
    ]


def _about_models(case: Unanswered) -> list[str]:
    roles = case.roles
    if case.stop_reason is StopReason.INVALID_OUTPUT:
        return [
            f"{roles.reasoner.name} was not trained to decide where to look: leave out --policy "
            "and --compat, or name a model that was."
        ]
    if case.stop_reason is StopReason.MODEL_FAILED:
        errors = [step.observation.error for step in case.trace if step.call.name != "invalid"]
        why = next((error for error in reversed(errors) if error), "it gave no reply")
        return [f"See to the model that decides, {roles.reasoner.name}: {why}"]
    if case.decline is not Decline.OUTSIDE and not _is_all_unknown(case.trace):
        return []
    if roles.observer.lineage == "nano":
        notes = [step.observation.note for step in case.trace]
        declined = next((n for n in reversed(notes) if n.startswith(DECLINED)), "")
        return [
            (f"nano {declined}. It" if declined else "nano")
            + " knows scripted worlds of coloured shapes only: for other footage and words name a "
            "video model with --model NAME, a Hugging Face name, a folder or the URL of a server."
        ]
    return [f"{roles.observer.name} does not know footage of this kind: name another with --model."]


def _is_all_unknown(trace: Sequence[Step]) -> bool:
    """Whether all that was said is that footage of this kind is unknown."""
    texts = [step.observation.text for step in trace if step.observation.frame_times_s]
    return bool(texts) and all(is_out_of_domain(text) for text in texts)


def _about_subtitles(case: Unanswered) -> list[str]:
    if case.question.subtitles is None:
        return ["Leave out --no-subtitles, where words that are said may answer."]
    if case.subtitles is not None and not case.subtitles:
        return ["Give other subtitles with --subtitles FILE: those that were found hold no line."]
    if not case.subtitles:
        return [
            "Give subtitles with --subtitles FILE, where words that are said may answer: none were "
            "found beside the video or inside it."
        ]
    return ["Ask in words that are said: the subtitles hold too few of the question's."]
