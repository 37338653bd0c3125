"""A client of `mmreason mcp` that may send what no well-behaved client sends."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.attacks.harness import end_group, tree_mb
from benchmarks.attacks.material import OUTSIDE_SIZE_PX, SECRET

_MEMORY_MB = 6000
_START_S = 120.0


@dataclass(frozen=True, slots=True)
class ToolReply:
    """What came back for one call."""

    text: str
    """All texts of the result, or the error of the protocol; "" where nothing came in time."""
    is_error: bool
    pictures: tuple[np.ndarray, ...]
    seconds: float
    is_late: bool
    """Whether nothing came in time."""

    def find_fault(self, most_s: float = 20.0, most_characters: int = 20_000) -> str:
        """What is wrong with this reply to a bad call, or ""."""
        if self.is_late:
            return f"no reply within {self.seconds:.0f} s"
        if shows_outside(self):
            return f"gave what lies outside: {self.text[:120]!r}"
        if self.text.rstrip().endswith(("Error executing tool", "Error executing tool ")) or (
            self.is_error and self.text.startswith("Error executing tool") and ":" not in self.text
        ):
            return f"an error without a reason: {self.text[:120]!r}"
        if "Traceback" in self.text or any(
            word in self.text for word in ("MemoryError", "RecursionError", "OverflowError")
        ):
            return f"an unexpected error: {self.text[:120]!r}"
        if self.is_error and len(self.text) > most_characters:
            return f"{len(self.text):,} characters of error"
        if self.seconds > most_s:
            return f"took {self.seconds:.1f} s"
        return ""


def shows_outside(reply: ToolReply) -> bool:
    """Whether a reply holds the contents of one of the files outside."""
    width_px, height_px = OUTSIDE_SIZE_PX
    if SECRET in reply.text:
        return True
    if f'"width_px": {width_px}' in reply.text or f"[{width_px}, {height_px}]" in reply.text:
        return True
    return any(
        picture[..., 0].mean() > 200 and picture[..., 1].mean() < 60 for picture in reply.pictures
    )


class McpSession:
    """A server process with files below `root`, and the calls to it. Use as a context manager."""

    def __init__(self, root: Path, folder: Path, options: Sequence[str] = ()):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tmp").mkdir(exist_ok=True)
        self._root, self._options = root, options
        self._start()

    def _start(self) -> None:
        folder, root = self.folder, self._root
        self._ids = itertools.count(1)
        self._replies: dict[int, dict[str, Any]] = {}
        self._arrived = threading.Condition()
        self._is_closed = False
        command = [
            "mmreason",
            "mcp",
            "--root",
            str(root),
            "--store",
            str(folder / "store.sqlite3"),
            *self._options,
        ]
        # A file, since a pipe that nobody reads stalls the server once it is full.
        self._errors = (folder / "stderr").open("wb")
        # A group and a home of its own: nothing of the user is read, nothing outlives it.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.attacks.child", str(_MEMORY_MB), "-m", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            cwd=root,
            env=os.environ
            | {
                "HOME": str(folder),
                "HF_HUB_OFFLINE": "1",
                "TMPDIR": str(folder / "tmp"),
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
        )
        reading = (self.process, self._arrived, self._replies)
        # Read as they come: a server that waits for its pipe answers nobody.
        threading.Thread(target=self._read, args=reading, daemon=True).start()
        self._greet()

    def restart(self) -> None:
        """A new server, after one that hangs."""
        self.close()
        self._start()

    def close(self) -> None:
        """End the server and whatever it started."""
        end_group(self.process.pid)
        self.process.wait()
        self._errors.close()

    def __enter__(self) -> McpSession:
        return self

    def _greet(self) -> None:
        hello = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "attack", "version": "1"},
        }
        self.wait(self.send("initialize", hello), _START_S)
        self.send_line({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def stderr_characters(self) -> int:
        return (self.folder / "stderr").stat().st_size

    @property
    def memory_mb(self) -> int:
        return tree_mb(self.process.pid)

    def send_line(self, message: dict[str, Any] | bytes) -> None:
        """Send one message as it is."""
        assert self.process.stdin is not None
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        try:
            self.process.stdin.write(data + b"\n")
            self.process.stdin.flush()
        except (BrokenPipeError, OSError):
            self._is_closed = True

    def send(self, method: str, params: dict[str, Any]) -> int:
        """Send a request; returns its number."""
        number = next(self._ids)
        self.send_line({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number

    def start(self, tool: str, **arguments: Any) -> int:
        """Begin a call of a tool; returns its number."""
        return self.send("tools/call", {"name": tool, "arguments": arguments})

    def cancel(self, number: int) -> None:
        params = {"requestId": number, "reason": "attack"}
        self.send_line({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    def wait(self, number: int, seconds: float = 30.0) -> ToolReply:
        """The reply to a request."""
        began_s = time.monotonic()
        with self._arrived:
            self._arrived.wait_for(
                lambda: number in self._replies or self._is_closed, timeout=seconds
            )
            message = self._replies.pop(number, None)
        took_s = time.monotonic() - began_s
        if message is None:
            return ToolReply("", True, (), took_s, True)
        if "error" in message:
            return ToolReply(json.dumps(message["error"]), True, (), took_s, False)
        result = message.get("result", {})
        content = result.get("content", [])
        texts = [item["text"] for item in content if item.get("type") == "text"]
        pictures = tuple(
            _decode_picture(item["data"]) for item in content if item.get("type") == "image"
        )
        is_error = bool(result.get("isError", result.get("is_error", False)))
        return ToolReply("\n".join(texts), is_error, pictures, took_s, False)

    def call(self, tool: str, seconds: float = 30.0, **arguments: Any) -> ToolReply:
        """Call a tool and wait."""
        return self.wait(self.start(tool, **arguments), seconds)

    def is_alive(self, video: str = "clip.mp4", seconds: float = 15.0) -> bool:
        """Whether a good call is answered."""
        reply = self.call("inspect", seconds, video=video)
        return not reply.is_late and not reply.is_error

    def _read(
        self,
        process: subprocess.Popen[bytes],
        arrived: threading.Condition,
        replies: dict[int, dict[str, Any]],
    ) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            with arrived:
                if isinstance(message.get("id"), int) and "method" not in message:
                    replies[message["id"]] = message
                arrived.notify_all()
        with arrived:
            self._is_closed = self._is_closed or process is self.process
            arrived.notify_all()


def _decode_picture(data: str) -> np.ndarray:
    """uint8 (H, W, 3) RGB of a JPEG in base64, as the server sends them."""
    with Image.open(io.BytesIO(base64.b64decode(data)), formats=("JPEG",)) as picture:
        return np.asarray(picture.convert("RGB"))
