"""The decoding benchmark: its files are as they say, wrong readers are caught, aims are judged."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec.codec import UnknownCodecError
from hypothesis import given
from hypothesis import strategies as st

from mmreason.bench import (
    bar_code,
    decode_child,
    decode_files,
    decode_readers,
    decode_report,
    decode_run,
)
from mmreason.bench.decode_files import BenchFile, Recipe, Scale, Table
from mmreason.bench.decode_readers import DecodeRequest, Frames, Reader
from mmreason.bench.decode_run import DecodeRun, FileResult, Floor, PlanningResult, ReaderResult
from mmreason.cli import main

TINY = Scale(
    name="quick",
    size_px=(320, 180),
    out_px=(160, 90),
    loop_s=5,
    short_loops=1,
    long_loops=3,
    other_s=2,
    targets=4,
    rounds=1,
    other_rounds=1,
)


def _quiet(*_: object) -> None: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench files")


def _made(name: str, folder: Path) -> BenchFile:
    try:
        return decode_files.make_file(name, folder, TINY, _quiet)
    except UnknownCodecError as error:
        pytest.skip(f"no encoder for {name}: {error}")


# Bar codes


@given(
    number=st.integers(0, 2**bar_code.BITS - 1),
    height=st.integers(64, 300),
    width=st.integers(4 * bar_code.BITS, 600),
)
def test_a_number_is_read_back(number: int, height: int, width: int) -> None:
    luma = np.full((height, width), 90, np.uint8)
    bar_code.draw_number(number, luma)
    assert bar_code.read_number(np.repeat(luma[..., None], 3, axis=2)) == number
    assert (luma[bar_code.band_rows(height) :] == 90).all()


def test_a_picture_without_the_bars_or_on_its_side_has_no_number() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 160, 3)).astype(np.uint8)
    assert bar_code.read_number(noise) is None
    luma = np.full((180, 320), 90, np.uint8)
    bar_code.draw_number(5, luma)
    picture = np.repeat(luma[..., None], 3, axis=2)
    assert bar_code.read_number(picture) == 5
    assert bar_code.read_number(np.rot90(picture)) is None


# Files


@pytest.mark.parametrize("name", decode_files.NAMES)
def test_files_hold_the_frames_they_say(folder: Path, name: str) -> None:
    file = _made(name, folder)
    width, height = TINY.out_px
    shown: list[tuple[float, int | None]] = []
    with av.open(str(file.path)) as container:
        for frame in container.decode(video=0):
            rgb = frame.to_ndarray(format="rgb24", width=width, height=height)
            assert frame.rotation == 90 * file.recipe.turns
            shown.append((frame.time or 0.0, bar_code.read_number(rgb)))
    every = np.arange(file.frame_count)
    assert [number for _, number in shown] == file.numbers(every).tolist()
    np.testing.assert_allclose([time_s for time_s, _ in shown], file.table.times_s, atol=1e-6)
    assert (file.first_number > 0) == (name == "edit-list")
    if name == "vfr":
        assert len(set(np.diff(file.table.times_s).round(3))) > 2


def test_files_are_kept(folder: Path) -> None:
    before = _made("gop30", folder).path.stat().st_mtime_ns
    assert _made("gop30", folder).path.stat().st_mtime_ns == before
    assert not list(folder.rglob("*.tmp*"))


def test_the_floor_counts_from_the_key_frame_to_each_target_once() -> None:
    # Decoding order: key 0, 3, 1, 2 | key 4, 7, 5, 6; frames 1, 2, 5 and 6 are needed by no other.
    table = Table(
        pts_s=np.array([0, 3, 1, 2, 4, 7, 5, 6], float),
        is_key=np.array([1, 0, 0, 0, 1, 0, 0, 0], bool),
        is_reference=np.array([1, 1, 0, 0, 1, 1, 0, 0], bool),
        is_shown=np.ones(8, bool),
    )
    file = BenchFile(
        recipe=Recipe(name="x", title="x", suffix=".mp4"),
        path=Path("x.mp4"),
        title="x",
        codec="h264",
        table=table,
        first_number=0,
        loop_frames=8,
        out_px=(16, 16),
    )
    assert decode_run.frames_to_decode(file, np.array([0])) == (1, 1)
    assert decode_run.frames_to_decode(file, np.array([2])) == (4, 3)
    assert decode_run.frames_to_decode(file, np.array([1, 2, 7])) == (6, 6)


# Readers


def _off_by_one(request: DecodeRequest) -> Frames:
    later = [time_s + 1 / 30 for time_s in request.times_s]
    return decode_readers.read_mmreason(replace(request, times_s=later))


def _untimely(request: DecodeRequest) -> Frames:
    frames = decode_readers.read_mmreason(request)
    return Frames(frames.pixels, [time_s + 0.01 for time_s in request.times_s])


def _one_short(request: DecodeRequest) -> Frames:
    return Frames(decode_readers.read_mmreason(request).pixels[:-1])


def _failing(request: DecodeRequest) -> Frames:
    raise RuntimeError(f"cannot read {request.path}")


def _reader(read) -> Reader:
    return Reader(name="planted", imports=("av",), read=read)


@pytest.mark.parametrize(
    ("read", "wrong"),
    [(decode_readers.read_mmreason, 0), (_off_by_one, 3), (_untimely, 4), (_one_short, 1)],
)
def test_wrong_frames_are_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, read, wrong: int
) -> None:
    planted = _reader(read)
    monkeypatch.setattr(decode_readers, "READERS", (planted,))
    monkeypatch.setattr(decode_run, "_ask", _ask_here)
    file = _made("gop30", folder)
    run = decode_run.run_reader(planted, file, file.targets(4))
    assert isinstance(run, DecodeRun)
    assert run.wrong == wrong  # the last frame stays the last, a frame later
    assert run.seconds > 0


def _ask_here(job: dict) -> dict:
    return decode_child.measure_reader(job["reader"], job["request"], job["turns"])


def test_a_reader_that_does_not_turn_pictures_is_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(request: DecodeRequest) -> Frames:
        frames = decode_readers.read_mmreason(request)
        return Frames([np.rot90(picture, -1) for picture in frames.pixels])

    planted = _reader(lying)
    monkeypatch.setattr(decode_readers, "READERS", (planted,))
    monkeypatch.setattr(decode_run, "_ask", _ask_here)
    file = _made("rotated", folder)
    run = decode_run.run_reader(planted, file, file.targets(4))
    assert isinstance(run, DecodeRun) and run.wrong == 4


def test_what_is_absent_or_fails_is_a_row_that_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = Reader(name="absent", imports=("no_such_module.part",), read=_failing)
    unknown = Reader(name="unknown to the child", imports=("av",), read=_failing)
    slow = Reader(name="slow", imports=("av",), read=_failing, longest_s=0.5)
    monkeypatch.setattr(decode_run, "_rates", lambda _: dict.fromkeys(_RATES, 1.0))
    file = _made("gop30", folder)
    result = decode_run.measure_file(file, TINY, _quiet, (absent, unknown, slow))
    assert all(reader.runs == () for reader in result.readers)
    assert result.of("absent").note == "not installed (no_such_module)"
    assert result.of("unknown to the child").note.startswith("StopIteration")
    assert result.of("slow").note.startswith("left out")
    assert (
        next(row[1] for row in decode_report.reader_rows(result))
        == "not installed (no_such_module)"
    )


_RATES = ("alone_hz", "together_hz", "together_reference_hz")


# Verdicts


def _result(name: str, seconds: dict[str, float], *, wrong: int = 0, mb: float = 70) -> FileResult:
    run = DecodeRun(seconds=1, extra_mb=mb, wrong=wrong, others=None)
    return FileResult(
        name=name,
        title="H.264, 10 min, default GOP",
        codec="h264",
        frames=100,
        duration_s=600,
        size_bytes=1000,
        mean_group=20,
        targets=4,
        floor=Floor(
            frames=400,
            reference_frames=200,
            alone_hz=100,
            together_hz=200,
            together_reference_hz=160,
        ),
        readers=tuple(
            ReaderResult(reader=reader, version="1", runs=(replace(run, seconds=spent),), note="")
            for reader, spent in seconds.items()
        ),
    )


def _report(*files: FileResult, planning: PlanningResult | None = None) -> decode_report.Report:
    return decode_report.Report(
        scale="full", machine={"cores": "2"}, files=files, planning=planning
    )


def _judged(report: decode_report.Report) -> dict[str, bool]:
    return {verdict.what: verdict.reached for verdict in decode_report.judge_aims(report)}


SECONDS = {
    "mmreason": 2.0,
    "decord": 5.0,
    "torchcodec, 2 threads": 3.0,
    "transformers load_video": 17.0,
}


def test_aims_are_judged_by_their_limits() -> None:
    assert _judged(_report(_result("short", SECONDS))) == {
        "10 min: time / decord's": True,
        "10 min: time / torchcodec's, 2 threads": True,
        "10 min: time / floor, every frame decoded": True,
        "10 min: time / floor, non-reference frames left out": False,
        "10 min: load_video of transformers / time": True,
        "wrong or missing frames in 1 files": True,
    }
    slower = _judged(_report(_result("short", SECONDS | {"mmreason": 2.6}, wrong=1)))
    assert list(slower.values()) == [False] * 6
    long = _judged(_report(_result("long", SECONDS, mb=81)))
    assert list(long.values()) == [True, False, True]
    planning = PlanningResult(
        first_frame_s=(0.1, 0.2, 0.11),
        methods=(("uniform", 0.06, 9), ("diverse (dpp)", 0.4, 9)),
    )
    assert list(_judged(_report(planning=planning)).values()) == [True, False, True]


def test_a_file_that_we_cannot_read_is_not_counted_as_right() -> None:
    broken = _result("ts", {})
    refused = ReaderResult(reader="mmreason", version="1", runs=(), note="refused")
    verdict = decode_report.judge_aims(_report(replace(broken, readers=(refused,))))[0]
    assert (verdict.measured, verdict.reached) == (4, False)


def test_a_report_comes_back_from_json_and_draws() -> None:
    planning = PlanningResult(first_frame_s=(0.1,), methods=(("uniform", 0.01, 9), ("dpp", 0.1, 9)))
    report = _report(_result("short", SECONDS), _result("long", SECONDS), planning=planning)
    data = json.loads(json.dumps(decode_report.to_dict(report)))
    assert decode_report.from_dict(data) == report
    drawn = ET.fromstring(decode_report.draw_chart(report.files))
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("decord") == 2 and "floor 1.25" in texts


# The verb


def test_the_verb_measures_checks_and_adds_up(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    few = tuple(r for r in decode_readers.READERS if r.name in ("mmreason", "PyAV seek, 2 threads"))
    monkeypatch.setattr(decode_files, "QUICK", TINY)
    monkeypatch.setattr(decode_run.measure_file, "__defaults__", (few,))
    words = ["bench", "decode", "--quick", "--out", str(tmp_path), "--files", str(folder)]
    assert main([*words, "--only", "short", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (short,) = told["files"]
    assert [reader["runs"][0]["wrong"] for reader in short["readers"]] == [0, 0]
    assert short["floor"]["frames"] >= short["floor"]["reference_frames"] > 0
    assert short["floor"]["together_hz"] > 0
    assert main([*words, "--only", "edit-list"]) == 0
    assert "reached" in capsys.readouterr().out
    kept = json.loads((tmp_path / "decode.json").read_text(encoding="utf-8"))
    assert [file["name"] for file in kept["files"]] == ["short", "edit-list"]
    page = (tmp_path / "decode.md").read_text(encoding="utf-8")
    assert "wrong or missing frames in 2 files | 0 | at most 0 | reached" in page
    assert "decode.svg" in page and (tmp_path / "decode.svg").exists()


def test_an_unknown_file_is_refused(tmp_path: Path, capsys) -> None:
    assert main(["bench", "decode", "--out", str(tmp_path), "--only", "nonsense"]) == 2
    assert "known are short, long" in capsys.readouterr().err


@pytest.mark.slow
def test_planning_is_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_run, "CANDIDATES", 500)
    found = decode_run.measure_planning(_made("long", folder), TINY, _quiet)
    assert found.first_frame_s[0] > 0
    assert {"uniform", "motion", "diverse (dpp)", "relevant (aks)"} <= {m[0] for m in found.methods}
