"""Reading subtitle files: limits, encodings, which format it is, and what was left out."""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from mmreason.video.backends.base import check_regular_file
from mmreason.video.file_kinds import begins_as_subtitles
from mmreason.video.subtitles.cues import Cue, Cues, Format, parse_ass, parse_srt, parse_vtt
from mmreason.video.subtitles.limits import MAX_BYTES, MAX_LINES, MAX_TEXT
from mmreason.video.subtitles.lines import Line, Subtitles
from mmreason.video.subtitles.markup import WORD_STAMP, count_lines, plain_line
from mmreason.video.subtitles.rolling import fold_rolling, is_rolling
from mmreason.video.types import Span, VideoError

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")

_PARSERS = {"srt": parse_srt, "vtt": parse_vtt, "ass": parse_ass}
# Possessive (`*+`): of a file of blank lines nothing is kept to come back to.
_ASS_HEAD = re.compile(
    r"(?:\s++|;[^\n]*+\n)*+\[(?:Script Info|V4\+? Styles|Events)\]", re.IGNORECASE
)
_VTT_HEAD = re.compile(r"\s*+WEBVTT", re.IGNORECASE)
_SRT_TIME = re.compile(r"\d {0,40}(?:-->|->|[\u2013\u2014]>|\u2192)")
_EXPECTED = {
    "srt": "a time such as `00:00:01,000 --> 00:00:02,500`",
    "vtt": "a time such as `00:01.000 --> 00:02.500`",
    "ass": "lines of `Dialogue:` below `[Events]`",
}
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as the mark of utf-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def is_subtitle_file(path: Path) -> bool:
    """Whether a file says that it is one, by its name or by how it begins."""
    return path.suffix.lower() in SUFFIXES or begins_as_subtitles(path)


def read_subtitle_file(path: Path, encoding: str | None = None) -> Subtitles:
    """Read an srt, vtt, ass or ssa file. Raises VideoError naming the file and its fault."""
    check_regular_file(path, "a subtitle file")
    try:
        with path.open("rb") as file:
            return read_open_subtitles(file, path, encoding)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error


def read_open_subtitles(file: BinaryIO, path: Path, encoding: str | None = None) -> Subtitles:
    """`read_subtitle_file` of a file that is open already; `path` is what it is called. Raises
    VideoError and OSError."""
    text, guessed = decode_text(_read(file, path), path, encoding)
    notes = guess_notes(guessed)
    kind = _format_of(text, path)
    # What a file is called is told where it is wrong, and never decides.
    if kind != path.suffix.lower()[1:].replace("ssa", "ass"):
        notes.append(f"its name ends in {path.suffix}, it is {kind}")
    parsed = _PARSERS[kind](text)
    if not parsed.cues:
        problems = f", {'; '.join(parsed.notes)}" if parsed.notes else ""
        raise VideoError(f"{path}: holds no {kind} subtitles: expected {_EXPECTED[kind]}{problems}")
    # Rolling captions say each line again while it moves up: folded, or all is said twice.
    if WORD_STAMP.search(text) or is_rolling(parsed.cues):
        cues, repeats = fold_rolling(parsed.cues)
        if repeats:
            parsed.notes.append(f"rolling captions: folded {count_lines(repeats)} shown again")
        parsed = Cues(cues, parsed.notes)
    lines, more = lines_of(parsed.cues, path)
    return Subtitles(lines=lines, path=str(path), format=kind, notes=(*notes, *parsed.notes, *more))


def lines_of(cues: Iterable[Cue], source: Path | str) -> tuple[tuple[Line, ...], list[str]]:
    """Lines in order of time, and notes of what was left out. Raises VideoError where no line or
    too many are left."""
    kept_lines: list[Line] = []
    backward = empty = 0
    for cue in cues:
        text = plain_line("\n".join(cue.rows))
        if cue.end_us <= cue.start_us:
            backward += 1
        elif not text:
            empty += 1
        else:
            kept_lines.append(Line(Span(cue.start_us / 1e6, cue.end_us / 1e6), text))
        # On the way, before a made-up file has filled the memory.
        if len(kept_lines) > MAX_LINES:
            raise VideoError(
                f"{source}: holds more than {MAX_LINES:,} lines of subtitles, the limit"
            )
    lines = tuple(sorted(set(kept_lines)))
    twice, cut = len(kept_lines) - len(lines), sum(len(line.text) == MAX_TEXT for line in lines)
    counts = {
        f"left out {count_lines(backward)} whose end is not after the start": backward,
        f"left out {count_lines(twice)} written twice": twice,
        f"cut {count_lines(cut)} at {MAX_TEXT:,} characters": cut,
    }
    notes = [note for note, count in counts.items() if count]
    if not lines:
        reason = "; ".join([*notes, *([f"{count_lines(empty)} without text"] if empty else [])])
        raise VideoError(f"{source}: holds no line of subtitles that can be shown ({reason})")
    return lines, notes


