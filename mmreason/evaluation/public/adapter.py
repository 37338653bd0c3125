"""What the adapters share: which files hold the questions, and one loop over their rows.

An adapter is a function from an opened folder to `BenchmarkQuestions`. It makes an item of each
row; a row that it cannot make one of is a line in `problems`, and the others are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmreason.evaluation.public.items import BenchmarkItem, BenchmarkQuestions
from mmreason.evaluation.public.media import MediaIndex
from mmreason.evaluation.public.tables import RowError, SourceRow, read_rows
from mmreason.types import UsageError

_MOST_NAMED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkFolder:
    """A folder of a benchmark, with what lies in it.

    Example:
        >>> BenchmarkFolder.of(Path("LVBench"))  # doctest: +SKIP
        BenchmarkFolder(path=PosixPath('LVBench'), media=MediaIndex(...), questions=None)
    """

    path: Path
    media: MediaIndex
    questions: Path | None = None
    """The file of questions, where the caller chose one."""

    @classmethod
    def of(
        cls, path: Path, *, videos: Path | None = None, questions: Path | None = None
    ) -> BenchmarkFolder:
        """Open a folder; `videos` are elsewhere where they are not below it. UsageError where one
        of them is no folder, or `questions` is no file."""
        media = MediaIndex.of([path] if videos is None else [path, videos])
        if questions is not None and not questions.is_file():
            raise UsageError(f"{questions}: is no file of questions")
        return cls(path=path, media=media, questions=questions)

    def find_tables(self, *patterns: str, several: bool = False) -> tuple[Path, ...]:
        """The file of questions: the one that the caller chose, else what the first pattern with a
        match names. UsageError where there is none, or more than one where one is expected."""
        if self.questions is not None:
            return (self.questions,)
        # In the order of the adapter: its authors' own files before those of mirrors.
        for pattern in patterns:
            tables = sorted(path for path in self.path.glob(pattern) if path.is_file())
            # Two splits have other questions: which is meant is not guessed.
            if len(tables) > 1 and not several:
                named = ", ".join(str(path.relative_to(self.path)) for path in tables)
                raise UsageError(
                    f"{self.path}: holds several files of questions ({named}); choose one with "
                    "--questions FILE"
                )
            if tables:
                return tuple(tables)
        present = sorted(path.name for path in self.path.iterdir())[:_MOST_NAMED]
        raise UsageError(
            f"{self.path}: no file of questions; expected {' or '.join(patterns)}, found "
            f"{', '.join(present) or 'nothing'}; docs/benchmarks.md shows the folder"
        )

    def find_video(self, row: SourceRow, name: str, folder: str = "") -> Path | None:
        """The video of a row. RowError where several are called so."""
        try:
            return self.media.find_video(name, folder)
        except ValueError as error:
            raise row.error(str(error)) from error

    def find_subtitles(self, row: SourceRow, name: str) -> Path | None:
        """Its subtitles. RowError where several are called so."""
        try:
            return self.media.find_subtitles(name)
        except ValueError as error:
            raise row.error(str(error)) from error


MakeItem = Callable[[SourceRow], BenchmarkItem]


def read_items(
    benchmark: str,
    tables: Sequence[Path],
    make_item: MakeItem,
    *,
    rows_of: Callable[[SourceRow], Iterable[SourceRow | RowError]] = lambda row: (row,),
) -> BenchmarkQuestions:
    """An item a row. `rows_of` gives the rows that stand in a row, for files with one a video.

    Raises UsageError where no row of all files is a question.
    """
    items: list[BenchmarkItem] = []
    problems: list[str] = []
    row_of_id: dict[str, SourceRow] = {}
    for row in _inner_rows(tables, rows_of):
        try:
            if isinstance(row, RowError):
                raise row
            item = _make_item(row, make_item)
            # Results are kept by id: a second one would take the place of the first.
            first = row_of_id.setdefault(item.id, row)
            if first is not row:
                raise row.error(f"has the id {item.id!r:.60} of {first.path}, row {first.number}")
            items.append(item)
        except RowError as error:
            problems.append(str(error))
    # A file of another kind has no row that fits; the first reason tells which field is missing.
    if not items:
        why = problems[0] if problems else f"{', '.join(map(str, tables))}: holds no rows"
        raise UsageError(f"no question of {benchmark} could be read: {why}")
    return BenchmarkQuestions(
        benchmark=benchmark, files=tuple(tables), items=tuple(items), problems=tuple(problems)
    )


def _inner_rows(
    tables: Sequence[Path], rows_of: Callable[[SourceRow], Iterable[SourceRow | RowError]]
) -> Iterator[SourceRow | RowError]:
    for table in tables:
        for row in read_rows(table):
            if isinstance(row, RowError):
                yield row
                continue
            try:
                yield from rows_of(row)
            except RowError as error:
                yield error


def _make_item(row: SourceRow, make_item: MakeItem) -> BenchmarkItem:
    try:
        item = make_item(row)
    except RowError:
        raise
    except ValueError as error:  # of `fields.py`, which does not know where the value stands
        raise row.error(str(error)) from error
    if item.options and len(item.options) < 2:
        raise row.error("has one option; expected two or more")
    if any(not option for option in item.options):
        raise row.error("has a blank option")
    return item
