"""Completions from an OpenAI-compatible server that tells token ids: vLLM, SGLang.

Prompts go as lists of token ids to `/v1/completions`, and the written ids come back
(`return_token_ids`, or vLLM's older `return_tokens_as_token_ids`): text is never encoded again. A
server that tells no ids is an error. Truncation and penalties are switched off by name, since
servers take them from a model's `generation_config.json` otherwise.

No such request can hold token ids and frames. Prompts with frames go as messages to
`/v1/chat/completions`, with the frames as data URLs, and the server must tell which token ids it
read: other ones than the trainer's are refused. New weights come to a server by `served.py`.

    EndpointSampler.connect("http://localhost:8000/v1", end_ids=[151645])
"""

from __future__ import annotations

import base64
import json
import math
import random
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from mmreason.language.control_words import break_control_words
from mmreason.models.base import Conversation, Part, TextPart
from mmreason.models.endpoint_connect import connect_client
from mmreason.models.endpoint_http import (
    EndpointLimits,
    JsonClient,
    RequestError,
)
from mmreason.models.endpoint_messages import encode_image, encode_mp4
from mmreason.models.endpoint_traits import refused_field
from mmreason.models.threads import side_by_side
from mmreason.training.generation.sampling import SampleRequest
from mmreason.training.rollouts.types import Completion, SampleFailure
from mmreason.types import UsageError

REQUEST_FIELDS: Mapping[str, Any] = {
    "n": 1,
    "stream": False,
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "skip_special_tokens": True,
    "logprobs": 1,
    "return_token_ids": True,
    "return_tokens_as_token_ids": True,
}
"""The whole distribution at the temperature asked for, and ids and log-probabilities with it."""
CHAT_FIELDS: Mapping[str, Any] = {
    **{k: v for k, v in REQUEST_FIELDS.items() if k != "return_tokens_as_token_ids"},
    "logprobs": True,
    "top_logprobs": 0,
}
"""The same for messages."""
REQUIRED_FIELDS = ("return_token_ids", "logprobs", "top_k", "top_p")
TOKEN_ID_PREFIX = "token_id:"
"""What vLLM writes before a number in place of a token's text."""
NO_LOGPROBS = "the server tells no usable log-probabilities of what it wrote"
OTHER_TEMPERATURE = (
    "log-probabilities are left out: the server gives them at temperature 1, not at that of the "
    "request (vLLM: start it with --logprobs-mode processed_logprobs and say "
    "logprobs_at_temperature)"
)
OTHER_PROMPT = "OtherPrompt"
"""Kind of the failure where a server read other tokens than the trainer's."""
NO_END = "the server leaves the end token out of what it wrote, so that it is not trained on"


class _OtherPromptError(Exception):
    """The server read other token ids than the trainer's."""


