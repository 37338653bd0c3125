"""Subtitles as timed text: what is said when, read from srt, vtt and ass files through pysubs2.

    lines = Subtitles.load("talk.srt").during(Span(60, 75))

A subtitle file is untrusted: its size and its lines are limited, markup is taken out, and whatever
had to be left out or guessed is said in `notes`. Leaves out subtitle streams inside video files.
"""

from __future__ import annotations

import html
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from mmreason.video.files import write_atomic
from mmreason.video.types import Span, VideoError

if TYPE_CHECKING:
    from pysubs2 import SSAFile

    from mmreason.video.world.script import World

MAX_BYTES = 8 * 2**20
"""A day of subtitles takes about 3 MiB."""
MAX_LINES = 100_000
MAX_TEXT = 1_000
"""Characters kept of one line."""
SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")

_LONE = {"<": "\ue000", "{": "\ue001"}
"""Brackets that open nothing, hidden from the parser: it would search the whole rest for their end
again and again."""
_ASS_HEAD = re.compile(r"(?:\s|;.*\n)*\[(?:Script Info|V4\+? Styles|Events)\]", re.IGNORECASE)
_UNCLOSED = re.compile(r"<(?![^<>\n]{0,200}>)|\{(?![^{}\n]{0,500}\})")


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """What is written over a span of time: plain text on one line."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtitles:
    """Lines of text in order of time. They may overlap."""

    lines: tuple[Line, ...]
    path: str = ""
    format: str = "srt"
    notes: tuple[str, ...] = ()
    """What was guessed or left out while reading."""

    def __post_init__(self) -> None:
        if list(self.lines) != sorted(self.lines):
            raise ValueError("subtitle lines must be in ascending order of time")

    @classmethod
    def load(cls, path: str | Path) -> Subtitles:
        """Read an srt, vtt, ass or ssa file. Raises VideoError naming the file and what is wrong
        with it."""
        path = Path(path)
        text, notes = _decode(_read(path), path)
        kind = _kind(text, path)
        if kind != path.suffix.lower()[1:].replace("ssa", "ass"):
            notes.append(f"its name ends in {path.suffix}, it is {kind}")
        events = list(_events(_parse(text, kind, path), kind))
        if len(events) > MAX_LINES:
            raise VideoError(
                f"{path}: holds {len(events):,} lines of subtitles, the limit is {MAX_LINES:,}"
            )
        lines = sorted({Line(span, words) for span, words in events if span and words})
        backward = sum(span is None for span, _ in events)
        if backward:
            notes.append(f"{backward} lines that do not end after they start were left out")
        if any(len(line.text) == MAX_TEXT for line in lines):
            notes.append(f"lines were cut at {MAX_TEXT} characters")
        return cls(lines=tuple(lines), path=str(path), format=kind, notes=tuple(notes))

    @classmethod
    def from_world(cls, world: World) -> Subtitles:
        """The subtitle lines of a scripted world."""
        lines = (Line(Span(s.start_s, s.end_s), _plain(s.text)) for s in world.subtitles)
        return cls(lines=tuple(sorted(lines)))

    def during(self, span: Span) -> tuple[Line, ...]:
        """The lines that are shown at some time inside `span`, in order. An empty span asks for
        one moment."""
        if span.duration_s == 0:
            return tuple(line for line in self.lines if line.span.contains(span.start_s))
        return tuple(line for line in self.lines if line.span.overlap_s(span) > 0)

    def search(self, text: str) -> tuple[Line, ...]:
        """The lines in which every word of `text` occurs, in order; case and accents do not count.

        Raises ValueError where `text` holds no word.
        """
        words = _folded(text).split()
        if not words:
            raise ValueError("search needs at least one word, got none")
        return tuple(
            line for line in self.lines if all(word in _folded(line.text) for word in words)
        )

    def to_srt(self) -> str:
        """The lines as the text of an srt file."""
        blocks = (
            f"{number}\n{_stamp(line.span.start_s)} --> {_stamp(line.span.end_s)}\n{line.text}\n"
            for number, line in enumerate(self.lines, 1)
        )
        return "\n".join(blocks)

    def save(self, path: str | Path) -> Path:
        """Write an srt file. Raises VideoError where it cannot be written or is named otherwise."""
        path = Path(path)
        if path.suffix.lower() != ".srt":
            raise VideoError(f"{path}: give a name that ends in .srt")
        try:
            return write_atomic(path, self.to_srt().encode())
        except OSError as error:
            raise VideoError(f"{path}: cannot be written ({error})") from error

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)


def _read(path: Path) -> bytes:
    if path.suffix.lower() not in SUFFIXES:
        raise VideoError(f"{path}: is no subtitle file, expected one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise VideoError(f"{path}: " + ("is no file" if path.exists() else "no such file"))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error})") from error
    if len(data) > MAX_BYTES:
        raise VideoError(
            f"{path}: is larger than {MAX_BYTES // 2**20} MiB, the limit for a subtitle file"
        )
    if not data.strip():
        raise VideoError(f"{path}: is empty, expected subtitles")
    return data


def _decode(data: bytes, path: Path) -> tuple[str, list[str]]:
    """Text of the file, and a note where its encoding had to be guessed."""
    notes: list[str] = []
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = data.decode("utf-16")
        else:
            text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        notes.append("is not utf-8 and was read as latin-1")
    if "\0" in text:
        raise VideoError(f"{path}: holds binary data, expected subtitles")
    return text.replace("\r\n", "\n").replace("\r", "\n"), notes


def _kind(text: str, path: Path) -> str:
    """srt, vtt or ass, by what the text says; its name is not trusted."""
    if text.lstrip().startswith("WEBVTT"):
        return "vtt"
    if _ASS_HEAD.match(text):
        return "ass"
    if "-->" in text:
        return "srt"
    raise VideoError(f"{path}: holds no subtitles in the srt, vtt or ass format")


def _parse(text: str, kind: str, path: Path) -> SSAFile:
    pysubs2 = _pysubs2()
    text = _UNCLOSED.sub(lambda found: _LONE[found[0]], re.sub(r"\n{3,}", "\n\n", text))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and margins, which are not kept
            return pysubs2.SSAFile.from_string(text, format_=kind)
    # What a parser of such files meets in a damaged one.
    except (pysubs2.Pysubs2Error, ValueError, LookupError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise VideoError(f"{path}: cannot be read as {kind} subtitles ({reason})") from error


def _pysubs2() -> ModuleType:
    try:
        return import_module("pysubs2")
    except ImportError as error:
        raise VideoError("subtitles need pysubs2; install it: pip install pysubs2") from error


def _events(parsed: SSAFile, kind: str) -> Iterable[tuple[Span | None, str]]:
    """(when, what) of every line that is shown; None where it ends before it starts."""
    for event in parsed:
        if event.is_comment or event.is_drawing:
            continue
        text = html.unescape(event.plaintext) if kind == "vtt" else event.plaintext
        backward = event.end <= event.start
        yield None if backward else Span(event.start / 1000, event.end / 1000), _plain(text)


def _plain(text: str) -> str:
    """One line of printable text of at most `MAX_TEXT` characters."""
    for bracket, hidden in _LONE.items():
        text = text.replace(hidden, bracket)
    joined = " ".join(text.split())[:MAX_TEXT]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in joined)


def _folded(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))


def _stamp(time_s: float) -> str:
    """`3723.5` -> `01:02:03,500`."""
    seconds, ms = divmod(round(max(0.0, time_s) * 1000), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},{ms:03d}"
