"""Calls of an MCP client that are too long, too large, or no calls at all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.attacks.harness import Attack
from benchmarks.attacks.material import QUESTION, Bench
from benchmarks.attacks.mcp_client import McpSession

KIND = "mcp arguments"
MEMORY_MB = 2500
"""Of the server with nano and its workers."""


def hostile_calls() -> dict[str, tuple[str, dict[str, Any]]]:
    """(tool, arguments) by what is odd about them."""
    clip = {"video": "clip.mp4"}
    arguments = clip | {"question": QUESTION}
    calls: dict[str, tuple[str, dict[str, Any]]] = {}
    # Just above the limit, far above it, and long enough to cost memory.
    for length in (4_097, 100_000, 5_000_000):
        calls[f"inspect: a path of {length:,}"] = ("inspect", {"video": "A" * length})
        calls[f"frames: a path of {length:,}"] = ("frames", {"video": "A" * length, "times_s": [0]})
        calls[f"ask: a question of {length:,}"] = ("ask", clip | {"question": "a" * length})
        calls[f"ground: an expression of {length:,}"] = (
            "ground",
            {"file": "clip.mp4", "expression": "a" * length},
        )
        calls[f"ask: an option of {length:,}"] = (
            "ask",
            arguments | {"options": ["a" * length, "b"]},
        )
        calls[f"ask: subtitles of {length:,}"] = ("ask", arguments | {"subtitles": "A" * length})
    deep = "a/" * 100_000
    calls["inspect: 100,000 folders deep"] = ("inspect", {"video": deep})
    calls["inspect: a number of 100,000 digits"] = ("inspect", {"video": 10**4000})
    # Where floats overflow, lose their whole numbers or stop being numbers at all.
    for number in (1e307, -1e307, 1e308, 1.7976931348623157e308, -0.0, 1e18, 2**63, 10**400, -1):
        figure = f"{number:.3g}" if isinstance(number, float) else str(number)[:8]
        calls[f"ground: at_s {figure}"] = (
            "ground",
            {"file": "clip.mp4", "expression": "the star", "at_s": number},
        )
        calls[f"frames: times_s {figure}"] = ("frames", clip | {"times_s": [number]})
        calls[f"caption: start_s {figure}"] = ("caption", clip | {"start_s": number})
        calls[f"ask: budget_seconds {figure}"] = ("ask", arguments | {"budget_seconds": number})
        calls[f"ask: budget_frames {figure}"] = ("ask", arguments | {"budget_frames": number})
    calls |= {
        "frames: no times": ("frames", clip | {"times_s": []}),
        "frames: 100,000 times": ("frames", clip | {"times_s": [0.0] * 100_000}),
        "frames: times of texts": ("frames", clip | {"times_s": ["x" * 1_000_000]}),
        "frames: a list in a list": ("frames", clip | {"times_s": [[[[[]]]]]}),
        "ask: 100,000 options": ("ask", arguments | {"options": ["a"] * 100_000}),
        "ask: 27 options": ("ask", arguments | {"options": [str(n) for n in range(27)]}),
        "ask: one option": ("ask", arguments | {"options": ["a"]}),
        "ask: empty options": ("ask", arguments | {"options": ["", ""]}),
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
    """Calls one by one, on one server."""
    root = bench.folder / "calls"
    root.mkdir()
    shutil.copy(bench.clip, root / "clip.mp4")
    shutil.copy(bench.world, root / "star.json")
    with McpSession(root, bench.folder / "mcp-calls") as session:
        yield Attack(KIND, "a good call", lambda f: control(session), is_control=True)
        for name, (tool, arguments) in hostile_calls().items():

            def attempt(
                folder: Path, tool: str = tool, arguments: dict[str, Any] = arguments
            ) -> str:
                written = session.stderr_characters
                reply = session.call(tool, 30.0, **arguments)
                fault = reply.find_fault(10.0) or find_server_fault(session, written)
                # A server that fell is replaced, or all attacks after it would fall too.
                if fault:
                    session.restart()
                return fault

            yield Attack(KIND, name, attempt)
        for name, line in hostile_lines().items():

            def send(folder: Path, line: bytes = line) -> str:
                written = session.stderr_characters
                session.send_line(line)
                fault = find_server_fault(session, written)
                if fault:
                    session.restart()
                return fault

            yield Attack(KIND, f"a line: {name}", send)


def control(session: McpSession) -> str:
    """A fault unless the server answers good calls."""
    reply = session.call("ask", 60.0, video="star.json", question=QUESTION)
    framed = session.call("frames", video="clip.mp4", times_s=[0.5])
    if '"text": "red"' not in reply.text:
        return f"ask gave {reply.text[:200]!r}"
    return "" if len(framed.pictures) == 1 else f"frames gave {framed.text[:200]!r}"


def find_server_fault(session: McpSession, written: int) -> str:
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
    if session.memory_mb > MEMORY_MB:
        return f"the server takes {session.memory_mb} MB"
    return ""
