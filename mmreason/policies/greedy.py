"""The policy that needs no reasoning model: read captions, look where they match, claim, go on.

Long videos are scanned first, without a model, for the frames that differ most. Order questions are
answered by finding each thing and comparing times, counts by telling apart what is described at all
the places that match, questions about the whole of a long video by the times in its overview.
Leaves out scoring (`navigate.py`) and the check of
claims (`agent.py`).
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

from mmreason.agent.protocol import (
    CallTools,
    CheckResult,
    CheckStatus,
    Claim,
    EvidenceRef,
    Inquiry,
    Play,
    Results,
    look_call,
)
from mmreason.language.answer_reading import normalise_answer, read_answer, says_no
from mmreason.language.question import (
    claimed_object,
    counted_thing,
    is_count,
    is_global,
    is_total,
    is_yes_no,
    order_of,
    place_in_whole,
    split_context,
)
from mmreason.language.refusals import is_out_of_domain, says_absent
from mmreason.language.values import read_reply
from mmreason.memory.tree import NodeId
from mmreason.policies.counting import (
    Description,
    descriptions,
    different,
    option_told,
    total,
)
from mmreason.policies.navigate import LookMove, Navigator, OpenMove
from mmreason.policies.whole import whole_claim
from mmreason.tool_calls import Search, Skim, ToolCall
from mmreason.tools.scan import (
    MOMENT_LEVELS,
    SCAN_THOUGHT,
    caption_call,
    is_long,
    moments_seen,
    scan_calls,
)
from mmreason.types import Note, Observation

LOOKS_LIMIT = 4
"""Places looked at before giving up."""
WEAK_LOOKS_LIMIT = 2
"""Of these, where captions leave out words of the question that they use elsewhere."""
COUNTED_LIMIT = 8
"""Places described anew for a count."""

_Part = Generator[Any, Any, Any]


@dataclass(frozen=True)
class Greedy:
    """Follow the captions that match best. See the module."""

    name: str = "greedy"

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        game = _Game(inquiry)
        core, _ = split_context(inquiry.question)
        order = order_of(core)
        long = is_long(inquiry.tree)
        if order is not None and inquiry.tree.depth:
            yield from game.order(*order)
        if is_count(core) and long:
            yield from game.count()
        place = place_in_whole(inquiry.question) if inquiry.options else None
        if place is not None and long:
            claim = yield from whole_claim(inquiry, place)
            if claim is not None:
                yield claim
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
    moments: dict[NodeId, tuple[Note, ...]] = field(default_factory=dict)
    """What scans of the nodes of the top level found."""
    scanned: bool = False

    def search(self) -> _Part:
        """Look at places until a check agrees or none is left; then a last try if cut short."""
        inquiry, tree = self.inquiry, self.inquiry.tree
        ask, _ = split_context(inquiry.question)
        navigator = self.navigator(inquiry.question)
        looks = weak = 0
        try:
            whole = LookMove(tree.span, tree.span, "the video is short: look at it directly")
            if tree.depth == 0:
                yield from self.consider(whole, inquiry.question)
                return
            if is_global(inquiry.question) and not is_long(tree):
                why = "the question is about the whole video: look at all of it first"
                looks += 1
                navigator.blind.add(())
                move = LookMove(tree.span, tree.span, why)
                if (yield from self.consider(move, inquiry.question)):
                    return
            yield from self.start(navigator)
            while looks < LOOKS_LIMIT and (move := navigator.next_move()) is not None:
                if isinstance(move, OpenMove):
                    yield from self.open(navigator, move.node.id, move.why)
                    continue
                weak += move.weak
                if weak > WEAK_LOOKS_LIMIT:
                    break
                looks += 1
                if (yield from self.consider(move, ask)):
                    return
            yield from self.read_off(navigator, ask)
        except _OutOfBudget:
            if not looks:
                best = navigator.best_known()
                why = "the budget ends here: a last look at the best place known"
                yield from self.consider(LookMove(best.span, best.evidence, why), ask)

    def read_off(self, navigator: Navigator, question: str) -> _Part:
        """Where looks do not agree: claim the option that two captions of one place tell of the
        thing that is asked about."""
        thing = claimed_object(question, "yes")
        if not thing or not self.inquiry.options or is_yes_no(question):
            return
        for place, note in navigator.strong_lines(whole=True)[:LOOKS_LIMIT]:
            call = Skim(span=place.span, check=True)
            seen = (yield from self.act(f"describe {place.span}: looks do not agree", (call,)))[0]
            options = self.inquiry.options
            choice = option_told(seen.notes, thing, options)
            before = option_told((note,), thing, options)
            if choice is not None and before in (None, choice):
                yield Claim(
                    text=options[choice],
                    choice=choice,
                    supports=(EvidenceRef(call, seen, place.evidence),),
                    checked=True,
                    compared=before is not None,
                )
                return

    def navigator(self, question: str) -> Navigator:
        """One that opens silent nodes of the top level only where a scan says what is in them."""
        tree = self.inquiry.tree
        return Navigator(tree, question, self.inquiry.leaf_s, reach=1 if is_long(tree) else None)

    def scan(self) -> _Part:
        """Find the frames of a long video that differ most; captions show even ones without."""
        if self.scanned or not is_long(self.inquiry.tree):
            return
        self.scanned = True
        calls = scan_calls(self.inquiry.tree)
        seen = yield from self.act(SCAN_THOUGHT, calls, opening=True)
        self.moments = moments_seen(self.inquiry.tree, seen)

    def start(self, navigator: Navigator) -> _Part:
        """Read the captions of the top level, and the subtitles where there are any."""
        if self.inquiry.has_subtitles:
            span = self.inquiry.tree.span
            call = Search(span=span, text=navigator.question)
            seen = yield from self.act("search the subtitles", (call,), opening=True)
            navigator.hear(seen[0].notes)
        yield from self.scan()
        yield from self.open(navigator, (), "read the captions of the top level")

    def open(self, navigator: Navigator, node_id: NodeId, thought: str) -> _Part:
        """Read the captions of all children of a node."""
        navigator.opened.add(node_id)
        children = navigator.tree.children(node_id)
        unread = [child for child in children if child.id not in self.captions]
        calls = tuple(caption_call(child, self.moments) for child in unread)
        spent = None
        if calls:
            results: Results = yield CallTools(thought, calls, opening=node_id == ())
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
        results: Results = yield CallTools(thought, calls, opening)
        if results.spent is not None:
            raise _OutOfBudget
        return results.observations

    def consider(self, place: LookMove, question: str) -> _Part:
        """Look at one place and claim what it shows; True when a check agrees."""
        call = look_call(place.span, question, self.inquiry.options)
        seen: Observation = (yield from self.act(place.why, (call,)))[0]
        if seen.error is not None:
            return False
        support = EvidenceRef(call, seen, place.evidence)
        text, choice = read_reply(seen.text, self.inquiry.options, question)
        negative = is_negative(seen.text, question, choice)
        result: CheckResult = yield Claim(
            text=text, choice=choice, supports=(support,), negative=negative
        )
        return result.status is CheckStatus.AGREED

    def order(self, first: bool, things: tuple[str, ...]) -> _Part:
        """Find each thing, compare when they are seen, and claim the first or the last."""
        found: list[tuple[float, str, EvidenceRef]] = []
        _, context = split_context(self.inquiry.question)
        try:
            for thing in things:
                support = yield from self.find(thing, context)
                if support is None:
                    return
                found.append((support.span.start_s, thing, support))
        except _OutOfBudget:
            return
        found.sort(key=lambda one: one[0], reverse=not first)
        if found[0][0] == found[1][0]:
            return  # seen at once: times do not tell which, a look may
        thing = found[0][1]
        choice = read_answer(thing, self.inquiry.options).choice if self.inquiry.options else None
        yield Claim(text=thing, choice=choice, supports=tuple(one[2] for one in found))

    def find(self, thing: str, context: str) -> _Part:
        """The earliest look that shows `thing`, at the time that `context` says, or None."""
        bare = thing.removeprefix("the ").removeprefix("a ").removeprefix("an ")
        article = "an" if bare[:1] in "aeiou" else "a"
        question = f"Is there {article} {bare}?"
        when = f"{question[:-1]} while {context}?" if context else question
        navigator = self.navigator(when)
        yield from self.read_on(navigator, until_strong=True)
        looks = 0
        for look, note in navigator.strong_lines()[:LOOKS_LIMIT]:
            support = yield from self.sight(look, question, thing, told=self.is_caption(note))
            if support is not None:
                return support
            looks += 1
        while looks < LOOKS_LIMIT and (move := navigator.next_move()) is not None:
            if isinstance(move, OpenMove):
                yield from self.open(navigator, move.node.id, move.why)
                continue
            looks += 1
            support = yield from self.sight(move, question, thing)
            if support is not None:
                return support
        return None

    def sight(self, place: LookMove, question: str, thing: str, *, told: bool = False) -> _Part:
        """A look that shows `thing`, or None. Where a caption has told of it the look is the
        check of that."""
        call = look_call(place.span, question)
        if told:
            call = replace(call, check=True)
        seen = (yield from self.act(f"find {thing}: {place.why}", (call,)))[0]
        if seen.error is not None or is_negative(seen.text, question):
            return None
        return EvidenceRef(call, seen, place.evidence, checked=told)

    def is_caption(self, note: Note) -> bool:
        """Whether a line was written from frames: subtitles tell what is said, not what is seen."""
        return any(note in notes for notes in self.captions.values())

    def read_on(self, navigator: Navigator, *, until_strong: bool = False) -> _Part:
        """Read all there is to read for a question, or until something holds all it asks for."""
        yield from self.start(navigator)
        while (move := navigator.next_open()) is not None:
            if until_strong and navigator.strong_lines():
                return
            yield from self.open(navigator, move.node.id, move.why)

    def count(self) -> _Part:
        """Claim how many different things are described at the places that match; where there is
        one place only, a look there tells."""
        question = self.inquiry.question
        thing = counted_thing(question)
        navigator = self.navigator(question)
        try:
            yield from self.scan()
            navigator.shown_to = MOMENT_LEVELS if self.moments else None
            yield from self.read_on(navigator)
            places: dict[Description, LookMove] = {}
            for look, note in navigator.strong_lines():
                for one in descriptions(note.text, thing):
                    places.setdefault(one, look)
            kept = different(places)
            if len(kept) < 2:
                if kept and is_total(question):
                    yield from self.consider(places[kept[0]], question)
                return
            places_kept = [places[one] for one in kept[:COUNTED_LIMIT]]
            yield from self.tell_apart(thing, places_kept, total(kept))
        except _OutOfBudget:
            return

    def tell_apart(self, thing: str, places: list[LookMove], told_before: int) -> _Part:
        """Describe each place anew, from other frames, and claim how many things there are;
        captions told of `told_before`."""
        calls = tuple(Skim(span=place.span, check=True) for place in places)
        thought = f"describe {len(places)} places that may show different {thing.rstrip('?')}"
        seen = yield from self.act(thought, calls)
        found: list[Description] = []
        supports = []
        for place, call, one in zip(places, calls, seen, strict=True):
            told = [d for note in one.notes for d in descriptions(note.text, thing)]
            if told:
                supports.append(EvidenceRef(call, one, place.evidence))
                found += told
        number = str(total(different(found)))
        choice = read_answer(number, self.inquiry.options).choice if self.inquiry.options else None
        if found:
            yield Claim(
                text=number,
                choice=choice,
                supports=tuple(supports),
                checked=True,
                compared=number == str(told_before),
            )


def is_negative(text: str, question: str, choice: int | None = None) -> bool:
    """Whether another place may still hold a better answer than this "not here", be it the option
    "no" or none of the options."""
    if is_yes_no(question):
        return is_out_of_domain(text) or (says_no(text) and not _says_instead(text, question))
    return choice is None and says_absent(text, question)


_ASKS_WHETHER_THERE = re.compile(
    r"^\W*(?:is|are|was|were) there\b|\b(?:see|appears?|visible|shown?|seen|present|there)\W*$",
    re.IGNORECASE,
)


def _says_instead(text: str, question: str) -> bool:
    """Whether a "no" tells what is the case: "No, it is open." is an answer that can be checked.
    Where it is asked whether something is there, what else is there says nothing of it."""
    if _ASKS_WHETHER_THERE.search(question):
        return False
    told = text.partition(",")[2]
    stated = re.sub(r"n['\u2019]t\b|\b(?:not|no|never)\b", "", told)
    return not says_absent(told) and bool(
        set(normalise_answer(stated)) - set(normalise_answer(question))
    )
