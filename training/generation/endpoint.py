"""Draws continuations from an OpenAI-compatible server that tells token ids: vLLM, SGLang.

Prompts go as lists of token ids to `/v1/completions`, and the written ids come back
(`return_token_ids`, or vLLM's older `return_tokens_as_token_ids`): text is never encoded again. A
server that tells no ids is an error. Truncation and penalties are switched off by name, since
servers take them from a model's `generation_config.json` otherwise. Leaves out frames, which such
requests cannot hold together with token ids, and bringing new weights to the server.

    EndpointSampler.connect("http://localhost:8000/v1", end_ids=[151645])
"""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from mmreason.models.endpoint import connect_client
from mmreason.models.endpoint_http import (
    EndpointLimits,
    JsonClient,
    RequestError,
)
from mmreason.models.endpoint_replies import refused_field
from mmreason.models.threads import side_by_side
from mmreason.training.generation.sampler import Draw
from mmreason.training.rollouts.types import SampleFailure, Written
from mmreason.types import UsageError

PLAIN: Mapping[str, Any] = {
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
NEEDED = ("return_token_ids", "logprobs", "top_k", "top_p")
TOKEN = "token_id:"
"""What vLLM writes before a number in place of a token's text."""
NO_LOGPROBS = "the server tells no usable log-probabilities of what it wrote"
OTHER_TEMPERATURE = (
    "log-probabilities are left out: the server gives them at temperature 1, not at that of the "
    "draw (vLLM: start it with --logprobs-mode processed_logprobs and say logprobs_at_temperature)"
)
NO_END = "the server leaves the end token out of what it wrote, so that it is not trained on"


class EndpointSampler:
    """A served model. See `Sampler`; one request a draw, several at a time."""

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
        server's log-probabilities are those of the distribution it draws from; without it they are
        taken to be at temperature 1, and left out where draws are at another. Raises UsageError
        when the server cannot be reached or the model not be told.
        """
        limits = limits or EndpointLimits()
        client, served_model, notes = connect_client(url, served_model, api_key, limits)
        return cls(
            client,
            served_model,
            end_ids=end_ids,
            limits=limits,
            logprobs_at_temperature=logprobs_at_temperature,
            notes=notes,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the server did not tell so far."""
        with self._lock:
            return tuple(self._notes)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def draw(self, draws: Sequence[Draw]) -> list[Written | SampleFailure]:
        """See `Sampler`. A request that fails after its attempts is the failure of its draw; a
        server that tells no token ids, and a prompt with frames, are a UsageError for all."""
        if any(draw.prompt.media is not None for draw in draws):
            raise UsageError(
                f"{self._client.base_url}: prompts with frames cannot be drawn from an endpoint: "
                "it takes token ids or frames, never both; use a local sampler"
            )
        stop = threading.Event()

        def one(place: int) -> Written | SampleFailure:
            try:
                return self._draw(draws[place], stop)
            except RequestError as error:
                return SampleFailure(kind=type(error).__name__, message=str(error))

        return side_by_side(one, len(draws), self._limits.concurrency, stop)

    def _draw(self, draw: Draw, stop: threading.Event) -> Written:
        body = {
            **PLAIN,
            "model": self._served_model,
            "prompt": list(draw.prompt.token_ids),
            "max_tokens": draw.max_new_tokens,
            "temperature": draw.temperature,
            "seed": draw.seed % 2**31,
            "stop_token_ids": list(self._end_ids),
        }
        pause = random.Random(draw.seed)
        try:
            answer = self._client.request("POST", "completions", body, draw=pause, stop=stop)
        except RequestError as error:
            if error.status in (400, 422) and refused_field(str(error), NEEDED):
                raise UsageError(f"{error}: sampling for training needs this field") from error
            raise
        return self._written(draw, answer)

    def _written(self, draw: Draw, answer: Mapping[str, Any]) -> Written:
        choice = self._choice(answer)
        ids = self._token_ids(choice, draw)
        reason, text = choice.get("finish_reason"), choice.get("text")
        if reason not in ("stop", "length") or not isinstance(text, str):
            raise self._failed("expected a text that ended by 'stop' or 'length'", choice)
        ended = reason == "stop" or (bool(ids) and ids[-1] in self._end_ids)
        if ended and (not ids or ids[-1] not in self._end_ids):
            self._note(NO_END)
        return Written(
            token_ids=ids,
            logprobs=self._logprobs(choice, len(ids), draw.temperature),
            text=text.strip(),
            ended=ended,
        )

    def _choice(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        choices = answer.get("choices")
        if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
            raise self._failed("expected one object in 'choices'", answer)
        return choices[0]

    def _token_ids(self, choice: dict[str, Any], draw: Draw) -> tuple[int, ...]:
        """The written ids. UsageError where the server does not tell them, or read other ids than
        it was sent."""
        read = choice.get("prompt_token_ids")
        if read is not None and read != list(draw.prompt.token_ids):
            raise UsageError(
                f"{self._client.base_url}: the server read another prompt than it was sent "
                f"({len(draw.prompt.token_ids)} token ids); what it writes cannot be trained on"
            )
        told = choice.get("token_ids")
        if told is None:
            told = [_id_of(token) for token in _told(choice, "tokens")] or None
        known = told if isinstance(told, list) else [None]
        ids = [one for one in known if type(one) is int and one >= 0]
        if len(ids) < len(known):
            raise UsageError(
                f"{self._client.base_url}: the server does not tell the ids of the tokens it "
                "wrote, without which nothing can be trained on; serve the model with a vLLM or "
                "SGLang that knows return_token_ids, or use a local sampler"
            )
        if len(ids) > draw.max_new_tokens:
            raise self._failed(f"expected at most {draw.max_new_tokens} tokens", len(ids))
        return tuple(ids)

    def _logprobs(
        self, choice: dict[str, Any], count: int, temperature: float
    ) -> tuple[float, ...]:
        """One a token, or none at all; a note says why none. Of greedy draws those at temperature
        1 are wanted."""
        if temperature != 1 and self._at_temperature != (temperature > 0):
            self._note(OTHER_TEMPERATURE)
            return ()
        values = _told(choice, "token_logprobs")
        usable = len(values) == count and all(
            isinstance(v, int | float) and math.isfinite(v) and v <= 1e-3 for v in values
        )
        if not usable:
            self._note(NO_LOGPROBS)
            return ()
        return tuple(min(0.0, float(v)) for v in values)

    def _failed(self, wanted: str, found: Any) -> RequestError:
        shown = self._client.said(json.dumps(found, ensure_ascii=False))
        return RequestError(f"{self._client.base_url}/completions: {wanted}, found {shown}")

    def _note(self, text: str) -> None:
        with self._lock:
            self._notes[text] = None


def _told(choice: Mapping[str, Any], name: str) -> list[Any]:
    told = choice.get("logprobs")
    values = told.get(name) if isinstance(told, dict) else None
    return values if isinstance(values, list) else []


def _id_of(token: Any) -> int | None:
    number = token.removeprefix(TOKEN) if isinstance(token, str) else ""
    return int(number) if number != token and number.isdecimal() else None
