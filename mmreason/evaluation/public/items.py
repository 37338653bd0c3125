"""What a public benchmark asks: one record a question, and what of a folder could be read.

The adapters beside this file make these records; `runner.py` asks them, `summary.py` scores them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmreason.video.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionGroup:
    """Questions that are rated together, as Video-MME-v2 has them: four about one video.

    Example:
        >>> QuestionGroup(id="001", place=2, kind="logic", structure="[1, [2, 3], 4]").level
        ''
    """

    id: str
    place: int
    """Of the question in its group, from 1."""
    kind: str
    """"relevance" or "logic"."""
    structure: str = ""
    """Which questions of a logic group build on which, as it is published."""
    level: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkItem:
    """One question of a benchmark, with what its authors say of it.

    Example:
        >>> item = BenchmarkItem(
        ...     id="001-1", video_name="fFjv93ACGo8", video=None, question="What is shown?",
        ...     options=("Apples.", "Candles."), answer=1,
        ... )
        >>> item.is_open, item.has_answer
        (False, True)
    """

    id: str
    video_name: str
    """As the benchmark names it; questions of one name are about one video."""
    video: Path | None
    """None where it was not found."""
    question: str
    options: tuple[str, ...] = ()
    """Texts without their letters; empty for an open question."""
    answer: int | None = None
    """Index into `options`; None where the benchmark keeps its answers to itself, or none fits."""
    answer_text: str = ""
    """Of an open question."""
    reference_spans: tuple[Span, ...] = ()
    """Where in the video its authors found the answer."""
    categories: tuple[str, ...] = ()
    """Kinds of question; an item counts for each of its own."""
    duration_group: str = ""
    subtitles: Path | None = None
    subtitle_start_s: float = 0.0
    """Time of the video's first frame on the clock of the subtitles: some videos are cut."""
    group: QuestionGroup | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is answered in words of one's own."""
        return not self.options

    @property
    def has_answer(self) -> bool:
        """Whether an answer can be scored."""
        return self.answer is not None or bool(self.is_open and self.answer_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkQuestions:
    """What was read of a folder.

    Example:
        >>> BenchmarkQuestions(benchmark="lvbench", files=(), items=()).found_videos
        (0, 0)
    """

    benchmark: str
    files: tuple[Path, ...]
    """Of questions and answers."""
    items: tuple[BenchmarkItem, ...]
    """In the order of the files, those without a video too."""
    problems: tuple[str, ...] = ()
    """One line a row that is no question, or whose question cannot be asked as text."""

    @property
    def found_videos(self) -> tuple[int, int]:
        """(videos that were found, videos that are asked about)."""
        # By name: many questions are about one video.
        names = {item.video_name for item in self.items}
        return len(names) - len(self.missing_videos), len(names)

    @property
    def subtitled(self) -> int:
        """Questions that have subtitles."""
        return sum(item.subtitles is not None for item in self.items)

    @property
    def missing_videos(self) -> tuple[str, ...]:
        """Names of the others, in order."""
        return tuple(dict.fromkeys(i.video_name for i in self.items if i.video is None))


def spread_items(items: Sequence[BenchmarkItem], limit: int | None) -> list[BenchmarkItem]:
    """At most `limit` of the items, evenly over the list: neighbours are about one video, and the
    first of a file are of one kind.

    Example:
        >>> spread_items([], 3)
        []
    """
    if limit is None or limit >= len(items):
        return list(items)
    return [items[number * len(items) // limit] for number in range(limit)]
