"""`mmreason cache merge`: one store of several, as the shards of a large run leave them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mmreason.cli.cache import StoreFile
from mmreason.cli.common import Json, print_json, print_line, show_progress
from mmreason.json_values import to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedSource:
    """What one store had that the other lacked."""

    path: str
    videos: int
    """Of which records are new."""
    records: int
    replies: int
    """Of models."""
    jobs: int
    """Results of jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOutput:
    """What was taken over into one store."""

    path: str
    """The store that others were merged into."""
    sources: tuple[MergedSource, ...]


def merge_stores(
    sources: Annotated[list[Path], typer.Argument(help="Stores of shards; nothing in them goes.")],
    store: StoreFile = None,
    as_json: Json = False,
) -> None:
    """Take over into one store what others hold, and the results of their jobs. Merged again,
    nothing stands twice."""
    from mmreason.memory.store import default_path
    from mmreason.types import UsageError

    target = (default_path() if store is None else store).expanduser()
    for path in sources:
        if not path.is_file():
            raise UsageError(f"{path}: there is no such file; give the stores of shards")
        if target.exists() and path.samefile(target):
            raise UsageError(f"{path}: is the very store that others are to be merged into")
    merged: list[MergedSource] = []
    for path in sources:
        with show_progress(path.name):
            merged.append(_merge_source(target, path))
        # As each is done: an interruption keeps what was taken over.
        if not as_json:
            _print_merged(merged[-1])
    if as_json:
        print_json(to_json(MergeOutput(path=str(target), sources=tuple(merged))))


def _merge_source(target_path: Path, path: Path) -> MergedSource:
    from mmreason.engines.ledger import Ledger, ledger_path, merge_ledgers
    from mmreason.memory.merge_store import merge_store
    from mmreason.memory.store import Store

    with Store.open(target_path) as target, Store.open(path) as source:
        merged = merge_store(target, source)
    jobs = 0
    # Only after the records are there: a job that counts as done has left its records.
    if ledger_path(path).exists():
        with (
            Ledger.open(ledger_path(target_path)) as target_jobs,
            Ledger.open(ledger_path(path)) as source_jobs,
        ):
            jobs = merge_ledgers(target_jobs, source_jobs)
    return MergedSource(
        path=str(path),
        videos=merged.videos,
        records=merged.records,
        replies=merged.replies,
        jobs=jobs,
    )


def _print_merged(merged: MergedSource) -> None:
    from mmreason.report.text import format_count

    videos = format_count(merged.videos, "video")
    print_line(
        f"{merged.path}: {merged.records:,} records of {videos}, {merged.replies:,} replies and "
        f"{merged.jobs:,} results of jobs are new"
    )
