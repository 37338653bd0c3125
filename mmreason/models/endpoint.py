"""A model behind an OpenAI-compatible server: vLLM, SGLang, Ollama, `transformers serve`, a hosted
API.

Conversations of one call go out together, up to a limit; each is retried by itself. What a server
does not tell (token counts, log-probabilities) is estimated or left empty, what it refuses is left
out, and `notes` says so. The wire is `endpoint_http.py`, the JSON that is sent
`endpoint_messages.py`, what comes back `endpoint_replies.py`, what was learnt of the server
`endpoint_traits.py`.

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
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from mmreason.grounding import Dialect
from mmreason.models.base import (
    ClipRecipe,
    Conversation,
    GenerateRequest,
    Message,
    ModelError,
    Reply,
    TextPart,
    Tier,
    family_of,
)
from mmreason.models.box_dialects import dialect_of, limit_tokens, recipe_for
from mmreason.models.context import count_frames, halve_frames
from mmreason.models.endpoint_connect import Connection, connect_client
from mmreason.models.endpoint_http import EndpointLimits, RequestError
from mmreason.models.endpoint_messages import IMAGE_QUALITY, WireStyle, as_messages
from mmreason.models.endpoint_replies import (
    MOST_TOKENS,
    SchemaError,
    estimate_tokens,
    read_reply,
)
from mmreason.models.endpoint_traits import ServerTraits, may_refuse_tools
from mmreason.models.key_cleaning import KEY_MARK
from mmreason.models.options import OF_OWN_PROCESS, ModelOptions, as_options
from mmreason.models.serving_engines import (
    ServingEngine,
    find_engine,
    is_own_network,
    thinking_fields,
)
from mmreason.models.thought_budget import (
    THOUGHT_TOKENS,
    add_cost,
    is_thought_only,
    tokens_with_thought,
)
from mmreason.models.threads import side_by_side
from mmreason.models.tier import thinks_by_name, tier_of_name
from mmreason.models.written_calls import describe_tools
from mmreason.types import UsageError

_PLACES_SHOWN = 10

KEY_CAME_BACK = "the server sent back parts of the API key, which are shown as [key]"

_EVERY_FRAME: dict[str, dict[str, Any]] = {
    "mm_processor_kwargs": {"do_sample_frames": False},
    "media_io_kwargs": {"video": {"num_frames": -1}},
}
"""Fields with which vLLM shows all frames of a clip, which it else samples anew."""

_PATCH_PX = 32
_PATCH_SEEN_PX = 28
"""Sides of frames are multiples of what the served family cuts them into, so that the server does
not resize: families that write boxes in pixels of what they saw cut into 28."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    """One conversation of a call, with all that stays the same over its requests."""

    conversation: Conversation
    request: GenerateRequest
    seed: int
    deadline_s: float
    draw: random.Random
    interrupt: threading.Event


class EndpointModel:
    """A served model. See `ChatModel`."""

    def __init__(
        self,
        connection: Connection,
        *,
        clip: ClipRecipe,
        engine: ServingEngine,
        options: ModelOptions,
        limits: EndpointLimits,
    ):
        """Use `connect`, which checks all of this."""
        self._client = connection.client
        self._served_model = connection.model.name
        self.clip = clip
        known_tier = options.tier or tier_of_name(self._served_model)
        self.tier: Tier = known_tier or "small"
        self.may_be_probed = known_tier is None and is_own_network(self._client.base_url)
        """Whether nothing tells its tier, and asking costs no money."""
        self.engine = engine
        self.options = options
        self.wire_style = WireStyle(
            frames_as=options.frames_as or "images",
            image_format=options.image_format or "jpeg",
            image_quality=options.image_quality or IMAGE_QUALITY,
        )
        self._limits = limits
        self._own_fields = _fields_of(options, engine)
        thinks = thinks_by_name(self._served_model) or options.enable_thinking is True
        self._traits = ServerTraits(
            takes_no=engine.takes_no,
            thinks=thinks and options.enable_thinking is not False,
            context_tokens=options.context_tokens or connection.model.context_tokens,
            notes=(*connection.notes, *([engine.caution] if engine.caution else [])),
        )

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        served_model: str | None = None,
        api_key: str | None = None,
        clip: ClipRecipe | None = None,
        limits: EndpointLimits | None = None,
        options: ModelOptions | Mapping[str, Any] | None = None,
    ) -> EndpointModel:
        """Connect to the server at `url`, given up to and including `/v1`.

        `served_model` may be left out where the server has one model. Without `clip` boxes are read
        as the family of the served model's name writes them. `options` are those of `ModelOptions`:
        by default frames of a clip go as JPEG images, each behind its time.
        Raises UsageError (one line) when the server cannot be reached, the model not be told, or
        the engine cannot do what an option asks for.
        """
        options = as_options(options)
        options.refuse(OF_OWN_PROCESS, "of models of this process; leave them out for a server")
        limits = limits or EndpointLimits()
        if options.frames_as == "video" and clip is not None and not _has_even_sides(clip):
            raise UsageError("frames_as='video' needs frames of even sides; set multiple_px=2")
        connection = connect_client(url, served_model, api_key, limits)
        try:
            client, model = connection.client, connection.model
            engine = find_engine(client.base_url, [model.owner], options.served_by)
            tier = options.tier or tier_of_name(model.name) or "small"
            recipe = options.adapt_clip(clip or _recipe_for(model.name, tier))
            if options.frames_as == "video" and not engine.takes_video:
                raise UsageError(
                    f"option frames_as: {engine.title} takes no clips; use frames_as=images, the "
                    "default"
                )
            return cls(connection, clip=recipe, engine=engine, options=options, limits=limits)
        except BaseException:
            # The client is open by now, and nobody else could close it.
            connection.client.close()
            raise

    def __repr__(self) -> str:
        return f"EndpointModel({self.name!r}, frames_as={self.wire_style.frames_as!r})"

    @property
    def name(self) -> str:
        """The served model and the server's URL."""
        return f"{self._served_model} at {self._client.base_url}"

    @property
    def lineage(self) -> str:
        """See `ChatModel`. By the served model's name, which is all that is known of it."""
        return family_of(self._served_model)

    @property
    def calibrated(self) -> bool:
        """See `ChatModel`. Never: nobody has measured it."""
        return False

    @property
    def takes_tools(self) -> bool:
        """See `ChatModel`. Taken as given until the server refuses them; a request with tools is
        answered then too, by a model that is told of them in words."""
        return self._traits.takes_tools

    @property
    def fingerprint(self) -> str:
        """Hash of the URL, the served model's name and all that decides what it is sent.

        Weights that change behind one name cannot be told: give them another name.
        """
        settings = (
            self._client.base_url,
            self._served_model,
            asdict(self.wire_style),
            self.options.changing_replies,
            asdict(self.clip),
        )
        return hashlib.sha256(
            json.dumps(settings, sort_keys=True, default=str).encode()
        ).hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the server refused or did not tell so far, and how it calls its state."""
        return self._traits.notes

    def with_clip(self, clip: ClipRecipe) -> EndpointModel:
        """The same model, watching clips by another recipe."""
        model = copy.copy(self)
        model.clip = clip
        return model

    def with_tier(self, tier: Tier, note: str) -> EndpointModel:
        """The same model in another tier, for the reason that `note` says."""
        self._traits.note(note)
        model = copy.copy(self)
        model.tier = tier
        model.clip = self.options.adapt_clip(limit_tokens(self.clip, tier))
        return model

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """See `ChatModel`. Where replies are drawn, each conversation has a seed of its own, made
        from `seed` and its place. Raises ModelError after all conversations were tried, for those
        too whose reply was not there at its deadline."""
        request.refuse_constraint(self.name)
        if request.temperature == 0 and self.options.temperature:
            request = replace(request, temperature=self.options.temperature)
        conversations = request.conversations
        deadlines_s = request.deadlines_s or [math.inf] * len(conversations)
        interrupt = threading.Event()

        def reply_to(index: int) -> Reply | str:
            samples = request.temperature > 0
            seed = _seed_of(request.seed, index) if samples else request.seed
            ask = _Ask(
                conversation=conversations[index],
                request=request,
                seed=seed,
                # One limit for all requests of a reply: with fewer fields, then with fewer frames.
                deadline_s=min(deadlines_s[index], time.monotonic() + self._limits.total_s),
                draw=random.Random(seed),
                interrupt=interrupt,
            )
            try:
                return self._reply(ask).cut_at(request.stop)
            except (ValueError, RuntimeError, OSError) as error:
                # A failure is an outcome: the replies to the other conversations are still wanted.
                return " ".join(str(error).split()) or type(error).__name__

        outcomes = side_by_side(reply_to, len(conversations), self._limits.concurrency, interrupt)
        errors = {i: outcome for i, outcome in enumerate(outcomes) if isinstance(outcome, str)}
        replies = [None if isinstance(outcome, str) else outcome for outcome in outcomes]
        if errors:
            raise ModelError(_summary(errors, len(outcomes)), replies=replies, errors=errors)
        return [reply for reply in replies if reply is not None]

    def _reply(self, ask: _Ask) -> Reply:
        """Ask until there is a reply: each turn leaves out what the last one was refused for. What
        was tried before is part of the cost."""
        traits = self._traits
        conversation = ask.conversation
        tools_dropped = ""
        thought_only: Reply | None = None
        while True:
            # 1. No more frames than the server is known to take.
            conversation = self._fit(conversation, ask.request.max_new_tokens)
            with_tools = bool(ask.request.tools) and traits.takes_tools and not tools_dropped
            sent = self._body(ask, conversation, with_tools)
            limits = self._limits
            if with_tools and not traits.has_called_tools:
                # A server may fall over tools: that is found out without long pauses.
                limits = replace(limits, attempts=min(2, limits.attempts))
            # 2. Ask. A refusal makes the next turn leave out frames, then tools, then a field.
            try:
                answer = self._client.request(
                    "POST",
                    "chat/completions",
                    sent,
                    limits=limits,
                    deadline_s=ask.deadline_s,
                    draw=ask.draw,
                    stop=ask.interrupt,
                )
            except RequestError as error:
                shorter = halve_frames(conversation) if traits.learn_limits(error) else None
                if shorter is not None:
                    conversation = shorter
                elif with_tools and may_refuse_tools(error):
                    tools_dropped = str(error.status)
                elif not traits.learn_refused_field(error, sent, self._own_fields):
                    raise
                continue
            # 3. Read the reply, and learn of the server from what went well.
            reply = self._read(answer, ask, conversation, sent)
            # That tools were at fault is known only when the same request succeeds without them.
            if tools_dropped:
                traits.drop_tools(f"status {tools_dropped}")
            elif with_tools and reply.calls:
                traits.has_called_tools = True
            if is_thought_only(reply) and not traits.thinks and thought_only is None:
                # It thinks, which nothing told before: asked again with room for the thought.
                traits.thinks, thought_only = True, reply
                traits.note(
                    f"the model thinks: {self._thought_tokens} tokens more are asked for, for its "
                    "thoughts (option thought_tokens; enable_thinking=false asks for none)"
                )
                continue
            reply = add_cost(reply, thought_only)
            shown, planned = count_frames(conversation), count_frames(ask.conversation)
            if shown < planned:
                note = f"{shown} of {planned} frames were shown: the server takes no more"
                traits.note(
                    f"the server takes no {planned} frames in one request: {shown} are shown"
                )
                reply = replace(reply, note="; ".join(filter(None, (reply.note, note))))
            return reply

    @property
    def _thought_tokens(self) -> int:
        given = self.options.thought_tokens
        return THOUGHT_TOKENS if given is None else given

    def _fit(self, conversation: Conversation, max_new_tokens: int) -> Conversation:
        """The conversation with no more frames than the server is known to take."""
        traits = self._traits
        while (shorter := halve_frames(conversation)) is not None:
            tokens, context = self._expect_tokens(conversation), traits.context_tokens
            is_long = False
            if context is not None and tokens is not None:
                is_long = tokens + max_new_tokens > context
            if not is_long and not traits.has_too_many_images(count_frames(conversation)):
                break
            conversation = shorter
        return conversation

    def _expect_tokens(self, conversation: Conversation) -> int | None:
        """Tokens that the server will count; None where nothing is known yet: a server that tells
        what is too long is asked first."""
        estimated = estimate_tokens(conversation)
        counted = self._traits.expect_tokens(estimated)
        # A user who names the context of a server that cuts without a word wants it kept now.
        return estimated if counted is None and self.options.context_tokens else counted

    def _body(self, ask: _Ask, conversation: Conversation, with_tools: bool) -> dict[str, Any]:
        """The request as it goes out."""
        request, traits = ask.request, self._traits
        style = self.wire_style
        body: dict[str, Any] = {
            "model": self._served_model,
            self.engine.token_limit: self._token_limit(request.max_new_tokens, conversation),
            "temperature": request.temperature,
            "seed": ask.seed,
            "logprobs": True,
            "stream": False,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if with_tools:
            body |= {"tools": list(request.tools), "tool_choice": "auto"}
        # Calls of earlier turns would stand in fields that this server refuses: they go as text.
        elif request.tools or not traits.takes_tools:
            style = replace(style, calls_as_text=True)
            if request.tools:
                told = Message("system", (TextPart(describe_tools(request.tools)),))
                conversation = _with_system(conversation, told)
        is_clip = style.frames_as == "video" and count_frames(conversation)
        if is_clip and self.engine.samples_clips:
            body |= _EVERY_FRAME
        body["messages"] = as_messages(conversation, style)
        return traits.without_refused(body) | self._own_fields

    def _token_limit(self, max_new_tokens: int, conversation: Conversation) -> int:
        """With room for a thought, as far as the context has it."""
        traits = self._traits
        if not traits.thinks:
            return max_new_tokens
        expected = self._expect_tokens(conversation) or estimate_tokens(conversation)
        return tokens_with_thought(
            max_new_tokens, self._thought_tokens, expected, traits.context_tokens
        )

    def _read(
        self, answer: dict[str, Any], ask: _Ask, conversation: Conversation, sent: dict[str, Any]
    ) -> Reply:
        tool_names = [str(tool["function"]["name"]) for tool in ask.request.tools]
        try:
            reply, notes = read_reply(
                answer, conversation, _most_tokens_of(sent), self._client.clean, tool_names
            )
        except SchemaError as error:
            url = f"{self._client.base_url}/chat/completions"
            raise RequestError(f"{url}: {self._client.said(str(error))}") from error
        if self._client.has_key and KEY_MARK in reply.written:
            notes += (KEY_CAME_BACK,)
        self._traits.note(*notes)
        # Text is estimated well enough; what frames cost differs from model to model.
        if isinstance(answer.get("usage"), dict) and count_frames(conversation):
            self._traits.learn_tokens(reply.tokens_in, estimate_tokens(conversation))
        return reply


def _fields_of(options: ModelOptions, engine: ServingEngine) -> dict[str, Any]:
    """What the options add to every request. UsageError where the engine has no such field."""
    own: dict[str, Any] = {}
    if options.enable_thinking is not None:
        budget = THOUGHT_TOKENS if options.thought_tokens is None else options.thought_tokens
        own |= thinking_fields(engine, options.enable_thinking, budget)
    for name in ("chat_template_kwargs", "mm_processor_kwargs", "media_io_kwargs"):
        fields: Mapping[str, Any] = getattr(options, name)
        if fields:
            # Beside what we send there ourselves: one setting does not take another's place.
            own[name] = _EVERY_FRAME.get(name, {}) | own.get(name, {}) | dict(fields)
    return own | dict(options.extra_body)


def _with_system(conversation: Conversation, told: Message) -> Conversation:
    """The conversation with another text in its system message, which stands first."""
    if conversation and conversation[0].role == "system":
        first = conversation[0]
        joined = replace(first, parts=(*first.parts, TextPart("\n\n"), *told.parts))
        return [joined, *conversation[1:]]
    return [told, *conversation]


def _most_tokens_of(sent: Mapping[str, Any]) -> int:
    """How many tokens a request asks for; settings of the caller (`extra_body`) may say another
    number than `generate` was given, or none, for which its body limit is left."""
    counts = [sent.get(name) for name in ("max_tokens", "max_completion_tokens")]
    counts = [count for count in counts if type(count) is int and count > 0]
    return max(counts, default=MOST_TOKENS)


def _seed_of(seed: int, index: int) -> int:
    """A seed for one conversation of a call: equal conversations are drawn apart. 31 bits."""
    digest = hashlib.sha256(f"{seed}:{index}".encode()).digest()
    # 31 bits also fit where a server keeps seeds in signed 32-bit numbers.
    return int.from_bytes(digest[:4], "big") >> 1


def _summary(errors: Mapping[int, str], count: int) -> str:
    """One line for the failures of a call."""
    first = next(iter(errors.values()))
    if count == 1:
        return first
    numbers = ", ".join(str(index + 1) for index in list(errors)[:_PLACES_SHOWN])
    more = ", ..." if len(errors) > _PLACES_SHOWN else ""
    return f"{len(errors)} of {count} conversations got no reply (no. {numbers}{more}): {first}"


def _recipe_for(served_model: str, tier: Tier) -> ClipRecipe:
    has_small_patches = dialect_of(served_model) in (Dialect.SEEN_PX, Dialect.QWEN2_VL)
    patch_px = _PATCH_SEEN_PX if has_small_patches else _PATCH_PX
    return recipe_for(served_model, multiple_px=patch_px, tier=tier)


def _has_even_sides(clip: ClipRecipe) -> bool:
    if clip.size_px is not None:
        return all(side % 2 == 0 for side in clip.size_px)
    return clip.multiple_px % 2 == 0
