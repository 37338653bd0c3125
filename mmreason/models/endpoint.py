"""A model behind an OpenAI-compatible server: vLLM, SGLang, `transformers serve`, a hosted API.

Conversations of one call go out together, up to a limit; each is retried by itself. What a server
does not tell (token counts, log-probabilities) is estimated or left empty, and `notes` says so.
The wire is `endpoint_http.py`, the JSON that is sent `endpoint_messages.py`, what comes back
`endpoint_replies.py`.

    EndpointModel.connect("http://localhost:8000/v1").generate(GenerateRequest([...]))
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from mmreason.grounding import Dialect
from mmreason.models.base import (
    ClipRecipe,
    Conversation,
    GenerateRequest,
    ModelError,
    Reply,
    Tier,
    family_of,
)
from mmreason.models.box_dialects import dialect_of, recipe_for
from mmreason.models.context import count_frames, halve_frames
from mmreason.models.endpoint_http import (
    EndpointLimits,
    JsonClient,
    RequestError,
    checked_key,
    checked_url,
    is_private,
)
from mmreason.models.endpoint_messages import FramesAs, ImageFormat, as_messages
from mmreason.models.endpoint_replies import (
    MOST_TOKENS,
    SchemaError,
    listed_models,
    read_reply,
    refused_field,
    says_too_long,
)
from mmreason.models.key_cleaning import KEY_MARK
from mmreason.models.threads import side_by_side
from mmreason.types import UsageError

_FIRST_LOOK = EndpointLimits(attempts=2, timeout_s=20.0, total_s=40.0)
"""Connecting fails sooner than a reply does."""

_PLACES_SHOWN = 10

KEY_CAME_BACK = "the server sent back parts of the API key, which are shown as [key]"

_TAKEN = "the server does not list the model {!r}, which is taken as given"

_OTHERWISE = {
    "logprobs": None,
    "seed": None,
    "temperature": None,
    "max_tokens": "max_completion_tokens",
    "mm_processor_kwargs": None,
    "media_io_kwargs": None,
    "stop": None,
}
"""Fields that some servers refuse, and what takes their place."""

_WITHOUT = {
    "temperature": ": it samples as it likes, and answers may differ from run to run",
    "mm_processor_kwargs": ": it may drop frames of a clip",
    "media_io_kwargs": ": it may drop frames of a clip",
    "stop": ": it writes on, and its replies are cut here",
}
"""What leaving a field out means, where that is not plain."""

_TOO_LONG = (400, 413, 422)

_EVERY_FRAME = {
    "mm_processor_kwargs": {"do_sample_frames": False},
    "media_io_kwargs": {"video": {"num_frames": -1}},
}
"""Fields with which vLLM shows all frames of a clip, which it else samples anew."""

_PATCH_PX = 32
_PATCH_SEEN_PX = 28
"""Sides of frames are multiples of what the served family cuts them into, so that the server does
not resize: families that write boxes in pixels of what they saw cut into 28."""


class EndpointModel:
    """A served model. See `ChatModel`."""

    def __init__(
        self,
        client: JsonClient,
        served_model: str,
        *,
        clip: ClipRecipe,
        frames_as: FramesAs,
        image_format: ImageFormat,
        limits: EndpointLimits,
        extra_body: Mapping[str, Any],
        notes: Sequence[str] = (),
    ):
        """Use `connect`, which checks all of this."""
        self._client = client
        self._served_model = served_model
        self.clip = clip
        self.frames_as: FramesAs = frames_as
        self._image_format: ImageFormat = image_format
        self._limits = limits
        self._extra_body = dict(extra_body)
        self._lock = threading.Lock()
        self._refused: frozenset[str] = frozenset()
        self._notes = dict.fromkeys(notes)

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        served_model: str | None = None,
        api_key: str | None = None,
        clip: ClipRecipe | None = None,
        frames_as: FramesAs = "images",
        image_format: ImageFormat = "jpeg",
        limits: EndpointLimits | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> EndpointModel:
        """Connect to the server at `url`, given up to and including `/v1`.

        `served_model` may be left out where the server has one model. Frames of a clip go as
        images, each behind its time, or as one MP4 (`frames_as`); images are JPEG or, exact to
        the pixel, PNG. Without `clip` boxes are read as the family of the served model's name
        writes them. `extra_body` joins every request: settings that only some servers have,
        such as `{"chat_template_kwargs": {"enable_thinking": False}}`.
        Raises UsageError (one line) when the server cannot be reached or the model not be told.
        """
        if frames_as == "video" and clip is not None and not _has_even_sides(clip):
            raise UsageError("frames_as='video' needs frames of even sides; set multiple_px=2")
        limits = limits or EndpointLimits()
        client, served_model, notes = connect_client(url, served_model, api_key, limits)
        return cls(
            client,
            served_model,
            clip=clip or _recipe_for(served_model),
            frames_as=frames_as,
            image_format=image_format,
            limits=limits,
            extra_body=extra_body or {},
            notes=notes,
        )

    def __repr__(self) -> str:
        return f"EndpointModel({self.name!r}, frames_as={self.frames_as!r})"

    @property
    def name(self) -> str:
        """The served model and the server's URL."""
        return f"{self._served_model} at {self._client.base_url}"

    @property
    def lineage(self) -> str:
        """See `ChatModel`. By the served model's name, which is all that is known of it."""
        return family_of(self._served_model)

    @property
    def tier(self) -> Tier:
        """See `ChatModel`."""
        return "small"

    @property
    def takes_tools(self) -> bool:
        """See `ChatModel`."""
        return False

    @property
    def calibrated(self) -> bool:
        """See `ChatModel`. Never: nobody has measured it."""
        return False

    @property
    def fingerprint(self) -> str:
        """Hash of the URL, the served model's name and all that decides what it is sent.

        Weights that change behind one name cannot be told: give them another name.
        """
        settings = (
            self._client.base_url,
            self._served_model,
            self.frames_as,
            self._image_format,
            self._extra_body,
            asdict(self.clip),
        )
        return hashlib.sha256(
            json.dumps(settings, sort_keys=True, default=str).encode()
        ).hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the server refused or did not tell so far, and how it calls its state."""
        with self._lock:
            return tuple(self._notes)

    def with_clip(self, clip: ClipRecipe) -> EndpointModel:
        """The same model, watching clips by another recipe."""
        model = copy.copy(self)
        model.clip = clip
        return model

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """See `ChatModel`. Where replies are drawn, each conversation has a seed of its own, made
        from `seed` and its place. Raises ModelError after all conversations were tried, for those
        too whose reply was not there at its deadline."""
        request.refuse_constraint(self.name)
        request.refuse_tools(self.name)
        conversations = request.conversations
        deadlines_s = request.deadlines_s or [math.inf] * len(conversations)
        interrupt = threading.Event()

        def reply_to(index: int) -> Reply | str:
            samples = request.temperature > 0
            seed = _seed_of(request.seed, index) if samples else request.seed
            body: dict[str, Any] = {
                "model": self._served_model,
                "max_tokens": request.max_new_tokens,
                "temperature": request.temperature,
                "seed": seed,
                "logprobs": True,
                "stream": False,
            }
            if request.stop:
                body["stop"] = list(request.stop)
            try:
                draw = random.Random(seed)
                reply = self._reply(conversations[index], body, deadlines_s[index], draw, interrupt)
                return reply.cut_at(request.stop)
            except (ValueError, RuntimeError, OSError) as error:
                return " ".join(str(error).split()) or type(error).__name__

        outcomes = side_by_side(reply_to, len(conversations), self._limits.concurrency, interrupt)
        errors = {i: outcome for i, outcome in enumerate(outcomes) if isinstance(outcome, str)}
        replies = [None if isinstance(outcome, str) else outcome for outcome in outcomes]
        if errors:
            raise ModelError(_summary(errors, len(outcomes)), replies=replies, errors=errors)
        return [reply for reply in replies if reply is not None]

    def _reply(
        self,
        conversation: Conversation,
        body: dict[str, Any],
        deadline_s: float,
        draw: random.Random,
        stop: threading.Event,
    ) -> Reply:
        # One limit for all requests of a reply: with fewer fields, then with fewer frames.
        deadline_s = min(deadline_s, time.monotonic() + self._limits.total_s)
        if self.frames_as == "video" and count_frames(conversation):
            body |= _EVERY_FRAME
        while True:
            body["messages"] = as_messages(conversation, self.frames_as, self._image_format)
            sent = self._without_refused(body) | self._extra_body
            try:
                answer = self._client.request(
                    "POST", "chat/completions", sent, deadline_s=deadline_s, draw=draw, stop=stop
                )
            except RequestError as error:
                if self._does_without(error, sent):
                    continue
                shorter = (
                    halve_frames(conversation)
                    if error.status in _TOO_LONG and says_too_long(str(error))
                    else None
                )
                if shorter is None:
                    raise
                with self._lock:
                    self._notes[
                        f"the server takes no {count_frames(conversation)} frames in one request: "
                        f"{count_frames(shorter)} are shown"
                    ] = None
                conversation = shorter
                continue
            try:
                reply, notes = read_reply(
                    answer, conversation, _most_tokens_of(sent), self._client.clean
                )
            except SchemaError as error:
                url = f"{self._client.base_url}/chat/completions"
                raise RequestError(f"{url}: {self._client.said(str(error))}") from error
            if self._client.has_key and KEY_MARK in reply.written:
                notes += (KEY_CAME_BACK,)
            with self._lock:
                self._notes |= dict.fromkeys(notes)
            return reply

    def _does_without(self, error: RequestError, sent: Mapping[str, Any]) -> bool:
        """Whether a field was refused that can be left out from now on, or sent by another name."""
        if error.status == 500 and "stop" in sent:
            # `transformers serve` falls over it in place of refusing it.
            field = "stop"
        elif error.status in (400, 422):
            field = refused_field(str(error), [name for name in _OTHERWISE if name in sent])
        else:
            return False
        if field is None or field in self._extra_body:
            return False
        instead = _OTHERWISE[field]
        done = "left out" if instead is None else f"sent as {instead}"
        done += _WITHOUT.get(field, "")
        with self._lock:
            self._refused |= {field}
            self._notes[f"the server refuses {field!r}, which is {done}"] = None
        return True

    def _without_refused(self, body: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            refused = self._refused
        names = {key: _OTHERWISE[key] if key in refused else key for key in body}
        return {name: body[key] for key, name in names.items() if name is not None}


def connect_client(
    url: str, requested_model: str | None, api_key: str | None, limits: EndpointLimits
) -> tuple[JsonClient, str, tuple[str, ...]]:
    """A client of the server, the model to ask for, and notes. UsageError for a URL or key that is
    none, and where the server or the model cannot be told."""
    base_url, key = checked_url(url), checked_key(api_key)
    client = JsonClient(base_url, api_key=key, limits=limits)
    try:
        served_model, notes = _find_served_model(client, requested_model, limits)
    except BaseException:
        client.close()
        raise
    if key is not None and not is_private(base_url):
        notes += ("the API key travels without encryption: the URL is no https",)
    return client, served_model, notes


def _find_served_model(
    client: JsonClient, requested_model: str | None, limits: EndpointLimits
) -> tuple[str, tuple[str, ...]]:
    """(the model to ask for, notes). UsageError where the server or the model cannot be told."""
    first_look = replace(
        limits,
        attempts=min(limits.attempts, _FIRST_LOOK.attempts),
        timeout_s=min(limits.timeout_s, _FIRST_LOOK.timeout_s),
        total_s=min(limits.total_s, _FIRST_LOOK.total_s),
    )
    url = f"{client.base_url}/models"
    try:
        answer = client.request(
            "GET", "models", limits=first_look, draw=random.Random(0), stop=threading.Event()
        )
        names = listed_models(answer)
    except RequestError as error:
        # Servers may let a key chat that may not list.
        if requested_model is None or (error.status or 0) < 400:
            raise UsageError(f"the models of the endpoint cannot be listed: {error}") from error
        return requested_model, (_TAKEN.format(requested_model),)
    except SchemaError as error:
        if requested_model is None:
            raise UsageError(f"{url}: {client.said(str(error))}; name the model") from error
        return requested_model, (_TAKEN.format(requested_model),)
    if requested_model is not None:
        return requested_model, () if requested_model in names else (
            _TAKEN.format(requested_model),
        )
    if len(names) != 1:
        listed = client.said(", ".join(names)) or "none"
        raise UsageError(
            f"{url}: expected one model, found {listed}; name the one to use (served_model, "
            "--served-model)"
        )
    return names[0], ()


def _most_tokens_of(sent: Mapping[str, Any]) -> int:
    """How many tokens a request asks for; settings of the caller (`extra_body`) may say another
    number than `generate` was given, or none, for which its body limit is left."""
    counts = [sent.get(name) for name in ("max_tokens", "max_completion_tokens")]
    counts = [count for count in counts if type(count) is int and count > 0]
    return max(counts, default=MOST_TOKENS)


def _seed_of(seed: int, index: int) -> int:
    """A seed for one conversation of a call: equal conversations are drawn apart. 31 bits."""
    digest = hashlib.sha256(f"{seed}:{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _summary(errors: Mapping[int, str], count: int) -> str:
    """One line for the failures of a call."""
    first = next(iter(errors.values()))
    if count == 1:
        return first
    numbers = ", ".join(str(index + 1) for index in list(errors)[:_PLACES_SHOWN])
    more = ", ..." if len(errors) > _PLACES_SHOWN else ""
    return f"{len(errors)} of {count} conversations got no reply (no. {numbers}{more}): {first}"


def _recipe_for(served_model: str) -> ClipRecipe:
    sees_px = dialect_of(served_model) is Dialect.SEEN_PX
    return recipe_for(served_model, multiple_px=_PATCH_SEEN_PX if sees_px else _PATCH_PX)


def _has_even_sides(clip: ClipRecipe) -> bool:
    if clip.size_px is not None:
        return all(side % 2 == 0 for side in clip.size_px)
    return clip.multiple_px % 2 == 0
