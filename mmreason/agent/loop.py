"""The one loop that answers a question, without I/O: it yields actions and is sent results.

A policy proposes (`policies/`), the loop disposes: it notices repeated calls, checks every claim by
another look at its evidence (`checking.py`), and knows which answer stands in the end. Drivers
perform the calls (`reasoner.py`). Leaves out models, frames, stores and budgets; a driver that
cannot afford a action says so, and the policy gets one last try.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from mmreason.agent.protocol import (
    Action,
    AskModel,
    CallTools,
    CheckResult,
    CheckStatus,
    Claim,
    Inquiry,
    Play,
    Policy,
    RecordNote,
    Results,
    Stopped,
)
from mmreason.agent.verification import WORST_FIRST, ClaimChecker
from mmreason.language.question import is_yes_no
from mmreason.language.refusals import is_out_of_domain
from mmreason.tool_calls import ToolCall
from mmreason.types import Check, Evidence, Observation, StopReason

SAME_CALLS = 2
"""A call is made this often; after that it is answered with a note."""
REPEATED = "this call was made before with the same result; do something else or answer"


class Decline(StrEnum):
    """Why there is no answer."""

    ABSENT = "absent"
    """The model says that what is asked for is not there."""
    OUTSIDE = "outside"
    """The model says that it does not know footage of this kind."""
    UNSUPPORTED = "unsupported"
    """What looks said was contradicted by others."""
    NOTHING = "nothing"
    """Nothing was claimed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerDraft:
    """What the loop came to; the driver adds cost, trace and settings."""

    text: str = ""
    choice: int | None = None
    confidence: float | None = None
    evidence: tuple[Evidence, ...] = ()
    stop_reason: StopReason
    decline: Decline | None = None
    """None where there is an answer."""


Loop = Generator[CallTools | AskModel | RecordNote, Any, AnswerDraft]
_Part = Generator[CallTools | AskModel | RecordNote, Any, Any]


def answer_loop(inquiry: Inquiry, policy: Policy) -> Loop:
    """Yield a `CallTools`, `AskModel` or `RecordNote`, be sent `Results`, a `Reply`, or None; an
    `AskModel` or `RecordNote` that the budget does not allow is sent `Stopped`."""
    referee = _Referee(inquiry, ClaimChecker(inquiry))
    yield from referee.run(policy.play(inquiry))
    return referee.draft()


@dataclass
class _Judged:
    claim: Claim
    status: CheckStatus
    checks: tuple[Check, ...]
    """One a support of the claim."""


