"""What a question asks for: when, which of several, how many, and what it takes for granted.

Plain English rules, no model.
"""

from __future__ import annotations

import re
from typing import Literal, cast

from mmreason.language.answer_reading import says_no
from mmreason.language.text import STOP_WORDS, split_words

_YES_NO = re.compile(
    r"^\W*(?:is|are|was|were|do|does|did|can|could|has|have|had|will)\b", re.IGNORECASE
)
_GLOBAL = re.compile(
    r"\bhow many\b.*\b(?:video|clip|footage|film|altogether|overall|throughout)\b"
    r"|\bin total\b|\b(?:first|last|before|after|finally|earlier|earliest|later|latest)\b"
    r"|\b(?:what|which) order\b|\bin order\b|\b(?:whole|entire) (?:video|clip)\b|\bthroughout\b",
    re.IGNORECASE | re.DOTALL,
)


def without_alternatives(question: str) -> str:
    """The question without single words offered as its answer: "small or large" goes."""

    def drop(match: re.Match[str]) -> str:
        offered = (
            match.group(1).lower() not in STOP_WORDS and match.group(2).lower() not in STOP_WORDS
        )
        return "" if offered else match.group(0)

    return re.sub(r"\b(\w+) or (\w+)\b", drop, question)


_AUXILIARY = r"(?:is|are|was|were|does|do|did|has|have|had|can|could|will|would|should)\b"
_CONTEXT = re.compile(
    r"[,;]?(?<!\ba)(?<!\bthe)(?<!\bsince)\s+(?:while|when|during|as long as)\s+(?=\S)",
    re.IGNORECASE,
)
_LEADING = re.compile(
    rf"^\W*(?:while|when|during)\s+(?!{_AUXILIARY})([^,?]+),\s*(?=\S)(.+)$",
    re.IGNORECASE | re.DOTALL,
)
_ASKS = re.compile(
    r"^\W*(?:(?:in|on|at|to|from|of|by|with|for)\s+)?"
    rf"(?:what|which|who|whom|whose|where|how|why|{_AUXILIARY}|name|describe|count|list)\b"
    r"(?!.*\b(?:know|say|tell(?: me| us)?|remember|find|find out)$)",
    re.IGNORECASE | re.DOTALL,
)
"""What can stand as a question by itself: "Do you know" cannot."""


def split_context(question: str) -> tuple[str, str]:
    """(what is asked, when): "What colour is the star while the word EXIT is on the screen?" is
    ("What colour is the star?", "the word EXIT is on the screen"); the second part may be empty, as
    it is where "when" is what is asked."""
    leading = _LEADING.match(question)
    if leading:
        core = leading.group(2).strip()
        return core[:1].upper() + core[1:], leading.group(1).strip()
    match = _CONTEXT.search(question)
    core = "" if match is None else question[: match.start()].rstrip()
    if match is None or not _ASKS.match(core):
        return question, ""
    return core + "?", question[match.end() :].rstrip(" ?.!")


_ORDER = re.compile(
    r"^\W*(?:which|what|who)\b[^,:]*?\b(first|last|earliest|latest|earlier|later)"
    r"(?:\s+(?:in|on|to|of|during|within)\b[^,:]*|\s*)[,:]\s*(.+)$",
    re.IGNORECASE | re.DOTALL,
)


def order_of(question: str) -> tuple[bool, tuple[str, ...]] | None:
    """For "Which comes first, the A, the B or the C?": (whether the first is wanted, the things as
    said). None for other questions: "What colour is the first star, red or blue?" has no things to
    find."""
    match = _ORDER.match(question)
    if match is None:
        return None
    things = re.split(r"\s*,\s*(?:or\s+)?|\s+or\s+", match.group(2).strip().rstrip("?.! "))
    things = [thing for thing in things if thing]
    if len(things) < 2:
        return None
    return match.group(1).lower() in ("first", "earliest", "earlier"), tuple(things)


Place = Literal["first", "last", "longest", "shortest"]
_WHOLE = re.compile(
    r"\b(?:whole|entire|full) (?:video|clip|film|footage|movie)\b|\bthroughout\b|\boverall\b"
    r"|\b(?:in|of) the (?:video|clip|film|footage|movie)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\b(?:first|last)\b(?=\s+(?:in|of)\b|\W*$)|\b(?:longest|shortest)\b(?=\s+(?:time|in|of)\b|\W*$)"
    r"|\b(?:most|least) (?:of the time|often)\b",
    re.IGNORECASE,
)


