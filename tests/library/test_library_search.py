"""A search over many videos finds the right span of the right one, and says what it cannot know."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mmreason
from mmreason.library.library import Library
from mmreason.memory.records import MemoryRecord
from mmreason.memory.store import Store
from mmreason.memory.vector_index import Embedder
from mmreason.types import UsageError
from mmreason.video.types import Span
from tests.fakes.library_videos import KNOWN, add_known, make_video


def test_a_question_finds_its_span_in_the_right_video(library: Library) -> None:
    best = library.search("When do they talk about the budget?").hits[0]
    assert (best.path.name, best.channel) in {
        ("review.mp4", "speech"),
        ("review.mp4", "screen_text"),
    }
    (pan,) = library.search("pan").hits
    assert (pan.path.name, pan.span, pan.confidence) == ("cook.mp4", Span(0, 2), 0.8)
    assert mmreason.Library is Library


def test_neighbouring_lines_are_one_hit(library: Library) -> None:
    (hit,) = library.search("onions").hits
    assert hit.span == Span(0, 2) and len(hit.ids) == 2
    assert hit.quote == "Now chop two onions and fry the onions in butter."


@pytest.mark.parametrize("text", ["xyzzy plugh", "parachute", "the of and in", "降落伞"])
def test_nonsense_finds_nothing_and_is_told_why(library: Library, text: str) -> None:
    result = library.search(text)
    assert result.hits == () and result.note.startswith("nothing found: ")


@pytest.mark.parametrize(
    ("names", "channels"),
    [
        (["speech"], {"speech"}),
        (["screen"], {"screen_text"}),
        (["labels"], set()),
        (["visual"], set()),
        (["speech", "screen"], {"speech", "screen_text"}),
        ([], {"speech", "screen_text"}),
    ],
)
def test_channels_go_by_the_names_of_people(
    library: Library, names: list[str], channels: set[str]
) -> None:
    assert {hit.channel for hit in library.search("budget", names).hits} == channels


@pytest.mark.parametrize(
    "text", ["Show me the frying pan.", "In which part of the video is a pan visible?"]
)
def test_a_question_to_be_shown_a_thing_finds_its_label(library: Library, text: str) -> None:
    assert library.search(text).hits[0].channel == "label"
    assert not library.search("In which part of the video is a violin visible?").hits


def test_shots_are_not_searched_and_no_channel(library: Library) -> None:
    assert not library.search("shot").hits
    with pytest.raises(UsageError, match="channels are any, speech, screen, labels, visual"):
        library.search("shot", ["shots"])


def test_what_was_not_indexed_or_read_is_told(
    video_folder: Path, store: Store, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    result = Library([video_folder, bad], store, embedder=None).search("budget")
    assert (result.videos, result.not_indexed) == (3, 1)
    (unreadable,) = result.unreadable
    assert unreadable.path == bad and str(bad) not in unreadable.reason
    with pytest.raises(UsageError, match="no such file or folder"):
        Library(tmp_path / "gone", store)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="no video in this folder"):
        Library(empty, store)


def test_subtitles_are_searched_without_an_index(tmp_path: Path) -> None:
    video = make_video(tmp_path / "talk.mp4", 9)
    video.with_suffix(".srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nA heron lands.\n")
    with Store.in_memory() as store:
        result = Library(tmp_path, store, embedder=None).search("heron")
    assert result.hits[0].source == "talk.srt" and result.not_indexed == 1


def test_a_word_is_rare_or_common_over_the_whole_library(tmp_path: Path) -> None:
    """In its own video each word of the right line is as common as those of the wrong one."""
    videos = [make_video(tmp_path / f"{name}.mp4", i) for i, name in enumerate("abcd")]
    weathers = ("rain", "snow", "wind", "fog")
    lines = {video.name: [f"the harbour {w}" for w in weathers] for video in videos}
    lines["a.mp4"] = ["the lighthouse", "the harbour"]
    with Store.in_memory() as store:
        known = {
            name: [
                MemoryRecord("speech", Span(i, i + 0.5), text, "s", "tiny")
                for i, text in enumerate(texts)
            ]
            for name, texts in lines.items()
        }
        add_known(tmp_path, store, known)
        hits = Library(videos, store, embedder=None).search("harbour lighthouse").hits
    assert hits[0].quote == "the lighthouse"


def test_parts_and_dates_narrow_a_search(video_folder: Path, store: Store, tmp_path: Path) -> None:
    old = make_video(tmp_path / "old.mp4", 200)
    past_s = datetime(2020, 1, 1).timestamp()
    os.utime(old, (past_s, past_s))
    add_known(
        tmp_path,
        store,
        {"old.mp4": [MemoryRecord("speech", Span(0, 2), "An old budget.", "s", "t")]},
    )
    library = Library([video_folder, old], store, embedder=None)
    limit = datetime(2021, 1, 1)
    assert {hit.path.name for hit in library.search("budget", until=limit).hits} == {"old.mp4"}
    assert {hit.path.name for hit in library.search("budget", since=limit).hits} == {"review.mp4"}
    assert library.search("budget", until=limit).videos == 1
    assert not library.search("chop", span=Span(2, 4)).hits and library.search("chop").hits


def test_records_of_other_processes_are_seen(
    library: Library, video_folder: Path, store: Store
) -> None:
    assert not library.search("heron").hits
    with Store.open(store.path) as other:
        add_known(
            video_folder,
            other,
            {"walks/walk.mp4": [MemoryRecord("label", Span(0, 1), "heron, bird", "labels", "b0")]},
        )
    result = library.search("heron")
    assert result.hits[0].path.name == "walk.mp4" and result.not_indexed == 0
    # Forgotten and begun anew: rows that were read are gone.
    store.clear()
    add_known(video_folder, store, {"cook.mp4": KNOWN["cook.mp4"][:1]})
    assert not library.search("heron").hits and library.search("onions").hits


def letters(texts: Sequence[str]) -> np.ndarray:
    """Texts are near where they have the same letters."""
    table = [[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts]
    return np.array(table, np.float32) + 1e-3


def test_the_floor_stands_on_similarity_and_embeddings_are_kept(
    video_folder: Path, store: Store
) -> None:
    calls: list[int] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        calls.append(len(texts))
        return letters(texts)

    # By a calibrated name: nothing under 0.40 may be a hit, whatever its rank.
    library = Library(video_folder, store, embedder=Embedder("minilm-l6 test", embed))
    hits = library.search("The budgets are two millions").hits
    assert hits[0].quote == "The budget is two million." and hits[0].similarity > 0.9
    assert all(hit.similarity >= 0.40 for hit in hits)
    # One word of many that a record shares is not enough beside meaning.
    words = library.search("zzz qqq zzzz chart qqqq").hits
    assert all(hit.similarity >= 0.40 for hit in words)
    calls.clear()
    again = Library(video_folder, store, embedder=Embedder("minilm-l6 test", embed))
    assert again.search("The budgets are two millions").hits[0].ids == hits[0].ids
    assert max(calls) <= 32, "embeddings of records came from the store"


def test_a_library_without_weights_says_how_to_get_them(
    video_folder: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = Library(video_folder, store).search("budget")
    assert result.hits and "mmreason weights get minilm-l6" in result.note


def test_results_are_json_and_have_pictures(library: Library) -> None:
    result = library.search("budget")
    values = json.loads(json.dumps(result.to_dict()))
    assert values["hits"][0]["path"].endswith("review.mp4")
    assert Image.open(BytesIO(result.hits[0].thumbnail)).size == (240, 180)
    assert "<script" not in result._repr_html_() and "data:image/jpeg" in result._repr_html_()


def test_a_search_of_many_records_is_quick(tmp_path: Path) -> None:
    video = make_video(tmp_path / "long.mp4", 3)
    records = [
        MemoryRecord(
            "speech", Span(i / 1e4, (i + 1) / 1e4), f"a line of word{i % 97} and more", "s", "t"
        )
        for i in range(3_000)
    ]
    with Store.in_memory() as store:
        add_known(tmp_path, store, {"long.mp4": records})
        library = Library(video, store, embedder=None)
        library.search("word7")
        started_s = time.process_time()
        for i in range(10):
            assert library.search(f"a line of word{i}").hits
        # Far above what it takes, and far below reading the records anew.
        assert (time.process_time() - started_s) / 10 < 0.05


@pytest.mark.parametrize("limit", [0, 101])
def test_a_limit_that_is_none_is_refused(library: Library, limit: int) -> None:
    with pytest.raises(UsageError, match="gives 1 to 100 hits"):
        library.search("budget", limit=limit)


def test_scenes_hold_what_is_said_written_and_seen(library: Library) -> None:
    scenes = library.scenes("cook.mp4").scenes
    assert [scene.span for scene in scenes] == [Span(0, 2), Span(2, 4)]
    assert scenes[0].said == ("Now chop two onions", "and fry the onions in butter.")
    assert scenes[0].seen == ("frying pan, kitchenware",) and scenes[1].said == ()
    assert "cuts were looked for now" in library.scenes("review.mp4").note
    with pytest.raises(UsageError, match="no video of this name"):
        library.scenes("none.mp4")


def test_a_library_is_indexed_and_then_searched(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", 5)
    gone = make_video(tmp_path / "b.mp4", 90)
    with Store.in_memory() as store:
        library = Library(tmp_path, store, embedder=None)
        assert len(library) == 2
        gone.unlink()
        first, second = library.index(["shots"])
        assert first.records >= 1 and not first.errors
        assert second.records == 0 and "b.mp4" in second.errors[0]
        assert library.index(["shots"])[0].records == 0, "what is there is not made again"
        assert library.search("anything").not_indexed == 1
        assert "cuts were looked for now" not in library.scenes("a.mp4").note
