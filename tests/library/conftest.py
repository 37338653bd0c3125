"""A folder of three short videos of which something is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmreason.library.library import Library
from mmreason.memory.store import Store
from tests.fakes.library_videos import KNOWN, add_known, make_video


@pytest.fixture(scope="session")
def video_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read-only: `cook.mp4`, `review.mp4` and `walks/walk.mp4`."""
    folder = tmp_path_factory.mktemp("talks")
    for number, name in enumerate(("cook.mp4", "review.mp4", "walks/walk.mp4")):
        make_video(folder / name, 60 * number)
    return folder


@pytest.fixture
def store(tmp_path: Path, video_folder: Path) -> Iterator[Store]:
    """What `KNOWN` says."""
    with Store.open(tmp_path / "known.sqlite3") as opened:
        add_known(video_folder, opened, KNOWN)
        yield opened


@pytest.fixture
def library(video_folder: Path, store: Store) -> Library:
    """Searched by words."""
    return Library(video_folder, store, embedder=None)
