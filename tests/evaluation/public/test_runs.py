"""Runs over made-up benchmarks: resumed, refused, reported, and the command line."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mmreason.cli import main
from mmreason.evaluation.public.catalog import BENCHMARKS, find_benchmark, load_questions
from mmreason.evaluation.public.items import BenchmarkQuestions
from mmreason.evaluation.public.outcomes import read_outcomes
from mmreason.evaluation.public.runner import BenchmarkRun, run_benchmark
from mmreason.evaluation.public.summary import summarise
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.types import Budget, UsageError
from mmreason.video.types import FrameBatch
from tests.evaluation.public.conftest import lvbench_line, write_json, write_lines


def _reply(text: str, frames: FrameBatch | None) -> str:
    """B, blue, where a question is asked; what is said, where lines of subtitles are shown."""
    if "What happens" in text:
        return "It turns red."
    return "B. Blue" if "colour" in text else "all is blue."


def _model() -> ScriptedModel:
    return ScriptedModel(_reply, clip=ClipRecipe(frames=2, size_px=(32, 24), leaf_s=1.0))


@pytest.fixture
def lvbench(tmp_path: Path, clip_bytes: bytes) -> Path:
    """Two questions about a video that is there, and two about one that is not."""
    folder = tmp_path / "LVBench"
    missing = lvbench_line(
        key="gone", qa=[qa | {"uid": "9" + qa["uid"]} for qa in lvbench_line()["qa"]]
    )
    write_lines(folder / "video_info.meta.jsonl", [lvbench_line(), missing])
    (folder / "videos").mkdir()
    (folder / "videos" / "Cm73ma6Ibcs.mp4").write_bytes(clip_bytes)
    return folder


def _run(folder: Path, out: Path, model: ScriptedModel, **settings: object) -> BenchmarkQuestions:
    loaded = load_questions(find_benchmark("lvbench"), folder)
    run = BenchmarkRun(**settings)  # pyright: ignore[reportArgumentType] # given by each test
    run_benchmark(Reasoner(model), loaded, loaded.items, run, out)
    return loaded


def test_a_run_goes_on_where_it_ended_and_asks_nothing_twice(lvbench: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "run", _model()
    _run(lvbench, out, model)
    outcomes = read_outcomes(out / "results.jsonl")
    assert sorted(outcomes) == ["4", "5"]
    assert outcomes["4"].policy.isidentifier() and outcomes["4"].version
    assert outcomes["4"].choice == 1 and outcomes["4"].frames > 0 and outcomes["4"].evidence
    # Cut short in its last line: that question alone is asked again.
    lines = (out / "results.jsonl").read_bytes().splitlines(keepends=True)
    (out / "results.jsonl").write_bytes(lines[0] + lines[1][:20])
    again = _model()
    _run(lvbench, out, again)
    assert sorted(read_outcomes(out / "results.jsonl")) == ["4", "5"]
    calls = again.calls
    assert calls > 0
    _run(lvbench, out, again)
    assert again.calls == calls


def test_strict_scores_are_of_what_the_model_wrote(lvbench: Path, tmp_path: Path) -> None:
    figures = {}
    for reply, reads_options in (("The answer is B.", True), ("(B)", True), ("blue", False)):
        clip = replace(_model().clip, reads_options=reads_options)
        model = ScriptedModel(lambda text, frames, reply=reply: reply, clip=clip)
        loaded = _run(lvbench, tmp_path / reply, model)
        outcomes = read_outcomes(tmp_path / reply / "results.jsonl")
        overall = summarise(find_benchmark("lvbench"), loaded.items, outcomes).overall
        figures[reply] = (overall.strict.hits, overall.lenient.hits)
    # LVBench's rule finds a T in a sentence. nano's kind is never asked for a letter.
    assert figures == {"The answer is B.": (0, 1), "(B)": (1, 1), "blue": (1, 1)}


def test_a_folder_holds_one_way_of_asking(lvbench: Path, tmp_path: Path) -> None:
    _run(lvbench, tmp_path / "run", _model())
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    for name in ("benchmark", "questions", "roles", "policy", "frames", "prompts", "seed"):
        assert name in settings
    assert settings["mmreason"] and settings["roles"]["observer"]["fingerprint"]
    with pytest.raises(UsageError, match=r"budget .* there, .*'frames': 4.* here"):
        _run(lvbench, tmp_path / "run", _model(), budget=Budget(frames=4))
    # Other questions under the same name, too.
    write_lines(lvbench / "video_info.meta.jsonl", [lvbench_line(type="sport")])
    with pytest.raises(UsageError, match=r"questions .* there"):
        _run(lvbench, tmp_path / "run", _model())


def test_a_video_that_is_damaged_fails_its_questions_alone_and_can_be_asked_again(
    lvbench: Path, tmp_path: Path, clip_bytes: bytes
) -> None:
    (lvbench / "videos" / "gone.mp4").write_bytes(b"no video at all")
    _run(lvbench, tmp_path / "run", _model())
    outcomes = read_outcomes(tmp_path / "run" / "results.jsonl")
    assert {name for name, o in outcomes.items() if o.failed} == {"94", "95"}
    assert outcomes["94"].error.startswith("VideoError: ") and not outcomes["4"].failed
    (lvbench / "videos" / "gone.mp4").write_bytes(clip_bytes)
    _run(lvbench, tmp_path / "run", _model())
    assert read_outcomes(tmp_path / "run" / "results.jsonl")["94"].failed
    _run(lvbench, tmp_path / "run", _model(), retry_failed=True)
    assert not read_outcomes(tmp_path / "run" / "results.jsonl")["94"].failed


def _longvideobench(folder: Path, clip_bytes: bytes) -> Path:
    row = {
        "id": "v_0",
        "video_path": "v.mp4",
        "subtitle_path": "v_en.json",
        "question": "What colour is named by the host?",
        "question_category": "T2E",
        "duration_group": 15,
        "starting_timestamp_for_subtitles": 100,
        "candidates": ["red", "blue"],
        "correct_choice": 1,
    }
    write_json(folder / "lvb_val.json", [row])
    said = {"start": "00:01:40.500", "end": "00:01:41.500", "line": "The host names the colour"}
    write_json(folder / "subtitles" / "v_en.json", [said])
    (folder / "videos").mkdir()
    (folder / "videos" / "v.mp4").write_bytes(clip_bytes)
    # Subtitles beside a video are not those of the benchmark.
    (folder / "videos" / "v.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\ncolour: red\n")
    return folder


@pytest.mark.parametrize("with_subtitles", [False, True])
def test_subtitles_are_those_of_the_benchmark_or_none(
    tmp_path: Path, clip_bytes: bytes, with_subtitles: bool
) -> None:
    folder = _longvideobench(tmp_path / "lvb", clip_bytes)
    loaded = load_questions(find_benchmark("longvideobench"), folder)
    model = _model()
    run = BenchmarkRun(with_subtitles=with_subtitles)
    run_benchmark(Reasoner(model), loaded, loaded.items, run, tmp_path / "run")
    shown = "\n".join(asked.text for asked in model.asked)
    assert ("The host names the colour" in shown) == with_subtitles
    assert "colour: red" not in shown


def _summary_task(folder: Path, clip_bytes: bytes) -> BenchmarkQuestions:
    """MLVU with one open question."""
    row = {
        "video": "a.mp4",
        "question": "What happens in the video?",
        "answer": "The picture turns red.",
        "question_type": "summary",
    }
    write_json(folder / "json" / "9_summary.json", [row])
    (folder / "video" / "9_summary").mkdir(parents=True)
    (folder / "video" / "9_summary" / "a.mp4").write_bytes(clip_bytes)
    return load_questions(find_benchmark("mlvu"), folder)


def test_a_run_with_subtitles_needs_some(lvbench: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no subtitles of lvbench were found"):
        _run(lvbench, tmp_path / "run", _model(), with_subtitles=True)
    assert not (tmp_path / "run").exists()


def test_what_no_file_can_hold_is_replaced_in_results(tmp_path: Path, clip_bytes: bytes) -> None:
    loaded = _summary_task(tmp_path / "MLVU", clip_bytes)
    model = ScriptedModel(lambda text, frames: "It turns red \ud800", clip=_model().clip)
    run = BenchmarkRun()
    path = run_benchmark(Reasoner(model), loaded, loaded.items, run, tmp_path / "run")
    assert "\ufffd" in read_outcomes(path)["9_summary-1"].text


def test_open_answers_are_scored_by_a_judge_alone(tmp_path: Path, clip_bytes: bytes) -> None:
    loaded = _summary_task(tmp_path / "MLVU", clip_bytes)
    verdicts = {}
    judges = {
        "none": None,
        "unsure": ScriptedModel(lambda text, frames: "Perhaps."),
        "sure": ScriptedModel(lambda text, frames: "Yes."),
    }
    for name, judge in judges.items():
        run = BenchmarkRun(judge=judge)
        path = run_benchmark(Reasoner(_model()), loaded, loaded.items, run, tmp_path / name)
        verdicts[name] = read_outcomes(path)["9_summary-1"].judged_right
    assert verdicts == {"none": None, "unsure": None, "sure": True}


def test_an_answer_without_a_verdict_is_judged_later_and_not_asked_again(
    tmp_path: Path, clip_bytes: bytes
) -> None:
    loaded = _summary_task(tmp_path / "MLVU", clip_bytes)
    model, verdicts, calls = _model(), ["Perhaps.", "Yes."], []
    judge = ScriptedModel(lambda text, frames: verdicts.pop(0))
    reasoner = Reasoner(model)
    for retry, expected in ((False, None), (True, True)):
        run = BenchmarkRun(judge=judge, retry_failed=retry)
        path = run_benchmark(reasoner, loaded, loaded.items, run, tmp_path / "run")
        assert read_outcomes(path)["9_summary-1"].judged_right is expected
        calls.append(model.calls)
    assert verdicts == [] and calls[0] == calls[1] > 0


def test_the_command_asks_scores_and_writes_its_report(
    lvbench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("mmreason.models.load", lambda *_, **__: _model())
    out = tmp_path / "run"
    arguments = ["eval", "public", "lvbench", str(lvbench), "--out", str(out), "--limit", "2"]
    assert main(arguments) == 0
    stdout, stderr = capsys.readouterr()
    assert "4 questions in video_info.meta.jsonl; 1 of 2 videos found" in stderr
    assert "videos not found: gone" in stderr
    # One of two is right, by both readings: "B. Blue" is B for LVBench's rule too.
    assert "50.0%" in stdout and "entity recognition" in stdout
    page = (out / "report.html").read_text()
    assert "LVBench" in page and "Guessing gives 25.0%" in page and "<script" not in page
    markdown = (out / "report.md").read_text()
    assert "| all | 50.0% |" in markdown and "mmreason eval public lvbench" in markdown
    summary = json.loads((out / "summary.json").read_text())
    assert summary["overall"]["strict"]["value"] == 0.5
    assert summary["settings"]["policy"] and summary["asked"] == 2
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["overall"]["lenient"]["n"] == 2


def test_the_command_names_the_judge_of_open_answers(
    tmp_path: Path,
    clip_bytes: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    _summary_task(tmp_path / "MLVU", clip_bytes)
    judge = ScriptedModel(lambda text, frames: "No.", name="a judge")
    models = {"nano": _model(), "judge": judge}
    monkeypatch.setattr("mmreason.models.load", lambda name, **_: models[name])
    out = tmp_path / "run"
    line = ["eval", "public", "mlvu", str(tmp_path / "MLVU"), "--out", str(out), "--judge", "judge"]
    assert main(line) == 0
    assert "judge takes for right: 0.0%" in capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    assert summary["settings"]["judge"]["name"] == "a judge" and "--judge" in summary["command"]


def test_a_dry_run_loads_no_model_and_writes_nothing(
    lvbench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.delattr("mmreason.models.load")
    out = tmp_path / "run"
    line = ["eval", "public", "lvbench", str(lvbench), "--out", str(out), "--dry-run"]
    assert main(line) == 0 and not out.exists()
    assert "1 of 2 videos found" in capsys.readouterr().err


def test_without_any_video_nothing_is_loaded(
    lvbench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.delattr("mmreason.models.load")
    (lvbench / "videos" / "Cm73ma6Ibcs.mp4").unlink()
    assert main(["eval", "public", "lvbench", str(lvbench), "--out", str(tmp_path / "run")]) == 2
    assert "none of the videos is there, such as Cm73ma6Ibcs" in capsys.readouterr().err


def test_a_file_in_the_place_of_the_folder_is_left_alone(
    lvbench: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "run").write_text("mine")
    assert main(["eval", "public", "lvbench", str(lvbench), "--out", str(tmp_path / "run")]) == 2
    assert "is a file; give a folder" in capsys.readouterr().err
    assert (tmp_path / "run").read_text() == "mine"


def test_the_page_names_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE)
    assert names == [benchmark.name for benchmark in BENCHMARKS]
    imports = re.findall(r"^from [\w.]+ import .*$", page, re.MULTILINE)
    assert len(imports) > 5
    exec("\n".join(imports), {})
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["eval", "public", "--help"]) == 0
    help_text = capsys.readouterr().out
    assert all(name in help_text for name in names)
    # Behind this, options are of lmms-eval.
    options = set(re.findall(r"--[a-z-]{3,}", page.partition("## In `lmms-eval`")[0]))
    assert options and [option for option in options if option not in help_text] == []
