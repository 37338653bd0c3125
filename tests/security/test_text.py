"""No foreign text reaches a terminal, a JSON output or a page as anything but text.

Every verb has its cases here, every page its builder: a new one without fails these tests.
"""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import typer

from mmreason.audit.doctor import Check as DoctorCheck
from mmreason.cli import app, main
from mmreason.json_values import encode_json
from mmreason.memory.store import Store
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
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
    UsageError,
)
from mmreason.video import FrameBatch, Span, Video, VideoInfo, plan
from tests.report.parsed_page import ParsedPage

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / name for name in ("mmreason", "video", "grounding", "training")]

CONTROLS = ("\x1b]0;title\x07", "\x1b[45;97m", "\x9b31m", "\u202e", "\u2066", "\u200b", "\x00")
MARKUP = "[bold]MARK[/x] :smile: <script>alert(1)</script>"
EVIL = f"a{''.join(CONTROLS)}\udcff {MARKUP}"
"""A text with everything in it; half a surrogate pair is how Python names a byte of an argument or
of a file's name that is no UTF-8."""
EVIL_NAME = f"a{''.join(CONTROLS[:-1])}\udcff[bold]MARK [x]:smile:"
"""The same without what no name of a file can have."""
IN_TEXT = EVIL.replace("\udcff", "")
"""The same without what no UTF-8 file can hold."""
SAID = IN_TEXT.replace("\x00", "")
"""The same without what makes a file binary."""

