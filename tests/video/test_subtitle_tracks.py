"""Subtitles inside videos and beside them: which there are, which is taken, on which clock."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.video import Span, Video, VideoError
from mmreason.video.subtitles import (
    Subtitles,
    SubtitleTrack,
    find_subtitle_files,
    find_subtitles,
    place_on_video,
    subtitle_tracks,
    tracks,
)
from mmreason.video.subtitles.languages import same_language
from tests.video import clips

SRT = "1\n00:00:00,500 --> 00:00:01,000\n{}\n\n2\n00:00:01,500 --> 00:00:01,800\nend\n"
DEFAULT, FORCED = 1, 64


def sample(codec: str, text: str) -> bytes:
    """A packet's data as the codec has it."""
    data = text.encode()
    if codec == "mov_text":
        style = b"\0\0\0\x16styl\0\1\0\0\0\5\0\1\2\x10\xff\xff\xff\xff"
        return len(data).to_bytes(2) + data + style
    return b"0,0,Default,,0,0,0,," + data if codec == "ass" else data


def packets(codec: str, *texts: str) -> list[tuple[int, int, bytes]]:
    return [(500 * at, 400, sample(codec, text)) for at, text in enumerate(texts)]


def srt(path: Path, text: str = "foo") -> Path:
    path.write_text(SRT.format(text), encoding="utf-8")
    return path


def texts(subtitles: Subtitles | None) -> list[str]:
    assert subtitles is not None
    return [line.text for line in subtitles]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return clips.write(tmp_path / "Film.mp4", frames=6)


@pytest.mark.parametrize(
    ("name", "codec", "stated", "marked"),
    [
        ("a.mp4", "mov_text", "mov_text", "<i>Good</i> morning, caf\u00e9"),
        ("a.mkv", "subrip", "subrip", "<b>Good</b> morning,\r\ncaf\u00e9"),
        ("a.mkv", "ass", "ass", "{\\i1}Good{\\i0} morning,\\Ncaf\u00e9"),
        ("a.mkv", "webvtt", "webvtt", "<c.x>Good</c> morning,<br>caf\u00e9"),
        ("a.webm", "webvtt", "webvtt", "Good morning, caf&eacute;"),
    ],
)
def test_text_tracks_of_every_container_are_read(
    name: str, codec: str, stated: str, marked: str, tmp_path: Path
) -> None:
    path = clips.with_subtitles(
        tmp_path / name,
        [(codec, {"language": "eng"}, packets(codec, marked, "a < b"))],
        codec="libvpx" if name.endswith("webm") else "libx264",
    )
    read = Subtitles.load(path)
    assert [line.span for line in read] == [Span(0.0, 0.4), Span(0.5, 0.9)]
    assert texts(read) == ["Good morning, caf\u00e9", "a < b"]
    assert (read.format, read.language, read.notes) == (stated, "eng", ())


def test_tracks_are_listed_and_chosen_by_index_and_language(tmp_path: Path) -> None:
    path = clips.with_subtitles(
        tmp_path / "a.mkv",
        [
            ("subrip", {"language": "ger", "title": "Schilder"}, packets("subrip", "Ausgang")),
            ("dvdsub", {"language": "eng"}, [(0, 500, b"\0\4\0\4")]),
            ("subrip", {"language": "fre"}, packets("subrip", "bonjour")),
            ("ass", {"language": "eng", "title": "Commentary"}, packets("ass", "hello")),
            ("subrip", {"language": "eng"}, packets("subrip", "good day")),
        ],
        flags=[DEFAULT | FORCED, DEFAULT, 0, 0, DEFAULT],
    )
    found = subtitle_tracks(path)
    assert found[0] == SubtitleTrack(
        index=1,
        codec="subrip",
        language="ger",
        title="Schilder",
        is_default=True,
        is_forced=True,
    )
    assert [track.codec for track in found] == ["subrip", "dvd_subtitle", "subrip", "ass", "subrip"]
    assert found[1].why_unreadable == "it holds pictures of text"
    assert texts(Subtitles.load(path)) == ["good day"]
    assert texts(Subtitles.load(path, track=1)) == ["Ausgang"]
    assert texts(Subtitles.load(path, language="fr")) == ["bonjour"]
    for choice, wanted in [
        ({"track": 0}, "track 0 holds no subtitles; there are: track 1, subrip, ger, Schilder"),
        ({"track": 2}, r"track 2, dvd_subtitle, eng, default \(not read: it holds pictures"),
        ({"language": "ja"}, "carries no subtitles in 'ja' that can be read: track 1"),
    ]:
        with pytest.raises(VideoError, match=wanted):
            Subtitles.load(path, **choice)
    taken = find_subtitles(path, language="en")
    assert texts(taken) == ["good day"]
    assert taken is not None and taken.notes[0] == (
        "read from track 5, subrip, eng, default inside the video"
    )
    assert taken.notes[1].startswith("not used: track 1, subrip, ger, Schilder, default, forced;")


