"""Pages of a library hold everything, load nothing, and show what a video says as text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mmreason.library.library import Library
from mmreason.library.pages import (
    FolderEntry,
    folder_page,
    link_file,
    scenes_page,
    search_page,
    timeline_page,
)
from mmreason.library.timeline import (
    LineLane,
    TimedLine,
    VideoTimeline,
    make_timeline,
    plan_picture_times,
)
from mmreason.library.videos import LibraryVideo
from mmreason.memory.records import MemoryRecord
from mmreason.memory.store import Store
from mmreason.video.types import Span
from tests.fakes.library_videos import KNOWN, add_known
from tests.report.parsed_page import ParsedPage
from tests.security.hostile_text import IN_TEXT, assert_page, assert_script_page

HOSTILE = "</script><img src=x onerror=alert(1)>"


def read_data(page: str) -> dict:
    return json.loads(page.partition('id="mmr-data">')[2].partition("</script>")[0])


def test_a_timeline_page_holds_all_and_one_script(library: Library, tmp_path: Path) -> None:
    video = library.find_video("cook.mp4")
    timeline = make_timeline(video, library.read_records(video))
    page = timeline_page(video, timeline, tmp_path / "page.html")
    assert_script_page(page)
    data = read_data(page)
    assert [lane["name"] for lane in data["lanes"]] == ["Speech", "Labels"]
    assert data["lanes"][0]["rows"][0][:3] == [0, 1, "Now chop two onions"]
    assert data["shot_starts_s"] == [0, 2] and len(data["pictures"]) == len(data["picture_times_s"])
    code = page.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.partition("</head>")[0]
    # Texts get into the page by one door.
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", code)
    (source,) = (tag["src"] for tag in ParsedPage(page).named("video"))
    assert source is not None
    assert source == link_file(video.path, tmp_path) + "#t=0" and not source.startswith("/")


def test_hostile_text_stays_text(video_folder: Path, tmp_path: Path) -> None:
    text = IN_TEXT.replace("\x00", "") + HOSTILE
    with Store.in_memory() as store:
        records = [MemoryRecord("speech", Span(0, 2), text, text, text, 0, None, None, text)]
        add_known(video_folder, store, {"cook.mp4": records})
        library = Library(video_folder / "cook.mp4", store, embedder=None)
        video = library.videos[0]
        timeline = make_timeline(video, library.read_records(video))
        entry = FolderEntry(video=video, timeline=timeline, page=tmp_path / f"{HOSTILE[10:]}.html")
        assert_script_page(timeline_page(video, timeline, tmp_path / "p.html", notes=[text]))
        assert_script_page(folder_page(text, [entry], tmp_path / "p.html", notes=[text]))
        assert_page(search_page(library.search("alert script"), tmp_path / "p.html"))
        scenes = library.scenes(video)
        assert_page(scenes_page(scenes, [b""] * len(scenes.scenes), tmp_path / "p.html"))


def test_addresses_of_files_are_relative_and_escaped(tmp_path: Path) -> None:
    assert link_file(tmp_path / "javascript:alert(1)", tmp_path) == "javascript%3Aalert%281%29"
    assert link_file(tmp_path / "a#b?.mp4", tmp_path / "pages") == "../a%23b%3F.mp4"


def test_pictures_are_planned_within_a_budget() -> None:
    shots = [Span(i, i + 1) for i in range(3_000)]
    times_s = plan_picture_times(Span(0, 3_000), shots, 160)
    assert len(times_s) == 160 and times_s == sorted(times_s)
    assert plan_picture_times(Span(5, 5), [], 160) == [5.0]


def make_long_timeline() -> VideoTimeline:
    """Three hours with a line a second."""
    lines = tuple(TimedLine(Span(i, i + 0.9), f"line {i} of the talk") for i in range(10_800))
    return VideoTimeline(
        span=Span(0, 10_800),
        lanes=(LineLane("Speech", "speech", lines), LineLane("Screen", "screen", lines[::3])),
        shots=tuple(Span(i, i + 5) for i in range(0, 10_800, 5)),
    )


def test_three_hours_are_one_page_of_a_megabyte(tmp_path: Path) -> None:
    video = LibraryVideo(
        path=tmp_path / "long.mp4", content_hash="0", span=Span(0, 10_800), modified_s=0
    )
    page = timeline_page(video, make_long_timeline(), tmp_path / "long.html")
    assert len(page) < 1.5e6 and len(read_data(page)["lanes"][0]["rows"]) == 10_800


@pytest.mark.full
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a browser to run the script")
def test_the_script_draws_a_window_and_searches(tmp_path: Path) -> None:
    video = LibraryVideo(
        path=tmp_path / "long.mp4", content_hash="0", span=Span(0, 10_800), modified_s=0
    )
    path = tmp_path / "long.html"
    path.write_text(timeline_page(video, make_long_timeline(), path), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    dump = subprocess.run(
        [*command, "--virtual-time-budget=3000", f"{path.as_uri()}#t=5400"],
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    page = ParsedPage(dump)
    # Grouped: far fewer bars than lines; the line of the address is open.
    assert 10 < len(page.classed("mmr-item")) < 2_000
    assert "line 5400 of the talk" in dump.partition('id="mmr-words"')[2][:200]
    assert "mpv --start=5400.00" in page.text


def test_a_folder_page_leads_to_every_video(library: Library, tmp_path: Path) -> None:
    entries = [
        FolderEntry(
            video=video,
            timeline=make_timeline(video, library.read_records(video), most_pictures=4),
            page=tmp_path / "all" / f"{number}.html",
        )
        for number, video in enumerate(library.videos)
    ]
    page = folder_page("talks", entries, tmp_path / "all.html")
    assert_script_page(page)
    links = [tag["href"] for tag in ParsedPage(page).named("a")]
    assert links == ["all/0.html", "all/1.html", "all/2.html"]
    data = read_data(page)
    assert [len(video["rows"]) for video in data["videos"]] == [3, len(KNOWN["review.mp4"]), 0]
