"""Recognisers: real weights, a server, transformers' classes with random weights."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmreason.video import Span
from mmreason.video.audio import AudioSamples
from mmreason.video.speech import (
    RecogniserError,
    load_recogniser,
    transcribe,
)
from mmreason.video.speech.endpoint import EndpointRecogniser

KEY = "sk-0123456789abcdef"
SOUND = AudioSamples(
    samples=np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32),
    rate_hz=16_000,
    start_s=10.0,
)


class Server:
    """Answers transcription requests on loopback by a script, and keeps what it got."""

    def __init__(self, answers: list[tuple[int, bytes]]) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                outer.got.append((dict(self.headers), self.rfile.read(length)))
                status, body = answers[min(len(outer.got), len(answers)) - 1]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*answers: tuple[int, bytes]) -> Server:
        servers.append(Server(list(answers)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


ANSWER = {
    "text": "Hello there. Bye.",
    "language": "english",
    "segments": [
        {"start": 0.0, "end": 1.0, "text": " Hello there.", "avg_logprob": -0.5},
        {"start": 1.0, "end": 99.0, "text": " Bye.\x1b[2J", "avg_logprob": "odd"},
        {"start": 3.0, "end": 1.0, "text": "backward"},
        "no segment",
    ],
    "words": [{"word": "Hello", "start": 0.1, "end": 0.4}, {"word": "x", "start": None, "end": 1}],
}


def test_a_server_gets_the_sound_and_its_answer_is_placed_on_the_clock(
    serve: Callable[..., Server],
) -> None:
    server = serve((503, b"busy"), (200, json.dumps(ANSWER).encode()))
    recogniser = load_recogniser(
        server.url, api_key=KEY, hotwords=["Zoë", "mmreason"], served_model="large", language="en"
    )
    first, second = recogniser.recognise(SOUND)
    assert (first.text, first.span, first.language) == ("Hello there.", Span(10.0, 11.0), "en")
    assert first.words[0].span == Span(10.1, 10.4) and first.confidence == 0.6065
    assert second.span == Span(11.0, 12.0) and "\x1b" not in second.text
    headers, body = server.got[-1]
    assert headers["Authorization"] == f"Bearer {KEY}" and KEY.encode() not in body
    assert b"RIFF" in body and "Zoë, mmreason".encode() in body and b"verbose_json" in body


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, f"bad key {KEY}".encode(), "status 401: bad key [key]"),
        (307, b"elsewhere", "status 307"),
        (200, b"<html>", "expected JSON, found '<html>'"),
        (200, b"[1]", "expected a JSON object"),
    ],
)
def test_what_a_server_answers_wrongly_is_told_without_the_key(
    serve: Callable[..., Server], status: int, body: bytes, told: str
) -> None:
    server = serve((status, body))
    recogniser = EndpointRecogniser(server.url, model="m", api_key=KEY)
    with pytest.raises(RecogniserError) as caught:
        recogniser.recognise(SOUND)
    assert told in str(caught.value) and KEY not in str(caught.value)
    assert len(server.got) == 1


def test_a_key_is_not_sent_in_the_clear_and_no_url_holds_one() -> None:
    with pytest.raises(RecogniserError, match="in the clear"):
        EndpointRecogniser("http://example.org/v1", model="m", api_key=KEY)
    with pytest.raises(RecogniserError, match="without a user or a query") as caught:
        EndpointRecogniser(f"https://me:{KEY}@example.org/v1", model="m")
    assert KEY not in str(caught.value)


def test_what_is_no_recogniser_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(RecogniserError, match="no recogniser that can be loaded"):
        load_recogniser(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(RecogniserError, match="family bert, which is no recogniser"):
        load_recogniser(tmp_path)
    with pytest.raises(RecogniserError, match="hotwords"):
        load_recogniser(hotwords=["x" * 101])


def test_real_weights_hear_english_with_times_and_refuse_german(
    real_weights: Callable[[str], Path], tmp_path: Path
) -> None:
    pytest.importorskip("espeakng_loader", reason="the extra narration speaks the words")
    from benchmarks.senses_speech import FOREIGN, write_sound
    from mmreason.narration.speech import speak_text

    recogniser = load_recogniser(real_weights("whisper-tiny.en"), hotwords=["budget"])
    assert recogniser.languages == ("en",) and '"hotwords": ["budget"]' in recogniser.key
    speech = speak_text("Good morning everybody. Today we talk about the budget.", "en-us", 130)
    path = write_sound(tmp_path / "said.wav", speech.samples, speech.rate_hz)
    said = transcribe(path, recogniser)
    assert "good morning everybody" in said.text.lower() and "budget" in said.text
    true_s = next(word.span.start_s for word in speech.words if word.text == "morning")
    heard_s = next(word.span.start_s for word in said.words if word.text == "morning")
    assert heard_s == pytest.approx(true_s, abs=0.3)
    german = speak_text(FOREIGN["de"], "de", 170)
    refused = transcribe(
        write_sound(tmp_path / "de.wav", german.samples, german.rate_hz), recogniser
    )
    assert refused.text == "" and "this model hears English only" in "".join(refused.notes)
    with pytest.raises(RecogniserError, match="does not know the language 'de'"):
        load_recogniser(real_weights("whisper-tiny.en"), language="de")
