"""`mmreason ask`: one question about one video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import (
    ApiKeyFile,
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


def ask(
    video: Annotated[str, typer.Argument(help="Video file, or a scripted world (.json).")],
    question: Annotated[str, typer.Argument(help="The question, in plain words.")],
    option: Annotated[
        list[str] | None, typer.Option(help="A possible answer; give it once for each.")
    ] = None,
    model: ModelName = "nano",
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    budget_frames: Annotated[int | None, typer.Option(help="Most frames to show.")] = None,
    budget_rounds: Annotated[int | None, typer.Option(help="Most steps to take.")] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Most tokens, in and out.")] = None,
    budget_seconds: Annotated[float | None, typer.Option(help="Most seconds to spend.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report to this file.")] = None,
    store: StorePath = None,
    seed: Annotated[int, typer.Option(help="Seed of whatever is drawn at random.")] = 0,
    as_json: Json = False,
) -> None:
    """Ask a question about a video; prints the answer, its evidence, every step and the cost."""
    from mmreason.report.terminal import print_answer, print_plain
    from mmreason.types import Budget
    from mmreason.video import Video

    budget = Budget(
        frames=budget_frames, rounds=budget_rounds, tokens=budget_tokens, seconds=budget_seconds
    )
    with Video.open(video) as opened:
        with progress(f"loading {model}"):
            reasoner = load_reasoner(
                model, store, served_model=served_model, api_key_file=api_key_file
            )
        answer = watch(reasoner, opened, question, options=option, budget=budget, seed=seed)
    if html is not None:
        answer.save_html(html)
    if as_json:
        print_json(answer.to_dict() | ({"html": str(html)} if html else {}))
        return
    print_answer(answer, out())
    if html is not None:
        print_plain(f"report:      {html}", out())


def watch(
    reasoner: Reasoner,
    video: str | Path | Video,
    question: str,
    *,
    options: list[str] | None = None,
    budget: Budget | None = None,
    seed: int = 0,
) -> Answer:
    """Ask and show on stderr, while it works, what the reasoner does."""
    from mmreason.report.words import printable

    with progress("opening the video") as say:
        stream = reasoner.stream(video, question, options=options, budget=budget, seed=seed)
        for number, step in enumerate(stream, start=1):
            say(printable(f"step {number}: {step.call.name} {step.observation.span}"))
    return stream.answer
