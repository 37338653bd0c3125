"""Performs tool calls on one video: caption, skim, look, focus, search, scan.

Each call is prepared first (exact frames, store key) and performed second, so that a budget can
refuse it in between. Calls of one round are decoded and asked together, in batches of bounded size.
Leaves out the budget itself and what a model may write (`toolset.py`).
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mmreason.models.base import (
    ChatModel,
    Conversation,
    FramesPart,
    Message,
    ModelError,
    Reply,
    TextPart,
)
from mmreason.scanning import scan_key, scan_seen, scanned
from mmreason.search import search_notes
from mmreason.store import Store, make_key
from mmreason.types import Cost, Note, Observation, ToolCall, UsageError
from mmreason.video.subtitles import Subtitles
from mmreason.video.types import FrameBatch, Span, VideoInfo, format_time
from mmreason.watching import View, caption_views, clip_view, focus_views

TOOL_NAMES = ("caption", "skim", "look", "focus", "search")
MAX_NEW_TOKENS = 96
OVERVIEW_TOKENS = 256
"""Tokens for a caption of a stretch longer than a clip, written in one piece."""
BATCH_PIXELS = 16_000_000
"""Pixels decoded and shown at once: a batch of calls is cut where it would exceed this."""
BATCH_VIEWS = 32
"""Requests to a model that go together."""


class Watchable(Protocol):
    """What the tools need of a video; `mmreason.video.Video` has it."""

    @property
    def info(self) -> VideoInfo: ...

    @property
    def content_hash(self) -> str: ...

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch: ...


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is to be asked. Drivers send back the replies, or throw in what went wrong."""

    model: ChatModel
    conversations: Sequence[Conversation]
    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0

    def perform(self) -> list[Reply]:
        """Ask now, and only this."""
        return self.model.generate(
            self.conversations,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            seed=self.seed,
        )


FAILURES = (ValueError, RuntimeError, OSError)
"""What decoders and models raise for an input that they cannot take."""
_Part = Generator[Request, list[Reply], Any]


