"""Settings of torch and transformers that hold for a while: threads, progress bars.

Both are the process's own, so what the caller had is put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers.utils import logging

_SMALL_PARAMETERS = 50_000_000


def is_small(model: torch.nn.Module) -> bool:
    """Whether a model is to run on one thread: its products are too short to share, and on a busy
    machine threads mostly wait for each other."""
    return sum(parameter.numel() for parameter in model.parameters()) < _SMALL_PARAMETERS


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Run with `count` torch threads; the caller's number is put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def progress_bars(is_shown: bool) -> Iterator[None]:
    """Bars of loading and saving only where wanted; the caller's choice is put back."""
    before = logging.is_progress_bar_enabled()
    if not is_shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            logging.enable_progress_bar()
