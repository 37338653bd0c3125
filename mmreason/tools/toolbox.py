"""Performs tool calls on one video: caption, skim, look, focus, search, scan.

Each call is prepared first (exact frames, store key) and performed second, so that a budget can
refuse it in between. Calls of one round are decoded and asked together, in batches of bounded size.
Leaves out the budget itself and what a model may write (`toolset.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmreason.memory.store import Store, make_key
from mmreason.models.base import (
    ChatModel,
    FramesPart,
    GenerateRequest,
    Message,
    ModelError,
    Reply,
    TextPart,
)
from mmreason.tool_calls import Caption, Focus, Scan, Search, Skim, ToolCall
from mmreason.tools.calls import (
    FAILURES,
    Awaited,
    ModelRequest,
    Prepared,
    Roles,
    batches,
    first_line,
)
from mmreason.tools.replies import (
    cost_of,
    find_reply_fault,
    find_scan_fault,
    kept,
    lines_of,
    observation_of,
)
from mmreason.tools.scan import scan_key, scan_seen, scanned
from mmreason.tools.search import Embed, search_notes
from mmreason.tools.transcript import plain_line
from mmreason.tools.views import View, caption_views, clip_view, focus_views
from mmreason.types import Cost, Note, Observation, UsageError
from mmreason.video.subtitles import Subtitles
from mmreason.video.types import FrameBatch, FrameSource

MAX_NEW_TOKENS = 96
OVERVIEW_TOKENS = 256
"""Tokens for a caption of a stretch longer than a clip, written in one piece."""
_Part = Generator[ModelRequest | Awaited, list[Reply], Any]
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
        asking: set[str] | None = None,
        deadline_s: float | None = None,
    ):
        """`subtitles` are there for `search`; `transcript`, the passages of them that match the
        question, is shown with every question to models that read it. `embed` finds by meaning in
        `search`. `asking` holds the store keys of what is being asked for: toolboxes that share it,
        and a store, ask for nothing twice. Calls to models end at `deadline_s`, a value of
        `time.monotonic()`, where the model can."""
        self._video = video
        self._roles = roles
        self._store = store
        self._subtitles = subtitles
        self._transcript = [(str(note.span), plain_line(note.text)) for note in transcript]
        self._seed = seed
        self._embed = embed
        self._asking = set[str]() if asking is None else asking
        self._deadline_s = deadline_s
        self._read: list[Note] = []
        """Captions read in this conversation, for `search`."""
        self.notes: list[str] = []
        """Fallbacks taken: a store that failed on the way."""
        self.inexact_s: set[float] = set()
        """Times of frames that were shown in place of others, which could not be had."""

    def deadlines_s(self, count: int) -> tuple[float, ...]:
        """Of `count` conversations, for a `ModelRequest`."""
        return () if self._deadline_s is None else (self._deadline_s,) * count

    def prepare(self, call: ToolCall) -> Prepared:
        """Decide the frames of a call. Decodes nothing, asks no model."""
        if isinstance(call, Scan):
            key = scan_key(call, self._video.content_hash)
            return Prepared(
                call=call,
                prompt="",
                max_new_tokens=0,
                views=(),
                key=key,
                stored=self._stored(key, ()),
            )
        model = self._roles.watcher(call)
        prompts, info, span = model.clip.prompts, self._video.info, call.span
        limit = MAX_NEW_TOKENS
        if isinstance(call, Caption | Skim):
            prompt = prompts.caption
            if isinstance(call, Caption):
                views = caption_views(model.clip, info, span, stills=call.stills)
            else:
                views = caption_views(model.clip, info, span, call.shift)
            limit = OVERVIEW_TOKENS if len(views[0].times_s) > model.clip.frames else limit
        elif isinstance(call, Search):
            prompt, views = call.text, ()
        else:
            options = call.options if model.clip.reads_options else ()
            said = self._transcript if model.clip.reads_transcript else ()
            prompt = prompts.ask(call.question, options, said)
            if isinstance(call, Focus):
                views = focus_views(model.clip, info, span)
            else:
                views = (clip_view(model.clip, info, span, call.shift),)
        key = self._key(model, prompt, views, limit)
        stored = self._stored(key, views) if views else None
        return Prepared(
            call=call, prompt=prompt, max_new_tokens=limit, views=views, key=key, stored=stored
        )

    def perform(self, prepared: Sequence[Prepared], allows: Allows = lambda frames: True) -> _Part:
        """Serve from the store, else decode and ask the model; returns an `Observation` a call.

        A generator of `ModelRequest`s, and of `Awaited` where `asking` is shared. A failure is the
        `error` of its call. Costs are without rounds: those are the driver's to count. Calls whose
        batch failed are made again one by one, as far as the budget `allows`.
        """
        seen: dict[int, Observation] = {}
        over = 0
        for places in batches(prepared):
            batch = [prepared[i] for i in places]
            observations = yield from self._perform(batch, over, allows)
            over += sum(one.cost.frames for one in observations)
            over -= sum(one.new_frames for one in batch)
            for index, one in zip(places, observations, strict=True):
                seen[index] = one
                if prepared[index].call.describes:
                    self._read.extend(one.notes)
        return [seen[index] for index in range(len(prepared))]

    def _perform(self, batch: list[Prepared], over: int, allows: Allows) -> _Part:
        if len(batch) == 1:
            return [(yield from self._one(batch[0]))]
        costs, why = {}, ""
        try:
            return (yield from self._ask(batch))
        except _Lost as error:
            costs, why = error.costs, str(error)
        except FAILURES:
            pass  # one damaged stretch must not cost the others: each by itself
        observations = []
        over += sum(cost.frames for cost in costs.values())
        again = _most_allowed(batch, over, allows) if costs else len(batch)
        for place, one in enumerate(batch):
            lost = costs.get(one.key, Cost())
            if place >= again:
                why_not = f"{why}; the budget allows no second try"
                observations.append(Observation(text="", span=one.span, cost=lost, error=why_not))
                continue
            seen: Observation = yield from self._one(one)
            observations.append(replace(seen, cost=seen.cost + lost))
        return observations

    def _one(self, prepared: Prepared) -> _Part:
        started = time.perf_counter()
        if isinstance(prepared.call, Search):
            return self._search(prepared.call)
        if isinstance(prepared.call, Scan):
            return self._scan(prepared, prepared.call, started)
        if prepared.stored is not None:
            return _from_store(prepared, started)
        try:
            return (yield from self._ask([prepared]))[0]
        except _Lost as error:
            cost, why = error.costs[prepared.key], str(error)
        except FAILURES as error:
            cost, why = Cost(seconds=time.perf_counter() - started), first_line(error)
        return Observation(text="", span=prepared.span, cost=cost, error=why)

    def _search(self, call: Search) -> Observation:
        lines = self._subtitles or ()
        said = [Note(line.span, line.text) for line in lines]
        try:
            found = search_notes(call.text, [*self._read, *said], embed=self._embed)
        except FAILURES as error:
            return Observation(text="", span=call.span, error=first_line(error))
        text = lines_of(found) or "nothing that was read so far holds these words."
        return Observation(text=text, span=call.span, notes=found)

    def _scan(self, prepared: Prepared, call: Scan, started: float) -> Observation:
        value, error = prepared.stored, None
        if value is None:
            try:
                value = scanned(self._video, call)
                self._keep(prepared.key, value, "no model")
            except FAILURES as failure:
                error = first_line(failure)
        seconds = time.perf_counter() - started
        if value is None:
            cost = Cost(decode_seconds=seconds, seconds=seconds)
            return Observation(text="", span=prepared.span, cost=cost, error=error)
        return scan_seen(call, value, seconds, cached=prepared.stored is not None)

    def _ask(self, batch: list[Prepared]) -> _Part:
        """Observations of calls of one role. What another question is asking for is waited for;
        what the store holds by then is read there."""
        while not self._asking.isdisjoint(one.key for one in batch):
            yield Awaited()
        started = time.perf_counter()
        known = [replace(one, stored=self._stored(one.key, one.views)) for one in batch]
        new = [one for one in known if one.stored is None]
        keys = {one.key for one in new}
        self._asking.update(keys)
        try:
            shown = iter((yield from self._show(new)) if new else ())
        finally:
            self._asking.difference_update(keys)
        return [next(shown) if one.stored is None else _from_store(one, started) for one in known]

    def _show(self, batch: list[Prepared]) -> _Part:
        """Show every view of every call in one go; all are new and of one role."""
        started = time.perf_counter()
        model = self._roles.watcher(batch[0].call)
        views = [(one, view) for one in batch for view in one.views]
        clips = self._frames([view for _, view in views])
        decoded = time.perf_counter()
        conversations = [
            [Message("user", (_frames_part(clip), TextPart(one.prompt)))]
            for (one, _), clip in zip(views, clips, strict=True)
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
            replies = yield request
        except ModelError as error:
            replies, errors = error.replies, error.errors
        except FAILURES as error:
            replies, failure = [None] * len(clips), error
        times = (decoded - started, time.perf_counter() - decoded)
        parts = [seconds / len(batch) for seconds in times]
        at, costs, seen = 0, {}, []
        for one in batch:
            places = range(at, at + len(one.views))
            at = places.stop
            got = [(reply, clips[i]) for i in places if (reply := replies[i]) is not None]
            values = [kept(*pair) for pair in got]
            frames = sum(len(clips[i]) for i in places)
            cost = costs[one.key] = cost_of(values, one.call, frames, parts)
            if failure is not None:
                continue
            if len(values) < len(places):
                why = next(errors[i] for i in places if i in errors)
                seen.append(Observation(text="", span=one.span, cost=cost, error=why))
                continue
            self._keep(one.key, {"replies": values}, model.name)
            seen.append(observation_of(one, values, cost, cached=False))
        if failure is not None:
            raise _Lost(failure, costs) from failure
        return seen

    def _frames(self, views: list[View]) -> list[FrameBatch]:
        """One batch a view, decoded together where the sizes agree."""
        clips: dict[int, FrameBatch] = {}
        for size_px in dict.fromkeys(view.size_px for view in views):
            same = [i for i, view in enumerate(views) if view.size_px == size_px]
            frames = self._video.frames_at([t for i in same for t in views[i].times_s], size_px)
            at = 0
            for i in same:
                part = slice(at, at + len(views[i].times_s))
                at = part.stop
                exact = np.asarray(frames.exact)[part]
                self.inexact_s.update(frames.times_s[part][~exact].tolist())
                clips[i] = FrameBatch(
                    pixels=frames.pixels[part],
                    times_s=frames.times_s[part],
                    exact=exact,
                )
        return [clips[i] for i in range(len(views))]

    def _stored(self, key: str, views: Sequence[View]) -> dict[str, Any] | None:
        """What is kept of the replies to `views`, or of a scan, which has none. What cannot be
        that is told in a note, and asked for anew."""
        try:
            value = self._store.get(key)
        except ValueError as error:
            value = self._without_store(error).get(key)
        if value is None:
            return None
        fault = find_reply_fault(value, views) if views else find_scan_fault(value)
        note = f"a value in the store was damaged ({fault}) and is not used"
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


def _frames_part(clip: FrameBatch) -> FramesPart:
    return FramesPart(clip, "video" if len(clip) > 1 else "image")


def _from_store(prepared: Prepared, started: float) -> Observation:
    assert prepared.stored is not None
    cost = Cost(cache_hits=1, seconds=time.perf_counter() - started)
    return observation_of(prepared, prepared.stored["replies"], cost, cached=True)


def _most_allowed(batch: Sequence[Prepared], over: int, allows: Allows) -> int:
    """How many calls of a batch, the first of it, may be made once more when they cost `over`
    frames more than was granted; what the others leave unspent counts."""
    count = len(batch)
    while count and not allows(over):
        count -= 1
        over -= batch[count].new_frames
    return count
