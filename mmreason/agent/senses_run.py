"""One question answered from the senses: perceive what is missing, search, quote, read again.

A generator of steps like `driver.py`, so that questions about real footage and about scripted
worlds are served alike. No video model is asked.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field, replace

from mmreason.agent.driver import CHARACTERS_PER_TOKEN, AgentRun
from mmreason.agent.passage_reader import (
    MOST_READ,
    ReaderReply,
    consult_reader,
    is_taught,
    make_reader_request,
)
from mmreason.agent.protocol import Inquiry
from mmreason.agent.provenance import describe_software
from mmreason.agent.quoting import Transcript
from mmreason.agent.record_answer import RecordAnswer, answer_from_records
from mmreason.agent.record_passages import SENSE_OF, RecordPassage, stands_in
from mmreason.agent.second_reading import compare_readings, plan_second_span, read_again
from mmreason.agent.senses_reader import SensesReader
from mmreason.agent.senses_steps import why_unanswered
from mmreason.language.fact_questions import FactQuestion, Sense, read_fact_question
from mmreason.memory.caption_records import make_speech_records
from mmreason.memory.records import MemoryRecord
from mmreason.memory.video_memory import VideoMemory
from mmreason.senses import SenseMissingError, perceive
from mmreason.tool_calls import (
    AgentCall,
    ChoosePolicy,
    Perceive,
    ReadAgain,
    ReadPassages,
    SearchMemory,
)
from mmreason.tools.calls import FAILURES, first_line
from mmreason.tools.thumbnails import take_thumbnails
from mmreason.types import (
    Answer,
    Check,
    CheckKind,
    Cost,
    Evidence,
    EvidenceSource,
    Note,
    Observation,
    Step,
    StopReason,
)
from mmreason.video.speech.transcript import HEARD
from mmreason.video.types import FrameSource, Span

ENOUGH = 0.7
"""An answer this near to the question ends the search: later senses cost more."""
MOST_REREAD = 2
"""Passages of an answer that are read again."""
MOST_TRIES = 3
"""Answers that a second reading contradicts before there is none."""
NO_COST = Cost()

Steps = Generator[Step, None, None]


@dataclass(kw_only=True)
class SensesRun:
    """One question on its way through the senses; `run` may be used once."""

    inquiry: Inquiry
    source: FrameSource
    memory: VideoMemory
    reader: SensesReader
    reason: str
    """Why the senses answer, and no model."""
    transcript: Transcript
    without: frozenset[str]
    """Senses to do without."""
    started: float
    """`time.perf_counter()` when the question was asked."""
    seed: int
    store: str
    trace: list[Step] = field(default_factory=list)
    missing: dict[Sense, str] = field(default_factory=dict)
    """Why a sense could not be used, with the line that installs it."""
    spent: StopReason | None = None
    rejected: set[str] = field(default_factory=set)
    """Ids of records that a second reading contradicts."""
    checks: dict[RecordPassage, Check] = field(default_factory=dict)
    readings: dict[tuple[RecordPassage, ...], ReaderReply] = field(default_factory=dict)
    """What the reader made of passages: it is asked once about the same ones."""
    notes: list[str] = field(default_factory=list)

    def run(self) -> AgentRun[Answer]:
        """Yield every step as it happens, and what a reader is asked; returns the answer."""
        fact = self._read_question()
        yield self._step(
            self.reason, ChoosePolicy(policy="senses", tier="senses", kind=fact.kind), "", 0.0
        )
        if self.transcript.subtitles:
            self.memory.add(make_speech_records(self.transcript.subtitles))
        best = RecordAnswer()
        for position, sense in enumerate(fact.senses):
            yield from self._perceive(sense)
            # An early sense sees its own records; what others made before is there from the start.
            best = yield from self._answer(fact)
            is_last = position + 1 == len(fact.senses)
            is_named = bool(best.passages) and best.passages[0].sense == "labels"
            is_enough = is_named or (best.confidence or 1.0) >= ENOUGH
            if is_last or self.spent or (best.text and is_enough):
                break
        return self._finish(fact, best)

    def _read_question(self) -> FactQuestion:
        fact = read_fact_question(self.inquiry.question.text)
        senses = tuple(sense for sense in fact.senses if sense not in self.without)
        return replace(fact, senses=senses)

    def _perceive(self, sense: Sense) -> Steps:
        """Have a sense go through the video, as far as the time allows."""
        # Subtitles say what is said: nothing need be heard.
        if sense == "speech" and self.transcript.subtitles:
            return
        senses = self.reader.load(sense)
        steps = perceive(self.source, self.memory, senses, (sense,), limit_s=self._seconds_left())
        started = time.perf_counter()
        is_whole = True
        for item in steps:
            is_whole = item.done == item.total
            if item.error and not item.part:
                self.missing[sense] = item.error
            made = f"{item.records:,} records by {item.part}" if item.part else ""
            told = "; ".join((made, *item.notes)) if item.is_new else f"known already: {made}"
            yield self._step(
                f"find out by {sense} what the question may be about",
                Perceive(span=item.span, sense=sense),
                told,
                time.perf_counter() - started,
                error=item.error or None,
            )
            started = time.perf_counter()
        if not is_whole or self._is_late():
            self.spent = StopReason.BUDGET_SECONDS

    def _answer(self, fact: FactQuestion) -> AgentRun[RecordAnswer]:
        """The answer of what is known by now, read again; without one, what is nearest."""
        answer = RecordAnswer()
        for _ in range(MOST_TRIES):
            started = time.perf_counter()
            answer = answer_from_records(
                fact,
                self._select_records(fact),
                options=self.inquiry.question.options,
                embedder=self.reader.embedder(),
            )
            passages = answer.passages or answer.nearest
            yield self._step(
                "search what was found" if answer.text else "nothing found: this is nearest",
                SearchMemory(
                    span=self.source.info.span,
                    text=fact.query,
                    channels=tuple(sorted({r.channel for p in passages for r in p.records})),
                ),
                "\n".join(f"{p.span} {p.text}" for p in passages),
                time.perf_counter() - started,
                notes=tuple(Note(p.span, p.text) for p in passages),
            )
            answer = yield from self._consult_reader(fact, answer)
            if not answer.text or self.inquiry.budget.exceeded_by(self._cost()):
                return answer
            yield from self._check(fact, answer)
            contradicted = [
                passage
                for passage in answer.passages
                if self.checks.get(passage, Check()).agreed is False
            ]
            if not contradicted:
                return answer
            self.rejected |= {record.id for p in contradicted for record in p.records}
        return RecordAnswer(nearest=answer.passages)

    def _consult_reader(self, fact: FactQuestion, answer: RecordAnswer) -> AgentRun[RecordAnswer]:
        """The answer of the reader where its words stand in a passage, else the one there was."""
        scored = {item.passage: item.score for item in answer.readable[:MOST_READ]}
        passages = tuple(scored)
        model = self.reader.passage_reader
        if model is None or not passages:
            return answer
        if passages not in self.readings:
            # 1. May it be asked? What it reads is forecast from the text.
            request = make_reader_request(fact, passages, is_taught=is_taught(model))
            characters = sum(len(passage.text) for passage in passages) + len(fact.text)
            ahead = Cost(
                rounds=1,
                tokens_in=characters // CHARACTERS_PER_TOKEN,
                tokens_out=request.max_new_tokens,
            )
            if self.inquiry.budget.exceeded_by(self._cost() + ahead):
                self.notes.append("no budget was left for the reader")
                return answer
            # 2. Ask. Without a reply the rules have the last word.
            left_s = self._seconds_left()
            if left_s is not None:
                request = replace(request, deadlines_s=(time.monotonic() + left_s,))
            turn = yield from consult_reader(model, request, fact, passages)
            self.readings[passages] = turn.reading
            spans = [passage.span for passage in passages]
            call = ReadPassages(
                span=Span(min(s.start_s for s in spans), max(s.end_s for s in spans)),
                question=fact.text,
                passages=len(passages),
            )
            thought = "have the reader choose among the passages and word the answer"
            seconds = turn.cost.model_seconds
            yield self._step(
                thought, call, turn.text, seconds, cost=turn.cost, error=turn.error or None
            )
        # 3. Its answer, none, or what the rules found.
        reading = self.readings[passages]
        if reading.verdict == "none":
            return RecordAnswer(nearest=answer.passages or answer.nearest)
        if reading.passage is None:
            return answer
        return RecordAnswer(reading.text, None, (reading.passage,), scored[reading.passage])

    def _select_records(self, fact: FactQuestion) -> list[MemoryRecord]:
        """Records of the senses that the question is for, of the subtitles that were chosen."""
        subtitles = self.transcript.subtitles
        return [
            record
            for record in self.memory.records
            if SENSE_OF.get(record.channel) in fact.senses
            and record.id not in self.rejected
            and (record.channel != "speech" or subtitles is None or record.source == subtitles.name)
            and (
                record.channel != "speech"
                or self.inquiry.question.subtitles is not None
                or record.source == HEARD
            )
        ]

    def _check(self, fact: FactQuestion, answer: RecordAnswer) -> Steps:
        """Check every passage: a quotation has to stand in its record; some are read again."""
        for passage in answer.passages:
            assert stands_in(passage.text, passage.records), "a passage is made of its records"
            source = passage.records[0].source
            if passage.sense == "speech" and source != HEARD:
                self.checks[passage] = Check(kind=CheckKind.TRANSCRIPT, by=source, agreed=True)
        reread = [passage for passage in answer.passages if passage not in self.checks]
        for passage in reread[:MOST_REREAD]:
            if self._is_late():
                self.spent = StopReason.BUDGET_SECONDS
                return
            yield from self._read_again(fact, answer, passage)

    def _read_again(
        self, fact: FactQuestion, answer: RecordAnswer, passage: RecordPassage
    ) -> Steps:
        started = time.perf_counter()
        part = next(iter(self.reader.load(passage.sense).parts), None)
        if part is None or "check" in self.without:
            return
        texts: tuple[str, ...] = ()
        error = ""
        try:
            plan = part.plan(self.source)
            texts = read_again(part, plan, self.source, passage)
        except (*FAILURES, SenseMissingError) as failure:
            error = first_line(failure)
        else:
            agreed = compare_readings(fact, answer.text, passage, texts)
            self.checks[passage] = Check(kind=CheckKind.SECOND_READING, by=plan.part, agreed=agreed)
        yield self._step(
            "read again what the answer rests on",
            ReadAgain(span=plan_second_span(passage, self.source.info.span), sense=passage.sense),
            " / ".join(texts) or "nothing",
            time.perf_counter() - started,
            error=error or None,
        )

    def _finish(self, fact: FactQuestion, best: RecordAnswer) -> Answer:
        info, question = self.source.info, self.inquiry.question
        reader = self.reader.passage_reader
        evidence = tuple(self._make_evidence(passage) for passage in best.passages)
        thumbnails, failed = take_thumbnails(self.source, evidence, ())
        stop_reason = self.spent or (StopReason.ANSWERED if best.text else StopReason.ABSTAINED)
        parts = sorted({r.model or r.source for p in best.passages for r in p.records})
        return Answer(
            question=question.text,
            text=best.text,
            choice=best.choice,
            options=question.options,
            confidence=best.confidence,
            evidence=evidence,
            cost=self._cost(),
            trace=tuple(self.trace),
            stop_reason=stop_reason,
            next_steps=() if best.text else why_unanswered(fact, best, self.missing, self.without),
            video=info.path,
            duration_s=info.duration_s,
            settings={
                **describe_software(),
                "model": {
                    "name": "senses",
                    "fingerprint": ", ".join(parts),
                    "lineage": "senses",
                    "calibrated": False,
                },
                "policy": {
                    "name": "senses",
                    "reason": self.reason,
                    "tier": "senses",
                    "kind": fact.kind,
                },
                "senses": {"asked": list(fact.senses), "missing": dict(self.missing)},
                "reader": reader and {"name": reader.name, "fingerprint": reader.fingerprint},
                "seed": self.seed,
                "budget": asdict(self.inquiry.budget),
                "subtitles": self.transcript.to_settings(),
                "store": self.store,
                "notes": [*info.notes, *self.notes, *failed],
            },
            thumbnails=thumbnails,
        )

    def _make_evidence(self, passage: RecordPassage) -> Evidence:
        first = passage.records[0]
        by_sense: dict[Sense, EvidenceSource] = {
            "speech": "speech" if first.source == HEARD else "subtitles",
            "screen": "screen",
            "labels": "labels",
        }
        times_s = dict.fromkeys(round(r.span.middle_s, 3) for r in passage.records)
        source = by_sense[passage.sense]
        return Evidence(
            span=passage.span,
            frame_times_s=() if source == "subtitles" else tuple(times_s),
            quote=passage.text,
            boxes_px=tuple(r.box_px for r in passage.records if r.box_px is not None),
            source=source,
            check=self.checks.get(passage, Check()),
            video=self.source.info.path,
        )

    def _step(
        self,
        thought: str,
        call: AgentCall,
        text: str,
        seconds: float,
        *,
        notes: Sequence[Note] = (),
        cost: Cost = NO_COST,
        error: str | None = None,
    ) -> Step:
        rounds = int(isinstance(call, Perceive | SearchMemory | ReadAgain | ReadPassages))
        span = getattr(call, "span", self.source.info.span)
        observation = Observation(
            text="" if error else text,
            span=span,
            notes=tuple(notes),
            error=error,
            cost=cost + Cost(rounds=rounds, seconds=seconds),
        )
        step = Step(thought=thought, call=call, observation=observation)
        self.trace.append(step)
        return step

    def _seconds_left(self) -> float | None:
        limit_s = self.inquiry.budget.seconds
        return None if limit_s is None else limit_s - (time.perf_counter() - self.started)

    def _is_late(self) -> bool:
        left_s = self._seconds_left()
        return left_s is not None and left_s <= 0

    def _cost(self) -> Cost:
        spent = sum((step.cost for step in self.trace), Cost())
        return replace(spent, seconds=time.perf_counter() - self.started)
