"""What subtitle files say, however they say it: times, markup, encodings, rolling captions."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmreason.video import Span, VideoError
from mmreason.video.subtitles import Line, Subtitles

AT = "00:00:01,000 --> 00:00:02,000"
ASS_HEAD = (
    "[Script Info]\nScriptType: v4.00+\n\n[Events]\n"
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)


def load(tmp_path: Path, text: str, name: str = "a.srt", encoding: str = "utf-8") -> Subtitles:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return Subtitles.load(path)


def said(subtitles: Subtitles) -> list[tuple[float, float, str]]:
    return [(line.span.start_s, line.span.end_s, line.text) for line in subtitles]


def youtube(rows: list[tuple[str, str]]) -> str:
    """Automatic captions as YouTube writes them: each row again above the next, for 2 s each."""
    parts, above = ["WEBVTT\nKind: captions\nLanguage: en\n"], " "
    for at, (plain, timed) in enumerate(rows):
        head = f"00:00:{2 * at:02d}.000 --> 00:00:{2 * at + 1:02d}.990 align:start position:0%"
        held = f"00:00:{2 * at + 1:02d}.990 --> 00:00:{2 * at + 2:02d}.000 align:start position:0%"
        parts += [f"{head}\n{above}\n{timed}\n", f"{held}\n{plain}\n \n"]
        above = plain
    return "\n".join(parts)


ROWS = [
    ("all right so here", "all<00:00:00.400><c> right</c><00:00:00.640><c> so here</c>"),
    ("of the elephants", "of<00:00:02.120><c> the</c><00:00:02.300><c> elephants</c>"),
    ("no", "no"),
    ("no", "no"),
    ("they have trunks", "they<00:00:08.100><c.colorE5E5E5> have trunks</c>"),
]


def test_word_timed_captions_say_each_row_once_and_lose_none(tmp_path: Path) -> None:
    read = load(tmp_path, youtube(ROWS), "a.vtt")
    assert said(read) == [
        (0.0, 1.99, "all right so here"),
        (2.0, 3.99, "of the elephants"),
        (4.0, 5.99, "no"),
        (6.0, 7.99, "no"),
        (8.0, 9.99, "they have trunks"),
    ]
    assert read.notes == ("rolling captions: folded 9 lines shown again",)


def test_rolling_captions_are_folded_when_converted_to_srt_without_word_stamps(
    tmp_path: Path,
) -> None:
    rows = [(plain, plain) for plain, _ in ROWS]
    srt = youtube(rows).partition("\n\n")[2].replace(" align:start position:0%", "")
    assert [line.text for line in load(tmp_path, srt.replace(".", ","))] == [
        plain for plain, _ in ROWS
    ]


def test_a_line_sung_again_is_kept_beside_word_stamps(tmp_path: Path) -> None:
    text = "WEBVTT\n\n00:01.000 --> 00:04.000\n<00:01.000>La <00:02.000>la\n\n"
    read = load(tmp_path, f"{text}00:04.000 --> 00:06.000\nLa la\n", "a.vtt")
    assert said(read) == [(1.0, 4.0, "La la"), (4.0, 6.0, "La la")]


def test_a_file_of_another_name_is_known_by_how_it_begins(tmp_path: Path) -> None:
    read = load(tmp_path, f"1\n{AT}\nfoo\n", "captions.txt")
    assert said(read) == [(1.0, 2.0, "foo")]
    assert read.notes == ("its name ends in .txt, it is srt",)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("a.srt", "0:00:01.000,0:00:02.000\nfoo\n", "convert others first, as by `ffmpeg -i"),
        ("a.sub", "{1}{25}foo\n", r"a\.sub: is text, not a video; expected a subtitle file"),
        ("a.ttml", '<?xml version="1.0"?><tt xmlns="x"/>', r"\(TTML or SAMI\); expected a sub"),
        ("a.zip", "PK\3\4", "is a zip archive or an Office document; expected a subtitle file"),
    ],
)
def test_other_formats_are_refused_with_what_is_expected(
    name: str, text: str, wanted: str, tmp_path: Path
) -> None:
    with pytest.raises(VideoError, match=wanted):
        load(tmp_path, text, name)


def test_a_url_of_subtitles_keeps_its_slashes() -> None:
    with pytest.raises(VideoError, match=r"^https://example\.org/a\.srt: is a URL"):
        Subtitles.load("https://example.org/a.srt")


def test_what_is_said_twice_in_ordinary_subtitles_stays(tmp_path: Path) -> None:
    rows = ["Stop!", "Stop!", "Why?", "Run.", "Run.", "Now."]
    text = "\n".join(
        f"{n + 1}\n00:00:{n:02d},000 --> 00:00:{n + 1:02d},000\n{row}\n"
        for n, row in enumerate(rows)
    )
    read = load(tmp_path, text)
    assert [line.text for line in read] == rows and read.notes == ()


@pytest.mark.parametrize(
    ("times", "start_s", "end_s"),
    [
        ("00:01,000 --> 00:02,500", 1.0, 2.5),
        ("00:01.000 --> 00:02.500", 1.0, 2.5),
        ("00:59,500 --> 01:00:02,500", 59.5, 3602.5),
        ("1:02:03,4 --> 1:02:03.45", 3723.4, 3723.45),
        ("-00:00:01,000 --> 00:00:02,000", -1.0, 2.0),
        ("100:00:01,000 --> 100:00:02,000", 360001.0, 360002.0),
        ("00:00:01 --> 00:00:02", 1.0, 2.0),
        ("00:00:01,000-->00:00:02,500", 1.0, 2.5),
        ("  00:00:01,000  -->  00:00:02,500  ", 1.0, 2.5),
        ("00: 00: 01, 000 -> 00: 00: 02, 500", 1.0, 2.5),
        ("00:00:01,000 \u2013> 00:00:02,500", 1.0, 2.5),
        ("00:00:01,000 --> 00:00:02,500 X1:100 X2:200 Y1:1 Y2:9", 1.0, 2.5),
        ("00:00:01.000 --> 00:00:02.500 align:start position:0% line:-1", 1.0, 2.5),
        ("0:75:10,000 --> 0:75:11,000", 4510.0, 4511.0),
    ],
)
def test_times_are_read_as_written(
    times: str, start_s: float, end_s: float, tmp_path: Path
) -> None:
    text = f"1\n{times}\nfoo\n\n2\n{times}\nbar\n"
    assert said(load(tmp_path, text)) == [(start_s, end_s, "bar"), (start_s, end_s, "foo")]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("a < b and c > d", "a < b and c > d"),
        ("if x<y then y>x", "if x<y then y>x"),
        ("press <enter> or <ctrl>", "press <enter> or <ctrl>"),
        ("<i>all</i> <B>that</B> <u>is</u>", "all that is"),
        ('<font color="#ffff00" size=12>yellow</font>', "yellow"),
        ("{\\an8}above {\\pos(10,20)}here", "above here"),
        ("{y:i}slanted {not a style}", "slanted {not a style}"),
        ("one<br>two<br/>three", "one two three"),
        ("<v Ann Lee>Good morning.</v>", "Ann Lee: Good morning."),
        ("<v.loud Bob>No! <v Ann>Yes!", "Bob: No! Ann: Yes!"),
        ("<c.yellow.bg_blue>a</c> <lang en-GB>b</lang>", "a b"),
        ("<ruby>kan<rt>ji</rt></ruby>", "kanji"),
        ("R&amp;D &lt;3 &quot;x&quot; &#39;y&#39; &nbsp;z", "R&D <3 \"x\" 'y' z"),
        ("AT&T &c. &notanentity; &copy", "AT&T &c. &notanentity; &copy"),
        ("word<00:00:01.500> stamps<00:01.700>", "word stamps"),
        ("\u200eright\u200f to \u202bleft\u00ad", "right to left"),
        ("- first\n\n- after a blank line", "- first - after a blank line"),
        ("File --> Open", "File --> Open"),
        ("from 10:30 to 11:00", "from 10:30 to 11:00"),
        ("\\N and C:\\new", "\\N and C:\\new"),
        ("42", "42"),
    ],
)
def test_markup_goes_and_text_stays(markup: str, text: str, tmp_path: Path) -> None:
    read = load(tmp_path, f"1\n{AT}\n{markup}\n\n2\n00:00:03,000 --> 00:00:04,000\nend\n")
    assert [line.text for line in read] == [text, "end"]


@pytest.mark.parametrize(
    "text",
    [
        f"7\n{AT}\nfoo\n7\n00:00:03,000 --> 00:00:04,000\nbar 9\n",
        f"{AT}\nfoo\n00:00:03,000 --> 00:00:04,000\nbar 9",
        f"\ufeff1\n\n{AT}\n\nfoo\n\n\n\n2\n\n00:00:03,000 --> 00:00:04,000\nbar 9\n\n3\n",
        f"1\n{AT}\nfoo\n\n\ufeff2\n00:00:03,000 --> 00:00:04,000\nbar 9\n\x1a",
        f"1\n{AT} foo\n\n2\n00:00:03,000 --> 00:00:04,000\nbar\n9\n",
    ],
    ids=["numbers that repeat", "no numbers", "blank lines", "marks inside", "text beside a time"],
)
def test_untidy_srt_files_are_read_whole(text: str, tmp_path: Path) -> None:
    read = load(tmp_path, text)
    assert said(read) == [(1.0, 2.0, "foo"), (3.0, 4.0, "bar 9")]
    assert read.notes == ()


def test_a_webvtt_file_with_every_kind_of_block(tmp_path: Path) -> None:
    text = """WEBVTT - a title
