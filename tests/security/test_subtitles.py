"""Subtitles that mean harm: time and memory grow with the file and no faster, in every format.

Work is counted (calls, bytes), never timed: a slow machine cannot fail these tests.
"""

from __future__ import annotations

import re
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from mmreason.video import VideoError
from mmreason.video.subtitles import Subtitles, cues, files, find, find_subtitles, markup
from mmreason.video.subtitles.limits import (
    MAX_BYTES,
    MAX_FILES_TRIED,
    MAX_LINES,
    MAX_NAMED,
    MAX_TEXT,
)
from mmreason.video.world import generate

# Python's own parser of patterns: private, and the only one.
_parser, _constants = import_module("re._parser"), import_module("re._constants")

SRT_CUE = "1\n00:00:00,000 --> 00:00:10,000\n"
VTT_CUE = "WEBVTT\n\n00:00.000 --> 00:10.000\n"
ASS_HEAD = "[Script Info]\n[Events]\nFormat: Start, End, Text\n"
ASS_CUE = f"{ASS_HEAD}Dialogue: 0:00:01.00,0:00:02.00,"

LINES: dict[str, Callable[[int], str]] = {
    "override tags": lambda n: "{\\an8}" * n,
    "italics": lambda n: "<i>" * n,
    "nested bold": lambda n: "<b>" * n + "</b>" * n,
    "drawings": lambda n: "{\\p1}m 0 0{\\p0}" * n,
    "drawings that never end": lambda n: "{\\p1}" * n,
    "open braces": lambda n: "{" * n,
    "open braces with a style": lambda n: "{\\" * n,
    "open angles": lambda n: "<" * n,
    "open fonts": lambda n: "<font " * n,
    "open speakers": lambda n: "<v " * n,
    "speakers": lambda n: "<v Ann>" * n,
    "entities": lambda n: "&amp;" * n,
    "open entities": lambda n: "&" + "a" * n + "&" * n,
    "numbered entities": lambda n: "&#1114111;&#x0;" * n,
    "word stamps": lambda n: "<00:00:01.640>" * n,
    "breaks": lambda n: "<br>" * n,
    "ass breaks": lambda n: "\\N" * n,
    "words": lambda n: "a " * n,
    "accents": lambda n: "\N{LATIN SMALL LETTER E WITH ACUTE} " * n,
    "marks that are not seen": lambda n: "\N{RIGHT-TO-LEFT OVERRIDE}" * n,
    "spaces": lambda n: " " * n + "a",
}
FORMATS = {"srt": SRT_CUE, "vtt": VTT_CUE, "ass": ASS_CUE}

