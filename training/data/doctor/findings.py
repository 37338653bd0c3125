"""What the doctor finds: a kind, where, what exactly, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from mmreason.training.data.sample import SourceLine

Level = Literal["problem", "warning"]


class FindingKind(StrEnum):
    """What may be wrong with a row, a file or a data set."""

    BAD_ROW = "bad row"
    NO_ANSWER = "no answer"
    NO_QUESTION = "no question"
    MIXED_MEDIA = "images and videos"
    MISSING_FILE = "missing file"
    NOT_REGULAR = "no regular file"
    EMPTY_FILE = "empty file"
    UNREADABLE = "unreadable file"
    NO_PICTURES = "no pictures"
    WRONG_MEDIUM = "other kind of file"
    READER_DIED = "file that ends its reader"
    TOO_SLOW = "file that takes too long"
    ADDRESS = "address"
    SPAN_OUTSIDE = "span outside"
    WRONG_DURATION = "wrong duration"
    BOX_OUTSIDE = "box outside"
    BOX_SPACE = "boxes in another space"
    WRONG_FRAME_SIZE = "wrong frame size"
    DUPLICATE_ROW = "duplicate row"
    CONTRADICTION = "contradiction"
    SEVERAL_ANSWERS = "several answers"
    SIMILAR_TEXT = "similar text"
    COPIED_FILE = "copied file"
    SIMILAR_FILE = "similar file"
    SHARED_FILE = "file of another split"
    SHARED_TEXT = "text of another split"
    BLIND_ANSWERS = "answered blind"
    UNBALANCED = "unbalanced answers"


WARNINGS = frozenset(
    {
        FindingKind.NO_QUESTION,
        FindingKind.MIXED_MEDIA,
        FindingKind.ADDRESS,
        FindingKind.WRONG_DURATION,
        FindingKind.WRONG_FRAME_SIZE,
        FindingKind.SEVERAL_ANSWERS,
        FindingKind.SIMILAR_TEXT,
        FindingKind.COPIED_FILE,
        FindingKind.SIMILAR_FILE,
        FindingKind.BLIND_ANSWERS,
        FindingKind.UNBALANCED,
    }
)
"""Kinds that may be meant so; all others are problems, and `--fix` leaves their rows out."""

ADVICE: dict[FindingKind, str] = {
    FindingKind.BAD_ROW: "mend the row",
    FindingKind.NO_ANSWER: "give it an answer of the assistant or a right answer",
    FindingKind.NO_QUESTION: "nothing asks for the answer; add the text of the user",
    FindingKind.MIXED_MEDIA: "check that the model takes both in one row",
    FindingKind.MISSING_FILE: "put the file there, or name its folder with --media-root",
    FindingKind.NOT_REGULAR: "name a file",
    FindingKind.EMPTY_FILE: "copy or download it again",
    FindingKind.UNREADABLE: "copy, download or encode it again",
    FindingKind.NO_PICTURES: "name the file that holds the pictures",
    FindingKind.WRONG_MEDIUM: "put it under the field of its kind",
    FindingKind.READER_DIED: "encode it again, or leave it out",
    FindingKind.TOO_SLOW: "encode it again, or raise --time-limit",
    FindingKind.ADDRESS: "addresses are not opened here; download the file",
    FindingKind.SPAN_OUTSIDE: "mend the span: times are seconds from the start of the video",
    FindingKind.WRONG_DURATION: "check that it is the file that was annotated",
    FindingKind.BOX_OUTSIDE: "mend the box, or check that it is the file that was annotated",
    FindingKind.BOX_SPACE: "say in which space the boxes are, or bring them to pixels",
    FindingKind.WRONG_FRAME_SIZE: "check that it is the file that was annotated",
    FindingKind.DUPLICATE_ROW: "leave one of them out",
    FindingKind.CONTRADICTION: "keep the right one",
    FindingKind.SEVERAL_ANSWERS: "if all are right, put them into one row as a list of answers",
    FindingKind.SIMILAR_TEXT: "leave one of them out, unless the difference is meant",
    FindingKind.COPIED_FILE: "name one of the files in all rows",
    FindingKind.SIMILAR_FILE: "look at both; keep them in one split",
    FindingKind.SHARED_FILE: "split by file: mmreason data split",
    FindingKind.SHARED_TEXT: "leave it out of one of the splits",
    FindingKind.BLIND_ANSWERS: "a model learns this in place of looking; balance the answers",
    FindingKind.UNBALANCED: "add rows with other answers, or sample them evenly",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or may be.

    Example:
        >>> where = SourceLine("train.jsonl", 7)
        >>> print(Finding(FindingKind.EMPTY_FILE, where, "a.mp4 has 0 bytes"))
        train.jsonl, row 7: empty file: a.mp4 has 0 bytes; copy or download it again
    """

    kind: FindingKind
    source: SourceLine
    """Of row 0 where it is about the whole data set."""
    reason: str
    """One line: what was expected, what was found."""

    @property
    def level(self) -> Level:
        return "warning" if self.kind in WARNINGS else "problem"

    @property
    def advice(self) -> str:
        """What to do about it."""
        return ADVICE[self.kind]

    JSON_PROPERTIES = ("level", "advice")

    def __str__(self) -> str:
        name = str(self.source) if self.source.row else self.source.file
        return f"{name}: {self.kind}: {self.reason}; {self.advice}"
