"""What a user meets first in Python: the names of `mmreason`, `ask`, an answer as values, files
of its evidence."""

from __future__ import annotations

import csv
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mmreason
from mmreason import Answer, Cost, Evidence, Reasoner, Span, StopReason, Store, UsageError, Video
from mmreason.memory.store import default_path
from mmreason.video import VideoError
from mmreason.video.world import generate
from tests.video import clips

ROOT = Path(__file__).resolve().parents[2]


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def keyed(tmp_path: Path) -> Path:
    return clips.write(tmp_path / "keyed.mp4", frames=40, gop=10)


def test_names_that_people_look_for_are_exported() -> None:
    wanted = {
        *("Answer", "Budget", "Cost", "Evidence", "Grounding", "Question", "Reasoner", "Span"),
        *("StopReason", "Store", "Subtitles", "UsageError", "Video", "VideoError", "ask"),
    }
    assert wanted <= set(mmreason.__all__)


def test_a_notebook_completes_public_names_only() -> None:
    shown = _python("import mmreason; print(*dir(mmreason))").split()
    assert {"ask", "Video", "models", "training"} <= set(shown)
    private = {"Any", "Path", "TYPE_CHECKING", "import_module", "annotations"}
    assert not set(shown) & private
    assert [name for name in shown if name.startswith("_")] == ["__version__"]


@pytest.mark.parametrize(
    "name", ["models.load", "video.plan", "grounding.Grounding", "training", "policies.Greedy"]
)
def test_parts_are_reachable_after_a_plain_import(name: str) -> None:
    assert _python(f"import mmreason; mmreason.{name}; print('there')") == "there"


def test_ask_takes_what_the_method_takes_with_the_same_defaults() -> None:
    function = inspect.signature(mmreason.ask).parameters
    method = dict(inspect.signature(Reasoner.ask).parameters)
    del method["self"]
    assert {n: p.default for n, p in method.items()}.items() <= {
        n: p.default for n, p in function.items()
    }.items()
    assert {"model", "policy", "store"} <= set(function)


def test_ask_uses_the_store_that_it_is_given(tmp_path: Path) -> None:
    world, store = generate.demo(0).save(tmp_path / "w.json"), tmp_path / "s.sqlite3"
    budget = mmreason.Budget(rounds=0)
    answer = mmreason.ask(world, "What is there?", store=store, budget=budget, policy=None)
    assert answer.settings["store"] == str(store)


@pytest.mark.parametrize("bad", ["48", (1,), (8, 4), (1, None), 5, ("a", "b"), (float("nan"), 2)])
def test_a_span_that_is_none_is_a_usage_error(bad: object, keyed: Path) -> None:
    reasoner = Reasoner.load("nano", store=Store.in_memory())
    with pytest.raises(UsageError, match=r"a pair \(start_s, end_s\) in seconds"):
        reasoner.caption(keyed, bad)  # pyright: ignore[reportArgumentType]  # what is tested


def test_a_pair_of_seconds_is_a_span(keyed: Path) -> None:
    reasoner = Reasoner.load("nano", store=Store.in_memory())
    assert reasoner.caption(keyed, (0, 1)) == reasoner.caption(keyed, Span(0, 1))
    assert reasoner.ground(keyed, "a star", span=(0, 1)).frame_time_s == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("given", ["path", "open", "own"])
def test_evidence_gives_its_frames(given: str, keyed: Path) -> None:
    with Video.open(keyed) as video:
        times_s = tuple(video.frame_times_s[i] for i in (3, 11, 12))
        expected = video.frames_at(times_s)
        evidence = Evidence(
            span=Span(0, 1), frame_times_s=times_s, video=str(keyed) if given == "own" else ""
        )
        source = {"path": keyed, "open": video, "own": None}[given]
        frames = evidence.frames(source)
        assert (frames.pixels == expected.pixels).all()
        assert (frames.times_s == times_s).all() and frames.exact.all()
        assert video.frames_at([0.0]).exact.all(), "an open video stays open"


def test_evidence_without_frames_gives_the_middle_of_its_span(keyed: Path) -> None:
    frames = Evidence(span=Span(0.4, 0.6), quote="a line of subtitles").frames(keyed)
    assert len(frames) == 1 and frames.times_s[0] == pytest.approx(0.5, abs=0.05)


def test_evidence_is_saved_as_pictures_named_by_time(keyed: Path, tmp_path: Path) -> None:
    with Video.open(keyed) as video:
        times_s = tuple(video.frame_times_s[i] for i in range(12))
        expected = video.frames_at(times_s).pixels
    evidence = Evidence(span=Span(0, 1), frame_times_s=(*times_s[::-1], times_s[0]))
    paths = evidence.save(tmp_path / "new" / "frames", keyed)
    assert [path.name for path in paths] == [f"keyed_{t:09.3f}s.png" for t in times_s]
    for path, pixels in zip(paths, expected, strict=True):
        with Image.open(path) as picture:
            assert (np.asarray(picture) == pixels).all()
    assert sorted(paths) == paths == sorted((tmp_path / "new" / "frames").iterdir())


def test_evidence_of_an_unknown_video_or_a_bad_folder_is_told(keyed: Path, tmp_path: Path) -> None:
    evidence = Evidence(span=Span(0, 1))
    for unknown in (evidence, Evidence(span=Span(0, 1), video="<bytes>")):
        with pytest.raises(UsageError, match=r"pass it: evidence\.frames\(video\)"):
            unknown.frames()
    with pytest.raises(UsageError, match="is a file; give a folder"):
        evidence.save(keyed, keyed)
    with pytest.raises(VideoError, match="no such file"):
        evidence.save(tmp_path / "out", tmp_path / "gone.mp4")