_OF_RICH = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""What Rich writes itself: colours and moves. The colours of `CONTROLS` are none of its own."""


def assert_plain(text: str, *, is_terminal: bool = False) -> None:
    """Nothing hidden is in `text`, and no markup was taken for such."""
    text.encode()
    assert not [control for control in CONTROLS if control in text]
    text = _OF_RICH.sub("", text) if is_terminal else text
    hidden = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert hidden <= {"\n", "\t"}, hidden
    assert text.count("MARK") == text.count("[bold]MARK"), text
    assert "\N{SMILING FACE WITH OPEN MOUTH AND SMILING EYES}" not in text


# The verbs


@dataclass(frozen=True)
class Stage:
    """What the cases of the verbs work on; every name in it is hostile."""

    folder: Path
    clip: Path

    def write(self, name: str, text: str) -> Path:
        path = self.folder / f"{EVIL_NAME}{name}"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        return path


Case = Callable[[Stage], list[list[object]]]


def _ask(stage: Stage) -> list[list[object]]:
    rows = [
        {"id": IN_TEXT, "video": str(stage.clip), "question": f"What is {MARKUP}?"},
        {"id": "\x9b2", "video": f"{EVIL_NAME}.mp4", "question": "What?"},
    ]
    questions = stage.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    subtitles = stage.write("said.srt", f"1\n00:00:00,000 --> 00:00:02,000\nThe budget {SAID}\n")
    report = stage.folder / f"{EVIL_NAME}.html"
    question = f"What is the budget {IN_TEXT}?"
    return [
        ["ask", stage.clip, question, "--subtitles", subtitles, "--html", report],
        ["ask", stage.clip, question, "--option", IN_TEXT, "--option", "red", "--short"],
        ["ask", stage.clip, question, "--budget-frames", 0],
        ["ask", stage.clip, EVIL],
        ["ask", stage.clip, "--dry-run"],
        ["ask", stage.clip, question, "--policy", EVIL],
        ["ask", stage.folder / f"{EVIL_NAME}gone.mp4", "What?"],
        ["ask", "--questions", questions, "--out", stage.folder / f"{EVIL_NAME}out.jsonl"],
        ["ask", "--questions", stage.write("bad.jsonl", f"{IN_TEXT}\n"), "--out", "x.jsonl"],
    ]


def _inspect(stage: Stage) -> list[list[object]]:
    key = stage.write("key.json", json.dumps({"format": "mmreason-world-1", IN_TEXT: IN_TEXT}))
    sheet = stage.folder / f"{EVIL_NAME}.png"
    return [
        ["inspect", stage.clip, "--sheet", sheet],
        ["inspect", key],
        ["inspect", stage.clip, key, "--no-backends"],
        ["inspect", EVIL],
        ["inspect", f"{EVIL}*"],
        ["inspect", stage.clip, "--no-backends", "--sheet", stage.folder / f"{EVIL_NAME}.none"],
        ["inspect", key, "--debug"],
        ["inspect", f"--{EVIL}"],
    ]


def _cache(stage: Stage) -> list[list[object]]:
    path = stage.folder / f"{EVIL_NAME}.sqlite3"
    with Store.open(path) as store:
        store.put("key", {"text": EVIL}, video=IN_TEXT, model=IN_TEXT)
    text = stage.write("text.sqlite3", "this is no store" * 50)
    return [
        ["cache", "--store", path],
        ["cache", "--store", path, "--clear"],
        ["cache", "--store", f"{path}gone"],
        ["cache", "--store", text],
    ]


def _train_report(stage: Stage) -> list[list[object]]:
    from mmreason.training.monitoring import RunLog
    from tests.fakes.made_up_runs import reports

    runs = [stage.folder / f"{EVIL_NAME}{number}" for number in (1, 2)]
    for run in runs:
        log = RunLog(run)
        for report in reports(2):
            log.write(replace(report, warnings=(EVIL,)))
    (runs[0] / "log.jsonl").open("a").write(f"{IN_TEXT}\n")
    page = stage.folder / f"{EVIL_NAME}compared.html"
    return [
        ["train", "report", runs[0]],
        ["train", "report", *runs, "--out", page],
        ["train", "report", stage.folder / EVIL],
    ]


def _train_rl(stage: Stage) -> list[list[object]]:
    recipe = stage.write("recipe.py", f"raise ValueError({IN_TEXT!r})\n")
    return [
        ["train", "rl", recipe, "--dry-run"],
        ["train", "rl", stage.write("none.py", "recipe = 1\n")],
        ["train", "rl", f"{EVIL}.py"],
    ]


def _data_export(stage: Stage) -> list[list[object]]:
    row = {"id": IN_TEXT, "video": f"{EVIL_NAME}gone.mp4", "question": IN_TEXT, "answer": "x"}
    rows = stage.write("rows.jsonl", json.dumps(row) + "\n")
    bad = stage.write("bad.jsonl", json.dumps({EVIL: EVIL}) + "\n")
    target = stage.folder / f"{EVIL_NAME}out.jsonl"
    return [
        ["data", "export", rows, "--to", "trl", "--out", target],
        ["data", "export", rows, "--to", EVIL, "--out", target],
        ["data", "export", bad, "--to", "trl", "--out", target],
    ]


CASES: dict[str, Case] = {
    "ask": _ask,
    "caption": lambda stage: [
        ["caption", stage.clip],
        ["caption", stage.clip, "--model", EVIL],
        ["caption", f"{EVIL}.mp4"],
    ],
    "ground": lambda stage: [
        ["ground", stage.clip, f"star {IN_TEXT}", "--out", stage.folder / f"{EVIL_NAME}.png"],
        ["ground", stage.clip, f"nothing {IN_TEXT}"],
        ["ground", stage.clip, "star", "--out", f"{EVIL}.none"],
    ],
    "index": lambda stage: [
        ["index", stage.clip, stage.write("bad.mp4", EVIL)],
        ["index", stage.clip, "--levels", EVIL],
    ],
    "sample": lambda stage: [
        ["sample", stage.clip, "--n", 2, "--dump", stage.folder / f"{EVIL_NAME}pictures"],
        ["sample", stage.clip, stage.clip.parent, "--n", 2, "--sheet", stage.folder / EVIL_NAME],
        ["sample", stage.clip, "--plan", EVIL],
    ],
    "inspect": _inspect,
    "cache": _cache,
    "demo": lambda stage: [
        ["demo", "--out", stage.clip, "--model", EVIL],
        ["demo", "--check", 1, "--store", EVIL],
    ],
    "mcp": lambda stage: [["mcp", "--root", f"{EVIL_NAME}gone"]],
    "doctor": lambda stage: [["doctor"]],
    "train nano": lambda stage: [
        ["train", "nano", "--out", stage.folder, "--config", stage.write("c.json", EVIL)]
    ],
    "train rl": _train_rl,
    "train export": lambda stage: [["train", "export", stage.folder / EVIL_NAME]],
    "train report": _train_report,
    "data navigation": lambda stage: [
        ["data", "navigation", "--out", f"{EVIL_NAME}x", "--length", EVIL],
    ],
    "data export": _data_export,
    "eval needle": lambda stage: [
        ["eval", "needle", "--out", stage.folder, "--policy", EVIL],
        ["eval", "needle", "--out", stage.folder, "--lengths", EVIL],
        ["eval", "needle", "--out", stage.folder, "--seeds", EVIL],
    ],
    "eval navigation": lambda stage: [["eval", "navigation", "--length", EVIL]],
    "eval nano": lambda stage: [["eval", "nano", "--calibrate", "--model", EVIL]],
    "bench decode": lambda stage: [["bench", "decode", "--only", EVIL]],
    "bench rl": lambda stage: [["bench", "rl", "--only", EVIL]],
}


def _verbs() -> Iterator[tuple[str, Any]]:
    def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", {})
        if not children:
            yield name, command
        for child_name, child in children.items():
            yield from walk(child, f"{name} {child_name}".strip())

    return walk(typer.main.get_command(app), "")


VERBS = dict(_verbs())


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    def reply(text: str, frames: FrameBatch | None) -> str:
        if text.startswith("Locate"):
            boxes = json.dumps([{"bbox_2d": [0, 0, 9, 9], "label": EVIL}])
            return f"```json\n{boxes}\n```" if "star" in text else EVIL
        return EVIL

    model = ScriptedModel(
        reply,
        clip=ClipRecipe(frames=4, size_px=(32, 24), leaf_s=1.0),
        name=EVIL,
        notes=(EVIL,),
    )
    checks = [DoctorCheck(name=EVIL, status="warn", found=EVIL, advice=EVIL)]
    monkeypatch.setattr("mmreason.models.load", lambda *_, **__: model)
    monkeypatch.setattr("mmreason.audit.doctor.run", lambda: checks)
    monkeypatch.setattr(
        "mmreason.memory.store.default_path", lambda: tmp_path / "home" / "s.sqlite3"
    )
    monkeypatch.chdir(tmp_path)
    # A folder that ends in a bracket and a file that begins with one: `[/...]` is markup.
    folder = tmp_path / f"{EVIL_NAME} ["
    folder.mkdir()
    return Stage(folder, make_clip(folder / f"x] {EVIL_NAME}.mp4"))


def make_clip(path: Path) -> Path:
    """Two seconds at 5 Hz, with a hostile title and a hostile chapter of the container."""
    with av.open(str(path), "w", format="mp4") as container:
        container.metadata["title"] = IN_TEXT.replace("\x00", "")
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            pixels = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_prints_foreign_text_as_text(
    verb: str, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb in CASES, f"{verb} has no case here: add one that feeds it hostile text"
    has_json = any("--json" in option.opts for option in VERBS[verb].params)
    monkeypatch.setenv("COLUMNS", "3000")
    printed = ""
    for argv in CASES[verb](stage):
        words = [str(word) for word in argv]
        monkeypatch.delenv("FORCE_COLOR", raising=False)
        main(words)
        out, err = capsys.readouterr()
        assert_plain(out + err)
        printed += out + err
        monkeypatch.setenv("FORCE_COLOR", "1")
        main(words)
        out, err = capsys.readouterr()
        assert_plain(out + err, is_terminal=True)
        if has_json:
            main([*words, "--json"])
            out, err = capsys.readouterr()
            assert_plain(out)
            assert_plain(err, is_terminal=True)
            assert not out or isinstance(json.loads(out), dict)
    assert "MARK" in printed, "the cases print no foreign text: they test nothing"
    for page in stage.folder.rglob("*.html"):
        assert_page(page.read_text(encoding="utf-8"))


def test_results_are_printed_by_one_module() -> None:
    """Elsewhere a bare `print` or a console of Rich's would show foreign text as it is."""
    allowed = {"common.py", "__init__.py"}
    for path in (ROOT / "mmreason" / "cli").glob("*.py"):
        calls = [node for node in ast.walk(_parsed(path)) if isinstance(node, ast.Call)]
        names = {getattr(call.func, "id", getattr(call.func, "attr", "")) for call in calls}
        bare = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
        assert "Console" not in names and "echo" not in names, f"{path.name}: use out() or err()"
        assert path.name in allowed or "print" not in bare, (
            f"{path.name}: use print_line, print_notice or print_json"
        )


