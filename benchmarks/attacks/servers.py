"""Servers behind a URL that answer slowly, at great length, with odd numbers, or with the key."""

from __future__ import annotations

import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.attacks.harness import (
    Attack,
    Limits,
    cli_call,
    find_control_character,
    find_fault,
)
from benchmarks.attacks.material import QUESTION, Bench

KIND = "servers"
TIMEOUT_S, TOTAL_S = 0.5, 1.5
LIMITS = Limits(cpu_s=10, wall_s=12, grown_mb=400)
"""A child begins in some seconds on a busy machine."""
KEY = "sk-canary-0123456789abcdefghij"
_TIER = ("--option", "tier=small")
"""Told, so that no probe is among the requests of a run."""
Talk = Callable[[socket.socket, str], None]
"""Given the connection and the path that was asked for."""


class Loopback:
    """A server on loopback that talks as it is told, in threads that end with the context."""

    def __init__(self, talk: Talk):
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_over = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Loopback:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_over:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while True:
                    # A connection that is kept alive carries one request after the other.
                    head = b""
                    while b"\r\n\r\n" not in head:
                        block = connection.recv(65536)
                        if not block:
                            return
                        head += block
                    head, _, body = head.partition(b"\r\n\r\n")
                    lines = head.decode("latin-1").split("\r\n")
                    sizes = [
                        line.split(":")[1]
                        for line in lines
                        if line.lower().startswith("content-length")
                    ]
                    while len(body) < int(sizes[0] if sizes else 0):
                        # Read to the end: closing on unread bytes resets the connection before the
                        # answer arrives.
                        body += connection.recv(65536)
                    self._talk(connection, lines[0].split()[1])
            except (OSError, IndexError):
                return


def http(
    body: bytes | str | dict[str, object] | list[object], status: int = 200, **headers: str
) -> bytes:
    """A whole answer."""
    if not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode(
            "utf-8", "surrogatepass"
        )
    named = {"Content-Type": "application/json", "Content-Length": str(len(body))} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode("latin-1", "replace") + body


