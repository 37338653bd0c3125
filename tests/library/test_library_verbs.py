"""`search`, `timeline` and `scenes` from the command line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mmreason.cli import main
from mmreason.library.players import make_player_command, open_in_player
from mmreason.library.times import read_time_or_date
from mmreason.memory.store import Store
from mmreason.types import UsageError


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Words alone: what is searched must not hang on what lies in a cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_folder_is_searched_and_gaps_are_told(
    video_folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", str(video_folder), "onions", "--store", store.path]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1. ") and "cook.mp4  0:00.00-0:02.00  speech  Now chop" in lines[0]
    assert f"note: 1 of 3 videos were not indexed: mmreason index {video_folder}" in lines
    assert main(["search", str(video_folder), "unicorn", "--store", store.path]) == 3
    assert "nothing found" in capsys.readouterr().out


def test_one_video_is_searched_as_json(
    video_folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(video_folder / "review.mp4")
    arguments = ["search", file, "budget", "--channel", "screen", "--store", store.path, "--json"]
    assert main(arguments) == 0
    output = json.loads(capsys.readouterr().out)
    (hit,) = output["hits"]
    assert (hit["video"], hit["channel"], hit["span"]) == (file, "screen_text", [1, 3])
    assert hit["id"] == hit["ids"][0] and output["videos"] == 1
    assert main([*arguments[:3], "--until", "0:01", "--store", store.path, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["hits"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["onions"], "search takes files or folders and then what to look for"),
        (["{}", "x", "--since", "soon"], "--since takes a time (90, 1:30, 1:02:05) or a date"),
        (["{}", "x", "--since", "9", "--until", "3"], "a part begins before it ends"),
        (["{}", "x", "--open", "0"], "--open takes the number of a hit from 1 on"),
        (["{}", "budget", "--open", "50"], "there are only"),
        (["{}", "x", "--channel", "sound"], "channels are any, speech, screen, labels"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused(
    arguments: list[str],
    message: str,
    video_folder: Path,
    store: Store,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [word.format(video_folder) for word in arguments]
    assert main(["search", *words, "--store", store.path]) == 2
    assert message in capsys.readouterr().err


def test_a_hit_opens_in_a_player_without_a_shell(
    video_folder: Path,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    started: list[tuple[list[str], dict[str, Any]]] = []
    player = tmp_path / "bin" / "mpv"
    player.parent.mkdir()
    player.write_text("")
    player.chmod(0o700)
    monkeypatch.setenv("PATH", str(player.parent))
    monkeypatch.setattr(subprocess, "Popen", lambda words, **how: started.append((words, how)))
    file = video_folder / "review.mp4"
    assert main(["search", str(file), "questions", "--open", "1", "--store", store.path]) == 0
    ((words, how),) = started
    assert words == [str(player), "--start=3.00", "--", str(file.absolute())]
    assert not how.get("shell") and how["start_new_session"]
    assert f"opened: {player}" in capsys.readouterr().err


def test_names_of_files_are_never_options_of_a_player() -> None:
    def find_only(name: str):
        return lambda program: program if program == name else None

    path = Path("--script=evil.lua; rm -rf .mp4")
    for player in ("mpv", "vlc", "xdg-open"):
        command = make_player_command(path, 3.0, find_only(player))
        assert command is not None and command[-1] == str(path.absolute())
    assert make_player_command(path, 3.0, find_only("none")) is None
    told = open_in_player(path, 3.0, find_program=find_only("none"))
    assert told.startswith("no video player was found; type: mpv --start=3.00 '/")
    broken = open_in_player(path, 3.0, find_program=lambda name: "/gone/mpv")
    assert "could not be started" in broken


def test_times_and_dates_are_read() -> None:
    assert read_time_or_date("1:02:03.5", "--since") == 3723.5
    assert read_time_or_date("90s", "--since") == 90.0
    with pytest.raises(UsageError, match="--until 2026-13-01"):
        read_time_or_date("2026-13-01", "--until")


def test_a_timeline_is_a_table_json_or_a_page(
    video_folder: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, page = str(video_folder / "cook.mp4"), tmp_path / "cook.html"
    assert main(["timeline", file, "--store", store.path]) == 0
    assert "0:00.00-0:01.00      speech   Now chop two onions" in capsys.readouterr().out
    assert main(["timeline", file, "--store", store.path, "--html", str(page), "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["html"] == str(page) and page.stat().st_size > 10_000
    assert {record["channel"] for record in output["records"]} == {"speech", "label", "shot"}


def test_a_folder_has_a_page_that_leads_to_pages(
    video_folder: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["timeline", str(video_folder), "--store", store.path]) == 2
    assert "give --html PAGE" in capsys.readouterr().err
    page = tmp_path / "all.html"
    assert main(["timeline", str(video_folder), "--store", store.path, "--html", str(page)]) == 0
    names = sorted(file.name for file in (tmp_path / "all").iterdir())
    assert names == ["001-cook.html", "002-review.html", "003-walk.html"]
    assert all(f"all/{name}" in page.read_text() for name in names)


def test_scenes_are_listed(
    video_folder: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, page = str(video_folder / "cook.mp4"), tmp_path / "scenes.html"
    assert main(["scenes", file, "--store", store.path]) == 0
    out = capsys.readouterr().out
    assert "   1  0:00.00-0:02.00" in out and "seen: frying pan, kitchenware" in out
    assert main(["scenes", file, "--store", store.path, "--html", str(page), "--json"]) == 0
    scenes = json.loads(capsys.readouterr().out)["scenes"]
    assert [scene["span"] for scene in scenes] == [[0, 2], [2, 4]]
    assert page.read_text().count("data:image/jpeg") == 2


def test_what_was_found_is_exported(
    video_folder: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["scenes", str(video_folder / "cook.mp4"), "--store", store.path]
    table, cuts = tmp_path / "found.csv", tmp_path / "cuts.edl"
    exports = ["--export", str(table), "--export", str(cuts), "--channel", "speech"]
    assert main([*command, *exports]) == 0
    assert "Now chop two onions" in table.read_text() and "frying pan" not in table.read_text()
    assert "frying pan, kitchenware" in cuts.read_text()
    assert f"export: {table}, 2 lines" in capsys.readouterr().err
    assert main([*command, "--export", str(tmp_path / "found.docx")]) == 2
    assert "exports end in .csv, .srt" in capsys.readouterr().err
