"""Stores of shards become one: each thing once, nothing lost, corrections by hand kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mmreason.memory.merge_store import MergedStore, merge_store
from mmreason.memory.records import BY_HAND, MemoryRecord
from mmreason.memory.sense_ledger import Stretch
from mmreason.memory.store import Store
from mmreason.memory.video_memory import VideoMemory
from mmreason.memory.video_usage import read_video_usage
from mmreason.types import UsageError
from mmreason.video.types import Span

SPEECH = MemoryRecord("speech", Span(1, 3), "Mister Smith.", "speech recognition", "ear")
LABEL = MemoryRecord("label", Span(0, 9), "tabby cat, cat", "labels", "eye", confidence=0.8)
ROOT = MemoryRecord("event", Span(0, 9), "A cat.", "frames", "m", 2)
STRETCH = Stretch(
    sense="speech", part="ear", recipe=1, span=Span(0, 9), planned_s=9.0, records=1, cpu_s=2.0
)


def fill(store: Store, video: str, path: Path) -> VideoMemory:
    store.add_stretch(video, STRETCH, [SPEECH], name=path.name)
    store.add_records(video, [LABEL, ROOT], name=path.name)
    store.add_vectors(video, "embedder", {LABEL.id: np.ones(4, np.float32)})
    store.put(f"key of {video}", {"text": "a cat"}, video=path.name, model="m")
    memory = VideoMemory(store, video)
    memory.remember_file(path)
    return memory


def test_what_a_shard_found_is_taken_over_once(tmp_path: Path) -> None:
    with Store.open(tmp_path / "all") as target, Store.open(tmp_path / "shard") as source:
        fill(target, "one", tmp_path / "one.mp4")
        fill(source, "two", tmp_path / "two.mp4")
        fill(source, "one", tmp_path / "one.mp4")
        assert merge_store(target, source) == MergedStore(videos=1, records=3, replies=1)
        for video in ("one", "two"):
            (usage, of_source) = (read_video_usage(store, video) for store in (target, source))
            assert usage == of_source
            assert usage.runs and usage.embedders == ("embedder",) and usage.replies == 0
            assert VideoMemory(target, video).records == (SPEECH, LABEL, ROOT)
        assert target.get("key of two") == {"text": "a cat"}
        before = target.usage().size_bytes
        assert merge_store(target, source) == MergedStore(videos=0, records=0, replies=0)
        assert target.usage().size_bytes == before


def test_a_correction_by_hand_comes_along_and_stays(tmp_path: Path) -> None:
    with Store.in_memory() as target, Store.in_memory() as source:
        for store in (target, source):
            fill(store, "one", tmp_path / "one.mp4")
        right = VideoMemory(source, "one").correct(SPEECH.id, "Mister Schmidt.")
        assert right is not None and right.source == BY_HAND
        merge_store(target, source)
        texts = [r.text for r in VideoMemory(target, "one").records if r.channel == "speech"]
        assert texts == ["Mister Schmidt."]
        with Store.in_memory() as other:
            fill(other, "one", tmp_path / "one.mp4")
            assert merge_store(target, other).records == 0, "what was corrected does not come back"


def test_scenes_of_two_runs_do_not_mix(tmp_path: Path) -> None:
    with Store.in_memory() as target, Store.in_memory() as source:
        fill(target, "one", tmp_path / "one.mp4")
        other_root = MemoryRecord("event", Span(0, 9), "A dog.", "frames", "m", 2)
        source.add_records("one", [LABEL, other_root])
        merge_store(target, source)
        roots = [r for r in VideoMemory(target, "one").records if r.level == 2]
        assert roots == [ROOT]


def test_a_store_that_would_forget_what_it_takes_is_told(tmp_path: Path) -> None:
    with Store.open(tmp_path / "all", max_bytes=300) as target, Store.in_memory() as source:
        fill(source, "one", tmp_path / "one.mp4")
        with pytest.raises(UsageError, match="keep several stores"):
            merge_store(target, source)
        assert target.usage().records == 0


def test_rows_that_are_none_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    with Store.open(path) as source:
        fill(source, "one", tmp_path / "one.mp4")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE records SET text = x'00ff' WHERE id = ?", (LABEL.id,))
        connection.execute("UPDATE replies SET value = x'00'")
        connection.execute("UPDATE files SET seen_ns = 'then'")
    with Store.in_memory() as target, Store.open(path) as source:
        assert merge_store(target, source) == MergedStore(videos=1, records=2, replies=0)
