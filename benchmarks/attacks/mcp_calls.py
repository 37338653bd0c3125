"""Calls of an MCP client that are too long, too large, too many, or cancelled."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.attacks.harness import Attack
from benchmarks.attacks.material import QUESTION, Bench
from benchmarks.attacks.mcp_client import McpSession
from benchmarks.attacks.worlds import hostile_scripts

KIND, LOAD = "mcp arguments", "mcp load and cancel"
_MEMORY_MB = 2500
"""Of the server with nano and its workers."""


def hostile_calls() -> dict[str, tuple[str, dict[str, Any]]]:
    """(tool, arguments) by what is odd about them."""
    clip = {"video": "clip.mp4"}
    asked = clip | {"question": QUESTION}
    calls: dict[str, tuple[str, dict[str, Any]]] = {}
    for length in (4_097, 100_000, 5_000_000):
        calls[f"inspect: a path of {length:,}"] = ("inspect", {"video": "A" * length})
        calls[f"frames: a path of {length:,}"] = ("frames", {"video": "A" * length, "times_s": [0]})
        calls[f"ask: a question of {length:,}"] = ("ask", clip | {"question": "a" * length})
        calls[f"ground: an expression of {length:,}"] = (
            "ground",
            {"file": "clip.mp4", "expression": "a" * length},
        )
        calls[f"ask: an option of {length:,}"] = ("ask", asked | {"options": ["a" * length, "b"]})
        calls[f"ask: subtitles of {length:,}"] = ("ask", asked | {"subtitles": "A" * length})
    deep = "a/" * 100_000
    calls["inspect: 100,000 folders deep"] = ("inspect", {"video": deep})
    calls["inspect: a number of 100,000 digits"] = ("inspect", {"video": 10**4000})
    for number in (1e307, -1e307, 1e308, 1.7976931348623157e308, -0.0, 1e18, 2**63, 10**400, -1):
        shown = f"{number:.3g}" if isinstance(number, float) else str(number)[:8]
        calls[f"ground: at_s {shown}"] = (
            "ground",
            {"file": "clip.mp4", "expression": "the star", "at_s": number},
        )
        calls[f"frames: times_s {shown}"] = ("frames", clip | {"times_s": [number]})
        calls[f"caption: start_s {shown}"] = ("caption", clip | {"start_s": number})
        calls[f"ask: budget_seconds {shown}"] = ("ask", asked | {"budget_seconds": number})
        calls[f"ask: budget_frames {shown}"] = ("ask", asked | {"budget_frames": number})
    calls |= {
        "frames: no times": ("frames", clip | {"times_s": []}),
        "frames: 100,000 times": ("frames", clip | {"times_s": [0.0] * 100_000}),
        "frames: times of texts": ("frames", clip | {"times_s": ["x" * 1_000_000]}),
        "frames: a list in a list": ("frames", clip | {"times_s": [[[[[]]]]]}),
        "ask: 100,000 options": ("ask", asked | {"options": ["a"] * 100_000}),
        "ask: 27 options": ("ask", asked | {"options": [str(n) for n in range(27)]}),
        "ask: one option": ("ask", asked | {"options": ["a"]}),
        "ask: empty options": ("ask", asked | {"options": ["", ""]}),
        "ask: an empty question": ("ask", clip | {"question": " "}),
        "ask: escapes": ("ask", clip | {"question": "\x1b[2J\u202e\x9b" * 100}),
        "ask: a question of zeros": ("ask", clip | {"question": "\0" * 1000}),
        "caption: turned round": ("caption", clip | {"start_s": 2.0, "end_s": 1.0}),
        "caption: nothing": ("caption", clip | {"start_s": 1.0, "end_s": 1.0}),
        "inspect: null": ("inspect", {"video": None}),
        "inspect: nothing": ("inspect", {}),
        "inspect: more than it takes": ("inspect", clip | {"x" * 100_000: "y" * 100_000}),
        "inspect: a list": ("inspect", {"video": ["clip.mp4"] * 10_000}),
        "a tool that is none": ("x" * 100_000, {}),
    }
    return calls


def hostile_lines() -> dict[str, bytes]:
    """What is no request at all."""
    deep = b'{"jsonrpc":"2.0","id":900001,"method":"tools/call","params":'
    return {
        "garbage": b"\xff\xfe garbage",
        "zeros": bytes(100_000),
        "a list": b"[]",
        "a number": b"1",
        "nested 100,000 deep": deep + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "50 MB on one line": b'{"jsonrpc":"2.0","id":900002,"method":"' + b"x" * 50_000_000 + b'"}',
        "a lone surrogate": b'{"jsonrpc":"2.0","id":900003,"method":"tools/call","params":'
        b'{"name":"inspect","arguments":{"video":"\\ud800"}}}',
        "a method that is none": b'{"jsonrpc":"2.0","id":900004,"method":"\\u001b[2J"}',
        "an id that is a list": b'{"jsonrpc":"2.0","id":[],"method":"ping"}',
        "NaN": b'{"jsonrpc":"2.0","id":900005,"method":"tools/call","params":'
        b'{"name":"frames","arguments":{"video":"clip.mp4","times_s":[NaN]}}}',
        "Infinity": b'{"jsonrpc":"2.0","id":900006,"method":"tools/call","params":'
        b'{"name":"frames","arguments":{"video":"clip.mp4","times_s":[1e999]}}}',
    }


def attacks(bench: Bench) -> Iterator[Attack]:
    """Calls one by one, then many, then slow and cancelled ones."""
    root = bench.folder / "calls"
    root.mkdir()
    shutil.copy(bench.clip, root / "clip.mp4")
    shutil.copy(bench.world, root / "star.json")
    scripts = hostile_scripts()
    for name, script in (
        ("slow", "600 actors"),
        ("slower", "5,000 actors"),
        ("chain", "3,000 chained touches"),
    ):
        (root / f"{name}.json").write_text(scripts[script])
    with McpSession(root, bench.folder / "mcp-calls") as session:
        yield Attack(KIND, "a good call", lambda f: _control(session), is_control=True)
        for name, (tool, arguments) in hostile_calls().items():

            def attempt(
                folder: Path, tool: str = tool, arguments: dict[str, Any] = arguments
            ) -> str:
                written = session.stderr_characters
                reply = session.call(tool, 30.0, **arguments)
                fault = reply.find_fault(10.0) or _find_server_fault(session, written)
                if fault:
                    session.restart()
                return fault

            yield Attack(KIND, name, attempt)
        for name, line in hostile_lines().items():

            def send(folder: Path, line: bytes = line) -> str:
                written = session.stderr_characters
                session.send_line(line)
                fault = _find_server_fault(session, written)
                if fault:
                    session.restart()
                return fault

            yield Attack(KIND, f"a line: {name}", send)
        yield Attack(LOAD, "a good call", lambda f: _control(session), is_control=True)
        for name, load in _loads(session).items():

            def attempt_load(folder: Path, load: Callable[[], str] = load) -> str:
                fault = load()
                if fault:
                    session.restart()
                return fault

            yield Attack(LOAD, name, attempt_load)


def _control(session: McpSession) -> str:
    asked = session.call("ask", 60.0, video="star.json", question=QUESTION)
    framed = session.call("frames", video="clip.mp4", times_s=[0.5])
    if '"text": "red"' not in asked.text:
        return f"ask gave {asked.text[:200]!r}"
    return "" if len(framed.pictures) == 1 else f"frames gave {framed.text[:200]!r}"


def _find_server_fault(session: McpSession, written: int) -> str:
    """What is wrong with the server after a bad call, or ""."""
    if session.process.poll() is not None:
        return f"the server ended with {session.process.returncode}"
    began_s = time.monotonic()
    if not session.is_alive():
        return "a good call is not answered within 15 s"
    if (took_s := time.monotonic() - began_s) > 8:
        return f"a good call took {took_s:.1f} s afterwards"
    if (more := session.stderr_characters - written) > 10_000:
        return f"{more:,} characters on stderr"
    if session.memory_mb > _MEMORY_MB:
        return f"the server takes {session.memory_mb} MB"
    return ""


def _loads(session: McpSession) -> dict[str, Callable[[], str]]:
    def many(tool: str, count: int, most_s: float, **arguments: Any) -> str:
        numbers = [session.start(tool, **arguments) for _ in range(count)]
        ends_s = time.monotonic() + most_s
        late = 0
        for number in numbers:
            reply = session.wait(number, max(0.1, ends_s - time.monotonic()))
            late += reply.is_late or reply.is_error
        return f"{late} of {count} calls failed or came late" if late else ""

    def asks_cancelled() -> str:
        for _ in range(100):
            session.cancel(session.start("ask", video="star.json", question=QUESTION))
        return _next_ask(15.0)

    def _next_ask(most_s: float) -> str:
        reply = session.call("ask", most_s, video="star.json", question=QUESTION)
        return (
            ""
            if '"text": "red"' in reply.text
            else f"next ask: {reply.find_fault() or reply.text[:100]}"
        )

    def cancelled(tool: str, video: str, **more: Any) -> str:
        number = session.start(tool, video=video, **more)
        time.sleep(1.5)
        session.cancel(number)
        return _next_ask(10.0)

    def beside(video: str, count: int) -> str:
        """Slow calls must not hold an inspect of another file."""
        numbers = [session.start("frames", video=video, times_s=[1.0]) for _ in range(count)]
        time.sleep(0.5)
        began_s = time.monotonic()
        reply = session.call("inspect", 30.0, video="clip.mp4")
        took_s = time.monotonic() - began_s
        for number in numbers:
            session.cancel(number)
        if reply.is_late or reply.is_error:
            return f"inspect beside it: {reply.find_fault() or reply.text[:100]}"
        return f"inspect took {took_s:.1f} s beside it" if took_s > 10 else ""

    def inspect_beside_ask(video: str) -> str:
        number = session.start("ask", video=video, question=QUESTION)
        time.sleep(0.5)
        reply = session.call("inspect", 15.0, video="clip.mp4")
        session.cancel(number)
        return reply.find_fault(10.0)

    def budget(video: str) -> str:
        reply = session.call("ask", 25.0, video=video, question=QUESTION, budget_seconds=2.0)
        return reply.find_fault(20.0) or (
            f"the server takes {session.memory_mb} MB" if session.memory_mb > _MEMORY_MB else ""
        )

    def frames_of(video: str) -> str:
        reply = session.call("frames", 65.0, video=video, times_s=[1.0])
        return reply.find_fault(62.0) or (
            f"the server takes {session.memory_mb} MB" if session.memory_mb > _MEMORY_MB else ""
        )

    return {
        "50 inspects at once": lambda: many("inspect", 50, 40.0, video="clip.mp4"),
        "20 frames at once": lambda: many("frames", 20, 40.0, video="clip.mp4", times_s=[0.5] * 8),
        "20 asks at once": lambda: many("ask", 20, 60.0, video="star.json", question=QUESTION),
        "100 asks, each cancelled": asks_cancelled,
        "a slow ask is cancelled": lambda: cancelled("ask", "slow.json", question=QUESTION),
        "slow frames are cancelled": lambda: cancelled("frames", "slow.json", times_s=[1.0] * 8),
        "a slow caption is cancelled": lambda: cancelled("caption", "slow.json"),
        "an inspect beside 2 slow frames": lambda: beside("slow.json", 2),
        "an inspect beside 8 slower frames": lambda: beside("slower.json", 8),
        "an inspect beside a slow ask": lambda: inspect_beside_ask("slow.json"),
        "budget_seconds 2 on 600 actors": lambda: budget("slow.json"),
        "frames of a chain of 3,000": lambda: frames_of("chain.json"),
        "frames of 5,000 actors": lambda: frames_of("slower.json"),
        "an ask after all of that": lambda: _next_ask(20.0),
        "the threads are few after all of that": lambda: _find_many_threads(session),
    }


def _find_many_threads(session: McpSession) -> str:
    status = Path(f"/proc/{session.process.pid}/status").read_text()
    threads = int(status.split("Threads:")[1].split()[0])
    descriptors = len(list(Path(f"/proc/{session.process.pid}/fd").iterdir()))
    if threads > 80 or descriptors > 60:
        return f"{threads} threads, {descriptors} open files"
    return ""
