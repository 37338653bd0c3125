"""The one loop that answers a question, without I/O: it yields wishes and is sent results.

Drivers perform the calls (`reasoner.py` one at a time). Leaves out models, frames, stores and
budgets; a driver that cannot afford a call sends `Spent`, and the loop returns its best so far.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from mmreason.navigate import Navigator
from mmreason.tree import NodeId, Tree
from mmreason.types import Evidence, Observation, StopReason, ToolCall
from mmreason.video.types import Span
from mmreason.wording import (
    essence,
    is_global,
    is_yes_no,
    match_option,
    says_absent,
    says_no,
    says_outside,
)

LOOKS_LIMIT = 4
"""Places looked at before giving up."""
CAPTIONS_LIMIT = 32
OTHER_FRAMES = 0.25
"""Shift of the second look, as a share of the distance between frames."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One wish of the loop: a tool call and the thought behind it."""

    thought: str
    call: ToolCall


@dataclass(frozen=True, slots=True)
class Spent:
    """Sent instead of an observation: the budget does not allow the call."""

    reason: StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What the loop came to; the driver adds cost, trace and settings."""

    text: str
    choice: int | None = None
    confidence: float | None = None
    evidence: tuple[Evidence, ...] = ()
    stop_reason: StopReason


@dataclass(frozen=True, slots=True)
class _Finding:
    """An answer given at one place."""

    observation: Observation
    span: Span
    choice: int | None
    verified: bool = False

    def evidence(self) -> Evidence:
        return Evidence(
            span=self.span,
            frame_times_s=self.observation.frame_times_s,
            quote=self.observation.text,
            verified=self.verified,
        )


class _BudgetSpent(Exception):
    def __init__(self, reason: StopReason):
        self.reason = reason


Loop = Generator[Turn, Observation | Spent | None, Draft]
_Part = Generator[Turn, Observation | Spent | None, bool]


def answer_loop(question: str, options: tuple[str, ...], tree: Tree) -> Loop:
    """Yield turns, be sent an `Observation` or `Spent` for each, return the `Draft`.

    Tools asked for: `caption(span, node)` and `look(span, question, options, shift)`.
    """
    loop = _Loop(question, options, Navigator(tree, question, CAPTIONS_LIMIT))
    reason = None
    try:
        yield from loop.search()
    except _BudgetSpent as spent:
        reason = spent.reason
        yield from loop.last_look()
    return loop.draft(reason)


@dataclass
class _Loop:
    question: str
    options: tuple[str, ...]
    navigator: Navigator
    found: list[_Finding] = field(default_factory=list)
    absent: list[_Finding] = field(default_factory=list)
    looks: int = 0

    def search(self) -> _Part:
        """Look at places until one gives a verified answer (True) or none is left (False)."""
        tree = self.navigator.tree
        if tree.depth == 0:
            return (yield from self.consider((), "the video is short: look at it directly"))
        if is_global(self.question):
            why = "the question is about the whole video: look at all of it first"
            if (yield from self.consider((), why)):
                return True
        yield from self.open((), "read the captions of the top level")
        while self.looks < LOOKS_LIMIT and (move := self.navigator.next_move()) is not None:
            if move.kind == "open":
                yield from self.open(move.node.id, move.why)
            elif (yield from self.consider(move.node.id, move.why)):
                return True
        return False

    def open(self, node_id: NodeId, thought: str) -> Generator[Turn, Observation | Spent | None]:
        """Read the captions of all children of a node."""
        self.navigator.opened.add(node_id)
        for child in self.navigator.tree.children(node_id):
            call = ToolCall(name="caption", arguments={"span": child.span, "node": list(child.id)})
            seen = _received((yield Turn(thought, call)))
            self.navigator.read(child.id, seen.text)

    def consider(self, node_id: NodeId, thought: str) -> _Part:
        """Look at one place with the question; True when its answer holds at a second look."""
        self.looks += 1
        span = self.navigator.tree.node(node_id).span
        evidence_span = self.navigator.merged_span(node_id) if node_id else span
        self.navigator.mark_looked(node_id)
        seen = _received((yield Turn(thought, self.look_call(span, 0.0))))
        if seen.error is not None:
            return False
        finding = _Finding(seen, evidence_span, self.choice_of(seen.text))
        if self.is_negative(finding):
            self.absent.append(finding)
            return False
        self.found.append(finding)
        thought = "check: other frames of the same stretch, the question only"
        again = _received((yield Turn(thought, self.look_call(span, OTHER_FRAMES))))
        if again.error is not None or not self.agree(seen.text, again.text):
            return False
        other_frames = again.frame_times_s != seen.frame_times_s
        self.found[-1] = _Finding(seen, evidence_span, finding.choice, verified=other_frames)
        return finding.choice is not None or not self.options

    def last_look(self) -> Generator[Turn, Observation | Spent | None]:
        """The budget is spent on reading: one look at the best place known, if nothing was seen."""
        if self.found or self.absent or self.looks:
            return
        node = self.navigator.best_known()
        thought = "the budget ends here: a last look at the best place known"
        seen = yield Turn(thought, self.look_call(node.span, 0.0))
        if isinstance(seen, Observation) and seen.error is None:
            finding = _Finding(seen, node.span, self.choice_of(seen.text))
            (self.absent if self.is_negative(finding) else self.found).append(finding)

    def look_call(self, span: Span, shift: float) -> ToolCall:
        arguments = {"span": span, "question": self.question, "shift": shift}
        if self.options:
            arguments["options"] = list(self.options)
        return ToolCall(name="look", arguments=arguments)

    def choice_of(self, text: str) -> int | None:
        return match_option(text, self.options) if self.options else None

    def is_negative(self, finding: _Finding) -> bool:
        """Whether another place may still hold a better answer than this "not here"."""
        text = finding.observation.text
        if finding.choice is not None:
            return False
        return says_absent(text) or (is_yes_no(self.question) and says_no(text))

    def agree(self, first: str, second: str) -> bool:
        if self.options:
            return self.choice_of(first) == self.choice_of(second) is not None
        return essence(first, self.question) == essence(second, self.question)

    def draft(self, reason: StopReason | None) -> Draft:
        """The best answer there is: verified, else the first given, else "it is not there"."""
        if self.found:
            usable = [f for f in self.found if f.choice is not None] or self.found
            best = next((f for f in usable if f.verified), usable[0])
            return self._draft_of(best, (best,), reason or StopReason.ANSWERED)
        if self.absent:
            inside = [f for f in self.absent if not says_outside(f.observation.text)]
            best = (inside or self.absent)[0]
            denied = bool(inside) and is_yes_no(self.question)
            done = StopReason.ANSWERED if denied else StopReason.ABSTAINED
            return self._draft_of(best, tuple(self.absent), reason or done)
        return Draft(text="", stop_reason=reason or StopReason.ABSTAINED)

    def _draft_of(self, best: _Finding, shown: tuple[_Finding, ...], why: StopReason) -> Draft:
        return Draft(
            text=best.observation.text,
            choice=best.choice,
            confidence=best.observation.confidence,
            evidence=tuple(finding.evidence() for finding in shown),
            stop_reason=why,
        )


def _received(sent: Observation | Spent | None) -> Observation:
    assert sent is not None, "a driver must send an observation for every turn"
    if isinstance(sent, Spent):
        raise _BudgetSpent(sent.reason)
    return sent
