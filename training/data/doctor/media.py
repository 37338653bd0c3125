"""Every distinct file of a data set opened once, in processes that may die, with results that last.

What is wrong with a file before it is opened (missing, empty, a pipe) is told without opening it.
Results lie in a ledger by path, size and time of change: an interrupted run goes on, and a file
that was changed is read again.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mmreason.engines import Engine, Job, Ledger, Work, make_job_key, name_file_content
from mmreason.training.data.doctor.findings import FindingKind
from mmreason.training.data.sample import MediaKind, Sample
from mmreason.video.files import hash_content

WORKER = "mmreason.training.data.doctor.media_worker:read_media_file"
_VERSION = 2
"""Of what a worker returns: another one reads all files again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFacts:
    """What is in one file, as far as its header and, where it was asked for, its first frame say.

    Example:
        >>> MediaFacts(path="a.mp4", kind="video", duration_s=3.0).problem is None
        True
    """

    path: str
    kind: str = ""
    """"video", "image" or "audio": what the file is; empty where it could not be read."""
    problem: FindingKind | None = None
    reason: str = ""
    """Of the problem: one line."""
    size_bytes: int = 0
    duration_s: float | None = None
    """Of videos and audio."""
    start_s: float = 0.0
    """Presentation time of the first frame."""
    fps_hz: float | None = None
    width_px: int | None = None
    """As displayed: after rotation."""
    height_px: int | None = None
    rotation_deg: int = 0
    codec: str = ""
    content_hash: str = ""
    """Of files that have the very size of another one."""
    frame_hash: str = ""
    """Of the first frame: 64 bits as 16 hex digits; empty where it was not decoded or is flat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaReading:
    """How files are read."""

    frames: bool = False
    """Whether the first frame of each is decoded."""
    engine: Engine
    ledger: Ledger
    on_done: Callable[[int, int], None] = lambda done, total: None
    """Told how many files of how many are read."""


def list_media(samples: Iterable[Sample]) -> dict[str, MediaKind]:
    """Distinct files of samples, and as what they are shown first. Addresses are left to others."""
    kinds: dict[str, MediaKind] = {}
    for sample in samples:
        for medium in sample.media:
            kind = MediaKind.IMAGE if medium.kind is MediaKind.FRAMES else medium.kind
            for path in medium.paths:
                if not is_address(path):
                    kinds.setdefault(path, kind)
    return kinds


def is_address(path: str) -> bool:
    """Whether it names a file of another machine.

    Example:
        >>> is_address("https://example.org/a.mp4"), is_address("/data/a.mp4")
        (True, False)
    """
    return "://" in path


def read_media(files: Mapping[str, MediaKind], reading: MediaReading) -> dict[str, MediaFacts]:
    """Facts of each file by its path."""
    facts: dict[str, MediaFacts] = {}
    sizes: dict[str, int] = {}
    for path in files:
        refused = _refuse_unopened(path)
        if isinstance(refused, MediaFacts):
            facts[path] = refused
        else:
            sizes[path] = refused
    jobs = [_make_job(path, files[path], reading.frames) for path in sizes]
    work = Work(function=WORKER)
    total = len(files)
    for result in reading.engine.run(jobs, work, reading.ledger):
        if result.error is None:
            facts[result.address] = _facts_of(result.value, sizes[result.address])
        else:
            facts[result.address] = _failed(result.address, result.error)
        reading.on_done(len(facts), total)
    # Two files that are alike have one size: only such are hashed.
    size_counts = Counter(sizes.values())
    for path, size in sizes.items():
        if size_counts[size] > 1:
            facts[path] = replace(facts[path], content_hash=_hash_or_nothing(path))
    return {path: facts[path] for path in files}


def _make_job(path: str, kind: MediaKind, frames: bool) -> Job:
    settings = {"kind": str(kind), "frames": frames, "version": _VERSION}
    key = make_job_key("data check", f"{path}|{name_file_content(path)}", settings)
    return Job(key=key, address=path, settings=settings)


def _refuse_unopened(path: str) -> MediaFacts | int:
    """Why a file is not opened, or its size in bytes. A pipe would hold its reader for ever."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return MediaFacts(path=path, problem=FindingKind.MISSING_FILE, reason=reason.lower())
    if not stat.S_ISREG(status.st_mode):
        what = "is a folder" if stat.S_ISDIR(status.st_mode) else "is a pipe, socket or device"
        return MediaFacts(path=path, problem=FindingKind.NOT_REGULAR, reason=what)
    if status.st_size == 0:
        return MediaFacts(path=path, problem=FindingKind.EMPTY_FILE, reason="has 0 bytes")
    return status.st_size


def _hash_or_nothing(path: str) -> str:
    """The hash of its content; empty where it cannot be read, which its reader has told."""
    try:
        return hash_content(Path(path))
    except OSError:
        return ""


def _facts_of(value: Mapping[str, Any], size_bytes: int) -> MediaFacts:
    names = {field.name for field in fields(MediaFacts)}
    values: dict[str, Any] = {name: item for name, item in value.items() if name in names}
    problem = values.pop("problem", None)
    values["size_bytes"] = size_bytes
    return MediaFacts(
        **values,
        problem=None if problem is None else FindingKind(problem),
    )


def _failed(path: str, error: str) -> MediaFacts:
    """Of a file that ended its reader, held it up, or met an error that no reader foresaw."""
    if error.startswith("took longer"):
        kind = FindingKind.TOO_SLOW
    elif error.startswith("worker died"):
        kind = FindingKind.READER_DIED
    else:
        kind = FindingKind.UNREADABLE
    return MediaFacts(path=path, problem=kind, reason=error.removeprefix(f"{path}: "))
