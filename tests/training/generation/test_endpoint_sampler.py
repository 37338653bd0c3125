"""Sampling from servers on loopback: one with a real model behind it, others telling too little."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from mmreason.models.base import FramesPart, Message, TextPart
from mmreason.models.endpoint_http import EndpointLimits
from mmreason.models.folders import NANO_FOLDER
from mmreason.training.generation.endpoint import (
    NO_END,
    NO_LOGPROBS,
    OTHER_TEMPERATURE,
    EndpointSampler,
)
from mmreason.training.generation.sampler import LocalSampler, SampleRequest
from mmreason.training.rollouts.types import Completion, Media, Prompt, SampleFailure
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch
from tests.models.servers import Back, Script, Sent, Server, serving

QUICK = EndpointLimits(attempts=2, timeout_s=20.0, total_s=30.0, backoff_s=0.01, concurrency=2)
END = 2
WHOLE = {
    "index": 0,
    "text": " a star ",
    "finish_reason": "stop",
    "token_ids": [7, 8, END],
    "prompt_token_ids": [1, 5],
    "logprobs": {"tokens": ["a", " star", "."], "token_logprobs": [-0.5, -0.25, 0.0]},
}


@pytest.fixture(autouse=True)
def loopback_without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def drawn(
    choice: dict[str, Any] | Script, *, temperature: float = 1.0, **options: Any
) -> tuple[Completion | SampleFailure, EndpointSampler, Server]:
    """(what one draw gave, the sampler, the server)."""
    script = choice if callable(choice) else lambda _: Back({"choices": [choice]})
    with serving(script, "one") as server:
        sampler = EndpointSampler.connect(server.url, end_ids=[END], limits=QUICK, **options)
        try:
            draw = SampleRequest(
                prompt=Prompt((1, 5)), max_new_tokens=4, temperature=temperature, seed=2**62 + 9
            )
            (result,) = sampler.sample([draw])
            return result, sampler, server
        finally:
            sampler.close()


def without(*names: str, **more: Any) -> dict[str, Any]:
    return {k: v for k, v in WHOLE.items() if k not in names} | more


def test_ids_and_logprobs_come_back() -> None:
    result, sampler, server = drawn(WHOLE)
    assert result == Completion(
        token_ids=(7, 8, END), logprobs=(-0.5, -0.25, 0.0), text="a star", finish_reason="stop"
    )
    assert sampler.notes == ()
    body = server.sent[-1].body
    assert server.sent[-1].path == "/v1/completions" and body["prompt"] == [1, 5]
    assert body["seed"] == 9 and body["stop_token_ids"] == [END] and body["max_tokens"] == 4
    assert (body["top_p"], body["top_k"], body["min_p"]) == (1.0, -1, 0.0)
    assert body["return_token_ids"] is True and body["model"] == "one"


def test_ids_in_place_of_tokens_are_read() -> None:
    told = {"tokens": [f"token_id:{i}" for i in (7, 8, END)], "token_logprobs": [-1, -1, -1]}
    result, _, _ = drawn(without("token_ids", "prompt_token_ids", logprobs=told))
    assert isinstance(result, Completion) and result.token_ids == (7, 8, END)
    assert result.logprobs == (-1.0, -1.0, -1.0)


def test_the_length_limit_is_told() -> None:
    result, _, _ = drawn(
        without(finish_reason="length", token_ids=[7, 8], logprobs=None, prompt_token_ids=None)
    )
    assert isinstance(result, Completion) and not result.is_finished and result.logprobs == ()


@pytest.mark.parametrize(
    "choice",
    [
        without("token_ids"),
        without("token_ids", logprobs=None),
        without(token_ids=["7"]),
        without("token_ids", logprobs={"tokens": ["token_id:7", "star"], "token_logprobs": []}),
        without("token_ids", logprobs={"tokens": ["token_id:", "token_id:x"]}),
    ],
)
def test_a_server_that_tells_no_ids_is_refused(choice: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="does not tell the ids of the tokens"):
        drawn(choice)


def test_another_prompt_is_refused() -> None:
    with pytest.raises(UsageError, match="read another prompt than it was sent"):
        drawn(without(prompt_token_ids=[0, 1, 5]))


def test_a_refused_field_is_an_error_for_all() -> None:
    said = {"error": {"message": "Unsupported parameter: return_token_ids"}}
    with pytest.raises(UsageError, match="sampling for training needs this field"):
        drawn(lambda _: Back(said, 400))


def test_frames_are_refused() -> None:
    media = Media(tensors={"pixel_values": torch.zeros(1)}, placeholder_counts={5: 1})
    draw = SampleRequest(prompt=Prompt((1, 5), media), max_new_tokens=4, temperature=1.0, seed=0)
    with serving(lambda _: Back(b""), "one") as server:
        sampler = EndpointSampler.connect(server.url, end_ids=[END], limits=QUICK)
        with pytest.raises(UsageError, match="prompts with frames cannot be sampled"):
            sampler.sample([draw])
        sampler.close()
        assert [one.method for one in server.sent] == ["GET"]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (without(finish_reason="abort"), "ended by 'stop' or 'length'"),
        (without(text=None), "ended by 'stop' or 'length'"),
        (without(token_ids=[7] * 5), "at most 4 tokens, found 5"),
        (lambda _: Back({"choices": []}), "one object in 'choices'"),
        (lambda _: Back(b"oops", 500), "attempt 2 of 2"),
        (lambda _: Back({"error": "too long"}, 400), "too long"),
    ],
)
def test_what_goes_wrong_is_the_failure_of_its_draw(choice: Any, said: str) -> None:
    result, _, _ = drawn(choice)
    assert isinstance(result, SampleFailure)
    assert result.kind == "RequestError" and said in result.message and "\n" not in result.message


@pytest.mark.parametrize(
    ("temperature", "at_temperature", "told"),
    [
        (1.0, False, True),
        (1.0, True, True),
        (0.7, False, False),
        (0.7, True, True),
        (0.0, False, True),
        (0.0, True, False),
    ],
)
def test_logprobs_of_another_temperature_are_left_out(
    temperature: float, at_temperature: bool, told: bool
) -> None:
    result, sampler, _ = drawn(
        WHOLE, temperature=temperature, logprobs_at_temperature=at_temperature
    )
    assert isinstance(result, Completion) and bool(result.logprobs) is told
    assert sampler.notes == (() if told else (OTHER_TEMPERATURE,))


@pytest.mark.parametrize("values", [[-1, -1], [-1, None, -1], [-1, 5.0, -1], [float("nan")] * 3])
def test_unusable_logprobs_are_left_out(values: list[Any]) -> None:
    result, sampler, _ = drawn(without(logprobs={"token_logprobs": values}))
    assert isinstance(result, Completion) and result.logprobs == ()
    assert sampler.notes == (NO_LOGPROBS,)


def test_a_missing_end_token_is_noted() -> None:
    result, sampler, _ = drawn(
        without(token_ids=[7, 8], logprobs={"token_logprobs": [-0.5, -0.25]})
    )
    assert isinstance(result, Completion) and result.is_finished and sampler.notes == (NO_END,)


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSampler]:
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(NANO_FOLDER)
    model = AutoModelForImageTextToText.from_pretrained(NANO_FOLDER, dtype=torch.float32).eval()
    yield LocalSampler(
        model, tokenizer, end_ids=[tokenizer.eos_token_id], pad_id=tokenizer.pad_token_id
    )


def behind(sampler: LocalSampler) -> Script:
    """A server with this sampler behind it, as vLLM answers."""

    def answer(sent: Sent) -> Back:
        body = sent.body
        draw = SampleRequest(
            prompt=Prompt(tuple(body["prompt"])),
            max_new_tokens=body["max_tokens"],
            temperature=body["temperature"],
            seed=body["seed"],
        )
        (written,) = sampler.sample([draw])
        assert isinstance(written, Completion)
        choice = {
            "text": written.text,
            "finish_reason": "stop" if written.is_finished else "length",
            "token_ids": list(written.token_ids),
            "prompt_token_ids": body["prompt"],
            "logprobs": {"token_logprobs": list(written.logprobs)},
        }
        return Back({"choices": [choice]})

    return answer


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_equals_the_local_sampler(local: LocalSampler, temperature: float) -> None:
    requests = [
        SampleRequest(
            prompt=Prompt((1, 300 + i, 310)), max_new_tokens=6, temperature=temperature, seed=i * 7
        )
        for i in range(5)
    ]
    with serving(behind(local), "nano") as server:
        sampler = EndpointSampler.connect(
            server.url, end_ids=local._end_ids, limits=EndpointLimits(concurrency=1)
        )
        found = sampler.sample(requests)
        sampler.close()
    for one, other in zip(found, (local.sample([request])[0] for request in requests), strict=True):
        assert isinstance(one, Completion) and one == other
    assert len({one.token_ids for one in found if isinstance(one, Completion)}) > 1


def framed() -> SampleRequest:
    """A prompt with one image, and the messages it was made of."""
    pixels = np.zeros((1, 4, 6, 3), dtype=np.uint8)
    frames = FrameBatch(pixels=pixels, times_s=np.zeros(1), exact=np.ones(1, bool))
    said = Message("user", (FramesPart(frames, "image"), TextPart("What is it?")))
    media = Media(tensors={"pixel_values": torch.zeros(1)}, placeholder_counts={5: 1})
    return SampleRequest(
        prompt=Prompt((1, 5, 9), media, (said,)), max_new_tokens=4, temperature=1.0, seed=3
    )


def chat(**changes: Any) -> dict[str, Any]:
    choice = {
        "message": {"role": "assistant", "content": " a star "},
        "finish_reason": "stop",
        "token_ids": [7, END],
        "logprobs": {"content": [{"token": "a", "logprob": -0.5}, {"token": ".", "logprob": -0.1}]},
    }
    return {"choices": [choice], "prompt_token_ids": [1, 5, 9]} | changes


def sampled(body: dict[str, Any]) -> tuple[Completion | SampleFailure, Sent]:
    with serving(lambda _: Back(body), "one") as server:
        sampler = EndpointSampler.connect(server.url, end_ids=[END], limits=QUICK)
        try:
            (result,) = sampler.sample([framed()])
            return result, server.sent[-1]
        finally:
            sampler.close()


def test_images_travel_as_messages_and_the_tokens_read_are_checked() -> None:
    result, sent = sampled(chat())
    assert result == Completion(
        token_ids=(7, END), logprobs=(-0.5, -0.1), text="a star", finish_reason="stop"
    )
    assert sent.path == "/v1/chat/completions" and sent.body["return_token_ids"] is True
    image, text = sent.body["messages"][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert text == {"type": "text", "text": "What is it?"} and "prompt" not in sent.body


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt_token_ids": [1, 5, 5, 9]}, "as 4 tokens, the trainer as 3: it takes frames of"),
        ({"prompt_token_ids": [1, 6, 9]}, "as 3 tokens, the trainer as 3 others"),
        ({"prompt_token_ids": None}, "does not tell which tokens it read"),
    ],
)
def test_a_prompt_with_frames_that_is_read_otherwise_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        sampled(chat(**changes))