def completion(text: object, **more: object) -> dict[str, object]:
    """A chat completion."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    return {"object": "chat.completion", "choices": [choice]} | more


def _models(name: str = "tiny") -> bytes:
    return http({"object": "list", "data": [{"id": name, "object": "model"}]})


def replying(answer: bytes) -> Talk:
    """Lists its models as it should, and answers each chat with `answer`."""

    def talk(connection: socket.socket, path: str) -> None:
        connection.sendall(_models() if path.endswith("/models") else answer)

    return talk


def dripping(first: bytes, drop: bytes, pause_s: float, on: str) -> Talk:
    """Sends `first`, then `drop` again and again, to paths that end in `on`."""

    def talk(connection: socket.socket, path: str) -> None:
        if not path.endswith(on):
            connection.sendall(_models())
            return
        connection.sendall(first)
        # Longer than any limit under test, and not for ever.
        ends_s = time.monotonic() + 40
        while time.monotonic() < ends_s:
            connection.sendall(drop)
            time.sleep(pause_s)

    return talk


def drips() -> dict[str, tuple[bytes, bytes, float]]:
    """(what comes first, what then comes again and again, seconds between)."""
    ok = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    chunked = ok + b"Transfer-Encoding: chunked\r\n\r\n"
    return {
        "nothing": (b"", b"", 0.2),
        "the status line, letter by letter": (b"HTTP/1.1 200 O", b"K", 0.1),
        "header lines": (ok, b"X-A: b\r\n", 0.1),
        "one header": (ok + b"X-A: ", b"a", 0.1),
        "spaces in a header": (ok + b"X-A:", b" ", 0.1),
        "100 Continue slowly": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.2),
        "100 Continue fast": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50, 0.0),
        "103 Early Hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 0.1),
        "a chunk's extension": (chunked + b"5;", b"a", 0.1),
        "a chunk's size": (chunked, b"0", 0.1),
        "chunks of one byte": (chunked, b"1\r\n \r\n", 0.1),
        "trailers": (chunked + b"2\r\n{}\r\n0\r\n", b"X-A: b\r\n", 0.1),
        "a gzip header": (
            ok + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\3",
            b"n",
            0.1,
        ),
        "empty deflate blocks": (
            ok + b"Content-Encoding: deflate\r\n\r\n\x78\x9c",
            b"\0\0\0\xff\xff",
            0.1,
        ),
        "a body": (ok + b"Content-Length: 100000\r\n\r\n", b" ", 0.1),
        "a body fast": (ok + b"\r\n", b" " * 65536, 0.0),
    }


def hostile_answers() -> dict[str, bytes]:
    """Answers to a chat."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    # 500 MB in half a megabyte.
    gzipped = b"".join(bomb.compress(b" " * 1_000_000) for _ in range(500)) + bomb.flush()
    nested = "[" * 100_000 + "]" * 100_000
    text = json.dumps(completion("red"))
    digits = "9" * 400
    answers = {
        "15 MB of text": http(completion("red " * 4_000_000)),
        "15 MB of thought": http(
            {
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {
                            "role": "assistant",
                            "content": "red",
                            "reasoning_content": "a " * 7_000_000,
                        },
                    }
                ]
            }
        ),
        "400 MB": http(b'{"a": "' + b"x" * 60_000_000 + b'"}'),
        "a gzip bomb": http(gzipped, Content_Encoding="gzip"),
        "gzip twice": http(
            zlib.compress(zlib.compress(b" " * 10_000_000)), Content_Encoding="deflate, deflate"
        ),
        "200 encodings": http(b"{}", Content_Encoding=", ".join(["gzip"] * 200)),
        "200,000 headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200_000 + b"\r\n{}",
        "a header of 20 MB": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 20_000_000 + b"\r\n\r\n{}",
        "nested 100,000 deep": http(nested),
        "nested in a field": http(text[:-1] + ', "x": ' + nested + "}"),
        "NaN": http(text[:-1] + ', "usage": {"prompt_tokens": NaN}}'),
        "1e999 tokens": http(text[:-1] + ', "usage": {"prompt_tokens": 1e999}}'),
        "a number of 100,000 digits": http(
            text[:-1] + f', "usage": {{"prompt_tokens": {"9" * 100_000}}}}}'
        ),
        "400 digits of tokens": http(text[:-1] + f', "usage": {{"prompt_tokens": {digits}}}}}'),
        "negative tokens": http(
            completion("red", usage={"prompt_tokens": -5, "completion_tokens": -5})
        ),
        "tokens of text": http(
            completion("red", usage={"prompt_tokens": "x", "completion_tokens": []})
        ),
        "usage is a list": http(completion("red", usage=[1])),
        "logprobs of text": http(
            {
                "choices": [
                    {
                        "message": {"content": "red"},
                        "logprobs": {"content": [{"token": "a", "logprob": "x"}]},
                    }
                ]
            }
        ),
        "logprobs above 0": http(
            {
                "choices": [
                    {
                        "message": {"content": "red"},
                        "logprobs": {"content": [{"token": "red", "logprob": 1e300}]},
                    }
                ]
            }
        ),
        "2,000,000 logprobs": http(
            {
                "choices": [
                    {
                        "message": {"content": "red"},
                        "logprobs": {"content": [{"token": "a", "logprob": -1}] * 300_000},
                    }
                ]
            }
        ),
        "lone surrogates": http(text.replace("red", "\\ud800 red \\udfff")),
        "escapes": http(completion("\x1b]0;x\x07\x9b2J\u202e red")),
        "text is a number": http(completion(5)),
        "text is null": http(completion(None)),
        "text is a list": http(completion([{"type": "text", "text": "red"}] * 100_000)),
        "no choices": http({"choices": []}),
        "1,000,000 choices": http({"choices": [{}] * 500_000}),
        "a list": http([]),
        "html": http("<html><script>alert(1)</script>", Content_Type="text/html"),
        "a redirect": http("", 302, Location="http://127.0.0.1:9/steal"),
        "a redirect to a file": http("", 307, Location="file:///etc/passwd"),
        "a redirect of escapes": http("", 302, Location="http://x/\x1b[2J"),
        "not HTTP": b"\xff" * 1000,
        "status 999": http("{}", 999),
        "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}abc",
        "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        "an error of escapes": http({"error": {"message": "\x1b[2J\u202e" * 1000}}, 400),
        "an error of 20 MB": http({"error": {"message": "x" * 20_000_000}}, 400),
    }
    for wait in (
        "9" * 400,
        "1e400",
        "-5",
        "NaN",
        "99999999",
        "Fri, 99 Foo 99999 99:99:99 GMT",
        "\x00",
        "Mon, 01 Jan 0001 00:00:00 GMT",
    ):
        answers[f"Retry-After {wait[:20]!r}"] = http("{}", 503, Retry_After=wait)
    return answers


