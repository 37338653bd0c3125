"""Files read in processes: what ends or holds up a reader is named; a killed check goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from mmreason.engines import InlineEngine, Job, Ledger, LocalEngine
from mmreason.training.data.doctor import media
from mmreason.training.data.doctor.findings import FindingKind
from mmreason.training.data.doctor.media import MediaReading, read_media
from mmreason.training.data.doctor.media_worker import read_media_file
from mmreason.training.data.sample import MediaKind

FILES = 12


def read_or_end(job: Job) -> dict:
    """A reader that some files end, hold up or surprise, by their names."""
    name = Path(job.address).stem
    if name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "endless":
        time.sleep(60)
    if name == "odd":
        raise ValueError("a size that no picture has")
    return read_media_file(job)


def read_slowly(job: Job) -> dict:
    """Leaves time to be killed in, and says in a file that this one was read."""
    time.sleep(0.05)
    with Path(job.address).with_name("reads.txt").open("a", encoding="utf-8") as file:
        file.write(f"{Path(job.address).name}\n")
    return read_media_file(job)


def pictures(folder: Path, names: list[str]) -> dict[str, MediaKind]:
    for number, name in enumerate(names):
        Image.new("RGB", (20 + number, 30), (9 * number, 60, 10)).save(folder / f"{name}.png")
    return {str(folder / f"{name}.png"): MediaKind.IMAGE for name in names}


def use_reader(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    # Workers import it by the name that it has there.
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(media, "WORKER", f"test_doctor_processes:{name}")


def test_a_file_that_ends_or_holds_up_its_reader_is_named_and_costs_no_other(tmp_path, monkeypatch):
    use_reader(monkeypatch, "read_or_end")
    files = pictures(tmp_path, ["deadly", "endless", "odd", "good"])
    with Ledger.in_memory() as ledger:
        engine = LocalEngine(workers=1, time_limit_s=0.5)
        facts = read_media(files, MediaReading(engine=engine, ledger=ledger))
    problems = {Path(path).stem: found.problem for path, found in facts.items()}
    assert problems == {
        "deadly": FindingKind.READER_DIED,
        "endless": FindingKind.TOO_SLOW,
        "odd": FindingKind.UNREADABLE,
        "good": None,
    }


def test_a_killed_check_reads_only_the_remaining_files_and_those_that_changed(
    tmp_path, monkeypatch
):
    files = pictures(tmp_path, [str(number) for number in range(FILES)])
    reads = tmp_path / "reads.txt"
    script = (
        "import sys; from pathlib import Path\n"
        "from mmreason.engines import InlineEngine, Ledger\n"
        "from mmreason.training.data.doctor import media\n"
        "from mmreason.training.data.sample import MediaKind\n"
        "media.WORKER = 'test_doctor_processes:read_slowly'\n"
        "files = {path: MediaKind.IMAGE for path in sys.argv[2:]}\n"
        "with Ledger.open(sys.argv[1]) as ledger:\n"
        "    media.read_media(files, media.MediaReading(engine=InlineEngine(), ledger=ledger))\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *(entry or "." for entry in sys.path)])
    ledger_path = tmp_path / "work.ledger"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", script, str(ledger_path), *files],
        env={**os.environ, "PYTHONPATH": paths},
    )
    deadline_s = time.monotonic() + 60
    while not reads.exists() or len(reads.read_text(encoding="utf-8").split()) < 4:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    process.kill()
    process.wait()

    use_reader(monkeypatch, "read_slowly")
    before = reads.read_text(encoding="utf-8").split()
    assert len(before) < FILES
    with Ledger.open(ledger_path) as ledger:
        reading = MediaReading(engine=InlineEngine(), ledger=ledger)
        facts = read_media(files, reading)
        after = reads.read_text(encoding="utf-8").split()[len(before) :]
        # The one that was being read when the process was killed may be read once more.
        assert len(set(after) & set(before)) <= 1
        assert set(before) | set(after) == {Path(path).name for path in files}
        assert all(found.problem is None for found in facts.values())

        changed = next(iter(files))
        Image.new("RGB", (50, 60)).save(changed)
        facts = read_media(files, reading)
    again = reads.read_text(encoding="utf-8").split()[len(before) + len(after) :]
    assert again == [Path(changed).name]
    assert (facts[changed].width_px, facts[changed].height_px) == (50, 60)
