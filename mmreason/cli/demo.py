"""`mmreason demo`: a scripted world whose truth is known, one question about it, and the proof.

`--clip` shows a narrated clip instead (`demo_clip.py`). `--check N` asks about N fresh worlds and
counts right answers with evidence that meets the truth.
"""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmreason.cli.ask import ask_with_progress
from mmreason.cli.common import (
    Json,
    ModelName,
    StorePath,
    load_reasoner,
    print_json,
    progress_console,
    result_console,
    show_progress,
)

if TYPE_CHECKING:
    from rich.table import Table

    from mmreason.reasoner import Reasoner
    from mmreason.types import Answer, Evidence
    from mmreason.video.types import Span
    from mmreason.video.world.questions import Question

NEEDED_SHARE = 0.9
"""Share of worlds that must be answered right with evidence that meets the truth."""

_NEGATIONS = {"no", "not", "cannot", "unknown", "outside"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One demo: a world on disk, a question of its truth, and what was answered."""

    seed: int
    script: Path
    video: Path
    question: Question
    answer: Answer

    @property
    def right(self) -> bool:
        return says_truth(self.answer.text, self.question.answer)

    @property
    def proven(self) -> bool:
        return meets_truth(self.answer.evidence, self.question.spans)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "seed": self.seed,
            "script": str(self.script),
            "truth": self.question.answer,
            "truth_spans": [span.to_list() for span in self.question.spans],
            "right": self.right,
            "evidence_meets_truth": self.proven,
            "answer": self.answer.to_dict(),
        }


def run_demo(
    folder: Annotated[Path, typer.Option("--out", help="Folder to write to.")] = Path("demo-out"),
    seed: Annotated[
        int | None, typer.Option(help="Which world; default: 0, and fresh ones for --check.")
    ] = None,
    check: Annotated[
        int | None, typer.Option(min=1, help="Ask about this many fresh worlds and count.")
    ] = None,
    short: Annotated[
        bool, typer.Option("--short", help="Print answer, evidence and cost in a line each.")
    ] = False,
    clip: Annotated[
        bool,
        typer.Option(
            "--clip", help="A narrated clip in place of a world: heard, read and recognised."
        ),
    ] = False,
    model: ModelName = "nano",
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Write a demo video, ask about it, and show the answer beside the truth."""
    from mmreason.types import UsageError

    if clip:
        from mmreason.cli.demo_clip import demo_clip

        if check is not None or seed is not None or model != "nano":
            raise UsageError("--clip has one clip and no model; leave out --check, --seed, --model")
        demo_clip(folder, store, short=short, as_json=as_json)
        return
    if check is None:
        with show_progress(f"loading {model}"):
            reasoner = load_reasoner(model, store)
        _demo_once(reasoner, folder, seed or 0, short=short, as_json=as_json)
        return
    if short or store is not None:
        raise UsageError("--check has its own store and form; give it without --short and --store")
    # Fresh worlds each time: a check that always asks the same would be learnt by heart.
    first = secrets.randbelow(10**6) if seed is None else seed
    cases = _check(model, range(first, first + check))
    good = sum(case.right and case.proven for case in cases)
    if as_json:
        print_json({"good": good, "of": check, "cases": [case.to_dict() for case in cases]})
    else:
        _print_cases(cases)
    # A check in a script fails where the model does.
    if good < NEEDED_SHARE * check:
        raise typer.Exit(1)


def _check(model: str, seeds: Sequence[int]) -> list[Case]:
    """One case a seed, with a store of their own that starts empty."""
    cases = []
    # The user's store would serve replies of an earlier check.
    with tempfile.TemporaryDirectory(prefix="mmreason-demo-") as temporary:
        folder = Path(temporary)
        with show_progress(f"loading {model}"):
            reasoner = load_reasoner(model, folder / "store.sqlite3")
        for number, seed in enumerate(seeds, start=1):
            cases.append(run_case(reasoner, folder, seed))
            if progress_console().is_terminal:
                progress_console().print(f"{number} of {len(seeds)}", end="\r")
        # Before its folder goes: an open file cannot be removed on every system.
        reasoner.store.close()
    return cases


def run_case(reasoner: Reasoner, folder: Path, seed: int) -> Case:
    """Write world `seed` and its video to `folder` and ask the first attribute question of it."""
    from mmreason.video.world import encode, generate, questions

    with show_progress(f"drawing demo world {seed}") as say:
        world = generate.demo(seed)
        script = world.save(folder / f"demo-{seed}.json")
        video = folder / f"demo-{seed}.mp4"
        encode.write_video(
            world,
            video,
            on_frame=lambda done, total: say(
                f"drawing demo world {seed}: {done} of {total} frames"
            ),
        )
    world_questions = questions.make_questions(world, seed=seed)
    # Every demo world has one.
    question = next(question for question in world_questions if question.family == "attribute")
    options = list(question.options) or None
    answer = ask_with_progress(reasoner, video, question.text, options=options, seed=seed)
    return Case(seed=seed, script=script, video=video, question=question, answer=answer)


def says_truth(text: str, truth: str) -> bool:
    """Whether an answer says what is true: the same words, or a sentence that holds them.

    A sentence counts only without a negation and without another colour, shape, size or pattern
    beside the true one, so that naming everything is never right.

    Example:
        >>> says_truth("The star is red.", "red"), says_truth("red or blue", "red")
        (True, False)
    """
    # 1. The same words, and nothing else.
    answer_words, true_words = _words(text), _words(truth)
    if answer_words == true_words:
        return True
    # 2. A sentence that holds them side by side ...
    starts = range(len(answer_words) - len(true_words) + 1)
    holds_truth = any(answer_words[i : i + len(true_words)] == true_words for i in starts)
    # 3. ... and neither denies them nor names another value of the same kind.
    rivals = {rival for kind in _kinds() if truth in kind for rival in kind if rival != truth}
    return (
        holds_truth
        and bool(true_words)
        and not set(answer_words) & (rivals | (_NEGATIONS - set(true_words)))
    )


def meets_truth(evidence: Sequence[Evidence], truth: Sequence[Span]) -> bool:
    """Whether any evidence shares time with any true span."""
    return any(e.span.overlap_s(span) > 0 for e in evidence for span in truth)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _kinds() -> list[tuple[str, ...]]:
    from typing import get_args

    from mmreason.video.world.script import Colour, Pattern, Shape, Size

    return [get_args(kind) for kind in (Colour, Pattern, Shape, Size)]


def _demo_once(reasoner: Reasoner, folder: Path, seed: int, *, short: bool, as_json: bool) -> None:
    from mmreason.report.terminal import print_answer, print_plain, short_lines

    case = run_case(reasoner, folder, seed)
    report = case.answer.save_html(folder / f"demo-{seed}.html")
    if as_json:
        print_json(case.to_dict() | {"html": str(report)})
        return
    if short:
        print_plain(f"question:    {case.question.text}", result_console())
        for line in short_lines(case.answer):
            print_plain(line, result_console())
    else:
        print_answer(case.answer, result_console())
    spans = ", ".join(str(span) for span in case.question.spans)
    for name, value in {
        "truth": f"{case.question.answer}, seen at {spans}",
        "right": f"{_yes(case.right)}; evidence meets the truth: {_yes(case.proven)}",
        "video": case.video,
        "script": case.script,
        "report": report,
    }.items():
        print_plain(f"{name + ':':<12} {value}", result_console())


def _print_cases(cases: list[Case]) -> None:
    """All cases and their totals."""
    from mmreason.report.terminal import print_plain
    from mmreason.report.text import format_count

    if result_console().is_terminal:
        result_console().print(_table(cases))
    else:
        for case in cases:
            print_plain("  ".join(f"{k}: {v}" for k, v in _row(case).items()), result_console())
    right, proven = sum(c.right for c in cases), sum(c.proven for c in cases)
    good = sum(c.right and c.proven for c in cases)
    calls = sum(c.answer.cost.model_calls for c in cases)
    seconds = sum(c.answer.cost.seconds for c in cases)
    print_plain(
        f"right {right}, evidence meets the truth {proven}, both {good} of {len(cases)}; "
        f"{format_count(calls, 'model call')}, {seconds:.1f} s",
        result_console(),
    )


def _row(case: Case) -> dict[str, str]:
    return {
        "seed": str(case.seed),
        "question": case.question.text,
        "answer": case.answer.text or "(none)",
        "truth": case.question.answer,
        "right": _yes(case.right),
        "evidence meets truth": _yes(case.proven),
    }


def _table(cases: list[Case]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*_row(cases[0]), box=box.SIMPLE_HEAD)
    for case in cases:
        table.add_row(*(Text(value) for value in _row(case).values()))
    return table


def _yes(value: bool) -> str:
    return "yes" if value else "NO"