def key_answers() -> dict[str, bytes]:
    """Answers that hold the key that was sent, or parts of it."""
    # A server may spell it in a way that a search for the key overlooks.
    short, spelled = KEY[:-1], "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    texts = {
        "whole": KEY,
        "one letter short": short,
        "without its first letter": KEY[1:],
        "in two pieces": f"{KEY[:15]} {KEY[15:]}",
        "its first half": KEY[:16],
        "its second half": KEY[14:],
        "in capitals": KEY.upper(),
        "behind Bearer": f"Bearer {KEY}",
    }
    answers = {
        f"in the text, {name}": http(completion(f"red {text}")) for name, text in texts.items()
    }
    answers |= {
        f"in an error, {name}": http({"error": {"message": f"bad key {text}"}}, 400)
        for name, text in texts.items()
    }
    answers["in the text, as escapes"] = http(
        json.dumps(completion("red KEY")).replace("KEY", spelled)
    )
    answers["in the thought"] = http(
        {"choices": [{"message": {"content": "red", "reasoning_content": KEY}}]}
    )
    answers["in a redirect"] = http("", 302, Location=f"http://{KEY}.example/{KEY}")
    answers["in the content type"] = http("x", 200, Content_Type=KEY)
    return answers


def generate_once(url: str, key: str | None = None) -> int:
    """One request with short time-outs, in a child."""
    from mmreason.models.base import GenerateRequest, Message, TextPart
    from mmreason.models.endpoint import EndpointModel
    from mmreason.models.endpoint_http import EndpointLimits
    from mmreason.types import UsageError

    limits = EndpointLimits(attempts=2, timeout_s=TIMEOUT_S, total_s=TOTAL_S, backoff_s=0.05)
    began_s = time.monotonic()
    try:
        model = EndpointModel.connect(url, limits=limits, api_key=key)
        question = Message("user", (TextPart("What is it?"),))
        (reply,) = model.generate(GenerateRequest([[question]]))
        print("reply:", len(reply.text), reply.text[:200].encode("ascii", "replace"), *model.notes)
    except (UsageError, RuntimeError, ValueError) as error:
        print(f"refused: {str(error)[:2000]}")
    print(f"seconds: {time.monotonic() - began_s:.3f}")
    print(f"threads: {threading.active_count()}")
    return 0


def _seconds_of(text: str) -> float:
    return float(text.split("seconds: ")[1].split()[0]) if "seconds: " in text else float("inf")


