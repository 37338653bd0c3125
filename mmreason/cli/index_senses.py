"""The senses of `mmreason index`: what they find in one video, what they would cost, in words."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmreason.cli.common import print_line, show_progress
from mmreason.memory.sense_ledger import SenseRun
from mmreason.senses.estimate import SenseEstimate

if TYPE_CHECKING:
    from mmreason.memory.store import Store
    from mmreason.memory.vector_index import Embedder
    from mmreason.senses.parts import SenseName, Senses

DEFAULT_EMBEDDER = "minilm-l6"
"""Embeds what senses found, where its weights are on this machine."""
FAULTY_SHARE = 0.3
"""Share of findings without words, repeated or refused from which on it is told as a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensedVideo:
    """What senses have found in one video until now."""

    runs: tuple[SenseRun, ...]
    records: dict[str, int]
    """What the memory of the video holds, by channel."""
    notes: tuple[str, ...]
    """Why a sense did nothing, and what it met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoEstimate:
    """What the senses would still cost of one video."""

    path: str
    duration_s: float
    senses: tuple[SenseEstimate, ...]


def sense_video(
    path: Path,
    store: Store,
    senses: Senses,
    names: Sequence[SenseName],
    *,
    embedder: Embedder | None,
    end_s: float | None,
    replaces: bool,
) -> SensedVideo:
    """Have these senses go through a file until `end_s` of the monotonic clock. ValueError where
    all that was tried failed."""
    from mmreason.memory.video_memory import VideoMemory
    from mmreason.senses import list_sense_runs, perceive
    from mmreason.video import Video

    with show_progress(path.name) as say, Video.open(path) as video:
        memory = VideoMemory.of_video(video, store, embedder=embedder)
        # An address is no file, and may hold what only its owner should read.
        if path.is_file():
            memory.remember_file(path)
        steps = []
        for step in perceive(
            video,
            memory,
            senses,
            names,
            limit_s=None if end_s is None else max(0.0, end_s - time.monotonic()),
            replaces=replaces,
            on_progress=lambda name, _, done, total: say(
                f"{path.name}: {name}, {done + 1} of {total}"
            ),
        ):
            steps.append(step)
        errors = [f"{step.sense}: {step.error}" for step in steps if step.error]
        if steps and len(errors) == len(steps):
            raise ValueError("; ".join(dict.fromkeys(errors)))
        say(f"{path.name}: embedding")
        for _ in memory.embed_records():
            pass
        notes = [f"{step.sense}: {note}" for step in steps for note in step.notes]
        return SensedVideo(
            runs=list_sense_runs(memory),
            records={str(channel): n for channel, n in memory.count_channels().items()},
            notes=tuple(dict.fromkeys((*errors, *notes))),
        )


def estimate_video(
    path: Path, store: Store, names: Sequence[SenseName], *, is_embedded: bool
) -> VideoEstimate:
    """What these senses would cost of a file, beside what is in the store. Decodes nothing."""
    from mmreason.memory.video_memory import VideoMemory
    from mmreason.senses import list_sense_runs
    from mmreason.senses.estimate import estimate_senses, measure_rates
    from mmreason.video import Video

    with Video.open(path) as video:
        memory = VideoMemory.of_video(video, store)
        return VideoEstimate(
            path=str(path),
            duration_s=round(video.info.duration_s, 3),
            senses=estimate_senses(
                video.info.duration_s,
                list_sense_runs(memory),
                names,
                measure_rates(store.read_stretches()),
                is_embedded=is_embedded,
            ),
        )


def print_sensed(path: str, sensed: SensedVideo, told: Collection[str] = ()) -> None:
    """One line of what was found by sense, and one for each thing that is amiss, but for notes that
    end with what was `told` of all files already."""
    print_line(f"{path}: {'; '.join(map(_describe_run, sensed.runs)) or 'nothing was done'}")
    for note in sensed.notes:
        if not note.endswith(tuple(told)):
            print_line(f"  note: {note}")
    for run in sensed.runs:
        faults = run.empty + run.repeated + run.refused
        findings = run.records + run.empty + run.refused
        if faults > FAULTY_SHARE * findings:
            counts = ((run.empty, "empty"), (run.repeated, "repeated"), (run.refused, "refused"))
            told = ", ".join(f"{count} {kind}" for count, kind in counts if count)
            print_line(f"  warning: {run.sense}: of {findings} findings {told}")


def print_estimates(estimates: Sequence[VideoEstimate]) -> None:
    """A line for each sense, over all files."""
    hours = sum(estimate.duration_s for estimate in estimates) / 3600
    print_line(f"{len(estimates)} videos, {hours:.2f} hours")
    by_sense: dict[str, list[SenseEstimate]] = {}
    for estimate in estimates:
        for sense in estimate.senses:
            by_sense.setdefault(sense.sense, []).append(sense)
    for name, senses in by_sense.items():
        open_minutes = sum(sense.open_s for sense in senses) / 60
        cpu_minutes = sum(sense.cpu_minutes for sense in senses)
        megabytes = sum(sense.megabytes for sense in senses)
        rate = "rate measured here" if senses[0].is_measured else "usual rate"
        print_line(
            f"  {name}: {open_minutes:.1f} minutes of video are open: about {cpu_minutes:.1f} "
            f"minutes of one core, {megabytes:.2f} MB ({rate})"
        )


def find_embedder(name: str | None) -> Embedder | None:
    """The embedder of this name; without one the usual where its weights are here, else none."""
    from mmreason.tools.text_embedder import load_embedder
    from mmreason.weights import WeightsMissingError

    if name is not None:
        return load_embedder(name)
    try:
        return load_embedder(DEFAULT_EMBEDDER)
    except WeightsMissingError:
        return None


def _describe_run(run: SenseRun) -> str:
    told = f"{run.sense} {run.records:,} by {run.part}"
    if run.state == "partial":
        told += f" ({run.covered_s / max(run.planned_s, 1e-9):.0%} done)"
    return f"{run.sense} failed ({run.reason})" if run.state == "failed" else told