@dataclass
class _Referee:
    inquiry: Inquiry
    checker: ClaimChecker
    judged: list[_Judged] = field(default_factory=list)
    spent: StopReason | None = None
    calls: Counter[ToolCall] = field(default_factory=Counter)
    invalid: int = 0
    """Remarks on mistakes in a row."""

    def run(self, play: Play) -> _Part:
        """Let the policy play until it ends, a check agrees to a claim, or the budget says no
        twice."""
        sent: Any = None
        refusals = 0
        try:
            while True:
                try:
                    action = play.send(sent)
                except StopIteration:
                    return
                sent = yield from self.grant(action)
                if isinstance(sent, CheckResult) and sent.status is CheckStatus.AGREED:
                    return
                reason = _refused(sent)
                if reason is not None:
                    self.spent = self.spent or reason
                    refusals += 1
                    if refusals > 1:
                        return
        finally:
            play.close()

    def grant(self, action: Action) -> _Part:
        """Perform one action of the policy, or pass it on to the driver."""
        failed = isinstance(action, RecordNote) and action.error is not None
        self.invalid = self.invalid + 1 if failed else 0
        if isinstance(action, Claim):
            return (yield from self.judge(action))
        if isinstance(action, CallTools):
            return (yield from self.act(action))
        if isinstance(action, Stopped):
            self.spent = self.spent or action.reason
            return None
        self.checker.consulted |= isinstance(action, AskModel)
        return (yield action)

    def act(self, action: CallTools) -> _Part:
        """Make the calls of a round, but for those that were made too often already."""
        is_fresh = [self.count(call) <= SAME_CALLS for call in action.calls]
        fresh = tuple(call for call, new in zip(action.calls, is_fresh, strict=True) if new)
        results = Results(())
        if fresh:
            results = yield replace(action, calls=fresh)
            self.hear(fresh, results)
        seen = iter(results.observations)
        merged: list[Observation] = []
        counted = bool(fresh)
        for call, new in zip(action.calls, is_fresh, strict=True):
            one = next(seen, None) if new else _repeated(call)
            if one is None:
                break
            merged.append(one)
            if not new:
                refused = yield RecordNote(action.thought, call, REPEATED, counted=counted)
                counted = True
                if isinstance(refused, Stopped):
                    return Results(tuple(merged), refused.reason)
        return Results(tuple(merged), results.spent)

    def hear(self, calls: Sequence[ToolCall], results: Results) -> None:
        """Keep what was described: claims are held against it."""
        for call, one in zip(calls, results.observations, strict=False):
            if call.describes and one.error is None:
                self.checker.captions.hear(one.notes)

    def count(self, call: ToolCall) -> int:
        """How often a call was asked for, this time included."""
        self.calls[call] += 1
        return self.calls[call]

    def judge(self, claim: Claim) -> _Part:
        """Check a claim and keep how it went; the policy is sent the worst of its places."""
        results = yield from self.checker.check(claim)
        self.spent = self.spent or self.checker.spent
        result = min(results, key=lambda one: WORST_FIRST.index(one.status))
        checks = [one.check for one in results] + [Check()] * len(claim.supports)
        self.judged.append(_Judged(claim, result.status, tuple(checks[: len(claim.supports)])))
        return result

    def draft(self) -> AnswerDraft:
        """The best answer there is: checked, else unchecked, else "no" to a question for yes or
        no. All else is a decline, which has no text and no evidence."""
        by_status = {s: [j for j in self.judged if j.status is s] for s in CheckStatus}
        reason = self.spent
        positive = by_status[CheckStatus.AGREED] or by_status[CheckStatus.UNCHECKED]
        if not positive and reason is not None:
            positive = by_status[CheckStatus.UNSUPPORTED]
        if positive:
            usable = [j for j in positive if j.claim.choice is not None] or positive
            return _draft_of(usable[0], (usable[0],), reason or StopReason.ANSWERED)
        negative = by_status[CheckStatus.NEGATIVE]
        inside = [j for j in negative if not is_out_of_domain(j.claim.text)]
        if inside and is_yes_no(self.inquiry.question):
            return _draft_of(inside[0], tuple(inside), reason or StopReason.ANSWERED)
        decline = Decline.NOTHING
        if negative:
            decline = Decline.ABSENT if inside else Decline.OUTSIDE
        elif self.judged:
            decline = Decline.UNSUPPORTED
        done = StopReason.ABSTAINED
        if self.invalid and not negative:
            done = StopReason.INVALID_OUTPUT
        return AnswerDraft(stop_reason=reason or done, decline=decline)


def _repeated(call: ToolCall) -> Observation:
    return Observation(text="", span=call.span, error=REPEATED)


def _refused(sent: Any) -> StopReason | None:
    if isinstance(sent, Stopped):
        return sent.reason
    return sent.spent if isinstance(sent, Results) else None


def _evidence(judged: _Judged) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            span=support.span,
            frame_times_s=support.observation.frame_times_s,
            quote=support.observation.text,
            check=check,
        )
        for support, check in zip(judged.claim.supports, judged.checks, strict=True)
    )


def _draft_of(best: _Judged, shown: tuple[_Judged, ...], why: StopReason) -> AnswerDraft:
    sure = [s.observation.confidence for s in best.claim.supports]
    known = [c for c in sure if c is not None]
    return AnswerDraft(
        text=best.claim.text,
        choice=best.claim.choice,
        confidence=min(known) if known else None,
        evidence=tuple(e for judged in shown for e in _evidence(judged)),
        stop_reason=why,
    )
