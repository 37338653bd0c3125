"""An index of a model that describes: leaves, scenes, speech; broken off, gone on with, told."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from mmreason.cli import main
from mmreason.cli.index import Indexed
from mmreason.memory.records import MemoryQuery
from mmreason.memory.store import Store
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.video.subtitles import Line, Subtitles
from mmreason.video.types import FrameBatch, Span
from mmreason.video.world import generate
from tests.reasoner.conftest import FakeVideo

TEXTS = (
    "A chef chops onions in a kitchen.",
    "The chef fries onions in a pan in the kitchen.",
    "A train enters the station.",
    "People leave the train at the station.",
)
SPEECH = Subtitles(lines=(Line(Span(61, 64), "Mind the gap."),), path="talk.srt")


@pytest.fixture
def video() -> FakeVideo:
    return FakeVideo(scenes=tuple((30.0 * (i + 1), text) for i, text in enumerate(TEXTS)))


def make_model(video: FakeVideo, sum_up: Callable[[str], str] | None = None) -> ScriptedModel:
    """Describes in one JSON object what is shown, and sums up notes."""

    def script(text: str, frames: FrameBatch | None) -> str:
        if frames is None:
            return sum_up(text) if sum_up else f"Summed up {text.count(chr(10))} notes."
        events = " ".join(video.seen_in(frames))
        return json.dumps({"events": events, "entities": [events.split()[1]], "screen_text": []})

    clip = ClipRecipe(frames=4, size_px=(32, 18), leaf_s=15.0)
    return ScriptedModel(script, clip=clip, tier="small", name="m")


def test_leaves_are_described_and_summed_up(video: FakeVideo) -> None:
    model = make_model(video)
    reasoner = Reasoner(model)
    steps = list(reasoner.index(video, subtitles=SPEECH))
    assert [(step.done, step.total, step.span.duration_s) for step in steps] == [
        (i + 1, 4, 30.0) for i in range(4)
    ]
    assert "JSON object" in model.asked[0].text
    memory = reasoner.memory(video)
    assert memory.count_channels() == {"event": 4, "entity": 4, "speech": 1, "still": 4}
    assert [r.text for r in memory.select_leaves("event")] == list(TEXTS)
    assert [(r.level, r.span, r.text) for r in memory.overview()] == [
        (2, Span(0, 120), "Summed up 2 notes."),
        (1, Span(0, 60), "Summed up 2 notes."),
        (1, Span(60, 120), "Summed up 2 notes."),
    ]
    assert memory.measure_covered_s() == 120
    assert memory.search(MemoryQuery("gap")).hits[0].record.source == "talk.srt"


def test_an_index_broken_off_is_half_there_and_goes_on(video: FakeVideo, tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite3") as store:
        reasoner = Reasoner(make_model(video), store=store)
        assert len(list(islice(reasoner.index(video), 2))) == 2
        memory = reasoner.memory(video)
        assert memory.measure_covered_s() == 60
        assert memory.overview()[0].text == TEXTS[0], "drawn"
    with Store.open(tmp_path / "s.sqlite3") as store:
        model = make_model(video)
        reasoner = Reasoner(model, store=store)
        cached = [step.observation.cached for step in reasoner.index(video)]
        assert cached == [True, True, False, False]
        assert reasoner.memory(video).overview()[0].text == "Summed up 2 notes."
        calls = model.calls
        assert all(step.observation.cached for step in reasoner.index(video))
        assert model.calls == calls, "nothing is asked twice, sums included"
        assert len(reasoner.memory(video)) == 4 + 4 + 4 + 3


def fail(text: str) -> str:
    raise RuntimeError("the model is gone")


@pytest.mark.parametrize("sum_up", [fail, lambda text: "", lambda text: "I cannot see the video."])
def test_where_nothing_is_summed_up_scenes_are_drawn(video: FakeVideo, sum_up) -> None:
    reasoner = Reasoner(make_model(video, sum_up))
    list(reasoner.index(video))
    root, *scenes = reasoner.memory(video).overview()
    assert [s.text for s in scenes] == [" ".join(TEXTS[:2]), " ".join(TEXTS[2:])]
    assert root.text == f"{TEXTS[0]} {TEXTS[2]}"


def test_a_damaged_stretch_does_not_stop_the_rest(video: FakeVideo) -> None:
    video.broken = Span(30, 60)
    reasoner = Reasoner(make_model(video))
    steps = list(reasoner.index(video))
    assert [step.observation.error is None for step in steps] == [True, False, True, True]
    assert reasoner.memory(video).measure_covered_s() == 90


def test_an_index_of_another_model_is_told_and_made_anew(video: FakeVideo) -> None:
    store = Store.in_memory()
    list(Reasoner(make_model(video), store=store).index(video))
    other = make_model(video)
    other.name = "other"
    reasoner = Reasoner(other, store=store)
    result = reasoner.memory(video).search(MemoryQuery("onions"))
    assert result.hits == () and "8 records by m were not searched" in result.note
    list(reasoner.index(video))
    assert len(reasoner.memory(video).search(MemoryQuery("onions")).hits) == 2


def test_what_is_described_is_searched_at_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ScriptedModel(
        lambda text, frames: "A goalkeeper saves a penalty." if frames else "A match.",
        clip=ClipRecipe(frames=2, size_px=(32, 18), leaf_s=15.0),
        tier="small",
    )
    monkeypatch.setattr("mmreason.models.load", lambda *_, **__: model)
    world = generate.world(3, duration_s=90, scene_s=15).save(tmp_path / "w.json")
    (tmp_path / "w.srt").write_text("1\n00:00:02,000 --> 00:00:04,000\nWhat a save!\n")
    store = ("--store", str(tmp_path / "s.sqlite3"))

    assert main(["search", str(world), "penalty", *store]) == 3
    out = capsys.readouterr().out
    assert "nothing found" in out and "was not indexed" in out

    assert main(["index", str(world), *store]) == 0
    out = capsys.readouterr().out
    assert "3 captions" in out and "3 event, 1 speech, 3 still; 1 scene" in out
    assert "warning: 2 of 3 captions repeat the one before" in out

    # Nothing could be found there, which is no finding.
    assert main(["search", str(world), "goalkeepers", *store, "--start", "100"]) == 2
    assert "nothing begins at 1:40.00" in capsys.readouterr().err
    assert main(["search", str(world), "goalkeepers", *store, "--start", "40"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1. 0:30.00-1:30.00  event  A goalkeeper saves a penalty."
    assert main(["search", str(world), "save", *store, "--channel", "speech", "--json"]) == 0
    (hit,) = json.loads(capsys.readouterr().out)["hits"]
    assert (hit["span"], hit["source"], hit["model"]) == ([2.0, 4.0], "w.srt", "")
    for wrong in (["--channel", "sound"], ["--limit", "0"]):
        assert main(["search", str(world), "save", *store, *wrong]) == 2


def test_an_indexed_file_has_its_figures() -> None:
    done = Indexed(path="a.mp4", nodes=1, failed=0, from_store=0, frames=4, seconds=0.1)
    assert done.records == {} and done.covered_s == 0
