"""The tools of the loop: caption a stretch of video, look at it with a question.

Each call is prepared first (exact frames, store key) and performed second, so that a budget can
refuse it in between. Never holds more than one clip of frames. Leaves out the budget itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mmreason.models.base import ChatModel, FramesPart, Message, TextPart
from mmreason.store import Store, make_key
from mmreason.types import Cost, Observation, ToolCall
from mmreason.video import plan
from mmreason.video.types import FrameBatch, Span, VideoInfo

MAX_NEW_TOKENS = 96


class Watchable(Protocol):
    """What the tools need of a video; `mmreason.video.Video` has it."""

    @property
    def info(self) -> VideoInfo: ...

    @property
    def content_hash(self) -> str: ...

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A call whose frames and store key are known, with the stored reply where there is one."""

    call: ToolCall
    span: Span
    prompt: str
    times_s: tuple[float, ...]
    key: str
    stored: dict[str, Any] | None

    @property
    def new_frames(self) -> int:
        """Frames a model would be shown by performing this."""
        return 0 if self.stored is not None else len(self.times_s)


class Toolbox:
    """The tools bound to one video, one model and one store."""

    def __init__(self, video: Watchable, model: ChatModel, store: Store, *, seed: int = 0):
        self._video = video
        self._model = model
        self._store = store
        self._seed = seed
        info = video.info
        self.size_px = model.clip.frame_size_px(info.width_px, info.height_px)

    def prepare(self, call: ToolCall) -> Prepared:
        """Decide the frames of a `caption` or `look` call. Decodes nothing, asks no model."""
        prompts = self._model.clip.prompts
        arguments = call.arguments
        span: Span = arguments["span"]
        if call.name == "caption":
            prompt = prompts.caption
        else:
            assert call.name == "look", f"unknown tool {call.name!r}"
            prompt = prompts.ask(arguments["question"], arguments.get("options", ()))
        times_s = self.clip_times_s(span, arguments.get("shift", 0.0))
        key = make_key(
            content_hash=self._video.content_hash,
            fingerprint=self._model.fingerprint,
            prompt=prompt,
            times_s=times_s,
            size_px=self.size_px,
            tool=call.name,
            max_new_tokens=MAX_NEW_TOKENS,
        )
        return Prepared(
            call=call,
            span=span,
            prompt=prompt,
            times_s=times_s,
            key=key,
            stored=self._store.get(key),
        )

    def perform(self, prepared: Prepared) -> Observation:
        """Serve from the store, else decode one clip and ask the model; a failure is an `error`."""
        started = time.perf_counter()
        if prepared.stored is not None:
            cost = Cost(rounds=1, cache_hits=1, seconds=time.perf_counter() - started)
            return _observation(prepared.span, prepared.stored, cost, cached=True)
        try:
            value = self._ask(prepared)
        except (ValueError, RuntimeError, OSError) as error:
            cost = Cost(rounds=1, seconds=time.perf_counter() - started)
            line = str(error).strip().splitlines()[:1] or [type(error).__name__]
            return Observation(text="", span=prepared.span, cost=cost, error=line[0])
        self._store.put(prepared.key, value, video=self._video_name(), model=self._model.name)
        cost = Cost(
            rounds=1,
            model_calls=1,
            frames=len(prepared.times_s),
            tokens_in=value["tokens_in"],
            tokens_out=value["tokens_out"],
            seconds=time.perf_counter() - started,
        )
        return _observation(prepared.span, value, cost, cached=False)

    def clip_times_s(self, span: Span, shift: float) -> tuple[float, ...]:
        """Times of the clip's frames: bin centres, moved by `shift` (-0.5..0.5) of a bin.

        Never more frames than the stretch has.
        """
        info, count = self._video.info, self._model.clip.frames
        if span.duration_s <= 0:
            return (span.start_s,)
        if info.mean_fps_hz > 0:
            count = min(count, max(1, round(span.duration_s * info.mean_fps_hz)))
        step_s = span.duration_s / count
        return tuple(t + shift * step_s for t in plan.uniform(span, count).times_s)

    def _video_name(self) -> str:
        """What the video is called in the store: two of one name are told apart by content."""
        return f"{Path(self._video.info.path).name} [{self._video.content_hash[:8]}]"

    def _ask(self, prepared: Prepared) -> dict[str, Any]:
        frames = self._video.frames_at(prepared.times_s, self.size_px)
        message = Message("user", (FramesPart(frames), TextPart(prepared.prompt)))
        reply = self._model.generate([[message]], max_new_tokens=MAX_NEW_TOKENS, seed=self._seed)[0]
        return {
            "text": reply.text,
            "confidence": reply.confidence,
            "tokens_in": reply.tokens_in,
            "tokens_out": reply.tokens_out,
            "frame_times_s": [float(t) for t in frames.times_s],
        }


def _observation(span: Span, value: dict[str, Any], cost: Cost, *, cached: bool) -> Observation:
    return Observation(
        text=value["text"],
        span=span,
        frame_times_s=tuple(value["frame_times_s"]),
        confidence=value["confidence"],
        cached=cached,
        cost=cost,
    )
