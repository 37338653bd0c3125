"""`mmreason ask`: one question about one video, or a file of questions about many."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import (
    NO_ANSWER,
    ApiKeyFile,
    FullHash,
    Json,
    ModelName,
    OptionsFile,
    Probe,
    ServedModel,
    StorePath,
    load_reasoner,
    print_json,
    read_model_options,
    result_console,
    show_progress,
)

if TYPE_CHECKING:
    from mmreason.models.options import ModelOptions
    from mmreason.policies import Policy
    from mmreason.reasoner import Reasoner
    from mmreason.types import Answer, Budget
    from mmreason.video import Video

POLICIES = (
    "auto",
    "direct",
    "global",
    "scripted_search",
    "tool_loop",
    "greedy",
    "longvideo_r1",
    "breadth_first",
)


def ask_video(
    video: Annotated[
        str | None, typer.Argument(help="Video file, or a scripted world (.json).")
    ] = None,
    question: Annotated[str | None, typer.Argument(help="The question, in plain words.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="A possible answer; give it once for each. With the name of an option of the "
            "model before =, that option: enable_thinking=false."
        ),
    ] = None,
    subtitles: Annotated[
        Path | None,
        typer.Option(help="Subtitles (.srt, .vtt, .ass); default: beside or inside the video."),
    ] = None,
    no_subtitles: Annotated[
        bool, typer.Option("--no-subtitles", help="Use no subtitles, even where there are some.")
    ] = False,
    model: ModelName = "auto",
    observer: Annotated[
        str | None, typer.Option(help="Another model that looks; --model then only decides.")
    ] = None,
    checker: Annotated[
        str | None,
        typer.Option(help="Another model that checks; one of another family can verify."),
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(
            help="A text model that words what the senses found: notes-reader, smollm2-135m, a "
            "folder, a Hugging Face name or http(s)://host/v1. Words that stand in no passage are "
            "refused."
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="Who decides where to look: " + ", ".join(POLICIES) + "; default auto, which "
            "chooses by model, question and video and says what it chose."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="A stage to do without: search, score, check, speech, screen, labels. Repeatable."
        ),
    ] = None,
    compat: Annotated[
        str | None,
        typer.Option(
            help="For a model trained to decide: longvideo_r1, as its published weights expect it, "
            "or nano, as the samples of `mmreason data navigation` have it."
        ),
    ] = None,
    depth: Annotated[int | None, typer.Option(help="Levels of the tree of captions.")] = None,
    shot_aligned: Annotated[
        bool, typer.Option("--shot-aligned", help="Cut the tree at shots; decodes it all once.")
    ] = False,
    overlap: Annotated[
        float, typer.Option(help="Share of a node that captions reach beyond it, 0 to 0.25.")
    ] = 0.0,
    budget_frames: Annotated[int | None, typer.Option(help="Most frames to show.")] = None,
    budget_rounds: Annotated[int | None, typer.Option(help="Most rounds to take.")] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Most tokens, in and out.")] = None,
    budget_seconds: Annotated[float | None, typer.Option(help="Most seconds to spend.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what it would cost; look at nothing.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write a report to this file.")] = None,
    clips: Annotated[
        Path | None,
        typer.Option(help="Write the evidence into this folder, as clips and frames."),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(help='Many questions: a file of {"video": ..., "question": ...} lines.'),
    ] = None,
    answers: Annotated[
        Path | None, typer.Option("--out", help="With --questions: file of answers, resumed.")
    ] = None,
    workers: Annotated[int, typer.Option(help="With --questions: how many at a time.")] = 1,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            help="With --questions: only part i of n of them, as i/n, into a file of its own; for "
            "an array of Slurm.",
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --questions: ask failed ones again.")
    ] = False,
    short: Annotated[
        bool, typer.Option("--short", help="Print answer, evidence and cost in a line each.")
    ] = False,
    store: StorePath = None,
    full_hash: FullHash = False,
    seed: Annotated[int, typer.Option(help="Seed of whatever is drawn at random.")] = 0,
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    options_file: OptionsFile = None,
    probe: Probe = False,
    as_json: Json = False,
) -> None:
    """Ask a question about a video; prints the answer, its evidence, every step and the cost.

    Exit code 3 where there is no answer: what to do next is printed then.
    """
    from mmreason.types import Budget, UsageError
    from mmreason.video import Video
    from mmreason.video.files import check_writable

    budget = Budget(
        frames=budget_frames, rounds=budget_rounds, tokens=budget_tokens, seconds=budget_seconds
    )
    answer_options, model_options = _split_options(option)
    # Checked before anything is opened; models are loaded by the three ways below, when they need
    # them.
    setup = ReasonerSetup(
        model=model,
        observer=observer,
        checker=checker,
        reader=reader,
        policy=policy,
        without=tuple(without or ()),
        compat=compat,
        depth=depth,
        shot_aligned=shot_aligned,
        overlap=overlap,
        store=store,
        served_model=served_model,
        api_key_file=api_key_file,
        options=read_model_options(model_options, options_file),
        probe=probe,
    )
    # 1. A file of questions, answered into another.
    if questions is not None:
        if video is not None or answers is None:
            raise UsageError("--questions needs --out, and no video or question beside it")
        from mmreason.cli.ask_many import ask_many
        from mmreason.engines.jobs import Shard

        ask_many(
            setup.load,
            questions,
            answers,
            budget,
            workers,
            retry_failed,
            seed,
            as_json,
            use_subtitles=not no_subtitles,
            shard=None if shard is None else Shard.parse(shard),
        )
        return
    if video is None or (question is None and not dry_run):
        raise UsageError("give a video and a question, or --questions FILE --out FILE")
    _check_is_one_video(video)
    if subtitles is not None and no_subtitles:
        raise UsageError("give either --subtitles FILE or --no-subtitles")
    # 2. What a question would cost.
    if dry_run:
        _print_estimate(setup.load(), video, budget, as_json)
        return
    # 3. One question. The report's file is tried first: an answer is paid for.
    assert question is not None
    if html is not None:
        check_writable(html)
    if clips is not None:
        check_writable(clips / "clip.mp4")
    with Video.open(video, full_hash=full_hash) as opened:
        with show_progress(f"loading {model}"):
            reasoner = setup.load()
        answer = ask_with_progress(
            reasoner,
            opened,
            question,
            options=answer_options,
            budget=budget,
            subtitles=None if no_subtitles else subtitles or "auto",
            seed=seed,
        )
    _print_and_save(answer, html, clips, short=short, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonerSetup:
    """Which models answer and how they search, as the options name them.

    Raises UsageError for an unknown policy, and where `compat` meets what it sets itself.

    Example:
        >>> ReasonerSetup(model="nano", policy="breadth_first").load()  # doctest: +SKIP
    """

    model: str
    observer: str | None = None
    checker: str | None = None
    reader: str | None = None
    policy: str | None = None
    """One of `POLICIES`; None for the first, or for that of `compat`."""
    without: tuple[str, ...] = ()
    """Stages to do without, see `policies.stages`."""
    compat: str | None = None
    depth: int | None = None
    shot_aligned: bool = False
    overlap: float = 0.0
    store: Path | None = None
    served_model: str | None = None
    api_key_file: Path | None = None
    options: ModelOptions | None = None
    """Of `model`."""
    probe: bool = False

    def __post_init__(self) -> None:
        from mmreason.types import UsageError

        of_search = (self.policy, self.without, self.depth, self.shot_aligned, self.overlap)
        if self.compat is not None and of_search != (None, (), None, False, 0.0):
            raise UsageError("--compat sets policy and tree; give it without --policy and those")
        if self.policy is not None and self.policy not in POLICIES:
            raise UsageError(f"--policy is one of {', '.join(POLICIES)}; got {self.policy!r}")
        _build_policy(self.policy or POLICIES[0], self.without)  # an unknown stage is told at once

    def load(self) -> Reasoner:
        """Load the models. UsageError for a model that is unknown or a tree that cannot be."""
        from mmreason.memory.tree import TreeRecipe

        policy = tree = None
        if self.compat is None:
            policy = _build_policy(self.policy or POLICIES[0], self.without)
            tree = TreeRecipe(
                depth=self.depth, shot_aligned=self.shot_aligned, overlap=self.overlap
            )
        return load_reasoner(
            self.model,
            self.store,
            observer=self.observer,
            checker=self.checker,
            policy=policy,
            tree=tree,
            compat=self.compat,
            served_model=self.served_model,
            api_key_file=self.api_key_file,
            options=self.options,
            probe=self.probe or None,
            reader=self.reader,
        )


def _split_options(items: list[str] | None) -> tuple[list[str] | None, list[str]]:
    """(possible answers, options of the model): "B=3" may be an answer, "max_frames=3" is none."""
    from mmreason.models.options import names_model_option

    of_model = [item for item in items or [] if names_model_option(item)]
    return [item for item in items or [] if item not in of_model] or None, of_model


def _build_policy(name: str, without: tuple[str, ...] = ()) -> Policy:
    """The policy of this name. UsageError for a stage that is none, or that the policy has not."""
    from mmreason.policies import (
        Auto,
        BreadthFirst,
        Direct,
        Global,
        Greedy,
        LongVideoR1,
        ScriptedSearch,
        ToolLoop,
    )
    from mmreason.policies.stages import check_stages
    from mmreason.types import UsageError

    in_stages = {
        "auto": Auto,
        "direct": Direct,
        "global": Global,
        "scripted_search": ScriptedSearch,
        "tool_loop": ToolLoop,
    }
    stages = check_stages(without)
    if name in in_stages:
        return in_stages[name](stages)
    if stages:
        raise UsageError(
            f"--without {min(stages)} goes with --policy {', '.join(in_stages)}; {name} has no "
            "stages to leave out"
        )
    others = {"greedy": Greedy, "longvideo_r1": LongVideoR1, "breadth_first": BreadthFirst}
    return others[name]()


def _check_is_one_video(video: str) -> None:
    """UsageError for a folder and for a pattern, which other verbs take."""
    from mmreason.types import UsageError
    from mmreason.video.urls import is_url

    # A file may have such letters in its name, and so may an address.
    is_pattern = any(c in video for c in "*?[") and not (is_url(video) or Path(video).exists())
    if Path(video).is_dir() or is_pattern:
        raise UsageError(
            f"{video}: ask takes one video; for many write a row for each into a file, and give it "
            "with --questions FILE --out FILE"
        )


def _print_estimate(reasoner: Reasoner, video: str, budget: Budget, as_json: bool) -> None:
    from mmreason.video.types import format_time

    estimate = reasoner.estimate(video, budget)
    if as_json:
        print_json(estimate.to_dict())
        return
    # Only long videos are scanned before they are searched.
    is_long = estimate.scanned_frames > 0
    captions = [
        f"opening: {estimate.opening_frames:,} frames, kept for later questions",
        f"each node opened: {estimate.level_frames:,} frames",
    ] * (estimate.opening_frames > 0)
    rows = [
        f"{video}: {format_time(estimate.duration_s)}, a tree of {estimate.depth} levels with "
        f"{estimate.branching} parts each, leaves of {estimate.leaf_s:.1f} s",
        *([f"compared first: {estimate.scanned_frames:,} small frames, without a model"] * is_long),
        *captions,
        f"each look: at most {estimate.look_frames:,} frames",
        f"in all: {estimate.least_frames:,} to {estimate.most_frames:,} frames in "
        f"{estimate.least_calls:,} to {estimate.most_calls:,} calls, less what the store holds",
    ]
    for row in rows:
        result_console().print(row, soft_wrap=True)


def _print_and_save(
    answer: Answer, html: Path | None, clips: Path | None, *, short: bool, as_json: bool
) -> None:
    """Print `answer`, then write its report and its evidence. Exit code 3 where it is none."""
    from mmreason.report.terminal import print_answer, print_plain, short_lines

    # The answer comes first: whatever happens to the report, it is not lost.
    if as_json:
        files = {"html": html, "clips": clips}
        print_json(answer.to_dict() | {name: str(path) for name, path in files.items() if path})
    elif short:
        for line in short_lines(answer):
            print_plain(line, result_console())
    else:
        print_answer(answer, result_console())
    sys.stdout.flush()
    if html is not None:
        answer.save_html(html)
        if not as_json:
            print_plain(f"report:      {html}", result_console())
    if clips is not None:
        from mmreason.library.exports import save_clips

        for clip in save_clips(answer, clips):
            if not as_json:
                print_plain(f"clip:        {clip.path}", result_console())
    if not answer.answered:
        raise typer.Exit(NO_ANSWER)


def ask_with_progress(
    reasoner: Reasoner,
    video: str | Path | Video,
    question: str,
    *,
    options: list[str] | None = None,
    budget: Budget | None = None,
    subtitles: str | Path | None = "auto",
    seed: int = 0,
) -> Answer:
    """Ask and show on stderr, while it works, what the reasoner does."""
    with show_progress("opening the video") as say:
        stream = reasoner.stream(
            video, question, options=options, budget=budget, subtitles=subtitles, seed=seed
        )
        # The stream is the work: each turn of this loop is a step that has just been taken.
        for number, step in enumerate(stream, start=1):
            say(f"step {number}: {step.call.name} {step.observation.span}")
    return stream.answer
