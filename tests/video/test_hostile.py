"""Files that lie or are broken: a typed error or marked frames, soon and in little memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmreason.video import Span, Video, VideoError, plan
from tests.video import matrix

KINDS = ["h264", "edit list", "fragmented", "hevc open", "av1", "vp9 webm", "mkv", "ts", "avi"]
Files = Callable[[str], Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = matrix.make(kind, tmp_path_factory.mktemp("clips"))
        return made[kind]

    return get


def read(path: Path) -> str:
    """Do with the file what a person would, and say how it went."""
    started = time.monotonic()
    try:
        with Video.open(path, "pyav", time_limit_s=10) as video:
            batch = video.sample(plan.uniform(video, 5, size_px=(80, 48)))
            span = video.info.span
            outside = video.frames_at([span.start_s - 1, span.end_s + 1])
            assert not outside.exact.any()
            assert len(video.keyframe_times_s) <= 200
            first = next(video.stream(size_px=(80, 48), span=Span(*span.to_list())), None)
            assert first is None or (np.diff(first.times_s) > 0).all()
    except VideoError as error:
        assert "\n" not in str(error)
        assert str(error).startswith(str(path))
        return "refused"
    finally:
        assert time.monotonic() - started < 20
    assert np.isfinite(batch.times_s).all()
    return "exact" if batch.exact.all() else "marked"


def mutated(whole: np.ndarray, rng: np.random.Generator) -> bytes:
    """Flipped bits, a missing end, a hole, or extreme numbers in what may be a header."""
    data = whole.copy()
    way = rng.integers(4)
    if way == 0:
        data[rng.integers(0, len(data), rng.integers(1, 60))] ^= np.uint8(rng.integers(1, 256))
    elif way == 1:
        return data[: rng.integers(1, len(data))].tobytes()
    elif way == 2:
        start = rng.integers(0, len(data))
        data[start : start + rng.integers(1, 2000)] = 0
    else:
        head = max(0, data.tobytes().find(b"moov"))
        for start in rng.integers(head, min(len(data) - 4, head + 1500), 4):
            number = int(rng.choice([0, 1, 2**16, 100_000, 2**31 - 1, 2**31, 2**32 - 1]))
            data[start : start + 4] = np.frombuffer(number.to_bytes(4, "big"), np.uint8)
    return data.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files(files: Files, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(sum(kind.encode()))
    whole = np.frombuffer(files(kind).read_bytes(), np.uint8)
    path = tmp_path / f"bad{files(kind).suffix}"
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(15):
        path.write_bytes(mutated(whole, rng))
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 400_000


def lie(data: bytes, box: bytes, offset: int, value: int, width: int = 4) -> bytes:
    """`data` with the number at `offset` after the name of the first `box` replaced."""
    start = data.index(box) + len(box) + offset
    return data[:start] + value.to_bytes(width, "big") + data[start + width :]


LIES = {
    "100,000 frames a second": (b"mdhd", 12, 100_000 * 512, 4),
    "a billion ticks a frame": (b"stts", 12, 2**30, 4),
    "four billion frames": (b"stts", 8, 2**32 - 1, 4),
    "an endless film": (b"mvhd", 16, 2**32 - 1, 4),
    "no time base": (b"mdhd", 12, 0, 4),
    "pictures of 65535 pixels": (b"avc1", 24, 2**32 - 1, 4),
    "samples of 4 GiB": (b"stsz", 4, 2**32 - 1, 4),
    "an edit of ten years": (b"elst", 8, 2**31 - 1, 4),
}


@pytest.mark.parametrize("claim", LIES)
def test_headers_that_lie(files: Files, tmp_path: Path, claim: str) -> None:
    path = tmp_path / "lie.mp4"
    path.write_bytes(lie(files("h264").read_bytes(), *LIES[claim]))
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 400_000
    if claim == "100,000 frames a second":  # taken at its word: its times are the contract
        assert outcome == "exact"
