"""`mmreason demo --clip`: a narrated clip that is heard, read and recognised, and questions about
what is said, written and shown in it, answered with evidence beside the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmreason.cli.ask import ask_with_progress
from mmreason.cli.common import (
    load_reasoner,
    print_json,
    result_console,
    show_progress,
)

if TYPE_CHECKING:
    from mmreason.narration.questions import PlantedQuestion
    from mmreason.reasoner import Reasoner
    from mmreason.types import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipCase:
    """One question about the clip, its answer, and the page that shows it."""

    question: PlantedQuestion
    answer: Answer
    report: Path

    @property
    def right(self) -> bool:
        from mmreason.cli.demo import says_truth

        truths = (self.question.answer or "", *self.question.accepted)
        return any(says_truth(self.answer.text, truth) for truth in truths)

    @property
    def proven(self) -> bool:
        from mmreason.cli.demo import meets_truth

        return meets_truth(self.answer.evidence, self.question.spans)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "question": self.question.to_dict(),
            "right": self.right,
            "evidence_meets_truth": self.proven,
            "answer": self.answer.to_dict(),
            "html": str(self.report),
        }


def demo_clip(folder: Path, store: Path | None, *, short: bool, as_json: bool) -> None:
    """Write the clip to `folder`, ask about it, and write a page for each answer and one of the
    whole clip by time."""
    video = folder / "demo-clip.mp4"
    with show_progress("drawing the narrated clip"):
        questions = _write_clip(video)
    with show_progress("loading what hears, reads and recognises"):
        reasoner = load_reasoner("senses", store)
    cases = [
        _ask(reasoner, video, question, folder / f"demo-clip-{number}.html")
        for number, question in enumerate(questions, start=1)
    ]
    timeline = _write_timeline(reasoner, video, folder / "demo-clip-timeline.html")
    reasoner.store.close()
    if as_json:
        rows = [case.to_dict() for case in cases]
        print_json({"video": str(video), "cases": rows, "timeline": str(timeline)})
        return
    for case in cases:
        _print_case(case, short=short)
    _print_values({"video": video, "timeline": timeline})


def _write_clip(video: Path) -> tuple[PlantedQuestion, ...]:
    from mmreason.narration.demo_clip import demo_narration, list_demo_questions, read_demo_track
    from mmreason.narration.render import render_narration

    truth = render_narration(demo_narration(), video, track=read_demo_track())
    return list_demo_questions(truth)


def _ask(reasoner: Reasoner, video: Path, question: PlantedQuestion, report: Path) -> ClipCase:
    answer = ask_with_progress(reasoner, video, question.text)
    return ClipCase(question=question, answer=answer, report=answer.save_html(report))


def _write_timeline(reasoner: Reasoner, video: Path, page: Path) -> Path:
    from mmreason.library.library import Library
    from mmreason.library.pages import timeline_page
    from mmreason.library.timeline import make_timeline
    from mmreason.video.files import write_atomic

    library = Library(video, reasoner.store, embedder=None)
    shown = library.videos[0]
    with show_progress("decoding pictures for the page") as say:
        timeline = make_timeline(shown, library.read_records(shown), on_progress=say)
    write_atomic(page, timeline_page(shown, timeline, page).encode("utf-8"))
    return page


def _print_case(case: ClipCase, *, short: bool) -> None:
    from mmreason.report.terminal import print_answer, print_plain, short_lines

    if short:
        print_plain(f"question:    {case.question.text}", result_console())
        for line in short_lines(case.answer):
            print_plain(line, result_console())
    else:
        print_answer(case.answer, result_console())
    told = {"speech": "said", "screen_text": "written", "label": "shown"}
    spans = ", ".join(str(span) for span in case.question.spans)
    right, proven = ("yes" if value else "NO" for value in (case.right, case.proven))
    _print_values(
        {
            "truth": f"{case.question.answer}, {told[case.question.channel or 'label']} at {spans}",
            "right": f"{right}; evidence meets the truth: {proven}",
            "report": case.report,
        }
    )


def _print_values(values: dict[str, object]) -> None:
    from mmreason.report.terminal import print_plain

    for name, value in values.items():
        print_plain(f"{name + ':':<12} {value}", result_console())