def place_in_whole(question: str) -> Place | None:
    """Which of several things a question about the whole video asks for: the one seen first, last,
    for the longest or the shortest time. None for other questions."""
    match = _PLACE.search(question)
    if match is None or _WHOLE.search(question) is None:
        return None
    phrase = match.group(0).lower()
    if phrase.startswith(("most", "least")):
        return "longest" if phrase.startswith("most") else "shortest"
    return cast(Place, phrase)


_PREMISE = re.compile(
    r"^\W*(?P<asks>(?:what|which) \w+ (?:is|are|does|do|did|was|were)|how (?:does|do|did|is|are)"
    r"|where (?:is|are|was|were)|what (?:is|are|does|do|did)|(?:is|are|was|were|does|do|did))"
    r" the (?P<thing>(?:[\w-]+ ){1,4}?[\w-]+?)"
    r"(?P<rest> (?:have|become|becomes|move|moves|do|does|doing|go|look|turn|wear|hold)\b"
    r"| (?:in|on|at|or)\b"
    r"|[?.!]*$| (?=\w+ or \w+)| (?=(?:the|an?|his|her|its|their)\b))",
    re.IGNORECASE,
)
_SAYS_SOMETHING = re.compile(
    r"^(?:(?:(?:what|how|where|which)\b.*)?\b(?:does|do|did)|is|are|was|were)$", re.IGNORECASE
)
"""Questions whose last words say something of the thing: "Does the dog bark?", "Is it wet?"."""


def _taken_for_granted(core: str) -> str | None:
    core_question = re.sub(r"\s+(?=\W*$)", "", without_alternatives(core))
    match = _PREMISE.match(core_question)
    if match is None:
        return None
    thing, remainder = match["thing"].strip(), match["rest"].strip(" ?.!")
    whole = core_question == core.strip()
    # Where nothing parts them, the last word is what is said of the thing, no part of its name.
    if whole and not remainder and _SAYS_SOMETHING.match(match["asks"]):
        thing = thing.rpartition(" ")[0]
    return thing or None


def premise_of(question: str) -> str | None:
    """Whether what the question takes for granted is there, as a question: "Is there a red star?"
    for "How does the red star move?". None without a thing of two words or more: "the star" alone
    is seldom mistaken for another."""
    thing = _taken_for_granted(split_context(question)[0])
    if thing is None or len(split_words(thing)) < 2:
        return None
    return f"Is there {'an' if thing[0].lower() in 'aeiou' else 'a'} {thing}?"


_THERE = re.compile(
    r"^\W*(?:is|are|was|were) there (?:an?|any|some) ((?:[\w-]+ ){0,4}?[\w-]+)"
    r"(?: (?:in|on|at|there|visible|to be seen)\b|\W*$)",
    re.IGNORECASE,
)


def claimed_object(question: str, answer: str) -> str | None:
    """What must be there if `answer` is right: "red star" for "How does the red star move?", and
    for "Is there a red star?" where the answer is not no. None where the words do not tell."""
    if says_no(answer):
        return None
    core = split_context(question)[0]
    match = _THERE.match(core)
    if match is not None:
        return match.group(1).strip()
    return _taken_for_granted(core)


def is_count(question: str) -> bool:
    """Whether the question asks how many there are."""
    core, _ = split_context(question)
    return re.match(r"^\W*how many\b", core, re.IGNORECASE) is not None


def counted_thing(question: str) -> str:
    """What is to be counted, with what follows it.

    Example:
        >>> counted_thing("How many orange objects are there?")
        ' orange objects are there?'
    """
    core, _ = split_context(question)
    return re.sub(r"^\W*how many\b", "", core, flags=re.IGNORECASE)


def is_global(question: str) -> bool:
    """Whether the question is about the video as a whole: totals, order, first and last."""
    return _GLOBAL.search(question) is not None or is_total(question)


def is_total(question: str) -> bool:
    """Whether the question asks how many there are in all: no single place can tell."""
    core, context = split_context(question)
    return not context and re.match(r"^\W*how (?:many|often)\b", core, re.IGNORECASE) is not None


def is_yes_no(question: str) -> bool:
    """Whether the question asks for yes or no.

    Example:
        >>> is_yes_no("Is there a star?"), is_yes_no("Is it red or blue?")
        (True, False)
    """
    return _YES_NO.match(question) is not None and not re.search(r"\bor\b", question.lower())
