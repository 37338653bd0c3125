"""Subtitle files of every kind, good and bad, become timed text or one clear line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.video import Span, VideoError
from mmreason.video.subtitles import Line, Subtitles, files
from mmreason.video.subtitles.markup import MAX_TEXT
from mmreason.video.world import generate

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Good</i> morning,
everybody.

2
00:01:00,000 --> 00:01:04,000
{\\an8}The CAF\u00c9 is open & 3 < 5.
"""
VTT = """WEBVTT

NOTE nothing to see

00:01.000 --> 00:02.500 position:50%
<i.soft>Good</i> morning,
everybody.

01:00.000 --> 01:04.000
The CAF\u00c9 is open &amp; 3 &lt; 5.
"""
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,not shown
Dialogue: 0,0:01:00.00,0:01:04.00,Default,,0,0,0,,The CAF\u00c9 is open & 3 < 5.
Dialogue: 0,0:00:01.00,0:00:02.50,Default,Ann,0,0,0,,{\\b1}Good{\\b0} morning,\\Neverybody.
Dialogue: 0,0:00:01.00,0:00:02.50,Default,Ann,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}
"""
WANTED = (
    Line(Span(1.0, 2.5), "Good morning, everybody."),
    Line(Span(60.0, 64.0), "The CAF\u00c9 is open & 3 < 5."),
)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(("name", "text"), [("a.srt", SRT), ("a.vtt", VTT), ("a.ass", ASS)])
def test_the_formats_say_the_same(name: str, text: str, tmp_path: Path) -> None:
    read = Subtitles.load(write(tmp_path / name, text))
    assert read.lines == WANTED
    assert (read.format, read.notes) == (name[-3:], ())
    assert len(read) == 2 and list(read) == list(WANTED)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(encoding: str, end: str, tmp_path: Path) -> None:
    read = Subtitles.load(write(tmp_path / "a.srt", SRT.replace("\n", end), encoding))
    assert read.lines == WANTED
    assert len(read.notes) == (encoding == "cp1252")
    assert all("that cannot be utf-8 as cp1252" in note for note in read.notes)


def test_a_wrong_suffix_is_noted(tmp_path: Path) -> None:
    read = Subtitles.load(write(tmp_path / "a.srt", VTT))
    assert (read.format, read.notes) == ("vtt", ("its name ends in .srt, it is vtt",))


def test_lines_are_windowed_by_overlap() -> None:
    lines = tuple(Line(Span(i, i + 2), f"line {i}") for i in range(4))
    read = Subtitles(lines=lines)
    assert [line.text for line in read.during(Span(2.0, 3.0))] == ["line 1", "line 2"]
    assert read.during(Span(1.5, 1.6)) == lines[:2]
    assert read.during(Span(5.0, 9.0)) == ()
    assert read.during(Span(4.0, 4.0)) == lines[3:]
    assert read.during(Span(0.0, 9.0)) == lines


@pytest.mark.parametrize("words", ["caf\u00e9", "OPEN the", "cafe is", "3 < 5"])
def test_search_ignores_case_accents_and_order(words: str) -> None:
    assert Subtitles(lines=WANTED).search(words) == WANTED[1:]


def test_search_that_finds_nothing_or_asks_for_nothing() -> None:
    assert Subtitles(lines=WANTED).search("good cafe") == ()
    with pytest.raises(ValueError, match="at least one word"):
        Subtitles(lines=WANTED).search(" ")


def test_a_world_writes_its_lines_as_srt(tmp_path: Path) -> None:
    world = generate.demo(1)
    lines = (Line(Span(s.start_s, s.end_s), s.text) for s in world.subtitles)
    said = Subtitles(lines=tuple(lines))
    assert [line.text for line in said] == ["Welcome to a scripted world."]
    read = Subtitles.load(said.save(tmp_path / "new" / "demo.srt"))
    assert read.lines == said.lines
    assert read.notes == ()
    with pytest.raises(VideoError, match=r"ends in \.srt"):
        said.save(tmp_path / "demo.vtt")


words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1)
tricky = st.sampled_from(
    (
        *("<i>", "</b>", "<v Ann>", "<br>", "<00:00:01.000>", "{\\an8}", "{y:i}", "&amp;", "&#38;"),
        *("00:00:01,000 --> 00:00:02,000", "-->", "42", "a < b > d", "\\N", "WEBVTT", "[Events]"),
    )
)
times = st.integers(-3600_000, 200 * 3600_000)


@given(
    st.lists(
        st.tuples(times, st.integers(1, 10_000), st.lists(words | tricky, min_size=1)),
        min_size=1,
        max_size=8,
    )
)
def test_any_text_survives_a_round_trip(tmp_path_factory: pytest.TempPathFactory, rows) -> None:
    spans = [
        (Span(start / 1000, (start + length) / 1000), " ".join(w)) for start, length, w in rows
    ]
    kept = [(span, " ".join(text.split())) for span, text in spans]
    lines = tuple(sorted({Line(span, text or "x") for span, text in kept}))
    path = Subtitles(lines=lines).save(tmp_path_factory.mktemp("srt") / "a.srt")
    assert Subtitles.load(path).lines == lines


def test_lines_without_time_or_text_are_left_out(tmp_path: Path) -> None:
    text = (
        "1\n00:00:05,000 --> 00:00:02,000\nback\n\n"
        "2\n00:00:06,000 --> 00:00:06,000\nnever\n\n"
        "3\n00:00:07,000 --> 00:00:08,000\n\n"
        "4\n00:00:09,000 --> 00:00:10,000\nshown\x1b[31m\n"
    )
    read = Subtitles.load(write(tmp_path / "a.srt", text))
    assert [line.text for line in read] == ["shown\ufffd[31m"]
    assert read.notes == ("left out 2 lines whose end is not after the start",)


def test_long_lines_are_cut_with_a_note(tmp_path: Path) -> None:
    text = "1\n00:00:05,000 --> 00:00:06,000\n" + "word " * 5000
    read = Subtitles.load(write(tmp_path / "a.srt", text))
    assert len(read.lines[0].text) == MAX_TEXT
    assert read.notes == ("cut 1 line at 1,000 characters",)


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        ("a.txt", b"x", r"is text, not a video; expected a subtitle file \(\.srt, "),
        ("a.srt", None, "no such file"),
        ("a.srt", b" \n", "is empty"),
        ("a.srt", b"hello", "holds no subtitles"),
        ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\n\0\0y", "binary"),
        (
            "a.ass",
            b"[Events]\nDialogue: 0,0:00:01.00,x,Default,,0,0,0,,y\n",
            "holds no ass subtitles: .* left out 1 line of dialogue",
        ),
        ("a.vtt", b"WEBVTT\n\nNOTE nothing\n", "holds no vtt subtitles"),
        (
            "a.srt",
            b"1\n00:00:02,000 --> 00:00:01,000\nback\n",
            "no line of subtitles .*left out 1 line whose end is not",
        ),
        ("a.srt", b"1\n0x:00:02,000 --> 0x:00:03,000\nx\n", "holds no srt subtitles: expected"),
    ],
)
def test_bad_files_are_one_clear_line(
    name: str, data: bytes | None, wanted: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(VideoError, match=wanted) as caught:
        Subtitles.load(path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_files_beyond_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.srt", SRT)
    monkeypatch.setattr(files, "MAX_LINES", 1)
    with pytest.raises(VideoError, match="holds more than 1 lines of subtitles, the limit"):
        Subtitles.load(path)
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    with pytest.raises(VideoError, match="the limit for a subtitle file"):
        Subtitles.load(path)
    with pytest.raises(VideoError, match="is a folder, expected a subtitle file"):
        Subtitles.load(tmp_path.rename(tmp_path.with_name("folder.srt")))


@pytest.mark.parametrize("bait", ["<a", "{", "< ", "\n", "<i ", "{<", "\\N{", "0:", "&a", "<v x"])
@pytest.mark.parametrize("head", ["1\n00:00:01,000 --> 00:00:02,000\n", "WEBVTT\n\n", ASS])
def test_bait_for_slow_patterns_is_read_fast(bait: str, head: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.srt", f"{head}00:00:01.000 --> 00:00:02.000\nx{bait * 200_000}")
    began = time.process_time()
    Subtitles.load(path)
    assert time.process_time() - began < 2


@given(st.sampled_from([SRT, VTT, ASS]), st.integers(0, 700), st.binary(max_size=12))
def test_damage_is_read_or_refused(tmp_path_factory, text: str, at: int, damage: bytes) -> None:
    data = bytearray(text.encode())
    data[at : at + len(damage)] = damage
    path = tmp_path_factory.mktemp("bad") / "a.srt"
    path.write_bytes(bytes(data))
    try:
        for line in Subtitles.load(path):
            assert line.text.isprintable() and line.span.duration_s > 0
    except VideoError as error:
        assert "a.srt" in str(error)


def test_words_of_another_format_do_not_mislead(tmp_path: Path) -> None:
    """An srt line that reads like a heading of an ass file."""
    path = tmp_path / "odd.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\n[Events]\n", encoding="utf-8")
    loaded = Subtitles.load(path)
    assert loaded.format == "srt" and [line.text for line in loaded.lines] == ["[Events]"]
