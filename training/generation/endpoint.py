"""Completions from an OpenAI-compatible server that tells token ids: vLLM, SGLang.

Prompts go as lists of token ids to `/v1/completions`, and the written ids come back
(`return_token_ids`, or vLLM's older `return_tokens_as_token_ids`): text is never encoded again. A
server that tells no ids is an error. Truncation and penalties are switched off by name, since
servers take them from a model's `generation_config.json` otherwise. Prompts with frames are
refused, since such requests cannot hold frames together with token ids; nothing brings new weights
to the server.

    EndpointSampler.connect("http://localhost:8000/v1", end_ids=[151645])
"""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from mmreason.models.endpoint_connect import connect_client
from mmreason.models.endpoint_http import (
    EndpointLimits,
    JsonClient,
    RequestError,
)
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
REQUIRED_FIELDS = ("return_token_ids", "logprobs", "top_k", "top_p")
TOKEN_ID_PREFIX = "token_id:"
"""What vLLM writes before a number in place of a token's text."""
NO_LOGPROBS = "the server tells no usable log-probabilities of what it wrote"
OTHER_TEMPERATURE = (
    "log-probabilities are left out: the server gives them at temperature 1, not at that of the "
    "request (vLLM: start it with --logprobs-mode processed_logprobs and say "
    "logprobs_at_temperature)"
)
NO_END = "the server leaves the end token out of what it wrote, so that it is not trained on"


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
        """See `Sampler`. A call that fails after all its tries is the failure of its request; a
        server that tells no token ids, and a prompt with frames, are a UsageError for all."""
        if any(request.prompt.media is not None for request in requests):
            raise UsageError(
                f"{self._client.base_url}: prompts with frames cannot be sampled from an endpoint: "
                "it takes token ids or frames, never both; use a local sampler"
            )
        stop = threading.Event()

        def sample_at(index: int) -> Completion | SampleFailure:
            try:
                return self._complete(requests[index], stop)
            # Mistakes of use would befall every request, so they are raised.
            except RequestError as error:
                return SampleFailure(kind=type(error).__name__, message=str(error))

        return side_by_side(sample_at, len(requests), self._limits.concurrency, stop)

    def _complete(self, request: SampleRequest, stop: threading.Event) -> Completion:
        body = {
            **REQUEST_FIELDS,
            "model": self._served_model,
            # No text: a template or tokenizer of the server's might read it in another way.
            "prompt": list(request.prompt.token_ids),
            "max_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "seed": request.seed % 2**31,  # servers take 32 bits, some of them signed
            "stop_token_ids": list(self._end_ids),
        }
        # Pauses before further tries are drawn at random, so that requests do not come in step.
        pause = random.Random(request.seed)
        try:
            response = self._client.request("POST", "completions", body, draw=pause, stop=stop)
        except RequestError as error:
            # A server without one of these would sample from another distribution than is trained
            # on.
            if error.status in (400, 422) and refused_field(str(error), REQUIRED_FIELDS):
                raise UsageError(f"{error}: sampling for training needs this field") from error
            raise
        return self._read_completion(request, response)

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


def _logprob_list(choice: Mapping[str, Any], name: str) -> list[Any]:
    logprobs = choice.get("logprobs")
    values = logprobs.get(name) if isinstance(logprobs, dict) else None
    return values if isinstance(values, list) else []


def _parse_token_id(token: Any) -> int | None:
    number = token.removeprefix(TOKEN_ID_PREFIX) if isinstance(token, str) else ""
    return int(number) if number != token and number.isdecimal() else None