@dataclass(frozen=True, slots=True)
class Roles:
    """Who does what. The same model may play all three."""

    observer: ChatModel
    """Captions and looks."""
    checker: ChatModel
    """Looks again at the evidence."""
    reasoner: ChatModel
    """Decides where to look, for policies that ask a model."""

    def by_name(self) -> dict[str, ChatModel]:
        return {"observer": self.observer, "checker": self.checker, "reasoner": self.reasoner}

    def watcher(self, call: ToolCall) -> ChatModel:
        return self.checker if call.arguments.get("check") else self.observer


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A call whose frames and store key are known, with the stored reply where there is one."""

    call: ToolCall
    prompt: str
    max_new_tokens: int
    views: tuple[View, ...]
    key: str
    stored: dict[str, Any] | None

    @property
    def span(self) -> Span:
        return self.call.arguments["span"]

    @property
    def frame_count(self) -> int:
        return sum(len(view.times_s) for view in self.views)

    @property
    def new_frames(self) -> int:
        """Frames a model would be shown by performing this."""
        return 0 if self.stored is not None else self.frame_count


class Toolbox:
    """The tools bound to one video, its subtitles, the models and a store."""

    def __init__(
        self,
        video: Watchable,
        roles: Roles,
        store: Store,
        *,
        subtitles: Subtitles | None = None,
        seed: int = 0,
    ):
        self._video = video
        self._roles = roles
        self._store = store
        self._subtitles = subtitles
        self._seed = seed
        self._read: list[Note] = []
        """Captions read in this conversation, for `search`."""
        self.notes: list[str] = []
        """Fallbacks taken: a store that failed on the way."""

    def prepare(self, call: ToolCall) -> Prepared:
        """Decide the frames of a call. Decodes nothing, asks no model."""
        if call.name == "scan":
            key = scan_key(call, self._video.content_hash)
            return Prepared(
                call=call,
                prompt="",
                max_new_tokens=0,
                views=(),
                key=key,
                stored=self._stored(key),
            )
        model = self._roles.watcher(call)
        prompts, info, arguments = model.clip.prompts, self._video.info, call.arguments
        span: Span = arguments["span"]
        limit = MAX_NEW_TOKENS
        if call.name in ("caption", "skim"):
            prompt = prompts.caption
            views = caption_views(
                model.clip,
                info,
                span,
                arguments.get("shift", 0.0),
                [(t, Span(a, b)) for t, a, b in arguments.get("moments", ())],
            )
            limit = OVERVIEW_TOKENS if len(views[0].times_s) > model.clip.frames else limit
        elif call.name == "search":
            prompt, views = arguments["text"], ()
        else:
            options = arguments.get("options", ()) if model.clip.reads_options else ()
            prompt = prompts.ask(arguments["question"], options)
            if call.name == "focus":
                views = focus_views(model.clip, info, span)
            else:
                assert call.name == "look", f"unknown tool {call.name!r}"
                views = (clip_view(model.clip, info, span, arguments.get("shift", 0.0)),)
        key = self._key(model, prompt, views, limit)
        stored = self._stored(key) if views else None
        return Prepared(
            call=call, prompt=prompt, max_new_tokens=limit, views=views, key=key, stored=stored
        )

    def perform(self, prepared: Sequence[Prepared]) -> _Part:
        """Serve from the store, else decode and ask the model; returns an `Observation` a call.

        A generator of `Request`s. A failure is the `error` of its call. Costs are without rounds:
        those are the driver's to count.
        """
        seen: dict[int, Observation] = {}
        for batch in _batches(prepared):
            observations = yield from self._perform([prepared[i] for i in batch])
            for index, one in zip(batch, observations, strict=True):
                seen[index] = one
                if prepared[index].call.name in ("caption", "skim"):
                    self._read.extend(one.notes)
        return [seen[index] for index in range(len(prepared))]

    def _perform(self, batch: list[Prepared]) -> _Part:
        if len(batch) > 1:
            try:
                return (yield from self._ask(batch))
            except FAILURES:
                pass  # one damaged stretch must not cost the others: each by itself
        observations = []
        for one in batch:
            observations.append((yield from self._one(one)))
        return observations

    def _one(self, prepared: Prepared) -> _Part:
        started = time.perf_counter()
        if prepared.call.name == "search":
            return self._search(prepared)
        if prepared.call.name == "scan":
            return self._scan(prepared, started)
        if prepared.stored is not None:
            cost = Cost(cache_hits=1, seconds=time.perf_counter() - started)
            return _observation(prepared, prepared.stored["replies"], cost, cached=True)
        try:
            return (yield from self._ask([prepared]))[0]
        except FAILURES as error:
            cost = Cost(seconds=time.perf_counter() - started)
            return Observation(text="", span=prepared.span, cost=cost, error=first_line(error))

    def _search(self, prepared: Prepared) -> Observation:
        lines = self._subtitles or ()
        said = [Note(line.span, line.text) for line in lines]
        found = search_notes(prepared.call.arguments["text"], [*self._read, *said])
        text = _lines(found) or "nothing that was read so far holds these words."
        return Observation(text=text, span=prepared.span, notes=found)

    def _scan(self, prepared: Prepared, started: float) -> Observation:
        value, error = prepared.stored, None
        if value is None:
            try:
                value = scanned(self._video, prepared.call)
                self._keep(prepared.key, value, "no model")
            except FAILURES as failure:
                error = first_line(failure)
        seconds = time.perf_counter() - started
        if value is None:
            cost = Cost(decode_seconds=seconds, seconds=seconds)
            return Observation(text="", span=prepared.span, cost=cost, error=error)
        return scan_seen(prepared.call, value, seconds, cached=prepared.stored is not None)

    def _ask(self, batch: list[Prepared]) -> _Part:
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
        request = Request(model, conversations, batch[0].max_new_tokens, seed=self._seed)
        replies: Sequence[Reply | None]
        errors: dict[int, str] = {}
        try:
            replies = yield request
        except ModelError as error:
            replies, errors = error.replies, error.errors
        times = (decoded - started, time.perf_counter() - decoded)
        parts = [seconds / len(batch) for seconds in times]
        at, seen = 0, []
        for one in batch:
            places = range(at, at + len(one.views))
            at = places.stop
            got = [(reply, clips[i]) for i in places if (reply := replies[i]) is not None]
            values = [_value(*pair) for pair in got]
            cost = _cost(values, one.call, parts)
            if len(values) < len(places):
                why = next(errors[i] for i in places if i in errors)
                seen.append(Observation(text="", span=one.span, cost=cost, error=why))
                continue
            self._keep(one.key, {"replies": values}, model.name)
            seen.append(_observation(one, values, cost, cached=False))
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
                clips[i] = FrameBatch(
                    pixels=frames.pixels[part],
                    times_s=frames.times_s[part],
                    exact=np.asarray(frames.exact)[part],
                )
        return [clips[i] for i in range(len(views))]

    def _stored(self, key: str) -> dict[str, Any] | None:
        try:
            return self._store.get(key)
        except ValueError as error:
            return self._without_store(error).get(key)

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


def first_line(error: Exception) -> str:
    """What went wrong, on one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _batches(prepared: Sequence[Prepared]) -> Iterator[list[int]]:
    """Positions that are asked together: new calls of one role and length, within the limits."""
    waiting: list[int] = []
    pixels = views = 0
    for index, one in enumerate(prepared):
        alone = one.stored is not None or not one.views
        pixels += sum(view.pixel_count for view in one.views)
        views += len(one.views)
        fits = pixels <= BATCH_PIXELS and views <= BATCH_VIEWS
        if waiting and (alone or not fits or _kind(prepared[waiting[0]]) != _kind(one)):
            yield waiting
            waiting = []
            pixels, views = sum(view.pixel_count for view in one.views), len(one.views)
        if alone:
            yield [index]
            pixels = views = 0
        else:
            waiting.append(index)
    if waiting:
        yield waiting


