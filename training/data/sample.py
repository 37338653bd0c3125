"""One row of a data set: what was said with what media, and what is known to be true of it.

All dialects are read into this record (`dialects`), and the doctor, supervised training,
reinforcement learning and evaluation take it from here. Media are named, not opened:
`conversation.py` opens them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from mmreason.models.base import Role
from mmreason.training.rewards import Truth
from mmreason.types import UsageError
from mmreason.video.types import Span


class MediaKind(StrEnum):
    """What a medium is."""

    VIDEO = "video"
    IMAGE = "image"
    FRAMES = "frames"
    """Images that are one clip, in order."""
    AUDIO = "audio"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRef:
    """A medium that a message shows. Raises UsageError for paths that do not fit the kind.

    Example:
        >>> MediaRef(kind=MediaKind.VIDEO, paths=("a.mp4",), span=Span(3, 9)).path
        'a.mp4'
        >>> MediaRef(kind=MediaKind.FRAMES, paths=("f1.png", "f2.png"), rate_hz=2.0).rate_hz
        2.0
    """

    kind: MediaKind
    paths: tuple[str, ...]
    """One file; of frames one a frame. Absolute, or from where the program runs."""
    span: Span | None = None
    """The stretch of a video that is shown; None for all of it."""
    rate_hz: float | None = None
    """Of frames: how many are a second; None where that is not known (one a second is taken)."""

    def __post_init__(self) -> None:
        if not self.paths or (self.kind is not MediaKind.FRAMES and len(self.paths) != 1):
            raise UsageError(f"{self.kind}: expected one path, found {len(self.paths)}")

    @property
    def path(self) -> str:
        """The file; of frames the first."""
        return self.paths[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleMessage:
    """One message: texts and media in the order in which they are shown.

    Example:
        >>> clip = MediaRef(kind=MediaKind.VIDEO, paths=("a.mp4",))
        >>> SampleMessage(role="user", parts=(clip, "What happens?")).text
        'What happens?'
    """

    role: Role
    parts: tuple[str | MediaRef, ...]
    is_learnt: bool | None = None
    """Whether supervised training learns it; None: where the assistant says it."""

    @property
    def text(self) -> str:
        """Its texts, one after the other."""
        return "".join(item for item in self.parts if isinstance(item, str))

    @property
    def media(self) -> tuple[MediaRef, ...]:
        """Its media, in order."""
        return tuple(item for item in self.parts if isinstance(item, MediaRef))


@dataclass(frozen=True, slots=True)
class SourceLine:
    """Where a row stands, for people.

    Example:
        >>> str(SourceLine("train.jsonl", 7))
        'train.jsonl, row 7'
    """

    file: str
    row: int
    """Its number from 1: the line of JSON lines, CSV and TSV, else the place in the list or
    table."""

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A row. Raises UsageError where it says nothing, or two messages of one role in a row answer
    each other.

    Example:
        >>> clip = MediaRef(kind=MediaKind.VIDEO, paths=("a.mp4",))
        >>> sample = Sample(
        ...     id="1",
        ...     messages=(
        ...         SampleMessage(role="user", parts=(clip, "Is it hot?")),
        ...         SampleMessage(role="assistant", parts=("Yes.",)),
        ...     ),
        ...     truth=Truth(question="Is it hot?", answer="yes"),
        ... )
        >>> sample.question, sample.target, len(sample.media)
        ('Is it hot?', 'Yes.', 1)
    """

    id: str
    """Different for every row of a file."""
    messages: tuple[SampleMessage, ...]
    """With the assistant's answer at the end where the dialect has one."""
    truth: Truth = field(default_factory=Truth)
    """What is known of the right answer, options and free columns among it."""
    rejected: tuple[SampleMessage, ...] = ()
    """Of a preference pair: the worse answer in place of the last message of `messages`."""
    transcript: str = ""
    """What is said in the video, where the row holds it."""
    channel: str = ""
    """The data set or domain that the row is of: losses and scores are told by it."""
    columns: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further fields of the row as JSON values; `truth.columns` is the same mapping."""
    source: SourceLine = field(default=SourceLine("", 0))

    def __post_init__(self) -> None:
        if not self.messages:
            raise UsageError("a sample needs a message")

    @property
    def prompt(self) -> tuple[SampleMessage, ...]:
        """What comes before the last answer of the assistant; all messages where there is none."""
        ends_with_answer = self.messages[-1].role == "assistant"
        return self.messages[:-1] if ends_with_answer else self.messages

    @property
    def target(self) -> str:
        """The last answer of the assistant; empty where the row has none."""
        return self.messages[-1].text if self.messages[-1].role == "assistant" else ""

    @property
    def question(self) -> str:
        """The text of the last message of the user; empty where there is none."""
        return next((m.text.strip() for m in reversed(self.prompt) if m.role == "user"), "")

    @property
    def media(self) -> tuple[MediaRef, ...]:
        """All media of all messages, in order."""
        return tuple(medium for message in self.messages for medium in message.media)


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that could not be used, and why.

    Example:
        >>> str(RowFault(SourceLine("train.jsonl", 7), "1 file for 2 placeholders <video>"))
        'train.jsonl, row 7: 1 file for 2 placeholders <video>'
    """

    source: SourceLine
    reason: str
    """One line: what was expected, what was found."""

    def __str__(self) -> str:
        # Rows from Python stand in no file.
        return f"{self.source}: {self.reason}" if self.source.file else self.reason


def resolve_path(path: str, folder: Path) -> str:
    """A path of a row as the programs of this machine take it: from the data set's folder where it
    is relative; addresses as they are.

    Example:
        >>> resolve_path("clips/a.mp4", Path("/data"))
        '/data/clips/a.mp4'
        >>> resolve_path("https://example.org/a.mp4", Path("/data"))
        'https://example.org/a.mp4'
    """
    if "://" in path or Path(path).is_absolute():
        return path
    # Without "..": one file has one name, wherever the row stands.
    return os.path.normpath(folder / path)
