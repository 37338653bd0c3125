"""Whether a text says that there is no answer: "not shown", "N/A", "Nicht gezeigt.", "没有显示".

The first statement decides. What tells something of a person or a thing is an answer, whatever
negations it holds: "He did not see the car.", "There is no time to lose." English is read here,
other languages by their usual phrases (`refusal_phrases.py`).
"""

from __future__ import annotations

import re

from mmreason.language.markup import unwrap_markup
from mmreason.language.refusal_phrases import declines_in_other_language

_OUTSIDE = re.compile(r"\boutside (?:of )?my world\b", re.IGNORECASE)
_NOT = r"(?:\s+not|n't|\s+never)"
_CANNOT = r"(?:cannot|can't|can not)"
_SOURCE = (
    r"(?:video|clip|footage|film|frame|image|picture|scene|segment|subtitle|caption|transcript"
    r"|text|passage|context|information|audio)s?"
)
_THE_SOURCE = rf"(?:(?:the|this|that|these|any|given|provided|\w+ed)\s+)*{_SOURCE}"
_ADVERB = (
    r"(?:\s+(?:really|clearly|explicitly|actually|fully|directly|entirely|exactly|specifically"
    r"|ever|even|be|being|been|to|seem|appear))*"
)
_SEE = (
    r"(?:see|find|tell|determine|say|know|identify|answer|make out|confirm|discern|detect|provide"
    r"|recogni[sz]e|observe|locate|assist|help|be sure|view|watch|spot|specify|read|have|access"
    r"|process|judge|conclude|infer|ascertain|establish)"
)
_SHOW = (
    r"(?:show|depict|contain|mention|include|provide|specify|state|reveal|indicate|say|tell|give"
    r"|feature|explain|answer|identify|have|display|describe|make|present|offer|disclose|clarify"
    r"|address|cover)"
)
_TOLD = (
    r"(?:answered|answerable|captured|depicted|described|determined|determinable|disclosed"
    r"|discernible|explained|explicit|featured|found|identifiable|identified|included|indicated"
    r"|listed|mentioned|observed|observable|provided|recogni[sz]able|revealed|seen|shown"
    r"|specified|stated|visible|displayed|recorded|legible|readable)"
)
_TOLD_OF_MATTERS = (
    r"(?:apparent|available|certain|clear|contained|evident|given|known|named|present|told|there)"
)
_REST = (
    rf"(?:\s+(?:in|from|on|by {_THE_SOURCE}|at|within|during|here"
    r"|what|who|why|how|where|when|whether|if)\b.*)?"
)
_HIDDEN = r"(?:unclear|unknown|unspecified|uncertain|undetermined|indeterminate|undisclosed)"
_HARD = r"(?:impossible|not possible|hard|difficult)"

