"""The whole check of one or several data sets.

files = [read_sample_file(Path("train.jsonl")), read_sample_file(Path("val.jsonl"))]
report = check_samples(files, CheckSettings(frames=True))
print(*report.findings, sep="\\n")
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmreason.engines import Engine, Ledger, LocalEngine
from mmreason.training.data.doctor.answers import AnswerStats, count_answers, find_unbalanced
from mmreason.training.data.doctor.blind import BlindScore, find_blind, score_blind
from mmreason.training.data.doctor.duplicates import (
    find_copied_files,
    find_repeated_rows,
    find_shared,
    find_similar_files,
)
from mmreason.training.data.doctor.findings import Finding, FindingKind
from mmreason.training.data.doctor.groups import FileGroups, find_similar, group_copies
from mmreason.training.data.doctor.media import MediaFacts, MediaReading, list_media, read_media
from mmreason.training.data.doctor.rows import find_box_space, find_row_faults
from mmreason.training.data.doctor.sample_file import SampleFile
from mmreason.training.data.sample import Sample

DEFAULT_TIME_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """What is looked at, and how.

    Example:
        >>> CheckSettings(frames=True).time_limit_s
        30.0
    """

    frames: bool = False
    """Whether the first frame of each file is decoded: needed for files that look alike."""
    workers: int | None = None
    """Processes that open files; None: one a processor."""
    time_limit_s: float = DEFAULT_TIME_LIMIT_S
    """Of one file."""
    ledger: Path | None = None
    """SQLite file of what was read; None keeps nothing."""
    engine: Engine | None = None
    """In place of processes of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSampleFile:
    """What one data set is, and what its answers are like."""

    file: str
    dialect: str
    container: str
    reason: str
    """By what the dialect was told."""
    notes: tuple[str, ...]
    rows: int
    bad_rows: int
    """Of them, those that could not be read."""
    channels: Mapping[str, int]
    media: Mapping[str, int]
    """Files that rows show, by kind; each time they are shown counts."""
    answers: AnswerStats
    baselines: tuple[BlindScore, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What is in data sets, and what is wrong with them."""

    JSON_PROPERTIES = ("problems", "warnings")

    files: tuple[CheckedSampleFile, ...]
    findings: tuple[Finding, ...]
    """In the order of the rows, those of whole data sets first."""
    media: Mapping[str, MediaFacts]
    """Each distinct file by its path."""
    notes: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = field(default=(), repr=False, metadata={"json": False})
    groups: FileGroups = field(
        default_factory=lambda: FileGroups([]), repr=False, metadata={"json": False}
    )
    """Which files show the same."""

    @property
    def problems(self) -> int:
        """Findings for which the exit code is 1."""
        return sum(finding.level == "problem" for finding in self.findings)

    @property
    def warnings(self) -> int:
        """Findings that may be meant so."""
        return len(self.findings) - self.problems


def check_samples(
    files: Sequence[SampleFile],
    settings: CheckSettings | None = None,
    *,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> DataReport:
    """Check data sets, several as splits that must not share files. `on_done` is told how many
    files of how many are opened. Interrupted, what was read stays in the ledger."""
    settings = settings or CheckSettings()
    samples = [sample for file in files for sample in file.samples]
    # 1. Every distinct file, opened once.
    opened = open_ledger(settings.ledger)
    with opened as ledger:
        reading = MediaReading(
            frames=settings.frames,
            engine=settings.engine or make_engine(settings),
            ledger=ledger,
            on_done=on_done,
        )
        media = read_media(list_media(samples), reading)
        groups = group_copies(media)
        similar = find_similar(media, groups, reading) if settings.frames else []
        notes = tuple(ledger.notes)
    # 2. What rows say of them, and of each other.
    findings: list[Finding] = []
    checked: list[CheckedSampleFile] = []
    for file in files:
        findings += [Finding(FindingKind.BAD_ROW, f.source, f.reason) for f in file.faults]
        for sample in file.samples:
            findings += find_row_faults(sample, media)
        findings += find_box_space(file.samples, file.name)
        findings += find_unbalanced(file.samples, file.name)
    findings += find_copied_files(groups, samples)
    findings += find_similar_files(similar, samples)
    findings += find_repeated_rows(samples, groups)
    # From here on similar files are one: neither leaks nor folds may tell them apart.
    for pair in similar:
        groups.join(*pair)
    findings += find_shared(samples, groups)
    for file in files:
        baselines = score_blind(file.samples, groups)
        findings += find_blind(baselines, file.name)
        checked.append(_describe_file(file, baselines))
    order = {file.name: index for index, file in enumerate(files)}
    findings.sort(key=lambda found: (order.get(found.source.file, 0), found.source.row))
    return DataReport(
        files=tuple(checked),
        findings=tuple(findings),
        media=media,
        notes=notes,
        samples=tuple(samples),
        groups=groups,
    )


def describe_only(files: Sequence[SampleFile]) -> DataReport:
    """What data sets are, without opening a file."""
    groups = FileGroups([])
    checked = [_describe_file(file, score_blind(file.samples, groups)) for file in files]
    samples = tuple(sample for file in files for sample in file.samples)
    return DataReport(files=tuple(checked), findings=(), media={}, samples=samples)


def open_ledger(path: Path | None) -> Ledger:
    """Where results of files lie. What failed before is tried again: a slow file may have met a
    busy machine. Raises UsageError for a file that is no ledger."""
    if path is None:
        return Ledger.in_memory()
    path.parent.mkdir(parents=True, exist_ok=True)
    return Ledger.open(path, retry_failed=True)


def make_engine(settings: CheckSettings) -> Engine:
    """Processes of this machine, each of which a file may end."""
    workers = settings.workers or len(os.sched_getaffinity(0))
    return LocalEngine(workers=workers, time_limit_s=settings.time_limit_s)


def _describe_file(file: SampleFile, baselines: tuple[BlindScore, ...]) -> CheckedSampleFile:
    media = Counter(str(medium.kind) for sample in file.samples for medium in sample.media)
    return CheckedSampleFile(
        file=file.name,
        dialect=file.dialect,
        container=file.container,
        reason=file.reason,
        notes=file.notes,
        rows=file.rows,
        bad_rows=len(file.faults),
        channels=dict(Counter(sample.channel for sample in file.samples).most_common()),
        media=dict(media),
        answers=count_answers(file.samples),
        baselines=baselines,
    )
