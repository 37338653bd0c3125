"""The policy of LongVideo-R1: a reasoning model thinks, then calls one tool or answers.

arXiv 2602.20913, §3, with its tags and limits; what its release gets wrong is put right here: bad
output is a typed step and answered with what is wrong, ids are checked, and an answer has to stand
up to another look. The words are in `longvideo_r1_text.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mmreason.agent.protocol import (
    AskModel,
    CallTools,
    CaptionNeeds,
    CheckResult,
    CheckStatus,
    Claim,
    EvidenceRef,
    Inquiry,
    Play,
    PlayPart,
    RecordNote,
    Stopped,
    ask_model,
    call_tools,
    claim_answer,
    look_call,
    record_note,
)
from mmreason.language.answer_reading import normalise_answer
from mmreason.language.text import extract_terms
from mmreason.language.values import pick_option, read_reply
from mmreason.memory.tree import NodeId
from mmreason.models.base import Message, TextPart
from mmreason.policies.greedy import is_negative
from mmreason.policies.longvideo_r1_text import (
    CHECKED,
    LAST_TURN,
    REMINDER,
    SYSTEM,
    ParsedTurn,
    describe_observation,
    node_text,
    opening_text,
    read_turn,
    system_text,
    tree_levels,
    wrap_information,
)
from mmreason.tool_calls import Caption, ModelTurn, Search, ToolCall
from mmreason.tools.scan import SCAN_THOUGHT, caption_call, group_by_node, is_long, scan_calls
from mmreason.tools.transcript import plain_line
from mmreason.types import Note, Observation, StopReason, UsageError
from mmreason.video.types import Span

INVALID_LIMIT = 3
"""Turns in a row that may be neither a call nor an answer."""
CLAIMS_LIMIT = 3
"""Answers that may fail their check."""
CONTEXT_SHARE = 0.9
"""Share of the context after which the final answer is asked for."""


@dataclass(frozen=True)
class LongVideoR1:
    """A reasoning model navigates the tree. `published=True` offers the two published tools only.

    The published weights expect three levels (`Reasoner(..., depth=3)`), 30 rounds and a context of
    32,768 tokens; `Reasoner.load(..., compat="longvideo_r1")` sets all of that.

    Example:
        >>> LongVideoR1(published=True).caption_needs.parent_stills
        True
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

    @property
    def caption_needs(self) -> CaptionNeeds:
        """See `Policy`."""
        return CaptionNeeds(scan=self.scan, parent_stills=True)

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        yield from _Conversation(self, inquiry).play()


