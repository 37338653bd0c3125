"""Checks a claim by looking again at its evidence, and keeps who looked.

The second look is at other frames, with the question alone: whoever makes it does not know what was
claimed. A look by the same model, or by one of its family, is no independent check; it is told
apart here. Pure: yields the calls that it wants made.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace

from mmreason.agent.caption_check import SeenCaptions, content_words, supports
from mmreason.agent.protocol import (
    CallTools,
    CheckResult,
    CheckStatus,
    Claim,
    EvidenceRef,
    Inquiry,
    Results,
    ResultT,
    call_tools,
)
from mmreason.language.answer_reading import normalise_answer, says_no
from mmreason.language.question import claimed_object, premise_of
from mmreason.language.refusals import says_absent
from mmreason.language.values import pick_option
from mmreason.tool_calls import Focus, Look, LookAtSpans, Skim
from mmreason.types import Check, CheckKind, StopReason
from mmreason.video.types import Span

OTHER_FRAMES = 0.25
"""Shift of the second look, as a share of the distance between frames; the third goes back."""
SHORT_ANSWER = 2
"""Answers of up to this many terms contradict each other where they differ."""
WORST_FIRST = (
    CheckStatus.NEGATIVE,
    CheckStatus.UNSUPPORTED,
    CheckStatus.UNCHECKED,
    CheckStatus.AGREED,
)

_CheckPart = Generator[CallTools, Results, ResultT]


@dataclass
class ClaimChecker:
    """Checks the claims of one question."""

    inquiry: Inquiry
    captions: SeenCaptions = field(default_factory=SeenCaptions)
    """What was described so far: claims are held against it."""
    consulted: bool = False
    """Whether a reasoning model has had a say in the claims."""
    spent: StopReason | None = None
    """The limit that refused a check."""

    def check(self, claim: Claim) -> _CheckPart[list[CheckResult]]:
        """A `CheckResult` for each place of the claim, up to the first that contradicts it; one
        for a claim without a place."""
        if claim.negative:
            return [CheckResult(CheckStatus.NEGATIVE)]
        if claim.status is not None:
            status = claim.status
            results = [self.checked(status, claim, support) for support in claim.supports]
        else:
            status = CheckStatus.UNCHECKED
            results = yield from self.check_places(claim)
        results = results or [CheckResult(status)]
        agreed = all(result.status is CheckStatus.AGREED for result in results)
        if agreed and self.inquiry.question.options and claim.choice is None:
            # A check can agree that it is something else: that is no answer to the question.
            return [
                CheckResult(
                    CheckStatus.UNCHECKED, result.missing, replace(result.check, agreed=None)
                )
                for result in results
            ]
        return results

    def check_places(self, claim: Claim) -> _CheckPart[list[CheckResult]]:
        """A result for each place of a claim, up to the first that contradicts it."""
        results: list[CheckResult] = []
        for support in claim.supports:
            if support.checked:
                results.append(self.checked(CheckStatus.AGREED, claim, support))
                continue
            results.append((yield from self.look_again(claim, support)))
            if results[-1].status is CheckStatus.UNSUPPORTED:
                break
        return results

    def checked(self, status: CheckStatus, claim: Claim, support: EvidenceRef) -> CheckResult:
        """The result of a check that the policy made itself, by the look of `support`."""
        if not claim.compared:
            return CheckResult(status)
        agreed = {CheckStatus.AGREED: True, CheckStatus.UNSUPPORTED: False}.get(status)
        return CheckResult(status, check=self.looked(support.look, agreed))

    def looked(self, look: Look | Focus | Skim | LookAtSpans, agreed: bool | None) -> Check:
        """Who made this look, and whether that is somebody else than those who made the claim."""
        inquiry = self.inquiry
        model = inquiry.checker if look.is_check else inquiry.observer
        claimants = {inquiry.observer.lineage}
        # The model that decides has read what was seen: its kin are no independent check.
        if self.consulted:
            claimants.add(inquiry.reasoner.lineage)
        other = model.lineage not in claimants
        kind = CheckKind.OTHER_MODEL if other else CheckKind.SECOND_LOOK
        return Check(kind=kind, by=model.name, agreed=agreed)

    def look_again(self, claim: Claim, support: EvidenceRef) -> _CheckPart[CheckResult]:
        """The second look, and a third where the second says something else.

        With the second it is asked whether what the question takes for granted is there at all:
        "What colour is the small star?" has an answer for many models where there is a large one.
        """
        look, first = support.look, support.observation
        # A description has no question to be asked again: policies check it themselves.
        assert isinstance(look, Look | Focus), f"{look} cannot be looked at again"
        premise = self.premise(look, support.span)
        missing, against, unclear = "", Check(), Check()
        for shift in (OTHER_FRAMES, -OTHER_FRAMES):
            # 1. Ask the question of other frames, and the first time whether its premise holds.
            calls = [_check_call(look, shift)]
            if premise is not None and shift > 0:
                calls.append(_check_call(look, shift, premise))
            results = yield from call_tools(CallTools(claim.thought, tuple(calls)))
            if results.spent is not None:
                self.spent = self.spent or results.spent
                return CheckResult(CheckStatus.UNCHECKED, check=unclear)
            # 2. A look that failed, or that saw no other frame, checks nothing.
            again, *premise_looks = results.observations
            if again.error is not None or set(again.frame_times_s) <= set(first.frame_times_s):
                return CheckResult(CheckStatus.UNCHECKED, check=unclear)
            against, unclear = self.looked(calls[0], False), self.looked(calls[0], None)
            # 3. What is not there has no colour.
            for premise_look in premise_looks:
                if premise_look.error is None and says_no(premise_look.text):
                    denial = f"{premise} {premise_look.text}"
                    return CheckResult(CheckStatus.UNSUPPORTED, denial, against)
            # 4. Where it says the same, hold it against what was described; where it contradicts,
            #    a third look decides.
            missing = f"a look at {support.span} with the question alone saw: {again.text}"
            if self.agree(look, first.text, again.text):
                # Two of three looks end the search; the one against it is not kept quiet.
                check = self.looked(calls[0], True) if shift > 0 else unclear
                return (yield from self.confirm_by_caption(check, look, support))
            if not self.contradict(look, first.text, again.text):
                return CheckResult(CheckStatus.UNCHECKED, missing, unclear)
        return CheckResult(CheckStatus.UNSUPPORTED, missing, against)

    def confirm_by_caption(
        self, check: Check, look: Look | Focus, support: EvidenceRef
    ) -> _CheckPart[CheckResult]:
        """Whether what was described here, or else a description asked for now, tells of the thing
        that the answer speaks of, in the words that descriptions of this video use, and does not
        tell the answer of another thing. `check` is of the looks that agreed."""
        answer = support.observation.text
        thing = claimed_object(look.question, answer)
        expected = self.captions.expected(thing) if thing else frozenset()
        answer_words = frozenset(normalise_answer(answer, look.question))
        agreed = CheckResult(CheckStatus.AGREED, check=check)
        captions = self.captions.within(support.span)
        if not expected or supports(captions, expected, answer_words):
            return agreed
        call = Skim(span=look.span, shift=OTHER_FRAMES, check=True)
        thought = f"check: do descriptions tell of a {thing}?"
        results = yield from call_tools(CallTools(thought, (call,)))
        unclear = CheckResult(CheckStatus.UNCHECKED, check=replace(check, agreed=None))
        if results.spent is not None:
            self.spent = self.spent or results.spent
            return unclear
        description = results.observations[0]
        if description.error is not None:
            return unclear
        if supports(description.notes, expected, answer_words):
            return agreed
        missing = f"{support.span} is described otherwise: {description.text}"
        return CheckResult(CheckStatus.UNSUPPORTED, missing, self.looked(call, False))

    def premise(self, look: Look | Focus, evidence: Span) -> str | None:
        """What to ask whether the thing is there; None where captions of the place tell of it."""
        question = look.question
        thing = claimed_object(question, "yes")
        expected = self.captions.expected(thing) if thing else frozenset()
        uses_all_words = bool(thing) and expected == content_words(thing)
        # Captions of this place tell of it in all its words: asking would cost a look.
        if uses_all_words and supports(self.captions.within(evidence), expected):
            return None
        return premise_of(question)

    def agree(self, look: Look | Focus, first: str, second: str) -> bool:
        """Whether two answers to the same question say the same."""
        options, question = look.options, look.question
        if options:
            choices = [pick_option(text, options, question) for text in (first, second)]
            # Where neither picks an option, their words are compared.
            if choices != [None, None]:
                return choices[0] == choices[1]
        return normalise_answer(first, question) == normalise_answer(second, question)

    def contradict(self, look: Look | Focus, first: str, second: str) -> bool:
        """Whether two answers that do not agree cannot both be right."""
        # Two different options cannot both be right.
        if look.options:
            return True
        question = look.question
        lengths = (len(normalise_answer(text, question)) for text in (first, second))
        # Long answers may say the same in other words; short ones that differ do not.
        return (
            says_absent(first, question) != says_absent(second, question)
            or max(lengths) <= SHORT_ANSWER
        )


def _check_call(look: Look | Focus, shift: float, question: str | None = None) -> Look:
    """The same look at frames `shift` away, or one with another question, which has no options."""
    return Look(
        span=look.span,
        question=look.question if question is None else question,
        options=look.options if question is None else (),
        shift=shift,
        check=True,
    )
