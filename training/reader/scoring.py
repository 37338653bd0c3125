"""Whether a reply to a question about notes is right, cites what proves it, or declines. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.agent.record_passages import plain_words
from mmreason.language.text import FUNCTION_WORDS

_CITED = re.compile(r"\[(\d{1,3})\]")
_DECLINES = re.compile(r"\W*(?:\[?\d{1,3}\]?\W+)?(?:none|no note)\b", re.IGNORECASE)
MOST_SPARE_WORDS = 6
"""Content words beyond the answer's own: a reply that tells everything is no answer."""


@dataclass(frozen=True, slots=True)
class NotesReply:
    """A reply as it was read.

    Example:
        >>> read_reply("[2][5] the bread oven")
        NotesReply(words='the bread oven', notes=(2, 5), declines=False)
    """

    words: str
    notes: tuple[int, ...]
    """Numbers, from 1, of the notes that it cites, by number."""
    declines: bool


def read_reply(text: str) -> NotesReply:
    """The first line that says something; an empty reply declines."""
    line = next((row.strip() for row in text.splitlines() if row.strip()), "")
    if not line or _DECLINES.match(line):
        return NotesReply("", (), True)
    notes = tuple(sorted({int(number) for number in _CITED.findall(line)}))
    return NotesReply(" ".join(_CITED.sub(" ", line).split()), notes, False)


def is_right(reply: NotesReply, answer: str, accepted: Sequence[str] = ()) -> bool:
    """Whether a reply holds all words of the answer and few others; of an empty answer, which no
    note tells, whether it declines.

    Example:
        >>> is_right(read_reply("[1] It cost 12 euros."), "twelve euros")
        True
        >>> is_right(read_reply("none"), ""), is_right(read_reply("[1] red"), "")
        (True, False)
    """
    if not answer or reply.declines:
        return not answer and reply.declines
    said = plain_words(reply.words)
    for right in (answer, *accepted):
        wanted = plain_words(right)
        content = [word for word in wanted if word not in FUNCTION_WORDS] or wanted
        spare = [word for word in said if word not in FUNCTION_WORDS and word not in wanted]
        if set(content) <= set(said) and len(spare) <= MOST_SPARE_WORDS:
            return True
    return False


def cites_all(reply: NotesReply, notes: Sequence[int]) -> bool:
    """Whether a reply cites exactly the notes (numbers from 1) that prove the answer.

    Example:
        >>> cites_all(read_reply("[1][2] red"), (2, 1)), cites_all(read_reply("[1] red"), (1, 2))
        (True, False)
    """
    return set(reply.notes) == set(notes)


def cites_one(reply: NotesReply, notes: Sequence[int]) -> bool:
    """Whether a reply cites a note that proves the answer, and none that does not."""
    return bool(reply.notes) and set(reply.notes) <= set(notes)
