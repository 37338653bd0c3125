"""What the server tells without a model, and a part of a video to ask."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmreason.memory.records import MemoryRecord
from mmreason.memory.store import Store
from mmreason.memory.video_memory import VideoMemory
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.server.call import Call, CallLimits
from mmreason.server.known import MOST_LINES, tell_transcript
from mmreason.server.results import AskResult, ToolOutput
from mmreason.server.roots import Roots
from mmreason.server.service import VideoService
from mmreason.types import UsageError
from mmreason.video import Span, Video
from mmreason.video.subtitles import Line, Subtitles
from mmreason.video.window import VideoWindow

LINES = (
    "1\n00:00:00,500 --> 00:00:01,500\nFirst it is blue.\n\n"
    "2\n00:00:02,500 --> 00:00:03,500\nThen red.\n"
)


@pytest.fixture
def folder(clip: Path, tmp_path: Path) -> Path:
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "clip.srt").write_text(LINES)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Store:
    """In which the video is described to its half."""
    store = Store.in_memory()
    with Video.open(folder / "clip.mp4") as video:
        VideoMemory.of_video(video, store).add(
            [
                MemoryRecord("event", Span(0, 2), "All of the screen is blue.", "frames", "m"),
                MemoryRecord("event", Span(0, 2), "A blue screen.", "frames", "m", level=1),
                MemoryRecord("event", Span(0, 2), "Blue, then more.", "frames", "m", level=2),
            ]
        )
    return store


@pytest.fixture
def service(folder: Path, store: Store, model: ScriptedModel) -> VideoService:
    limits = CallLimits(memory_mb=0)
    return VideoService(
        lambda: Reasoner(model, store=store), Roots.of([folder]), limits, lambda: store
    )


def values_of(output: ToolOutput) -> dict[str, Any]:
    return output.values.model_dump(by_alias=True)


def search(service: VideoService, text: str, **settings: Any) -> dict[str, Any]:
    asked = {"channels": (), "start_s": None, "end_s": None, "limit": 8} | settings
    return values_of(service.search(Call(60), "clip.mp4", text, **asked))


def test_an_overview_tells_scenes_and_how_much_was_described(
    service: VideoService, model: ScriptedModel
) -> None:
    values = values_of(service.overview(Call(60), "clip.mp4", None, None))
    assert values["text"] == "Blue, then more."
    assert [scene["text"] for scene in values["scenes"]] == ["A blue screen."]
    assert (values["covered_s"], values["duration_s"]) == (2.0, 4.0)
    assert values["records"] == {"event": 1, "speech": 2} and "mmreason index" in values["note"]
    later = values_of(service.overview(Call(60), "clip.mp4", 2.5, None))
    assert later["scenes"] == [] and model.calls == 0


def test_a_search_finds_what_is_described_and_said(service: VideoService) -> None:
    values = search(service, "blue")
    assert [(hit["channel"], hit["start_s"]) for hit in values["hits"]] == [
        ("speech", 0.5),
        ("event", 0.0),
    ]
    assert values["hits"][0]["source"] == "clip.srt" and values["hits"][0]["similarity"] > 0.7
    assert [hit["text"] for hit in search(service, "red", start_s=2.0)["hits"]] == ["Then red."]
    assert search(service, "blue", channels=["event"])["hits"][0]["id"].startswith("ev-")
    nothing = search(service, "helicopter")
    assert nothing["hits"] == [] and nothing["note"].startswith("nothing found")


def test_a_transcript_is_given_in_parts(service: VideoService) -> None:
    values = values_of(service.transcript(Call(60), "clip.mp4", None, 2.0, None))
    assert [line["text"] for line in values["lines"]] == ["Then red."]
    assert (values["line_count"], values["next_s"], values["source"]) == (1, None, "clip.srt")
    many = Subtitles(lines=tuple(Line(Span(i, i + 1), f"line {i}") for i in range(450)))
    texts, start_s = [], 0.0
    while start_s is not None:
        part = tell_transcript(many, Span(start_s, 450))
        assert len(part.lines) <= MOST_LINES
        texts += [line.text for line in part.lines]
        start_s = part.next_s
    assert texts == [f"line {i}" for i in range(450)]
    assert tell_transcript(None, Span(0, 9)).notes == ["no subtitles beside or in the video"]


def test_a_sheet_is_one_picture_of_even_frames(service: VideoService) -> None:
    output = service.sheet(Call(60), "clip.mp4", 1.0, 3.0, 4)
    values = values_of(output)
    assert values["times_s"] == [1.2, 1.7, 2.2, 2.7], "shown frames, at 10 a second"
    (picture,) = output.pictures
    sheet = Image.open(io.BytesIO(picture.jpeg))
    assert sheet.size == tuple(values["size_px"]) and sheet.width > 2 * sheet.height
    pixels = sheet.convert("RGB")
    first, last = pixels.getpixel((60, 60)), pixels.getpixel((sheet.width - 60, 60))
    assert isinstance(first, tuple) and isinstance(last, tuple)
    assert first[2] > 150 > first[0] and last[0] > 150 > last[2]


def ask(service: VideoService, **settings: Any) -> AskResult:
    output = service.ask(
        Call(60),
        "clip.mp4",
        "What colour is the screen?",
        options=None,
        subtitles=None,
        frames=None,
        seconds=None,
        report_step=lambda number, doing: None,
        **settings,
    )
    assert isinstance(output.values, AskResult)
    return output.values


def test_a_part_is_asked_and_nothing_outside_of_it_is_looked_at(
    service: VideoService, model: ScriptedModel
) -> None:
    assert ask(service, end_s=1.5).text == "blue"
    assert max(time_s for asked in model.asked for time_s in asked.times_s) < 1.5
    model.asked.clear()
    later = ask(service, start_s=2.5)
    assert later.text == "red"
    assert min(time_s for asked in model.asked for time_s in asked.times_s) >= 2.5
    assert all(item.start_s >= 2.5 for item in later.evidence)


def test_a_window_is_a_video_with_the_same_times(folder: Path) -> None:
    with Video.open(folder / "clip.mp4") as video:
        window = VideoWindow(video, Span(1.0, 2.0))
        assert window.info.span == Span(1.0, 2.0) and window.content_hash == video.content_hash
        assert (window.info.frame_count or 10) == 10
        batch = window.frames_at([0.0, 1.55, 3.0], (8, 6))
        assert batch.exact.tolist() == [False, True, False]
        assert [round(float(t), 3) for t in batch.times_s] == [1.0, 1.5, 1.9]
        with pytest.raises(AssertionError):
            VideoWindow(video, Span(3.0, 5.0))


def test_a_search_without_words_never_opens_a_file(folder: Path) -> None:
    service = VideoService(lambda: pytest.fail("no model"), Roots.of([folder]))
    with pytest.raises(UsageError, match="needs words"):
        service.search(Call(60), "none.mp4", " ", channels=(), start_s=None, end_s=None, limit=8)
