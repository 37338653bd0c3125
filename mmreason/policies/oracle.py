"""The policy that knows where the answer is: the ceiling of navigation, for evaluation only."""

from __future__ import annotations

from dataclasses import dataclass

from mmreason.agent.protocol import CallTools, Claim, EvidenceRef, Inquiry, Play, look_call
from mmreason.language.question import split_context
from mmreason.language.values import read_reply
from mmreason.policies.greedy import is_negative
from mmreason.tools.scan import caption_call
from mmreason.tools.views import around
from mmreason.video.types import Span


@dataclass(frozen=True)
class Oracle:
    """Walk down to each of `spans` by captions, then look at it."""

    spans: tuple[Span, ...]
    name: str = "oracle"

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        ask, _ = split_context(inquiry.question)
        tree = inquiry.tree
        for gold in self.spans:
            leaf = tree.leaf_at(gold.middle_s)
            for depth in range(1, len(leaf.id) + 1):
                call = caption_call(tree.node(leaf.id[:depth]))
                results = yield CallTools("down to where it is", (call,), opening=depth == 1)
                if results.spent is not None:
                    return
            span = around(gold.middle_s, min(inquiry.leaf_s, gold.duration_s), gold)
            call = look_call(span, ask, inquiry.options)
            results = yield CallTools("look where it is", (call,))
            if results.spent is not None:
                return
            seen = results.observations[0]
            if seen.error is None:
                text, choice = read_reply(seen.text, inquiry.options, ask)
                yield Claim(
                    text=text,
                    choice=choice,
                    supports=(EvidenceRef(call, seen, gold),),
                    negative=is_negative(seen.text, ask, choice),
                )
