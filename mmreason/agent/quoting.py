"""What subtitles give an answer: support for what a model says, or the answer itself, quoted.

Leaves out which lines match (`transcript.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from mmreason.agent.loop import AnswerDraft, Decline
from mmreason.tools.transcript import (
    Passage,
    as_evidence,
    option_quoted,
    passages,
    quotable,
    quotation,
    supporting,
)
from mmreason.types import Note, StopReason
from mmreason.video.reader import Video
from mmreason.video.subtitles import Subtitles, find_subtitles, place_on_video
from mmreason.video.types import FrameSource


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtitleChoice:
    """Which subtitles a question is to use: given ones, those that are found, or none."""

    given: Subtitles | None = None
    is_file: bool = False
    """Whether `given` is a file's, whose times count from the start of the video."""
    find: bool = False
    """Whether to look beside and inside the video."""

    @classmethod
    def of(cls, subtitles: Subtitles | str | Path | None) -> SubtitleChoice:
        """As `Reasoner.ask` takes them. Raises VideoError for a file that cannot be read."""
        if subtitles is None or isinstance(subtitles, Subtitles):
            return cls(given=subtitles)
        if subtitles == "auto":
            return cls(find=True)
        return cls(given=Subtitles.load(subtitles), is_file=True)

    @property
    def is_none(self) -> bool:
        """Whether none were wanted."""
        return self.given is None and not self.find

    def for_video(self, source: FrameSource) -> Subtitles | None:
        """The subtitles on the clock of this video; None without any."""
        path = source.path if isinstance(source, Video) else Path(source.info.path)
        if not path.is_file():
            return self.given
        if self.find:
            return find_subtitles(path)
        if self.given is not None and self.is_file:
            return place_on_video(self.given, path)
        return self.given


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The subtitles of a video with a question about it."""

    question: str
    options: tuple[str, ...]
    subtitles: Subtitles | None
    passages: tuple[Passage, ...]
    """Those that match, best first."""

    @classmethod
    def of(
        cls, question: str, subtitles: Subtitles | None, options: tuple[str, ...] = ()
    ) -> Transcript:
        """Search the subtitles for the question."""
        found = passages(question, subtitles) if subtitles else ()
        return cls(question=question, options=options, subtitles=subtitles, passages=found)

    @property
    def notes(self) -> tuple[Note, ...]:
        """The passages in order of time, as models are shown them."""
        return tuple(sorted((one.note for one in self.passages), key=lambda note: note.span))

    @property
    def name(self) -> str:
        """What the subtitles are called."""
        path = "" if self.subtitles is None else self.subtitles.path
        return PurePath(path).name or "subtitles"

    def joined(self, draft: AnswerDraft) -> AnswerDraft:
        """The draft with what the subtitles add: evidence for its answer; or, where there is none
        and no model has said that what is asked for is not there, the best passages as the
        answer."""
        if draft.decline is None:
            found = supporting(draft.text, self.question, self.passages, self.name)
            return replace(draft, evidence=draft.evidence + found)
        quoted = quotable(self.question, self.passages)
        if not quoted or draft.decline is Decline.ABSENT:
            return draft
        by_itself = draft.stop_reason is StopReason.ABSTAINED
        return AnswerDraft(
            text=quotation(quoted),
            choice=option_quoted(self.options, quoted),
            evidence=as_evidence(quoted, self.name),
            stop_reason=StopReason.ANSWERED if by_itself else draft.stop_reason,
        )

    def told(self) -> dict[str, Any] | None:
        """For an answer's settings: which subtitles, and how much of them matches; None without."""
        if self.subtitles is None:
            return None
        return {
            "path": self.subtitles.path,
            "format": self.subtitles.format,
            "lines": len(self.subtitles),
            "matching_passages": len(self.passages),
            "notes": list(self.subtitles.notes),
        }