X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000

STYLE
::cue { color: papayawhip }

REGION
id:fred width:40%

NOTE one line

NOTE
two
lines

intro
00:01.000 --> 00:02.000 region:fred
<v Ann>Good morning.

00:00:03.000 --> 00:00:04.000
- without an identifier
NOTE this is said

NOTE in the middle

second part
1:00:05.000 --> 1:00:06.000 line:0
last &amp; least
"""
    read = load(tmp_path, text, "a.vtt")
    assert said(read) == [
        (1.0, 2.0, "Ann: Good morning."),
        (3.0, 4.0, "- without an identifier NOTE this is said"),
        (3605.0, 3606.0, "last & least"),
    ]
    assert read.notes == ()


def test_a_time_that_cannot_be_read_takes_its_text_along_and_is_told(tmp_path: Path) -> None:
    text = f"1\n{AT}\nfoo\n\n2\n00:00:0x,000 --> 00:00:04,000\nlost\n\n3\n00:00:05,000 --> 00:0"
    read = load(tmp_path, text)
    assert said(read) == [(1.0, 2.0, "foo")]
    assert read.notes == (
        "left out 2 lines whose time cannot be read, the first at '00:00:0x,000 --> 00:00:04,000'",
    )


def test_what_stands_before_the_first_time_and_twice_is_told(tmp_path: Path) -> None:
    read = load(tmp_path, f"Subtitles by nobody\n\n1\n{AT}\nfoo\n\n2\n{AT}\nfoo\n")
    assert said(read) == [(1.0, 2.0, "foo")]
    assert read.notes == (
        "left out 1 line before the first time",
        "left out 1 line written twice",
    )


def test_karaoke_signs_and_fields_in_another_order_of_ass(tmp_path: Path) -> None:
    karaoke = "Dialogue: 0,0:00:01.00,0:00:02.00,K,,0,0,0,,{\\k20}ka{\\k30}ra{\\kf10}o{\\k5}ke\n"
    drawing = "Dialogue: 0,0:00:01.00,0:00:02.00,K,,0,0,0,,{\\p1}m 0 0 l 1 1{\\p0}a\\hsign, here\n"
    late = "Dialogue: 0,100:00:01.50,100:00:02.50,K,,0,0,0,,late\n"
    assert said(load(tmp_path, ASS_HEAD + karaoke + drawing + late, "a.ass")) == [
        (1.0, 2.0, "a sign, here"),
        (1.0, 2.0, "karaoke"),
        (360001.5, 360002.5, "late"),
    ]
    other = "[Events]\nFormat: Start, End, Text\nDialogue: 0:00:01.00,0:00:02.00,one, two\n"
    assert said(load(tmp_path, other, "b.ssa")) == [(1.0, 2.0, "one, two")]


def test_windows_punctuation_is_read_as_cp1252(tmp_path: Path) -> None:
    words = "Caf\u00e9 \u2013 \u201cna\u00efve\u201d \u20ac5"
    read = load(tmp_path, f"1\n{AT}\n{words}\n", encoding="cp1252")
    assert said(read) == [(1.0, 2.0, words)]
    assert "as cp1252 (Western Europe)" in read.notes[0]


def test_a_file_joined_from_utf8_and_cp1252_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_bytes(
        f"{AT}\nna\u00efve \u4f60\u597d\n".encode() + f"{AT}\nCaf\u00e9\n".encode("cp1252")
    )
    assert [line.text for line in Subtitles.load(path)] == ["Caf\u00e9", "na\u00efve \u4f60\u597d"]


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("gbk", "\u4f60\u597d\uff0c\u4e16\u754c"),
        ("shift_jis", "\u3053\u3093\u306b\u3061\u306f"),
        ("cp1251", "\u041f\u0440\u0438\u0432\u0435\u0442"),
        ("big5", "\u4f60\u597d"),
        ("euc-kr", "\uc548\ub155"),
        ("cp1250", "P\u0159\u00edli\u0161 \u017elu\u0165"),
        ("iso8859-7", "\u039a\u03b1\u03bb\u03b7"),
        ("utf-16-le", "\u4f60\u597d and more"),
        ("utf-16-be", "plain"),
    ],
)
def test_a_given_encoding_is_used(encoding: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_bytes(f"1\n{AT}\n{words}\n".encode(encoding))
    read = Subtitles.load(path, encoding=encoding)
    assert (said(read), read.notes) == ([(1.0, 2.0, words)], ())


@pytest.mark.parametrize(
    ("encoding", "wanted"),
    [
        ("klingon", "encoding 'klingon' is not known; give one such as utf-8"),
        ("zip", "encoding 'zip' is not known"),
        ("ascii", "cannot be read as ascii .* give another encoding"),
        ("", "encoding '' is not known"),
        ("a\0b", "is not known"),
    ],
)
def test_a_wrong_encoding_is_one_clear_line(encoding: str, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text(f"{AT}\nCaf\u00e9\n", encoding="utf-8")
    with pytest.raises(VideoError, match=wanted) as caught:
        Subtitles.load(path, encoding=encoding)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_refused_with_its_name(encoding: str, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=f"looks like {encoding}: give encoding='{encoding}'"):
        load(tmp_path, f"1\n{AT}\nfoo\n", encoding=encoding)


def test_shifted_moves_every_line_and_says_so() -> None:
    read = Subtitles(lines=(Line(Span(1, 2), "a"), Line(Span(3, 4), "b"))).shifted(3600.5)
    assert said(read) == [(3601.5, 3602.5, "a"), (3603.5, 3604.5, "b")]
    assert read.notes == ("times were moved by +3600.500 s",)
