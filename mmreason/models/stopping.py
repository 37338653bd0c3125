"""Ending a generation between two of its steps, from outside: a time limit, a cancelled call.

A model that writes in this process asks here before every token. Leaves out requests to servers,
whose time limits are `endpoint_http`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def stop_when(check: Callable[[], None]) -> Iterator[None]:
    """Have models that write in this block, and in this thread, call `check` before every token:
    what it raises ends the generation.

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
    """Raise what the check of the surrounding `stop_when` raises; nothing outside of one."""
    check = _check.get()
    if check is not None:
        check()
