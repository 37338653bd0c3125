"""Embeddings of frames stay in the store: computed once, by content, times, encoder and size."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mmreason.memory.corrections import CORRECTION_SCHEMA
from mmreason.memory.embed_video import BATCH_FRAMES, embed_video
from mmreason.memory.frame_vectors import (
    FrameKey,
    FrameVectorRows,
    insert_frame_vectors,
    select_frame_vectors,
)
from mmreason.memory.merge_store import merge_store
from mmreason.memory.record_tables import RECORD_COLUMNS, RECORD_SCHEMA
from mmreason.memory.sense_ledger import LEDGER_SCHEMA
from mmreason.memory.store import Store
from mmreason.memory.store_file import _VERSION_1, APPLICATION_ID
from mmreason.memory.video_files import FILE_SCHEMA
from mmreason.memory.video_usage import forget_video, read_video_usage
from mmreason.types import UsageError
from mmreason.video import Video
from tests.fakes.frame_encoders import ShadeEncoder
from tests.fakes.library_videos import make_video

KEY = FrameKey("e", "5f0c", (224, 224))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("film") / "film.mp4", 20)


@pytest.fixture
def video(film: Path) -> Iterator[Video]:
    with Video.open(film) as opened:
        yield opened


def test_only_what_is_missing_is_computed_and_comes_back_as_it_was(
    video: Video, store_path: Path
) -> None:
    encoder = ShadeEncoder()
    with Store.open(store_path) as store:
        first = embed_video(video, [2.0, 0.5, 2.0], encoder, store)
        assert (first.computed, encoder.frames) == (2, 2)
    with Store.open(store_path) as store:
        again = embed_video(video, [0.5, 3.0, 2.0], encoder, store)
        assert (again.computed, encoder.frames) == (1, 3)
    np.testing.assert_array_equal(again.vectors[[2, 0, 2]], first.vectors)
    expected = encoder.encode_frames(video.frames_at([2.0, 0.5, 2.0]))
    np.testing.assert_allclose(first.vectors, expected, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(first.vectors, axis=1), 1, atol=1e-6)


def test_other_weights_and_other_sizes_are_computed_anew(video: Video) -> None:
    encoder = ShadeEncoder()
    with Store.in_memory() as store:
        embed_video(video, [1.0], encoder, store)
        encoder.fingerprint = "another"
        assert embed_video(video, [1.0], encoder, store).computed == 1
        encoder.size_px = (96, 128)
        assert embed_video(video, [1.0], encoder, store).computed == 1
        assert read_video_usage(store, video.content_hash).frames == {
            "shades 5f0c, 64x48": 1,
            "shades another, 64x48": 1,
            "shades another, 128x96": 1,
        }


def test_who_is_stopped_loses_one_batch(video: Video) -> None:
    times_s = np.arange(3 * BATCH_FRAMES) * 0.05

    def stop(done: int, total: int) -> None:
        assert total == len(times_s)
        if done == 2 * BATCH_FRAMES:
            raise KeyboardInterrupt

    encoder = ShadeEncoder()
    with Store.in_memory() as store:
        with pytest.raises(KeyboardInterrupt):
            embed_video(video, times_s, encoder, store, on_progress=stop)
        assert embed_video(video, times_s, encoder, store).computed == BATCH_FRAMES
        assert encoder.frames == len(times_s)


def test_cosines_of_stored_vectors_are_those_that_were_computed() -> None:
    rng = np.random.default_rng(0)
    rows = np.abs(rng.normal(size=(200, 1280))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with Store.in_memory() as store, store.transaction() as connection:
        insert_frame_vectors(connection, "one", KEY, FrameVectorRows(np.arange(200), rows))
        stored = select_frame_vectors(connection, "one", KEY).vectors
    assert np.abs(stored @ stored.T - rows @ rows.T).max() < 2e-4


def test_damaged_vectors_are_computed_again(video: Video) -> None:
    encoder = ShadeEncoder()
    blobs = [b"", b"\x00" * 4, b"\xff" * 4, b"odd", b"\x00\x3c" * 9, "text"]
    times_s = np.arange(len(blobs) + 3) * 0.3
    with Store.in_memory() as store:
        before = embed_video(video, times_s, encoder, store)
        with store.transaction() as connection:
            for blob, time_s in zip(blobs, times_s, strict=False):
                connection.execute(
                    "UPDATE frame_vectors SET vector = ? WHERE time_us = ?",
                    (blob, round(time_s * 1e6)),
                )
        after = embed_video(video, times_s, encoder, store)
        assert after.computed == len(blobs)
        np.testing.assert_array_equal(after.vectors, before.vectors)
        assert embed_video(video, times_s, encoder, store).computed == 0


def test_they_count_in_the_size_are_merged_and_forgotten(video: Video) -> None:
    with Store.in_memory() as store, Store.in_memory() as target:
        embed_video(video, [0.5, 1.5], ShadeEncoder(), store)
        size_bytes = store.usage().size_bytes
        assert size_bytes > 2 * 2 * 2
        merge_store(target, store)
        merge_store(target, store)
        assert target.usage().size_bytes == size_bytes
        assert embed_video(video, [0.5, 1.5], ShadeEncoder(), target).computed == 0
        forget_video(store, video.content_hash)
        assert store.usage().size_bytes == 0
        assert embed_video(video, [0.5], ShadeEncoder(), store).computed == 1


def test_a_store_beyond_its_size_forgets_frames_of_the_oldest_video(tmp_path: Path) -> None:
    rows = FrameVectorRows(np.arange(10), np.ones((10, 100), np.float32) / 10)
    with Store.open(tmp_path / "s", max_bytes=6_000) as store:
        for name in ("old", "new"):
            with store.transaction(written_bytes=2_000) as connection:
                insert_frame_vectors(connection, name, KEY, rows)
        with store.transaction() as connection:
            assert len(select_frame_vectors(connection, "old", KEY).times_us) == 10
        with store.transaction(written_bytes=2_000) as connection:
            insert_frame_vectors(connection, "newest", KEY, rows)
        with store.transaction() as connection:
            assert len(select_frame_vectors(connection, "old", KEY).times_us) == 0
            assert len(select_frame_vectors(connection, "newest", KEY).times_us) == 10


def test_a_store_of_version_3_is_brought_up_with_all_it_holds(store_path: Path) -> None:
    version_3 = (*_VERSION_1, *RECORD_SCHEMA, *RECORD_COLUMNS, *LEDGER_SCHEMA)
    with closing(sqlite3.connect(store_path)) as connection, connection:
        for statement in (*version_3, *CORRECTION_SCHEMA, *FILE_SCHEMA):
            connection.execute(statement)
        connection.execute("INSERT INTO memories VALUES ('one', 'talk.mp4', 1, 1, 106, 1)")
        connection.execute("PRAGMA user_version = 3")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    rows = FrameVectorRows(np.array([1]), np.ones((1, 1), np.float32))
    with Store.open(store_path) as store:
        assert store.usage().size_bytes == 106
        with store.transaction() as connection:
            assert insert_frame_vectors(connection, "one", KEY, rows) > 0


@pytest.mark.parametrize("times_s", [[float("nan")], [[1.0]], [1e300]])
def test_times_that_are_none_are_refused(video: Video, times_s: list[float]) -> None:
    with Store.in_memory() as store, pytest.raises(ValueError, match="finite seconds"):
        embed_video(video, times_s, ShadeEncoder(), store)


def test_vectors_that_are_no_numbers_are_not_kept() -> None:
    rows = FrameVectorRows(np.array([1]), np.full((1, 4), np.nan, np.float32))
    with (
        Store.in_memory() as store,
        pytest.raises(UsageError, match="not finite"),
        store.transaction() as connection,
    ):
        insert_frame_vectors(connection, "one", KEY, rows)
