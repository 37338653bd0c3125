"""The policy of LongVideo-R1: a reasoning model thinks, then calls one tool or answers.

arXiv 2602.20913, §3, with its tags and limits; what its release gets wrong is put right here: bad
output is a typed step and answered with what is wrong, ids are checked, and an answer has to stand
up to another look. Leaves out the words (`longvideo_r1_text.py`).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from mmreason.agent.protocol import (
    AskModel,
    CallTools,
    CheckResult,
    CheckStatus,
    Claim,
    EvidenceRef,
    Inquiry,
    Play,
    RecordNote,
    Results,
    Stopped,
    look_call,
)
from mmreason.language.answer_reading import normalise_answer
from mmreason.language.text import extract_terms
from mmreason.language.values import pick_option, read_reply
from mmreason.memory.tree import NodeId
from mmreason.models.base import Message, Reply, TextPart
from mmreason.policies.greedy import is_negative
from mmreason.policies.longvideo_r1_text import (
    CHECKED,
    LAST_TURN,
    REMINDER,
    SYSTEM,
    Said,
    described,
    information,
    node_text,
    opening_text,
    read_turn,
    system_text,
    tree_levels,
)
from mmreason.tool_calls import Caption, ModelTurn, Search, ToolCall
from mmreason.tools.scan import SCAN_THOUGHT, caption_call, is_long, moments_seen, scan_calls
from mmreason.tools.transcript import plain_line
from mmreason.types import Note, Observation, StopReason, UsageError
from mmreason.video.types import Span

INVALID_LIMIT = 3
"""Turns in a row that may be neither a call nor an answer."""
CLAIMS_LIMIT = 3
"""Answers that may fail their check."""
CONTEXT_SHARE = 0.9
"""Share of the context after which the final answer is asked for."""

_Part = Generator[Any, Any, Any]


@dataclass(frozen=True)
class LongVideoR1:
    """A reasoning model navigates the tree. `published=True` offers the two published tools only.

    The published weights expect three levels (`Reasoner(..., depth=3)`), 30 rounds and a context of
    32,768 tokens; `Reasoner.load(..., compat="longvideo_r1")` sets all of that.
    """

    published: bool = False
    scan: bool = True
    """Scan a long video first, so that captions show the frames that differ most."""
    rounds: int = 30
    max_new_tokens: int = 1024
    context_tokens: int = 32_768
    system: str = SYSTEM
    """Told first, with {levels}, {branching} and {tools} filled in; empty for no such message."""
    name: str = "longvideo_r1"

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        game = _Game(self, inquiry)
        yield from game.play()


@dataclass
class _Game:
    policy: LongVideoR1
    inquiry: Inquiry
    messages: list[Message] = field(default_factory=list)
    seen: list[tuple[ToolCall, Observation]] = field(default_factory=list)
    """Calls of this play, for the evidence of an answer."""
    moments: dict[NodeId, tuple[Note, ...]] = field(default_factory=dict)
    """What scans of the nodes of the top level found."""
    tokens_in: int = 0
    """Length of the conversation at the last turn."""

    def play(self) -> _Part:
        """Until an answer stands, the limits are reached, or nothing readable comes."""
        last = not (yield from self.open())
        limit = min(self.policy.rounds, self.inquiry.rounds or self.policy.rounds)
        invalid = claims = 0
        for round_index in range(limit):
            if (last := last or round_index == limit - 1) or self.is_full:
                self.tell(LAST_TURN)
                last = True
            said = yield from self.turn()
            if said is None:
                return
            if isinstance(said, str):
                invalid += 1
                if invalid >= INVALID_LIMIT or last:
                    return
                continue
            invalid = 0
            if said.answer is not None:
                result = yield from self.answer(said)
                claims += 1
                done = result.status is not CheckStatus.UNSUPPORTED
                if last:
                    yield Stopped(self.limit)
                if done or claims >= CLAIMS_LIMIT or last:
                    return
                missing = plain_line(result.missing)
                self.tell(information(CHECKED.format(missing=missing)))
            elif last:
                yield Stopped(self.limit)
                return
            else:
                last = not (yield from self.act(said))

    @property
    def limit(self) -> StopReason:
        """What ends a conversation that comes to no answer."""
        return StopReason.BUDGET_TOKENS if self.is_full else StopReason.BUDGET_ROUNDS

    @property
    def is_full(self) -> bool:
        limit = CONTEXT_SHARE * self.policy.context_tokens
        return self.tokens_in + self.policy.max_new_tokens > limit

    def open(self) -> _Part:
        """Read the top level and start the conversation; False where the budget ended there."""
        nodes = tree_levels(self.inquiry.tree)
        if self.policy.scan and is_long(self.inquiry.tree):
            action = CallTools(SCAN_THOUGHT, scan_calls(self.inquiry.tree), opening=True)
            self.moments = moments_seen(self.inquiry.tree, (yield action).observations)
        calls = tuple(caption_call(node, self.moments) for node in nodes)
        results: Results = yield CallTools(
            "read the captions of the top level", calls, opening=True
        )
        self.seen += zip(calls, results.observations, strict=False)
        if self.policy.system:
            text = system_text(
                self.inquiry, published=self.policy.published, template=self.policy.system
            )
            self.messages.append(Message("system", (TextPart(text),)))
        seen = list(zip(nodes, results.observations, strict=False))
        self.tell(opening_text(self.inquiry, seen))
        return results.spent is None

    def tell(self, text: str) -> None:
        """Say something to the model; what it is told twice in a row becomes one message."""
        if self.messages and self.messages[-1].role == "user":
            before = self.messages.pop().parts
            self.messages.append(Message("user", (*before, TextPart("\n" + text))))
        else:
            self.messages.append(Message("user", (TextPart(text),)))

    def turn(self) -> _Part:
        """One turn of the model: what it said, a text where that was invalid, None where the
        budget is spent."""
        policy = self.policy
        reply: Reply | Stopped = yield AskModel(tuple(self.messages), policy.max_new_tokens)
        if isinstance(reply, Stopped):
            return None
        self.tokens_in = reply.tokens_in + reply.tokens_out
        try:
            said = read_turn(reply.written, self.inquiry)
        except (UsageError, ValueError) as error:
            call = ModelTurn(kind="invalid", text=reply.written[:500])
            yield RecordNote("", call, str(error))
            self.say(reply.written[:2_000])
            self.tell(REMINDER.format(error=error))
            return reply.written
        self.say(said.kept)
        return said

    def say(self, text: str) -> None:
        self.messages.append(Message("assistant", (TextPart(text),)))

    def act(self, said: Said) -> _Part:
        """Make the calls and tell what came of them; False where the budget refused."""
        calls = tuple(self.with_moments(call) for call in said.calls)
        results: Results = yield CallTools(said.thought, calls)
        told = []
        for call, one in zip(calls, results.observations, strict=False):
            self.seen.append((call, one))
            if isinstance(call, Caption):
                node = self.inquiry.tree.node(call.node)
                told.append(node_text(node, one))
            else:
                told.append(described(one))
        if told:
            looked = said.calls[0].asks
            text = "\n".join(told)
            self.tell(information(text) if looked or not self.policy.published else text)
        return results.spent is None

    def with_moments(self, call: ToolCall) -> ToolCall:
        """Captions show what the scan found."""
        if not isinstance(call, Caption):
            return call
        node = self.inquiry.tree.node(call.node)
        return caption_call(node, self.moments, again=True)

    def answer(self, said: Said) -> _Part:
        """Claim what the model answers, with the look that speaks for it."""
        assert said.answer is not None
        call = ModelTurn(kind="answer", text=said.answer)
        yield RecordNote(said.thought, call, None)
        options = self.inquiry.options
        text, choice = read_reply(said.answer, options, self.inquiry.question)
        support = self.support(text, choice)
        result: CheckResult = yield Claim(
            text=text,
            choice=choice,
            supports=() if support is None else (support,),
            negative=choice is None and is_negative(text, self.inquiry.question),
        )
        return result

    def support(self, text: str, choice: int | None) -> EvidenceRef | None:
        """The latest look that says the same, else the latest look, else the description that
        holds most of the question and the answer, the latest of them."""
        question, options = self.inquiry.question, self.inquiry.options
        told = [note for c, o in self.seen if not isinstance(c, Search) for note in o.notes]
        looks = [(note, o) for c, o in self.seen if c.asks for note in o.notes]
        for note, one in reversed(looks):
            same = (
                pick_option(note.text, options, question) == choice
                if options
                else normalise_answer(note.text, question) == normalise_answer(text, question)
            )
            if same:
                return self._support_at(note.span, text, _times_in(one, note))
        if looks:
            return self._support_at(looks[-1][0].span, text, ())
        if not told:
            return None
        asked = set(extract_terms(f"{question} {text}"))
        best = max(reversed(told), key=lambda note: len(asked & set(extract_terms(note.text))))
        return self._support_at(best.span, text, ())

    def _support_at(self, span: Span, text: str, times_s: tuple[float, ...]) -> EvidenceRef:
        call = look_call(span, self.inquiry.question, self.inquiry.options)
        seen = Observation(text=text, span=span, frame_times_s=times_s)
        return EvidenceRef(call, seen, span)


def _times_in(seen: Observation, note: Note) -> tuple[float, ...]:
    """The frames of one clip; a frame may begin before the stretch it is shown in."""
    if len(seen.notes) < 2:
        return seen.frame_times_s
    return tuple(t for t in seen.frame_times_s if note.span.contains(t))
