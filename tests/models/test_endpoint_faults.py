"""The endpoint's client against a server on loopback that does everything wrong."""

from __future__ import annotations

import random
import threading
import time
from email.utils import formatdate
from typing import Any

import pytest

from mmreason.models.base import GenerateRequest, ModelError
from mmreason.models.endpoint import EndpointModel
from mmreason.models.endpoint_http import EndpointLimits, JsonClient, RequestError
from mmreason.models.endpoint_replies import NO_LOGPROBS, NO_USAGE
from tests.models.servers import (
    Back,
    Script,
    Sent,
    Server,
    completion,
    fine,
    in_turn,
    serving,
    user,
)

QUICK = EndpointLimits(
    attempts=3, timeout_s=5.0, total_s=8.0, backoff_s=0.01, backoff_max_s=0.05, concurrency=4
)


def asked(script: Script, *, limits: EndpointLimits = QUICK, **settings: Any) -> tuple[Any, Server]:
    """(reply or ModelError of one conversation, the server)."""
    with serving(script, "one") as server:
        model = EndpointModel.connect(server.url, limits=limits, **settings)
        try:
            return model.generate(GenerateRequest([user()]))[0], server
        except ModelError as error:
            return error, server
        finally:
            model.close()


FINE = fine()
TRANSIENT = {
    "too many": Back({"error": {"message": "slow down"}}, 429, {"Retry-After": "0"}),
    "internal": Back(b"oops", 500),
    "starting": Back({"error": "loading"}, 503),
    "server's time-out": Back(b"", 408),
    "cut stream": Back(completion("a red star"), cut=True),
    "silence": Back(completion("late"), delay_s=1.0),
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
def test_what_passes_is_tried_again(fault: Back) -> None:
    limits = EndpointLimits(attempts=3, timeout_s=0.4, total_s=8.0, backoff_s=0.01)
    reply, server = asked(in_turn(fault, fault, FINE), limits=limits)
    assert reply.text == "a red star" and len(server.chats) == 3
    bodies = [one.body for one in server.chats]
    assert bodies[0] == bodies[1] == bodies[2]


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
def test_what_does_not_pass_ends_after_the_attempts(fault: Back) -> None:
    limits = EndpointLimits(attempts=2, timeout_s=0.3, total_s=8.0, backoff_s=0.01)
    error, server = asked(in_turn(fault), limits=limits)
    assert isinstance(error, ModelError) and len(server.chats) == 2
    assert f"{server.url}/chat/completions" in str(error) and "attempt 2 of 2" in str(error)
    assert "\n" not in str(error)


def test_the_server_says_how_long_to_wait() -> None:
    busy = Back(b"", 429, {"Retry-After": "1"})
    _, server = asked(in_turn(busy, FINE))
    first, second = (one.at_s for one in server.chats)
    assert 1.0 <= second - first < 3.0


def test_a_date_to_wait_for_is_kept_as_well() -> None:
    busy = Back(b"", 503, {"Retry-After": formatdate(time.time() + 2, usegmt=True)})
    _, server = asked(in_turn(busy, FINE))
    first, second = (one.at_s for one in server.chats)
    assert 0.8 <= second - first < 4.0


def test_a_wait_beyond_the_time_there_is_is_not_begun() -> None:
    began = time.monotonic()
    error, server = asked(in_turn(Back(b"", 429, {"Retry-After": "3600"})))
    assert "asks to wait 3600 s" in str(error) and len(server.chats) == 1
    assert time.monotonic() - began < 5


def test_a_trickle_of_bytes_does_not_outlast_the_time_out() -> None:
    limits = EndpointLimits(attempts=9, timeout_s=0.3, total_s=0.8, backoff_s=0.01)
    began = time.monotonic()
    error, server = asked(in_turn(Back(completion("late"), trickle_s=0.05)), limits=limits)
    assert "no whole answer within" in str(error) and "within 0.8 s" in str(error)
    assert len(server.chats) >= 2 and time.monotonic() - began < 5


class _Noted(threading.Event):
    """Notes the pauses instead of pausing."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses_s.append(timeout)
        return False


def test_pauses_double_and_follow_the_seed() -> None:
    limits = EndpointLimits(attempts=6, backoff_s=1.0, backoff_max_s=6.0)

    def pauses(seed: int) -> list[float]:
        stop = _Noted()
        with serving(in_turn(Back(b"", 500))) as server:
            client = JsonClient(server.url, api_key=None, limits=limits)
            with pytest.raises(RequestError, match="attempt 6 of 6"):
                client.request("GET", "models", draw=random.Random(seed), stop=stop)
            client.close()
        return stop.pauses_s

    drawn = pauses(1)
    assert drawn == pauses(1) != pauses(2)
    for pause_s, longest_s in zip(drawn, (1, 2, 4, 6, 6), strict=True):
        assert longest_s / 2 <= pause_s <= longest_s


FINAL = {
    "no such path": (Back({"detail": "Not Found"}, 404), "status 404: Not Found"),
    "no key": (Back({"error": {"message": "no key"}}, 401), "no key; check the API key"),
    "bad request": (Back({"error": {"message": "too long"}}, 400), "status 400: too long"),
    "other detail": (Back({"detail": [{"msg": "bad"}]}, 422), 'status 422: [{"msg": "bad"}]'),
    "moved": (Back(b"", 307, {"Location": "http://x.example/v2?k=1"}), "to 'http://x.example/v2'"),
    "web page": (
        Back("<html>\n<b>Welcome</b></html>", 200, {"Content-Type": "text/html"}),
        "expected JSON, found text/html: '<html> <b>Welcome</b></html>'",
    ),
    "half": (Back('{"choices": [{"mess'), "expected JSON"),
    "deep": (Back("[" * 200_000), "expected JSON"),
    "empty": (Back(b""), "expected JSON"),
    "stream": (Back("data: {}\n\n", 200, {"Content-Type": "text/event-stream"}), "event-stream"),
    "list": (Back([1]), "expected a JSON object"),
    "nothing": (Back({}), "expected choices[0].message.content, found {}"),
    "no choice": (Back({"choices": []}), "expected choices[0].message.content"),
    "choice": (Back({"choices": "a"}), "expected choices[0].message.content"),
    "odd choice": (Back({"choices": [None]}), "expected choices[0].message.content"),
    "no message": (Back({"choices": [{"text": "a"}]}), "expected a text in choices[0]"),
    "null": (Back({"choices": [{"message": {"content": None}}]}), '{"content": null}'),
    "number": (Back({"choices": [{"message": {"content": 4}}]}), '{"content": 4}'),
    "not zipped": (Back(b"plain", 200, {"Content-Encoding": "gzip"}), "not compressed"),
}


@pytest.mark.parametrize(("back", "words"), FINAL.values(), ids=FINAL)
def test_what_cannot_pass_is_one_line_at_once(back: Back, words: str) -> None:
    error, server = asked(in_turn(back, FINE))
    assert isinstance(error, ModelError) and len(server.chats) == 1
    assert f"{server.url}/chat/completions: " in str(error) and words in str(error)
    assert "\n" not in str(error) and len(str(error)) < 450


def test_a_huge_answer_is_not_read() -> None:
    limits = EndpointLimits(attempts=3, body_bytes=2_000)
    error, server = asked(in_turn(Back(completion("a " * 5_000))), limits=limits)
    assert "larger than 2,000 bytes" in str(error) and len(server.chats) == 1


def test_tokens_that_are_not_counted_are_estimated_and_said_to_be() -> None:
    plain = completion("a red star")
    del plain["usage"], plain["choices"][0]["logprobs"]
    with serving(in_turn(Back(plain)), "one") as server:
        model = EndpointModel.connect(server.url)
        assert model.notes == ()
        reply = model.generate(GenerateRequest([user("x" * 40)]))[0]
        assert (reply.tokens_in, reply.tokens_out, reply.confidence) == (10, 3, None)
        assert set(model.notes) == {NO_USAGE, NO_LOGPROBS}
        model.close()


@pytest.mark.parametrize("told", [None, 4, {}, {"content": []}, {"content": [{"logprob": "x"}]}])
def test_log_probabilities_in_no_known_form_are_left_out(told: Any) -> None:
    odd = completion("a")
    odd["choices"][0]["logprobs"] = told
    reply, _ = asked(in_turn(Back(odd)))
    assert reply.text == "a" and reply.logprobs == () and reply.confidence is None


def test_what_is_told_is_used() -> None:
    back = completion("  a red star\n", system_fingerprint="fp_1")
    with serving(in_turn(Back(back)), "one") as server:
        model = EndpointModel.connect(server.url, options={"extra_body": {"top_k": 5}})
        before = model.fingerprint
        reply = model.generate(
            GenerateRequest([user()], max_new_tokens=9, temperature=0.5, seed=4)
        )[0]
        assert reply.text == "a red star" and reply.logprobs == (-0.25,) * 3
        assert (reply.tokens_in, reply.tokens_out) == (7, 3)
        assert model.notes == ("the server's system_fingerprint is fp_1",)
        assert model.fingerprint == before
        body = server.chats[0].body
        model.close()
    assert body["model"] == "one" and body["max_tokens"] == 9 and body["temperature"] == 0.5
    assert body["logprobs"] is True and body["top_k"] == 5 and body["stream"] is False
    assert body["messages"] == [{"role": "user", "content": "What is this?"}]


def test_equal_conversations_are_drawn_apart_and_again() -> None:
    with serving(in_turn(FINE), "one") as server:
        model = EndpointModel.connect(server.url)
        for _ in range(2):
            model.generate(GenerateRequest([user()] * 3, temperature=1.0, seed=7))
        model.generate(GenerateRequest([user()] * 2, seed=7))
        model.close()
    seeds = [one.body["seed"] for one in server.chats]
    assert len(set(seeds[:3])) == 3 and sorted(seeds[:3]) == sorted(seeds[3:6])
    assert seeds[6:] == [7, 7]


def test_fields_that_are_refused_are_done_without() -> None:
    def picky(sent: Sent) -> Back:
        for field in ("logprobs", "seed", "max_tokens"):
            if field in sent.body:
                return Back({"error": {"message": f"Unsupported parameter: '{field}'"}}, 400)
        return FINE

    with serving(picky, "one") as server:
        model = EndpointModel.connect(server.url, limits=QUICK)
        assert [one.text for one in model.generate(GenerateRequest([user()] * 2))] == [
            "a red star"
        ] * 2
        before = len(server.chats)
        model.generate(GenerateRequest([user()]))
        assert len(server.chats) == before + 1
        assert server.chats[-1].body["max_completion_tokens"] == 96
        assert [note for note in model.notes if "refuses" in note] == [
            "the server refuses 'logprobs', which is left out",
            "the server refuses 'seed', which is left out",
            "the server refuses 'max_tokens', which is sent as max_completion_tokens",
        ]
        model.close()


def test_a_limit_that_is_too_large_is_no_refusal() -> None:
    error, server = asked(in_turn(Back({"error": {"message": "max_tokens is too large"}}, 400)))
    assert "max_tokens is too large" in str(error) and len(server.chats) == 1


def test_replies_keep_their_order_and_the_limit_holds() -> None:
    def slow(sent: Sent) -> Back:
        text = sent.body["messages"][0]["content"]
        return Back(completion(text), delay_s=0.3 if int(text) % 3 == 0 else 0.02)

    with serving(slow, "one") as server:
        model = EndpointModel.connect(server.url, limits=QUICK)
        replies = model.generate(GenerateRequest([user(str(i)) for i in range(12)]))
        model.close()
    assert [one.text for one in replies] == [str(i) for i in range(12)]
    assert 2 <= server.most_at_once <= QUICK.concurrency


def test_one_failure_loses_no_other_reply() -> None:
    def some(sent: Sent) -> Back:
        text = sent.body["messages"][0]["content"]
        return Back({"error": "no"}, 400) if text in ("1", "3") else Back(completion(text))

    with serving(some, "one") as server:
        model = EndpointModel.connect(server.url, limits=QUICK)
        with pytest.raises(
            ModelError, match=r"2 of 5 .* \(no\. 2, 4\): .*status 400: no"
        ) as caught:
            model.generate(GenerateRequest([user(str(i)) for i in range(5)]))
        model.close()
    kept = [None if one is None else one.text for one in caught.value.replies]
    assert kept == ["0", None, "2", None, "4"] and set(caught.value.errors) == {1, 3}
