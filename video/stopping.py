"""Ending work from outside between two of its steps: a time limit, a call that nobody waits for.

A thread cannot be ended. What takes long asks here instead: a model of this process before every
token, and whoever waits for a process that decodes, a few times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

CHECK_INTERVAL_S = 0.1
"""How often a wait asks whether it is to go on."""

_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def stop_when(check: Callable[[], None]) -> Iterator[None]:
    """Have `check` called again and again by the work of this block, in this thread: what it raises
    ends the work. In a block inside another its check counts alone.

    Example:
        >>> def check() -> None:
        ...     raise TimeoutError("the time is over")
        >>> with stop_when(check):
        ...     check_stop()
        Traceback (most recent call last):
        ...
        TimeoutError: the time is over
    """
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def check_stop() -> None:
    """Raise what the check of the surrounding `stop_when` raises; does nothing outside of one."""
    check = _check.get()
    if check is not None:
        check()
