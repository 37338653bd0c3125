"""Waiting for many slow things at once on a few threads, in a way that Ctrl-C can end, and
`mmreason.video.stopping`."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from mmreason.video.stopping import CHECK_INTERVAL_S, check_stop

T = TypeVar("T")


def side_by_side(act: Callable[[int], T], count: int, most: int, stop: threading.Event) -> list[T]:
    """`act` of 0 .. count-1, in order, on at most `most` threads; what it raises is raised.

    Threads are daemons, so that Ctrl-C waits for no request; `stop` is set when one is left.
    """
    indices: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()
    for index in range(count):
        indices.put(index)

    def work() -> None:
        while not stop.is_set():
            try:
                index = indices.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((index, act(index)))
            except BaseException as error:
                done.put((index, error))

    for _ in range(min(most, count)):
        threading.Thread(target=work, daemon=True, name="mmreason-endpoint").start()
    results: dict[int, T] = {}
    try:
        while len(results) < count:
            try:
                index, result = done.get(timeout=CHECK_INTERVAL_S)
            except queue.Empty:
                check_stop()
                continue
            if isinstance(result, BaseException):
                raise result
            results[index] = result
    finally:
        stop.set()
    return [results[index] for index in range(count)]
