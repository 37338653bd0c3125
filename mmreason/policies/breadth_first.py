"""Baseline policies: look at leaves in order of the levels, or at random leaves. They read nothing.

They say what navigation is worth: the same looks and checks, without its captions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
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
from mmreason.video.types import Span

LOOKS_LIMIT = 585
"""All nodes of the usual trees: 1 + 8 + 64 + 512."""


@dataclass(frozen=True)
class BreadthFirst:
    """Look at every node, level by level from the top, until a check agrees to a claim."""

    name: str = "breadth_first"

    @property
    def caption_needs(self) -> CaptionNeeds:
        """See `Policy`."""
        return CaptionNeeds()

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        yield from _look_at(inquiry, _by_level(inquiry))


@dataclass(frozen=True)
class RandomLeaf:
    """Look at leaves in a seeded random order until a check agrees to a claim.

    Example:
        >>> RandomLeaf(seed=3).caption_needs.scan
        False
    """

    seed: int = 0
    name: str = "random_leaf"

    @property
    def caption_needs(self) -> CaptionNeeds:
        """See `Policy`."""
        return CaptionNeeds()

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        tree = inquiry.tree
        order = list(range(tree.leaf_count))
        # By the question too: two questions of one seed do not see the same leaves.
        random.Random(f"leaves/{self.seed}/{inquiry.question.text}").shuffle(order)
        length_s = tree.leaf_s
        # By the middle of a leaf, which rounding cannot move into its neighbour.
        spans = (tree.leaf_at(tree.span.start_s + (i + 0.5) * length_s).span for i in order)
        yield from _look_at(inquiry, spans)


def _by_level(inquiry: Inquiry) -> Iterator[Span]:
    level = [()]
    while level:
        for node in level:
            yield inquiry.tree.node(node).span
        level = [child.id for node in level for child in inquiry.tree.children(node)]


def _look_at(inquiry: Inquiry, spans: Iterator[Span]) -> Play:
    question, _ = split_context(inquiry.question.text)
    for count, span in enumerate(spans):
        if count >= LOOKS_LIMIT:
            return
        call = look_call(span, question, inquiry.question.options)
        action = CallTools(f"look at {span}, the next in order", (call,))
        results = yield from call_tools(action)
        if results.spent is not None:
            return
        observation = results.observations[0]
        if observation.error is not None:
            continue
        text, choice = read_reply(observation.text, inquiry.question.options, question)
        claim = Claim(
            text=text,
            choice=choice,
            supports=(EvidenceRef(call, observation, span),),
            negative=is_negative(observation.text, question, choice),
        )
        yield from claim_answer(claim)
