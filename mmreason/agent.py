"""The one loop that answers a question, without I/O: it yields wishes and is sent results.

A policy proposes (`policies/`), the loop disposes: it notices repeated calls, checks every claim by
another look at its evidence, and knows which answer stands in the end. Drivers perform the calls
(`reasoner.py`). Leaves out models, frames, stores and budgets; a driver that cannot afford a wish
says so, and the policy gets one last try.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mmreason.bearing import Captions, bears, words_of
from mmreason.policies.base import (
    Act,
    Claim,
    Consult,
    Inquiry,
    Play,
    Policy,
    Remark,
    Results,
    Spent,
    Standing,
    Support,
    Verdict,
    Wish,
)
from mmreason.types import Evidence, Observation, StopReason, ToolCall
from mmreason.wording import (
    essence,
    is_yes_no,
    match_option,
    premise_of,
    says_absent,
    says_no,
    says_outside,
    thing_claimed,
)

OTHER_FRAMES = 0.25
"""Shift of the second look, as a share of the distance between frames; the third goes back."""
SAME_CALLS = 2
"""A call is made this often; after that it is answered with a note."""
REPEATED = "this call was made before with the same result; do something else or answer"
SHORT_ANSWER = 2
"""Answers of up to this many terms contradict each other where they differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What the loop came to; the driver adds cost, trace and settings."""

    text: str
    choice: int | None = None
    confidence: float | None = None
    evidence: tuple[Evidence, ...] = ()
    stop_reason: StopReason


Loop = Generator[Act | Consult | Remark, Any, Draft]
_Part = Generator[Act | Consult | Remark, Any, Any]


def answer_loop(inquiry: Inquiry, policy: Policy) -> Loop:
    """Yield an `Act`, `Consult` or `Remark`, be sent `Results`, a `Reply`, or None; a `Consult` or
    `Remark` that the budget does not allow is sent `Spent`."""
    referee = _Referee(inquiry)
    yield from referee.run(policy.play(inquiry))
    return referee.draft()


@dataclass
class _Judged:
    claim: Claim
    standing: Standing
    supports: tuple[Support, ...]


@dataclass
class _Referee:
    inquiry: Inquiry
    judged: list[_Judged] = field(default_factory=list)
    spent: StopReason | None = None
    calls: Counter[str] = field(default_factory=Counter)
    captions: Captions = field(default_factory=Captions)
    invalid: int = 0
    """Remarks on mistakes in a row."""

    def run(self, play: Play) -> _Part:
        """Let the policy play until it ends, a claim is verified, or the budget says no twice."""
        sent: Any = None
        refusals = 0
        try:
            while True:
                try:
                    wish = play.send(sent)
                except StopIteration:
                    return
                sent = yield from self.grant(wish)
                if isinstance(sent, Verdict) and sent.standing is Standing.VERIFIED:
                    return
                reason = _refused(sent)
                if reason is not None:
                    self.spent = self.spent or reason
                    refusals += 1
                    if refusals > 1:
                        return
        finally:
            play.close()

    def grant(self, wish: Wish) -> _Part:
        """Perform one wish of the policy, or pass it on to the driver."""
        failed = isinstance(wish, Remark) and wish.error is not None
        self.invalid = self.invalid + 1 if failed else 0
        if isinstance(wish, Claim):
            return (yield from self.judge(wish))
        if isinstance(wish, Act):
            return (yield from self.act(wish))
        if isinstance(wish, Spent):
            self.spent = self.spent or wish.reason
            return None
        return (yield wish)

    def act(self, wish: Act) -> _Part:
        """Make the calls of a round, but for those that were made too often already."""
        is_fresh = [self.count(call) <= SAME_CALLS for call in wish.calls]
        fresh = tuple(call for call, new in zip(wish.calls, is_fresh, strict=True) if new)
        results = Results(())
        if fresh:
            results = yield replace(wish, calls=fresh)
            self.hear(fresh, results)
        seen = iter(results.observations)
        merged: list[Observation] = []
        counted = bool(fresh)
        for call, new in zip(wish.calls, is_fresh, strict=True):
            one = next(seen, None) if new else _repeated(call)
            if one is None:
                break
            merged.append(one)
            if not new:
                refused = yield Remark(wish.thought, call, REPEATED, counted=counted)
                counted = True
                if isinstance(refused, Spent):
                    return Results(tuple(merged), refused.reason)
        return Results(tuple(merged), results.spent)

    def hear(self, calls: Sequence[ToolCall], results: Results) -> None:
        """Keep what was described: claims are held against it."""
        for call, one in zip(calls, results.observations, strict=False):
            if call.name in ("caption", "skim") and one.error is None:
                self.captions.hear(one.notes)

    def count(self, call: ToolCall) -> int:
        """How often a call was asked for, this time included."""
        same = f"{call.name} {call.arguments!r}"
        self.calls[same] += 1
        return self.calls[same]

    def judge(self, claim: Claim) -> _Part:
        """Check a claim by looking again at the frames between those it rests on."""
        supports, verdict = claim.supports, Verdict(Standing.UNCHECKED)
        if claim.negative:
            verdict = Verdict(Standing.NEGATIVE)
        elif claim.checked is not None:
            verdict = Verdict(Standing.VERIFIED if claim.checked else Standing.UNSUPPORTED)
        elif supports:
            verdicts = []
            for support in supports:
                if support.checked:
                    verdicts.append(Verdict(Standing.VERIFIED))
                    continue
                verdicts.append((yield from self.check(claim, support)))
                if verdicts[-1].standing is Standing.UNSUPPORTED:
                    break
            order = (Standing.UNSUPPORTED, Standing.UNCHECKED, Standing.VERIFIED)
            verdict = min(verdicts, key=lambda v: order.index(v.standing))
        no_choice = bool(self.inquiry.options) and claim.choice is None
        if no_choice and verdict.standing is Standing.VERIFIED:
            verdict = replace(verdict, standing=Standing.UNCHECKED)
        self.judged.append(_Judged(claim, verdict.standing, supports))
        return verdict

    def check(self, claim: Claim, support: Support) -> _Part:
        """The second look, and a third where the second says something else.

        With the second it is asked whether what the question takes for granted is there at all:
        "What colour is the small star?" has an answer for many models where there is a large one.
        """
        said, premise = support.observation, self.premise(support)
        for shift in (OTHER_FRAMES, -OTHER_FRAMES):
            calls = [_check_call(support.look, shift)]
            if premise is not None and shift > 0:
                calls.append(_check_call(support.look, shift, premise))
            results: Results = yield Act(claim.thought, tuple(calls))
            if results.spent is not None:
                self.spent = self.spent or results.spent
                return Verdict(Standing.UNCHECKED)
            again, *asked = results.observations
            if again.error is not None or set(again.frame_times_s) <= set(said.frame_times_s):
                return Verdict(Standing.UNCHECKED)
            if asked and asked[0].error is None and says_no(asked[0].text):
                return Verdict(Standing.UNSUPPORTED, f"{premise} {asked[0].text}")
            missing = f"a look at {support.span} with the question alone saw: {again.text}"
            if self.agree(support.look, said.text, again.text):
                return (yield from self.bear_out(claim, support))
            if not self.contradict(support.look, said.text, again.text):
                return Verdict(Standing.UNCHECKED, missing)
        return Verdict(Standing.UNSUPPORTED, missing)

    def bear_out(self, claim: Claim, support: Support) -> _Part:
        """Whether what was described here, or else a description asked for now, tells of the thing
        that the answer speaks of, in the words that descriptions of this video use, and does not
        tell the answer of another thing."""
        look, said = support.look, support.observation.text
        thing = thing_claimed(look.arguments["question"], said)
        expected = self.captions.expected(thing) if thing else frozenset()
        answer = frozenset(essence(said, look.arguments["question"]))
        if not expected or bears(self.captions.within(support.span), expected, answer):
            return Verdict(Standing.VERIFIED)
        arguments = {"span": look.arguments["span"], "shift": OTHER_FRAMES, "check": True}
        call = ToolCall(name="skim", arguments=arguments)
        results: Results = yield Act(f"check: do descriptions tell of a {thing}?", (call,))
        if results.spent is not None:
            self.spent = self.spent or results.spent
            return Verdict(Standing.UNCHECKED)
        seen = results.observations[0]
        if seen.error is not None:
            return Verdict(Standing.UNCHECKED)
        if bears(seen.notes, expected, answer):
            return Verdict(Standing.VERIFIED)
        told = f"{support.span} is described otherwise: {seen.text}"
        return Verdict(Standing.UNSUPPORTED, told)

    def premise(self, support: Support) -> str | None:
        """What to ask whether the thing is there; None where captions of the place tell of it."""
        question = support.look.arguments["question"]
        thing = thing_claimed(question, "yes")
        expected = self.captions.expected(thing) if thing else frozenset()
        known = bool(thing) and expected == words_of(thing)
        if known and bears(self.captions.within(support.span), expected):
            return None
        return premise_of(question)

    def agree(self, look: ToolCall, first: str, second: str) -> bool:
        options = look.arguments.get("options", ())
        if options:
            choices = [match_option(text, options) for text in (first, second)]
            if choices != [None, None]:
                return choices[0] == choices[1]
        question = look.arguments["question"]
        return essence(first, question) == essence(second, question)

    def contradict(self, look: ToolCall, first: str, second: str) -> bool:
        """Whether two answers that do not agree cannot both be right."""
        if look.arguments.get("options"):
            return True
        question = look.arguments["question"]
        lengths = (len(essence(text, question)) for text in (first, second))
        return says_absent(first) != says_absent(second) or max(lengths) <= SHORT_ANSWER

    def draft(self) -> Draft:
        """The best answer there is: verified, else unchecked, else "it is not there"."""
        by_standing = {s: [j for j in self.judged if j.standing is s] for s in Standing}
        reason = self.spent
        positive = by_standing[Standing.VERIFIED] or by_standing[Standing.UNCHECKED]
        if not positive and reason is not None:
            positive = by_standing[Standing.UNSUPPORTED]
        if positive:
            usable = [j for j in positive if j.claim.choice is not None] or positive
            return _draft_of(usable[0], (usable[0],), reason or StopReason.ANSWERED)
        negative = by_standing[Standing.NEGATIVE]
        if negative:
            inside = [j for j in negative if not says_outside(j.claim.text)]
            best = (inside or negative)[0]
            denied = bool(inside) and is_yes_no(self.inquiry.question)
            done = StopReason.ANSWERED if denied else StopReason.ABSTAINED
            return _draft_of(best, tuple(negative), reason or done)
        unsupported = by_standing[Standing.UNSUPPORTED]
        evidence = tuple(e for j in unsupported for e in _evidence(j))
        done = StopReason.INVALID_OUTPUT if self.invalid else StopReason.ABSTAINED
        return Draft(text="", evidence=evidence, stop_reason=reason or done)


def _check_call(look: ToolCall, shift: float, question: str | None = None) -> ToolCall:
    arguments = look.arguments | {"shift": shift, "check": True}
    if question is not None:
        arguments = {k: v for k, v in arguments.items() if k != "options"} | {"question": question}
    return ToolCall(name="look", arguments=arguments)


def _repeated(call: ToolCall) -> Observation:
    return Observation(text="", span=call.arguments["span"], error=REPEATED)


def _refused(sent: Any) -> StopReason | None:
    if isinstance(sent, Spent):
        return sent.reason
    return sent.spent if isinstance(sent, Results) else None


def _evidence(judged: _Judged) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            span=support.span,
            frame_times_s=support.observation.frame_times_s,
            quote=support.observation.text,
            verified=judged.standing is Standing.VERIFIED,
        )
        for support in judged.supports
    )


def _draft_of(best: _Judged, shown: tuple[_Judged, ...], why: StopReason) -> Draft:
    sure = [s.observation.confidence for s in best.supports]
    known = [c for c in sure if c is not None]
    return Draft(
        text=best.claim.text,
        choice=best.claim.choice,
        confidence=min(known) if known else None,
        evidence=tuple(e for judged in shown for e in _evidence(judged)),
        stop_reason=why,
    )
