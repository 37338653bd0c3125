"""`mmreason transcribe` on an engine: files as jobs, results in a ledger."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mmreason.cache_folder import cache_folder
from mmreason.cli.common import api_key
from mmreason.cli.engine_options import EngineOptions, file_address, run_files
from mmreason.cli.inputs import FileWork
from mmreason.cli.transcribe import (
    Format,
    TranscribedFile,
    name_target,
    transcribe_file,
    write_target,
)
from mmreason.engines.jobs import Job, Work, make_job_key, name_file_content, name_shard_file
from mmreason.engines.ledger import Ledger, ledger_path
from mmreason.json_values import to_json
from mmreason.video.speech import Recogniser, load_recogniser
from mmreason.video.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeSettings:
    """What was asked for, as it travels to workers."""

    asr: str
    hotwords: tuple[str, ...]
    language: str | None
    api_key_file: str | None
    served_model: str
    span_s: tuple[float, float] | None
    takes_subtitles: bool
    format_name: Format


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeParts:
    """What works on files in a worker."""

    load: Callable[[], Recogniser]
    """Gives the recogniser: loaded at the first file without subtitles."""
    settings: TranscribeSettings


def transcribe_on_engine(
    files: tuple[Path, ...],
    settings: TranscribeSettings,
    options: EngineOptions,
    out: Path | None,
) -> FileWork[dict[str, Any]]:
    """Each file as a job of the engine that was asked for; the JSON of a `TranscribedFile` each."""
    work = Work(
        function="mmreason.cli.transcribe_engine:transcribe_job",
        set_up="mmreason.cli.transcribe_engine:set_up_worker",
        settings=asdict(settings),
    )
    taken: set[Path] = set()
    jobs: dict[Path, Job] = {}
    for path in files:
        # Named here, by the order of the files: workers do not know of each other.
        target = None if out is None else name_target(out, path, settings.format_name, taken)
        jobs[path] = _make_job(path, settings, target)
    name = name_shard_file(cache_folder() / "speech" / "transcribe", options.shard)
    with Ledger.open(ledger_path(name), retry_failed=options.retry_failed) as ledger:
        for job in jobs.values():
            target = job.settings["target"]
            # Done only as long as what was written is there.
            if target is not None and not Path(target).exists():
                ledger.forget_done(job.key)
        return run_files(jobs, work, options, ledger, _read_value, "transcribing")


def set_up_worker(settings: Mapping[str, Any]) -> TranscribeParts:
    """What a worker works with."""
    asked = TranscribeSettings(**settings)
    key_file = None if asked.api_key_file is None else Path(asked.api_key_file)

    @cache
    def load() -> Recogniser:
        return load_recogniser(
            asked.asr,
            hotwords=list(asked.hotwords),
            language=asked.language,
            api_key=api_key(asked.asr, key_file, os.environ.get("OPENAI_API_KEY")),
            served_model=asked.served_model,
        )

    return TranscribeParts(load=load, settings=asked)


def transcribe_job(job: Job, parts: TranscribeParts) -> dict[str, Any]:
    """One file of an engine."""
    asked = parts.settings
    span = None if asked.span_s is None else Span(*asked.span_s)
    transcript = transcribe_file(
        Path(job.address), parts.load, span, asked.language, asked.takes_subtitles
    )
    target = job.settings["target"]
    if target is not None:
        write_target(transcript, Path(target), asked.format_name)
    done = TranscribedFile(
        path=job.address,
        language=transcript.language,
        source=transcript.source,
        model=transcript.model,
        segments=transcript.segments,
        notes=transcript.notes,
        out=target or "",
    )
    return to_json(done)


def _make_job(path: Path, settings: TranscribeSettings, target: Path | None) -> Job:
    address = file_address(path)
    flags = {"target": None if target is None else str(target.absolute())}
    recipe = {name: value for name, value in asdict(settings).items() if name != "api_key_file"}
    key = make_job_key("transcribe", name_file_content(address), recipe | flags)
    return Job(key=key, address=address, settings=flags)


def _read_value(path: Path, value: Any) -> dict[str, Any]:
    return dict(value) | {"path": str(path)}
