"""Files that lie or are broken: a typed error or marked frames, soon and in little memory."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz_video as fuzz
from mmreason.video import Span, Video, VideoError, plan
from tests.video.conftest import Files

KINDS = ["h264", "edit list", "fragmented", "hevc open", "av1", "vp9 webm", "mkv", "ts", "avi"]


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


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files(files: Files, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(sum(kind.encode()))
    whole = np.frombuffer(files(kind).read_bytes(), np.uint8)
    path = tmp_path / f"bad{files(kind).suffix}"
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(15):
        path.write_bytes(fuzz.damage_file(whole, rng)[1])
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 400_000


@pytest.mark.parametrize("claim", fuzz.LIES)
def test_headers_that_lie(files: Files, tmp_path: Path, claim: str) -> None:
    path = tmp_path / "lie.mp4"
    path.write_bytes(fuzz.falsify_header(files("h264").read_bytes(), claim))
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 400_000
    if claim == "100,000 frames a second":  # taken at its word: its times are the contract
        assert outcome == "exact"