def test_evidence_of_a_video_of_bytes_has_names_that_every_system_takes(
    keyed: Path, tmp_path: Path
) -> None:
    with Video.open(keyed.read_bytes()) as video:
        (path,) = Evidence(span=Span(0, 1)).save(tmp_path / "frames", video)
    assert not set(path.name) & set('<>:"/\\|?*') and path.is_file()


def test_an_answer_knows_the_video_of_its_evidence(tmp_path: Path) -> None:
    world = generate.demo(0).save(tmp_path / "w.json")
    from mmreason.video.world import questions

    made = questions.make_questions(generate.demo(0))
    question = next(q for q in made if q.family == "attribute")
    answer = mmreason.ask(world, question.text, store=Store.in_memory())
    assert answer.evidence and "video" not in answer.evidence[0].to_dict()
    paths = answer.evidence[0].save(tmp_path / "frames")
    assert len(paths) == len(set(answer.evidence[0].frame_times_s)) > 0


def _answer(text: str = "green", **changes: object) -> Answer:
    evidence = (Evidence(span=Span(8, 11), quote="green"),) if text else ()
    known = dict(
        question="What colour?",
        text=text,
        confidence=0.98765,
        evidence=evidence,
        cost=Cost(frames=1, rounds=1, tokens_in=10, tokens_out=2, seconds=1.23456),
        stop_reason=StopReason.ANSWERED,
        video="talk.mp4",
    )
    return Answer(**(known | changes))  # pyright: ignore[reportArgumentType]  # fields by name


def test_an_answer_is_a_row_of_a_table(tmp_path: Path) -> None:
    row = _answer().to_row()
    assert row == {
        "video": "talk.mp4", "question": "What colour?", "answered": True, "text": "green",
        "choice": None, "confidence": 0.9877, "stop_reason": "answered", "start_s": 8, "end_s": 11,
        "quote": "green", "frames": 1, "tokens": 12, "seconds": 1.235,
    }  # fmt: skip
    none = _answer("", confidence=None, stop_reason=StopReason.ABSTAINED).to_row()
    assert none.keys() == row.keys() and not none["answered"] and none["text"] == ""
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerows([row, none])
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 3


def test_printing_an_answer_is_three_lines() -> None:
    assert str(_answer()).splitlines() == [
        "answer:      green",
        "evidence:    0:08.00-0:11.00: green (not checked)",
        "cost:        1 frame in 1 round, 1.2 seconds",
    ]
    none = str(_answer("", stop_reason=StopReason.ABSTAINED, next_steps=("Ask.",))).splitlines()
    assert none[0].startswith("answer:      No answer (")
    assert none[1:3] == ["looked at:   nothing", "next:        Ask."]
    noted = str(_answer(settings={"notes": ["2 frames are\x1b[31m damaged"]})).splitlines()
    assert noted[3:] == ["note:        2 frames are\N{REPLACEMENT CHARACTER}[31m damaged"]


@pytest.mark.parametrize(
    ("cache", "folder"),
    [("/caches", "/caches"), ("", "/home/me/.cache"), ("relative", "/home/me/.cache")],
)
def test_the_default_store_is_in_the_cache_folder_of_the_user(
    cache: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    assert default_path() == Path(folder) / "mmreason" / "store.sqlite3"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_path() == Path("/home/me/.cache/mmreason/store.sqlite3")


@pytest.mark.parametrize(
    ("expression", "asked"),
    [
        ("the star", "Locate the star."),
        ("The red star", "Locate the red star."),
        ("a dog", "Locate the dog."),
        ("an apple", "Locate the apple."),
        ("theatre sign", "Locate the theatre sign."),
        ("A4 paper", "Locate the A4 paper."),
        ("the", "Locate the the."),
    ],
)
def test_a_request_for_a_box_has_one_article(expression: str, asked: str) -> None:
    from mmreason.language.prompts import GENERAL, Prompts

    assert Prompts().find(expression).startswith(asked)
    assert GENERAL.find(expression).startswith(asked)
    own = Prompts(locate="Where is {expression}?")
    assert own.find(expression) == f"Where is {expression}?"


@pytest.mark.parametrize("kind", ["bytes", "file", "open"])
def test_a_video_is_asked_as_a_path_as_bytes_or_open(kind: str, keyed: Path) -> None:
    reasoner = Reasoner.load("nano", store=Store.in_memory())
    budget = mmreason.Budget(frames=16)
    expected = reasoner.ask(keyed, "What is there?", budget=budget, subtitles=None)
    with keyed.open("rb") as file, Video.open(keyed) as video:
        given = {"bytes": keyed.read_bytes(), "file": file, "open": video}[kind]
        answer = reasoner.ask(given, "What is there?", budget=budget, subtitles=None)
    assert (answer.text, answer.stop_reason) == (expected.text, expected.stop_reason)


def test_bytes_are_asked_with_a_file_of_subtitles(keyed: Path, tmp_path: Path) -> None:
    lines = tmp_path / "said.srt"
    lines.write_text("1\n00:00:00,000 --> 00:00:01,000\nThe train leaves at nine.\n")
    reasoner = Reasoner.load("nano", store=Store.in_memory())
    answer = reasoner.ask(keyed.read_bytes(), "When does the train leave?", subtitles=lines)
    assert "The train leaves at nine." in answer.text


def test_what_is_no_video_is_one_line(keyed: Path) -> None:
    reasoner = Reasoner.load("nano", store=Store.in_memory())
    for wrong in (3, None, [keyed]):
        with pytest.raises(VideoError) as error:
            reasoner.ask(wrong, "What is there?")  # pyright: ignore[reportArgumentType]
        assert "\n" not in str(error.value)
