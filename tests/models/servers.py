"""Real HTTP servers on loopback: one that follows a script, faults included, and one that runs a
model of this process behind the OpenAI protocol."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import av
import numpy as np
from PIL import Image

from mmreason.models.base import (
    ChatModel,
    Conversation,
    FramesPart,
    GenerateRequest,
    Message,
    Part,
    TextPart,
)
from mmreason.video.types import FrameBatch


@dataclass(frozen=True)
class Sent:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at_s: float


@dataclass(frozen=True)
class Back:
    """What to answer."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: bool = False
    """Close the connection in the middle of the body."""
    trickle_s: float = 0.0
    """Pause after each byte of the body."""


Script = Callable[[Sent], Back]


@dataclass
class Server:
    url: str
    sent: list[Sent]
    most_at_once: int = 0

    @property
    def chats(self) -> list[Sent]:
        return [one for one in self.sent if one.path.endswith("/chat/completions")]


def completion(text: str, **more: Any) -> dict[str, Any]:
    """A plain chat completion with usage and one log-probability a word."""
    words = text.split() or [""]
    tokens = [{"token": word, "logprob": -0.25} for word in words]
    return {
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
                "logprobs": {"content": tokens},
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": len(words)},
    } | more


def fine() -> Back:
    """An answer without fault."""
    return Back(completion("a red star"))


def listing(*names: str) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}


@contextmanager
def serving(script: Script, *models: str) -> Iterator[Server]:
    """A server that lists `models` and answers everything else by `script`."""
    lock = threading.Lock()
    server = Server("", [])
    busy = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer({})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.answer(json.loads(self.rfile.read(length) or b"{}"))

        def answer(self, body: dict[str, Any]) -> None:
            nonlocal busy
            headers = {key.lower(): value for key, value in self.headers.items()}
            sent = Sent(self.command, self.path, headers, body, time.monotonic())
            with lock:
                server.sent.append(sent)
                busy += 1
                server.most_at_once = max(server.most_at_once, busy)
            try:
                if models and self.path.endswith("/models"):
                    back = Back(listing(*models))
                else:
                    back = script(sent)
                time.sleep(back.delay_s)
            finally:
                with lock:
                    busy -= 1
            self.reply(back)

        def reply(self, back: Back) -> None:
            plain = back.body if isinstance(back.body, bytes) else json.dumps(back.body).encode()
            if isinstance(back.body, str):
                plain = back.body.encode()
            try:
                self.send_response(back.status)
                for key, value in {"Content-Type": "application/json", **back.headers}.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(plain) + 100 * back.cut))
                self.end_headers()
                for piece in [plain[i : i + 1] for i in range(len(plain) * bool(back.trickle_s))]:
                    self.wfile.write(piece)
                    time.sleep(back.trickle_s)
                if not back.trickle_s:
                    self.wfile.write(plain[: len(plain) // 2] if back.cut else plain)
            except OSError:
                pass  # the client has left, as some tests want
            self.close_connection = self.close_connection or back.cut

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    http = Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def in_turn(*backs: Back) -> Script:
    """One answer after another; the last one for ever."""
    left, lock = list(backs), threading.Lock()

    def script(_: Sent) -> Back:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return script


def user(text: str = "What is this?") -> list[Message]:
    """A conversation of one message."""
    return [Message("user", (TextPart(text),))]


def running(model: ChatModel) -> Script:
    """Answers chat completions with a model of this process; clips have the times of the MP4."""
    lock = threading.Lock()

    def answer(sent: Sent) -> Back:
        conversation = conversation_of(sent.body["messages"])
        with lock:
            reply = model.generate(
                GenerateRequest(
                    [conversation],
                    max_new_tokens=sent.body["max_tokens"],
                    temperature=sent.body["temperature"],
                    seed=sent.body["seed"],
                    stop=tuple(sent.body.get("stop", ())),
                )
            )[0]
        logprobs = [{"token": "?", "logprob": value} for value in reply.logprobs]
        usage = {"prompt_tokens": reply.tokens_in, "completion_tokens": reply.tokens_out}
        back = completion(reply.written, usage=usage)
        back["choices"][0]["logprobs"] = {"content": logprobs}
        return Back(back)

    return answer


def conversation_of(messages: list[dict[str, Any]]) -> Conversation:
    """Messages of the protocol as ours."""
    turns = []
    for message in messages:
        content = message["content"]
        pieces = [{"type": "text", "text": content}] if isinstance(content, str) else content
        turns.append(Message(message["role"], tuple(part_of(piece) for piece in pieces)))
    return turns


def part_of(piece: dict[str, Any]) -> Part:
    if piece["type"] == "text":
        return TextPart(piece["text"])
    kind, content = data_of(piece[piece["type"]]["url"])
    if piece["type"] == "image_url":
        assert kind in ("image/png", "image/jpeg")
        return FramesPart(batch_of([np.asarray(Image.open(io.BytesIO(content)))], [0.0]), "image")
    assert kind == "video/mp4"
    return FramesPart(batch_of(*frames_of_mp4(content)), "video")


def frames_of_mp4(content: bytes) -> tuple[list[np.ndarray], list[float]]:
    with av.open(io.BytesIO(content), "r") as container:
        frames = [(f.to_ndarray(format="rgb24"), f.time) for f in container.decode(video=0)]
    return [pixels for pixels, _ in frames], [float(time_s or 0.0) for _, time_s in frames]


def data_of(url: str) -> tuple[str, bytes]:
    head, _, content = url.partition(",")
    return head.removeprefix("data:").removesuffix(";base64"), base64.b64decode(content)


def batch_of(pixels: list[np.ndarray], times_s: list[float]) -> FrameBatch:
    return FrameBatch(
        pixels=np.stack(pixels),
        times_s=np.asarray(times_s, np.float64),
        exact=np.ones(len(pixels), np.bool_),
    )
