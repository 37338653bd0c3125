"""`mmreason index` on an engine: files as jobs, results in a ledger beside the store."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mmreason.cli.common import print_notice, show_progress
from mmreason.cli.engine_options import EngineOptions, file_address, run_files
from mmreason.cli.index_files import Indexed, IndexSettings, name_host_store
from mmreason.cli.inputs import FileWork
from mmreason.engines.jobs import Job, Work, make_job_key, name_file_content
from mmreason.engines.ledger import Ledger, ledger_path
from mmreason.memory.store import Store
from mmreason.types import UsageError


def index_on_engine(
    files: tuple[Path, ...],
    perceived: Set[Path],
    described: Set[Path],
    settings: IndexSettings,
    options: EngineOptions,
    store_path: Path,
) -> FileWork[Indexed]:
    """Each file as a job of the engine that was asked for."""
    # Machines of a cluster write a store each, which then become one.
    is_by_host = options.ray_address is not None
    work = Work(
        function="mmreason.cli.index_files:index_job",
        set_up="mmreason.cli.index_files:set_up_worker",
        settings={
            "index": asdict(settings),
            "store": str(store_path.absolute()),
            "describes": bool(described),
            "is_by_host": is_by_host,
        },
    )
    jobs = {
        path: _make_job(
            path, settings, is_perceived=path in perceived, is_described=path in described
        )
        for path in files
    }
    if is_by_host:
        merge_hosts(store_path)
    with Ledger.open(ledger_path(store_path), retry_failed=options.retry_failed) as ledger:
        _forget_lost(ledger, jobs, store_path)
        done = run_files(jobs, work, options, ledger, _read_indexed, "indexing")
    if is_by_host:
        merge_hosts(store_path)
    # Workers that were ended leave a log of SQLite beside the store: whoever opens it last folds
    # it in, so that the store may be copied as one file.
    Store.open(store_path).close()
    return done


def _make_job(
    path: Path, settings: IndexSettings, *, is_perceived: bool, is_described: bool
) -> Job:
    address = file_address(path)
    flags = {"is_perceived": is_perceived, "is_described": is_described}
    recipe = settings.name_recipe() | flags
    key = make_job_key("index", name_file_content(address), recipe)
    return Job(key=key, address=address, settings=flags)


def _read_indexed(path: Path, value: Any) -> Indexed:
    """Values come from JSON, perhaps that of an earlier version."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return replace(TypeAdapter(Indexed).validate_python(value), path=str(path))
    except ValidationError:
        return Indexed(path=str(path))


def _forget_lost(ledger: Ledger, jobs: dict[Path, Job], store_path: Path) -> None:
    """A file is done only as long as the store holds what was found in it: it may have been
    cleared, or have forgotten the file for others."""
    from mmreason.memory.video_files import select_file

    with Store.open(store_path) as store:
        for job in jobs.values():
            with store.transaction(writes=False) as connection:
                file = select_file(connection, Path(job.address))
            if file is None or not store.memory_state(file.video).made_ns:
                ledger.forget_done(job.key)


def merge_hosts(store_path: Path) -> None:
    """Take over into a store what machines of a cluster have written beside it."""
    from mmreason.memory.merge_store import merge_store

    paths = sorted(store_path.parent.glob(name_host_store(store_path, "*").name))
    for path in paths:
        try:
            with (
                show_progress(path.name),
                Store.open(store_path) as store,
                Store.open(path) as part,
            ):
                merge_store(store, part)
        # One that cannot be merged is told; what it holds stays where it is.
        except UsageError as error:
            print_notice(f"note: {error}")
