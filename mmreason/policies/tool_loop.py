"""The loop of a strong model: it decides where to look, with tools, and answers with evidence.

Up to five calls a turn, a hard limit of turns, a last turn that only answers and may abstain. Calls
that cannot be made are answered with what is wrong; ids in an answer must have been observed; the
inspector looks again before an answer stands. Where the model writes no calls that can be read, or
its server drops tools, the search goes on led step by step, and the trace says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from mmreason.agent.protocol import (
    AskModel,
    CallTools,
    CaptionNeeds,
    Claim,
    Inquiry,
    Play,
    PlayPart,
    RecordNote,
    Stopped,
    ask_model,
    call_tools,
    claim_answer,
    record_note,
)
from mmreason.language.prompts import LETTERS
from mmreason.language.refusals import says_absent
from mmreason.models.base import Message, Reply, Role, TextPart
from mmreason.models.written_calls import write_calls
from mmreason.policies.candidates import holds_text
from mmreason.policies.inspection import (
    Inspection,
    Verdict,
    claim_of,
    inspect_answer,
    merge_spans,
    take_look,
)
from mmreason.policies.readings import MOST_WINDOWS, Reading
from mmreason.policies.scripted_search import ScriptedSearch
from mmreason.policies.stages import Stage
from mmreason.policies.stills import read_known, survey_video
from mmreason.policies.tool_loop_text import (
    BUDGET_SPENT,
    FRAMES_SPENT,
    LAST_TURN,
    NO_TOOL,
    ONLY_ANSWERS,
    OUTLINE_LINES,
    REFUTED,
    REMINDER,
    REPEATED,
    SECOND_ANSWER,
    UNSEEN_IDS,
    ReadCall,
    answer_in_prose,
    opening_text,
    read_calls,
    result_text,
    system_text,
    written_calls,
)
from mmreason.tool_calls import (
    ChoosePolicy,
    DescribeStills,
    LookAtSpans,
    MemoryCall,
    ModelTurn,
    Overview,
    ReadTranscript,
    ToolCall,
    WrittenAnswer,
)
from mmreason.tools.known import record_spans
from mmreason.tools.loop_tools import LOOP_TOOLS, AskedVideo
from mmreason.tools.prompts import NOT_SHOWN
from mmreason.tools.schema import tool_schemas
from mmreason.tools.transcript import plain_line
from mmreason.types import Note, Observation, StopReason
from mmreason.video.types import Span

TURNS = 12
"""The last of them only answers."""
TURN_TOKENS = 1_024
INVALID_LIMIT = 3
"""Turns in a row without a call that can be made."""
REFUTED_LIMIT = 2
"""Answers that may fail their check."""
LOOP_FRAMES = 64
"""Frames that the model may have shown, beside those of the first look and of checks."""
WHOLE_FRAMES = 64
_ANSWER_TOOL = tuple(tool for tool in LOOP_TOOLS if tool.__name__ == "answer")


@dataclass(frozen=True)
class ToolLoop:
    """A strong model plays with tools. See the module; `without` leaves stages out.

    Example:
        >>> ToolLoop().name
        'tool_loop'
    """

    without: frozenset[Stage] = frozenset()
    turns: int = TURNS
    name: str = "tool_loop"

    @property
    def caption_needs(self) -> CaptionNeeds:
        """See `Policy`."""
        return CaptionNeeds(scan=True)

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        conversation = _Conversation(inquiry, self)
        problem = yield from conversation.run()
        if problem:
            choice = ChoosePolicy(policy="scripted_search", tier=inquiry.tier)
            yield from record_note(RecordNote(problem, choice, None))
            yield from ScriptedSearch(self.without).play(inquiry)


@dataclass
class _Conversation:
    inquiry: Inquiry
    policy: ToolLoop
    messages: list[Message] = field(default_factory=list)
    seen_spans: dict[str, tuple[Span, ...]] = field(default_factory=dict)
    """Where each id was observed."""
    frames_left: int = LOOP_FRAMES
    looks: list[LookAtSpans] = field(default_factory=list)
    """Made so far."""
    invalid: int = 0
    """Turns in a row without a call that can be made."""
    refuted: list[tuple[Reading, Inspection]] = field(default_factory=list)
    is_over: bool = False
    first_look: tuple[str, Reading] | None = None
    """Its id, and what it said."""
    passages: list[Note] = field(default_factory=list)
    """Of the subtitles, as far as they were read."""
    is_known: bool = False
    """Whether most of the video was described before."""
    is_native: bool = field(init=False)
    """Whether tools are sent as such; else they are told in words."""
    video: AskedVideo = field(init=False)

    def __post_init__(self) -> None:
        question = self.inquiry.question
        self.is_native = self.inquiry.takes_tools
        self.video = AskedVideo(self.inquiry.tree.span, question.text, question.options)

    def run(self) -> PlayPart[str]:
        """Until an answer stands or the turns are over; why a led search has to take over, or an
        empty text."""
        inquiry = self.inquiry
        # No more turns than the budget has rounds: it would take away the one that answers.
        turns = min(self.policy.turns, inquiry.budget.rounds or self.policy.turns)
        outline = yield from self.read_outline()
        survey_text = ""
        # An outline of half a video tells nothing of the other half: that is surveyed too.
        if not outline or not self.is_known:
            survey_text = yield from self.survey()
        self.tell("system", system_text(turns, native=self.is_native))
        self.tell("user", opening_text(self.video, outline, survey_text))
        for turn in range(turns):
            is_last = turn == turns - 1
            if is_last:
                self.tell("user", LAST_TURN)
            # 1. Ask. A server that fails or refuses tools leaves the led search.
            tools = tool_schemas(_ANSWER_TOOL if is_last else LOOP_TOOLS) if self.is_native else []
            action = AskModel(tuple(self.messages), TURN_TOKENS, tools=tuple(tools), may_fail=True)
            reply = yield from ask_model(action)
            if isinstance(reply, Stopped):
                # A spent budget leaves nothing for a led search either.
                if reply.reason is not StopReason.MODEL_FAILED:
                    yield from self.claim_refuted()
                    return ""
                return "the model could not be asked with tools: the search goes on step by step"
            # 2. Read its calls; make them, or take its answer.
            written = written_calls(reply)
            self.add_turn(reply)
            if not written:
                problem = yield from self.take_prose(reply, is_last=is_last)
                if problem or self.is_over:
                    return problem
                continue
            calls = read_calls(self.video, written)
            yield from self.make_calls(calls, is_last=is_last)
            if self.is_over:
                return ""
            if self.invalid >= INVALID_LIMIT:
                return "the model writes no calls that can be made: the search goes on step by step"
        yield from self.claim_refuted()
        if not self.is_over:
            yield Stopped(StopReason.BUDGET_ROUNDS)
        return ""

    def read_outline(self) -> PlayPart[list[Note]]:
        """What is known of the video, and what is said in it."""
        notes: list[Note] = []
        if "search" not in self.policy.without:
            notes, self.is_known = yield from read_known(self.inquiry)
            if len(notes) > OUTLINE_LINES:
                # Scenes tell of a long index in few lines.
                overview = CallTools("read its overview", (Overview(span=self.video.span),), True)
                results = yield from call_tools(overview)
                notes = [note for observation in results.observations for note in observation.notes]
        if self.inquiry.has_subtitles and "speech" not in self.policy.without:
            read = CallTools(
                "read what is said", (ReadTranscript(span=self.video.span),), opening=True
            )
            results = yield from call_tools(read)
            speech = [note for observation in results.observations for note in observation.notes]
            self.passages += speech
            # Marked, so that what is said is not taken for what is seen.
            notes += [Note(note.span, f"said: {note.text}") for note in speech]
        return sorted(notes, key=lambda note: note.span.start_s)

    def survey(self) -> PlayPart[str]:
        """One look at frames of each shot with the whole question, where nobody has described the
        video; what the model is told of it."""
        why = "nobody has described the video: look at frames of each shot first"
        reading = yield from survey_video(self.inquiry, (), why)
        if reading is None:
            return ""
        evidence_id = self.remember(reading.call, reading.observation)
        self.seen_spans[evidence_id] = reading.windows
        self.first_look = (evidence_id, reading)
        return result_text(reading.observation, reading.call, evidence_id)

    # What the model is told

    def tell(self, role: Role, text: str, call_id: str = "") -> None:
        """Say something to the model; what the user says twice in a row becomes one message."""
        if role == "user" and self.messages and self.messages[-1].role == "user":
            # Many chat templates refuse two messages of one role in a row.
            before = self.messages.pop().parts
            self.messages.append(Message("user", (*before, TextPart("\n" + text))))
            return
        self.messages.append(Message(role, (TextPart(text),), call_id=call_id))

    def add_turn(self, reply: Reply) -> None:
        """Take what the model wrote into the conversation; its thought is not part of it."""
        # Cut: a model that repeats itself would fill its context with its own words.
        text_parts = (TextPart(reply.text[:4_000]),)
        if reply.calls:
            self.messages.append(Message("assistant", text_parts, calls=reply.calls))
        else:
            self.messages.append(Message("assistant", text_parts))

    def tell_result(self, call: ReadCall, text: str) -> None:
        """Answer a call: as a tool where the model called it as such, else as the user."""
        # A model that is sent tools may still write its call as text. No message holds it then, and
        # servers refuse a result whose call they have not seen.
        is_native = any(call.written in message.calls for message in self.messages)
        if is_native:
            self.tell("tool", text, call.written.id)
        else:
            self.tell("user", f"{write_calls((call.written,))}\n{text}")

    # Turns

    def take_prose(self, reply: Reply, *, is_last: bool) -> PlayPart[str]:
        """A turn without a call: an answer where it picks an option, else a mistake. Why a led
        search has to take over, or an empty text."""
        letter = answer_in_prose(reply, self.video)
        if letter is None and is_last and reply.text.strip() and not self.inquiry.question.options:
            # The last turn asks for an answer alone: what it says is one.
            answer = WrittenAnswer(text=reply.text.strip()[:500])
        # Before the last turn a bare letter counts only after a reminder of the tools.
        elif letter is not None and (is_last or self.invalid):
            answer = WrittenAnswer(choice=letter)
        else:
            self.invalid += 1
            error = NO_TOOL if reply.text.strip() else "the reply was empty"
            call = ModelTurn(kind="invalid", text=reply.text[:500])
            yield from record_note(RecordNote("", call, error))
            self.tell("user", REMINDER.format(error=error))
            if self.invalid >= INVALID_LIMIT or is_last:
                return "the model makes no calls: the search goes on step by step"
            if self.is_native and not self.seen_spans and self.invalid > 1:
                # A server may drop tools without a word: from here on they are told in words.
                self.is_native = False
                self.tell("user", system_text(self.policy.turns, native=False))
            return ""
        yield from self.settle(answer, reply.text[:500], is_last=is_last)
        return ""

    def make_calls(self, calls: tuple[ReadCall, ...], *, is_last: bool) -> PlayPart[None]:
        """Make the calls that can be made, and tell what came of each; an answer comes last."""
        answers = [call for call in calls if isinstance(call.call, WrittenAnswer)]
        tool_uses = [call for call in calls if call not in answers]
        if is_last:
            tool_uses = [replace(call, call=None, error=ONLY_ANSWERS) for call in tool_uses]
        result_texts = yield from self.perform(tool_uses)
        was_made = any(not call.error for call in tool_uses)
        for number, (call, text) in enumerate(zip(tool_uses, result_texts, strict=True)):
            if call.error:
                written = f"{call.written.name} {call.written.arguments}"[:500]
                note = ModelTurn(kind="invalid", text=written)
                counted = number > 0 or was_made
                yield from record_note(RecordNote("", note, call.error, counted=counted))
            self.tell_result(call, text)
        self.invalid = 0 if was_made or answers else self.invalid + 1
        for number, call in enumerate(answers):
            assert isinstance(call.call, WrittenAnswer)
            text = SECOND_ANSWER
            if number == 0:
                text = yield from self.settle(call.call, "", is_last=is_last)
            self.tell_result(call, text)

    def perform(self, calls: Sequence[ReadCall]) -> PlayPart[list[str]]:
        """What came of each call, as the model is told it."""
        result_texts = [REMINDER.format(error=call.error) for call in calls]
        accepted: list[tuple[int, ToolCall]] = []
        for number, call in enumerate(calls):
            if call.error or call.call is None:
                continue
            tool = cast("ToolCall", call.call)
            if refusal := self.refuse(tool):
                result_texts[number] = refusal
                continue
            accepted.append((number, tool))
        if not accepted:
            return result_texts
        results = yield from call_tools(CallTools("", tuple(tool for _, tool in accepted)))
        for (number, tool), observation in zip(accepted, results.observations, strict=False):
            result_texts[number] = result_text(observation, tool, self.remember(tool, observation))
        # The budget ended among them: every call needs a result, or servers refuse the next turn.
        for number, _ in accepted[len(results.observations) :]:
            result_texts[number] = BUDGET_SPENT
        return result_texts

    def refuse(self, call: ToolCall) -> str:
        """Why a call is not made that could be: it repeats another, or shows too many frames. Empty
        where it is made, which is counted here."""
        # The same stretches once more, with another question or other frames, and no third time.
        earlier_looks = [look for look in self.looks if look.spans == getattr(call, "spans", ())]
        if call in earlier_looks or len(earlier_looks) > 1:
            return REPEATED
        frames = _frames_of(call)
        if frames > self.frames_left:
            return FRAMES_SPENT.format(left=self.frames_left)
        self.frames_left -= frames
        if isinstance(call, LookAtSpans):
            self.looks.append(call)
        return ""

    def remember(self, call: ToolCall, observation: Observation) -> str:
        """Keep where something was observed; gives its id, empty for a failure."""
        if observation.error is not None:
            return ""
        if isinstance(call, MemoryCall):
            self.seen_spans.update(record_spans(observation))
            if not isinstance(call, ReadTranscript):
                return ""  # its records have ids of their own
            self.passages += observation.notes
        # Numbered by tool over all turns, so that an id names one observation to the end.
        number = sum(earlier_id.startswith(call.name) for earlier_id in self.seen_spans) + 1
        evidence_id = f"{call.name}-{number}"
        self.seen_spans[evidence_id] = call.spans if isinstance(call, LookAtSpans) else (call.span,)
        return evidence_id

    # Answers

    def settle(self, answer: WrittenAnswer, thought: str, *, is_last: bool) -> PlayPart[str]:
        """Hold an answer against its evidence and the inspector; what the model is told of it."""
        yield from record_note(RecordNote(thought, answer, None))
        unseen = [i for i in answer.evidence_ids if i not in self.seen_spans]
        # In the last turn nothing can be mended: ids that were never observed are passed over.
        if unseen and not is_last:
            self.invalid += 1
            known_ids = ", ".join(list(self.seen_spans)[-12:]) or "none"
            error = UNSEEN_IDS.format(ids=", ".join(unseen)[:200], known=known_ids)
            call = ModelTurn(kind="invalid", text=str(answer)[:500])
            yield from record_note(RecordNote("", call, error, counted=True))
            return REMINDER.format(error=error)
        # An abstention is not inspected: frames that do not show a thing refute nothing.
        if not answer.choice and says_absent(answer.text, self.inquiry.question.text):
            self.is_over = True
            yield from claim_answer(Claim(text=NOT_SHOWN, negative=True, abstains=True))
            return "taken"
        reading = yield from self.to_reading(answer)
        if "check" in self.policy.without:
            self.is_over = True
            yield from claim_answer(claim_of(reading, None))
            return "taken"
        if reading.told_at:
            # It stands in the subtitles, which frames neither prove nor refute.
            self.is_over = True
            yield from claim_answer(claim_of(reading, None))
            return "taken"
        # Together: of a count or a comparison no stretch tells all by itself.
        inspection = yield from inspect_answer(self.inquiry, reading, together=True)
        # The model is told what the inspector saw, and may look again; at the limit the answer is
        # claimed with its verdict.
        if inspection.verdict is Verdict.NOT and not is_last and len(self.refuted) < REFUTED_LIMIT:
            self.refuted.append((reading, inspection))
            inspector_texts = "; ".join(plain_line(other.text) for other in inspection.readings)
            return REFUTED.format(seen=inspector_texts[:500] or NOT_SHOWN)
        self.is_over = True
        yield from claim_answer(claim_of(reading, inspection))
        return "taken"

    def to_reading(self, answer: WrittenAnswer) -> PlayPart[Reading]:
        """The answer as if a look at its evidence had given it. Where no look was asked the user's
        whole question and none will check it, one is taken now."""
        question, options = self.inquiry.question.text, self.inquiry.question.options
        choice = LETTERS.index(answer.choice) if answer.choice else None
        text = answer.text if choice is None else options[choice]
        ids = answer.evidence_ids
        told_spans = [note.span for note in self.passages if holds_text(note.text, text)]
        # 1. What the first look was asked and said again: with all that it showed.
        if self.first_look is not None and ids == (self.first_look[0],):
            first = replace(self.first_look[1], text=text, choice=choice, answers=True)
            # Without a frame that shows it, it was read in the subtitles.
            return (
                first
                if first.seen_at_s
                else replace(first, told_at=tuple(told_spans[:MOST_WINDOWS]))
            )
        # 2. What was read in the subtitles: where it stands there.
        if not any(i.startswith(("transcript", "sp-")) for i in ids):
            told_spans = []
        spans = [s for i in ids for s in self.seen_spans.get(i, ())]
        # Without evidence the answer speaks for the whole video, and is checked on all of it.
        windows = merge_spans(spans)[:MOST_WINDOWS] or (self.inquiry.tree.span,)
        call = LookAtSpans(spans=windows, question=question, options=options, frames=WHOLE_FRAMES)
        # 3. What looks showed. One of them has to be asked the user's whole question.
        was_asked = any(look.question == question for look in self.looks)
        if "check" in self.policy.without and not was_asked and not told_spans:
            why = "no answer without a look with the whole question"
            new_reading = yield from take_look(self.inquiry, windows, WHOLE_FRAMES, why)
            if new_reading is not None and new_reading.answers:
                return new_reading
        observation = Observation(text=text, span=call.span)
        told_at = merge_spans(told_spans)[:MOST_WINDOWS]
        return Reading(call, observation, text, choice, (), True, told_at)

    def claim_refuted(self) -> PlayPart[None]:
        """Where no answer stood to the end: the last that was given, as what it is."""
        if self.refuted and not self.is_over:
            yield from claim_answer(claim_of(*self.refuted[-1]))


def _frames_of(call: ToolCall) -> int:
    if isinstance(call, LookAtSpans):
        return call.frames
    return len(call.stills) if isinstance(call, DescribeStills) else 0