def attacks(bench: Bench) -> Iterator[Attack]:
    """Drips against short time-outs; odd answers through the command line; answers with the key."""
    children = bench.children

    def ask(folder: Path, url: str, *more: str):
        arguments = [
            "ask",
            str(bench.clip),
            QUESTION,
            "--model",
            url,
            *_TIER,
            "--store",
            "s",
            *more,
        ]
        return children.run(*cli_call(arguments), folder, limits=LIMITS)

    def control(folder: Path) -> str:
        with Loopback(replying(http(completion("a red star")))) as server:
            ended = ask(folder, server.url, "--json")
        return "" if "a red star" in ended.out else f"code {ended.code}: {ended.err[-200:]!r}"

    def control_call(folder: Path) -> str:
        with Loopback(replying(http(completion("red")))) as server:
            ended = children.run(generate_once, (server.url,), folder, limits=LIMITS)
        return "" if "b'red'" in ended.out else f"{ended.out[-200:]!r}"

    yield Attack(KIND, "a good server answers ask", control, is_control=True)
    yield Attack(KIND, "a good server answers a call", control_call, is_control=True)
    for name, (first, drop, pause_s) in drips().items():
        for path in ("/models", "/chat/completions"):

            def drip(
                folder: Path,
                first: bytes = first,
                drop: bytes = drop,
                pause_s: float = pause_s,
                path: str = path,
            ) -> str:
                with Loopback(dripping(first, drop, pause_s, path)) as server:
                    ended = children.run(generate_once, (server.url,), folder, limits=LIMITS)
                if fault := find_fault(ended, LIMITS):
                    return fault
                took_s = _seconds_of(ended.out)
                # Every byte resets a time-out of reading: only a limit of the whole call ends a
                # drip.
                return f"took {took_s:.1f} s, limit {TOTAL_S} s" if took_s > TOTAL_S + 1.5 else ""

            yield Attack(KIND, f"{path} drips {name}", drip)
    for name in ("nothing", "header lines", "100 Continue slowly", "a body"):

        def budget(folder: Path, drip: tuple[bytes, bytes, float] = drips()[name]) -> str:
            limits = Limits(cpu_s=10, wall_s=14)
            with Loopback(dripping(*drip, "/chat/completions")) as server:
                arguments = [
                    "ask",
                    str(bench.clip),
                    QUESTION,
                    "--model",
                    server.url,
                    *_TIER,
                    "--store",
                    "s",
                ]
                ended = children.run(
                    *cli_call([*arguments, "--budget-seconds", "2"]), folder, limits=limits
                )
            return find_fault(ended, limits)

        yield Attack(KIND, f"ask --budget-seconds 2, and the chat drips {name}", budget)
    for name, answer in hostile_answers().items():

        def reply(folder: Path, answer: bytes = answer) -> str:
            with Loopback(replying(answer)) as server:
                html = ("--html", "r.html")
                ended = ask(folder, server.url, "--budget-seconds", "4", *html)
            sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
            # What a stranger sends must not fill the disk by way of the store or the report.
            if sum(sizes) > 5_000_000:
                return f"{sum(sizes):,} bytes were written for one question"
            if len(ended.out) > 200_000:
                return f"{len(ended.out):,} characters were printed"
            return find_control_character(ended.out) or find_fault(ended, LIMITS)

        yield Attack(KIND, f"a chat answers with {name}", reply)
    for name, text in {
        "escapes": "\x1b]0;x\x07\u202e",
        "2 MB": "x" * 2_000_000,
        "a lone surrogate": "\ud800",
        "markup": "[/x][bold]",
    }.items():

        def listing(folder: Path, text: str = text) -> str:
            listed = _models(text)

            def talk(connection: socket.socket, path: str) -> None:
                connection.sendall(listed if path.endswith("/models") else http(completion("red")))

            with Loopback(talk) as server:
                ended = ask(folder, server.url)
            return find_control_character(ended.out) or find_fault(ended, LIMITS)

        yield Attack(KIND, f"a model is named {name}", listing)
    for name, answer in key_answers().items():

        def leak(folder: Path, answer: bytes = answer) -> str:
            (folder / "key").write_text(KEY)
            with Loopback(replying(answer)) as server:
                more = ("--api-key-file", "key", "--html", "r.html", "--budget-seconds", "4")
                ended = ask(folder, server.url, *more)
            written = b"".join(
                path.read_bytes()
                for path in folder.rglob("*")
                if path.is_file() and path.name != "key"
            )
            output = (ended.out + ended.err).encode(errors="replace") + written
            # Most of a key is as bad as all of it: the rest can be tried.
            for length in (len(KEY), len(KEY) - 1, 12):
                for start in range(len(KEY) - length + 1):
                    if KEY[start : start + length].encode() in output:
                        return f"{length} letters of the key are in what was printed or written"
            return find_fault(ended, LIMITS)

        yield Attack(KIND, f"the key is {name}", leak)
