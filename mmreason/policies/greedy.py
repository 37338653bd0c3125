"""The policy that needs no reasoning model: read captions, look where they match, claim, go on.

Long videos are scanned first, without a model, for the frames that differ most. Order questions are
answered by finding each thing and comparing times, counts by telling apart what is described at all
the places that match, questions about the whole of a long video by the times in its overview.
Scoring is in `navigate.py`, the check of claims in `agent/verification.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from mmreason.agent.protocol import (
    CallTools,
    CaptionNeeds,
    CheckStatus,
    Claim,
    EvidenceRef,
    Inquiry,
    Play,
    PlayPart,
    call_tools,
    claim_answer,
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
    count_things,
    find_told_option,
    merge_descriptions,
    read_descriptions,
)
from mmreason.policies.navigate import LookMove, Navigator, OpenMove
from mmreason.policies.whole import whole_claim
from mmreason.tool_calls import Search, Skim, ToolCall
from mmreason.tools.scan import (
    MOMENT_LEVELS,
    SCAN_THOUGHT,
    caption_call,
    group_by_node,
    is_long,
    scan_calls,
)
from mmreason.types import Note, Observation

LOOKS_LIMIT = 4
"""Places looked at before giving up."""
WEAK_LOOKS_LIMIT = 2
"""Of these, where captions leave out words of the question that they use elsewhere."""
COUNTED_LIMIT = 8
"""Places described anew for a count."""


@dataclass(frozen=True)
class Greedy:
    """Follow the captions that match best. See the module.

    Example:
        >>> Greedy().caption_needs.scan
        True
    """

    name: str = "greedy"

    @property
    def caption_needs(self) -> CaptionNeeds:
        """See `Policy`."""
        return CaptionNeeds(scan=True)

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        search = _GreedySearch(inquiry)
        core, _ = split_context(inquiry.question.text)
        order = order_of(core)
        long = is_long(inquiry.tree)
        # 1. Two questions have ways of their own, before or in place of a search.
        if order is not None and inquiry.tree.depth:
            yield from search.claim_order(*order)
        if is_count(core) and long:
            yield from search.claim_count()
        # 2. So has one about the whole of a long video, where options say what to look for.
        rank = place_in_whole(inquiry.question.text) if inquiry.question.options else None
        if rank is not None and long:
            claim = yield from whole_claim(inquiry, rank)
            if claim is not None:
                yield from claim_answer(claim)
        # 3. Of a long video no single place tells a total, an order, or what is seen longest.
        whole = order is not None or rank is not None or is_total(inquiry.question.text)
        if not (long and whole):
            yield from search.find_answer()


class _OutOfBudget(Exception):
    pass


@dataclass
class _GreedySearch:
    inquiry: Inquiry
    captions: dict[NodeId, tuple[Note, ...]] = field(default_factory=dict)
    """Read so far; a second search of the same play costs nothing for these."""
    moments: dict[NodeId, tuple[Note, ...]] = field(default_factory=dict)
    """What scans of the nodes of the top level found."""
    scanned: bool = False

    def find_answer(self) -> PlayPart[None]:
        """Look at places until a check agrees or none is left; then a last try if cut short."""
        inquiry, tree = self.inquiry, self.inquiry.tree
        question, _ = split_context(inquiry.question.text)
        navigator = self.make_navigator(inquiry.question.text)
        looks = weak = 0
        try:
            # 1. A short video is looked at; so is, first, all of it where that is asked about.
            if tree.depth == 0:
                why = "the video is short: look at it directly"
                yield from self.consider(LookMove(tree.span, tree.span, why), inquiry.question.text)
                return
            if is_global(inquiry.question.text) and not is_long(tree):
                why = "the question is about the whole video: look at all of it first"
                looks += 1
                navigator.blind.add(())
                move = LookMove(tree.span, tree.span, why)
                if (yield from self.consider(move, inquiry.question.text)):
                    return
            # 2. Read captions and look where they match, the best first.
            yield from self.start(navigator)
            while looks < LOOKS_LIMIT and (move := navigator.next_move()) is not None:
                if isinstance(move, OpenMove):
                    yield from self.open_node(navigator, move.node.id, move.why)
                    continue
                weak += move.weak
                if weak > WEAK_LOOKS_LIMIT:
                    break
                looks += 1
                if (yield from self.consider(move, question)):
                    return
            # 3. Where no look agrees, two captions of one place may.
            yield from self.claim_from_captions(navigator, question)
        except _OutOfBudget:
            if not looks:
                best = navigator.best_known()
                why = "the budget ends here: a last look at the best place known"
                yield from self.consider(LookMove(best.span, best.evidence, why), question)

    def claim_from_captions(self, navigator: Navigator, question: str) -> PlayPart[None]:
        """Where looks do not agree: claim the option that two captions of one place tell of the
        thing that is asked about."""
        thing = claimed_object(question, "yes")
        options = self.inquiry.question.options
        if not thing or not options or is_yes_no(question):
            return
        for move, note in navigator.strong_lines(whole=True)[:LOOKS_LIMIT]:
            call = Skim(span=move.span, check=True)
            thought = f"describe {move.span}: looks do not agree"
            (observation,) = yield from self.make_calls(thought, (call,))
            choice = find_told_option(observation.notes, thing, options)
            before = find_told_option((note,), thing, options)
            # A caption that told of another option before speaks against this one.
            if choice is not None and before in (None, choice):
                claim = Claim(
                    text=options[choice],
                    choice=choice,
                    supports=(EvidenceRef(call, observation, move.evidence),),
                    status=CheckStatus.AGREED,
                    compared=before is not None,
                )
                yield from claim_answer(claim)
                return

    def make_navigator(self, question: str) -> Navigator:
        """One that opens silent nodes of the top level only where a scan says what is in them."""
        tree = self.inquiry.tree
        return Navigator(tree, question, self.inquiry.leaf_s, reach=1 if is_long(tree) else None)

    def scan(self) -> PlayPart[None]:
        """Find the frames of a long video that differ most; captions show even ones without."""
        if self.scanned or not is_long(self.inquiry.tree):
            return
        self.scanned = True
        calls = scan_calls(self.inquiry.tree)
        observations = yield from self.make_calls(SCAN_THOUGHT, calls, opening=True)
        self.moments = group_by_node(self.inquiry.tree, observations)

    def start(self, navigator: Navigator) -> PlayPart[None]:
        """Read the captions of the top level, and the subtitles where there are any."""
        if self.inquiry.has_subtitles:
            call = Search(span=self.inquiry.tree.span, text=navigator.question)
            (found_lines,) = yield from self.make_calls(
                "search the subtitles", (call,), opening=True
            )
            navigator.add_lines(found_lines.notes)
        yield from self.scan()
        yield from self.open_node(navigator, (), "read the captions of the top level")

    def open_node(self, navigator: Navigator, node_id: NodeId, thought: str) -> PlayPart[None]:
        """Read the captions of all children of a node."""
        navigator.opened.add(node_id)
        children = navigator.tree.children(node_id)
        unread = [child for child in children if child.id not in self.captions]
        calls = tuple(caption_call(child, self.moments) for child in unread)
        spent = None
        if calls:
            results = yield from call_tools(CallTools(thought, calls, opening=node_id == ()))
            spent = results.spent
            for child, observation in zip(unread, results.observations, strict=False):
                self.captions[child.id] = observation.notes
        for child in children:
            if child.id in self.captions:
                navigator.add_caption(child.id, self.captions[child.id])
        # Only now: what was read up to the limit is there for a last look.
        if spent is not None:
            raise _OutOfBudget

    def make_calls(
        self, thought: str, calls: tuple[ToolCall, ...], *, opening: bool = False
    ) -> PlayPart[tuple[Observation, ...]]:
        """Observations of all calls; raises where the budget refuses one of them."""
        results = yield from call_tools(CallTools(thought, calls, opening))
        if results.spent is not None:
            raise _OutOfBudget
        return results.observations

    def consider(self, move: LookMove, question: str) -> PlayPart[bool]:
        """Look at one place and claim what it shows; True when a check agrees."""
        call = look_call(move.span, question, self.inquiry.question.options)
        (observation,) = yield from self.make_calls(move.why, (call,))
        if observation.error is not None:
            return False
        text, choice = read_reply(observation.text, self.inquiry.question.options, question)
        claim = Claim(
            text=text,
            choice=choice,
            supports=(EvidenceRef(call, observation, move.evidence),),
            negative=is_negative(observation.text, question, choice),
        )
        result = yield from claim_answer(claim)
        return result.status is CheckStatus.AGREED

    def claim_order(self, first: bool, things: tuple[str, ...]) -> PlayPart[None]:
        """Find each thing, compare when they are seen, and claim the first or the last."""
        sights: list[tuple[str, EvidenceRef]] = []
        _, context = split_context(self.inquiry.question.text)
        try:
            for thing in things:
                support = yield from self.find_thing(thing, context)
                if support is None:
                    return
                sights.append((thing, support))
        except _OutOfBudget:
            return
        sights.sort(key=lambda sight: sight[1].span.start_s, reverse=not first)
        if sights[0][1].span.start_s == sights[1][1].span.start_s:
            return  # seen at once: times do not tell which, a look may
        supports = tuple(support for _, support in sights)
        yield from claim_answer(self.claim_of(sights[0][0], supports=supports))

    def claim_of(self, text: str, *, supports: tuple[EvidenceRef, ...]) -> Claim:
        """A claim that says this, as the option that it is where there are options."""
        options = self.inquiry.question.options
        choice = read_answer(text, options).choice if options else None
        return Claim(text=text, choice=choice, supports=supports)

    def find_thing(self, thing: str, context: str) -> PlayPart[EvidenceRef | None]:
        """The earliest look that shows `thing`, at the time that `context` says, or None."""
        bare = thing.removeprefix("the ").removeprefix("a ").removeprefix("an ")
        article = "an" if bare[:1] in "aeiou" else "a"
        question = f"Is there {article} {bare}?"
        when = f"{question[:-1]} while {context}?" if context else question
        navigator = self.make_navigator(when)
        yield from self.read_captions(navigator, until_strong=True)
        # 1. Where captions tell of it, in order of time.
        looks = 0
        for look, note in navigator.strong_lines()[:LOOKS_LIMIT]:
            # A caption has seen it once already: the look is the check of that.
            is_told = self.is_caption(note)
            support = yield from self.sight(look, question, thing, is_check=is_told)
            if support is not None:
                return support
            looks += 1
        # 2. Elsewhere, the best place first.
        while looks < LOOKS_LIMIT and (move := navigator.next_move()) is not None:
            if isinstance(move, OpenMove):
                yield from self.open_node(navigator, move.node.id, move.why)
                continue
            looks += 1
            support = yield from self.sight(move, question, thing)
            if support is not None:
                return support
        return None

    def sight(
        self, move: LookMove, question: str, thing: str, *, is_check: bool = False
    ) -> PlayPart[EvidenceRef | None]:
        """A look that shows `thing`, or None. Where a caption has told of it the look is the
        check of that."""
        call = look_call(move.span, question)
        if is_check:
            call = replace(call, check=True)
        (observation,) = yield from self.make_calls(f"find {thing}: {move.why}", (call,))
        if observation.error is not None or is_negative(observation.text, question):
            return None
        return EvidenceRef(call, observation, move.evidence, checked=is_check)

    def is_caption(self, note: Note) -> bool:
        """Whether a line was written from frames: subtitles tell what is said, not what is seen."""
        return any(note in notes for notes in self.captions.values())

    def read_captions(self, navigator: Navigator, *, until_strong: bool = False) -> PlayPart[None]:
        """Read all there is to read for a question, or until something holds all it asks for."""
        yield from self.start(navigator)
        while (move := navigator.next_open()) is not None:
            if until_strong and navigator.strong_lines():
                return
            yield from self.open_node(navigator, move.node.id, move.why)

    def claim_count(self) -> PlayPart[None]:
        """Claim how many different things are described at the places that match; where there is
        one place only, a look there tells."""
        question = self.inquiry.question.text
        thing = counted_thing(question)
        navigator = self.make_navigator(question)
        try:
            yield from self.scan()
            navigator.shown_to = MOMENT_LEVELS if self.moments else None
            yield from self.read_captions(navigator)
            moves: dict[Description, LookMove] = {}
            for move, note in navigator.strong_lines():
                for description in read_descriptions(note.text, thing):
                    moves.setdefault(description, move)
            different = merge_descriptions(moves)
            if len(different) < 2:
                if different and is_total(question):
                    yield from self.consider(moves[different[0]], question)
                return
            counted_moves = [moves[description] for description in different[:COUNTED_LIMIT]]
            yield from self.tell_apart(thing, counted_moves, count_things(different))
        except _OutOfBudget:
            return

    def tell_apart(self, thing: str, moves: list[LookMove], count_before: int) -> PlayPart[None]:
        """Describe each place anew, from other frames, and claim how many things there are;
        captions told of `count_before`."""
        calls = tuple(Skim(span=move.span, check=True) for move in moves)
        thought = f"describe {len(moves)} places that may show different {thing.rstrip('?')}"
        observations = yield from self.make_calls(thought, calls)
        described: list[Description] = []
        supports: list[EvidenceRef] = []
        for move, call, observation in zip(moves, calls, observations, strict=True):
            new = [d for note in observation.notes for d in read_descriptions(note.text, thing)]
            if new:
                supports.append(EvidenceRef(call, observation, move.evidence))
                described += new
        number = str(count_things(merge_descriptions(described)))
        if described:
            claim = self.claim_of(number, supports=tuple(supports))
            yield from claim_answer(
                replace(claim, status=CheckStatus.AGREED, compared=number == str(count_before))
            )


def is_negative(text: str, question: str, choice: int | None = None) -> bool:
    """Whether another place may still hold a better answer than this "not here", be it the option
    "no" or none of the options.

    Example:
        >>> is_negative("No, there is no dog.", "Is there a dog?")
        True
        >>> is_negative("No, it is open.", "Is the door closed?")
        False
    """
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
    clause = text.partition(",")[2]
    # Without its negation "it isn't closed" states no more than the question.
    stated = re.sub(r"n['\u2019]t\b|\b(?:not|no|never)\b", "", clause)
    return not says_absent(clause) and bool(
        set(normalise_answer(stated)) - set(normalise_answer(question))
    )
