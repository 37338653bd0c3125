"""Exports are read back by other readers than the code that wrote them."""

from __future__ import annotations

import csv
import io
import json
from fractions import Fraction
from pathlib import Path

import av
import pytest

from mmreason.library.exports import ExportItem, fit_items, to_export_item, write_export
from mmreason.library.exports.timecode import find_frame_rate
from mmreason.memory.records import MemoryRecord
from mmreason.types import UsageError
from mmreason.video import Span, Subtitles

HOSTILE = 'He said "a, b" --> <b>c</b> &amp; {\\i1}d\n\n2\n00:00:01,000 --> 00:00:09,000\x1b[2J'
PLAIN = 'He said "a, b" --> <b>c</b> &amp; {\\i1}d 2 00:00:01,000 --> 00:00:09,000\ufffd[2J'


def item(
    start_s: float,
    end_s: float,
    text: str = "Budget 2025",
    *,
    video: str = "",
    speaker: str = "",
    channel: str = "",
    source: str = "",
) -> ExportItem:
    return ExportItem(
        span=Span(start_s, end_s),
        text=text,
        video=video,
        speaker=speaker,
        channel=channel,
        source=source,
    )


ITEMS = (
    item(12, 31, HOSTILE, channel="screen_text", source="screen reading", video="a/talk.mp4"),
    item(3.25, 4.5, "Good morning.", channel="speech", speaker="Ann", video="a/talk.mp4"),
)


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_subtitles_read_back_with_their_times_and_texts(tmp_path: Path, suffix: str) -> None:
    exported = write_export(ITEMS, tmp_path / f"found{suffix}")

    lines = Subtitles.load(exported.path).lines

    assert [line.span for line in lines] == [Span(3.25, 4.5), Span(12, 31)]
    assert [line.text for line in lines] == ["Ann: Good morning.", PLAIN]


def test_a_table_reads_back_cell_by_cell(tmp_path: Path) -> None:
    exported = write_export(ITEMS, tmp_path / "found.csv")

    rows = list(csv.DictReader(io.StringIO(exported.path.read_bytes().decode(), newline="")))

    assert [row["text"] for row in rows] == ["Good morning.", PLAIN]
    assert [(row["start_s"], row["end"]) for row in rows] == [
        ("3.250", "0:04.50"),
        ("12.000", "0:31.00"),
    ]


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)"])
def test_what_a_spreadsheet_would_run_is_text(tmp_path: Path, text: str) -> None:
    exported = write_export([item(0, 1, text)], tmp_path / "found.csv")

    row = next(csv.DictReader(io.StringIO(exported.path.read_text())))

    assert row["text"] == f"'{text}"


def test_chapters_are_those_that_ffmpeg_reads(tmp_path: Path) -> None:
    texts = ["a = b; c # d \\ e", "two\nlines", "end"]
    items = [
        item(start_s, start_s + 5, text) for start_s, text in zip((0, 20, 40), texts, strict=True)
    ]
    exported = write_export(items, tmp_path / "c.ffmetadata", duration_s=60)

    with av.open(str(exported.path), format="ffmetadata") as container:
        chapters = container.chapters()

    assert [chapter["metadata"]["title"] for chapter in chapters] == [texts[0], "two lines", "end"]
    times_s = [
        tuple(float(chapter[name] * (chapter["time_base"] or 1)) for name in ("start", "end"))
        for chapter in chapters
    ]
    assert times_s == [(0, 20), (20, 40), (40, 60)]


def test_chapters_for_youtube_begin_at_zero_and_tell_what_it_would_refuse(tmp_path: Path) -> None:
    exported = write_export([item(30, 31, "a"), item(33, 34, "b")], tmp_path / "c.txt")

    assert exported.path.read_text() == "0:00 Start\n0:30 a\n"
    assert exported.notes == (
        "1 that begin within 10 s of another were left out",
        "YouTube shows chapters from 3 on, here are 2",
    )


