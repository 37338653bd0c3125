"""`mmreason index`: describe videos ahead of questions, into the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import (
    ApiKeyFile,
    EmbedderName,
    Json,
    ModelName,
    OptionItems,
    OptionsFile,
    ServedModel,
    StorePath,
    load_reasoner,
    print_json,
    print_line,
    read_model_options,
    show_progress,
)
from mmreason.cli.inputs import expand_paths, finish_work, to_dict, work_through

if TYPE_CHECKING:
    from mmreason.agent.build_index import IndexStep
    from mmreason.reasoner import Reasoner

TELLING_SHARE = 0.3
"""Share of captions that say nothing, repeat or refuse from which on it is told as a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What indexing one video came to."""

    path: str
    nodes: int
    """Stretches that were described."""
    failed: int
    from_store: int
    frames: int
    seconds: float
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


def index_videos(
    files: Annotated[list[str], typer.Argument(help="Videos, folders or patterns.")],
    levels: Annotated[
        str | None,
        typer.Option(
            help="Caption levels of the tree instead: high, medium, low, separated by commas; "
            "nano: high by default."
        ),
    ] = None,
    model: ModelName = "nano",
    store: StorePath = None,
    embedder: EmbedderName = None,
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    option: OptionItems = None,
    options_file: OptionsFile = None,
    as_json: Json = False,
) -> None:
    """Describe videos ahead of questions. Interrupted, it goes on where it was when run again."""
    from mmreason.agent.build_index import list_level_nodes
    from mmreason.memory.tree import Tree
    from mmreason.video.types import Span

    names = None
    if levels is not None:
        names = tuple(name.strip() for name in levels.split(",") if name.strip())
        # Refuses unknown levels now, not after a model was loaded.
        list_level_nodes(Tree(Span(0, 1), 4, 1), names)
    inputs = expand_paths(files)
    options = read_model_options(option, options_file)
    with show_progress(f"loading {model}"):
        reasoner = load_reasoner(
            model,
            store,
            embedder=embedder,
            served_model=served_model,
            api_key_file=api_key_file,
            options=options,
            probe=False,
        )
    work = work_through(inputs.files, lambda path: _index_file(reasoner, path, names), "indexing")
    if as_json:
        print_json(to_dict(work, asdict))
    else:
        for done in work.results:
            _print_indexed(done)
    finish_work(work)


def _index_file(reasoner: Reasoner, path: Path, levels: tuple[str, ...] | None) -> Indexed:
    from mmreason.memory.caption_records import count_faults
    from mmreason.video.reader import Video

    steps: list[IndexStep] = []
    with show_progress(f"{path.name}") as say, Video.open(path) as video:
        for step in reasoner.index(video, levels):
            steps.append(step)
            say(f"{path.name}: {step.done} of {step.total} captions")
        memory = reasoner.memory(video)
        failed = sum(step.observation.error is not None for step in steps)
        # Single failures are counted; a file of which nothing could be captioned is a failure
        # itself.
        if steps and failed == len(steps):
            raise ValueError(f"none of its {len(steps)} stretches could be captioned")
        faults = count_faults([n.text for step in steps for n in step.observation.notes])
        return Indexed(
            path=str(path),
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


def _print_indexed(done: Indexed) -> None:
    from mmreason.memory.caption_records import CaptionFaults
    from mmreason.report.text import format_count

    failed = f", {done.failed} failed" if done.failed else ""
    verb = "was" if done.from_store == 1 else "were"
    captions = format_count(done.nodes, "caption")
    print_line(f"{done.path}: {captions}, {done.from_store} {verb} there{failed}")
    counts = ", ".join(f"{count:,} {channel}" for channel, count in done.records.items())
    print_line(
        f"  memory: {counts or 'no records'}; {format_count(done.scenes, 'scene', 'scenes')}"
    )
    faults = CaptionFaults(done.captions, done.empty, done.repeated, done.refused)
    if done.empty + done.repeated + done.refused > TELLING_SHARE * done.captions:
        print_line(f"  warning: {faults.describe()}: a search finds little there")