def test_forced_and_drawn_tracks_are_named_and_not_taken(tmp_path: Path) -> None:
    path = clips.with_subtitles(
        tmp_path / "a.mkv",
        [
            ("subrip", {}, packets("subrip", "EXIT")),
            ("dvdsub", {}, [(0, 500, b"\0\4\0\4")]),
        ],
        flags=[FORCED, 0],
    )
    found = find_subtitles(path)
    assert texts(found) == []
    assert found is not None and found.notes == (
        "not used: track 1, subrip, forced; "
        "track 2, dvd_subtitle (not read: it holds pictures of text)",
    )


def test_a_track_in_another_encoding_is_read_with_its_name(tmp_path: Path) -> None:
    data = "\u041f\u0440\u0438\u0432\u0435\u0442".encode("cp1251")
    path = clips.with_subtitles(tmp_path / "a.mkv", [("subrip", {}, [(0, 500, data)])])
    assert texts(Subtitles.load(path, encoding="cp1251")) == [
        "\u041f\u0440\u0438\u0432\u0435\u0442"
    ]
    assert "as cp1252" in Subtitles.load(path).notes[0]
    with pytest.raises(VideoError, match="encoding 'x' is not known"):
        Subtitles.load(path, encoding="x")


def test_lines_without_a_length_end_at_the_next_one(tmp_path: Path) -> None:
    path = clips.with_subtitles(
        tmp_path / "a.mkv", [("subrip", {}, [(0, 0, b"one"), (1200, 0, b"two")])]
    )
    assert [line.span for line in Subtitles.load(path)] == [Span(0, 1.2), Span(1.2, 6.2)]


def test_a_track_without_a_line_says_so(tmp_path: Path) -> None:
    path = clips.with_subtitles(tmp_path / "a.mkv", [("subrip", {}, [(0, 400, b"<i></i>")])])
    with pytest.raises(VideoError, match="track 1: holds no line of subtitles that can be shown"):
        Subtitles.load(path)
    found = find_subtitles(path)
    assert texts(found) == []
    assert found is not None and "was not read: " in found.notes[0]


@given(st.integers(0, 2**31), st.binary(min_size=1, max_size=8), st.floats(0.2, 1))
def test_damaged_videos_are_read_or_refused(whole: Path, at: int, by: bytes, keep: float) -> None:
    data = bytearray(whole.read_bytes())
    data = data[: int(len(data) * keep)]
    data[at % len(data) : at % len(data) + len(by)] = by
    path = whole.with_name(f"damaged{whole.suffix}")
    path.write_bytes(bytes(data))
    for read in (Subtitles.load, find_subtitles):
        with suppress(VideoError):
            for line in read(path) or ():
                assert line.text.isprintable() and line.span.duration_s > 0