@dataclass
class _Conversation:
    policy: LongVideoR1
    inquiry: Inquiry
    messages: list[Message] = field(default_factory=list)
    observed: list[tuple[ToolCall, Observation]] = field(default_factory=list)
    """Calls of this play, for the evidence of an answer."""
    moments: dict[NodeId, tuple[Note, ...]] = field(default_factory=dict)
    """What scans of the nodes of the top level found."""
    tokens_in: int = 0
    """Length of the conversation at the last turn."""

    def play(self) -> PlayPart[None]:
        """Until an answer stands, the limits are reached, or nothing readable comes."""
        is_last = not (yield from self.open())
        limit = min(self.policy.rounds, self.inquiry.budget.rounds or self.policy.rounds)
        invalid = claims = 0
        for round_index in range(limit):
            # 1. The last turn is announced, and asks for an answer.
            if (is_last := is_last or round_index == limit - 1) or self.is_full:
                self.tell(LAST_TURN)
                is_last = True
            # 2. The model's turn; what cannot be read counts, and has been answered.
            turn = yield from self.take_turn()
            if turn is None:
                return
            if isinstance(turn, str):
                invalid += 1
                if invalid >= INVALID_LIMIT or is_last:
                    return
                continue
            invalid = 0
            # 3. An answer is claimed; one that its check refutes leads on, with what was seen
            #    instead. A call is made.
            if turn.answer is not None:
                result = yield from self.answer(turn)
                claims += 1
                # What could not be checked stands as well: only a contradiction leads on.
                done = result.status is not CheckStatus.UNSUPPORTED
                if is_last:
                    yield Stopped(self.limit)
                if done or claims >= CLAIMS_LIMIT or is_last:
                    return
                missing = plain_line(result.missing)
                self.tell(wrap_information(CHECKED.format(missing=missing)))
            elif is_last:
                yield Stopped(self.limit)
                return
            else:
                is_last = not (yield from self.make_calls(turn))

    @property
    def limit(self) -> StopReason:
        """What ends a conversation that comes to no answer."""
        return StopReason.BUDGET_TOKENS if self.is_full else StopReason.BUDGET_ROUNDS

    @property
    def is_full(self) -> bool:
        limit = CONTEXT_SHARE * self.policy.context_tokens
        # Room has to be left for one more reply, which is the answer.
        return self.tokens_in + self.policy.max_new_tokens > limit

    def open(self) -> PlayPart[bool]:
        """Read the top level and start the conversation; False where the budget ended there."""
        nodes = tree_levels(self.inquiry.tree)
        if self.policy.scan and is_long(self.inquiry.tree):
            action = CallTools(SCAN_THOUGHT, scan_calls(self.inquiry.tree), opening=True)
            scans = yield from call_tools(action)
            self.moments = group_by_node(self.inquiry.tree, scans.observations)
        calls = tuple(caption_call(node, self.moments) for node in nodes)
        action = CallTools("read the captions of the top level", calls, opening=True)
        results = yield from call_tools(action)
        self.observed += zip(calls, results.observations, strict=False)
        if self.policy.system:
            text = system_text(
                self.inquiry, published=self.policy.published, template=self.policy.system
            )
            self.messages.append(Message("system", (TextPart(text),)))
        described_nodes = list(zip(nodes, results.observations, strict=False))
        self.tell(opening_text(self.inquiry, described_nodes))
        return results.spent is None

    def tell(self, text: str) -> None:
        """Say something to the model; what it is told twice in a row becomes one message."""
        if self.messages and self.messages[-1].role == "user":
            before = self.messages.pop().parts
            self.messages.append(Message("user", (*before, TextPart("\n" + text))))
        else:
            self.messages.append(Message("user", (TextPart(text),)))

    def take_turn(self) -> PlayPart[ParsedTurn | str | None]:
        """One turn of the model: what it wrote, as its text where that was invalid, None where the
        budget is spent."""
        policy = self.policy
        reply = yield from ask_model(AskModel(tuple(self.messages), policy.max_new_tokens))
        if isinstance(reply, Stopped):
            return None
        # What was written now is read in the next turn.
        self.tokens_in = reply.tokens_in + reply.tokens_out
        try:
            turn = read_turn(reply.written, self.inquiry)
        except (UsageError, ValueError) as error:
            call = ModelTurn(kind="invalid", text=reply.written[:500])
            yield from record_note(RecordNote("", call, str(error)))
            # Cut: what cannot be read may go on for ever, and would stay in the context.
            self.add_reply(reply.written[:2_000])
            self.tell(REMINDER.format(error=error))
            return reply.written
        self.add_reply(turn.text)
        return turn

    def add_reply(self, text: str) -> None:
        """Take what the model wrote into the conversation."""
        self.messages.append(Message("assistant", (TextPart(text),)))

    def make_calls(self, turn: ParsedTurn) -> PlayPart[bool]:
        """Make the calls and tell what came of them; False where the budget refused."""
        calls = tuple(self.with_moments(call) for call in turn.calls)
        results = yield from call_tools(CallTools(turn.thought, calls))
        lines: list[str] = []
        for call, observation in zip(calls, results.observations, strict=False):
            self.observed.append((call, observation))
            if isinstance(call, Caption):
                node = self.inquiry.tree.node(call.node)
                lines.append(node_text(node, observation))
            else:
                lines.append(describe_observation(observation))
        if lines:
            text = "\n".join(lines)
            # The published agent wraps what looks say, and not what captions say.
            is_wrapped = turn.calls[0].asks or not self.policy.published
            self.tell(wrap_information(text) if is_wrapped else text)
        return results.spent is None

    def with_moments(self, call: ToolCall) -> ToolCall:
        """Captions show what the scan found."""
        if not isinstance(call, Caption):
            return call
        node = self.inquiry.tree.node(call.node)
        return caption_call(node, self.moments, parent_stills=True)

    def answer(self, turn: ParsedTurn) -> PlayPart[CheckResult]:
        """Claim what the model answers, with the look that speaks for it."""
        assert turn.answer is not None
        call = ModelTurn(kind="answer", text=turn.answer)
        yield from record_note(RecordNote(turn.thought, call, None))
        options = self.inquiry.question.options
        text, choice = read_reply(turn.answer, options, self.inquiry.question.text)
        support = self.support(text, choice)
        claim = Claim(
            text=text,
            choice=choice,
            supports=() if support is None else (support,),
            negative=choice is None and is_negative(text, self.inquiry.question.text),
        )
        return (yield from claim_answer(claim))

    def support(self, text: str, choice: int | None) -> EvidenceRef | None:
        """The latest look that says the same, else the latest look, else the description that
        holds most of the question and the answer, the latest of them."""
        question, options = self.inquiry.question.text, self.inquiry.question.options
        described = [
            note
            for call, observation in self.observed
            if not isinstance(call, Search)
            for note in observation.notes
        ]
        looks = [
            (note, observation)
            for call, observation in self.observed
            if call.asks
            for note in observation.notes
        ]
        # 1. The latest look that says the same.
        for note, observation in reversed(looks):
            agrees = (
                pick_option(note.text, options, question) == choice
                if options
                else normalise_answer(note.text, question) == normalise_answer(text, question)
            )
            if agrees:
                return self._support_at(note.span, text, _times_in(observation, note))
        # 2. The latest look: it shows what the answer is about, though it says something else.
        if looks:
            return self._support_at(looks[-1][0].span, text, ())
        if not described:
            return None
        # 3. The description nearest to question and answer, the latest of equal ones.
        wanted_terms = set(extract_terms(f"{question} {text}"))
        best = max(
            reversed(described), key=lambda note: len(wanted_terms & set(extract_terms(note.text)))
        )
        return self._support_at(best.span, text, ())

    def _support_at(self, span: Span, text: str, times_s: tuple[float, ...]) -> EvidenceRef:
        call = look_call(span, self.inquiry.question.text, self.inquiry.question.options)
        observation = Observation(text=text, span=span, frame_times_s=times_s)
        return EvidenceRef(call, observation, span)


def _times_in(observation: Observation, note: Note) -> tuple[float, ...]:
    """The frames of one clip; a frame may begin before the stretch it is shown in."""
    if len(observation.notes) < 2:
        return observation.frame_times_s
    return tuple(t for t in observation.frame_times_s if note.span.contains(t))
