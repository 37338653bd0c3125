"""Performs tool calls on one video: caption, skim, look, focus, search, scan.

Each call is prepared first (exact frames, store key) and performed second, so that a budget can
refuse it in between. Calls of one round are decoded and asked together, in batches of bounded size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmreason.memory.caption_records import make_speech_records
from mmreason.memory.records import Channel, MemoryRecord
from mmreason.memory.store import Store, make_key
from mmreason.memory.vector_index import Embed
from mmreason.memory.video_memory import VideoMemory
from mmreason.models.base import (
    ChatModel,
    FramesPart,
    GenerateRequest,
    Message,
    ModelError,
    Reply,
    TextPart,
)
from mmreason.tool_calls import (
    Caption,
    DescribeStills,
    Focus,
    GroundFrame,
    Look,
    LookAtSpans,
    MemoryCall,
    Scan,
    ScoreStretch,
    Search,
    Skim,
    StillFrame,
    ToolCall,
)
from mmreason.tools.calls import (
    FAILURES,
    ModelRequest,
    PreparedCall,
    Roles,
    ToolRun,
    first_line,
    reserve_keys,
    send_request,
    split_batches,
)
from mmreason.tools.known import answer_from_memory
from mmreason.tools.prompts import look_text, score_text
from mmreason.tools.replies import (
    as_text,
    count_cost,
    find_reply_fault,
    find_scan_fault,
    to_observation,
    to_stored,
)
from mmreason.tools.scan import scan_key, scan_video, to_scan_observation
from mmreason.tools.search import search_notes
from mmreason.tools.transcript import plain_line
from mmreason.tools.views import (
    View,
    caption_views,
    clip_view,
    focus_views,
    spans_view,
    stills_views,
)
from mmreason.types import Cost, Note, Observation, UsageError
from mmreason.video.speech.transcript import HEARD
from mmreason.video.subtitles import Subtitles
from mmreason.video.types import FrameBatch, FrameSource, Span

LOOK_TOKENS = 256
"""At least, for an answer with the times that show it, and for the words around it of a model that
does not keep to the form."""
Allows = Callable[[int], bool]
"""Whether the budget has room for so many frames beside those of the calls themselves."""


class _Lost(RuntimeError):
    """A model failed at a whole request: its frames were shown, and nothing came back."""

    def __init__(self, error: Exception, costs: dict[str, Cost]):
        """`costs` by store key, of each call that was part of it."""
        super().__init__(first_line(error))
        self.costs = costs


class Toolbox:
    """The tools bound to one video, its subtitles, the models and a store."""

    def __init__(
        self,
        video: FrameSource,
        roles: Roles,
        store: Store,
        *,
        subtitles: Subtitles | None = None,
        transcript: Sequence[Note] = (),
        seed: int = 0,
        embed: Embed | None = None,
        deadline_s: float | None = None,
        memory: VideoMemory | None = None,
        hidden: frozenset[Channel] = frozenset(),
    ):
        """`subtitles` are there for `search`; `transcript`, the passages of them that match the
        question, is shown with every question to models that read it. `embed` finds by meaning in
        `search`. `memory` is what is known of the video, for tools that tell it, but for the
        `hidden` channels. Calls to models end at `deadline_s`, a value of `time.monotonic()`, where
        the model can."""
        self._video = video
        self._roles = roles
        self._store = store
        self._subtitles = subtitles
        self._transcript = [(str(note.span), plain_line(note.text)) for note in transcript]
        self._seed = seed
        self._embed = embed
        self._deadline_s = deadline_s
        self._hidden = hidden
        self._memory = VideoMemory() if memory is None else memory
        self._read: list[Note] = []
        """Captions read in this conversation, for `search`."""
        self.notes: list[str] = []
        """Fallbacks taken: a store that failed on the way."""
        self.inexact_s: set[float] = set()
        """Times of frames that were shown in place of others, which could not be had."""

    def deadlines_s(self, count: int) -> tuple[float, ...]:
        """Of `count` conversations, for a `ModelRequest`."""
        return () if self._deadline_s is None else (self._deadline_s,) * count

    def prepare(self, call: ToolCall, *, caption_prompt: str = "") -> PreparedCall:
        """Decide the frames of a call. Decodes nothing, asks no model. `caption_prompt` asks for a
        description in other words than the model's own."""
        if isinstance(call, Scan):
            key = scan_key(call, self._video.content_hash)
            return PreparedCall(
                call=call,
                prompt="",
                max_new_tokens=0,
                views=(),
                key=key,
                stored=self._stored(key, ()),
            )
        model = self._roles.watcher(call)
        prompt, views, limit = self._plan(call, model, caption_prompt)
        key = self._key(model, prompt, views, limit)
        # A search asks nothing, and what it finds changes with all that is read.
        stored = self._stored(key, views) if views else None
        return PreparedCall(
            call=call, prompt=prompt, max_new_tokens=limit, views=views, key=key, stored=stored
        )

    def _plan(
        self, call: ToolCall, model: ChatModel, caption_prompt: str
    ) -> tuple[str, tuple[View, ...], int]:
        """What a model is asked, the frames it is shown, and most tokens of its reply."""
        recipe, info, span = model.clip, self._video.info, call.span
        lines = self._transcript if recipe.reads_transcript else ()
        if isinstance(call, Caption | Skim):
            if isinstance(call, Caption):
                views = caption_views(recipe, info, span, stills=call.stills)
            else:
                views = caption_views(recipe, info, span, call.shift)
            # More frames than a clip show more than one thing: their caption may be longer.
            is_overview = bool(caption_prompt) or len(views[0].times_s) > recipe.frames
            limit = recipe.overview_tokens if is_overview else recipe.caption_tokens
            return caption_prompt or recipe.prompts.caption, views, limit
        if isinstance(call, DescribeStills):
            return (
                recipe.prompts.caption,
                stills_views(recipe, info, call.stills),
                recipe.caption_tokens,
            )
        if isinstance(call, LookAtSpans):
            view = spans_view(recipe, info, call.spans, call.frames, call.shift)
            prompt = look_text(
                call.question,
                call.options,
                spans=call.spans,
                video=info.span,
                timed_lines=lines,
                cues=[plain_line(cue) for cue in call.cues],
            )
            return prompt, (view,), max(LOOK_TOKENS, recipe.answer_tokens)
        if isinstance(call, ScoreStretch):
            prompt = score_text(call.question, call.options, span)
            return prompt, (spans_view(recipe, info, (span,), call.frames),), LOOK_TOKENS
        if isinstance(call, Look | Focus):
            options = call.options if recipe.reads_options else ()
            prompt = recipe.prompts.ask(call.question, options, lines)
            if isinstance(call, Focus):
                return prompt, focus_views(recipe, info, span), recipe.answer_tokens
            return prompt, (clip_view(recipe, info, span, call.shift),), recipe.answer_tokens
        if isinstance(call, GroundFrame):
            # Each frame speaks for its share of the span.
            share_s = call.span.duration_s / len(call.times_s)
            starts_s = [call.span.start_s + i * share_s for i in range(len(call.times_s))]
            stills = [
                StillFrame(time_s, Span(start_s, start_s + share_s))
                for time_s, start_s in zip(call.times_s, starts_s, strict=True)
            ]
            prompt = recipe.prompts.find(call.expression)
            return prompt, stills_views(recipe, info, stills), recipe.answer_tokens
        # What is told without a model has no prompt and no frames.
        return "", (), 1

    def perform(
        self, prepared: Sequence[PreparedCall], allows: Allows = lambda frames: True
    ) -> ToolRun[list[Observation]]:
        """Serve from the store, else decode and ask the model; returns an observation a call.

        Yields `Reserve` and `ModelRequest`. A failure is the `error` of its call. Costs are without
        rounds: those are the driver's to count. Calls whose batch failed are made again one by
        one, as far as the budget `allows`.
        """
        observations: dict[int, Observation] = {}
        over = 0
        for positions in split_batches(prepared):
            batch = [prepared[index] for index in positions]
            batch_observations = yield from self._perform_batch(batch, over, allows)
            # Batches that failed have shown frames twice: later ones must make room for that.
            over += sum(observation.cost.frames for observation in batch_observations)
            over -= sum(call.new_frames for call in batch)
            for index, observation in zip(positions, batch_observations, strict=True):
                observations[index] = observation
                if prepared[index].call.describes:
                    self._read.extend(observation.notes)
        return [observations[index] for index in range(len(prepared))]

    def _perform_batch(
        self, batch: list[PreparedCall], over: int, allows: Allows
    ) -> ToolRun[list[Observation]]:
        """`over` is how many frames more than was granted the batches before have shown."""
        if len(batch) == 1:
            return [(yield from self._perform_one(batch[0]))]
        # 1. All together.
        costs: dict[str, Cost] = {}
        reason = ""
        try:
            return (yield from self._ask(batch))
        except _Lost as error:
            costs, reason = error.costs, str(error)
        except FAILURES:
            pass  # one damaged stretch must not cost the others: each by itself
        # 2. Where that failed, one by one. What the failed request showed is paid for: it is added
        #    to the cost of each call, and may leave no room to show it again.
        observations: list[Observation] = []
        over += sum(cost.frames for cost in costs.values())
        allowed = _most_allowed(batch, over, allows) if costs else len(batch)
        for position, call in enumerate(batch):
            lost = costs.get(call.key, Cost())
            if position >= allowed:
                why_not = f"{reason}; the budget allows no second try"
                observations.append(Observation(text="", span=call.span, cost=lost, error=why_not))
                continue
            observation = yield from self._perform_one(call)
            observations.append(replace(observation, cost=observation.cost + lost))
        return observations

    def _perform_one(self, prepared: PreparedCall) -> ToolRun[Observation]:
        started = time.perf_counter()
        if isinstance(prepared.call, Search):
            return self._search(prepared.call)
        if isinstance(prepared.call, MemoryCall):
            return self._tell_known(prepared.call)
        if isinstance(prepared.call, Scan):
            return self._scan(prepared, prepared.call, started)
        if prepared.stored is not None:
            return _from_store(prepared, started)
        try:
            return (yield from self._ask([prepared]))[0]
        except _Lost as error:
            cost, reason = error.costs[prepared.key], str(error)
        except FAILURES as error:
            cost, reason = Cost(seconds=time.perf_counter() - started), first_line(error)
        return Observation(text="", span=prepared.span, cost=cost, error=reason)

    def _search(self, call: Search) -> Observation:
        subtitle_notes = [Note(line.span, line.text) for line in self._subtitles or ()]
        try:
            notes = search_notes(call.text, [*self._read, *subtitle_notes], embed=self._embed)
        except FAILURES as error:
            return Observation(text="", span=call.span, error=first_line(error))
        text = as_text(notes) or "nothing that was read so far holds these words."
        return Observation(text=text, span=call.span, notes=notes)

    def _tell_known(self, call: MemoryCall) -> Observation:
        name = self._roles.observer.name
        described = [note for note in self._read if note.text.strip()]
        try:
            # What was read in this conversation is known from here on, to later questions too.
            self._memory.add(
                MemoryRecord("event", note.span, note.text, "frames", name) for note in described
            )
            # What was heard is there already.
            if self._subtitles and self._subtitles.format != HEARD:
                self._memory.add(make_speech_records(self._subtitles))
            return answer_from_memory(call, self._memory, self._subtitles, self._hidden)
        except FAILURES as error:
            return Observation(text="", span=call.span, error=first_line(error))

    def _scan(self, prepared: PreparedCall, call: Scan, started: float) -> Observation:
        value, error = prepared.stored, None
        if value is None:
            try:
                value = scan_video(self._video, call)
                self._keep(prepared.key, value, "no model")
            except FAILURES as failure:
                error = first_line(failure)
        seconds = time.perf_counter() - started
        if value is None:
            cost = Cost(decode_seconds=seconds, seconds=seconds)
            return Observation(text="", span=prepared.span, cost=cost, error=error)
        return to_scan_observation(call, value, seconds, cached=prepared.stored is not None)

    def _ask(self, batch: list[PreparedCall]) -> ToolRun[list[Observation]]:
        """Observations of calls of one role. What another question is asking for is waited for;
        what the store holds by then is read there."""
        yield from reserve_keys(frozenset(call.key for call in batch))
        started = time.perf_counter()
        calls = [replace(call, stored=self._stored(call.key, call.views)) for call in batch]
        new = [call for call in calls if call.stored is None]
        observations = iter((yield from self._show(new)) if new else ())
        return [
            next(observations) if call.stored is None else _from_store(call, started)
            for call in calls
        ]

    def _show(self, batch: list[PreparedCall]) -> ToolRun[list[Observation]]:
        """Show every view of every call in one go; all are new and of one role."""
        # 1. Decode, and ask for all views together.
        started = time.perf_counter()
        model = self._roles.watcher(batch[0].call)
        views = [(call, view) for call in batch for view in call.views]
        clips = self._frames([view for _, view in views])
        decoded = time.perf_counter()
        conversations = [
            [Message("user", (_frames_part(clip), TextPart(call.prompt)))]
            for (call, _), clip in zip(views, clips, strict=True)
        ]
        request = ModelRequest(
            model,
            GenerateRequest(
                conversations,
                max_new_tokens=batch[0].max_new_tokens,
                seed=self._seed,
                deadlines_s=self.deadlines_s(len(conversations)),
            ),
        )
        replies: Sequence[Reply | None]
        errors: dict[int, str] = {}
        failure: Exception | None = None
        try:
            replies = yield from send_request(request)
        except ModelError as error:
            replies, errors = error.replies, error.errors
        except FAILURES as error:
            replies, failure = [None] * len(clips), error
        # 2. Deal the replies to the calls. Time is shared evenly; frames were shown, and are paid
        #    for, also where nothing came back.
        times = (decoded - started, time.perf_counter() - decoded)
        seconds = [total / len(batch) for total in times]
        observations: list[Observation] = []
        costs: dict[str, Cost] = {}
        for call, indices in _deal_views(batch):
            pairs = [(reply, clips[i]) for i in indices if (reply := replies[i]) is not None]
            values = [to_stored(reply, clip) for reply, clip in pairs]
            frames = sum(len(clips[i]) for i in indices)
            cost = costs[call.key] = count_cost(values, call.call, frames, seconds)
            if failure is not None:
                continue
            if len(values) < len(indices):
                error = next(errors[i] for i in indices if i in errors)
                observations.append(Observation(text="", span=call.span, cost=cost, error=error))
                continue
            self._keep(call.key, {"replies": values}, model.name)
            observations.append(to_observation(call, values, cost, cached=False))
        if failure is not None:
            raise _Lost(failure, costs) from failure
        return observations

    def _frames(self, views: list[View]) -> list[FrameBatch]:
        """One batch a view, decoded together where the sizes agree."""
        clips: dict[int, FrameBatch] = {}
        # One decode a size: the video is gone through once, and not once a view.
        for size_px in dict.fromkeys(view.size_px for view in views):
            indices = [i for i, view in enumerate(views) if view.size_px == size_px]
            frames = self._video.frames_at([t for i in indices for t in views[i].times_s], size_px)
            start = 0
            for i in indices:
                frame_range = slice(start, start + len(views[i].times_s))
                start = frame_range.stop
                exact = np.asarray(frames.exact)[frame_range]
                self.inexact_s.update(frames.times_s[frame_range][~exact].tolist())
                clips[i] = FrameBatch(
                    pixels=frames.pixels[frame_range],
                    times_s=frames.times_s[frame_range],
                    exact=exact,
                )
        return [clips[i] for i in range(len(views))]

    def _stored(self, key: str, views: Sequence[View]) -> dict[str, Any] | None:
        """What is kept of the replies to `views`, or of a scan, which has none. What cannot be
        that is told in a note, and asked for anew."""
        try:
            value = self._store.get(key)
        except ValueError as error:  # UsageError: the file is damaged as a whole
            value = self._without_store(error).get(key)
        if value is None:
            return None
        fault = find_reply_fault(value, views) if views else find_scan_fault(value)
        note = f"a value in the store was damaged ({fault}) and is not used"
        # Told once, however many values are damaged in the same way.
        if fault and note not in self.notes:
            self.notes.append(note)
        return None if fault else value

    def _keep(self, key: str, value: dict[str, Any], model: str) -> None:
        try:
            self._store.put(key, value, video=self._video_name(), model=model)
        except UsageError as error:
            self._without_store(error).put(key, value)

    def _without_store(self, error: ValueError) -> Store:
        """Go on in memory where the store fails (locked, disk full, damaged): a question that was
        paid for is still answered."""
        self.notes.append(f"replies are kept in memory from here on: {first_line(error)}")
        self._store = Store.in_memory()
        return self._store

    def _key(self, model: ChatModel, prompt: str, views: Sequence[View], limit: int) -> str:
        return make_key(
            content_hash=self._video.content_hash,
            fingerprint=model.fingerprint,
            prompt=prompt,
            clips=[(view.times_s, view.size_px) for view in views],
            max_new_tokens=limit,
        )

    def _video_name(self) -> str:
        """What the video is called in the store: two of one name are told apart by content."""
        return f"{Path(self._video.info.path).name} [{self._video.content_hash[:8]}]"


def _deal_views(batch: Sequence[PreparedCall]) -> Iterator[tuple[PreparedCall, range]]:
    """Each call with the positions of its views among those of all."""
    start = 0
    for call in batch:
        yield call, range(start, start + len(call.views))
        start += len(call.views)


def _frames_part(clip: FrameBatch) -> FramesPart:
    return FramesPart(clip, "video" if len(clip) > 1 else "image")


def _from_store(prepared: PreparedCall, started: float) -> Observation:
    assert prepared.stored is not None
    cost = Cost(cache_hits=1, seconds=time.perf_counter() - started)
    return to_observation(prepared, prepared.stored["replies"], cost, cached=True)


def _most_allowed(batch: Sequence[PreparedCall], over: int, allows: Allows) -> int:
    """How many calls of a batch, the first of it, may be made once more when they cost `over`
    frames more than was granted; what the others leave unspent counts."""
    count = len(batch)
    # From the end: each call that is given up frees the frames it was granted.
    while count and not allows(over):
        count -= 1
        over -= batch[count].new_frames
    return count
