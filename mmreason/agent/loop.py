"""The one loop that answers a question, without I/O: it yields actions and is sent results.

A policy proposes (`policies/`), the loop disposes: it notices repeated calls, checks every claim by
another look at its evidence (`verification.py`), and knows which answer stands in the end. Drivers
perform the actions (`driver.py`); one that cannot afford an action says so, and the policy gets one
last try.
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
    Outcome,
    Play,
    Policy,
    RecordNote,
    Results,
    ResultT,
    Stopped,
    ask_model,
    call_tools,
    record_note,
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
    """What the loop came to; the driver adds cost, trace and settings.

    Example:
        >>> AnswerDraft(text="red", stop_reason=StopReason.ANSWERED).decline is None
        True
    """

    text: str = ""
    choice: int | None = None
    confidence: float | None = None
    evidence: tuple[Evidence, ...] = ()
    stop_reason: StopReason
    decline: Decline | None = None
    """None where there is an answer."""


LoopAction = CallTools | AskModel | RecordNote
_LoopPart = Generator[LoopAction, Any, ResultT]
Loop = _LoopPart[AnswerDraft]


def answer_loop(inquiry: Inquiry, policy: Policy) -> Loop:
    """Yield a `CallTools`, `AskModel` or `RecordNote`, be sent `Results`, a `Reply`, or None; an
    `AskModel` or `RecordNote` that the budget does not allow is sent `Stopped`."""
    loop = _AnswerLoop(inquiry, ClaimChecker(inquiry))
    yield from loop.run(policy.play(inquiry))
    return loop.draft()


@dataclass
class _CheckedClaim:
    claim: Claim
    status: CheckStatus
    checks: tuple[Check, ...]
    """One a support of the claim."""


@dataclass
class _AnswerLoop:
    inquiry: Inquiry
    checker: ClaimChecker
    checked_claims: list[_CheckedClaim] = field(default_factory=list)
    spent: StopReason | None = None
    calls: Counter[ToolCall] = field(default_factory=Counter)
    invalid: int = 0
    """Notes of mistakes in a row."""

    def run(self, play: Play) -> _LoopPart[None]:
        """Let the policy play until it ends, a check agrees to a claim, or the budget says no
        twice."""
        outcome: Outcome = None
        refusals = 0
        try:
            while True:
                try:
                    action = play.send(outcome)
                except StopIteration:
                    return
                outcome = yield from self.handle(action)
                if isinstance(outcome, CheckResult) and outcome.status is CheckStatus.AGREED:
                    return
                reason = _refusal_in(outcome)
                # The policy said that it goes on without a reply: a failure is no refusal.
                may_fail = isinstance(action, AskModel) and action.may_fail
                if reason is StopReason.MODEL_FAILED and may_fail:
                    continue
                if reason is not None:
                    self.spent = self.spent or reason
                    refusals += 1
                    # After the first it may still claim what it has.
                    if refusals > 1:
                        return
        finally:
            play.close()

    def handle(self, action: Action) -> _LoopPart[Outcome]:
        """Perform one action of the policy, or pass it on to the driver."""
        failed = isinstance(action, RecordNote) and action.error is not None
        self.invalid = self.invalid + 1 if failed else 0
        if isinstance(action, Claim):
            return (yield from self.verify(action))
        if isinstance(action, CallTools):
            return (yield from self.make_calls(action))
        if isinstance(action, Stopped):
            self.spent = self.spent or action.reason
            return None
        if isinstance(action, AskModel):
            self.checker.consulted = True
            return (yield from ask_model(action))
        return (yield from record_note(action))

    def make_calls(self, action: CallTools) -> _LoopPart[Results]:
        """Make the calls of a round, but for those that were made too often already."""
        # 1. Have the calls made that are new enough.
        is_fresh = [self.count(call) <= SAME_CALLS for call in action.calls]
        fresh = tuple(call for call, new in zip(action.calls, is_fresh, strict=True) if new)
        results = Results(())
        if fresh:
            results = yield from call_tools(replace(action, calls=fresh))
            self.keep_captions(fresh, results)
        # 2. Put the observations into the order of the calls; a repeated one is answered with an
        #    error, and recorded. The round is counted once: by the fresh calls, else by the first
        #    of these notes.
        new_observations = iter(results.observations)
        observations: list[Observation] = []
        counted = bool(fresh)
        for call, new in zip(action.calls, is_fresh, strict=True):
            observation = next(new_observations, None) if new else _repeated(call)
            if observation is None:
                break  # the budget ended here: what follows was not made
            observations.append(observation)
            if not new:
                note = RecordNote(action.thought, call, REPEATED, counted=counted)
                refusal = yield from record_note(note)
                counted = True
                if refusal is not None:
                    return Results(tuple(observations), refusal.reason)
        # 3. Tell the policy of the limit that refused the others.
        return Results(tuple(observations), results.spent)

    def keep_captions(self, calls: Sequence[ToolCall], results: Results) -> None:
        """Keep what was described: claims are held against it."""
        for call, observation in zip(calls, results.observations, strict=False):
            if call.describes and observation.error is None:
                self.checker.captions.add(observation.notes)

    def count(self, call: ToolCall) -> int:
        """How often a call was asked for, this time included."""
        self.calls[call] += 1
        return self.calls[call]

    def verify(self, claim: Claim) -> _LoopPart[CheckResult]:
        """Check a claim and keep how it went; the policy is sent the worst of its places."""
        results = yield from self.checker.check(claim)
        self.spent = self.spent or self.checker.spent
        # A claim is as good as the worst of its places.
        worst = min(results, key=lambda result: WORST_FIRST.index(result.status))
        # Places behind the one that contradicts the claim were not looked at again.
        checks = [result.check for result in results] + [Check()] * len(claim.supports)
        checked = _CheckedClaim(claim, worst.status, tuple(checks[: len(claim.supports)]))
        self.checked_claims.append(checked)
        return worst

    def draft(self) -> AnswerDraft:
        """The best answer there is: checked, else unchecked, else "no" to a question for yes or
        no. All else is a decline, which has no text and no evidence."""
        by_status = {
            status: [claim for claim in self.checked_claims if claim.status is status]
            for status in CheckStatus
        }
        reason = self.spent
        # 1. What a check agreed to, else what none refuted. Where the budget ended the search, what
        #    was refuted is still the best there is.
        positive = by_status[CheckStatus.AGREED] or by_status[CheckStatus.UNCHECKED]
        if not positive and reason is not None:
            positive = by_status[CheckStatus.UNSUPPORTED]
        if positive:
            usable = [checked for checked in positive if checked.claim.choice is not None]
            best = (usable or positive)[0]
            return _draft_of(best, (best,), reason or StopReason.ANSWERED)
        # 2. "Not there" is an answer to a question for yes or no alone.
        negative = by_status[CheckStatus.NEGATIVE]
        inside = [checked for checked in negative if not is_out_of_domain(checked.claim.text)]
        denials = [checked for checked in inside if not checked.claim.abstains]
        if denials and is_yes_no(self.inquiry.question.text):
            return _draft_of(denials[0], tuple(denials), reason or StopReason.ANSWERED)
        # 3. A decline, and why.
        decline = Decline.NOTHING
        if negative:
            decline = Decline.ABSENT if inside else Decline.OUTSIDE
        elif self.checked_claims:
            decline = Decline.UNSUPPORTED
        done = StopReason.ABSTAINED
        if self.invalid and not negative:
            done = StopReason.INVALID_OUTPUT
        return AnswerDraft(stop_reason=reason or done, decline=decline)


def _repeated(call: ToolCall) -> Observation:
    return Observation(text="", span=call.span, error=REPEATED)


def _refusal_in(outcome: Outcome) -> StopReason | None:
    if isinstance(outcome, Stopped):
        return outcome.reason
    return outcome.spent if isinstance(outcome, Results) else None


def _evidence_of(checked: _CheckedClaim) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            span=support.span,
            frame_times_s=support.observation.frame_times_s,
            quote=support.observation.text,
            check=check,
        )
        for support, check in zip(checked.claim.supports, checked.checks, strict=True)
    )


def _draft_of(
    best: _CheckedClaim, claims: tuple[_CheckedClaim, ...], reason: StopReason
) -> AnswerDraft:
    confidences = [
        support.observation.confidence
        for support in best.claim.supports
        if support.observation.confidence is not None
    ]
    return AnswerDraft(
        text=best.claim.text,
        choice=best.claim.choice,
        # An answer is as sure as the least sure look that it rests on.
        confidence=min(confidences, default=None),
        evidence=tuple(evidence for claim in claims for evidence in _evidence_of(claim)),
        stop_reason=reason,
    )
