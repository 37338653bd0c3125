"""What `mmreason index` does with one file, in this process or in a worker of an engine."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmreason.cli.common import (
    load_reasoner,
    read_model_options,
    show_progress,
)
from mmreason.cli.index_senses import SensedVideo, find_embedder, sense_video

if TYPE_CHECKING:
    from mmreason.agent.build_index import IndexStep
    from mmreason.engines.jobs import Job
    from mmreason.memory.store import Store
    from mmreason.memory.vector_index import Embedder
    from mmreason.reasoner import Reasoner
    from mmreason.senses.parts import SenseName, Senses


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What indexing one video came to."""

    path: str
    senses: SensedVideo | None = None
    """What senses have found until now; null where none was asked for."""
    nodes: int = 0
    """Stretches that a model described."""
    failed: int = 0
    from_store: int = 0
    frames: int = 0
    seconds: float = 0.0
    records: dict[str, int] = field(default_factory=dict)
    """What the memory of the video holds now, by channel."""
    scenes: int = 0
    captions: int = 0
    """Descriptions that were written, of which ..."""
    empty: int = 0
    """... say nothing,"""
    repeated: int = 0
    """... repeat the one before,"""
    refused: int = 0
    """... are refusals."""
    covered_s: float = 0.0
    """Seconds of the video that descriptions speak of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """What was asked for, as it travels to workers."""

    senses: tuple[str, ...]
    asr: str
    hotwords: tuple[str, ...]
    levels: tuple[str, ...] | None
    model: str
    embedder: str | None
    served_model: str | None
    api_key_file: str | None
    options: tuple[str, ...]
    options_file: str | None
    replaces: bool

    def name_recipe(self) -> dict[str, Any]:
        """All that changes what is found: with another recipe a file is worked on again."""
        return {name: value for name, value in asdict(self).items() if name != "api_key_file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexParts:
    """What works on files."""

    store: Store
    senses: Senses | None
    reasoner: Reasoner | None
    """Describes."""
    embedder: Embedder | None
    settings: IndexSettings


def load_index_parts(
    settings: IndexSettings, store: Store, senses: Senses | None, *, describes: bool
) -> IndexParts:
    """The model that describes, where one is needed, and the embedder beside the senses."""
    reasoner = None
    if describes:
        with show_progress(f"loading {settings.model}"):
            reasoner = load_reasoner(
                settings.model,
                store,
                embedder=settings.embedder,
                served_model=settings.served_model,
                api_key_file=_path_or_none(settings.api_key_file),
                options=read_model_options(
                    list(settings.options), _path_or_none(settings.options_file)
                ),
                probe=False,
            )
    return IndexParts(
        store=store,
        senses=senses,
        reasoner=reasoner,
        embedder=None if senses is None else find_embedder(settings.embedder),
        settings=settings,
    )


def index_file(
    path: Path,
    parts: IndexParts,
    names: Sequence[SenseName],
    *,
    is_perceived: bool,
    is_described: bool,
    end_s: float | None = None,
) -> Indexed:
    """Have these senses go through a file until `end_s` of the monotonic clock, and the model
    describe it. ValueError where nothing of it worked."""
    sensed = None
    if is_perceived and parts.senses is not None:
        sensed = sense_video(
            path,
            parts.store,
            parts.senses,
            names,
            embedder=parts.embedder,
            end_s=end_s,
            replaces=parts.settings.replaces,
        )
    if is_described and parts.reasoner is not None:
        return _describe_file(parts.reasoner, path, parts.settings.levels, sensed)
    records = sensed.records if sensed else {}
    return Indexed(path=str(path), senses=sensed, records=records)


def set_up_worker(settings: Mapping[str, Any]) -> IndexParts:
    """The parts of a worker of an engine."""
    from mmreason.memory.store import Store
    from mmreason.senses import load_senses

    asked = IndexSettings(**settings["index"])
    senses = None
    if asked.senses:
        senses = load_senses(asked.senses, asr=asked.asr, hotwords=asked.hotwords)
    path = Path(settings["store"])
    if settings["is_by_host"]:
        path = name_host_store(path, socket.gethostname())
    store = Store.open(path)
    return load_index_parts(asked, store, senses, describes=settings["describes"])


def index_job(job: Job, parts: IndexParts) -> dict[str, Any]:
    """One file of an engine."""
    indexed = index_file(
        Path(job.address),
        parts,
        () if parts.senses is None else parts.senses.names,
        is_perceived=job.settings["is_perceived"],
        is_described=job.settings["is_described"],
    )
    return asdict(indexed)


def _describe_file(
    reasoner: Reasoner,
    path: Path,
    levels: tuple[str, ...] | None,
    sensed: SensedVideo | None,
) -> Indexed:
    from mmreason.memory.caption_records import count_faults
    from mmreason.video.reader import Video

    steps: list[IndexStep] = []
    with show_progress(f"{path.name}") as say, Video.open(path) as video:
        for step in reasoner.index(video, levels):
            steps.append(step)
            say(f"{path.name}: {step.done} of {step.total} captions")
        memory = reasoner.memory(video)
        if path.is_file():
            memory.remember_file(path)
        failed = sum(step.observation.error is not None for step in steps)
        # Single failures are counted; a file of which nothing could be captioned is a failure
        # itself.
        if steps and failed == len(steps):
            raise ValueError(f"none of its {len(steps)} stretches could be captioned")
        faults = count_faults([n.text for step in steps for n in step.observation.notes])
        return Indexed(
            path=str(path),
            senses=sensed,
            nodes=len(steps),
            failed=failed,
            from_store=sum(step.observation.cached for step in steps),
            frames=sum(step.cost.frames for step in steps),
            seconds=round(sum(step.cost.seconds for step in steps), 3),
            records={str(channel): count for channel, count in memory.count_channels().items()},
            scenes=max(0, len(memory.overview()) - 1),
            captions=faults.captions,
            empty=faults.empty,
            repeated=faults.repeated,
            refused=faults.refused,
            covered_s=round(memory.measure_covered_s(), 3),
        )


def name_host_store(store: Path, host: str) -> Path:
    """The store of one machine of a cluster: machines must not write into one file.

    Example:
        >>> str(name_host_store(Path("talks.sqlite3"), "node-7"))
        'talks.host-node-7.sqlite3'
    """
    return store.with_name(f"{store.stem}.host-{host}{store.suffix}")


def _path_or_none(name: str | None) -> Path | None:
    return None if name is None else Path(name)