@pytest.mark.parametrize("error", [UsageError(EVIL), KeyError(EVIL), OSError(2, EVIL, EVIL)])
@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_an_error_is_told_as_text(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    debug: list[str],
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("mmreason.audit.doctor.run", fail)
    assert main(["doctor", *debug]) in (1, 2)
    out, err = capsys.readouterr()
    assert out == "" and "MARK" in err
    assert_plain(err)
    assert debug or err.count("\n") == 1


def test_json_is_read_back_as_it_was_and_shows_nothing_hidden() -> None:
    value = {"text": IN_TEXT, "share": float("inf"), "tag": "\U000e0041", "word": "é日"}
    for ascii_only in (False, True):
        text = encode_json(value, ascii_only=ascii_only)
        assert_plain(text)
        assert json.loads(text) == value | {"share": None}
        assert text.isascii() or not ascii_only
    assert json.loads(encode_json({"text": "a\ud800b"})) == {"text": "a\N{REPLACEMENT CHARACTER}b"}


# The pages


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


FRAMES = FrameBatch(
    pixels=np.zeros((1, 8, 8, 3), np.uint8), times_s=np.zeros(1), exact=np.ones(1, bool)
)
PAGES: dict[str, Callable[[Path], str]] = {
    "Answer.save_html": _html_of_answer,
    "Run.save_html": _html_of_run,
    "Comparison.save_html": _html_of_comparison,
    "Answer._repr_html_": lambda folder: _answer()._repr_html_(),
    "Run._repr_html_": lambda folder: _run(folder)._repr_html_(),
    "Comparison._repr_html_": lambda folder: _compared(folder)._repr_html_(),
    "Video._repr_html_": lambda folder: _opened(folder)._repr_html_(),
    "VideoInfo._repr_html_": lambda folder: _info(_opened(folder))._repr_html_(),
    "FrameBatch._repr_html_": lambda folder: FRAMES._repr_html_(),
    "SamplePlan._repr_html_": _plan_html,
}


def assert_page(page: str) -> None:
    """Text is text, nothing runs, nothing is loaded, and a whole page forbids both."""
    assert_plain(page)
    parsed = ParsedPage(page)
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "iframe", "object", "form"}
    assert not [name for _, a in parsed.tags for name in a if name.startswith("on")]
    sources = [a.get("src") or "" for _, a in parsed.tags]
    assert all(source.startswith("data:image/") for source in sources if source)
    if "<html" in page:
        assert_policy(page)