_LEAD_IN = re.compile(
    r"^(?:(?:i['\u2019]m |i am )?(?:very )?sorry(?:,? but\b)?|i apologi[sz]e(?:,? but\b)?"
    r"|unfortunately|apologies|i['\u2019]m afraid"
    r"|i am afraid"
    r"|it (?:seems|appears)|i (?:think|believe)|well|hm+|as an? (?:ai|[\w ]*model)\b[^,.]*"
    r"|(?:based on|from|in|according to|given|as far as)\b[^,.]{1,80}(?=,)|however|no(?=,)"
    r"|(?:the )?(?:final )?answer(?: is|:))(?:\s+that\b|\W)+",
    re.IGNORECASE,
)
_FIRST_CLAUSE = re.compile(
    r"[.!?;\n](?=\s|$)|,\s|\s[-\u2013\u2014]\s|[(]"
    r"|(?<!nothing)(?<!none)\s(?:but|although|though|because|since|while|whereas|so|however)\s",
    re.IGNORECASE,
)
_NO_ANSWER = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        # "N/A", "unknown", "not specified", "no information"
        r"n\s?[/.]?\s?a\.?|idk|dunno|null|nil|none|nothing|unavailable|not applicable|unanswerable"
        r"|none (?:given|of (?:the|these|those|them)\b.*)",
        rf"(?:(?:it|that|this)(?:'s| is| remains)\s+)?(?:an? )?{_HIDDEN}{_REST}",
        rf"(?:(?:it|that|this)(?:'s| is)\s+)?(?:{_HARD}|unable) to {_SEE}\b.*",
        rf"(?:(?:it|that|this)(?:'s| is)\s+)?not{_ADVERB}\s+(?:{_TOLD}|{_TOLD_OF_MATTERS}){_REST}",
        r"(?:not enough|insufficient|lack of|no)\s+(?:\w+\s+){0,2}"
        r"(?:information|info|data|context|detail|evidence|mention|indication|answer|idea"
        r"|clue)s?\b.*",
        r"not (?:sure|certain|answerable|enough)\b.*|no such\b.*",
        rf"(?:no|nothing|nobody|none)\b.*\b(?:{_TOLD}|in {_THE_SOURCE})\b.*",
        # "I cannot tell", "cannot be determined", "does not say"
        rf"(?:(?:i|we|you|one)\s+)?(?:(?:do|did|could|am|are){_NOT}|{_CANNOT}){_ADVERB}"
        rf"\s+(?:able to\s+)?(?:{_SEE}\b.*|{_TOLD}{_REST})",
        r"(?:i|we)(?:'m| am|'re| are)\s+(?:not (?:sure|certain|able)|unable|unsure)\b.*",
        r"(?:i|we) have no\b.*",
        rf"not{_ADVERB}\s+in {_THE_SOURCE}\b.*|nothing is (?:said|told|known)\b.*",
        rf"(?:the )?(?:speaker|narrator|host)s? (?:does|do|did){_NOT}{_ADVERB}"
        r"\s+(?:say|mention|specify|state|tell)\b.*",
        rf"(?:does|did|do){_NOT}{_ADVERB}\s+(?:{_SHOW}|appear)\b(?! to\b).*",
        # "the video does not show it"
        rf"{_THE_SOURCE}(?: itself| here| provided)?\s+(?:(?:do|does|did|could){_NOT}|{_CANNOT}"
        rf"|never"
        rf"|fails? to){_ADVERB}\s+{_SHOW}s?\b.*",
        rf"{_THE_SOURCE}\s+(?:lacks?|(?:has|have|gives?|contains?|provides?|shows?"
        rf"|offers?) no)\b.*",
        rf"(?:it|this|that)\s+(?:does|did){_NOT}{_ADVERB}\s+"
        r"(?:show|say|specify|mention|tell|state|reveal|indicate)\b.*",
        # "there does not appear to be a star"
        rf"there (?:does|do|did){_NOT} (?:seem|appear)\b.*",
    )
)
_THERE_IS_NO = re.compile(
    rf"there(?:'s| is| are| was| were)(?:{_NOT}| no\b| nothing\b| nobody\b)(?P<thing>.*)",
    re.IGNORECASE | re.DOTALL,
)
_SAYING = re.compile(
    r"^\s*(?:time|need|doubt|point|hope|problem|longer|turning|hurry|rush|place like|way (?:out"
    r"|back)"
    r"|reason to|escape)\b|.*\bwithout\b",
    re.IGNORECASE,
)
_PURPOSE = re.compile(rf"\bto (?!{_SEE}\b|{_SHOW}\b|be\b|the\b|an?\b)\w+", re.IGNORECASE)
_NOT_TOLD = re.compile(
    rf"(?P<subject>.{{1,200}}?)(?:(?:\s+(?:is|are|was|were|has been|have been|could|does|do|did"
    rf"|will"
    rf"|would)|'s){_NOT}|\s+(?:is|are|was|were|does|do|did|could)n't|\s+{_CANNOT})"
    rf"{_ADVERB}\s+(?:(?P<told>{_TOLD}|appear|in {_THE_SOURCE})|(?P<matter>{_TOLD_OF_MATTERS}))"
    rf"{_REST}",
    re.IGNORECASE | re.DOTALL,
)
_IS_HIDDEN = re.compile(
    rf"(?P<subject>.{{1,200}}?)\s+(?:is|are|was|were|remains?)\s+(?:{_HIDDEN}"
    rf"|{_HARD} to {_SEE}\b.*){_REST}",
    re.IGNORECASE | re.DOTALL,
)
_TELLS = re.compile(
    r"\b(?:says?|said|thinks?|tells?|asks?|knows?|because|who|which|whose|whom|when|if|as)\b"
    r"|\w that\b",
    re.IGNORECASE,
)
"""In front of a negation these make it part of an answer: "a man who is not visible"."""
_MATTER = re.compile(
    r"\b(?:it|this|that|answer|reason|cause|colou?r|number|count|name|identity|time|date"
    r"|place|location|order|size|shape|kind|type|direction|purpose|information|details?|what|who"
    r"|why|how|where|when)\b",
    re.IGNORECASE,
)
_SMALL_WORDS = frozenset(("any", "some", "such", "the", "this", "that", "these", "those", "not"))