class EndpointSampler:
    """A served model. See `Sampler`; one HTTP request a completion, several at a time."""

    def __init__(
        self,
        client: JsonClient,
        served_model: str,
        *,
        end_ids: Sequence[int],
        limits: EndpointLimits,
        logprobs_at_temperature: bool,
        notes: Sequence[str] = (),
    ):
        """Use `connect`, which checks all of this."""
        self._client = client
        self._served_model = served_model
        self._end_ids = tuple(end_ids)
        self._limits = limits
        self._at_temperature = logprobs_at_temperature
        self._lock = threading.Lock()
        self._notes = dict.fromkeys(notes)

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        end_ids: Sequence[int],
        served_model: str | None = None,
        api_key: str | None = None,
        limits: EndpointLimits | None = None,
        logprobs_at_temperature: bool = False,
    ) -> EndpointSampler:
        """Connect to the server at `url`, given up to and including `/v1`.

        `end_ids` end an answer, as for the local sampler. `logprobs_at_temperature` says that the
        server's log-probabilities are those of the distribution it samples from; without it they
        are taken to be at temperature 1, and left out where requests are at another.

        Raises UsageError when the server cannot be reached or the model not be told.
        """
        limits = limits or EndpointLimits()
        connection = connect_client(url, served_model, api_key, limits)
        return cls(
            connection.client,
            connection.model.name,
            end_ids=end_ids,
            limits=limits,
            logprobs_at_temperature=logprobs_at_temperature,
            notes=connection.notes,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the server did not tell so far."""
        with self._lock:
            return tuple(self._notes)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
        """See `Sampler`. A call that fails after all its tries is the failure of its request, and
        so is a prompt with frames that the server reads in other tokens. UsageError for all: a
        server that tells no token ids, and one that reads no prompt with frames as the trainer."""
        has_media = [request.prompt.media is not None for request in requests]
        if any(r.prompt.media is not None and r.prompt.conversation is None for r in requests):
            raise UsageError(
                f"{self._client.base_url}: prompts with frames cannot be sampled from an endpoint "
                "where their codec keeps no conversation with them; use a local sampler"
            )
        stop = threading.Event()

        def sample_at(index: int) -> Completion | SampleFailure:
            try:
                return self._complete(requests[index], stop)
            # Mistakes of use would befall every request, so they are raised.
            except RequestError as error:
                return SampleFailure(kind=type(error).__name__, message=str(error))
            except _OtherPromptError as error:
                return SampleFailure(kind=OTHER_PROMPT, message=str(error))

        results = side_by_side(sample_at, len(requests), self._limits.concurrency, stop)
        with_frames = [result for result, media in zip(results, has_media, strict=True) if media]
        misread = [
            r for r in with_frames if isinstance(r, SampleFailure) and r.kind == OTHER_PROMPT
        ]
        if misread and len(misread) == len(with_frames):
            raise UsageError(misread[0].message)
        return results

    def _complete(self, request: SampleRequest, stop: threading.Event) -> Completion:
        # Pauses before further tries are drawn at random, so that requests do not come in step.
        pause = random.Random(request.seed)
        has_frames = request.prompt.media is not None
        path, body = (
            ("chat/completions", CHAT_FIELDS) if has_frames else ("completions", REQUEST_FIELDS)
        )
        body = {
            **body,
            "model": self._served_model,
            "max_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "seed": request.seed % 2**31,  # servers take 32 bits, some of them signed
            "stop_token_ids": list(self._end_ids),
        }
        if has_frames:
            body["messages"] = write_messages(request.prompt.conversation or ())
        else:
            # No text: a template or tokenizer of the server's might read it in another way.
            body["prompt"] = list(request.prompt.token_ids)
        try:
            response = self._client.request("POST", path, body, draw=pause, stop=stop)
        except RequestError as error:
            # A server without one of these would sample from another distribution than is trained
            # on.
            if error.status in (400, 422) and refused_field(str(error), REQUIRED_FIELDS):
                raise UsageError(f"{error}: sampling for training needs this field") from error
            raise
        if has_frames:
            response = self._read_chat(request, response)
        return self._read_completion(request, response)

    def _read_chat(self, request: SampleRequest, response: Mapping[str, Any]) -> dict[str, Any]:
        """The response as one to a prompt of token ids has it, its prompt checked."""
        choice = self._read_choice(response)
        prompt_ids = response.get("prompt_token_ids", choice.get("prompt_token_ids"))
        if not isinstance(prompt_ids, list):
            raise UsageError(
                f"{self._client.base_url}: the server does not tell which tokens it read of a "
                "prompt with frames (prompt_token_ids), so that it may be another than is trained "
                "on; serve the model with a vLLM that does, or use a local sampler"
            )
        trainer_ids = list(request.prompt.token_ids)
        if prompt_ids != trainer_ids:
            raise _OtherPromptError(
                f"{self._client.base_url}: the server reads a prompt with frames as "
                f"{len(prompt_ids)} tokens, the trainer as {len(trainer_ids)}"
                f"{'' if len(prompt_ids) != len(trainer_ids) else ' others'}: it takes frames of "
                "other sizes, times or numbers; use a local sampler, or images in place of clips"
            )
        message, logprobs = choice.get("message"), choice.get("logprobs")
        content = logprobs.get("content") if isinstance(logprobs, dict) else None
        tokens = [token for token in content or () if isinstance(token, dict)]
        as_completion = {
            **choice,
            "prompt_token_ids": prompt_ids,
            "text": message.get("content") if isinstance(message, dict) else None,
            "logprobs": {"token_logprobs": [token.get("logprob") for token in tokens]},
        }
        return {"choices": [as_completion]}

    def score(self, token_ids: Sequence[int]) -> tuple[float, ...]:
        """Log-probabilities of all but the first of these tokens, at temperature 1, as the server
        has them. RequestError where it tells none."""
        body = {
            **REQUEST_FIELDS,
            "model": self._served_model,
            "prompt": list(token_ids),
            "echo": True,
            "max_tokens": 1,
            "temperature": 1.0,
        }
        response = self._client.request(
            "POST", "completions", body, draw=random.Random(0), stop=threading.Event()
        )
        values = _logprob_list(self._read_choice(response), "token_logprobs")[1 : len(token_ids)]
        if len(values) != len(token_ids) - 1 or not all(
            isinstance(v, int | float) and math.isfinite(v) for v in values
        ):
            raise self._bad_response("expected log-probabilities of the prompt (echo)", response)
        return tuple(float(value) for value in values)

    def use_model(self, name: str) -> None:
        """Ask for another model, or adapter, of the server from now on."""
        self._served_model = name

    def _read_completion(self, request: SampleRequest, response: Mapping[str, Any]) -> Completion:
        choice = self._read_choice(response)
        ids = self._read_token_ids(choice, request)
        reason, text = choice.get("finish_reason"), choice.get("text")
        if reason not in ("stop", "length") or not isinstance(text, str):
            raise self._bad_response("expected a text that ended by 'stop' or 'length'", choice)
        has_end = bool(ids) and ids[-1] in self._end_ids
        # Without its end token the model never learns to stop.
        if reason == "stop" and not has_end:
            self._add_note(NO_END)
        return Completion(
            token_ids=ids,
            logprobs=self._read_logprobs(choice, len(ids), request.temperature),
            text=text.strip(),
            # A server may call an end token that is the last one allowed a matter of length.
            finish_reason="stop" if reason == "stop" or has_end else "length",
        )

    def _read_choice(self, response: Mapping[str, Any]) -> dict[str, Any]:
        choices = response.get("choices")
        if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
            raise self._bad_response("expected one object in 'choices'", response)
        return choices[0]

    def _read_token_ids(self, choice: dict[str, Any], request: SampleRequest) -> tuple[int, ...]:
        """The written ids. UsageError where the server does not tell them, or read other ids than
        it was sent."""
        # A server that truncates or adds a token has answered another question.
        prompt_ids = choice.get("prompt_token_ids")
        if prompt_ids is not None and prompt_ids != list(request.prompt.token_ids):
            raise UsageError(
                f"{self._client.base_url}: the server read another prompt than it was sent "
                f"({len(request.prompt.token_ids)} token ids); what it writes cannot be trained on"
            )
        values = choice.get("token_ids")
        if values is None:  # vLLM's older field
            values = [_parse_token_id(token) for token in _logprob_list(choice, "tokens")] or None
        values = values if isinstance(values, list) else [None]
        ids = [value for value in values if type(value) is int and value >= 0]
        if len(ids) < len(values):
            raise UsageError(
                f"{self._client.base_url}: the server does not tell the ids of the tokens it "
                "wrote, without which nothing can be trained on; serve the model with a vLLM or "
                "SGLang that knows return_token_ids, or use a local sampler"
            )
        if len(ids) > request.max_new_tokens:
            raise self._bad_response(f"expected at most {request.max_new_tokens} tokens", len(ids))
        return tuple(ids)

    def _read_logprobs(
        self, choice: dict[str, Any], count: int, temperature: float
    ) -> tuple[float, ...]:
        """One a token, or none at all; a note says why none. Of greedy requests those at
        temperature 1 are wanted."""
        # At temperature 1 both kinds of server say the same.
        if temperature != 1 and self._at_temperature != (temperature > 0):
            self._add_note(OTHER_TEMPERATURE)
            return ()
        values = _logprob_list(choice, "token_logprobs")
        # Rounding may put a probability a little above 1; more is no probability.
        usable = len(values) == count and all(
            isinstance(v, int | float) and math.isfinite(v) and v <= 1e-3 for v in values
        )
        if not usable:
            self._add_note(NO_LOGPROBS)
            return ()
        return tuple(min(0.0, float(v)) for v in values)

    def _bad_response(self, expected: str, value: Any) -> RequestError:
        excerpt = self._client.said(json.dumps(value, ensure_ascii=False))
        return RequestError(f"{self._client.base_url}/completions: {expected}, found {excerpt}")

    def _add_note(self, text: str) -> None:
        with self._lock:
            self._notes[text] = None


def write_messages(conversation: Conversation) -> list[dict[str, Any]]:
    """A conversation for a server that makes the trainer's very tokens of it: nothing is written
    round its frames. Images travel as PNG, which loses nothing, clips as MP4."""
    return [
        {
            "role": message.role,
            "content": [piece for item in message.parts for piece in _write_part(item)],
        }
        for message in conversation
    ]


def _write_part(item: Part) -> list[dict[str, Any]]:
    if isinstance(item, TextPart):
        return [{"type": "text", "text": break_control_words(item.text)}]
    if item.kind == "video":
        return [_data_part("video", "mp4", encode_mp4(item.frames))]
    return [_data_part("image", "png", encode_image(p, "png")) for p in item.frames.pixels]


def _data_part(kind: str, file_format: str, content: bytes) -> dict[str, Any]:
    url = f"data:{kind}/{file_format};base64,{base64.b64encode(content).decode('ascii')}"
    return {"type": f"{kind}_url", f"{kind}_url": {"url": url}}


def _logprob_list(choice: Mapping[str, Any], name: str) -> list[Any]:
    logprobs = choice.get("logprobs")
    values = logprobs.get(name) if isinstance(logprobs, dict) else None
    return values if isinstance(values, list) else []


def _parse_token_id(token: Any) -> int | None:
    number = token.removeprefix(TOKEN_ID_PREFIX) if isinstance(token, str) else ""
    return int(number) if number != token and number.isdecimal() else None
