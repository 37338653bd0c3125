"""The planned reader gives, on every kind of file, bit for bit what decoding everything gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmreason.video import Video
from mmreason.video.backends import pyav
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
