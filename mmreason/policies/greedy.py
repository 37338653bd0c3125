"""The policy that needs no reasoning model: read captions, look where they match, claim, go on.

Order questions are answered by finding each thing and comparing times; questions about the whole of
a long video by the times in its overview. Leaves out scoring (`navigate.py`) and the check of
claims (`agent.py`).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from mmreason.policies.base import (
    Act,
    Claim,
    Inquiry,
    Play,
    Results,
    Standing,
    Support,
    Verdict,
    look_call,
)
from mmreason.policies.navigate import Look, Navigator, Open
from mmreason.policies.whole import overview_claim
from mmreason.tree import NodeId
from mmreason.types import Note, Observation, ToolCall
from mmreason.wording import (
    Place,
    is_global,
    is_total,
    is_yes_no,
    match_option,
    order_of,
    place_in_whole,
    says_absent,
    says_no,
    split_context,
)

LOOKS_LIMIT = 4
"""Places looked at before giving up."""
WHOLE_LEAVES = 16
"""Videos of up to this many leaves are looked at as a whole for questions about all of it."""

_Part = Generator[Any, Any, Any]


@dataclass(frozen=True)
class Greedy:
    """Follow the captions that match best. See the module."""

    name: str = "greedy"

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        game = _Game(inquiry)
        order = order_of(inquiry.question)
        long = inquiry.tree.leaf_count > WHOLE_LEAVES
        if order is not None and inquiry.tree.depth:
            yield from game.order(*order)
        place = place_in_whole(inquiry.question) if inquiry.options else None
        if place is not None and long:
            yield from game.overview(place)
        # Of a long video no single place tells a total, an order, or what is seen longest.
        whole = order is not None or place is not None or is_total(inquiry.question)
        if not (long and whole):
            yield from game.search()


class _OutOfBudget(Exception):
    pass


@dataclass
class _Game:
    inquiry: Inquiry
    captions: dict[NodeId, tuple[Note, ...]] = field(default_factory=dict)
    """Read so far; a second search in the same game costs nothing for these."""

    def search(self) -> _Part:
        """Look at places until one is verified or none is left; then a last try if cut short."""
        inquiry, tree = self.inquiry, self.inquiry.tree
        ask, _ = split_context(inquiry.question)
        navigator = Navigator(tree, inquiry.question, inquiry.leaf_s)
        looks = 0
        try:
            whole = Look(tree.span, tree.span, "the video is short: look at it directly")
            if tree.depth == 0:
                yield from self.consider(whole, inquiry.question)
                return
            if is_global(inquiry.question) and tree.leaf_count <= WHOLE_LEAVES:
                why = "the question is about the whole video: look at all of it first"
                looks += 1
                navigator.blind.add(())
                if (yield from self.consider(Look(tree.span, tree.span, why), inquiry.question)):
                    return
            yield from self.start(navigator)
            while looks < LOOKS_LIMIT and (move := navigator.next_move()) is not None:
                if isinstance(move, Open):
                    yield from self.open(navigator, move.node.id, move.why)
                    continue
                looks += 1
                if (yield from self.consider(move, ask)):
                    return
        except _OutOfBudget:
            if not looks:
                best = navigator.best_known()
                why = "the budget ends here: a last look at the best place known"
                yield from self.consider(Look(best.span, best.evidence, why), ask)

    def start(self, navigator: Navigator) -> _Part:
        """Read the captions of the top level, and the subtitles where there are any."""
        if self.inquiry.has_subtitles:
            span = self.inquiry.tree.span
            arguments = {"span": span, "text": navigator.question}
            call = ToolCall(name="search", arguments=arguments)
            seen = yield from self.act("search the subtitles", (call,), opening=True)
            navigator.hear(seen[0].notes)
        yield from self.open(navigator, (), "read the captions of the top level")

    def open(self, navigator: Navigator, node_id: NodeId, thought: str) -> _Part:
        """Read the captions of all children of a node."""
        navigator.opened.add(node_id)
        children = navigator.tree.children(node_id)
        unread = [child for child in children if child.id not in self.captions]
        calls = tuple(
            ToolCall(name="caption", arguments={"span": child.span, "node": list(child.id)})
            for child in unread
        )
        spent = None
        if calls:
            results: Results = yield Act(thought, calls, opening=node_id == ())
            spent = results.spent
            for child, one in zip(unread, results.observations, strict=False):
                self.captions[child.id] = one.notes
        for child in children:
            if child.id in self.captions:
                navigator.read(child.id, self.captions[child.id])
        if spent is not None:
            raise _OutOfBudget

    def act(self, thought: str, calls: tuple[ToolCall, ...], *, opening: bool = False) -> _Part:
        """Observations of all calls; raises where the budget refuses one of them."""
        results: Results = yield Act(thought, calls, opening)
        if results.spent is not None:
            raise _OutOfBudget
        return results.observations

    def consider(self, place: Look, question: str) -> _Part:
        """Look at one place and claim what it shows; True when the claim is verified."""
        call = look_call(place.span, question, self.inquiry.options)
        seen: Observation = (yield from self.act(place.why, (call,)))[0]
        if seen.error is not None:
            return False
        support = Support(call, seen, place.evidence)
        choice = match_option(seen.text, self.inquiry.options) if self.inquiry.options else None
        negative = choice is None and is_negative(seen.text, question)
        verdict: Verdict = yield Claim(
            text=seen.text, choice=choice, supports=(support,), negative=negative
        )
        return verdict.standing is Standing.VERIFIED

    def order(self, first: bool, things: tuple[str, ...]) -> _Part:
        """Find each thing, compare when they are seen, and claim the first or the last."""
        found: list[tuple[float, str, Support]] = []
        try:
            for thing in things:
                support = yield from self.find(thing)
                if support is None:
                    return
                found.append((support.span.start_s, thing, support))
        except _OutOfBudget:
            return
        found.sort(key=lambda one: one[0], reverse=not first)
        if found[0][0] == found[1][0]:
            return  # seen at once: times do not tell which, a look may
        thing = found[0][1]
        choice = match_option(thing, self.inquiry.options) if self.inquiry.options else None
        yield Claim(text=thing, choice=choice, supports=tuple(one[2] for one in found))

    def find(self, thing: str) -> _Part:
        """The first look that shows `thing`, or None."""
        bare = thing.removeprefix("the ").removeprefix("a ").removeprefix("an ")
        article = "an" if bare[:1] in "aeiou" else "a"
        question = f"Is there {article} {bare}?"
        navigator = Navigator(self.inquiry.tree, question, self.inquiry.leaf_s)
        yield from self.start(navigator)
        looks = 0
        while looks < LOOKS_LIMIT and (move := navigator.next_move()) is not None:
            if isinstance(move, Open):
                yield from self.open(navigator, move.node.id, move.why)
                continue
            looks += 1
            call = look_call(move.span, question)
            seen = (yield from self.act(f"find {thing}: {move.why}", (call,)))[0]
            if seen.error is None and not is_negative(seen.text, question):
                return Support(call, seen, move.evidence)
        return None

    def overview(self, place: Place) -> _Part:
        """Claim the option that two readings of the top level agree on."""
        navigator = Navigator(self.inquiry.tree, self.inquiry.question, self.inquiry.leaf_s)
        try:
            yield from self.start(navigator)
            calls = tuple(
                ToolCall(name="skim", arguments={"span": child.span, "shift": 0.25})
                for child in navigator.tree.children()
            )
            thought = "count over other frames of the whole video"
            again = yield from self.act(thought, calls)
        except _OutOfBudget:
            return
        first = [note for child in navigator.tree.children() for note in self.captions[child.id]]
        second = [note for one in again for note in one.notes]
        claim = overview_claim(self.inquiry.options, place, first, second)
        if claim is not None:
            yield claim


def is_negative(text: str, question: str) -> bool:
    """Whether another place may still hold a better answer than this "not here"."""
    return says_absent(text) or (is_yes_no(question) and says_no(text))