def is_out_of_domain(text: str) -> bool:
    """Whether the answer is that the footage is nothing the model knows."""
    return _OUTSIDE.search(text) is not None


def declines_to_answer(text: str, question: str = "") -> bool:
    """Whether the answer is that the thing asked for is not there, or that nobody can tell.

    The `question` decides where words alone cannot: "The red book is not there." answers "What is
    missing?" and declines to answer "What colour is the red book?".
    """
    if is_out_of_domain(text):
        return True
    text = unwrap_markup(text).replace("\u2019", "'")
    return _declines_in_english(text, question) or declines_in_other_language(text)


def says_absent(text: str, question: str = "") -> bool:
    """Whether the answer declines (see `declines_to_answer`) or says nothing at all."""
    return not re.search(r"\w", text) or declines_to_answer(text, question)


def _declines_in_english(text: str, question: str) -> bool:
    # Lead-ins stand one behind another: "Sorry, but based on the video, it seems that".
    for _ in range(3):
        text = _LEAD_IN.sub("", text, count=1)
    text = text.replace(", however,", "").strip(" \t\n'\"*([-:")
    if text.lower().startswith(("n/a", "n.a")):
        return True
    # What follows the first clause explains it.
    end = _FIRST_CLAUSE.search(text)
    clause = (text if end is None else text[: end.start()]).rstrip(" .!?)]'\"*:")
    if any(form.fullmatch(clause) for form in _NO_ANSWER):
        return True
    if (bare := re.fullmatch(r"no (.+)", clause, re.IGNORECASE)) is not None:
        # "No dog" declines only where a dog was asked about; else it is an answer.
        return bool(question) and _is_asked(bare[1], question)
    if (match := _THERE_IS_NO.fullmatch(clause)) is not None:
        return _is_missing(match["thing"], question)
    match = _NOT_TOLD.fullmatch(clause) or _IS_HIDDEN.fullmatch(clause)
    if match is None or _TELLS.search(match["subject"]):
        return False
    if match.groupdict().get("matter") is None:
        return True
    about = _MATTER.search(match["subject"]) and match["matter"].lower() != "there"
    return bool(about) or _is_asked(match["subject"], question)


def _is_missing(thing: str, question: str) -> bool:
    """Whether "there is no `thing`" leaves the question without an answer."""
    if _SAYING.match(thing) or _PURPOSE.search(thing):
        return False
    named = re.search(rf"\b{_SOURCE}\b|\bsuch\b|\b(?:{_TOLD})\b", thing, re.IGNORECASE)
    return bool(named) or not question or _is_asked(thing, question)


def _is_asked(thing: str, question: str) -> bool:
    """Whether the question holds a content word of `thing`, in whatever number."""
    question_words = re.findall(r"\w{3,}", question.lower())
    named = [w for w in re.findall(r"\w+", thing.lower()) if w not in _SMALL_WORDS]
    return any(
        w.startswith(q) or q.startswith(w) for w in named if len(w) > 2 for q in question_words
    )
