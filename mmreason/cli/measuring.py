"""What the verbs that run a benchmark share: lists of names and seeds, a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmreason.cli.common import progress_console


def split_names(text: str) -> list[str]:
    """The names between commas.

    Example:
        >>> split_names("greedy, auto,")
        ['greedy', 'auto']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def read_seeds(text: str) -> tuple[int, ...]:
    """`0-2` to (0, 1, 2), `1,5` to (1, 5). Raises UsageError."""
    from mmreason.types import UsageError

    seeds: list[int] = []
    for text_range in split_names(text):
        first, _, last = text_range.partition("-")
        # `isdigit` refuses signs and blanks, which `int` would take.
        if not first.isdigit() or (last and not last.isdigit()) or int(last or first) < int(first):
            raise UsageError(f"seeds {text!r} must be numbers or ranges, such as 0-4 or 1,5")
        seeds += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(seeds))


@contextmanager
def show_bar(message: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar with the time left on stderr, where that is a terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = progress_console()
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(message, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
