"""`mmreason index`: what questions will look for, found ahead of them and kept in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import (
    ApiKeyFile,
    EmbedderName,
    Json,
    OptionItems,
    OptionsFile,
    ServedModel,
    StorePath,
    print_json,
    print_line,
    print_notice,
    quiet_libraries,
    read_model_options,
    show_progress,
)
from mmreason.cli.engine_options import (
    EngineName,
    EngineOptions,
    GpusPerWorker,
    RayAddress,
    RetryFailed,
    ShardText,
    TimeLimit,
    Workers,
)
from mmreason.cli.index_engine import index_on_engine
from mmreason.cli.index_files import Indexed, IndexSettings, index_file, load_index_parts
from mmreason.cli.index_senses import (
    estimate_video,
    print_estimates,
    print_sensed,
)
from mmreason.cli.inputs import (
    FileFailure,
    FileWork,
    expand_paths,
    finish_work,
    to_dict,
    work_through,
)
from mmreason.engines.jobs import name_shard_file

if TYPE_CHECKING:
    from mmreason.senses.parts import SenseName, Senses

TELLING_SHARE = 0.3
"""Share of captions that say nothing, repeat or refuse from which on it is told as a warning."""
CAPTIONS = "captions"
"""What `--with` may name beside the senses: descriptions by a model."""


def index_videos(
    files: Annotated[list[str], typer.Argument(help="Videos, folders or patterns.")],
    with_: Annotated[
        str | None,
        typer.Option(
            "--with",
            help="What to find, separated by commas: shots, labels, speech, screen, captions "
            "(descriptions by --model). Default: all senses that are installed; with --model "
            "captions.",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Stop after so many minutes: the cheapest sense of all files first."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what it would cost: minutes, megabytes.")
    ] = False,
    asr: Annotated[
        str, typer.Option(help="Recogniser of speech: name or folder of its weights.")
    ] = "whisper-tiny.en",
    hotwords: Annotated[
        str, typer.Option(help="Own names that the recogniser is to expect, separated by commas.")
    ] = "",
    replaces: Annotated[
        bool,
        typer.Option(
            "--replace", help="Make anew what another recogniser, reader or classifier made."
        ),
    ] = False,
    levels: Annotated[
        str | None,
        typer.Option(
            help="Caption levels of the tree instead: high, medium, low, separated by commas; "
            "nano: high by default."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Model that describes; nano where it is a scripted world."),
    ] = None,
    store: StorePath = None,
    embedder: EmbedderName = None,
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    option: OptionItems = None,
    options_file: OptionsFile = None,
    engine: EngineName = None,
    workers: Workers = 1,
    shard: ShardText = None,
    time_limit: TimeLimit = None,
    retry_failed: RetryFailed = False,
    ray_address: RayAddress = None,
    gpus_per_worker: GpusPerWorker = 0.0,
    as_json: Json = False,
) -> None:
    """Find ahead of questions what videos say, show and hold. Interrupted, it goes on where it was
    when run again."""
    from mmreason.agent.build_index import list_level_nodes
    from mmreason.memory.store import Store, default_path
    from mmreason.memory.tree import Tree
    from mmreason.senses.parts import read_sense_names
    from mmreason.types import UsageError
    from mmreason.video.types import Span

    # 1. What is asked for, refused before anything is loaded.
    engine_options = EngineOptions.of(
        engine=engine,
        workers=workers,
        shard=shard,
        time_limit_s=time_limit,
        ray_address=ray_address,
        gpus_per_worker=gpus_per_worker,
        retry_failed=retry_failed,
    )
    if minutes is not None and not engine_options.is_plain:
        raise UsageError("--minutes works with one worker and no --engine; leave one of them out")
    level_names = None if levels is None else _split(levels)
    if level_names is not None:
        list_level_nodes(Tree(Span(0, 1), 4, 1), level_names)
    if minutes is not None and not minutes > 0:
        raise UsageError(f"--minutes takes a number above 0, got {minutes:g}")
    kinds = None if with_ is None else _split(with_)
    if kinds is not None:
        read_sense_names([kind for kind in kinds if kind != CAPTIONS])
    read_model_options(option, options_file)
    paths = engine_options.select_files(expand_paths(files).files)
    described = {path for path in paths if _is_described(path, kinds, model or levels)}
    perceived = {path for path in paths if _is_perceived(path, kinds, model or levels)}
    # 2. What does it.
    senses = _load_senses(kinds, asr, _split(hotwords)) if perceived else None
    names: tuple[SenseName, ...] = () if senses is None else senses.names
    settings = IndexSettings(
        senses=names,
        asr=asr,
        hotwords=_split(hotwords),
        levels=level_names,
        model=model or "nano",
        embedder=embedder,
        served_model=served_model,
        api_key_file=None if api_key_file is None else str(api_key_file.absolute()),
        options=tuple(option or ()),
        options_file=None if options_file is None else str(options_file.absolute()),
        replaces=replaces,
    )
    # In a shard or with workers the store has to be a file of its own.
    if store is None and not (engine_options.is_plain and engine_options.shard is None):
        store = default_path()
    store = None if store is None else name_shard_file(store.expanduser(), engine_options.shard)
    end_s = None if minutes is None else time.monotonic() + 60 * minutes
    with Store.open_default() if store is None else Store.open(store) as opened:
        if dry_run:
            estimates = work_through(
                sorted(perceived),
                lambda path: estimate_video(
                    path, opened, senses.names if senses else (), is_embedded=embedder is not None
                ),
                "estimating",
            )
            if as_json:
                print_json(to_dict(estimates, asdict))
            else:
                print_estimates(estimates.results)
            finish_work(estimates)
            return
        if engine_options.is_plain:
            parts = load_index_parts(settings, opened, senses, describes=bool(described))

            def act(path: Path, names: Sequence[SenseName], *, captions: bool) -> Indexed:
                return index_file(
                    path,
                    parts,
                    names,
                    is_perceived=path in perceived,
                    is_described=captions and path in described,
                    end_s=end_s,
                )

            # With a limit of time the cheapest sense comes first over all files.
            rounds: list[tuple[SenseName, ...]] = [names]
            if minutes is not None:
                rounds = [(name,) for name in names]
            work = _work_rounds(paths, rounds or [()], act, end_s)
    if not engine_options.is_plain:
        assert store is not None
        work = index_on_engine(paths, perceived, described, settings, engine_options, store)
    if as_json:
        print_json(to_dict(work, asdict))
    else:
        for done in work.results:
            _print_indexed(done, told=() if senses is None else tuple(senses.missing.values()))
    if end_s is not None and time.monotonic() >= end_s:
        print_notice(f"stopped after {minutes:g} minutes; run it again to go on")
    finish_work(work)


def _work_rounds(
    files: Sequence[Path],
    rounds: Sequence[Sequence[SenseName]],
    act: Callable[..., Indexed],
    end_s: float | None,
) -> FileWork[Indexed]:
    """Each round over all files that have not failed; captions in the last."""
    results: dict[str, Indexed] = {}
    failures: dict[str, FileFailure] = {}
    left = 0
    for number, names in enumerate(rounds, start=1):
        if number > 1 and (left or (end_s is not None and time.monotonic() >= end_s)):
            break
        is_last = number == len(rounds)
        open_files = [path for path in files if str(path) not in failures]
        step = partial(act, names=names, captions=is_last)
        work = work_through(open_files, step, "indexing")
        results |= {done.path: done for done in work.results}
        failures |= {failure.path: failure for failure in work.failures}
        left = work.left
    for path in failures:
        results.pop(path, None)
    return FileWork(results=tuple(results.values()), failures=tuple(failures.values()), left=left)


def _load_senses(kinds: Sequence[str] | None, asr: str, hotwords: Sequence[str]) -> Senses:
    """The senses that are asked for; what is missing is told. UsageError where none is there, or
    one that was named is not."""
    from mmreason.senses import load_senses
    from mmreason.types import UsageError

    quiet_libraries()
    names = None if kinds is None else [kind for kind in kinds if kind != CAPTIONS]
    with show_progress("loading senses"):
        senses = load_senses(names, asr=asr, hotwords=hotwords)
    absent = [reason for name, reason in senses.missing.items() if name not in senses.names]
    if absent and (kinds is not None or not senses.parts):
        raise UsageError("; ".join(absent))
    for reason in senses.missing.values():
        print_notice(f"note: {reason}")
    return senses


def _split(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _is_described(path: Path, kinds: Sequence[str] | None, model: str | None) -> bool:
    """Whether a model is to describe a file: where that is asked for, and by itself nano's own
    worlds."""
    if kinds is not None:
        return CAPTIONS in kinds
    return bool(model) or path.suffix.lower() == ".json"


def _is_perceived(path: Path, kinds: Sequence[str] | None, model: str | None) -> bool:
    if kinds is not None:
        return any(kind != CAPTIONS for kind in kinds)
    return not _is_described(path, kinds, model)


def _print_indexed(done: Indexed, told: Sequence[str]) -> None:
    from mmreason.memory.caption_records import CaptionFaults
    from mmreason.report.text import format_count

    if done.senses is not None:
        print_sensed(done.path, done.senses, told)
    if not done.nodes:
        return
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
