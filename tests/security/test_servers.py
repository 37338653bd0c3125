"""Servers that mean harm: they drip, flood, lie in numbers and send the key back."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import math
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.agent.question import Question
from mmreason.models.base import GenerateRequest, ModelError
from mmreason.models.endpoint import KEY_CAME_BACK, EndpointModel
from mmreason.models.endpoint_http import EndpointLimits, JsonClient, RequestError
from mmreason.models.endpoint_replies import MOST_MODELS, NO_LOGPROBS, NO_USAGE
from mmreason.models.key_cleaning import PART_LENGTH, KeyCleaner
from mmreason.reasoner import Reasoner
from mmreason.types import Budget, StopReason, UsageError
from mmreason.video.world.script import Scene, World
from tests.models.servers import Back, Script, completion, in_turn, listing, serving, user

TICK_S = 0.05
QUICK = EndpointLimits(attempts=2, timeout_s=0.3, total_s=0.5, backoff_s=0.01)
ENDED_S = 3.0
"""A call with these limits is over by then on a busy machine; a server drips for 20 s."""
DRIPS_FOR_S = 20.0

Write = Callable[[bytes], None]


@pytest.fixture(autouse=True)
def loopback_without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@contextlib.contextmanager
def dripping(start: bytes, pieces: Callable[[], Iterator[bytes]], tick_s: float) -> Iterator[str]:
    """URL of a server that reads a request, writes `start` and then a piece each `tick_s`, until
    it is closed."""
    closing = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(TICK_S)

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(start)
            ends = time.monotonic() + DRIPS_FOR_S
            for piece in pieces():
                if closing.wait(tick_s) or time.monotonic() > ends:
                    return
                connection.sendall(piece)

    def accept() -> None:
        threads = []
        while not closing.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                connection.settimeout(5)
                threads.append(threading.Thread(target=serve, args=(connection,)))
                threads[-1].start()
        for thread in threads:
            thread.join()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        closing.set()
        thread.join()
        listener.close()


def each_byte(pattern: bytes) -> Callable[[], Iterator[bytes]]:
    """The bytes of a pattern one by one, for ever."""
    return lambda: (bytes([byte]) for byte in itertools.cycle(pattern))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
GZIP_NAME = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff"
"""The start of a gzip stream in front of a file name without an end."""
EMPTY_BLOCK = b"\0\0\0\xff\xff"
DRIPS = {
    "status line": (b"", each_byte(b"HTTP/1.1 200 OK")),
    "header lines": (HEAD, lambda: itertools.repeat(b"X-A: b\r\n")),
    "one header": (HEAD + b"X-A: ", each_byte(b"b")),
    "100 Continue": (b"", lambda: itertools.repeat(CONTINUE)),
    "chunk extension": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", each_byte(b"a")),
    "chunk size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", each_byte(b"0")),
    "trailers": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
        lambda: itertools.repeat(b"A: b\r\n"),
    ),
    "body": (HEAD + b"Content-Length: 9999\r\n\r\n", each_byte(b" ")),
    "gzip header": (
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n" + GZIP_NAME,
        each_byte(b"a"),
    ),
    "gzip of nothing": (
        HEAD
        + b"Content-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\xff",
        each_byte(EMPTY_BLOCK),
    ),
    "silence": (b"", lambda: itertools.repeat(b"")),
}


@pytest.mark.parametrize(("start", "pieces"), DRIPS.values(), ids=DRIPS)
def test_a_call_ends_in_time_whatever_the_server_drips(start, pieces) -> None:
    before = threading.active_count()
    with dripping(start, pieces, TICK_S) as url:
        client = JsonClient(url, api_key=None, limits=QUICK)
        began = time.monotonic()
        for method, path, body in (("GET", "models", None), ("POST", "chat/completions", {})):
            with pytest.raises(RequestError, match=f"{url}/{path}: ") as error:
                client.request(method, path, body, draw=random.Random(0), stop=threading.Event())
            assert "\n" not in str(error.value)
        assert time.monotonic() - began < ENDED_S
        client.close()
    assert threading.active_count() == before


def test_a_flood_of_continue_at_full_speed_ends_in_time() -> None:
    with dripping(b"", lambda: itertools.repeat(CONTINUE * 1000), 0.0) as url:
        client = JsonClient(url, api_key=None, limits=QUICK)
        began = time.monotonic()
        with pytest.raises(RequestError, match="no whole answer within"):
            client.request("GET", "models", draw=random.Random(0), stop=threading.Event())
        assert time.monotonic() - began < ENDED_S
        client.close()


def test_a_handshake_that_never_ends_is_given_up() -> None:
    hello = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"  # a record of TLS, in front of 16 kB
    with dripping(hello, each_byte(b"\0"), TICK_S) as url:
        client = JsonClient(url.replace("http:", "https:"), api_key=None, limits=QUICK)
        began = time.monotonic()
        with pytest.raises(RequestError, match="no whole answer within"):
            client.request("GET", "models", draw=random.Random(0), stop=threading.Event())
        assert time.monotonic() - began < ENDED_S
        client.close()


def test_a_server_that_does_not_read_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        client = JsonClient(url, api_key=None, limits=QUICK)
        began = time.monotonic()
        with pytest.raises(RequestError, match="no whole answer within"):
            client.request(
                "POST", "x", {"a": "b" * 30_000_000}, draw=random.Random(0), stop=threading.Event()
            )
        assert time.monotonic() - began < ENDED_S
        client.close()


def test_a_proxy_that_drips_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    with dripping(HEAD, lambda: itertools.repeat(b"X-A: b\r\n"), TICK_S) as proxy:
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", proxy.removesuffix("/v1"))
            client = JsonClient(f"{scheme}://server.example/v1", api_key=None, limits=QUICK)
            began = time.monotonic()
            with pytest.raises(RequestError, match="no whole answer within"):
                client.request("GET", "models", draw=random.Random(0), stop=threading.Event())
            assert time.monotonic() - began < ENDED_S
            client.close()


def test_the_total_holds_over_all_requests_of_one_reply() -> None:
    """Each field that is refused costs a request more."""

    def picky(sent: Any) -> Back:
        field = next(f for f in ("logprobs", "seed", "temperature", "max_tokens") if f in sent.body)
        return Back({"error": f"unsupported parameter {field}"}, 400, delay_s=0.2)

    limits = EndpointLimits(attempts=2, timeout_s=0.4, total_s=0.5, backoff_s=0.01)
    with serving(picky, "m") as server:
        model = EndpointModel.connect(server.url, limits=limits)
        with pytest.raises(ModelError):
            model.generate(GenerateRequest([user()]))
        assert len(server.chats) < 4
        model.close()


def test_deadlines_hold_for_each_conversation_of_a_call() -> None:
    with serving(lambda _: Back(completion("late"), delay_s=0.4), "m") as server:
        model = EndpointModel.connect(server.url)
        now = time.monotonic()
        with pytest.raises(ModelError) as error:
            model.generate(
                GenerateRequest([user()] * 3, deadlines_s=[now + 0.1, math.inf, now - 1.0])
            )
        assert [reply and reply.text for reply in error.value.replies] == [None, "late", None]
        assert "no whole answer within 0.0" in error.value.errors[0]
        assert "nothing was sent" in error.value.errors[2]
        assert len(server.chats) == 2
        model.close()


@pytest.fixture
def short_video(tmp_path: Path) -> Path:
    """Four seconds of a grey background."""
    scene = Scene(start_s=0, end_s=4)
    return World(width_px=64, height_px=36, fps_hz=5, scenes=(scene,)).save(tmp_path / "w.json")


ANSWERS = (Back(completion("a red circle")), Back(completion("late"), delay_s=0.5))
"""The first at once, the others late."""


@pytest.mark.parametrize("many", [False, True], ids=["ask", "ask_many"])
@pytest.mark.parametrize("backs", [ANSWERS, ANSWERS[1:]], ids=["late check", "late look"])
def test_a_budget_of_seconds_ends_a_call_and_gives_the_answer_so_far(
    short_video, many: bool, backs: tuple[Back, ...]
) -> None:
    with serving(in_turn(*backs), "m") as server:
        # One look, and then its check: the policy of nano.
        model = EndpointModel.connect(server.url, options={"tier": "nano"})
        reasoner = Reasoner(model)
        question, budget = "What colour is the circle?", Budget(seconds=0.4)
        began = time.monotonic()
        if many:
            items = [Question(video=str(short_video), text=question, id="1")]
            answer = next(iter(reasoner.ask_many(items, budget=budget))).answer
        else:
            answer = reasoner.ask(short_video, question, budget=budget)
        assert time.monotonic() - began < ENDED_S
        model.close()
    assert answer is not None and answer.stop_reason is StopReason.BUDGET_SECONDS
    assert ("red" in answer.text) == (backs is ANSWERS)


def test_a_budget_of_seconds_ends_a_call_to_the_model_that_decides(short_video) -> None:
    from mmreason.policies.longvideo_r1 import LongVideoR1

    with (
        serving(in_turn(ANSWERS[0]), "eye") as eye,
        serving(in_turn(ANSWERS[1]), "mind") as mind,
    ):
        observer, decider = (EndpointModel.connect(server.url) for server in (eye, mind))
        reasoner = Reasoner(decider, observer=observer, policy=LongVideoR1())
        answer = reasoner.ask(short_video, "What is this?", budget=Budget(seconds=0.4))
        assert answer.stop_reason is StopReason.BUDGET_SECONDS
        assert len(mind.chats) == 1
        observer.close()
        decider.close()


def reply_to(body: Any, *, headers: dict[str, str] | None = None, **settings: Any) -> Any:
    """(reply, notes) of one conversation, or the error."""
    with serving(in_turn(Back(body, headers=headers or {})), "m") as server:
        model = EndpointModel.connect(server.url, limits=QUICK, **settings)
        try:
            return model.generate(GenerateRequest([user()], max_new_tokens=10))[0], model.notes
        except ModelError as error:
            return error, model.notes
        finally:
            model.close()


def test_a_reply_is_cut_to_what_was_asked_for_and_says_so() -> None:
    body = completion("a " * 50_000)
    body["choices"][0]["message"]["reasoning_content"] = "b " * 40_000
    reply, notes = reply_to(body)
    assert len(reply.text) <= 1160 and len(reply.thought) <= 1160
    assert any("a reply of 100,000 characters where 10 tokens" in note for note in notes)
    assert any("a thought of" in note for note in notes)
    short, notes = reply_to(completion("a " * 300))
    assert len(short.text) == 599 and not any("asked for" in note for note in notes)


def test_tokens_that_extra_settings_ask_for_are_not_cut() -> None:
    reply, notes = reply_to(completion("a " * 5_000), options={"extra_body": {"max_tokens": 9_000}})
    assert len(reply.text) == 9_999 and not any("asked for" in note for note in notes)


@pytest.mark.parametrize(
    "count", ["1" * 400, "NaN", "-1", "1.5", "true", '"7"', "1e999", "Infinity", "[1]", "null"]
)
def test_counts_that_are_none_are_estimated_and_said_to_be(count: str) -> None:
    raw = json.dumps(completion("a red star")).replace(
        '"prompt_tokens": 7', f'"prompt_tokens": {count}'
    )
    reply, notes = reply_to(raw)
    assert reply.text == "a red star" and 0 <= reply.tokens_in < 100 and NO_USAGE in notes


@pytest.mark.parametrize(
    "logprob", ["NaN", "Infinity", "-Infinity", "1" * 400, "true", '"x"', "1e999"]
)
def test_log_probabilities_that_are_none_are_left_out(logprob: str) -> None:
    raw = json.dumps(completion("star")).replace("-0.25", logprob)
    reply, notes = reply_to(raw)
    assert reply.text == "star" and reply.logprobs == () and NO_LOGPROBS in notes


def test_a_list_of_log_probabilities_longer_than_a_reply_is_left_out() -> None:
    body = completion("star")
    body["choices"][0]["logprobs"]["content"] = [{"logprob": -0.1}] * 5_000
    assert reply_to(body)[0].logprobs == ()


def test_half_characters_become_characters_that_can_be_written() -> None:
    reply, _ = reply_to('{"choices": [{"message": {"content": "a \\ud800 star"}}]}')
    assert reply.text == "a \ufffd star" and reply.text.encode()


@pytest.mark.parametrize(
    "header",
    [
        "9" * 400,
        "9" * 5000,
        "-5",
        "1.5",
        "NaN",
        "\xb2",
        "Mon, 99 Foo 99999 99:99:99 GMT",
        "",
        "," * 90,
    ],
)
def test_a_wait_of_any_form_is_bounded_or_ignored(header: str) -> None:
    back = Back(b"", 429, {"Retry-After": header})
    with serving(in_turn(back, back, Back(completion("x"))), "m") as server:
        model = EndpointModel.connect(server.url, limits=QUICK)
        began = time.monotonic()
        with pytest.raises(ModelError, match="status 429"):
            model.generate(GenerateRequest([user()]))
        assert time.monotonic() - began < ENDED_S
        model.close()


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b'"' + b" " * 60_000_000)
    error, _ = reply_to(bomb, headers={"Content-Encoding": "gzip"})
    assert "larger than 16,777,216 bytes" in str(error)


def test_json_that_nests_too_deep_is_refused_in_one_line() -> None:
    error, _ = reply_to('{"choices": ' + "[" * 50_000)
    assert "brackets inside each other" in str(error) and "\n" not in str(error)


def test_a_list_of_models_is_read_within_limits() -> None:
    names = [f"model-{i}" for i in range(5 * MOST_MODELS)]
    for listed in (names, ["x" * 10_000], ["a\x1b[2Jb"], ["a\nb"], [""]):
        with serving(in_turn(Back(listing(*listed)))) as server:
            with pytest.raises(UsageError, match="expected one model, found") as error:
                EndpointModel.connect(server.url)
            assert len(str(error.value)) < 600 and "\x1b" not in str(error.value)


KEY = "sk-Very-S3cret/Word_0123456789"
PIECES = {
    "whole": KEY,
    "one short": KEY[:-1],
    "without its start": KEY[3:],
    "two pieces": f"{KEY[:15]} and {KEY[15:]}",
    "twice": KEY * 2,
    "in a word": f"x{KEY}y",
    "eight characters": KEY[9:17],
    "header": f"Bearer {KEY}",
}


def holds_key(text: str) -> bool:
    return any(KEY[i : i + PART_LENGTH] in text for i in range(len(KEY) - PART_LENGTH + 1))


def leaks(body: Any) -> Script:
    return in_turn(Back(body))


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_a_key_that_comes_back_is_in_no_reply_and_no_error(piece: str) -> None:
    body = completion(piece, system_fingerprint=piece)
    body["choices"][0]["message"]["reasoning"] = piece
    half = len(piece) // 2
    parts = [{"type": "text", "text": text} for text in (piece[:half], piece[half:])]
    in_parts = completion("")
    in_parts["choices"][0]["message"]["content"] = parts
    escaped = json.dumps({"error": "?"}).replace("?", "".join(f"\\u{ord(c):04x}" for c in piece))
    for answer in (body, in_parts, {"error": piece}, {piece: piece}, piece, escaped):
        with serving(leaks(answer), "m") as server:
            model = EndpointModel.connect(server.url, api_key=KEY, served_model="m", limits=QUICK)
            try:
                outcome: Any = model.generate(GenerateRequest([user()]))
                assert KEY_CAME_BACK in model.notes
            except ModelError as error:
                outcome = error
            assert not holds_key(f"{outcome!r} {model.notes} {model!r}")
            model.close()


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_a_model_that_is_named_like_the_key_is_no_model(piece: str) -> None:
    for names in ((piece,), (piece, "other", "third")):
        with serving(leaks(listing(*names))) as server:
            with pytest.raises(UsageError) as error:
                EndpointModel.connect(server.url, api_key=KEY)
            assert not holds_key(str(error.value))


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{KEY}@127.0.0.1:9/v1",
        f"http://{KEY.replace('/', '')}@127.0.0.1:9/v1",
        f"http://127.0.0.1:9/v1?api_key={KEY}",
        f"http://127.0.0.1:9/v1#{KEY}",
        f"http://user:{KEY}@[::1/v1",
    ],
)
def test_a_url_with_credentials_is_refused_unseen(url: str) -> None:
    with pytest.raises(UsageError) as error:
        EndpointModel.connect(url)
    assert not holds_key(str(error.value)) and "Very" not in str(error.value)


ALPHABET = st.text("abc-1", max_size=40)


@given(key=st.text("abc-1", min_size=PART_LENGTH, max_size=24), before=ALPHABET, after=ALPHABET)
def test_no_part_of_a_key_is_left_and_nothing_else_is_taken(key, before, after) -> None:
    text = f"{before}{key}{after}"
    cleaned = KeyCleaner(key).clean_text(text)
    parts = {key[i : i + PART_LENGTH] for i in range(len(key) - PART_LENGTH + 1)}
    assert not any(part in cleaned for part in parts)
    covered = {
        i + k
        for i in range(len(text))
        if text[i : i + PART_LENGTH] in parts
        for k in range(PART_LENGTH)
    }
    rest = "".join(character for i, character in enumerate(text) if i not in covered)
    assert cleaned.replace("[key]", "") == rest


def test_a_short_key_is_taken_out_as_a_word() -> None:
    cleaner = KeyCleaner("star")
    assert cleaner.clean_text("a star starts") == "a [key] starts"
    assert KeyCleaner(None).clean_text(KEY) == KEY
