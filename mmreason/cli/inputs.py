"""Which files a verb was given - files, folders, patterns - and working through many of them.

A bad file among many does not stop the work: it becomes a failure that is listed at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import typer

from mmreason.cli.common import print_notice, progress_console
from mmreason.video.files import list_videos
from mmreason.video.urls import is_url, restore_url

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Inputs:
    """The files that were named."""

    files: tuple[Path, ...]
    """Each once, as it was named; those of a folder in order of name."""
    many: bool
    """Whether more than one plain file was asked for, so that results come as a list."""


@dataclass(frozen=True, slots=True)
class FileFailure:
    """A file that could not be worked on."""

    path: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWork(Generic[T]):
    """What came of a number of files."""

    results: tuple[T, ...]
    failures: tuple[FileFailure, ...]
    left: int
    """Files that were not reached, because the work was interrupted."""


def expand_paths(patterns: Sequence[str]) -> Inputs:
    """Files, the videos and worlds inside folders (and their folders), and what patterns such as
    `talks/**/*.mp4` match. Raises UsageError for a folder or pattern that holds nothing.

    Example:
        >>> expand_paths(["talks/**/*.mp4"]).files  # doctest: +SKIP
        (PosixPath('talks/a.mp4'), PosixPath('talks/2026/b.mp4'))
    """
    from mmreason.types import UsageError

    files: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            matches = list_videos(path)
            if not matches:
                raise UsageError(f"{pattern}: there is no video in this folder")
        elif path.exists() or is_url(pattern) or not any(mark in pattern for mark in "*?["):
            matches = [path]
        else:
            matches = _matches(path)
            if not matches:
                raise UsageError(f"{pattern}: no file matches this pattern")
        # A file that is named twice, or by name and by pattern, is worked on once.
        files |= dict.fromkeys(matches)
    # One pattern that matches one file is still a list: its form must not hang on what lies there.
    many = len(patterns) > 1 or files.keys() != {Path(patterns[0])}
    return Inputs(tuple(files), many)


def _matches(pattern: Path) -> list[Path]:
    start = Path(pattern.anchor)
    try:
        return [p for p in sorted(start.glob(str(pattern.relative_to(start)))) if p.is_file()]
    except ValueError:
        return []  # such as `a**`, which is no pattern


def work_through(files: Sequence[Path], act: Callable[[Path], T], message: str) -> FileWork[T]:
    """Call `act` on each file, with a bar on stderr. Every error becomes a failure of that file; an
    interruption ends the work with what is done by then."""
    results: list[T] = []
    failures: list[FileFailure] = []
    with suppress(KeyboardInterrupt), progress_bar(message, len(files)) as advance:
        for path in files:
            try:
                results.append(act(path))
            # Any error: whatever is wrong with one file, the others are still to be done.
            except Exception as error:
                name = restore_url(str(path))
                failures.append(FileFailure(name, _reason(error, name)))
            advance()
    left = len(files) - len(results) - len(failures)
    return FileWork(results=tuple(results), failures=tuple(failures), left=left)


def _reason(error: Exception, name: str) -> str:
    """The error on one line, without the path that is told beside it."""
    text = " ".join(str(error).split()).removeprefix(f"{name}: ")
    # Errors for users speak for themselves; of others the type is told too.
    is_plain = isinstance(error, ValueError | OSError)
    return text if is_plain and text else f"{type(error).__name__}: {text}"


@contextmanager
def progress_bar(message: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar; the given function moves it by one. None where stderr is no terminal."""
    console = progress_console()
    if not console.is_terminal:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    described = TextColumn("{task.description}", markup=False)
    columns = (described, BarColumn(), MofNCompleteColumn(), Remaining())
    # Results go to stdout, which stays as it is.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(message, total=total)
        yield lambda: bar.advance(task)


def finish_work(work: FileWork[T]) -> None:
    """List what failed on stderr and end with the exit code that tells it: 1 where something
    failed, that of an interruption where there was one. Call it last."""
    from mmreason.report.text import format_count

    total = len(work.results) + len(work.failures) + work.left
    if work.failures:
        print_notice(f"{len(work.failures)} of {format_count(total, 'file')} failed:")
    for failure in work.failures:
        print_notice(f"  {failure.path}: {failure.error}")
    if work.left:
        verb = "was" if work.left == 1 else "were"
        print_notice(f"{work.left} of {format_count(total, 'file')} {verb} not reached")
        # `main` makes exit code 130 of it.
        raise KeyboardInterrupt
    if work.failures:
        raise typer.Exit(1)


def to_dict(work: FileWork[T], plain: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    """JSON types only; `plain` does so for one result."""
    return {
        "results": [plain(result) for result in work.results],
        "failures": [asdict(failure) for failure in work.failures],
        "not_reached": work.left,
    }


def picture_path(folder: Path, file: Path, taken: set[Path]) -> Path:
    """`folder/<name of file>.png`, with a number where two files of one name meet; adds it to
    `taken`.

    Example:
        >>> taken = set()
        >>> [picture_path(Path("out"), Path(name), taken).name for name in ("a/x.mp4", "b/x.mp4")]
        ['x.mp4.png', 'x.mp4-2.png']
    """
    path, number = folder / f"{file.name}.png", 1
    # Files of one name from two folders would overwrite each other's picture.
    while path in taken:
        number += 1
        path = folder / f"{file.name}-{number}.png"
    taken.add(path)
    return path


def picture_format(path: Path, option: str) -> str:
    """The format of Pillow that the name of a picture asks for. UsageError for a suffix that is no
    kind of picture; `option` is what gave the name."""
    from PIL import Image

    from mmreason.types import UsageError

    name = Image.registered_extensions().get(path.suffix.lower(), "")
    if name not in Image.SAVE:
        raise UsageError(f"{path}: give {option} a name that ends in .png or .jpg")
    return name


def save_picture(picture: Image, path: Path, option: str) -> None:
    """Write a picture, making folders. Raises UsageError as `picture_format` does."""
    from mmreason.video.files import write_atomic

    # Whole in memory first: a picture that cannot be written leaves no half of a file.
    data = BytesIO()
    picture.save(data, picture_format(path, option))
    write_atomic(path, data.getvalue())
