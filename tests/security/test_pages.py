"""Foreign text reaches every page as text, and every page forbids scripts and requests.

A new builder of pages, or a new template, that is not in here fails these tests.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmreason.grounding import Box, Grounding, GroundingStatus, Issue, Rival, Target, Tube
from mmreason.grounding.drawing.page import save_tube_page
from mmreason.library.picture_search import PictureHit, PictureResult
from mmreason.library.results import LibraryHit, LibraryResult
from mmreason.library.videos import UnreadableVideo
from mmreason.tool_calls import AgentCall, Caption, Look, ModelTurn, Search
from mmreason.types import (
    Answer,
    Check,
    CheckKind,
    Evidence,
    Note,
    Observation,
    Step,
    StopReason,
)
from mmreason.video import FrameBatch, Span, Video, VideoInfo, plan
from tests.security.hostile_text import (
    EVIL,
    EVIL_NAME,
    FOLDERS,
    assert_page,
    assert_plain,
    assert_policy,
    make_clip,
    parse_module,
    product_modules,
)


def poison(value: Any) -> Any:
    """`value`, every text in it hostile: whatever field is added later is too."""
    if isinstance(value, Enum | AgentCall) or value is None:
        return value
    if isinstance(value, str):
        return EVIL
    if isinstance(value, tuple | list):
        return type(value)(poison(item) for item in value)
    if isinstance(value, dict):
        return {key: poison(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type | Span):
        texts = {one.name: poison(getattr(value, one.name)) for one in fields(value) if one.init}
        return replace(value, **texts)
    return value


def _answer() -> Answer:
    span = Span(0, 4)
    calls = [
        Caption(span=span, node=(1,)),
        Look(span=span, question=EVIL, options=(EVIL,), shift=0.0),
        Search(span=span, text=EVIL),
        ModelTurn(kind="invalid", text=EVIL),
        ModelTurn(kind="answer", text=EVIL),
    ]
    observation = Observation(text="a", span=span, notes=(Note(span, "a"), Note(Span(4, 8), "b")))
    steps = [Step(thought="a", call=call, observation=observation) for call in calls]
    failed = Observation(text="", span=span, error="a", note="a")
    check = Check(kind=CheckKind.OTHER_MODEL, by="a", agreed=True)
    answer = Answer(
        question="a",
        text="a",
        options=("a", "b"),
        evidence=(Evidence(span=span, quote="a", check=check),),
        trace=(*steps, Step(thought="a", call=calls[1], observation=failed)),
        stop_reason=StopReason.ANSWERED,
        next_steps=("a",),
        video="a",
        duration_s=8.0,
        settings={"model": {"name": "a"}, "notes": ["a"], "roles": {"observer": {"name": "a"}}}
        | {"subtitles": {"path": "a", "lines": 1, "matching_passages": 1, "notes": ["a"]}},
    )
    settings = poison(answer.settings)
    settings["subtitles"] |= {"lines": 1, "matching_passages": 1}
    return replace(poison(answer), settings=settings | {EVIL: {EVIL: EVIL}})


def _run(folder: Path) -> Any:
    from mmreason.training.monitoring import Run, RunLog
    from tests.fakes.made_up_runs import reports

    log = RunLog(folder)
    for report in reports(3):
        samples = poison(report.samples)
        figures = {**report.metrics, "component/[bold]MARK": 0.5}
        log.write(replace(report, samples=samples, warnings=(EVIL,), metrics=figures))
    return replace(Run.read(folder), name=EVIL, folder=folder / EVIL_NAME)


def _compared(folder: Path) -> Any:
    from mmreason.training.monitoring.compare import Comparison

    return Comparison.of([_run(folder / "1"), replace(_run(folder / "2"), name=f"{EVIL} 2")])


def _needle(folder: Path) -> list[str]:
    from mmreason.evaluation.needle.outcomes import Outcome
    from mmreason.evaluation.needle.page import write_report
    from mmreason.needle.worlds import needle_set
    from mmreason.types import Cost

    needles = needle_set(0, 180.0, 2)
    outcomes = [
        Outcome(
            **{"item": replace(item, kind=EVIL), "method": method, "choice": 0, "text": EVIL},
            **{"confidence": None, "stop_reason": "answered", "evidence": (), "cost": Cost()},
            **{"visits": (), "depth": 1, "branching": 4, "error": EVIL},
        )
        for item in needles.items
        for method in ("greedy", f"one_pass {EVIL}")
    ]
    page = write_report(outcomes, folder, model=EVIL, command=EVIL)
    assert_plain((folder / "summary.json").read_text(encoding="utf-8"))
    return [path.read_text(encoding="utf-8") for path in (page, *folder.glob("*.svg"))]


def _diagnosis() -> Any:
    from mmreason.evaluation.refadv.diagnosis import build_diagnosis
    from mmreason.evaluation.refadv.failures import DrawnFailure
    from tests.evaluation.refadv.made_outcomes import FACTS, wrong

    outcomes = [
        wrong(
            f"{EVIL} {i}", subject=EVIL, missed=(EVIL,), facts=replace(FACTS, family=f"{EVIL}{i}")
        )
        for i in range(3)
    ]
    outcomes += [replace(o, change="delete", changed=EVIL, error=EVIL) for o in outcomes]
    failure = DrawnFailure(
        **{"subject": EVIL, "item": EVIL, "words": ((EVIL, True), (EVIL, False)), "pick": "hard"},
        **{"missed": (EVIL,), "status": EVIL, "note": EVIL, "picture": ""},
    )
    return build_diagnosis(outcomes, command=EVIL, failures=[failure])


def _html_of_diagnosis(folder: Path) -> str:
    page = _diagnosis().write(folder)
    assert_plain((folder / "summary.json").read_text(encoding="utf-8"))
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    # The command stands in a fence, where nothing is markup.
    tables = "".join(markdown.split("```")[::2])
    assert r"\[bold\]MARK\[/x\]" in tables and "<script>" not in tables.replace(r"\<", "")
    return page.read_text(encoding="utf-8")


def _evaluation(folder: Path) -> str:
    from mmreason.training.evaluation.compare import compare_scores
    from mmreason.training.evaluation.page import CasePicture, FailingCase, save_page
    from mmreason.training.evaluation.projection import AnswerSupport
    from mmreason.training.evaluation.rows import EvalRow
    from mmreason.training.evaluation.summary import build_scores

    row = EvalRow(id=EVIL, video=EVIL, channel=EVIL, kind="text", digest="d")
    texts = {"question": EVIL, "truth": EVIL, "reply": EVIL, "answer": EVIL, "note": EVIL}
    row = replace(row, **texts, lenient=False, strict=False, is_audited=True)
    choice = replace(row, id=f"{EVIL}2", kind="choice", options=(EVIL, "b"), choice=0, channel="")
    other = replace(row, id=f"{EVIL}3", truth=f"{EVIL}3")
    failed = replace(row, id=f"{EVIL}4", error=EVIL, lenient=None, strict=None)
    rows = [row, choice, other, failed, replace(row, condition="blind")]
    header = {"model": EVIL, EVIL: {EVIL: EVIL}, "absent": {"transcript": {EVIL: 1}}}
    scores = build_scores(header, rows, supports={EVIL: AnswerSupport(1)})
    failing = [FailingCase(row=bad, pictures=(CasePicture("", EVIL),)) for bad in (row, choice)]
    second = build_scores({"model": f"{EVIL}2", "settings": EVIL}, rows)
    comparison = compare_scores(scores, second)
    page = save_page(
        scores, folder / "a.html", command=EVIL, failing=failing, comparison=comparison
    )
    assert_plain(scores.write_summary(folder).read_text(encoding="utf-8"))
    return page.read_text(encoding="utf-8")


def _data_check(folder: Path) -> str:
    from mmreason.training.data.doctor.check import CheckSettings, check_samples
    from mmreason.training.data.doctor.sample_file import SampleFile
    from mmreason.training.data.doctor.show import save_page
    from mmreason.training.data.sample import (
        MediaKind,
        MediaRef,
        RowFault,
        Sample,
        SampleMessage,
        SourceLine,
    )

    source = SourceLine(EVIL, 1)
    medium = MediaRef(kind=MediaKind.VIDEO, paths=(EVIL,))
    message = SampleMessage(role="user", parts=(medium, EVIL))
    sample = Sample(id=EVIL, messages=(message,), channel=EVIL, source=source)
    texts = {"name": EVIL, "dialect": EVIL, "container": EVIL, "reason": EVIL, "notes": (EVIL,)}
    file = SampleFile(**texts, samples=(sample,), faults=(RowFault(source, EVIL),))
    report = check_samples([file], CheckSettings(workers=1))
    return save_page(folder / "a.html", report, rows=[sample]).read_text(encoding="utf-8")


def _info(video: Video) -> VideoInfo:
    return replace(video.info, path=EVIL, codec=EVIL, notes=(EVIL,))


def _declines(folder: Path) -> str:
    from mmreason.evaluation.declines import DeclineResults, SourceResult
    from mmreason.evaluation.declines_page import declines_page

    source = SourceResult(
        **{"name": EVIL, "group": EVIL, "is_held_out": True, "replies": 1, "invented": 1},
        **{"guarded": 0, "examples": ((1.0, "What?", EVIL),)},
    )
    return declines_page(DeclineResults([source], [EVIL]), None, "nano", "mmreason eval nano")


def _html_of_answer(folder: Path) -> str:
    return _answer().save_html(folder / "a.html").read_text(encoding="utf-8")


def _html_of_run(folder: Path) -> str:
    return _run(folder / "r").save_html(folder / "a.html").read_text(encoding="utf-8")


def _html_of_comparison(folder: Path) -> str:
    return _compared(folder).save_html(folder / "a.html").read_text(encoding="utf-8")


def _opened(folder: Path) -> Video:
    return Video.open(make_clip(folder / f"{EVIL_NAME}.mp4"))


def _plan_html(folder: Path) -> str:
    chosen = plan.uniform(Span(0, 8), 2)
    return replace(chosen, method=EVIL, reasons=(EVIL, EVIL))._repr_html_()


def _html_of_hits(folder: Path) -> str:
    hit = LibraryHit(
        path=folder / EVIL_NAME,
        span=Span(0, 4),
        quote=EVIL,
        channel="speech",
        source=EVIL,
        model=EVIL,
        speaker=EVIL,
        similarity=0.5,
        best_id="sp-1",
        ids=("sp-1",),
    )
    unreadable = UnreadableVideo(folder / EVIL_NAME, EVIL)
    result = LibraryResult(text=EVIL, hits=(hit,), note=EVIL, unreadable=(unreadable,))
    return result._repr_html_()


def _html_of_pictures(folder: Path) -> str:
    hit = PictureHit(path=folder / f"{EVIL_NAME}.mp4", span=Span(0, 2), time_s=1.0, cosine=0.9)
    result = PictureResult(
        picture=f"{EVIL}.png", encoder=EVIL, floor=0.5, hits=(hit,), note=EVIL, videos=1
    )
    return result._repr_html_()


def _grounding() -> Grounding:
    tube = Tube.from_boxes([0.0, 0.4], [Box(4, 4, 40, 40), None], id="a", label="a")
    target = Target(box=Box(4, 4, 40, 40), label="a", tube=tube, checks={EVIL: True})
    grounding = Grounding(
        status=GroundingStatus.FOUND,
        targets=(target,),
        rivals=(Rival(target=target, fails=("a",), reason="a"),),
        issues=(Issue("clipped_box", "a"),),
        rationale="a",
        raw_text="a",
        expression="a",
        settings={EVIL: {EVIL: EVIL}},
        cost={EVIL: 1.0},
    )
    return replace(poison(grounding), settings=grounding.settings, cost=grounding.cost)


def _html_of_grounding(folder: Path) -> str:
    page = save_tube_page(folder / "a.html", _opened(folder), _grounding())
    return page.read_text(encoding="utf-8")


FRAMES = FrameBatch(
    pixels=np.zeros((1, 8, 8, 3), np.uint8), times_s=np.zeros(1), exact=np.ones(1, bool)
)
PAGES: dict[str, Callable[[Path], str]] = {
    "Answer.save_html": _html_of_answer,
    "Run.save_html": _html_of_run,
    "Comparison.save_html": _html_of_comparison,
    "Diagnosis.save_html": _html_of_diagnosis,
    "evaluation.save_page": _evaluation,
    "doctor.save_page": _data_check,
    "Diagnosis._repr_html_": lambda folder: _diagnosis()._repr_html_(),
    "Answer._repr_html_": lambda folder: _answer()._repr_html_(),
    "Run._repr_html_": lambda folder: _run(folder)._repr_html_(),
    "Comparison._repr_html_": lambda folder: _compared(folder)._repr_html_(),
    "Video._repr_html_": lambda folder: _opened(folder)._repr_html_(),
    "VideoInfo._repr_html_": lambda folder: _info(_opened(folder))._repr_html_(),
    "FrameBatch._repr_html_": lambda folder: FRAMES._repr_html_(),
    "SamplePlan._repr_html_": _plan_html,
    "LibraryResult._repr_html_": _html_of_hits,
    "PictureResult._repr_html_": _html_of_pictures,
    "Grounding._repr_html_": lambda folder: _grounding()._repr_html_(),
    "Tube._repr_html_": lambda folder: poison(_grounding().targets[0].tube)._repr_html_(),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_foreign_text_as_text(name: str, tmp_path: Path) -> None:
    page = PAGES[name](tmp_path)
    assert_page(page)
    assert "MARK" in page or name == "FrameBatch._repr_html_"


def test_the_needle_page_and_its_drawings_show_foreign_text_as_text(tmp_path: Path) -> None:
    pages = _needle(tmp_path)
    assert "MARK" in pages[0] and len(pages) > 1
    for page in pages:
        assert_page(page)


def test_the_page_of_a_grounding_shows_foreign_text_as_text(tmp_path: Path) -> None:
    page = _html_of_grounding(tmp_path)
    assert_page(page)
    assert "MARK" in page and "data:image/jpeg" in page


def test_what_a_model_said_is_no_markdown(tmp_path: Path) -> None:
    page = _declines(tmp_path)
    assert r"\[bold\]MARK\[/x\]" in page and r"\<script\>" in page


def test_every_page_builder_is_in_these_tests() -> None:
    builders = {
        f"{owner.name}.{node.name}"
        for path in product_modules()
        for owner in ast.walk(parse_module(path))
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.FunctionDef) and node.name in ("_repr_html_", "save_html")
    }
    builders |= {
        f"{path.parent.name}.{node.name}"
        for path in product_modules()
        for node in parse_module(path).body
        if isinstance(node, ast.FunctionDef) and node.name == "save_page"
    }
    assert builders == set(PAGES)


def test_every_document_forbids_scripts_and_requests() -> None:
    """Also of those that no builder above makes: a template, or HTML in a Python file."""
    templates = [file for folder in FOLDERS for file in sorted(folder.rglob("*.html"))]
    documents = [file for file in templates if "<html" in file.read_text(encoding="utf-8")]
    assert documents
    for file in documents:
        # What a page with a script adds is held by `assert_script_page` on the page itself.
        template = re.sub(r"{% if .*?{% endif %}", "", file.read_text(encoding="utf-8"))
        assert_policy(template)
    assert not [
        path for path in product_modules() if "<html" in path.read_text(encoding="utf-8").lower()
    ]