@pytest.fixture(scope="module", params=["a.mkv", "a.mp4"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec = "mov_text" if request.param == "a.mp4" else "subrip"
    path = tmp_path_factory.mktemp("whole") / request.param
    found = packets(codec, "one", "two", "three")
    return clips.with_subtitles(path, [(codec, {"title": "x"}, found)], frames=2)


def test_the_limits_hold_for_tracks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clips.with_subtitles(
        tmp_path / "a.mkv", [("subrip", {}, packets("subrip", "one", "two", "three"))]
    )
    monkeypatch.setattr(tracks, "MAX_BYTES", 7)
    with pytest.raises(VideoError, match="the limit for subtitles"):
        Subtitles.load(path)
    found = find_subtitles(path)
    assert texts(found) == []
    assert found is not None and "was not read: track 1 holds more than" in found.notes[0]


def test_files_without_subtitles_say_so(film: Path, tmp_path: Path) -> None:
    assert find_subtitles(film) is None
    assert subtitle_tracks(film) == ()
    with pytest.raises(VideoError, match="carries no subtitles; give a subtitle file"):
        Subtitles.load(film)
    with pytest.raises(VideoError, match="no such file"):
        find_subtitles(tmp_path / "none.mp4")
    with pytest.raises(VideoError, match="holds no tracks"):
        Subtitles.load(srt(tmp_path / "a.srt"), track=1)


@pytest.mark.parametrize(
    "name",
    (
        *("Film.srt", "FILM.SRT", "film.vtt", "Film.mp4.srt", "Film.en.srt", "film.ENG.sdh.Srt"),
        *("Film.pt-BR.srt", "Film.zh-Hans.srt", "Film [en].srt", "Film.en-orig.srt", "Film_de.ssa"),
    ),
)
def test_a_file_that_bears_the_videos_name_is_taken(name: str, film: Path) -> None:
    path = film.parent / name
    text = SRT.format("foo") if path.suffix.lower() != ".ssa" else SSA
    path.write_text(text, encoding="utf-8")
    found = find_subtitles(film)
    assert texts(found) == ["foo", "end"]
    assert found is not None and found.notes[0] == f"read from {name}, found beside the video"


SSA = (
    "[Events]\nFormat: Start, End, Text\nDialogue: 0:00:00.5,0:00:01,foo\n"
    "Dialogue: 0:00:01.5,0:00:01.8,end\n"
)


@pytest.mark.parametrize(
    "name", ["Film2.srt", "Film.part2.srt", "Other.srt", "Film.txt", "Filmen.srt", "Fil.srt"]
)
def test_files_of_other_videos_are_let_alone(name: str, film: Path) -> None:
    srt(film.parent / name)
    assert find_subtitles(film) is None


def test_a_video_with_the_longer_name_keeps_its_subtitles(film: Path) -> None:
    clips.write(film.parent / "Film.en.mp4", frames=3)
    srt(film.parent / "Film.en.srt")
    assert find_subtitles(film) is None
    assert texts(find_subtitles(film.parent / "Film.en.mp4")) == ["foo", "end"]


def test_the_best_file_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    path = clips.with_subtitles(
        tmp_path / "a.mkv", [("subrip", {"language": "fre"}, packets("subrip", "dedans"))]
    )
    for name in ("a.srt", "a.de.srt", "a.en.srt", "a.en.forced.srt"):
        srt(tmp_path / name, name)
    assert [file.path.name for file in find_subtitle_files(path)] == [
        *("a.srt", "a.de.srt", "a.en.srt", "a.en.forced.srt")
    ]
    plain = find_subtitles(path)
    assert texts(plain) == ["a.srt", "end"]
    assert plain is not None and plain.notes[1] == (
        "not used: a.de.srt; a.en.srt; a.en.forced.srt; track 1, subrip, fre"
    )
    english = find_subtitles(path, language="eng")
    assert texts(english) == ["a.en.srt", "end"]
    assert english is not None and english.language == "en"
    assert texts(find_subtitles(path, language="it")) == ["a.srt", "end"]
    (tmp_path / "a.srt").unlink()
    assert texts(find_subtitles(path, language="fr")) == ["dedans"]


def test_a_broken_file_is_passed_over_with_a_note(tmp_path: Path) -> None:
    path = clips.with_subtitles(tmp_path / "a.mkv", [("subrip", {}, packets("subrip", "inside"))])
    (tmp_path / "a.srt").write_bytes(b"\0\1\2")
    found = find_subtitles(path)
    assert texts(found) == ["inside"]
    assert found is not None
    assert "a.srt was not read: holds binary data, expected subtitles" in found.notes
    alone = clips.write(tmp_path / "b.mp4", frames=3)
    (tmp_path / "b.srt").write_bytes(b"")
    empty = find_subtitles(alone)
    assert not empty and empty is not None
    assert empty.notes == ("b.srt was not read: is empty (0 bytes), expected a subtitle file",)


def test_a_file_beside_is_read_even_where_the_video_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"\x1a\x45\xdf\xa3" + bytes(99))
    srt(tmp_path / "a.srt")
    found = find_subtitles(tmp_path / "a.mkv")
    assert texts(found) == ["foo", "end"]


def test_nothing_outside_of_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = clips.write(tmp_path / "in" / "a.mp4", frames=3)
    (tmp_path / "in" / "a.srt").symlink_to(srt(tmp_path / "secret.srt"))
    (tmp_path / "in" / "a.en.srt").mkdir()
    found = find_subtitles(path)
    assert texts(found) == []
    assert found is not None and found.notes == (
        "not read: a.srt, which is a link out of the folder of the video",
    )


def test_times_beside_a_recording_count_from_its_start(tmp_path: Path) -> None:
    path = clips.with_subtitles(tmp_path / "a.ts", [], start_s=3601)
    srt(tmp_path / "a.srt")
    found = find_subtitles(path)
    assert found is not None and any("times were moved by +360" in note for note in found.notes)
    with Video.open(path) as video:
        said = found.during(video.info.span)
        assert [line.text for line in said] == ["foo", "end"]
        assert said[0].span.start_s == pytest.approx(video.info.start_s + 0.5, abs=0.05)
    # Lines that were made from the recording's own clock stay.
    stated = Subtitles.load(tmp_path / "a.srt").shifted(3601)
    placed = place_on_video(stated, path)
    assert placed.lines == stated.lines
    assert placed.notes[-1].startswith("times are on the clock of the video, which starts at 360")


def test_tracks_inside_a_late_video_are_on_its_clock_already(tmp_path: Path) -> None:
    path = clips.with_subtitles(
        tmp_path / "a.mkv", [("subrip", {}, packets("subrip", "foo", "bar"))], start_s=60
    )
    found = find_subtitles(path)
    assert found is not None and [line.span.start_s for line in found] == [60.0, 60.5]


def test_a_scripted_world_has_files_beside_it_too(tmp_path: Path) -> None:
    from mmreason.video.world import generate

    path = tmp_path / "demo.json"
    path.write_text(generate.demo(1).to_json(), encoding="utf-8")
    assert find_subtitles(path) is None
    srt(tmp_path / "demo.srt")
    assert texts(find_subtitles(path)) == ["foo", "end"]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("en", "eng", True),
        ("ger", "deu", True),
        ("pt-BR", "por", True),
        ("zh_Hant", "chi", True),
        ("EN", "en-GB", True),
        ("en", "de", False),
        ("", "", False),
        ("tlh", "tlh", True),
    ],
)
def test_codes_of_one_language_are_one(first: str, second: str, same: bool) -> None:
    assert same_language(first, second) == same
