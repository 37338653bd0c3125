"""The demo asks about a world whose truth is known, and judges honestly."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmreason.cli import main
from mmreason.cli.demo import meets_truth, run_case, says_truth
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.types import Evidence
from mmreason.video.types import FrameBatch, Span
from mmreason.video.world import generate, questions, truth


@pytest.mark.parametrize(
    ("text", "true", "right"),
    [
        ("red", "red", True),
        ("Red.", "red", True),
        ("The star is red.", "red", True),
        ("it moves to the left", "it moves to the left", True),
        ("blue", "red", False),
        ("red or blue", "red", False),
        ("not red", "red", False),
        ("there is no red star", "red", False),
        ("there is no star", "there is no star", True),
        ("a star or a circle", "star", False),
        ("predominantly redder", "red", False),
        ("large", "small", False),
        ("", "red", False),
        ("red", "", False),
    ],
)
def test_says(text: str, true: str, right: bool) -> None:
    assert says_truth(text, true) is right


def test_meets() -> None:
    evidence = [Evidence(span=Span(0, 4)), Evidence(span=Span(8, 12))]
    assert meets_truth(evidence, [Span(11, 20)])
    assert not meets_truth(evidence, [Span(4, 8), Span(12, 20)])
    assert not meets_truth([], [Span(0, 1)])


@pytest.fixture(autouse=True)
def small_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same worlds, in a size and rate that encode in no time."""
    real = generate.demo
    small = {"width_px": 160, "height_px": 90, "fps_hz": 5.0}
    monkeypatch.setattr(generate, "demo", lambda seed: real(seed).model_copy(update=small))


@pytest.fixture
def knowing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A model that knows the truth of world `seed`, and says `answer` where it is to be seen."""

    def make(seed: int, answer: str | None = None) -> ScriptedModel:
        world = generate.demo(seed)
        asked = questions.make_questions(world, seed=seed)
        question = next(q for q in asked if q.family == "attribute")

        def reply(text: str, frames: FrameBatch | None) -> str:
            assert frames is not None
            span = Span(float(frames.times_s[0]), float(frames.times_s[-1]))
            if text == "Describe the clip.":
                return truth.write_caption(world, span)
            if text.startswith("Is there"):
                return "yes"
            assert text == question.text
            if any(one.overlap_s(span) > 1 for one in question.spans):
                return answer or question.answer
            return "there is no such thing."

        model = ScriptedModel(reply, clip=ClipRecipe(frames=4, size_px=(32, 18), leaf_s=4.0))
        monkeypatch.setattr("mmreason.models.load", lambda *_, **__: model)
        monkeypatch.setattr(
            "mmreason.memory.store.default_path", lambda: tmp_path / "store.sqlite3"
        )
        return model

    return make


def test_run_case_is_right_where_the_model_knows(knowing, tmp_path: Path) -> None:
    case = run_case(Reasoner(knowing(3)), tmp_path, 3)
    assert case.right and case.proven
    assert case.script.exists() and case.video.stat().st_size > 1000


def test_demo_shows_answer_truth_and_files(
    knowing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    knowing(3)
    folder = tmp_path / "demo"
    assert main(["demo", "--out", str(folder), "--seed", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("question:    ")
    assert "right:       yes; evidence meets the truth: yes" in lines
    assert any(line.startswith("truth:       ") and "seen at 0:" in line for line in lines)
    for name in ("demo-3.mp4", "demo-3.json", "demo-3.html"):
        assert (folder / name).is_file()
        assert any(line.endswith(str(folder / name)) for line in lines)


@pytest.mark.parametrize(("answer", "code", "good"), [(None, 0, 1), ("banana", 1, 0)])
def test_check_counts_and_fails_where_answers_are_wrong(
    answer: str | None, code: int, good: int, knowing, capsys: pytest.CaptureFixture[str]
) -> None:
    knowing(3, answer)
    assert main(["demo", "--check", "1", "--seed", "3", "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert (told["good"], told["of"]) == (good, 1)
    assert told["cases"][0]["right"] is (answer is None)
    assert main(["demo", "--check", "1", "--seed", "3"]) == code
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"right {good}, evidence meets the truth 1, both {good} of 1; ")


@pytest.mark.full
def test_the_narrated_clip_is_answered_with_evidence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    real_weights: Callable[[str], Path],
) -> None:
    """With real ears, a real reader and real labels."""
    names = ("whisper-tiny.en", "minilm-l6", "efficientnet-lite0")
    folders = [real_weights(name) for name in names]
    (tmp_path / "mmreason").mkdir()
    (tmp_path / "mmreason" / "weights").symlink_to(folders[0].parent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["demo", "--clip", "--out", str(tmp_path / "demo"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    channels = [case["question"]["channel"] for case in printed["cases"]]
    assert channels == ["speech", "screen_text", "label"]
    assert all(case["right"] and case["evidence_meets_truth"] for case in printed["cases"])
    pages = [*(case["html"] for case in printed["cases"]), printed["timeline"]]
    assert all(Path(page).stat().st_size > 1000 for page in pages)


@pytest.mark.parametrize("extra", [["--check", "1"], ["--seed", "3"], ["--model", "senses"]])
def test_the_narrated_clip_takes_no_settings_of_worlds(
    extra: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--clip", *extra]) == 2
    assert "--clip has one clip" in capsys.readouterr().err
