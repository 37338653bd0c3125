"""`mmreason index`: caption levels of the tree ahead of questions, into the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from mmreason.cli.common import (
    ApiKeyFile,
    Json,
    ModelName,
    OptionItems,
    OptionsFile,
    ServedModel,
    StorePath,
    load_reasoner,
    print_json,
    read_model_options,
    result_console,
    show_progress,
)
from mmreason.cli.inputs import expand_paths, finish_work, to_dict, work_through


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What indexing one video came to."""

    path: str
    nodes: int
    failed: int
    from_store: int
    frames: int
    seconds: float


def index_videos(
    files: Annotated[list[str], typer.Argument(help="Videos, folders or patterns.")],
    levels: Annotated[
        str, typer.Option(help="Levels to caption: high, medium, low, separated by commas.")
    ] = "high",
    model: ModelName = "nano",
    store: StorePath = None,
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    option: OptionItems = None,
    options_file: OptionsFile = None,
    as_json: Json = False,
) -> None:
    """Caption videos ahead of questions. Interrupted, it goes on where it was when run again."""
    from mmreason.agent.build_index import list_level_nodes
    from mmreason.memory.tree import Tree
    from mmreason.video.types import Span

    names = tuple(name.strip() for name in levels.split(",") if name.strip())
    # Refuses unknown levels now, not after a model was loaded.
    list_level_nodes(Tree(Span(0, 1), 4, 1), names)
    inputs = expand_paths(files)
    options = read_model_options(option, options_file)
    with show_progress(f"loading {model}"):
        reasoner = load_reasoner(
            model,
            store,
            served_model=served_model,
            api_key_file=api_key_file,
            options=options,
        )

    def index_file(path: Path) -> Indexed:
        nodes = failed = from_store = frames = 0
        seconds = 0.0
        with show_progress(f"{path.name}") as say:
            for item in reasoner.index(path, names):
                nodes += 1
                failed += item.seen.error is not None
                from_store += item.seen.cached
                frames += item.cost.frames
                seconds += item.cost.seconds
                say(f"{path.name}: {item.done} of {item.total} captions")
        # Single failures are counted; a file of which nothing could be captioned is a failure
        # itself.
        if nodes and failed == nodes:
            raise ValueError(f"none of its {nodes} stretches could be captioned")
        return Indexed(
            path=str(path),
            nodes=nodes,
            failed=failed,
            from_store=from_store,
            frames=frames,
            seconds=round(seconds, 3),
        )

    work = work_through(inputs.files, index_file, "indexing")
    if as_json:
        print_json(to_dict(work, asdict))
    else:
        for done in work.results:
            failed = f", {done.failed} failed" if done.failed else ""
            verb = "was" if done.from_store == 1 else "were"
            captions = f"{done.nodes:,} caption{'s' * (done.nodes != 1)}"
            text = f"{done.path}: {captions}, {done.from_store} {verb} there{failed}"
            result_console().print(text, soft_wrap=True)
    finish_work(work)
