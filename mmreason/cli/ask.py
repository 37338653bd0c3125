"""`mmreason ask`: one question about one video, or a file of questions about many."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import (
    NO_ANSWER,
    ApiKeyFile,
    FullHash,
    Json,
    ModelName,
    ServedModel,
    StorePath,
    load_reasoner,
    out,
    print_json,
    progress,
)

if TYPE_CHECKING:
    from mmreason.reasoner import Reasoner
    from mmreason.types import Answer, Budget
    from mmreason.video import Video

POLICIES = ("greedy", "longvideo_r1", "breadth_first")


def ask(
    video: Annotated[
        str | None, typer.Argument(help="Video file, or a scripted world (.json).")
    ] = None,
    question: Annotated[str | None, typer.Argument(help="The question, in plain words.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="A possible answer; give it once for each.")
    ] = None,
    subtitles: Annotated[
        Path | None,
        typer.Option(help="Subtitles (.srt, .vtt, .ass); default: beside or inside the video."),
    ] = None,
    no_subtitles: Annotated[
        bool, typer.Option("--no-subtitles", help="Use no subtitles, even where there are some.")
    ] = False,
    model: ModelName = "nano",
    observer: Annotated[
        str | None, typer.Option(help="Another model that looks; --model then only decides.")
    ] = None,
    checker: Annotated[
        str | None,
        typer.Option(help="Another model that checks; one of another family can verify."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="Who decides where to look: " + ", ".join(POLICIES) + "; default greedy."
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
    questions: Annotated[
        Path | None,
        typer.Option(help='Many questions: a file of {"video": ..., "question": ...} lines.'),
    ] = None,
    answers: Annotated[
        Path | None, typer.Option("--out", help="With --questions: file of answers, resumed.")
    ] = None,
    workers: Annotated[int, typer.Option(help="With --questions: how many at a time.")] = 1,
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
    as_json: Json = False,
) -> None:
    """Ask a question about a video; prints the answer, its evidence, every step and the cost.

    Exit code 3 where there is no answer: what to do next is printed then.
    """
    from mmreason.report.terminal import print_answer, print_plain, short_lines
    from mmreason.types import Budget, UsageError
    from mmreason.video import Video
    from mmreason.video.files import check_writable
    from mmreason.video.urls import is_url

    budget = Budget(
        frames=budget_frames, rounds=budget_rounds, tokens=budget_tokens, seconds=budget_seconds
    )
    if compat is not None and (policy, depth, shot_aligned, overlap) != (None, None, False, 0.0):
        raise UsageError("--compat sets policy and tree; give it without --policy and those")
    chosen = _policy(policy or "greedy")

    def load() -> Reasoner:
        from mmreason.memory.tree import TreeRecipe

        own = compat is None
        tree = TreeRecipe(depth=depth, shot_aligned=shot_aligned, overlap=overlap)
        return load_reasoner(
            model,
            store,
            observer=observer,
            checker=checker,
            policy=chosen if own else None,
            tree=tree if own else None,
            compat=compat,
            served_model=served_model,
            api_key_file=api_key_file,
        )

    if questions is not None:
        if video is not None or answers is None:
            raise UsageError("--questions needs --out, and no video or question beside it")
        from mmreason.cli.ask_many import ask_many

        ask_many(
            load,
            questions,
            answers,
            budget,
            workers,
            retry_failed,
            seed,
            as_json,
            use_subtitles=not no_subtitles,
        )
        return
    if video is None or (question is None and not dry_run):
        raise UsageError("give a video and a question, or --questions FILE --out FILE")
    is_pattern = any(c in video for c in "*?[") and not (is_url(video) or Path(video).exists())
    if Path(video).is_dir() or is_pattern:
        raise UsageError(
            f"{video}: ask takes one video; for many write a row for each into a file, and give it "
            "with --questions FILE --out FILE"
        )
    if subtitles is not None and no_subtitles:
        raise UsageError("give either --subtitles FILE or --no-subtitles")
    if dry_run:
        _tell_cost(load(), video, budget, as_json)
        return
    assert question is not None
    if html is not None:
        check_writable(html)
    with Video.open(video, full_hash=full_hash) as opened:
        with progress(f"loading {model}"):
            reasoner = load()
        answer = watch(
            reasoner,
            opened,
            question,
            options=option,
            budget=budget,
            subtitles=None if no_subtitles else subtitles or "auto",
            seed=seed,
        )
    # The answer comes first: whatever happens to the report, it is not lost.
    if as_json:
        print_json(answer.to_dict() | ({"html": str(html)} if html else {}))
    else:
        for line in short_lines(answer) if short else ():
            print_plain(line, out())
        if not short:
            print_answer(answer, out())
        sys.stdout.flush()
    if html is not None:
        answer.save_html(html)
        if not as_json:
            print_plain(f"report:      {html}", out())
    if not answer.answered:
        raise typer.Exit(NO_ANSWER)


def _policy(name: str):
    from mmreason.policies import BreadthFirst, Greedy, LongVideoR1
    from mmreason.types import UsageError

    known = {"greedy": Greedy, "longvideo_r1": LongVideoR1, "breadth_first": BreadthFirst}
    if name not in known:
        raise UsageError(f"--policy is one of {', '.join(known)}; got {name!r}")
    return known[name]()


def _tell_cost(reasoner: Reasoner, video: str, budget: Budget, as_json: bool) -> None:
    from mmreason.video.types import format_time

    plan = reasoner.estimate(video, budget)
    if as_json:
        print_json(plan.to_dict())
        return
    is_long = plan.scanned_frames > 0
    rows = [
        f"{video}: {format_time(plan.duration_s)}, a tree of {plan.depth} levels with "
        f"{plan.branching} parts each, leaves of {plan.leaf_s:.1f} s",
        *([f"compared first: {plan.scanned_frames:,} small frames, without a model"] * is_long),
        f"opening: {plan.opening_frames:,} frames, kept for later questions",
        f"each node opened: {plan.level_frames:,} frames; each look: {plan.look_frames:,}",
        f"in all: {plan.least_frames:,} to {plan.most_frames:,} frames in {plan.least_calls:,} to "
        f"{plan.most_calls:,} calls, less what the store holds",
    ]
    for row in rows:
        out().print(row, soft_wrap=True)


def watch(
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
    with progress("opening the video") as say:
        stream = reasoner.stream(
            video, question, options=options, budget=budget, subtitles=subtitles, seed=seed
        )
        for number, step in enumerate(stream, start=1):
            say(f"step {number}: {step.call.name} {step.observation.span}")
    return stream.answer
