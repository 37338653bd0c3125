"""What one call of a tool may take, and ending it: at its time limit, or when a client cancels it.

A call runs in a thread, which cannot be ended from outside. So whatever takes long in it asks
`Call.check` now and then (`mmreason.video.stopping`).
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TypeVar

from mmreason.types import Budget, UsageError
from mmreason.video.stopping import CHECK_INTERVAL_S

_ASK_SHARE = 0.9
"""Of the time that is left to a call, for finding an answer; the rest is for writing it down."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """What one call may take at most. UsageError for limits that leave nothing.

    Example: `CallLimits(seconds=60, memory_mb=2048)`.
    """

    seconds: float = 300.0
    """From its arrival, the wait for other calls included."""
    memory_mb: int = 1024
    """Of the process that reads its video; 0 for none: the server reads it, without this limit, and
    ends reading between two steps only."""
    frames: int = 4096
    """Shown to a model for one question."""

    def __post_init__(self) -> None:
        if not 0.1 <= self.seconds <= 86_400:
            raise UsageError(f"seconds of a call must be 0.1 to 86,400, got {self.seconds:g}")
        if self.memory_mb and not 64 <= self.memory_mb <= 1_048_576:
            raise UsageError(f"memory of a call must be 64 to 1,048,576 MB, got {self.memory_mb}")
        if self.memory_mb and not sys.platform.startswith("linux"):
            raise UsageError(
                "memory of a call can be limited on Linux only; give 0 MB (--call-memory-mb 0) to "
                "read videos without this limit"
            )
        if not 1 <= self.frames <= 1_000_000:
            raise UsageError(f"frames of a call must be 1 to 1,000,000, got {self.frames}")

    def budget(self, frames: int | None, seconds: float | None, remaining_s: float) -> Budget:
        """What a client asks for, within these limits and what is left of the time.

        Example:
            >>> CallLimits().budget(None, 1e9, remaining_s=200.0)
            Budget(frames=4096, rounds=None, tokens=None, seconds=180.0)
        """
        requested = Budget(frames=frames, seconds=seconds)
        most_s = max(0.0, _ASK_SHARE * remaining_s)
        return Budget(
            frames=self.frames if requested.frames is None else min(requested.frames, self.frames),
            seconds=most_s if requested.seconds is None else min(requested.seconds, most_s),
        )


class CallCancelled(BaseException):
    """The client has cancelled the call. Not an `Exception`: what forgives failures of models and
    decoders must not forgive this."""


class Call:
    """One call while it runs. Its time begins when it is made; `cancel` may come from any
    thread."""

    def __init__(self, limit_s: float, *, is_fixed: bool = False) -> None:
        """`is_fixed` where the server cannot be started with a higher limit."""
        self.limit_s = limit_s
        self._is_fixed = is_fixed
        self._deadline_s = time.monotonic() + limit_s
        self._cancelled = False

    @property
    def remaining_s(self) -> float:
        """Seconds left, not below 0."""
        return max(0.0, self._deadline_s - time.monotonic())

    @property
    def time_over(self) -> str:
        """What a client is told when the time is over."""
        advice = "" if self._is_fixed else ", or start the server with a higher --call-seconds"
        return (
            f"the call took longer than its limit of {self.limit_s:g} s and was ended; ask for "
            f"less{advice}"
        )

    def check_cancelled(self) -> None:
        """Raise CallCancelled where the client no longer waits."""
        if self._cancelled:
            raise CallCancelled

    def check(self) -> None:
        """Raise CallCancelled, or TimeoutError where the time is over."""
        self.check_cancelled()
        if not self.remaining_s:
            raise TimeoutError(self.time_over)

    def cancel(self) -> None:
        """Have `check` raise CallCancelled."""
        self._cancelled = True

    def result_of(self, future: Future[Value]) -> Value:
        """Wait for another thread's result. Raises what `check` does, and what the future holds."""
        # Waits in short steps: a wait on the future alone would not notice a cancelled call.
        while not future.done():
            self.check()
            wait([future], timeout=min(CHECK_INTERVAL_S, self.remaining_s))
        return future.result()
