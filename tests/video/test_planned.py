"""The planned reader gives, on every kind of file, bit for bit what decoding everything gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmreason.video import Video
from mmreason.video.backends import facts, packets, pyav, repair
from tests.video import matrix

Files = Callable[[str], Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = matrix.make(kind, tmp_path_factory.mktemp(kind.replace(" ", "_")))
        return made[kind]

    return get


MATROSKA = ["mkv", "vfr mkv", "delayed mkv", "av1 mkv", "vp9 webm", "vp9 altref"]


@pytest.mark.parametrize("kind", MATROSKA)
def test_cues_serve_long_files(files: Files, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyav, "_MIN_SHARED_PX", 0)
    truth = matrix.reference(files(kind))
    with Video.open(files(kind)) as video:
        counted, keys_s = video.info, video.keyframe_times_s
    monkeypatch.setattr(facts, "_MAX_SCANNED_S", 0)
    monkeypatch.setattr(repair, "read_stored", None)
    monkeypatch.setattr(packets, "_MIN_COVERED", 0.1)
    with Video.open(files(kind)) as video:
        assert video.info.frame_count is None
        assert "read through its cues" in video.info.notes[-1]
        assert video.info.span == counted.span
        assert video.keyframe_times_s == keys_s
        order = np.random.default_rng(0).permutation(len(truth.times_s))
        for times_s in (truth.times_s[order], truth.times_s[order[:3]]):
            batch = video.frames_at(times_s)
            np.testing.assert_array_equal(
                batch.pixels, [truth.pixels[i] for i in truth.rows(times_s)]
            )
            assert batch.exact.all()
        assert len(video._source._readers) == 2  # pyright: ignore
        streamed = np.concatenate([batch.pixels for batch in video.stream()])
    np.testing.assert_array_equal(streamed, truth.pixels)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", matrix.MAKERS)
def test_equals_the_slow_reference(
    files: Files, kind: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyav, "_MIN_SHARED_PX", 0)
    rng = np.random.default_rng(sum(kind.encode()))
    truth = matrix.reference(files(kind))
    with Video.open(files(kind), workers=workers) as video:
        span = video.info.span
        assert video.info.backend == "pyav"
        assert span.start_s == pytest.approx(truth.times_s[0])
        assert video.info.frame_count == len(truth.times_s)
        asked = [truth.times_s, rng.uniform(span.start_s, span.end_s, 25)]
        asked += [rng.uniform(span.start_s, span.end_s, n) for n in (1, 2, 5)]
        for times_s in asked:
            batch = video.frames_at(times_s)
            rows = truth.rows(times_s)
            np.testing.assert_array_equal(batch.times_s, truth.times_s[rows])
            for row, pixels in zip(rows, batch.pixels, strict=True):
                np.testing.assert_array_equal(pixels, truth.pixels[row])
            assert batch.exact.all()
