"""What subtitles give an answer: support for what a model says, or the answer itself, quoted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmreason.agent.loop import AnswerDraft, Decline
from mmreason.agent.question import Question
from mmreason.tools.transcript import (
    Passage,
    as_evidence,
    find_passages,
    find_quoted_option,
    find_support,
    format_quotation,
    select_quotable,
)
from mmreason.types import Note, StopReason
from mmreason.video.reader import Video
from mmreason.video.speech.transcript import HEARD
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

    def for_video(self, source: FrameSource) -> Subtitles | None:
        """The subtitles on the clock of this video; None without any."""
        path = source.path if isinstance(source, Video) else Path(source.info.path)
        # What was opened from bytes has no file, and nothing lies beside it.
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

    question: Question
    subtitles: Subtitles | None
    passages: tuple[Passage, ...]
    """Those that match, best first."""

    @classmethod
    def search(cls, question: Question, subtitles: Subtitles | None) -> Transcript:
        """Search the subtitles for the question."""
        passages = find_passages(question.text, subtitles) if subtitles else ()
        return cls(question=question, subtitles=subtitles, passages=passages)

    @property
    def notes(self) -> tuple[Note, ...]:
        """The passages in order of time, as models are shown them."""
        return tuple(
            sorted((passage.note for passage in self.passages), key=lambda note: note.span)
        )

    @property
    def name(self) -> str:
        """What the subtitles are called."""
        return "subtitles" if self.subtitles is None else self.subtitles.name

    @property
    def is_heard(self) -> bool:
        """Whether a recogniser heard it, and nobody wrote it."""
        return self.subtitles is not None and self.subtitles.format == HEARD

    def complete(self, draft: AnswerDraft) -> AnswerDraft:
        """The draft with what the subtitles add: evidence for its answer; or, where there is none
        and no model has said that what is asked for is not there, the best passages as the
        answer."""
        if draft.decline is None:
            support = find_support(
                draft.text, self.question.text, self.passages, self.name, is_heard=self.is_heard
            )
            return replace(draft, evidence=draft.evidence + support)
        quoted = select_quotable(self.question.text, self.passages)
        if not quoted or draft.decline is Decline.ABSENT:
            return draft
        # A limit that ended the search stays the stop reason: a quotation does not undo it.
        by_itself = draft.stop_reason is StopReason.ABSTAINED
        return AnswerDraft(
            text=format_quotation(quoted, is_heard=self.is_heard),
            choice=find_quoted_option(self.question.options, quoted),
            evidence=as_evidence(quoted, self.name, is_heard=self.is_heard),
            stop_reason=StopReason.ANSWERED if by_itself else draft.stop_reason,
        )

    def to_settings(self) -> dict[str, Any] | None:
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