def test_frames_of_timecode_are_those_of_opentimelineio() -> None:
    time_of = pytest.importorskip("opentimelineio").opentime.RationalTime
    for fps_hz, exact_hz in ((29.97, 30000 / 1001), (59.94, 60000 / 1001), (25, 25), (24, 24)):
        rate = find_frame_rate(fps_hz)
        assert rate.exact_hz == Fraction(exact_hz).limit_denominator(1001)
        for frames in (0, 1, 1799, 1800, 1801, 17981, 17982, 17983, 107892, 2589407, 999_999):
            expected = time_of(frames, exact_hz).to_timecode(exact_hz, rate.is_drop)
            assert rate.to_timecode(frames) == expected


def test_an_edit_list_counts_dropped_frames_and_plays_on_end(tmp_path: Path) -> None:
    items = [item(60, 61, "a", video="talk.mp4"), item(600, 600, "b", video="talk.mp4")]
    exported = write_export(items, tmp_path / "found.edl", fps_hz=30000 / 1001, title="Talk")

    rows = exported.path.read_text().splitlines()

    assert rows[:2] == ["TITLE: Talk", "FCM: DROP FRAME"]
    events = [row.split() for row in rows if row[:3].isdigit()]
    assert [event[4:] for event in events] == [
        ["00:00:59;28", "00:01:01;00", "01:00:00;00", "01:00:01;00"],
        ["00:10:00;00", "00:10:00;15", "01:00:01;00", "01:00:01;15"],
    ]
    assert rows.count("* FROM CLIP NAME: talk.mp4") == 2


def test_a_timeline_is_read_back_by_its_library(tmp_path: Path) -> None:
    otio = pytest.importorskip("opentimelineio")
    exported = write_export(ITEMS, tmp_path / "found.otio", fps_hz=25)

    timeline = otio.adapters.read_from_file(str(exported.path))

    clips = list(timeline.find_clips())
    assert [clip.name for clip in clips] == ["Good morning.", PLAIN]
    assert clips[1].source_range.start_time.to_seconds() == 12
    assert clips[1].source_range.duration.to_seconds() == 19
    assert clips[0].metadata["mmreason"]["speaker"] == "Ann"
    assert clips[0].media_reference.target_url.endswith("/a/talk.mp4")


def test_a_list_shows_texts_as_they_are_written(tmp_path: Path) -> None:
    exported = write_export(ITEMS, tmp_path / "found.md", title="T")

    text = exported.path.read_text()

    assert text.startswith("# T\n\n- **0:03.25-0:04.50** Ann: Good morning.")
    assert "<b>" not in text.replace("\\<b\\>", "")


def test_spans_outside_the_video_are_cut_left_out_or_lengthened_and_told() -> None:
    fitted = fit_items(
        [item(-2, 1), item(-3, -1), item(59, 70), item(60, 61), item(5, 5), item(60 - 1e-4, 60)],
        duration_s=60,
    )

    assert [i.span for i in fitted.items] == [
        Span(0, 1),
        Span(5, 5.5),
        Span(59, 60),
        Span(59.5, 60),
    ]
    assert len(fitted.notes) == 3
    assert fitted.notes[0].startswith("2 lines outside of 0 to 60 s were left out")


def test_a_name_or_rate_or_number_that_no_format_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"exports end in .*got \.doc"):
        write_export(ITEMS, tmp_path / "found.doc")
    with pytest.raises(UsageError, match="17 is none of these"):
        write_export(ITEMS, tmp_path / "found.edl", fps_hz=17)
    with pytest.raises(UsageError, match="999 events, got 1,000"):
        write_export([item(i, i + 1) for i in range(1000)], tmp_path / "found.edl", fps_hz=25)
    assert not list(tmp_path.iterdir())


def test_a_record_of_a_memory_becomes_an_item() -> None:
    record = MemoryRecord(
        "label", Span(1, 2), "cat, animal", "labels", confidence=0.5, box_px=(1, 2, 3, 4)
    )
    exported = to_export_item(record, "v.mp4")
    assert json.dumps([exported.channel, exported.confidence, exported.box_px]) == (
        '["label", 0.5, [1, 2, 3, 4]]'
    )
    with pytest.raises(UsageError, match="needs a text"):
        item(0, 1, " \n")
