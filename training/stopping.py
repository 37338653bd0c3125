"""When a long run should end early: at Ctrl-C or SIGTERM after the step at hand, or in time."""

from __future__ import annotations

import signal
import time
from types import FrameType

TERMINATED = 128 + signal.SIGTERM
"""Exit code after SIGTERM, which clusters send before they take a machine away."""


class StopSignal:
    """Ask it after every step. As a context it takes the first Ctrl-C (SIGINT) or SIGTERM as a
    action. When left it raises `KeyboardInterrupt` for the one and `SystemExit(TERMINATED)` for the
    other; a second one ends the run at once.

    A shell lets its background jobs ignore Ctrl-C: so does this.

    Example::

        with StopSignal(minutes=30) as should_stop:
            for step in train(recipe):
                if should_stop():
                    break
    """

    def __init__(self, minutes: float | None = None):
        self._end_s = None if minutes is None else time.monotonic() + 60 * minutes
        self._received = 0

    def __call__(self) -> bool:
        """Whether to stop."""
        over = self._end_s is not None and time.monotonic() >= self._end_s
        return over or self._received != 0

    def __enter__(self) -> StopSignal:
        now = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        # A handler of C code (None) cannot be put back, an ignored signal stays ignored.
        self._before = {number: h for number, h in now.items() if h not in (None, signal.SIG_IGN)}
        for number in self._before:
            signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._restore()
        if kind is None and self._received == signal.SIGINT:
            raise KeyboardInterrupt
        if kind is None and self._received == signal.SIGTERM:
            raise SystemExit(TERMINATED)

    def _note(self, number: int, _: FrameType | None) -> None:
        # The next one reaches the handlers from before: it ends the run at once.
        self._received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
