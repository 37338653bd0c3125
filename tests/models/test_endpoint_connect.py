"""Connecting to an endpoint: which server, which model, what it is sent, and leaving it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmreason import models
from mmreason.models.base import GenerateRequest
from mmreason.models.endpoint import EndpointModel
from mmreason.models.endpoint_http import EndpointLimits
from mmreason.types import UsageError
from tests.models.servers import (
    Back,
    Sent,
    Server,
    completion,
    fine,
    in_turn,
    listing,
    serving,
    user,
)

ROOT = Path(__file__).parents[2]
FINE = fine()


MODELS = {
    "none": (Back(listing()), "found none"),
    "several": (Back(listing("a", "b")), "found a, b; name the one"),
    "no list": (Back({"data": None}), "expected a list of models"),
    "web page": (Back("<html>"), "expected JSON"),
    "missing": (Back(b"", 404), "status 404"),
}


@pytest.mark.parametrize(("back", "words"), MODELS.values(), ids=MODELS)
def test_the_model_must_be_clear(back: Back, words: str) -> None:
    def script(sent: Sent) -> Back:
        return back if sent.path.endswith("/models") else FINE

    with serving(script) as server:
        with pytest.raises(UsageError) as caught:
            models.load(server.url)
        assert words in str(caught.value) and f"{server.url}/models" in str(caught.value)
        if back.body == "<html>":
            with pytest.raises(UsageError, match="expected JSON"):
                models.load(server.url, served_model="b")
            return
        named = models.load(server.url, served_model="b")
        assert named.generate(GenerateRequest([user()]))[0].text == "a red star"
        assert server.chats[0].body["model"] == "b"
    assert [note for note in named.notes if "taken as given" in note] == list(named.notes)
    assert bool(named.notes) == (words != "found a, b; name the one")


def test_a_server_that_is_not_there_is_one_quick_line() -> None:
    with serving(in_turn(FINE)) as server:
        url = server.url
    began = time.monotonic()
    with pytest.raises(UsageError, match="the connection failed") as caught:
        models.load(url, served_model="a")
    assert url in str(caught.value) and "\n" not in str(caught.value)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://[",
        "http://host:port/v1",
        "https://anna:s3cret@host/v1",
        "https://host/v1?key=s3cret",
        "https://host/v1#s3cret",
    ],
)
def test_what_is_no_url_is_told_without_its_secrets(url: str) -> None:
    with pytest.raises(UsageError, match="the URL of the endpoint") as caught:
        models.load(url)
    assert "s3cret" not in str(caught.value) and "anna" not in str(caught.value)


def test_settings_of_the_other_kind_are_refused() -> None:
    with pytest.raises(UsageError, match="set by its server"):
        models.load("http://127.0.0.1:9/v1", dtype="bfloat16")
    of_servers: list[dict[str, Any]] = [{"served_model": "a"}, {"api_key": "s3cret"}]
    for settings in of_servers:
        with pytest.raises(UsageError, match="go with the URL of a server") as caught:
            models.load("nano", **settings)
        assert "s3cret" not in str(caught.value)
    with pytest.raises(UsageError, match="above 0"):
        EndpointLimits(attempts=0)


def test_the_fingerprint_follows_what_is_sent() -> None:
    with serving(in_turn(FINE), "one", "two") as server:
        variants: list[dict[str, Any]] = [
            {"served_model": "one"},
            {"served_model": "two"},
            {"served_model": "one", "options": {"frames_as": "video"}},
            {"served_model": "one", "options": {"image_format": "png"}},
            {"served_model": "one", "options": {"extra_body": {"top_k": 1}}},
        ]
        loaded = [EndpointModel.connect(server.url, **one) for one in variants]
        again = EndpointModel.connect(server.url + "/", **variants[0])
    assert len({one.fingerprint for one in loaded}) == len(variants)
    assert again.fingerprint == loaded[0].fingerprint


@pytest.fixture
def slow_server() -> Iterator[Server]:
    with serving(in_turn(Back(completion("late"), delay_s=20.0)), "one") as server:
        yield server


@pytest.mark.parametrize("count", [1, 5])
def test_ctrl_c_waits_for_no_request(slow_server: Server, count: int) -> None:
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from mmreason import models\n"
        "from mmreason.models import GenerateRequest, Message, TextPart\n"
        f"model = models.load({slow_server.url!r})\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
        f"model.generate(GenerateRequest([[Message('user', (TextPart('?'),))]] * {count}))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        stderr=subprocess.PIPE,
    )
    ends = time.monotonic() + 60
    while len(slow_server.chats) < count and time.monotonic() < ends and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, errors = child.communicate(timeout=15)
    assert time.monotonic() - began < 8
    assert b"KeyboardInterrupt" in errors and len(slow_server.chats) == count, errors
