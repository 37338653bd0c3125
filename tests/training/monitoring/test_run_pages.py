"""Pages of runs: complete, self-contained, small, and safe whatever a model wrote."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mmreason.cli import main
from mmreason.training.monitoring import Run, RunLog
from mmreason.training.monitoring.compare import Comparison
from mmreason.training.monitoring.figures import group_figures
from mmreason.training.monitoring.page import render_run_fragment, render_run_page
from mmreason.training.runs.events import SampleToken, SampleView, StepReport
from mmreason.types import UsageError
from tests.fakes.made_up_runs import reports
from tests.report.parsed_page import ParsedPage

ROOT = Path(__file__).parents[3]
EVIL = '"><script>alert(1)</script><img src=http://x onerror=alert(2)>{{ 7 * 7 }}</svg></style>'


def _run(folder: Path, steps: int = 30, *, seed: int = 0, gain: float = 1.0) -> Run:
    log = RunLog(folder)
    for report in reports(steps, seed=seed, gain=gain):
        log.write(report)
    return Run.read(folder)


def test_a_page_shows_every_figure_and_the_samples(tmp_path: Path) -> None:
    run = _run(tmp_path / "dapo", 80)
    page = ParsedPage(render_run_page(run))
    text = " ".join(page.text.split())
    still = {"failures/groups", "failures/samples", "mismatch/reported"}
    panels = [p for s in group_figures([n for n in run.names if n not in still]) for p in s.panels]
    charts = [a["aria-label"] for tag, a in page.tags if tag == "svg"]
    assert charts == [f"{panel.title} by step" for panel in panels]
    for panel in panels:
        readings = (name.partition("/")[2] for name in panel.names)
        names = [panel.title] if len(panel.names) == 1 else readings
        for name in names:
            assert f"{name}: " in page.text, name
    for name in still:
        assert re.search(rf"without a curve: .*{name} [01]", text), name
    for wanted in (
        "step 80 of 80",
        "reward components",
        "held-out problems",
        "Silenced most often",
        "update 70: skipped, the loss of clip-7 was nan",
        "Wanted: the square turns blue",
        "<frame> \N{MULTIPLICATION SIGN} 256",
    ):
        assert wanted in text, wanted
    assert "could not be read" not in text


def test_tokens_tell_role_sign_probability_and_silence(tmp_path: Path) -> None:
    page = ParsedPage(render_run_page(_run(tmp_path / "dapo", 30)))
    titled = [a for a in page.classed("mmr-token") if a.get("title")]
    assert titled and all(
        re.match(r"log-probability -\S+ \(p \S+\), entropy \S+ nats", a["title"] or "")
        for a in titled
    )
    silenced = [a for a in titled if "mmr-silenced" in (a["class"] or "")]
    assert silenced and all("silenced by STAPO" in (a["title"] or "") for a in silenced)
    assert all("mmr-plus" in (a["class"] or "") for a in silenced)
    assert any("mmr-minus mmr-shade-" in (a["class"] or "") for a in titled)
    assert page.classed("mmr-read")


@pytest.mark.parametrize("render", [render_run_page, render_run_fragment])
def test_nothing_outside_is_loaded_and_nothing_runs(tmp_path: Path, render) -> None:
    html = render(_run(tmp_path))
    page = ParsedPage(html)
    outside = {"script", "link", "iframe", "object", "a", "img", "form"}
    assert {tag for tag, _ in page.tags}.isdisjoint(outside)
    assert not re.search(r"https?://|@import|url\(", html)
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]


@pytest.mark.parametrize("render", [render_run_page, render_run_fragment])
def test_text_of_models_and_files_is_escaped(tmp_path: Path, render) -> None:
    plain = _run(tmp_path / "plain", 3)
    log = RunLog(tmp_path / "evil")
    for report in reports(3):
        views = tuple(_evil(view) for view in report.samples)
        figures = {**report.metrics, f"component/{EVIL[:80]}": 0.5 * report.step}
        log.write(replace(report, samples=views, metrics=figures, warnings=(EVIL,)))
    page = ParsedPage(render(replace(Run.read(tmp_path / "evil"), name=EVIL, folder=Path(EVIL))))
    assert "{{ 7 * 7 }}" in page.text and "<script>alert(1)</script>" in page.text
    assert {tag for tag, _ in page.tags} - {tag for tag, _ in ParsedPage(render(plain)).tags} <= {
        "details",
        "summary",
        "b",
    }


def _evil(view: SampleView) -> SampleView:
    rows = tuple(
        tuple(SampleToken(text=EVIL, role=t.role, logprob=-1.0, silenced=True) for t in row[-4:])
        for row in view.sequences
    )
    return replace(
        view,
        problem=EVIL,
        question=EVIL,
        wanted=EVIL,
        components={EVIL[:80]: 1.0},
        sequences=rows,
    )


def test_control_characters_do_not_reach_a_page(tmp_path: Path) -> None:
    (report,) = reports(1, samples=1)
    view = replace(report.samples[0], question="a\x00b\x1b[2Jc\u202ed")
    RunLog(tmp_path).write(replace(report, samples=(view,)))
    assert not re.search("[\x00\x1b\u202e]", render_run_page(Run.read(tmp_path)))


def test_damaged_lines_are_counted_on_the_page(tmp_path: Path) -> None:
    _run(tmp_path / "dapo", 5)
    for name in ("metrics.jsonl", "samples.jsonl"):
        with (tmp_path / "dapo" / name).open("a") as file:
            file.write("<b>torn")
    page = ParsedPage(render_run_page(Run.read(tmp_path / "dapo")))
    assert "2 lines of the log could not be read and are not shown" in page.text
    assert "metrics.jsonl, line 6" in page.text


def test_every_rule_is_scoped_and_every_colour_is_named_in_both_schemes(tmp_path: Path) -> None:
    styles = re.findall(r"<style>(.*?)</style>", render_run_fragment(_run(tmp_path)), re.DOTALL)
    for selector in re.findall(r"([^{};]+)\{", "".join(styles)):
        for part in re.split(r",(?![^(]*\))", selector):
            assert part.strip().startswith((".mmr.mmr.mmr", "@media")), part
    light, dark = (set(re.findall(r"(--\w+):", s)) for s in styles[2].split("@media", 1))
    assert {name for name in light if name not in ("--c", "--tone")} <= dark


def test_tokens_and_lines_have_contrast_in_both_schemes(tmp_path: Path) -> None:
    """WCAG asks for 4.5 : 1 between text and what is behind it, 3 : 1 for lines of charts."""
    page = render_run_page(_run(tmp_path))
    first, second, _ = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    shades = [float(a) for a in re.findall(r"mmr-shade-\d \{ .*?/ (\.\d+)\)", second)]
    assert len(shades) == 4
    for base, extra in zip(first.split("@media", 1), second.split("@media", 1), strict=True):
        hexes = dict(re.findall(r"--([\w-]+): (#\w{6})", base + extra))
        paper = _rgb(hexes["paper"])
        for number in range(1, 9):
            assert _contrast(_rgb(hexes[f"c{number}"]), paper) >= 3, number
        assert _contrast(_rgb(hexes["still"]), paper) >= 4.5
        for tone in re.findall(r"--(?:raise|lower|neutral): (\d+) (\d+) (\d+)", extra):
            behind = tuple(p + (int(t) - p) * max(shades) for t, p in zip(tone, paper, strict=True))
            assert _contrast(_rgb(hexes["ink"]), behind) >= 4.5, tone


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(float(int(colour[i : i + 2], 16)) for i in (1, 3, 5))


def _contrast(front: tuple[float, ...], back: tuple[float, ...]) -> float:
    def luminance(colour: tuple[float, ...]) -> float:
        parts = [c / 255 for c in colour]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(front), luminance(back)))
    return (high + 0.05) / (low + 0.05)


def test_a_run_without_samples_or_with_one_step_has_a_page(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "short")
    log.write(StepReport(step=1, steps=1, metrics={"reward/mean": 0.0}))
    page = ParsedPage(render_run_page(Run.read(tmp_path / "short")))
    assert [a["aria-label"] for tag, a in page.tags if tag == "svg"] == ["reward/mean by step"]
    assert "Samples" not in page.text
    RunLog(tmp_path / "empty").write(StepReport(step=1, steps=1, metrics={}))
    assert "step 1 of 1" in ParsedPage(render_run_page(Run.read(tmp_path / "empty"))).text


def test_seeds_of_one_name_are_one_line_with_a_band(tmp_path: Path) -> None:
    names = ("dapo-seed0", "dapo-seed1", "vespo_s0", "vespo_s1", "base")
    runs = [_run(tmp_path / name, 12, seed=i) for i, name in enumerate(names)]
    comparison = Comparison.of(runs)
    assert [(p.name, len(p.runs)) for p in comparison.groups] == [
        *(("dapo", 2), ("vespo", 2), ("base", 1))
    ]
    series = comparison.groups[0].series("reward/mean", 0)
    pairs = [(a[1], b[1]) for a, b in zip(*(r.curve("reward/mean") for r in runs[:2]), strict=True)]
    assert [v for _, v in series.curve] == pytest.approx([(a + b) / 2 for a, b in pairs])
    assert list(series.band) == [(min(pair), max(pair)) for pair in pairs]
    page = ParsedPage(comparison.save_html(tmp_path / "page.html").read_text(encoding="utf-8"))
    charts = [a["aria-label"] for tag, a in page.tags if tag == "svg"]
    assert len(page.classed("mmr-band")) == 2 * len(charts)
    assert "5 runs compared" in page.text and "±" in page.text
    assert "<html" not in comparison._repr_html_()


def test_one_seed_alone_keeps_its_name_and_namesakes_their_folder(tmp_path: Path) -> None:
    runs = [_run(tmp_path / name, 3) for name in ("a/dapo-seed0", "b/other", "c/other")]
    assert [p.name for p in Comparison.of(runs).groups] == ["dapo-seed0", "b/other", "c/other"]
    with pytest.raises(UsageError, match="more than once"):
        Comparison.of([runs[0], runs[0]])
    with pytest.raises(UsageError, match="two runs or more"):
        Comparison.of(runs[:1])


def test_the_verb_writes_pages_and_tells_the_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(_run(tmp_path / name, 6).folder) for name in ("x-s0", "x-s1")]
    assert main(["train", "report", folders[0], "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["page"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    run = Run.read(folders[0])
    assert told["runs"][0] == run.summary()
    assert told["runs"][0]["metrics"]["reward/mean"]["last"] == run.curve("reward/mean")[-1][1]
    page = tmp_path / "both.html"
    assert main(["train", "report", *folders, "--out", str(page)]) == 0
    out, err = capsys.readouterr()
    assert "x-s0" in out and "6/6" in out and "page written to" in err and page.is_file()
    assert main(["train", "report", *folders]) == 2
    assert "need --out" in capsys.readouterr().err
    assert main(["train", "report", str(tmp_path / "none")]) == 2


def test_pages_need_no_model_library() -> None:
    code = (
        "import sys, mmreason.training.monitoring.compare, mmreason.training.monitoring.live\n"
        "print([m for m in ('torch', 'transformers', 'accelerate') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
