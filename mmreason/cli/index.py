"""`mmreason index`: what questions will look for, found ahead of them and kept in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
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
    load_reasoner,
    print_json,
    print_line,
    print_notice,
    quiet_libraries,
    read_model_options,
    show_progress,
)
from mmreason.cli.index_senses import (
    SensedVideo,
    estimate_video,
    find_embedder,
    print_estimates,
    print_sensed,
    sense_video,
)
from mmreason.cli.inputs import (
    FileFailure,
    FileWork,
    expand_paths,
    finish_work,
    to_dict,
    work_through,
)

if TYPE_CHECKING:
    from mmreason.agent.build_index import IndexStep
    from mmreason.reasoner import Reasoner
    from mmreason.senses.parts import SenseName, Senses

TELLING_SHARE = 0.3
"""Share of captions that say nothing, repeat or refuse from which on it is told as a warning."""
CAPTIONS = "captions"
"""What `--with` may name beside the senses: descriptions by a model."""


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
    as_json: Json = False,
) -> None:
    """Find ahead of questions what videos say, show and hold. Interrupted, it goes on where it was
    when run again."""
    from mmreason.agent.build_index import list_level_nodes
    from mmreason.memory.store import Store
    from mmreason.memory.tree import Tree
    from mmreason.senses.parts import read_sense_names
    from mmreason.types import UsageError
    from mmreason.video.types import Span

    # 1. What is asked for, refused before anything is loaded.
    level_names = None if levels is None else _split(levels)
    if level_names is not None:
        list_level_nodes(Tree(Span(0, 1), 4, 1), level_names)
    if minutes is not None and not minutes > 0:
        raise UsageError(f"--minutes takes a number above 0, got {minutes:g}")
    kinds = None if with_ is None else _split(with_)
    if kinds is not None:
        read_sense_names([kind for kind in kinds if kind != CAPTIONS])
    inputs = expand_paths(files)
    options = read_model_options(option, options_file)
    described = {path for path in inputs.files if _is_described(path, kinds, model or levels)}
    perceived = {path for path in inputs.files if _is_perceived(path, kinds, model or levels)}
    # 2. What does it.
    senses = _load_senses(kinds, asr, _split(hotwords)) if perceived else None
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
        reasoner = None
        if described:
            with show_progress(f"loading {model or 'nano'}"):
                reasoner = load_reasoner(
                    model or "nano",
                    opened,
                    embedder=embedder,
                    served_model=served_model,
                    api_key_file=api_key_file,
                    options=options,
                    probe=False,
                )
        vectors = find_embedder(embedder) if perceived else None
        end_s = None if minutes is None else time.monotonic() + 60 * minutes

        def act(path: Path, names: Sequence[SenseName], *, captions: bool) -> Indexed:
            sensed = None
            if path in perceived and senses is not None:
                sensed = sense_video(
                    path,
                    opened,
                    senses,
                    names,
                    embedder=vectors,
                    end_s=end_s,
                    replaces=replaces,
                )
            if captions and path in described and reasoner is not None:
                return _describe_file(reasoner, path, level_names, sensed)
            records = sensed.records if sensed else {}
            return Indexed(path=str(path), senses=sensed, records=records)

        names = () if senses is None else senses.names
        # With a limit of time the cheapest sense comes first over all files.
        rounds = [(name,) for name in names] if minutes is not None else [names]
        work = _work_rounds(inputs.files, rounds or [()], act, end_s)
    if as_json:
        print_json(to_dict(work, asdict))
    else:
        for done in work.results:
            _print_indexed(done)
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


def _print_indexed(done: Indexed) -> None:
    from mmreason.memory.caption_records import CaptionFaults
    from mmreason.report.text import format_count

    if done.senses is not None:
        print_sensed(done.path, done.senses)
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