def _read(file: BinaryIO, path: Path) -> bytes:
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise VideoError(
            f"{path}: is larger than {MAX_BYTES // 2**20} MiB, the limit for a subtitle file"
        )
    if not data.strip():
        raise VideoError(f"{path}: is empty, expected subtitles")
    return data


def decode_text(data: bytes, source: Path | str, encoding: str | None) -> tuple[str, int]:
    """Text with `\\n` at the end of lines, and how many lines had their encoding guessed.

    Raises VideoError for an unknown encoding, one that does not fit, and binary data."""
    guessed = 0
    if encoding is not None:
        text = _decode_as(data, source, encoding)
    elif mark := next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), None):
        text = _decode_as(data, source, mark)
    else:
        text, guessed = _decode_by_line(data)
    text = text.rstrip("\0\x1a").replace("\ufeff", "")
    if "\0" in text:
        raise VideoError(f"{source}: holds binary data, expected subtitles{_hint_utf16(data)}")
    return text.replace("\r\n", "\n").replace("\r", "\n"), guessed


def guess_notes(lines: int) -> list[str]:
    """What is said of so many lines whose encoding was guessed; nothing of none."""
    if not lines:
        return []
    return [
        f"read {count_lines(lines)} that cannot be utf-8 as cp1252 (Western Europe); where that "
        "looks wrong, give an encoding, such as cp1251, gbk or shift_jis"
    ]


def _decode_as(data: bytes, source: Path | str, encoding: str) -> str:
    try:
        # Python also has codecs that are no encodings of text, such as `zip`.
        if not getattr(codecs.lookup(encoding), "_is_text_encoding", True):
            raise LookupError
        return data.decode(encoding)
    except (LookupError, ValueError) as error:
        if isinstance(error, UnicodeError):
            problem = f"cannot be read as {encoding} ({' '.join(str(error).split())[:120]})"
            raise VideoError(f"{source}: {problem}; give another encoding") from error
        raise VideoError(
            f"{source}: encoding {encoding!r} is not known; give one such as utf-8, cp1252, "
            "cp1251, gbk, shift_jis or utf-16-le"
        ) from error


def _decode_by_line(data: bytes) -> tuple[str, int]:
    """utf-8, and cp1252 for the lines (their number is returned) that are not: some files were
    joined from both."""
    try:
        return data.decode(), 0
    except UnicodeDecodeError:
        pass
    rows, guessed = [], 0
    for row in data.splitlines(keepends=True):
        try:
            rows.append(row.decode())
        except UnicodeDecodeError:
            rows.append(row.decode("cp1252", errors="replace"))
            guessed += 1
    return "".join(rows), guessed


def _hint_utf16(data: bytes) -> str:
    """What to do where every other byte is zero, as in utf-16 without a mark."""
    for name, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        # ASCII as utf-16 has a zero in every other byte, on one side only.
        zeros, other_zeros = data[first::2].count(0), data[1 - first :: 2].count(0)
        if len(data) >= 16 and zeros > len(data) // 4 and not other_zeros:
            return f"; it looks like {name}: give encoding={name!r}"
    return ""


def _format_of(text: str, path: Path) -> Format:
    """By what the text says; its name is not trusted."""
    if _VTT_HEAD.match(text):
        return "vtt"
    if _ASS_HEAD.match(text):
        return "ass"
    if _SRT_TIME.search(text):
        return "srt"
    raise VideoError(
        f"{path}: holds no subtitles in the srt, vtt or ass format; convert others first, as by "
        f"`ffmpeg -i {shlex.quote(str(path))} out.srt`"
    )
