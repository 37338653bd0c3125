"""The memory of a video in the store: kept, shared, told apart by model and embedder, forgotten."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mmreason.memory.record_tables import MOST_RECORDS
from mmreason.memory.records import MemoryQuery, MemoryRecord
from mmreason.memory.store import Store
from mmreason.memory.store_file import _VERSION_1
from mmreason.memory.vector_index import Embedder
from mmreason.memory.video_memory import VideoMemory
from mmreason.types import UsageError
from mmreason.video.types import Span

ONION = MemoryRecord("event", Span(0, 30), "A chef chops onions.", "frames", "m")
CAR = MemoryRecord("event", Span(30, 60), "A red car.", "frames", "m")
SPEECH = MemoryRecord("speech", Span(31, 33), "Mind the car.", "a.srt")


def test_records_outlive_the_process_and_belong_to_their_video(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store:
        assert VideoMemory(store, "one").add([ONION, CAR, ONION]) == 2
        assert VideoMemory(store, "one").add([ONION]) == 0
    with Store.open(path) as store:
        memory = VideoMemory(store, "one")
        assert memory.records == (ONION, CAR)
        assert memory.read([CAR.id, "ev-nothing", ONION.id]) == (CAR, ONION)
        assert [hit.record for hit in memory.search(MemoryQuery("onions")).hits] == [ONION]
        other = VideoMemory(store, "two")
        assert len(other) == 0 and other.search(MemoryQuery("onions")).note.startswith("nothing")


def test_what_another_adds_is_seen_and_what_is_cleared_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store, Store.open(path) as other:
        memory, writer = VideoMemory(store, "one"), VideoMemory(other, "one")
        assert memory.search(MemoryQuery("onions")).hits == ()
        writer.add([ONION])
        assert len(memory.search(MemoryQuery("onions")).hits) == 1
        other.clear()
        assert memory.search(MemoryQuery("onions")).hits == () and len(memory) == 0
        writer.add([CAR])
        assert memory.records == (CAR,), "begun anew, with the same count as before"


def test_an_id_is_of_the_content_alone() -> None:
    again = MemoryRecord("event", Span(0, 30.0000001), "A chef chops onions.", "frames", "m")
    assert again.id == ONION.id and len(ONION.id) == 11
    others = [MemoryRecord("event", Span(0, 30), ONION.text, "frames", "n"), CAR, SPEECH]
    assert len({ONION.id, *(record.id for record in others)}) == 4


def test_records_of_another_model_are_told_and_not_mixed() -> None:
    theirs = [
        MemoryRecord("event", Span(i, i + 1), f"onions {i}", "frames", "other") for i in range(3)
    ]
    with Store.in_memory() as store:
        VideoMemory(store, "one").add([ONION, SPEECH, *theirs])
        result = VideoMemory(store, "one", model="m").search(MemoryQuery("onions"))
        assert [hit.record for hit in result.hits] == [ONION]
        assert result.note == "3 records by other were not searched"
        most = VideoMemory(store, "one").search(MemoryQuery("onions"))
        assert {hit.record.model for hit in most.hits} == {"other"}
        assert most.note == "1 records by m were not searched"
        stranger = VideoMemory(store, "one", model="new").search(MemoryQuery("onions"))
        assert stranger.hits == () and "3 records by other" in stranger.note
        speech = VideoMemory(store, "one", model="new").search(MemoryQuery("mind"))
        assert [hit.record for hit in speech.hits] == [SPEECH], "depends on no model"


def count_letters(texts) -> np.ndarray:
    return np.array([[text.lower().count(letter) for letter in "abcdefgh"] for text in texts])


def test_embeddings_are_kept_by_name_and_never_mixed(tmp_path: Path) -> None:
    path, calls = tmp_path / "s.sqlite3", []

    def embed(texts):
        calls.append(len(texts))
        return count_letters(texts)

    with Store.open(path) as store:
        memory = VideoMemory(store, "one", embedder=Embedder("letters", embed))
        memory.add([ONION, CAR])
        assert list(memory.embed_records()) == [0]
        assert calls == [2]
    with Store.open(path) as store:
        again = VideoMemory(store, "one", embedder=Embedder("letters", embed))
        assert list(again.embed_records()) == [] and calls == [2]
        other = VideoMemory(
            store, "one", embedder=Embedder("others", lambda t: np.ones((len(t), 3)))
        )
        assert "the embeddings of letters were not used" in other.search(MemoryQuery("x")).note
        plain = VideoMemory(store, "one").search(MemoryQuery("onions"))
        assert plain.hits and "embeddings of letters, others were not used" in plain.note
        assert set(store.list_embedders("one")) == {"letters", "others"}


def test_an_embedder_that_changed_under_its_name_is_refused() -> None:
    with Store.in_memory() as store:
        first = VideoMemory(store, "one", embedder=Embedder("e", count_letters))
        first.add([ONION])
        list(first.embed_records())
        changed = VideoMemory(store, "one", embedder=Embedder("e", lambda t: np.ones((len(t), 3))))
        with pytest.raises(UsageError, match="width 3, before of 8"):
            changed.search(MemoryQuery("onions"))


@pytest.mark.parametrize("table", [np.ones(3), np.ones((2, 3)), np.ones((1, 0)), []])
def test_an_embedding_of_another_shape_is_one_clear_line(table) -> None:
    with pytest.raises(UsageError, match="an array of 1 rows"):
        Embedder("e", lambda texts: table).embed_texts(["a"])


def test_embeddings_that_are_no_numbers_count_as_none() -> None:
    memory = VideoMemory(embedder=Embedder("e", lambda t: np.full((len(t), 3), np.nan)))
    memory.add([ONION])
    assert [hit.record for hit in memory.search(MemoryQuery("onions")).hits] == [ONION]
    assert memory.search(MemoryQuery("umbrella")).hits == ()


def test_a_store_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in (*_VERSION_1, "PRAGMA user_version = 1"):
            connection.execute(statement)
        connection.execute("PRAGMA application_id = 0x6D6D7273")
        connection.execute("INSERT INTO replies (key, value) VALUES ('k', '{\"text\": \"x\"}')")
    with Store.open(path) as store:
        assert store.get("k") == {"text": "x"}
        assert VideoMemory(store, "one").add([ONION]) == 1
        assert store.usage().records == 1


def test_what_was_not_used_for_longest_is_forgotten_memories_as_a_whole(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", max_bytes=20_000) as store:
        VideoMemory(store, "old").add(
            MemoryRecord("event", Span(i, i + 1), f"{i} " + "x" * 100, "frames") for i in range(20)
        )
        store.put("reply", {"text": "x" * 5_000})
        VideoMemory(store, "new").add(
            MemoryRecord("event", Span(i, i + 1), f"{i} " + "x" * 100, "frames") for i in range(60)
        )
        assert len(VideoMemory(store, "old")) == 0 and len(VideoMemory(store, "new")) == 60
        assert store.get("reply") is not None
        assert store.usage().size_bytes <= 20_000
        assert store.clear() == 1 and store.usage().records == store.usage().size_bytes == 0


def test_a_memory_has_a_size_and_a_video_in_what_is_shown() -> None:
    with Store.in_memory() as store:
        store.put("k", {"text": "x"}, video="a.mp4 [0123]", model="m")
        VideoMemory(store, "0123", name="a.mp4 [0123]").add([ONION, CAR])
        usage = store.usage()
        assert (usage.entries, usage.records) == (1, 2)
        assert [(share.name, share.entries) for share in usage.by_video] == [("a.mp4 [0123]", 3)]


DAMAGED = {
    "a channel": "channel = 'sound'",
    "a time": "start_us = 'x'",
    "an end before the start": "end_us = -5",
    "a time that is no number": "start_us = 1e999",
    "a text": "text = x'ff00ff'",
    "no text": "text = ''",
    "a level": "level = 9",
}


@pytest.mark.parametrize("change", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_record_is_left_out_and_told(tmp_path: Path, change: str) -> None:
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store:
        VideoMemory(store, "one").add([ONION, CAR])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE records SET {change} WHERE id = ?", (ONION.id,))
        connection.execute("INSERT INTO vectors VALUES ('one', 'letters', 'x', 'no blob')")
        connection.execute("INSERT INTO vectors VALUES ('one', 'letters', 'y', x'0000')")
    with Store.open(path) as store:
        memory = VideoMemory(store, "one", embedder=Embedder("letters", count_letters))
        assert memory.records == (CAR,) and len(memory.search(MemoryQuery("car")).hits) == 1
        assert any("damaged records" in note and note.endswith(": 1") for note in store.notes)


def test_a_memory_beyond_its_limit_is_one_clear_line() -> None:
    with Store.in_memory() as store, pytest.raises(UsageError, match="at most 200,000 records"):
        store.add_records("one", [ONION] * (MOST_RECORDS + 1))


def test_more_than_a_store_holds_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store:
        memory = VideoMemory(store, "one", embedder=Embedder("letters", count_letters))
        memory.add([ONION, CAR, SPEECH])
        list(memory.embed_records())
    monkeypatch.setattr("mmreason.memory.record_tables.MOST_TEXT_BYTES", len(ONION.text) + 1)
    monkeypatch.setattr("mmreason.memory.record_tables.MOST_VECTOR_BYTES", 2 * 8 * 4)
    with Store.open(path) as store:
        assert VideoMemory(store, "one").records == (ONION,)
        assert any(note.endswith(": 2") for note in store.notes)
        ids, vectors = store.read_vectors("one", "letters")
        assert len(ids) == len(vectors) == 2
