"""Ways to answer without a search, measured beside it. Each returns an `Answer` with its cost.

They ask a model what it answers best: the question without its clause, and the options matched to
what it says (measured: the packaged model loses most of its answers to either). A frame that is
shown twice counts twice. Nothing is stored: every question pays in full.

- `one_pass`: one clip of as many frames as the model was trained for, over the whole video.
- `stills`: evenly spread stills, each captioned; answered from the text, or by one look at the
  best line's moment (from the text again where that look picks no option).
- `distinct`: the same with the stills that differ most, found by a scan without a model.
- `exhaustive`: every leaf of the tree captioned as the agent captions it, then the same.
- `gold_clip`: a look at the gold alone, for the share of accuracy that seeing everything keeps.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mmreason.evaluation.needle.reading import (
    CaptionLine,
    CaptionReading,
    answer_from_lines,
    best_line,
    read_words,
)
from mmreason.language.answer_reading import read_answer
from mmreason.memory.tree import Tree, plan_tree
from mmreason.models.base import ChatModel, FramesPart, GenerateRequest, Message, Reply, TextPart
from mmreason.needle.items import Item
from mmreason.needle.words import parse_question, split_word_clause
from mmreason.tool_calls import Caption, Look, Scan, Skim
from mmreason.tools.views import caption_views
from mmreason.types import Answer, Cost, Evidence, Observation, Step, StopReason
from mmreason.video import plan
from mmreason.video.content import salient
from mmreason.video.types import FrameSource, Span

WORD_QUESTION = "What word is on the screen?"
BATCH = 16
MAX_NEW_TOKENS = 96
MOST_WORD_STILLS = 64
"""Stills whose word is asked for where the question is about words of the whole video."""


def answer_in_one_pass(model: ChatModel, video: FrameSource, item: Item) -> Answer:
    """8 uniform frames (of the packaged model) and the question."""
    run = _BaselineRun(model, video, item)
    span = video.info.span
    reading, sure = run.look(span)
    return run.answer(reading, sure)


def answer_from_stills(
    model: ChatModel, video: FrameSource, item: Item, *, frames: int, look: bool = False
) -> Answer:
    """`frames` uniform stills, captioned one by one; answered from their lines, with `look` by a
    clip at the best line's moment instead. What is told of the word on the screen is asked of the
    stills that matter."""
    return _caption_stills(
        _BaselineRun(model, video, item), plan.uniform(video.info.span, frames).times_s, look
    )


def answer_from_distinct_stills(
    model: ChatModel,
    video: FrameSource,
    item: Item,
    salient_frames: salient.SalientScan,
    *,
    frames: int,
    look: bool = False,
) -> Answer:
    """As `stills`, of the first `frames` moments of a scan of the whole video, which is part of the
    cost: the frames that the agent looks for, without its search and its checks."""
    run = _BaselineRun(model, video, item)
    # The scan is paid by every question, as it would be without a store.
    call = Scan(span=video.info.span, count=frames)
    cost = Cost(frames_scanned=salient_frames.frames)
    observation = Observation(text="", span=video.info.span, cost=cost)
    run.steps.append(Step(thought="", call=call, observation=observation))
    return _caption_stills(run, sorted(m.time_s for m in salient_frames.moments[:frames]), look)


def _caption_stills(run: _BaselineRun, times_s: Sequence[float], look: bool) -> Answer:
    span = run.video.info.span
    # A still speaks for the time up to half way to its neighbours: together they cover the video.
    edges_s = [span.start_s, *((a + b) / 2 for a, b in itertools.pairwise(times_s)), span.end_s]
    views = [
        (Span(a, b), (t,)) for t, (a, b) in zip(times_s, itertools.pairwise(edges_s), strict=True)
    ]
    lines = run.captions([(_StepTarget(span), views)])
    return run.answer(*run.conclude(lines, look))


def answer_exhaustively(
    model: ChatModel, video: FrameSource, item: Item, *, look: bool = True
) -> Answer:
    """Every leaf of the tree captioned by the model's own recipe; answered by a look at the best
    line, or from the text alone."""
    run = _BaselineRun(model, video, item)
    tree = run.tree
    leaves = [
        tree.leaf_at(tree.span.start_s + (i + 0.5) * tree.leaf_s) for i in range(tree.leaf_count)
    ]
    lines = run.captions(
        [
            (_StepTarget(leaf.span, leaf.id), [(view.span, view.times_s) for view in views])
            for leaf in leaves
            for views in (caption_views(model.clip, video.info, leaf.span),)
        ]
    )
    return run.answer(*run.conclude(lines, look))


def answer_from_gold(model: ChatModel, video: FrameSource, item: Item) -> Answer:
    """What the model answers where the gold is given: a look at the gold of one needle, captions of
    the gold of several, stills of the whole video where all of it is asked about."""
    # Gold of the whole video is the whole video.
    if item.kind == "global":
        return answer_from_stills(model, video, item, frames=MOST_WORD_STILLS)
    run = _BaselineRun(model, video, item)
    spans = item.gold_spans or (video.info.span,)
    if len(spans) == 1:
        reading, sure = run.look(run.clip_around(spans[0].middle_s))
        return run.answer(reading, sure)
    targets = [(_StepTarget(s), [(s, plan.uniform(s, model.clip.frames).times_s)]) for s in spans]
    return run.answer(*run.conclude(run.captions(targets), look=False))


@dataclass(frozen=True, slots=True)
class _StepTarget:
    """What one step is about."""

    span: Span
    node: tuple[int, ...] | None = None


_CaptionView = tuple[Span, tuple[float, ...]]
"""(what a line speaks for, times of its frames)"""


@dataclass
class _BaselineRun:
    """One question being answered: what was asked of the model, and what it cost."""

    model: ChatModel
    video: FrameSource
    item: Item
    steps: list[Step] = field(default_factory=list)
    _started: float = field(default_factory=time.perf_counter)
    _words: dict[Span, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plain, self.context = split_word_clause(self.item.question)
        info = self.video.info
        self.tree: Tree = plan_tree(info.span, leaf_s=self.model.clip.leaf_s)
        self.size_px = self.model.clip.frame_size_px(info.width_px, info.height_px)

    def captions(
        self, targets: Sequence[tuple[_StepTarget, Sequence[_CaptionView]]]
    ) -> list[CaptionLine]:
        """A line a view, and a step a place, all of them in one round."""
        views = [view for _, target_views in targets for view in target_views]
        # All views at once fill batches; the replies are dealt out to their steps afterwards.
        replies = self.ask([times for _, times in views], self.model.clip.prompts.caption)
        lines = [
            CaptionLine(span, reply.text, times)
            for (span, times), reply in zip(views, replies, strict=True)
        ]
        start = 0
        for target, target_views in targets:
            rows = slice(start, start + len(target_views))
            times_s = tuple(t for _, times in target_views for t in times)
            node = target.node
            call = Skim(span=target.span) if node is None else Caption(span=target.span, node=node)
            self.note(call, times_s, replies[rows], rounds=int(start == 0))
            start = rows.stop
        return lines

    def conclude(self, lines: list[CaptionLine], look: bool) -> tuple[CaptionReading, float | None]:
        """The answer that lines give, or the look they lead to."""
        # 1. Words of the whole video are counted, not looked for.
        question_parts = parse_question(self.plain)
        if question_parts is not None and question_parts[0] == "word":
            return self.read_words(question_parts[1][0], lines), None
        # 2. A look where the text leads. A still has no motion, so the clip around its moment is
        # shown.
        best = best_line(self.plain, lines, self.shows) if look else None
        if best is not None:
            is_still = len(best.frame_times_s) == 1
            span = self.clip_around(best.frame_times_s[0]) if is_still else best.span
            reading, sure = self.look(span)
            if reading.choice is not None:
                return reading, sure
        # 3. From the text alone: no look was wanted, or it picked no option.
        return answer_from_lines(self.plain, self.item.options, lines, self.shows), None

    def look(self, span: Span) -> tuple[CaptionReading, float | None]:
        """One clip over `span` with the question alone."""
        times_s = plan.uniform(span, self.model.clip.frames).times_s
        (reply,) = self.ask([times_s], self.model.clip.prompts.ask(self.plain))
        call = Look(span=span, question=self.plain, shift=0.0)
        self.note(call, times_s, [reply], rounds=1)
        choice = read_answer(reply.text, self.item.options).choice
        return CaptionReading(
            choice, reply.text, (CaptionLine(span, reply.text, times_s),)
        ), reply.confidence

    def clip_around(self, time_s: float) -> Span:
        """The clip length the model sees best around a moment, or all of a shorter video."""
        whole, half_s = self.video.info.span, self.model.clip.leaf_s / 2
        # Moved inwards at the borders, so that the clip keeps its length.
        start_s = min(max(whole.start_s, time_s - half_s), max(0.0, whole.end_s - 2 * half_s))
        return Span(start_s, min(whole.end_s, start_s + 2 * half_s))

    def shows(self, line: CaptionLine) -> bool:
        """Whether the word of the question's clause is on the screen at a line's moment."""
        return self.context is None or self.context in self.words_at([line])[0]

    def words_at(self, lines: Sequence[CaptionLine]) -> list[tuple[str, ...]]:
        """On-screen words of each line: as told by it, else asked of its middle frame."""
        # Captions often leave the word out; it is asked for only there, and once.
        silent = [line for line in lines if not line.shown_words() and line.span not in self._words]
        if silent:
            times_s = [(line.frame_times_s[len(line.frame_times_s) // 2],) for line in silent]
            replies = self.ask(times_s, self.model.clip.prompts.ask(WORD_QUESTION))
            middle_times_s = tuple(t for times in times_s for t in times)
            # No round of its own: it belongs to the captions that left the word out.
            self.note(Skim(span=self.video.info.span), middle_times_s, replies, rounds=0)
            for line, reply in zip(silent, replies, strict=True):
                self._words[line.span] = reply.text.strip(" .").upper()
        return [line.shown_words() or (self._words[line.span],) for line in lines]

    def read_words(self, which: str, lines: list[CaptionLine]) -> CaptionReading:
        # Chapters are long: a thinner row of lines finds them all, and each word may cost a call.
        step = max(1, len(lines) // MOST_WORD_STILLS)
        chosen = lines[::step]
        words_of_lines = zip(chosen, self.words_at(chosen), strict=True)
        return read_words(
            which,
            self.item.options,
            [(line, line_words[0]) for line, line_words in words_of_lines if line_words],
        )

    def ask(self, times_s: Sequence[tuple[float, ...]], prompt: str) -> list[Reply]:
        """One reply for each tuple of frame times, in batches of equal kind."""
        replies: list[Reply] = []
        for start in range(0, len(times_s), BATCH):
            chunk = times_s[start : start + BATCH]
            conversations = []
            for times in chunk:
                frames = self.video.frames_at(times, self.size_px)
                kind = "image" if len(times) == 1 else "video"
                message_parts = (FramesPart(frames, kind), TextPart(prompt))
                conversations.append([Message("user", message_parts)])
            replies += self.model.generate(
                GenerateRequest(conversations, max_new_tokens=MAX_NEW_TOKENS)
            )
        return replies

    def note(
        self,
        call: Caption | Skim | Look,
        times_s: tuple[float, ...],
        replies: Sequence[Reply],
        rounds: int,
    ) -> None:
        """Keep one step with its cost."""
        cost = Cost(
            rounds=rounds,
            model_calls=len(replies),
            observer_calls=len(replies),
            frames=len(times_s),
            tokens_in=sum(r.tokens_in for r in replies),
            tokens_visual=sum(r.tokens_visual for r in replies),
            tokens_out=sum(r.tokens_out for r in replies),
        )
        text = replies[0].text if len(replies) == 1 else ""
        observation = Observation(text=text, span=call.span, frame_times_s=times_s, cost=cost)
        self.steps.append(Step(thought="", call=call, observation=observation))

    def answer(self, reading: CaptionReading, confidence: float | None = None) -> Answer:
        # `frames` counts what a model was shown, again and again; this is what was decoded.
        unique = {t for step in self.steps for t in step.observation.frame_times_s}
        cost = sum((step.cost for step in self.steps), Cost())
        seconds = time.perf_counter() - self._started
        evidence = tuple(
            Evidence(span=line.span, frame_times_s=line.frame_times_s, quote=line.text)
            for line in reading.lines
            if reading.choice is not None
        )
        # These ways end by themselves: they have no budget to run out of.
        done = StopReason.ABSTAINED if reading.choice is None else StopReason.ANSWERED
        return Answer(
            question=self.item.question,
            text=reading.text,
            choice=reading.choice,
            options=self.item.options,
            confidence=confidence,
            evidence=evidence,
            cost=replace(cost, frames_unique=len(unique), seconds=seconds),
            trace=tuple(self.steps),
            stop_reason=done,
            video=self.video.info.path,
            duration_s=self.video.info.duration_s,
            settings={
                "tree": {"branching": self.tree.branching, "depth": self.tree.depth},
                "model": {"name": self.model.name, "fingerprint": self.model.fingerprint},
            },
        )
