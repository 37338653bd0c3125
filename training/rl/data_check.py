"""What is wrong with the problems of a task, before a run is started: videos that cannot be read,
rewards that do not apply. No model is loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mmreason.tools.calls import FAILURES
from mmreason.tools.ground import frame_of_image, is_image
from mmreason.training.rewards import Combination, from_turns
from mmreason.training.rollouts.types import Problem
from mmreason.training.tasks.videos import show_problem
from mmreason.types import UsageError
from mmreason.video.reader import Video
from mmreason.video.types import Span


def find_faults(task: Any, advance: Callable[[], None] = lambda: None) -> list[str]:
    """One line for each video of the task that cannot be read, with the first problem that shows
    it, and for what is wrong with its rewards. `advance` is called after every video.

    Of tasks that hold no list of problems, such as those that make them up, nothing is told.
    """
    faults = []
    for leaf in _iter_tasks(task):
        faults += _find_unreadable(leaf, advance)
        faults += _find_unrewarded(leaf)
    return list(dict.fromkeys(faults))


def count_videos(task: Any) -> int:
    """How many `find_faults` opens."""
    return sum(
        len({_source_of(problem) for problem in leaf.problems if problem.video})
        for leaf in _iter_tasks(task)
    )


def _iter_tasks(task: Any) -> Iterator[Any]:
    """The tasks with lists of problems in a task, which may be a mixture."""
    if isinstance(getattr(task, "problems", None), Sequence) and (
        hasattr(task, "show") or hasattr(task, "watch")
    ):
        yield task
    for inner, _ in getattr(task, "parts", ()):
        yield from _iter_tasks(inner)


def _source_of(problem: Problem) -> tuple[str | None, Any]:
    return problem.video, problem.span


def _find_unreadable(task: Any, advance: Callable[[], None]) -> Iterator[str]:
    # A video is opened once, however many problems ask about the same part of it.
    first: dict[Any, Problem] = {}
    for problem in task.problems:
        if problem.video is not None:
            first.setdefault(_source_of(problem), problem)
    for problem in first.values():
        try:
            _open_problem(task, problem)
        except FAILURES as error:
            yield f"problem {problem.id}: {' '.join(str(error).split())}"
        advance()


def _open_problem(task: Any, problem: Problem) -> None:
    """As the task does, where it opens videos in a way of its own."""
    if hasattr(task, "watch"):
        source = task.watch(problem)
        if isinstance(source, str | Path):
            _decode_ends(source, problem.span)
    elif getattr(task.show, "func", None) is show_problem:
        assert problem.video is not None
        _decode_ends(problem.video, problem.span)
    else:
        task.show(problem)


def _decode_ends(path: str | Path, shown_span: Span | None) -> None:
    """Decode the first and the last frame of what is shown."""
    if is_image(path):
        frame_of_image(path)
        return
    with Video.open(path) as video:
        whole = video.info.span
        span = whole if shown_span is None else shown_span
        if span.end_s <= whole.start_s or span.start_s >= whole.end_s:
            raise UsageError(
                f"{path}: the stretch {span.start_s:g} to {span.end_s:g} s is not in the video, "
                f"which lasts from {whole.start_s:g} to {whole.end_s:g} s"
            )
        span = span.clip(whole)
        # The last frame is on the screen a little before the end.
        video.frames_at([span.start_s, max(span.start_s, span.end_s - 0.1)])


def _find_unrewarded(task: Any) -> Iterator[str]:
    """What rewards say to an answer of one word: those that give nothing for any answer show."""
    reward = getattr(task, "reward", None)
    if not isinstance(reward, Combination) or not task.problems:
        return
    # Rewards that ask others are not tried: a judge would be asked about every problem.
    has_slow = any(component.is_slow for component in reward.components)
    quick = tuple(component for component in reward.components if not component.is_slow)
    if not quick:
        return
    reward = Combination(quick)
    unknown, faults = [], Counter[str]()
    for problem in task.problems:
        # "yes" is as good as any: whether a reward applies depends on the truth alone.
        scored = reward(from_turns(["yes"], frame=problem.truth.frame), problem.truth)
        faults.update(f"reward {name} gives no number: {f}" for name, f in scored.faults.items())
        if scored.total is None and not scored.faults and not has_slow:
            unknown.append(problem.id)
    of = len(task.problems)
    for fault, count in faults.items():
        yield f"{fault} ({count} of {of} problems)"
    if unknown:
        yield (
            f"no reward applies to {len(unknown)} of {of} problems, the first is {unknown[0]}: "
            "give them their answers, or a reward that needs none"
        )
