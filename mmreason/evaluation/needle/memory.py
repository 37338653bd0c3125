"""A model that is asked each thing once, and a video whose frames are drawn once.

For measurements of cold costs: every question pays as if it were the first, but the same frames are
not drawn, and the same requests not computed, again for each method. Greedy replies only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from mmreason.memory.store import Store
from mmreason.models.base import (
    ChatModel,
    ClipRecipe,
    Conversation,
    FramesPart,
    GenerateRequest,
    Reply,
    TextPart,
    Tier,
)
from mmreason.video.types import FrameBatch, FrameSource, VideoInfo

MOST_BYTES = 192 * 2**20
"""Pixels that are kept of a video."""


class FrameCache:
    """Wraps an open video; frames once drawn are kept, up to `MOST_BYTES`."""

    def __init__(self, video: FrameSource):
        self._video = video
        self._kept: dict[tuple[float, tuple[int, int] | None], FrameBatch] = {}
        self._bytes = 0

    @property
    def info(self) -> VideoInfo:
        return self._video.info

    @property
    def content_hash(self) -> str:
        return self._video.content_hash

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """See `Video.frames_at`."""
        new = [t for t in dict.fromkeys(times_s) if (t, size_px) not in self._kept]
        drawn = self._video.frames_at(new, size_px) if new else None
        # Emptied as a whole: methods pass over the video in order, so the oldest frames are not the
        # least useful.
        if drawn is not None and self._bytes + drawn.pixels.nbytes > MOST_BYTES:
            self._kept.clear()
            self._bytes = 0
            return self._video.frames_at(times_s, size_px)
        for i, time_s in enumerate(new):
            assert drawn is not None
            self._kept[time_s, size_px] = FrameBatch(
                pixels=drawn.pixels[i : i + 1],
                times_s=drawn.times_s[i : i + 1],
                exact=drawn.exact[i : i + 1],
            )
            self._bytes += drawn.pixels[i].nbytes
        rows = [self._kept[t, size_px] for t in times_s]
        return FrameBatch(
            pixels=np.concatenate([row.pixels for row in rows]),
            times_s=np.concatenate([row.times_s for row in rows]),
            exact=np.concatenate([row.exact for row in rows]),
        )


class ReplyCache:
    """Wraps a `ChatModel`; `store` holds its replies by words and pixels."""

    def __init__(self, model: ChatModel, store: Store):
        self._model = model
        self._store = store

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def fingerprint(self) -> str:
        return self._model.fingerprint

    @property
    def lineage(self) -> str:
        return self._model.lineage

    @property
    def calibrated(self) -> bool:
        return self._model.calibrated

    @property
    def clip(self) -> ClipRecipe:
        return self._model.clip

    @property
    def tier(self) -> Tier:
        return self._model.tier

    @property
    def takes_tools(self) -> bool:
        return self._model.takes_tools

    @property
    def notes(self) -> tuple[str, ...]:
        return self._model.notes

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """See `ChatModel`. Only plain greedy replies are stored; others are asked for anew."""
        # A random reply that is stored would be the same for every seed.
        if request.temperature > 0 or request.stop or request.constraint or request.tools:
            return self._model.generate(request)
        conversations = request.conversations
        keys = [self._key(c, request.max_new_tokens) for c in conversations]
        replies_by_key = {key: self._store.get(key) for key in dict.fromkeys(keys)}
        # The same request twice in a batch is asked once.
        new = {k: c for k, c in zip(keys, conversations, strict=True) if replies_by_key[k] is None}
        if new:
            # A reply is for all who will read it here: it has no deadline of one of them.
            new_request = replace(request, conversations=list(new.values()), deadlines_s=())
            replies = self._model.generate(new_request)
            for key, reply in zip(new, replies, strict=True):
                replies_by_key[key] = asdict(reply)
                self._store.put(key, asdict(reply), video="benchmark", model=self.name)
        return [_reply(replies_by_key[key]) for key in keys]

    def _key(self, conversation: Conversation, max_new_tokens: int) -> str:
        # By pixels and times, not by where the frames come from: what the model cannot tell apart
        # is one.
        digest = hashlib.sha256(f"{self.fingerprint}/{max_new_tokens}".encode())
        for message in conversation:
            digest.update(f"/{message.role}".encode())
            for message_part in message.parts:
                if isinstance(message_part, TextPart):
                    digest.update(b"t" + message_part.text.encode())
                elif isinstance(message_part, FramesPart):
                    frames = message_part.frames
                    digest.update(f"{message_part.kind}{frames.pixels.shape}".encode())
                    digest.update(frames.times_s.tobytes() + frames.pixels.tobytes())
        return digest.hexdigest()


def _reply(value: dict[str, Any] | None) -> Reply:
    assert value is not None
    lists: dict[str, Any] = {name: tuple(value[name]) for name in ("token_ids", "logprobs")}
    lists["calls"] = ()  # of requests without tools, as these are
    return Reply(**value | lists)
