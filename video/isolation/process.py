"""The process that reads one file: started, asked, and ended when it takes too long, too much, or
when nobody needs it any more.

A request is one line of JSON. An answer is two lengths, JSON of the first length and arrays of the
second. Nothing in an answer is believed: lengths are limited, and JSON is read within limits.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from mmreason.video.backends.base import ReadOptions
from mmreason.video.descriptors import is_descriptor_path
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.stopping import CHECK_INTERVAL_S, check_stop
from mmreason.video.types import VideoError

_START_LIMIT_S = 60.0
"""For starting Python and loading the decoders, before any byte of the file is read."""
_GRACE_S = 0.5
"""The process is given this long to say itself that the time limit has passed."""
_MOST_TEXT_BYTES = 16_000_000
_PIPE_BYTES = 2**20
ANSWER_HEAD = struct.Struct(">QQ")
"""Bytes of JSON and bytes of arrays that follow."""
MEMORY_EXIT = 70
"""Exit code of a reading process that has no memory left to say so."""


class ReadingProcess:
    """One process for one file. Calls take turns: whoever asks holds `lock` until the answer is
    read. `close` may come from any thread, also in the middle of a call."""

    def __init__(self, path: Path, options: ReadOptions, decoders: Sequence[str]) -> None:
        """Start it, have it load `decoders` (keys of `worker.DECODERS`) and limit its memory; the
        file is not touched yet. Raises VideoError."""
        self._path, self._memory_mb = path, options.memory_limit_mb
        self._limit_s: float | None = None
        self._why_ended = "is closed; open it again"
        self.lock = threading.RLock()
        # A file given by its descriptor has no name that another process could open.
        inherited = (int(path.name),) if is_descriptor_path(path) else ()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mmreason.video.isolation.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=inherited,
            start_new_session=True,  # so that a process it starts ends with it
            # The very modules of this process, and `-P` against those of the folder it stands in.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry or "." for entry in sys.path)},
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests = self._process.stdin.fileno()
        self._answers = self._process.stdout.fileno()
        self._end = weakref.finalize(self, _end, self._process, self.lock, os.getpid())
        with suppress(OSError):  # a smaller pipe does as well, slower
            fcntl.fcntl(self._answers, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        load = {"action": "load", "decoders": list(decoders), "memory_mb": self._memory_mb}
        self.ask(load, time.monotonic() + _START_LIMIT_S)
        # From here on: starting Python is not the file's fault.
        self._limit_s = options.time_limit_s

    @property
    def closed(self) -> bool:
        return not self._end.alive

    def check_open(self) -> None:
        """Raise VideoError where it has ended."""
        if self.closed:
            raise VideoError(f"{self._path}: {self._why_ended}")

    def deadline(self) -> float:
        """When a call that begins now must be done, on the clock of `time.monotonic`."""
        if self._limit_s is None:
            return math.inf
        return time.monotonic() + self._limit_s + _GRACE_S

    def ask(self, request: dict[str, Any], deadline: float) -> tuple[dict[str, Any], int]:
        """The answer to `request`, and ending many bytes follow it, which `read` must take. Raises
        VideoError: that the process was ended, or needs more memory."""
        self.check_open()
        with self._ending_on_failure():
            self._write(json.dumps(request).encode() + b"\n")
            # One answer to one request, in order: whoever asks holds the lock until it is read.
            answer, byte_count = self._read_answer(deadline)
            if answer.get("out_of_memory"):
                self._end_with(self._needs_more())
        return answer, byte_count

    def read(self, target: memoryview, deadline: float) -> None:
        """Fill `target`, a view of bytes, with what follows an answer. Raises VideoError."""
        with self._ending_on_failure():
            self._fill(target, deadline)

    def fail(self, reason: str) -> NoReturn:
        """End the process, because of what it answered."""
        self._end_with(f"its reading process answered what it must not ({reason[:200]})")

    def close(self) -> None:
        """End the process, whatever it is doing. May be called twice."""
        self._end()

    @contextmanager
    def _ending_on_failure(self) -> Iterator[None]:
        """Half an answer may be under way after an error or Ctrl-C: nothing more can be asked."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _write(self, line: bytes) -> None:
        try:
            while line:
                # A pipe takes as much as it has room for.
                line = line[os.write(self._requests, line) :]
        except OSError:
            self._end_with(self._explain_end())

    def _read_answer(self, deadline: float) -> tuple[dict[str, Any], int]:
        head = bytearray(ANSWER_HEAD.size)
        self._fill(memoryview(head), deadline)
        text_bytes, array_bytes = ANSWER_HEAD.unpack(head)
        # The process has read a hostile file and may be in its hands: its lengths are not believed.
        if text_bytes > _MOST_TEXT_BYTES:
            self.fail(f"{text_bytes} bytes of text")
        text = bytearray(text_bytes)
        self._fill(memoryview(text), deadline)
        try:
            answer = parse_json(bytes(text), most_bytes=_MOST_TEXT_BYTES)
        except JsonInputError as error:
            self.fail(str(error))
        if not isinstance(answer, dict):
            self.fail("no object")
        return answer, array_bytes

    def _fill(self, target: memoryview, deadline: float) -> None:
        filled = 0
        while filled < len(target):
            self._wait(deadline)
            count = os.readv(self._answers, [target[filled:]])
            # The end of the pipe: the process has ended.
            if not count:
                self._end_with(self._explain_end())
            filled += count

    def _wait(self, deadline: float) -> None:
        """Until there is something to read, or `stop_when` ends the wait and the process."""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        while True:
            # Woken a few times a second: a caller who gives up does not wait for the decoder.
            check_stop()
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                limit_s = _START_LIMIT_S if self._limit_s is None else self._limit_s
                self._end_with(f"took longer than the limit of {limit_s:g} s")
            if poll.poll(1000 * min(CHECK_INTERVAL_S, left_s)):
                return

    def _end_with(self, reason: str) -> NoReturn:
        if not self.closed:
            self._why_ended = f"{reason}; open it again"
        self.close()
        raise VideoError(f"{self._path}: {reason}")

    def _explain_end(self) -> str:
        """Why there is nothing more to read."""
        if self.closed:
            return self._why_ended
        with suppress(subprocess.TimeoutExpired):
            # The pipe ends a moment before the exit code is there.
            self._process.wait(_GRACE_S)
        code = self._process.poll()
        # It could not even say that there was too little memory.
        if code == MEMORY_EXIT:
            return self._needs_more()
        if code is None:
            ending = "its answers"
        else:
            ending = f"with signal {-code}" if code < 0 else f"with code {code}"
        return (
            f"the process that read it ended {ending}: it is damaged or made up, or needs more "
            f"than {self._memory_mb:,} MB"
        )

    def _needs_more(self) -> str:
        return (
            f"needs more than {self._memory_mb:,} MB of memory, the limit (memory_limit_mb) "
            "it is read with"
        )


def _end(process: subprocess.Popen[bytes], lock: threading.RLock, owner_pid: int) -> None:
    """A forked process leaves the reading process to the one that started it."""
    if os.getpid() != owner_pid:
        return
    with suppress(ProcessLookupError, PermissionError):
        # The group first: a back end may have started a decoder of its own.
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    with lock:  # whoever is reading finds the end of the pipe first
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
