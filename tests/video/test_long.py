"""Long files: what a plan costs does not grow with the length of the video, but for its index."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import long_video as long
from mmreason.video import Video, plan


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A minute, and an hour made of it."""
    folder = tmp_path_factory.mktemp("long")
    minute = long.write_minute(folder / "minute.mp4")
    return minute, long.write_repeated(folder / "hour.mp4", minute, 60)


@pytest.mark.slow
def test_an_hour_takes_little_more_memory_than_a_minute(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    for argv in (
        ["inspect", "--no-backends"],
        ["sample", "--n", "16", "--sheet", str(tmp_path / "sheet.png")],
        ["sample", "--plan", "keyframes", "--n", "16", "--dump", str(tmp_path / "frames")],
    ):
        of_minute, of_hour = (long.measure_command([*argv, str(path)])[1] for path in files)
        assert of_hour < of_minute + 80  # MiB: two workers hold an index of 108,000 frames each


@pytest.mark.slow
def test_a_copied_hour_shows_the_same_every_minute(files: tuple[Path, Path]) -> None:
    times_s = [60 * k + 7.3 for k in (0, 17, 59)]
    with Video.open(files[1]) as video:
        assert video.info.duration_s == pytest.approx(3600, abs=0.1)
        batch = video.frames_at(times_s, (64, 36))
        assert plan.keyframes(video, 32).settings["snapped"]
    assert batch.exact.all()
    assert batch.times_s == pytest.approx(times_s, abs=1 / 30)
    assert (batch.pixels[0] == batch.pixels[1]).all() and (batch.pixels[0] == batch.pixels[2]).all()