def assert_policy(page: str) -> None:
    head = page.partition("</head>")[0]
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', head)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    assert rules.items() <= {"img-src": "data:", "style-src": "'unsafe-inline'"}.items()
    assert head.index("Content-Security-Policy") < head.index(
        "<style>" if "<style>" in head else "<title>"
    )


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


def test_what_a_model_said_is_no_markdown(tmp_path: Path) -> None:
    page = _declines(tmp_path)
    assert r"\[bold\]MARK\[/x\]" in page and r"\<script\>" in page


def test_every_page_builder_is_in_these_tests() -> None:
    builders = {
        f"{owner.name}.{node.name}"
        for path in _sources()
        for owner in ast.walk(_parsed(path))
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.FunctionDef) and node.name in ("_repr_html_", "save_html")
    }
    assert builders == set(PAGES)


def test_every_document_forbids_scripts_and_requests() -> None:
    """Also of those that no builder above makes: a template, or HTML in a Python file."""
    templates = [file for folder in FOLDERS for file in sorted(folder.rglob("*.html"))]
    documents = [file for file in templates if "<html" in file.read_text(encoding="utf-8")]
    assert len(documents) >= 3
    for file in documents:
        assert_policy(file.read_text(encoding="utf-8"))
    assert not [path for path in _sources() if "<html" in path.read_text(encoding="utf-8").lower()]


def _sources() -> list[Path]:
    """The product's modules, each once: three of the folders are linked into the fourth."""
    return sorted({file.resolve() for folder in FOLDERS for file in folder.rglob("*.py")})


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
