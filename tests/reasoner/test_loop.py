"""The loop by itself: claims and their checks, repeats, limits. Results are sent in by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from mmreason.agent.loop import REPEATED, SAME_CALLS, AnswerDraft, Decline, answer_loop
from mmreason.agent.protocol import (
    Action,
    AskModel,
    CallTools,
    CheckResult,
    CheckStatus,
    Claim,
    EvidenceRef,
    Inquiry,
    ModelId,
    RecordNote,
    Results,
    Stopped,
    look_call,
)
from mmreason.agent.question import Question
from mmreason.memory.tree import Tree
from mmreason.policies import Scripted
from mmreason.tool_calls import ModelTurn, ToolCall
from mmreason.types import Check, CheckKind, Observation, StopReason
from mmreason.video.types import Span

QUESTION = "What colour is the star?"
PLACE = Span(4, 8)
TREE = Tree(Span(0, 64), 4, 2)
OBSERVER = ModelId("observer", "nano")
REASONER = ModelId("reasoner", "qwen")


def seen(text: str, times_s: Sequence[float] = (4.5, 5.5), span: Span = PLACE) -> Observation:
    return Observation(text=text, span=span, frame_times_s=tuple(times_s))


def claim(
    text: str, *, question: str = QUESTION, options: tuple[str, ...] = (), span=PLACE, **more
) -> Claim:
    look = look_call(span, question, options)
    return Claim(text=text, supports=(EvidenceRef(look, seen(text, span=span), span),), **more)


def play(
    actions: Sequence[Action],
    looks: Sequence[str] | Callable[[ToolCall], Observation] = (),
    *,
    question: str = QUESTION,
    options: tuple[str, ...] = (),
    spent_after: int = 10**9,
    checker: ModelId = OBSERVER,
) -> tuple[AnswerDraft, Scripted, list[Action]]:
    """Run a script; looks of checks see other frames each and say `looks` one after the other.
    Calls after `spent_after` are refused. Returns the draft, the policy and what was yielded."""
    policy = Scripted(actions)
    inquiry = Inquiry(
        question=Question(video="world.json", text=question, options=options),
        tree=TREE,
        leaf_s=4.0,
        observer=OBSERVER,
        checker=checker,
        reasoner=REASONER,
    )
    loop = answer_loop(inquiry, policy)
    asked: list[Action] = []
    made, sent = 0, None
    replies = iter(() if callable(looks) else looks)
    while True:
        try:
            action = loop.send(sent)
        except StopIteration as end:
            return end.value, policy, asked
        asked.append(action)
        sent = None
        if isinstance(action, CallTools):
            got = []
            for call in action.calls:
                made += 1
                if made > spent_after:
                    sent = Results(tuple(got), StopReason.BUDGET_FRAMES)
                    break
                if callable(looks):
                    got.append(looks(call))
                elif call.is_check:
                    got.append(seen(next(replies), (100.0 + made,)))
                else:
                    got.append(seen("something", span=call.span))
            sent = sent or Results(tuple(got))


def statuses(policy: Scripted) -> list[CheckStatus]:
    return [one.status for one in policy.received if isinstance(one, CheckResult)]


# Checks


def test_a_second_look_that_agrees_ends_the_play_and_verifies_nothing():
    draft, policy, asked = play([claim("red"), claim("blue")], ["The star is red."])
    assert (draft.text, draft.stop_reason) == ("red", StopReason.ANSWERED)
    (evidence,) = draft.evidence
    assert evidence.check == Check(kind=CheckKind.SECOND_LOOK, by="observer", agreed=True)
    assert not evidence.verified
    assert policy.received == [], "the play is over before the policy hears of it"
    (check,) = asked
    assert isinstance(check, CallTools)
    assert check.calls[0].arguments == {
        "span": PLACE,
        "question": QUESTION,
        "shift": 0.25,
        "check": True,
    }


def test_a_third_look_at_yet_other_frames_decides():
    draft, _, asked = play([claim("red")], ["blue", "red"])
    assert (draft.text, draft.stop_reason) == ("red", StopReason.ANSWERED)
    assert draft.evidence[0].check.agreed is None, "one look of two was against it"
    assert [a.calls[0].arguments["shift"] for a in asked if isinstance(a, CallTools)] == [
        0.25,
        -0.25,
    ]


def test_two_looks_against_it_leave_no_support():
    draft, policy, _ = play([claim("red")], ["blue", "green"])
    assert statuses(policy) == [CheckStatus.UNSUPPORTED]
    assert (draft.text, draft.stop_reason) == ("", StopReason.ABSTAINED)
    assert draft.evidence == () and draft.decline is Decline.UNSUPPORTED
    assert "green" in policy.received[0].missing


def test_a_longer_answer_in_other_words_is_neither_proved_nor_refuted():
    first, second = "it rolls over the wet grass", "it moves across a meadow in spring"
    draft, policy, asked = play([claim(first)], [second])
    assert statuses(policy) == [CheckStatus.UNCHECKED] and len(asked) == 1
    assert (draft.text, draft.stop_reason) == (first, StopReason.ANSWERED)
    assert not draft.evidence[0].check.agreed


def test_absence_contradicts_presence_at_any_length():
    draft, _, _ = play([claim("it rolls over the wet grass")], ["there is no star"] * 2)
    assert (draft.text, draft.stop_reason) == ("", StopReason.ABSTAINED)


@pytest.mark.parametrize("times_s", [(4.5, 5.5), (5.5,)])
def test_the_same_frames_prove_nothing(times_s):
    draft, policy, _ = play([claim("red")], lambda call: seen("red", times_s))
    assert statuses(policy) == [CheckStatus.UNCHECKED]
    assert draft.text == "red" and not draft.evidence[0].check.agreed


def test_a_check_that_fails_proves_nothing():
    broken = Observation(text="", span=PLACE, error="damaged")
    draft, policy, _ = play([claim("red")], lambda call: broken)
    assert statuses(policy) == [CheckStatus.UNCHECKED]
    assert draft.text == "red" and draft.evidence[0].check == Check()


def test_every_place_of_a_claim_has_to_stand():
    supports = claim("red").supports + claim("red", span=Span(40, 44)).supports
    both = Claim(text="the star", supports=supports)
    draft, _, asked = play([both], ["red", "red"])
    assert [e.check.agreed for e in draft.evidence] == [True, True] and len(asked) == 2
    draft, _, _ = play([both], ["red", "blue", "green"])
    assert (draft.text, draft.stop_reason) == ("", StopReason.ABSTAINED)
    draft, _, asked = play([both], ["blue", "green"])
    assert len(asked) == 2, "what fails at its first place is not looked at further"


def test_an_answer_that_a_check_agrees_to_beats_those_before_it():
    actions = [claim("red"), claim("it rolls over wet grass"), claim("green", span=Span(8, 12))]
    draft, _, _ = play(actions, ["blue", "pink", "another answer at length", "green"])
    assert draft.text == "green" and draft.evidence[0].span == Span(8, 12)


def test_a_claim_without_a_place_stands_unchecked():
    draft, policy, asked = play([Claim(text="red")])
    assert statuses(policy) == [CheckStatus.UNCHECKED] and asked == []
    assert (draft.text, draft.evidence) == ("red", ())


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (CheckStatus.AGREED, "red", StopReason.ANSWERED),
        (CheckStatus.UNCHECKED, "red", StopReason.ANSWERED),
        (CheckStatus.UNSUPPORTED, "", StopReason.ABSTAINED),
    ],
)
def test_a_policy_may_have_checked_by_itself(status, text, reason):
    draft, _, asked = play([claim("red", status=status)])
    assert (draft.text, draft.stop_reason, asked) == (text, reason, [])


@pytest.mark.parametrize(
    ("checker", "kind"),
    [
        (ModelId("nano-reinforced", "nano"), CheckKind.SECOND_LOOK),
        (ModelId("another", "glm"), CheckKind.OTHER_MODEL),
        (REASONER, CheckKind.OTHER_MODEL),
    ],
)
def test_only_a_model_of_another_family_verifies(checker, kind):
    draft, _, _ = play([claim("red")], ["red"], checker=checker)
    (evidence,) = draft.evidence
    assert evidence.check == Check(kind=kind, by=checker.name, agreed=True)
    assert evidence.verified == (kind is CheckKind.OTHER_MODEL)


def test_the_model_that_decided_does_not_verify_itself():
    asked = AskModel((), 8)
    draft, _, _ = play([asked, claim("red")], ["red"], checker=REASONER)
    assert draft.evidence[0].check.kind is CheckKind.SECOND_LOOK


def test_another_model_that_disagrees_verifies_nothing():
    actions = [claim("red"), CallTools("a", (LOOK,)), CallTools("b", (OTHER,))]
    checker = ModelId("another", "glm")
    draft, _, _ = play(actions, ["blue", "green"], spent_after=2, checker=checker)
    (evidence,) = draft.evidence
    assert evidence.check == Check(kind=CheckKind.OTHER_MODEL, by="another", agreed=False)
    assert not evidence.verified and draft.stop_reason is StopReason.BUDGET_FRAMES


def test_a_number_read_from_the_second_descriptions_alone_is_not_checked():
    draft, _, _ = play([claim("3", status=CheckStatus.AGREED, compared=False)])
    assert draft.text == "3" and draft.evidence[0].check == Check()


def test_each_place_says_how_its_own_check_went():
    told = "it rolls over the wet grass"
    supports = claim(told).supports + claim(told, span=Span(40, 44)).supports
    looks = [told, "it moves across a meadow in spring"]
    draft, _, _ = play([Claim(text="the star", supports=supports)], looks)
    assert [e.check.agreed for e in draft.evidence] == [True, None]


# Options


def test_options_agree_by_letter_or_text():
    options = ("red", "blue")
    one = claim("red", options=options, choice=0)
    draft, _, asked = play([one], ["A"], options=options)
    assert (draft.text, draft.choice) == ("red", 0)
    assert draft.evidence[0].check.agreed
    assert isinstance(asked[0], CallTools)
    assert asked[0].calls[0].arguments["options"] == ("red", "blue")


def test_another_option_contradicts():
    options = ("red", "blue")
    one = claim("red", options=options, choice=0)
    draft, _, _ = play([one], ["B", "B"], options=options)
    assert (draft.text, draft.choice, draft.stop_reason) == ("", None, StopReason.ABSTAINED)


def test_an_answer_that_is_no_option_is_never_agreed_to_and_never_a_choice():
    options = ("red", "blue")
    one = claim("purple", options=options)
    draft, _, _ = play([one], ["purple"], options=options)
    assert (draft.text, draft.choice) == ("purple", None)
    assert not draft.evidence[0].check.agreed
    long = "B of all things, at some length"
    draft, _, _ = play([one, Claim(text=long, choice=1)], ["purple"], options=options)
    assert draft.choice == 1, "one that picks an option goes first"


# Negative claims


def test_absence_is_kept_for_the_end():
    actions = [claim("there is no star.", negative=True), claim("red", span=Span(8, 12))]
    draft, policy, _ = play(actions, ["red"])
    assert statuses(policy) == [CheckStatus.NEGATIVE]
    assert draft.text == "red"
    draft, _, asked = play(actions[:1])
    assert (draft.text, draft.stop_reason) == ("", StopReason.ABSTAINED)
    assert asked == [] and draft.evidence == () and draft.decline is Decline.ABSENT


def test_no_answers_a_yes_or_no_question():
    draft, _, _ = play([claim("no", negative=True)], question="Is there a star?")
    assert (draft.text, draft.stop_reason) == ("no", StopReason.ANSWERED)
    outside = claim("this is outside my world.", negative=True)
    draft, _, _ = play([outside], question="Is there a star?")
    assert draft.stop_reason is StopReason.ABSTAINED and draft.decline is Decline.OUTSIDE
    draft, _, _ = play([outside, claim("no", negative=True)], question="Is there a star?")
    assert draft.text == "no", "what was seen says more than what could not be"


# Repeats


LOOK = look_call(PLACE, QUESTION)
OTHER = look_call(Span(8, 12), QUESTION)


def test_the_third_same_call_is_answered_with_a_note():
    draft, policy, asked = play([CallTools("look", (LOOK,))] * 4)
    assert [type(one) for one in asked] == [CallTools] * SAME_CALLS + [RecordNote] * 2
    for results in policy.received[SAME_CALLS:]:
        (one,) = results.observations
        assert (one.text, one.error) == ("", REPEATED)
    assert draft.stop_reason is StopReason.ABSTAINED


def test_repeats_keep_their_place_among_new_calls():
    actions = [
        CallTools("look", (LOOK,)),
        CallTools("look", (LOOK,)),
        CallTools("look", (OTHER, LOOK)),
    ]
    _, policy, asked = play(actions)
    acts = [one.calls for one in asked if isinstance(one, CallTools)]
    assert acts == [(LOOK,), (LOOK,), (OTHER,)]
    observations = policy.received[-1].observations
    assert [one.error for one in observations] == [None, REPEATED]
    (remark,) = (one for one in asked if isinstance(one, RecordNote))
    assert remark.counted, "its round is counted with the new call"


def test_the_same_call_three_times_at_once_is_made_all_the_same():
    _, policy, asked = play([CallTools("look", (LOOK, LOOK, LOOK))])
    assert isinstance(asked[0], CallTools) and asked[0].calls == (LOOK, LOOK)
    assert [one.error for one in policy.received[0].observations] == [None, None, REPEATED]


def test_a_round_of_repeats_counts_once():
    actions = [CallTools("look", (LOOK, OTHER))] * 3
    _, _, asked = play(actions)
    assert [one.counted for one in asked if isinstance(one, RecordNote)] == [False, True]


def test_calls_that_differ_by_a_millisecond_are_different():
    spans = [Span(4 + k / 1000, 4.5 + k / 1000) for k in range(6)]
    _, _, asked = play([CallTools("look", (look_call(span, QUESTION),)) for span in spans])
    assert all(isinstance(one, CallTools) for one in asked) and len(asked) == 6


# Limits


def test_the_first_refusal_leaves_one_last_try():
    actions = [
        CallTools("a", (LOOK,)),
        CallTools("b", (OTHER,)),
        CallTools("c", (LOOK,)),
        claim("red"),
    ]
    draft, policy, asked = play(actions, spent_after=1)
    assert [one.spent for one in policy.received] == [None, StopReason.BUDGET_FRAMES]
    assert len(asked) == 3, "refused twice: the policy is not asked again"
    assert (draft.text, draft.stop_reason) == ("", StopReason.BUDGET_FRAMES)


def test_a_claim_after_the_budget_is_the_answer_unchecked():
    actions = [CallTools("a", (LOOK,)), claim("red")]
    draft, _, _ = play(actions, spent_after=0)
    assert (draft.text, draft.stop_reason) == ("red", StopReason.BUDGET_FRAMES)
    assert not draft.evidence[0].check.agreed


def test_a_refuted_answer_is_better_than_none_only_where_the_budget_ended():
    actions = [claim("red"), CallTools("a", (LOOK,)), CallTools("b", (OTHER,))]
    draft, _, _ = play(actions, ["blue", "green"], spent_after=2)
    assert (draft.text, draft.stop_reason) == ("red", StopReason.BUDGET_FRAMES)


def test_a_limit_of_the_policy_is_no_finding():
    draft, policy, asked = play([CallTools("a", (LOOK,)), Stopped(StopReason.BUDGET_ROUNDS)])
    assert draft.stop_reason is StopReason.BUDGET_ROUNDS
    assert len(asked) == 1 and policy.received[-1] is None
    draft, _, _ = play([claim("red"), Stopped(StopReason.BUDGET_ROUNDS)], ["yes and no at length"])
    assert (draft.text, draft.stop_reason) == ("red", StopReason.BUDGET_ROUNDS)


# Remarks


def remark(text: str = "?") -> RecordNote:
    return RecordNote("", ModelTurn(kind="invalid", text=text), "found no tag")


def test_a_play_that_ends_in_invalid_output_says_so():
    draft, _, asked = play([remark(), remark()])
    assert (draft.text, draft.stop_reason) == ("", StopReason.INVALID_OUTPUT)
    assert len(asked) == 2
    draft, _, _ = play([remark(), CallTools("a", (LOOK,))])
    assert draft.stop_reason is StopReason.ABSTAINED
    draft, _, _ = play([claim("it rolls over the wet grass"), remark()], ["something else said"])
    assert draft.stop_reason is StopReason.ANSWERED


def test_nothing_at_all_is_an_abstention():
    draft, _, _ = play([])
    assert draft == AnswerDraft(stop_reason=StopReason.ABSTAINED, decline=Decline.NOTHING)
