"""Chooses the policy by model, question and video, and says what it chose and why.

nano keeps `Greedy`. Other models look directly at what is short, at even frames where the question
is about the whole, and search otherwise: led step by step, or by themselves where they are strong.
The evidence for that is in docs/agent.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mmreason.agent.protocol import (
    AskModel,
    CaptionNeeds,
    Inquiry,
    Play,
    PlayPart,
    Policy,
    RecordNote,
    Stopped,
    ask_model,
    record_note,
)
from mmreason.models.base import Message, TextPart
from mmreason.policies.direct import Direct, Global, fits_directly
from mmreason.policies.greedy import Greedy
from mmreason.policies.scripted_search import ScriptedSearch
from mmreason.policies.stages import Stage
from mmreason.policies.tool_loop import ToolLoop
from mmreason.report.text import NAMED
from mmreason.tool_calls import ChoosePolicy
from mmreason.tools.prompts import ask_text
from mmreason.types import Step

Kind = Literal["moment", "whole", "order", "count", "speech", "text", "when"]
KINDS: tuple[Kind, ...] = get_args(Kind)
KIND = (
    "A question about a video:\n{question}\nDo not answer it. What does answering it take? Reply "
    "with one word: moment, whole, order, count, speech, text or when.\n"
    "moment: one or a few moments show it. whole: the video as a whole, such as its topic, mood or "
    "summary. order: in which order things happen. count: how often, or how many over the whole "
    "video. speech: what is said. text: what is written in the picture. when: at which time."
)
KIND_TOKENS = 256
"""For one word, behind whatever a model thinks first."""


@dataclass(frozen=True, slots=True)
class PolicyChoice:
    """Which policy answers, and why.

    Example:
        >>> PolicyChoice(Greedy(), "nano is asked in the words that it was trained on").policy.name
        'greedy'
    """

    policy: Policy
    reason: str
    kind: str = ""
    """What the model takes the question for; empty where it was not asked."""


@dataclass(frozen=True)
class Auto:
    """The default. `without` leaves stages out of whatever it chooses.

    Example:
        >>> Auto().name
        'auto'
    """

    without: frozenset[Stage] = frozenset()
    name: str = "auto"

    @property
    def caption_needs(self) -> CaptionNeeds:
        """See `Policy`."""
        return CaptionNeeds(scan=True)

    def choose_at_once(self, inquiry: Inquiry) -> PolicyChoice | None:
        """The choice where model and video decide; None where the kind of question does."""
        if inquiry.tier == "nano":
            return PolicyChoice(Greedy(), "nano is asked in the words that it was trained on")
        span = inquiry.tree.span
        if fits_directly(span, inquiry.budget.frames):
            reason = f"the video has {span.duration_s:,.0f} s: one look over all of it is enough"
            return PolicyChoice(Direct(self.without), reason)
        return None

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        choice = self.choose_at_once(inquiry)
        if choice is None:
            choice = yield from self._choose_by_question(inquiry)
        if inquiry.tier != "nano":
            note = ChoosePolicy(policy=choice.policy.name, tier=inquiry.tier, kind=choice.kind)
            yield from record_note(RecordNote(choice.reason, note, None))
        yield from choice.policy.play(inquiry)

    def _choose_by_question(self, inquiry: Inquiry) -> PlayPart[PolicyChoice]:
        kind = yield from _ask_kind(inquiry)
        if kind == "whole":
            reason = "the question is about the whole video: even frames are as good as a search"
            return PolicyChoice(Global(self.without), reason, kind)
        if kind in ("order", "count"):
            reason = "the question needs all of the video, in order: one look at each of its shots"
            return PolicyChoice(Global(self.without, by_shots=True), reason, kind)
        reads_first = kind == "speech"
        if inquiry.tier == "strong":
            reason = "the model is strong: it decides itself where to look, with tools"
            return PolicyChoice(ToolLoop(self.without), reason, kind)
        reason = "the video is long and the model small: the search is led step by step"
        return PolicyChoice(ScriptedSearch(self.without, reads_first), reason, kind)


def _ask_kind(inquiry: Inquiry) -> PlayPart[str]:
    """What the model takes the question for: a hint that only saves a search. Empty where it does
    not tell, and where there is no reply."""
    text = KIND.format(question=ask_text(inquiry.question.text, inquiry.question.options))
    action = AskModel([Message("user", (TextPart(text),))], KIND_TOKENS, may_fail=True)
    reply = yield from ask_model(action)
    if isinstance(reply, Stopped):
        return ""
    reply_words = re.findall(r"[a-z]+", reply.text.lower())
    named = dict.fromkeys(word for word in reply_words if word in KINDS)
    # One that names several has not decided.
    return next(iter(named)) if len(named) == 1 else ""


def describe_policy(policy: Policy, inquiry: Inquiry, trace: Sequence[Step]) -> dict[str, str]:
    """Which policy answered and why, for an answer's settings: name, reason, tier of the model,
    kind of question (empty where no model was asked for it)."""
    choices = [(step.call, step.thought) for step in trace if isinstance(step.call, ChoosePolicy)]
    if choices:
        # A policy may hand over to another: the last one answered, for all these reasons.
        last = choices[-1][0]
        kind = next((call.kind for call, _ in choices if call.kind), "")
        reason = "; then: ".join(thought for _, thought in choices)
        return {"name": last.policy, "reason": reason, "tier": last.tier, "kind": kind}
    name, reason = policy.name, NAMED
    choice = policy.choose_at_once(inquiry) if isinstance(policy, Auto) else None
    if choice is not None:
        name, reason = choice.policy.name, choice.reason
    return {"name": name, "reason": reason, "tier": inquiry.tier, "kind": ""}
