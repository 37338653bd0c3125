"""`mmreason sample`, and many files at once for `sample` and `inspect`."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmreason.cli import inputs, main
from mmreason.cli.sample import PLANS, FrameRequest
from mmreason.types import UsageError
from mmreason.video import Video, encoders
from mmreason.video.world import generate
from tests.fakes.frame_encoders import ShadeEncoder
from tests.fakes.library_videos import make_video
from tests.video import clips

Capture = pytest.CaptureFixture[str]
_CONTENT_OPTIONS = {"relevant": ["--query", "bright", "--encoder", "shades"]}


@pytest.fixture
def shades(monkeypatch: pytest.MonkeyPatch) -> ShadeEncoder:
    """What every name of an encoder loads."""
    encoder = ShadeEncoder(reads_text=True)
    monkeypatch.setitem(vars(encoders), "load_encoder", lambda *_: encoder)
    return encoder


@pytest.fixture
def folder(clip: Path, tmp_path: Path) -> Path:
    """Two videos, a world and a bad file, among others that are no videos."""
    top = tmp_path / "talks"
    (top / "more").mkdir(parents=True)
    shutil.copy(clip, top / "b.mp4")
    shutil.copy(clip, top / "more" / "b.mp4")
    (top / "a.mkv").write_bytes(b"this is no video")
    (top / "notes.txt").write_text("no video")
    (top / "settings.json").write_text("{}")
    generate.demo(1).save(top / "world.json")
    return top


def test_a_plan_is_listed_without_decoding(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("mmreason.video.Video.frames_at", None)
    assert main(["sample", str(clip), "--n", "4"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in out] == ["0:00.50", "0:01.50", "0:02.50", "0:03.50"]
    assert out[0].endswith("middle of part 1 of 4")


def test_a_sheet_and_pictures_and_json(clip: Path, tmp_path: Path, capsys: Capture) -> None:
    sheet, dump = tmp_path / "new" / "sheet.png", tmp_path / "frames"
    argv = ["sample", str(clip), "--n", "10", "--sheet", str(sheet), "--dump", str(dump)]
    assert main([*argv, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["video"], said["plan"], said["sheet"]) == (str(clip), "uniform", str(sheet))
    assert said["settings"]["n"] == 10
    frames = said["frames"]
    assert [frame["time_s"] for frame in frames] == pytest.approx(np.arange(10) * 0.4 + 0.2)
    assert all(frame["exact"] for frame in frames)
    assert frames[0]["shown_s"] == pytest.approx(0.2)
    assert sorted(dump.iterdir()) == [Path(frame["picture"]) for frame in frames]
    assert Path(frames[0]["picture"]).name == "0001_0.200s.jpg"
    reds = []
    for frame in frames:
        with Image.open(frame["picture"]) as picture:
            assert picture.size == (64, 48)
            reds.append(int(np.asarray(picture)[..., 0].mean()) > 128)
    assert reds == [False] * 5 + [True] * 5
    with Image.open(sheet) as picture:
        assert picture.width == 4 * (240 + 6) + 6
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert f"contact sheet: {sheet}" in out and f"10 in {dump}" in out


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (
            ["--plan", "random"],
            "unknown plan 'random'; choose one of uniform, fps, keyframes, shots",
        ),
        (["--n", "0"], "--n"),
        (["--plan", "shots", "--fps", "2"], "--fps goes with --plan fps"),
        (["--fps", "0"], "--fps must be above 0"),
        (["--n", "5000", "--sheet", "x.png"], "at most"),
        (["--sheet", "x.unknown"], "give --sheet a name that ends in .png"),
    ],
)
def test_bad_usage(
    argv: list[str], wanted: str, clip: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: Capture,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["sample", str(clip), *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and wanted in err


def test_the_plan_keyframes_takes_key_frames_and_says_where_there_are_fewer(
    tmp_path: Path, capsys: Capture
) -> None:
    keyed = clips.write(tmp_path / "keyed.mp4", frames=90, gop=20)
    with Video.open(keyed) as video:
        keys = list(video.keyframe_times_s)
    assert len(keys) == 5
    argv = ["sample", str(keyed), "--plan", "keyframes", "--n"]
    assert main([*argv, "6", "--json", "--dump", str(tmp_path / "frames")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [frame["time_s"] for frame in said["frames"]] == pytest.approx(keys)
    assert [frame["shown_s"] for frame in said["frames"]] == pytest.approx(keys)
    assert all(frame["exact"] for frame in said["frames"])
    assert said["notes"] == ["5 frames: the video has no more key frames there, 6 were asked for"]
    assert main([*argv, "2"]) == 0
    out = capsys.readouterr().out
    assert "key frame 2 of 5" in out and "key frame 4 of 5" in out and "note:" not in out


def test_the_plan_fps_keeps_its_rate_and_says_where_it_cannot(clip: Path, capsys: Capture) -> None:
    for argv in (["--plan", "fps"], ["--fps", "2"], ["--plan", "fps", "--fps", "2"]):
        assert main(["sample", str(clip), *argv, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["plan"], said["notes"]) == ("fps", [])
        assert [f["time_s"] for f in said["frames"]] == pytest.approx(np.arange(8) / 2 + 0.25)
    assert main(["sample", str(clip), "--fps", "5", "--n", "4"]) == 0
    out = capsys.readouterr().out
    assert "note: 5 frames a second are 20; --n 4 keeps 4 frames, 1 a second\n" in out
    assert main(["sample", str(clip), "--fps", "20"]) == 0
    assert "the video has about 10 frames a second; at 20 a second some" in capsys.readouterr().out


@pytest.mark.parametrize("plan", sorted(PLANS))
def test_frames_are_taken_between_start_and_end(
    plan: str, clip: Path, store_path: Path, shades: ShadeEncoder, capsys: Capture
) -> None:
    argv = ["sample", str(clip), "--plan", plan, "--n", "3", "--json", "--store", str(store_path)]
    argv += _CONTENT_OPTIONS.get(plan, [])
    start = ["--start", "0" if plan == "keyframes" else "2"]  # it has one key frame, at 0
    assert main([*argv, *start, "--end", "3"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["frames"] and all(
        float(start[1]) <= frame["time_s"] < 3 for frame in said["frames"]
    )
    assert main(["sample", str(clip), "--start", "3", "--end", "2"]) == 2
    assert "start and end must lie in it in that order" in capsys.readouterr().err


def test_a_part_without_key_frames_is_told(clip: Path, capsys: Capture) -> None:
    assert main(["sample", str(clip), "--plan", "keyframes", "--start", "1"]) == 2
    assert "no key frame lies in 0:01.00-0:04.00" in capsys.readouterr().err


def test_one_frame_is_one_frame(clip: Path, capsys: Capture) -> None:
    assert main(["sample", str(clip), str(clip), "missing.mp4", "--n", "1"]) == 1
    out, err = capsys.readouterr()
    assert ": 1 frame, uniform" in out and "1 of 2 files failed:" in err


def test_shots_say_how_far_they_are(clip: Path) -> None:
    said: list[str] = []
    with Video.open(clip) as video:
        wanted = FrameRequest(plan="shots", n=4)
        assert len(PLANS["shots"](video, video.info.span, wanted, said.append)) == 4
    assert said == ["looking for shots: 0:03.90 of 0:04.00"]


def test_frames_beside_their_time_are_marked(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from mmreason.video import Span, plan

    late = plan.uniform(Span(0, 8), 2)
    monkeypatch.setitem(PLANS, "late", lambda *_: late)
    argv = ["sample", str(clip), "--plan", "late", "--sheet", str(tmp_path / "s.png")]
    assert main(argv) == 0
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert "not exact" not in first and second.endswith("(not exact)")


def test_sampling_a_folder_goes_on_over_bad_files(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    sheets, dump = tmp_path / "sheets", tmp_path / "dump"
    argv = ["sample", str(folder), "--n", "3", "--sheet", str(sheets), "--dump", str(dump)]
    assert main(argv) == 1
    out, err = capsys.readouterr()
    names = ["b.mp4.png", "b.mp4-2.png", "world.json.png"]
    assert sorted(p.name for p in sheets.iterdir()) == sorted(names)
    assert sorted(p.name for p in dump.iterdir()) == sorted(name[:-4] for name in names)
    assert all(len(list(p.iterdir())) == 3 for p in dump.iterdir())
    assert len(out.splitlines()) == 3 and "3 frames, uniform" in out
    assert err.splitlines()[0] == "1 of 4 files failed:"
    assert re.search(r"a\.mkv: is .*video", err)
    assert main([*argv, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [len(result["frames"]) for result in said["results"]] == [3, 3, 3]
    (failure,) = said["failures"]
    assert failure["path"] == str(folder / "a.mkv") and failure["error"].startswith("is ")


def test_inspecting_a_folder(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    sheets = tmp_path / "sheets"
    assert main(["inspect", str(folder), "--json", "--sheet", str(sheets)]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [Path(r["path"]).name for r in said["results"]] == ["b.mp4", "b.mp4", "world.json"]
    assert [Path(r["sheet"]).is_file() for r in said["results"]] == [True] * 3
    assert (len(said["failures"]), said["not_reached"]) == (1, 0)
    (folder / "a.mkv").unlink()
    assert main(["inspect", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert err == "" and len(out.splitlines()) == 3
    assert "b.mp4: h264 64x48, 0:04.00, 10 fps constant" in out


def test_patterns_and_several_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(folder)
    assert main(["inspect", "**/*.mp4"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["inspect", str(folder / "*.mp4"), "b.mp4", "world.json", "missing.mp4"]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    assert "missing.mp4: no such file" in err
    # One file through a pattern still comes as a list: the shape must not depend on the folder.
    assert main(["inspect", "b*.mp4", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 1


@pytest.mark.parametrize("word", ["*.avi", "empty", "a**", "[z]/*.mp4"])
def test_nothing_found_is_bad_usage(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(["inspect", word]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"error: {word}: ")


def test_a_name_with_marks_of_a_pattern_is_a_file(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "take [2].mp4"
    shutil.copy(clip, path)
    assert inputs.expand_paths([str(path)]) == inputs.Inputs((path,), many=False)
    with pytest.raises(UsageError, match="no file matches"):
        inputs.expand_paths([str(tmp_path / "take [3].mp4")])


def test_any_error_of_one_file_is_a_failure(tmp_path: Path) -> None:
    files = [Path(name) for name in "abc"]

    def act(path: Path) -> str:
        if path.name == "b":
            raise RuntimeError("boom\nbang")
        return path.name

    work = inputs.work_through(files, act, "working")
    assert work.results == ("a", "c")
    assert work.failures == (inputs.FileFailure("b", "RuntimeError: boom bang"),)


def test_an_interruption_keeps_what_is_done(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from mmreason.video import inspect_file

    def interrupted(path: Path, **_: bool):
        if path.name == "world.json":
            raise KeyboardInterrupt
        return inspect_file(path, try_backends=False)

    monkeypatch.setattr("mmreason.video.inspect_file", interrupted, raising=False)
    assert main(["inspect", str(folder), "--json"]) == 130
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert (len(said["results"]), len(said["failures"]), said["not_reached"]) == (2, 1, 1)
    assert "1 of 4 files was not reached" in err


def test_a_bar_is_drawn_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from rich.console import Console

    files = [Path("a"), Path("b")]
    inputs.work_through(files, str, "reading")
    assert capsys.readouterr() == ("", "")
    terminal = Console(stderr=True, force_terminal=True, width=80)
    monkeypatch.setattr("mmreason.cli.inputs.progress_console", lambda: terminal)
    inputs.work_through(files, str, "reading")
    out, err = capsys.readouterr()
    assert out == "" and "reading" in err and "/2" in err


@pytest.mark.parametrize("plan", sorted(PLANS))
def test_every_plan_can_be_sampled(
    plan: str, clip: Path, store_path: Path, shades: ShadeEncoder, capsys: Capture
) -> None:
    argv = ["sample", str(clip), "--plan", plan, "--n", "4", "--json", "--store", str(store_path)]
    assert main([*argv, *_CONTENT_OPTIONS.get(plan, ())]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["plan"].split()[0] == plan
    assert 1 <= len(said["frames"]) <= 4
    if plan == "shots":
        assert [frame["time_s"] for frame in said["frames"]] == pytest.approx([0.5, 1.5, 2.5, 3.5])
        assert said["settings"]["shots"] == 2


def test_relevant_frames_are_those_that_fit_the_query(
    shades: ShadeEncoder, tmp_path: Path, store_path: Path, capsys: Capture
) -> None:
    film = make_video(tmp_path / "film.mp4", 20)  # grows brighter
    argv = ["sample", str(film), "--plan", "relevant", "--encoder", "e", "--n", "2"]
    argv += ["--store", str(store_path), "--json", "--query"]
    assert main([*argv, "bright"]) == 0
    bright = json.loads(capsys.readouterr().out)["frames"]
    embedded = shades.frames
    assert main([*argv, "dark"]) == 0
    dark = json.loads(capsys.readouterr().out)["frames"]
    assert shades.frames == embedded, "embeddings are read from the store"
    assert dark[0]["time_s"] < 0.5 and bright[-1]["time_s"] > 3.5


def test_diverse_frames_differ(
    shades: ShadeEncoder, tmp_path: Path, store_path: Path, capsys: Capture
) -> None:
    film = make_video(tmp_path / "film.mp4", 20)
    argv = ["sample", str(film), "--plan", "diverse", "--n", "3", "--store", str(store_path)]
    assert main([*argv, "--json"]) == 0
    times_s = [frame["time_s"] for frame in json.loads(capsys.readouterr().out)["frames"]]
    assert times_s[0] < 0.5 and times_s[2] > 3.5, "the darkest and the brightest"


def test_look_alikes_are_dropped_and_told(
    shades: ShadeEncoder, tmp_path: Path, store_path: Path, capsys: Capture
) -> None:
    film = make_video(tmp_path / "film.mp4", 20)  # its shades differ by 30 degrees
    argv = ["sample", str(film), "--n", "8", "--distinct", "--store", str(store_path)]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "stands for" in out and "note: dropped as look-alikes: " in out
    assert main([*argv, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert 1 <= len(answer["frames"]) < 8
    assert answer["settings"]["distinct"]["frames"] == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--plan", "relevant", "--encoder", "e"], "needs --query"),
        (["--plan", "relevant", "--query", "a cat"], "name an encoder with a text tower, such as"),
        (["--query", "a cat"], "--query goes with --plan relevant"),
        (["--encoder", "e"], "--encoder goes with"),
    ],
)
def test_options_of_frames_that_are_compared_go_together(
    options: list[str], message: str, clip: Path, capsys: Capture
) -> None:
    assert main(["sample", str(clip), *options]) == 2
    assert message in capsys.readouterr().err


def test_an_encoder_that_reads_no_text_is_refused_for_a_query(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setitem(vars(encoders), "load_encoder", lambda *_: ShadeEncoder())
    argv = ["sample", str(clip), "--plan", "relevant", "--query", "a cat", "--encoder", "shades"]
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert "shades has no text tower" in error and "siglip2" in error
