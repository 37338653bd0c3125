"""When a long run should end early: at Ctrl-C after the step at hand, or when its time is over."""

from __future__ import annotations

import signal
import time
from types import FrameType


class StopSignal:
    """Ask it after every step. As a context it takes the first Ctrl-C as a wish and raises
    `KeyboardInterrupt` when left; a second one ends the run at once.

    A shell lets its background jobs ignore Ctrl-C: so does this.
    """

    def __init__(self, minutes: float | None = None):
        self._end_s = None if minutes is None else time.monotonic() + 60 * minutes
        self._interrupted = False

    def __call__(self) -> bool:
        """Whether to stop."""
        over = self._end_s is not None and time.monotonic() >= self._end_s
        return over or self._interrupted

    def __enter__(self) -> StopSignal:
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)
        if self._interrupted and kind is None:
            raise KeyboardInterrupt

    def _note(self, number: int, _: FrameType | None) -> None:
        self._interrupted = True
        signal.signal(signal.SIGINT, self._before)
