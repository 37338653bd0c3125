"""What an engine runs: jobs, the function that does one, and what came of it.

Only what JSON holds travels between processes and machines: an address and settings there, a value
back. Pixels, models and open files never do.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.plain_text import show_line

MOST_VALUE_BYTES = 8_000_000
"""Of the JSON of one value: a result that is larger belongs into a file or a store."""
MOST_ERROR_LETTERS = 2_000

_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class EngineError(UsageError):
    """Nothing can be run: workers do not start, or none of them gets ready. The message says why
    and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One video, question or file to be worked on.

    Example:
        >>> Job(key="3f2a", address="talks/a.mp4", settings={"model": "nano"}).address
        'talks/a.mp4'
    """

    key: str
    """Names everything that the result depends on; see `make_job_key`."""
    address: str
    """What is worked on: a path or a URL that the worker opens itself."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """JSON types only."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {"key": self.key, "address": self.address, "settings": dict(self.settings)}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What came of one job: a value, or an error on one line.

    Example:
        >>> JobResult(key="3f2a", address="a.mp4", error="a.mp4: is no video").is_failed
        True
    """

    key: str
    address: str
    value: Any = None
    """JSON types only; None for a job that failed."""
    error: str | None = None
    worker: str = ""
    """Which worker did it, as `host:process`."""
    seconds: float = 0.0
    """Wall time of the run that gave this result."""
    attempts: int = 1
    """Runs that were begun: more than 1 after a worker died."""
    from_ledger: bool = False
    """Whether an earlier run, or another process, did it."""

    @property
    def is_failed(self) -> bool:
        return self.error is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done with a job: a function by name, so that any process can load it.

    `function` takes a `Job`, and, where there is a `set_up`, what that returned; it returns what
    JSON can hold. `set_up` is called once a worker with `settings`, to load models.

    Example:
        >>> Work(function="my_project.words:count_words", set_up="my_project.words:load_model")
        ... # doctest: +SKIP
    """

    function: str
    """`module:function`."""
    set_up: str | None = None
    """`module:function`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the set-up; JSON types only."""

    def __post_init__(self) -> None:
        for name in (self.function, self.set_up):
            if name is not None and not _NAME.fullmatch(name):
                raise UsageError(f"{name!r:.80} names no function; expected module:function")
        _check_json(self.settings, "settings of the work")

    @classmethod
    def of(
        cls,
        function: Callable[..., Any] | str,
        set_up: Callable[..., Any] | str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Work:
        """The work of functions that stand in a module. UsageError for one that another process
        could not find by its name."""
        return cls(
            function=_name_function(function),
            set_up=None if set_up is None else _name_function(set_up),
            settings=settings or {},
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        settings = dict(self.settings)
        return {"function": self.function, "set_up": self.set_up, "settings": settings}

    def load(self) -> Callable[[Job], Any]:
        """Import the functions and set up. Raises what importing and setting up raise."""
        function = load_function(self.function)
        if self.set_up is None:
            return function
        parts = load_function(self.set_up)(dict(self.settings))
        return partial(_call_with_parts, function, parts)


def load_function(name: str) -> Callable[..., Any]:
    """The function that `module:function` names. UsageError where there is none."""
    module_name, function_name = name.split(":")
    function = getattr(import_module(module_name), function_name, None)
    if not callable(function):
        raise UsageError(f"{name}: the module has no such function")
    return function


def make_job_key(verb: str, content: str, settings: Mapping[str, Any]) -> str:
    """A digest of a verb, of what names the content (a content hash, or path, size and time), and
    of settings. Another setting is another job.

    Example:
        >>> make_job_key("index", "sha256:aa", {"model": "nano"})[:8]
        '425b5449'
    """
    recipe = [verb, content, _check_json(settings, "settings of a job")]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def name_file_content(path: str | os.PathLike[str]) -> str:
    """What names the content of a file without reading it: absolute path, size, time of change.
    A path that is no file is named by itself."""
    absolute = Path(path).absolute()
    try:
        status = absolute.stat()
    except (OSError, ValueError):
        return os.fspath(path)
    return f"{absolute}|{status.st_size}|{status.st_mtime_ns}"


def check_jobs(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """All jobs. UsageError where two have one key: their results could not be told apart."""
    addresses: dict[str, str] = {}
    checked = tuple(jobs)
    for job in checked:
        if job.key in addresses:
            raise UsageError(
                f"{show_line(job.address)}: has the key {job.key[:16]} of "
                f"{show_line(addresses[job.key])}; give each job a key of its own"
            )
        addresses[job.key] = job.address
    return checked


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of a list of files, as an array of Slurm runs them.

    Example:
        >>> Shard.parse("2/8")
        Shard(index=2, count=8)
    """

    index: int
    """From 1."""
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise UsageError(
                f"shard {self.index}/{self.count}: expected i/n with i from 1 to n, such as 1/8"
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Of `i/n`. UsageError for anything else."""
        match = re.fullmatch(r"(\d{1,7})/(\d{1,7})", text.strip(), re.ASCII)
        if match is None:
            raise UsageError(f"shard {show_line(text)[:40]!r}: expected i/n, such as 1/8")
        return cls(int(match[1]), int(match[2]))


def select_shard(addresses: Sequence[str], shard: Shard) -> tuple[str, ...]:
    """Those of one shard, by a hash of their names: each is in exactly one of the shards, whatever
    order they are listed in and whatever else is listed, and no file is read to tell.

    Example:
        >>> names = ("a.mp4", "b.mp4", "c.mp4")
        >>> [select_shard(names, Shard(index, 2)) for index in (1, 2)]
        [('a.mp4', 'b.mp4'), ('c.mp4',)]
    """
    return tuple(a for a in addresses if _hash_name(a) % shard.count == shard.index - 1)


def name_shard_file(path: Path, shard: Shard | None) -> Path:
    """What a shard writes in the place of `path`: tasks on several machines must not write into
    one file.

    Example:
        >>> str(name_shard_file(Path("talks.sqlite3"), Shard(2, 16)))
        'talks.shard-2-of-16.sqlite3'
    """
    if shard is None:
        return path
    return path.with_name(f"{path.stem}.shard-{shard.index}-of-{shard.count}{path.suffix}")


def encode_value(value: Any) -> str:
    """The JSON of a value. UsageError where JSON cannot hold it, or it is too long."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"returned what JSON cannot hold ({error})") from error
    if len(text) > MOST_VALUE_BYTES:
        raise UsageError(
            f"returned {len(text):,} bytes, the limit is {MOST_VALUE_BYTES:,}; write it to a file"
        )
    try:
        parse_json(text)  # what could not be read again is told where it is made
    except JsonInputError as error:
        raise UsageError(f"returned JSON that {error}") from error
    return text


def describe_error(error: BaseException) -> str:
    """An error on one line; its type is told where the message alone would not do."""
    text = show_line(str(error)[:MOST_ERROR_LETTERS])
    # Errors for users speak for themselves.
    is_plain = isinstance(error, ValueError | OSError)
    return text if is_plain and text else f"{type(error).__name__}: {text}".removesuffix(": ")


def _call_with_parts(function: Callable[..., Any], parts: Any, job: Job) -> Any:
    return function(job, parts)


def _name_function(function: Callable[..., Any] | str) -> str:
    if isinstance(function, str):
        return function
    name = f"{function.__module__}:{getattr(function, '__qualname__', '')}"
    # A lambda or a function inside another has no name that another process could look up.
    if not _NAME.fullmatch(name) or function.__module__ == "__main__":
        raise UsageError(
            f"{name}: a worker cannot import this function; define it in a module, not in a "
            "script, a notebook or another function"
        )
    return name


def _check_json(settings: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    try:
        json.dumps(dict(settings), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} must be what JSON holds: {error}") from error
    return settings


def _hash_name(address: str) -> int:
    digest = hashlib.sha256(address.encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big")