def _kind(one: Prepared) -> tuple[bool, int]:
    return bool(one.call.arguments.get("check")), one.max_new_tokens


def _frames_part(clip: FrameBatch) -> FramesPart:
    return FramesPart(clip, "video" if len(clip) > 1 else "image")


def _value(reply: Reply, clip: FrameBatch) -> dict[str, Any]:
    return {
        "text": reply.text,
        "confidence": reply.confidence,
        "tokens_in": reply.tokens_in,
        "tokens_visual": reply.tokens_visual,
        "tokens_out": reply.tokens_out,
        "frame_times_s": [float(t) for t in clip.times_s],
    }


def _cost(values: list[dict[str, Any]], call: ToolCall, seconds: list[float]) -> Cost:
    checking = bool(call.arguments.get("check"))
    return Cost(
        model_calls=len(values),
        observer_calls=0 if checking else len(values),
        checker_calls=len(values) if checking else 0,
        frames=sum(len(value["frame_times_s"]) for value in values),
        tokens_in=sum(value["tokens_in"] for value in values),
        tokens_visual=sum(value["tokens_visual"] for value in values),
        tokens_out=sum(value["tokens_out"] for value in values),
        decode_seconds=seconds[0],
        model_seconds=seconds[1],
        seconds=sum(seconds),
    )


def _observation(
    prepared: Prepared, values: list[dict[str, Any]], cost: Cost, *, cached: bool
) -> Observation:
    reading = prepared.call.name in ("caption", "skim")
    stills = reading and all(len(view.times_s) == 1 for view in prepared.views)
    notes = tuple(
        Note(view.span, value["text"], value["frame_times_s"][0] if stills else None)
        for view, value in zip(prepared.views, values, strict=True)
    )
    sure = [value["confidence"] for value in values if value["confidence"] is not None]
    return Observation(
        text=values[0]["text"] if len(values) == 1 else _lines(merged(notes)),
        span=prepared.span,
        notes=notes,
        frame_times_s=tuple(t for value in values for t in value["frame_times_s"]),
        confidence=sum(sure) / len(sure) if sure else None,
        cached=cached,
        cost=cost,
    )


def merged(notes: Sequence[Note]) -> tuple[Note, ...]:
    """Neighbouring notes of the same text as one, over both their spans."""
    runs: list[Note] = []
    for note in notes:
        if runs and runs[-1].text == note.text:
            runs[-1] = Note(Span(runs[-1].span.start_s, note.span.end_s), note.text)
        else:
            runs.append(note)
    return tuple(runs)


def _lines(notes: Sequence[Note]) -> str:
    """One line a note, behind its time."""
    return "\n".join(f"{format_time(note.span.start_s)} {note.text}" for note in notes)
