"""Calls of an MCP client that are many, slow or cancelled: none may hold the others."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.attacks.harness import Attack, NotTriedError
from benchmarks.attacks.material import QUESTION, Bench
from benchmarks.attacks.mcp_calls import MEMORY_MB, control
from benchmarks.attacks.mcp_client import McpSession
from benchmarks.attacks.worlds import hostile_scripts

KIND = "mcp load and cancel"
_SLOW_FRAMES, _SLOW_SIZE_PX, _FPS_HZ = 580, (1280, 720), 10  # mpeg4 takes 600 behind a key frame
_LEAST_SLOW_S = 1.5
"""What the slow call must take by itself, for the others to be held by it."""


def attacks(bench: Bench) -> Iterator[Attack]:
    """Many calls, then some beside slow ones, then cancelled ones, on one server."""
    root = bench.folder / "load"
    root.mkdir()
    shutil.copy(bench.clip, root / "clip.mp4")
    shutil.copy(bench.world, root / "star.json")
    write_slow_clip(root / "slow.mp4", bench.seed)
    scripts = hostile_scripts()
    for name in ("600 actors", "5,000 actors", "3,000 chained touches"):
        (root / f"{name}.json").write_text(scripts[name])
    with McpSession(root, bench.folder / "mcp-load") as session:
        yield Attack(KIND, "a good call", lambda folder: control(session), is_control=True)
        for name, load in (_many(session) | _slow(session) | _worlds(session)).items():

            def attempt(folder: Path, load: Callable[[], str] = load) -> str:
                fault = load()
                if fault:
                    session.restart()
                    control(session)  # so that the model is loaded again
                return fault

            yield Attack(KIND, name, attempt)


def write_slow_clip(path: Path, seed: int) -> None:
    """Noise behind one key frame, so that its last frame needs all of them decoded."""
    width_px, height_px = _SLOW_SIZE_PX
    noise = np.random.default_rng(seed).integers(0, 256, (height_px, width_px * 2, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=_FPS_HZ)
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        stream.codec_context.gop_size = 600
        stream.codec_context.options = {"sc_threshold": "1000000000"}  # no other key frames
        stream.codec_context.bit_rate = 40_000_000
        for number in range(_SLOW_FRAMES):
            shift_px = number * 37 % width_px
            # Turned into other numbers each time, so that no frame is a moved copy of another.
            pixels = noise[:, shift_px : shift_px + width_px] ^ np.uint8(number * 53 % 256)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())


def _many(session: McpSession) -> dict[str, Callable[[], str]]:
    def many(tool: str, count: int, most_s: float, **arguments: Any) -> str:
        numbers = [session.start(tool, **arguments) for _ in range(count)]
        ends_s = time.monotonic() + most_s
        late = 0
        for number in numbers:
            reply = session.wait(number, max(0.1, ends_s - time.monotonic()))
            late += reply.is_late or reply.is_error
        return f"{late} of {count} calls failed or came late" if late else ""

    def cancelled_asks() -> str:
        for _ in range(100):
            session.cancel(session.start("ask", video="star.json", question=QUESTION))
        return find_late_answer(session, 20.0)

    return {
        "50 inspects at once": lambda: many("inspect", 50, 60.0, video="clip.mp4"),
        "20 frames at once": lambda: many("frames", 20, 60.0, video="clip.mp4", times_s=[0.5] * 8),
        "20 asks at once": lambda: many("ask", 20, 90.0, video="star.json", question=QUESTION),
        "100 asks, each cancelled": cancelled_asks,
    }


def _slow(session: McpSession) -> dict[str, Callable[[], str]]:
    """Beside and after calls on the slow clip, whose time alone is measured first."""
    last_s = [(_SLOW_FRAMES - 1) / _FPS_HZ] * 2
    slow = {"video": "slow.mp4", "times_s": last_s}
    alone_s: list[float] = []

    def slow_s() -> float:
        if not alone_s:
            reply = session.call("frames", 60.0, **slow)
            if reply.is_error:
                raise NotTriedError(f"the slow clip cannot be read: {reply.text[:100]}")
            alone_s.append(reply.seconds)
        # On a fast machine nothing would be at work any more when it is cancelled.
        if alone_s[0] < _LEAST_SLOW_S:
            raise NotTriedError(f"the slow clip takes {alone_s[0]:.1f} s only")
        return alone_s[0]

    def cancelled(tool: str, **arguments: Any) -> str:
        took_s = slow_s()
        before = _workers(session)
        number = session.start(tool, **arguments)
        # Half way, when a worker is surely busy.
        time.sleep(took_s / 2)
        session.cancel(number)
        ends_s = time.monotonic() + 4.0
        while _workers(session) > before and time.monotonic() < ends_s:
            time.sleep(0.05)
        if _workers(session) > before:
            return "what it started still runs 4 s after it was cancelled"
        return find_late_answer(session, 15.0)

    def beside(tool: str, count: int, **arguments: Any) -> str:
        took_s = slow_s()
        numbers = [session.start(tool, **arguments) for _ in range(count)]
        time.sleep(took_s / 4)
        reply = session.call("inspect", 30.0, video="clip.mp4")
        for number in numbers:
            session.cancel(number)
        return reply.find_fault(10.0) or (reply.text if reply.is_error else "")

    def budget() -> str:
        took_s = slow_s()
        arguments = {"video": "slow.mp4", "question": QUESTION, "budget_seconds": took_s / 2}
        return session.call("ask", 40.0, **arguments).find_fault(took_s / 2 + 10)

    asked = {"video": "slow.mp4", "question": QUESTION}
    return {
        "slow frames are cancelled": lambda: cancelled("frames", **slow),
        "a slow ask is cancelled": lambda: cancelled("ask", **asked),
        "a slow caption is cancelled": lambda: cancelled("caption", video="slow.mp4"),
        "a slow ground is cancelled": lambda: cancelled(
            "ground", file="slow.mp4", expression="the star", at_s=last_s[0]
        ),
        "an inspect beside 2 slow frames": lambda: beside("frames", 2, **slow),
        "an inspect beside 8 slow frames": lambda: beside("frames", 8, **slow),
        "an inspect beside a slow ask": lambda: beside("ask", 1, **asked),
        "an inspect beside 5 slow asks": lambda: beside("ask", 5, **asked),
        "budget_seconds of half the time": budget,
    }


def _worlds(session: McpSession) -> dict[str, Callable[[], str]]:
    def opened(tool: str, name: str, **more: Any) -> str:
        reply = session.call(tool, 30.0, video=f"{name}.json", **more)
        return reply.find_fault(15.0) or (
            f"the server takes {session.memory_mb} MB" if session.memory_mb > MEMORY_MB else ""
        )

    def few_threads() -> str:
        process = Path(f"/proc/{session.process.pid}")
        threads = int((process / "status").read_text().split("Threads:")[1].split()[0])
        descriptors = len(list((process / "fd").iterdir()))
        is_much = threads > 80 or descriptors > 60
        return f"{threads} threads, {descriptors} open files" if is_much else ""

    return {
        "an ask with budget_seconds 2 on 600 actors": lambda: opened(
            "ask", "600 actors", question=QUESTION, budget_seconds=2.0
        ),
        "frames of 5,000 actors": lambda: opened("frames", "5,000 actors", times_s=[1.0]),
        "frames of a chain of 3,000": lambda: opened(
            "frames", "3,000 chained touches", times_s=[1.0]
        ),
        "an ask after all of that": lambda: find_late_answer(session, 20.0),
        "few threads and files after all of that": few_threads,
    }


def find_late_answer(session: McpSession, most_s: float) -> str:
    """A fault unless a plain question is answered in time."""
    reply = session.call("ask", most_s, video="star.json", question=QUESTION)
    if '"text": "red"' in reply.text:
        return ""
    return f"next ask: {reply.find_fault() or reply.text[:100]}"


def _workers(session: McpSession) -> int:
    """Processes that the server has started and that work; those that have ended do not."""
    server = session.process.pid
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    for task in Path(f"/proc/{server}/task").iterdir():
        if task.name != str(server):
            try:
                children += (task / "children").read_text().split()
            except OSError:
                continue  # a thread that has ended since
    return sum(_is_working(child) for child in children)


def _is_working(process_id: str) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
