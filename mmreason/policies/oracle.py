"""The policy that knows where the answer is: the ceiling of navigation, for evaluation only."""

from __future__ import annotations

from dataclasses import dataclass

from mmreason.agent.protocol import (
    CallTools,
    CaptionNeeds,
    Claim,
    EvidenceRef,
    Inquiry,
    Play,
    call_tools,
    claim_answer,
    look_call,
)
from mmreason.language.question import split_context
from mmreason.language.values import read_reply
from mmreason.policies.greedy import is_negative
from mmreason.tools.scan import caption_call
from mmreason.tools.views import center_span
from mmreason.video.types import Span


@dataclass(frozen=True)
class Oracle:
    """Walk down to each of `spans` by captions, then look at it.

    Example:
        >>> Oracle(spans=(Span(8, 12),)).name
        'oracle'
    """

    spans: tuple[Span, ...]
    name: str = "oracle"

    @property
    def caption_needs(self) -> CaptionNeeds:
        """See `Policy`."""
        return CaptionNeeds()

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        question, _ = split_context(inquiry.question.text)
        tree = inquiry.tree
        for gold in self.spans:
            leaf = tree.leaf_at(gold.middle_s)
            for depth in range(1, len(leaf.id) + 1):
                call = caption_call(tree.node(leaf.id[:depth]))
                action = CallTools("down to where it is", (call,), opening=depth == 1)
                results = yield from call_tools(action)
                if results.spent is not None:
                    return
            span = center_span(gold.middle_s, min(inquiry.leaf_s, gold.duration_s), gold)
            call = look_call(span, question, inquiry.question.options)
            results = yield from call_tools(CallTools("look where it is", (call,)))
            if results.spent is not None:
                return
            observation = results.observations[0]
            if observation.error is None:
                text, choice = read_reply(observation.text, inquiry.question.options, question)
                claim = Claim(
                    text=text,
                    choice=choice,
                    supports=(EvidenceRef(call, observation, gold),),
                    negative=is_negative(observation.text, question, choice),
                )
                yield from claim_answer(claim)
