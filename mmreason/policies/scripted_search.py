"""The search that is led step by step, for models that do not decide well where to look.

What is known says where to look: candidate stretches by words and by the model's ranking -> the
model scores them from a few frames -> one look at the best, joined -> the inspector; at most two
loops. A video of which nothing is known is surveyed first: one look at all its shots.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from mmreason.agent.protocol import (
    AskModel,
    CallTools,
    CaptionNeeds,
    Claim,
    Inquiry,
    Play,
    PlayPart,
    Stopped,
    ask_model,
    call_tools,
    claim_answer,
)
from mmreason.models.base import Message, TextPart
from mmreason.policies.candidates import (
    RANK_TOKENS,
    RANKED_LINES,
    Candidate,
    even_stretches,
    holds_text,
    interleave,
    keep_above_mean,
    rank_text,
    read_ranking,
    read_score,
    split_parts,
    spread_evenly,
)
from mmreason.policies.inspection import (
    Inspection,
    Verdict,
    claim_of,
    inspect_answer,
    merge_spans,
    take_look,
)
from mmreason.policies.readings import Reading
from mmreason.policies.stages import Stage
from mmreason.policies.stills import describe_unknown, read_known, survey_video
from mmreason.tool_calls import (
    ReadTranscript,
    ScoreStretch,
    SearchMemory,
)
from mmreason.tools.prompts import NOT_SHOWN
from mmreason.types import Note
from mmreason.video.types import Span

STILLS = 24
"""Frames that are described of a video of which nothing was read: one a shot, as far as they go."""
LOOPS = 2
RETRIEVED = 6
"""Candidates of one loop that something speaks for."""
SAFETY = 2
"""Candidates of one loop that nothing speaks for, evenly spread."""
SCORE_FRAMES = 2
SPANS = 4
"""Most stretches of one look."""
FRAMES_A_SPAN = 10
LONGEST_S = 120.0
"""Candidates are looked at no longer than this, around their middle."""
LEAST_S = 8.0
"""And no shorter: what is said is seen before or after."""
WHOLE_FRAMES = 64
HITS = 8
CUE_LINES = 40
SPEECH_FRAMES = 16
SPEECH_CHARACTERS = 24_000
"""Of a transcript that a model reads at once."""
MOST_PARTS = 8
"""Parts of a longer one: about six hours of speech."""
BEST_PASSAGES = 12


@dataclass(frozen=True)
class ScriptedSearch:
    """Finds where to look, step by step. See the module; `without` leaves stages out.

    Example:
        >>> ScriptedSearch(without=frozenset({"score"})).caption_needs.scan
        True
    """

    without: frozenset[Stage] = frozenset()
    reads_first: bool = False
    """Begin with what is said: for questions about that."""
    name: str = "scripted_search"

    @property
    def caption_needs(self) -> CaptionNeeds:
        """See `Policy`."""
        return CaptionNeeds(scan=True)

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        yield from _Search(inquiry, self.without, self.reads_first).run()


@dataclass
class _Search:
    inquiry: Inquiry
    without: frozenset[Stage]
    reads_first: bool
    stretches: list[Candidate] = field(default_factory=list)
    """All of the video, by its shots."""
    answers: list[tuple[Reading, Inspection]] = field(default_factory=list)
    surveyed: bool = False
    is_spent: bool = False
    """The budget has refused something."""

    def run(self) -> PlayPart[None]:
        """Search until an answer stands; then claim the best there is."""
        # What is known already says where to look. Of a video that nobody has described, one look
        # at all its shots costs less than describing them, and finds most.
        described, is_known = yield from read_known(self.inquiry)
        ways = [self.survey, self.search]
        if is_known:
            ways.reverse()
        if self.reads_first and self.hears:
            ways.insert(0, self.read_speech)
        for way in ways:
            # A refused batch may leave room for one look, which is worth it only without an answer.
            if self.is_spent and self.answers:
                break
            if (yield from way(described)):
                return
            # The way that found nothing may have described more of the video.
            described, _ = yield from read_known(self.inquiry)
        yield from self.claim_best()

    @property
    def hears(self) -> bool:
        return self.inquiry.has_subtitles and "speech" not in self.without

    def read_speech(self, known: list[Note]) -> PlayPart[bool]:
        """Put the question to what is said, with few frames; whether its answer stands. A long
        transcript is read part by part for the passages that matter."""
        whole = self.inquiry.tree.span
        read = CallTools("read what is said", (ReadTranscript(span=whole, in_full=True),))
        results = yield from call_tools(read)
        passages = [note for observation in results.observations for note in observation.notes]
        spans = [whole]
        chunks = split_parts(passages, SPEECH_CHARACTERS)
        if len(chunks) > 1:
            ranked: list[list[Candidate]] = []
            for chunk in chunks[:MOST_PARTS]:
                # Chunks are merged by rank: scores of different requests do not compare.
                ranked.append((yield from self.rank(chunk)))
            best = interleave(*ranked)[:BEST_PASSAGES]
            passages = [Note(candidate.span, candidate.text) for candidate in best]
            spans = [self.trim(candidate.span) for candidate in best[:SPANS]]
        if not passages:
            return False
        cues = [f"{note.span} said: {note.text}" for note in passages]
        why = "the question is about what is said: put it to the subtitles, with few frames"
        spans = list(merge_spans(spans))
        reading = yield from take_look(self.inquiry, spans, SPEECH_FRAMES, why, cues=cues)
        if reading is None or not reading.answers:
            return False
        passage_spans = [note.span for note in passages if holds_text(note.text, reading.text)]
        if not passage_spans:
            return (yield from self.judge(reading))
        # It stands in the subtitles, which frames neither prove nor refute.
        reading = replace(reading, told_at=merge_spans(passage_spans)[:SPANS])
        yield from claim_answer(claim_of(reading, None))
        return True

    def survey(self, known: list[Note]) -> PlayPart[bool]:
        """One look at frames of every shot with the full question; whether its answer stands."""
        cues: list[str] = []
        if "search" not in self.without:
            # Of many, evenly: the first ones would tell of the beginning alone.
            step = max(1, -(-len(known) // CUE_LINES))
            cues = [f"{note.span} {note.text}" for note in known[::step]]
            reading = yield from survey_video(self.inquiry, cues, "look at frames of each shot")
        else:
            whole = (self.inquiry.tree.span,)
            why = "look at even frames of all of it with the full question"
            reading = yield from take_look(self.inquiry, whole, WHOLE_FRAMES, why)
        self.is_spent |= reading is None
        self.surveyed = True
        return reading is not None and reading.answers and (yield from self.judge(reading))

    def search(self, known: list[Note]) -> PlayPart[bool]:
        """Find candidates, score them, look at the best together; at most two loops."""
        candidates = yield from self.find_candidates(known)
        # After a survey that saw nothing more can hardly be found: once is enough.
        for _ in range(1 if self.surveyed else LOOPS):
            batch = self.take_batch(candidates)
            if self.is_spent or not batch:
                break
            best = yield from self.score(batch)
            if best and (yield from self.look_at(best)):
                return True
        return False

    # Where to look

    def find_candidates(self, known: list[Note]) -> PlayPart[list[Candidate]]:
        """Stretches that something speaks for, the best first."""
        span = self.inquiry.tree.span
        if "search" in self.without:
            # Enough for one batch, which is looked at as it is.
            self.stretches = even_stretches(span, RETRIEVED + SAFETY)
            return []
        lines = yield from self.read_video(known)
        # By words, then by what the model makes of all that was read: that needs no words in
        # common, in whatever language the question is.
        call = SearchMemory(span=span, text=self.inquiry.question.text, limit=HITS)
        results = yield from call_tools(CallTools("search what was read", (call,)))
        hits = [note for observation in results.observations for note in observation.notes]
        ranked = yield from self.rank(lines)
        by_words = [Candidate(note.span, note.text) for note in hits]
        return interleave(ranked, by_words)

    def read_video(self, known: list[Note]) -> PlayPart[list[Note]]:
        """Lines on all of the video: what was described of it, what is said."""
        lines, self.is_spent = yield from describe_unknown(self.inquiry, known, STILLS)
        self.stretches = [Candidate(note.span) for note in lines]
        span = self.inquiry.tree.span
        if self.hears:
            read = CallTools("read what is said", (ReadTranscript(span=span),), opening=True)
            results = yield from call_tools(read)
            speech = [note for observation in results.observations for note in observation.notes]
            lines += [replace(note, text=f"said: {note.text}") for note in speech]
        return sorted(lines, key=lambda note: note.span.start_s)

    def rank(self, lines: list[Note]) -> PlayPart[list[Candidate]]:
        """The lines that the model names; none where it names none."""
        step = max(1, -(-len(lines) // RANKED_LINES))
        lines = lines[::step]
        if not lines:
            return []
        text = rank_text(lines, self.inquiry.question.text, self.inquiry.question.options)
        action = AskModel([Message("user", (TextPart(text),))], RANK_TOKENS, may_fail=True)
        reply = yield from ask_model(action)
        if isinstance(reply, Stopped):
            return []
        numbers = read_ranking(reply.text, len(lines))
        return [Candidate(lines[i].span, lines[i].text) for i in numbers]

    def take_batch(self, candidates: list[Candidate]) -> list[Candidate]:
        """The next candidates, taken from the list, and a few that nothing speaks for."""
        batch = candidates[:RETRIEVED]
        del candidates[:RETRIEVED]
        # What waits for a later batch is no safety candidate of this one.
        used = {candidate.span for candidate in (*batch, *candidates)}
        unused = [stretch for stretch in self.stretches if stretch.span not in used]
        safety = spread_evenly(unused, RETRIEVED + SAFETY - len(batch))
        taken = {stretch.span for stretch in safety}
        self.stretches = [s for s in self.stretches if s.span not in taken]
        return batch + safety

    # Looking

    def score(self, batch: list[Candidate]) -> PlayPart[list[Candidate]]:
        """The candidates that a few frames speak for."""
        if "score" in self.without:
            return batch[:SPANS]
        question, options = self.inquiry.question.text, self.inquiry.question.options
        calls = tuple(
            ScoreStretch(
                span=self.trim(candidate.span),
                question=question,
                options=options,
                frames=SCORE_FRAMES,
            )
            for candidate in batch
        )
        results = yield from call_tools(CallTools("score the candidates", calls))
        self.is_spent = results.spent is not None
        scored = list(zip(batch, results.observations, strict=False))
        # A stretch that could not be shown says nothing, for or against.
        scores = [read_score(observation.text) for _, observation in scored]
        best = keep_above_mean([candidate for candidate, _ in scored], scores, SPANS)
        # No call came back: the order of the candidates has to decide.
        return best or ([] if scores else batch[:SPANS])

    def look_at(self, candidates: list[Candidate]) -> PlayPart[bool]:
        """One look at the candidates, joined; whether its answer stands."""
        spans = merge_spans([self.trim(candidate.span) for candidate in candidates])
        cues = tuple(f"{c.span} {c.text}" for c in candidates if c.text)
        why = f"look at {', '.join(map(str, spans))} together"
        reading = yield from take_look(
            self.inquiry, spans, FRAMES_A_SPAN * len(spans), why, cues=cues
        )
        if reading is None:
            self.is_spent = True
        return reading is not None and reading.answers and (yield from self.judge(reading))

    def judge(self, reading: Reading) -> PlayPart[bool]:
        """Have an answer inspected; whether the search is over. One that is verified is claimed."""
        if "check" in self.without:
            yield from claim_answer(claim_of(reading, None))
            return True
        inspection = yield from inspect_answer(self.inquiry, reading)
        self.answers.append((reading, inspection))
        self.is_spent |= inspection.is_spent
        if inspection.verdict is Verdict.VERIFIED:
            yield from claim_answer(claim_of(reading, inspection))
            return True
        return False

    def claim_best(self) -> PlayPart[None]:
        """What most looks said, those of the inspector too, as unchecked; where each says something
        else, the answer as what it is; that nobody can tell where there is none."""
        if not self.answers:
            yield from claim_answer(Claim(text=NOT_SHOWN, negative=True, abstains=True))
            return
        pool = [reading for reading, _ in self.answers]
        pool += [r for _, check in self.answers for r in check.readings if r.answers]
        # The same words from different frames are the best sign where no check agreed.
        votes = Counter(reading.text for reading in pool)
        text, count = votes.most_common(1)[0]
        # The last look that said it, with its inspection; else the inspector's own reading.
        reading, inspection = next(
            ((r, check) for r, check in reversed(self.answers) if r.text == text),
            (next(r for r in pool if r.text == text), None),
        )
        if count > 1 and inspection is not None and inspection.verdict is Verdict.NOT:
            # Refuted in one place, said again in another.
            inspection = Inspection(Verdict.PARTIAL, inspection.readings)
        yield from claim_answer(claim_of(reading, inspection))

    def trim(self, span: Span) -> Span:
        """A candidate as it is looked at."""
        length_s = min(LONGEST_S, max(LEAST_S, span.duration_s))
        start_s = max(0.0, span.middle_s - length_s / 2)
        return Span(start_s, start_s + length_s).clip(self.inquiry.tree.span)
