"""Words that exclude each other: colours, sizes, directions, numbers. Plain English, no model.

They tell what a reply such as "small" means for "Is the star large?", and whether a text holds the
kind of thing that a question asks for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from mmreason.language.answer_reading import AnswerKind, read_answer
from mmreason.language.numbers import NUMBERS
from mmreason.language.question import is_yes_no, split_context
from mmreason.language.refusals import is_out_of_domain, says_absent
from mmreason.language.text import extract_terms, split_words

Kind = Literal["colour", "number"]

_COLOURS = (
    "red orange yellow green blue purple pink brown black white grey cyan magenta turquoise beige "
    "gold silver violet"
)
_EXCLUSIVE = (
    tuple((word,) for word in _COLOURS.split()),
    (("small", "little", "tiny"), ("large", "big", "huge"), ("medium",)),
    (("striped",), ("dotted", "spotted"), ("plain",), ("chequered", "checkered")),
    (("circle",), ("square",), ("triangle",), ("star",), ("cross",), ("ring",), ("heart",)),
    (("left",), ("right",)),
    (("up", "upwards"), ("down", "downwards")),
    (("day", "daytime"), ("night", "nighttime")),
    (("open",), ("closed", "shut")),
    (("indoors", "inside"), ("outdoors", "outside")),
    (("on",), ("off",)),
    (("man", "men"), ("woman", "women")),
    tuple((word, digit) for word, digit in NUMBERS.items()),
)
"""Kinds of values; the words of one tuple mean the same, those of another exclude it."""
_ALL_COLOURS = frozenset(_COLOURS.split())
_QUANTITIES = frozenset(
    {"hundred", "thousand", "million", "billion", "dozen", "once", "twice", "both", "none"}
)
_SAME = {"gray": "grey"}


def asks_for(question: str) -> Kind | None:
    """The kind of value an answer must hold, where the question names it."""
    core, _ = split_context(question)
    if re.search(r"\b(?:what|which) colou?rs?\b", core, re.IGNORECASE):
        return "colour"
    if re.search(r"\bhow (?:many|much|old|long|far|often|tall)\b", core, re.IGNORECASE):
        return "number"
    return None


def tells_value(kind: Kind, text: str) -> bool:
    """Whether the text holds a value of that kind."""
    values = {_SAME.get(word, word) for word in split_words(text)}
    if kind == "colour":
        return bool(values & _ALL_COLOURS)
    return any(any(c.isdigit() for c in w) or w in NUMBERS or w in _QUANTITIES for w in values)


def yes_or_no(question: str, reply: str) -> bool | None:
    """What a reply says to a question for yes or no; None where it does not tell.

    "small" is no to "Is the star large?", since one excludes the other; "the star is large" is
    yes, since it says again what is asked.
    """
    if not is_yes_no(question) or is_out_of_domain(reply):
        return None
    reply_words = [_SAME.get(word, word) for word in split_words(reply)]
    if (kind := read_answer(reply).kind) in (AnswerKind.YES, AnswerKind.NO):
        return kind is AnswerKind.YES
    if not reply_words:
        return None
    if says_absent(reply, question):
        return False
    core, _ = split_context(question)
    content = [term for term in extract_terms(core) if " " not in term]
    again = {term for term in extract_terms(reply) if " " not in term}
    says_again = bool(content) and content[-1] in again
    if {"not", "never", "t"} & set(reply_words):
        return False if says_again else None
    question_words = [_SAME.get(word, word) for word in split_words(core)]
    predicate = question_words[-1]
    met = says_again and again <= set(content)
    for kind in _EXCLUSIVE:
        kinds_of_question = {
            i for i, synonyms in enumerate(kind) if set(synonyms) & set(question_words)
        }
        kinds_of_reply = {i for i, synonyms in enumerate(kind) if set(synonyms) & set(reply_words)}
        if kinds_of_question and kinds_of_reply:
            if not kinds_of_reply & kinds_of_question:
                return False
            # The thing by its name again says nothing of what is asked about it.
            met = met or predicate in sum(kind, ()) or "1" in sum(kind, ())
    return True if met else None


def read_reply(reply: str, options: Sequence[str], question: str) -> tuple[str, int | None]:
    """The answer that a reply gives, as the option that it picks where it picks one, and the
    option's index."""
    choice = pick_option(reply, options, question)
    return (read_answer(reply).said, None) if choice is None else (options[choice], choice)


def pick_option(reply: str, options: Sequence[str], question: str) -> int | None:
    """Index of the one option that a reply picks: by its letter or text, or by what it says to a
    question for yes or no. None where unclear."""
    choice = read_answer(reply, options, question).choice
    if choice is not None or not options:
        return choice
    answer = yes_or_no(question, reply)
    if answer is None:
        return None
    word = "yes" if answer else "no"
    matching = [i for i, option in enumerate(options) if split_words(option)[:1] == [word]]
    return matching[0] if len(matching) == 1 else None