FILES: dict[str, Callable[[int], str]] = {
    "blank lines before a head": lambda n: "\n" * 8 * n + ASS_CUE + "a",
    "comments before a head": lambda n: ";\n" * 8 * n + ASS_CUE + "a",
    "cues": lambda n: "".join(f"{SRT_CUE}{i}\n\n" for i in range(n // 4)),
    "cues without text": lambda n: SRT_CUE * n + "a",
    "rolling cues": lambda n: VTT_CUE + "00:00.000 --> 00:00.010\n<00:00:00.000>a\nb\n\n" * n,
    "numbers": lambda n: SRT_CUE + "a\n\n" + "1\n" * 8 * n,
    "identifiers": lambda n: VTT_CUE + "a\n\n" + "b\n\n" * 8 * n,
    "notes": lambda n: VTT_CUE + "a\n\n" + "NOTE\n\n" * 8 * n,
    "arrows": lambda n: SRT_CUE + "a\n\n" + "-->" * 8 * n,
    "times that are none": lambda n: SRT_CUE + "a\n\n" + "1:1:1 --> x\n" * n,
    "a time with spaces": lambda n: SRT_CUE + "a\n\n1:11:11" + " " * 16 * n + "x\n",
    "a time with spaces at its arrow": lambda n: SRT_CUE + "a\n\n1:11" + " " * 8 * n + "-->x\n",
    "a time of digits": lambda n: SRT_CUE + "a\n\n" + "1" * 16 * n + ":1 --> x\n",
    "fields": lambda n: f"{ASS_HEAD}Format:{',' * 8 * n}Start\nDialogue: {',' * 8 * n}",
    "formats": lambda n: f"{ASS_CUE}a\n" + "Format: a,b\nDialogue: 1,2\n" * n,
    "dialogue": lambda n: f"{ASS_HEAD}" + "Dialogue: 0:00:01.00,0:00:02.00,a\n" * (n // 4),
}
CASES = {
    **{
        f"{name}, {kind}": lambda n, line=line, head=head: head + line(n) + "a\n"
        for name, line in LINES.items()
        for kind, head in FORMATS.items()
    },
    **FILES,
}


def _load(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    try:
        lines = Subtitles.load(path).lines
    except VideoError as error:
        assert "\n" not in str(error) and len(str(error)) < 1_000
        return
    assert all(len(line.text) <= MAX_TEXT and line.text.isprintable() for line in lines)


def _peak_bytes(path: Path, text: str) -> int:
    tracemalloc.start()
    try:
        _load(path, text)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _counted_calls(path: Path, text: str) -> int:
    """Calls of Python and of C while a file is read; what one call does is bounded by the tests of
    patterns below."""
    count = 0

    def on_event(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(on_event)
    try:
        _load(path, text)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("name", CASES)
def test_four_times_the_file_takes_four_times_the_work(name: str, tmp_path: Path) -> None:
    few, many = (CASES[name](count) for count in (250, 1_000))
    path = tmp_path / "a.srt"
    _load(path, few)  # whatever is loaded once
    calls = _counted_calls(path, few), _counted_calls(path, many)
    assert calls[1] <= 4.4 * calls[0]


@pytest.mark.parametrize("name", CASES)
def test_memory_is_bounded_by_the_bytes_of_the_file(name: str, tmp_path: Path) -> None:
    text = CASES[name](5_000)
    path = tmp_path / "a.srt"
    _load(path, CASES[name](10))
    # Reading takes a buffer of the limit, whatever the size.
    assert _peak_bytes(path, text) < MAX_BYTES + 500_000 + 40 * len(text.encode())


MODULES = (cues, files, find, markup)


def _patterns() -> Iterator[tuple[str, str]]:
    for module in MODULES:
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{module.__name__.rpartition('.')[2]}.{name}", value.pattern


@pytest.mark.parametrize(("name", "pattern"), list(_patterns()))
def test_no_pattern_repeats_without_end(name: str, pattern: str) -> None:
    """A repetition is bounded, or gives nothing back, or is the last thing there is: a pattern then
    takes time linear in its text wherever it is tried."""
    parsed = _parser.parse(pattern)
    for number, item in enumerate(parsed):
        is_last = number == len(parsed) - 1
        for repeat in _endless_repeats([item]):
            assert is_last and repeat is item, f"{name}: {pattern}"


def _endless_repeats(items: Any) -> Iterator[Any]:
    for item in items:
        kind, value = item
        if kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            if value[1] == _constants.MAXREPEAT:
                yield item
            yield from _endless_repeats(value[2])
        elif kind is _constants.SUBPATTERN:
            inner = list(value[3])
            # The last thing of a group that is itself last may be endless too.
            if len(inner) == 1 and inner[0][0] is _constants.MAX_REPEAT:
                if inner[0][1][1] == _constants.MAXREPEAT:
                    yield item
                yield from _endless_repeats(inner[0][1][2])
            else:
                yield from _endless_repeats(inner)
        elif kind is _constants.BRANCH:
            for branch in value[1]:
                yield from _endless_repeats(branch)
        elif kind in (_constants.ASSERT, _constants.ASSERT_NOT):
            yield from _endless_repeats(value[1])


def test_the_test_of_patterns_finds_what_it_looks_for() -> None:
    for pattern in (r" *x", r"(?:a|b+)c", r"(a*)b", r"(?:\s|;.*\n)*\[", r"a(?= *)b"):
        with pytest.raises(AssertionError):
            test_no_pattern_repeats_without_end("bad", pattern)
    for pattern in (r" {0,9}x", r"a *", r"a(.*)", r"(?:\s++|;[^\n]*+\n)*+\["):
        test_no_pattern_repeats_without_end("good", pattern)
    assert {name.partition(".")[0] for name, _ in _patterns()} == {"cues", "files", "markup"}


def test_a_line_of_the_whole_file_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text(SRT_CUE + "a " * (MAX_BYTES // 2 - 100), encoding="utf-8")
    subtitles = Subtitles.load(path)
    assert len(subtitles.lines[0].text) == MAX_TEXT
    assert any(f"cut 1 line at {MAX_TEXT:,}" in note for note in subtitles.notes)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("".join(f"00:00:01,000 --> 00:00:02,{i % 1000:03}\n{i}\n" for i in range(MAX_LINES + 1)),
         f"more than {MAX_LINES:,} lines"),
        ("a" * (MAX_BYTES + 1), "larger than 8 MiB"),
        ('{"subtitles": ["a"]}' * 1_000, "holds no subtitles in the srt, vtt or ass format"),
        ("[00:01.00] words of a song\n" * 1_000, "holds no subtitles in the srt, vtt or ass"),
        ("{1}{25}a frame of MicroDVD\n" * 1_000, "holds no subtitles in the srt, vtt or ass"),
        ("<tt><body><p begin='0s' end='1s'>a</p></body></tt>", "holds no subtitles in the srt"),
    ],
)  # fmt: skip
def test_too_much_and_what_is_no_format_of_ours_is_one_line(
    text: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.srt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(VideoError, match=reason) as caught:
        Subtitles.load(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("stamp", ["999999:59:59,999999999", "-999999:00:00,0", "0:0:0,0"])
def test_the_hugest_times_are_numbers(stamp: str, tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text(f"{stamp} --> 999999:999:99,9\na\n", encoding="utf-8")
    try:
        (line,) = Subtitles.load(path).lines
    except VideoError as error:
        assert "time" in str(error)
    else:
        assert line.span.start_s < line.span.end_s < 1e10


def test_a_folder_of_broken_files_is_tried_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = generate.world(0, duration_s=4).save(tmp_path / "film.json")
    for number in range(40):
        (tmp_path / f"film.{'full.' * number}en.srt").write_text("none")
    opened: list[Path] = []

    def read_and_count(path: Path) -> Subtitles:
        opened.append(path)
        return Subtitles.load(path)

    monkeypatch.setattr(find, "read_subtitle_file", read_and_count)
    subtitles = find_subtitles(video)
    assert subtitles is not None and not subtitles.lines
    assert len(opened) == MAX_FILES_TRIED
    notes = "; ".join(subtitles.notes)
    assert f"and {40 - MAX_FILES_TRIED - MAX_NAMED} more" in notes and len(notes) < 3_000
