"""The words of a sentence that answer a question: a part of it, word for word.

Plain English rules, no model. Where no rule is sure, the whole sentence is the answer: longer than
it need be, and never made up.
"""

from __future__ import annotations

import re

from mmreason.language.fact_questions import FactQuestion
from mmreason.language.numbers import numbers_as_digits
from mmreason.language.text import FUNCTION_WORDS, split_words, stem_word

LONGEST_THING = 10
"""Words of a part that is taken for the answer; a longer one tells no more than the sentence."""
_UNIT = (
    r"zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen"
    r"|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
    r"|hundred|thousand|million|billion|dozen|half|quarter|third"
)
_AMOUNT = re.compile(
    rf"(?:[$\u20ac\u00a3]\s?)?(?:\d[\d,.:/]*\d|\d|\b(?:{_UNIT})\b)"
    rf"(?:[ -](?:and |a |point )?(?:\d[\d,.]*|{_UNIT})\b)*(?:\s?(?:%|\u00b0\w?))?",
    re.IGNORECASE,
)
_DAY = r"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)s?"
_MONTH = (
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
)
_CLOCK = (
    rf"(?:half past|quarter (?:past|to)|\d{{1,2}}[:.]\d{{2}}|(?:\d{{1,2}}|(?:{_UNIT}))"
    r"(?= (?:o'?clock|a\.?m|p\.?m|in the (?:morning|evening|afternoon))))"
    rf"(?: (?:{_UNIT}|\d{{1,2}}))*(?: ?(?:o'?clock|[ap]\.?m\.?))?"
    r"(?: (?:in the (?:morning|evening|afternoon)|at night))?"
)
_TENS = r"(?:ten|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
_DECADE = rf"(?:(?:{_TENS}|oh|hundred)(?:[ -](?:{_UNIT}))?|eleven|twelve|\w+teen)"
_YEAR = (
    rf"(?:(?:the year )?(?:1[0-9]{{3}}|20[0-9]{{2}})"
    rf"|(?:the year )?(?:fifteen|sixteen|seventeen|eighteen|nineteen|twenty) {_DECADE}"
    rf"|(?:the year )?two thousand(?: and)?(?: (?:{_UNIT}))*)"
)
"""In digits, or as it is said: nineteen sixty-two."""
_DATE = re.compile(
    rf"\b(?:(?:on|in|at|by|until|from|since|before|after|every|next|last|this) )*"
    rf"(?:the )?(?:{_CLOCK}|{_DAY}(?: (?:morning|afternoon|evening|night))?"
    rf"(?:,? (?:at )?{_CLOCK})?|(?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?: {_YEAR})?"
    rf"|{_MONTH} (?:the )?(?:\d{{1,2}}(?:st|nd|rd|th)?|first|second|third|\w+th|{_UNIT})\b"
    rf"(?:,? {_YEAR})?|{_YEAR})\b",
    re.IGNORECASE,
)
"""Times that are told exactly, which go before vaguer ones in the same sentence."""
_TIME = re.compile(
    rf"\b(?:(?:on|in|at|by|until|from|since|before|after|every|next|last|this|early|late|around) )*"
    rf"(?:the )?(?:{_CLOCK}|{_DAY}(?: (?:morning|afternoon|evening|night))?"
    rf"(?:,? (?:at )?{_CLOCK})?|(?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?: {_YEAR})?"
    rf"|{_MONTH}(?: (?:the )?(?:\d{{1,2}}(?:st|nd|rd|th)?|first|second|third|\w+th|{_UNIT})\b)?"
    rf"(?:,? {_YEAR})?|{_YEAR}|(?:spring|summer|autumn|winter|midnight|noon|dawn|dusk|tomorrow"
    r"|yesterday|today|tonight)|(?:the )?(?:weekend|morning|evening|afternoon|night)"
    r"|(?:next|last|this) (?:week|month|year|spring|summer|autumn|winter))\b",
    re.IGNORECASE,
)
_COLOUR = re.compile(
    r"\b(?:(?:dark|light|bright|pale|deep) )?(?:red|orange|yellow|green|blue|purple|pink|brown"
    r"|black|white|gr[ea]y|cyan|magenta|turquoise|beige|gold(?:en)?|silver|violet)"
    r"(?:(?:,| and|, and) (?:red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ea]y))*"
    r"\b",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"(?:(?:Dr|Mr|Mrs|Ms|Prof|Professor|Doctor)\.? )?(?:[A-Z][\w'\u2019-]+)"
    r"(?: (?:de|van|von|der|la|of) [A-Z][\w-]+| [A-Z][\w'\u2019-]+)*"
)
_PLACE = re.compile(
    r"\b(?:in|at|on|near|behind|under|below|above|beside|inside|outside|next to|in front of|to"
    r"|from|across|along|between|opposite|around|by|over|through)\b(?: (?!and\b|but\b|when\b"
    r"|where\b|because\b|is\b|was\b|are\b|were\b|for\b|with\b|to\b)[\w'\u2019-]+){1,5}",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"\b(?:(?:because(?: of)?|since|due to|so that|in order to|as a result of|thanks to|by)\b.+"
    r"|to (?=\w+ ).+)",
    re.IGNORECASE | re.DOTALL,
)
_COPULA = re.compile(
    r"\b(?:is|are|was|were|will be|costs?|means|takes|reads|says|called|named|equals)\b|:",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(
    r"[,;.!?](?!\d)|\b(?:which|who|because|while|when|so|until|before|after)\b"
    r"|\b(?:and|but) (?=(?:it|he|she|they|we|you|there|the|will|has|have|is|are|was|were)\b)"
)
_CLAUSES = re.compile(r",\s+(?!\d{3}\b)|;\s+|\s+(?=(?:and|but|so) (?:it|he|she|they|we|the)\b)")
_PARTS = re.compile(r"\s*:\s+|\s+[-\u2013\u2014]\s+")


def extract_answer(question: FactQuestion, sentence: str) -> str:
    """The part of `sentence` that answers, or all of it.

    Example:
        >>> from mmreason.language.fact_questions import read_fact_question
        >>> question = read_fact_question("How much is the budget?")
        >>> extract_answer(question, "The budget is two million euros this year.")
        'two million euros'
    """
    sentence = " ".join(sentence.split())
    value = _read_value(question, sentence)
    if value and question.kind in ("thing", "place", "reason"):
        return _trim(value)
    part = _extract_part(question, value or sentence)
    return _trim(part) or _trim(value) or _trim(_find_clause(question, sentence))


def holds_kind(question: FactQuestion, text: str) -> bool:
    """Whether a text has the kind of value that the question asks for; True for kinds that have no
    form of their own.

    Example:
        >>> from mmreason.language.fact_questions import read_fact_question
        >>> holds_kind(read_fact_question("How much is it?"), "It is cheap.")
        False
    """
    if question.kind in ("number", "colour", "time"):
        return _extract_part(question, text) != ""
    return True


def _read_value(question: FactQuestion, line: str) -> str:
    """The part of a line such as "Head of the choir: Maria" that does not hold the subject; empty
    where the line has no such form."""
    first, *others = _PARTS.split(line, maxsplit=1)
    if not others or not question.topic:
        return ""
    name = question.subject or question.topic
    held = [bool(set(name) & set(map(stem_word, split_words(p)))) for p in (first, others[0])]
    if held == [True, False]:
        return others[0]
    return first if held == [False, True] else ""


def _find_clause(question: FactQuestion, sentence: str) -> str:
    """The clause that holds most of the topic; recognisers write commas for full stops."""
    clauses = _CLAUSES.split(sentence)
    held = [set(question.topic) & set(map(stem_word, split_words(c))) for c in clauses]
    best = max(range(len(clauses)), key=lambda i: len(held[i]))
    # What the topic is spread over belongs together.
    is_whole = all(stems <= held[best] for stems in held)
    return clauses[best] if is_whole else sentence


def _extract_part(question: FactQuestion, sentence: str) -> str:
    if question.kind == "number":
        return _extract_amount(question, sentence)
    if question.kind == "colour":
        return _nearest(_COLOUR, question, sentence)
    if question.kind == "time":
        return _nearest(_DATE, question, sentence) or _nearest(_TIME, question, sentence)
    if question.kind == "person":
        return _extract_name(question, sentence)
    if question.kind == "place":
        return _nearest(_PLACE, question, sentence) or _extract_thing(question, sentence)
    if question.kind == "reason":
        match = _REASON.search(sentence)
        return match[0] if match else ""
    return _extract_thing(question, sentence)


def _extract_amount(question: FactQuestion, sentence: str) -> str:
    """The amount with the word that it counts."""
    counted = re.search(r"how many ((?:[\w-]+ )?[\w-]+)", question.text, re.IGNORECASE)
    counted_stems = {stem_word(w) for w in split_words(counted[1])} if counted else set[str]()
    in_question = set(split_words(numbers_as_digits(question.text)))
    best: tuple[int, int, str] | None = None
    for match in _AMOUNT.finditer(sentence):
        amount = match[0]
        digits = set(split_words(numbers_as_digits(amount)))
        # "Half" and "one" are seldom amounts, and what the question holds is not what it asks for.
        if digits <= in_question:
            continue
        after = re.match(r"[ -](?:of )?([\w%-]+)", sentence[match.end() :])
        unit = after[0] if after and after[1].lower() not in _NO_UNIT else ""
        following = [stem_word(w) for w in split_words(sentence[match.end() :])[:3]]
        is_counted = bool(counted_stems & set(following))
        rank = (
            -2 * is_counted + (amount.lower() in ("one", "half", "third", "quarter")),
            _distance(question, sentence, match.start()),
            amount + unit,
        )
        best = rank if best is None or rank[:2] < best[:2] else best
    return best[2] if best else ""


_NO_UNIT = FUNCTION_WORDS | {"per", "each", "ago", "during", "after", "before", "between", "since"}


def _extract_name(question: FactQuestion, sentence: str) -> str:
    in_question = {word.lower() for word in split_words(question.text)}
    names = []
    for match in _NAME.finditer(sentence):
        words = split_words(match[0])
        if words[0] in FUNCTION_WORDS and len(words) > 1:
            words = words[1:]
        is_new = not {w.lower() for w in words} & in_question
        # The first word of a sentence is written large whatever it is.
        is_opening = match.start() == 0 and len(words) == 1 and words[0] in _OPENINGS
        if is_new and not is_opening:
            # A name may open a sentence, but most words that do are none.
            is_first = match.start() == 0 and len(words) == 1
            names.append((is_first, _distance(question, sentence, match.start()), match[0]))
    if names:
        return re.sub(r"^(?:The|A|An|Our|My|Then|And|But) (?=[A-Z])", "", min(names)[2])
    return _extract_thing(question, sentence)


_OPENING_TEXT = """
today tomorrow yesterday please first second next finally later now here welcome hello after before
during every each all many most nobody everybody everyone someone somebody nothing everything
"""
_OPENINGS = FUNCTION_WORDS | set(_OPENING_TEXT.split())


def _extract_thing(question: FactQuestion, sentence: str) -> str:
    """The stretch of words that are not those of the question, where there is one such stretch."""
    sentence = _find_clause(question, sentence)
    asked = {*question.topic, *(stem_word(w) for w in split_words(question.text))}
    # 1. Behind "is", where the words before it are those of the question.
    for match in _COPULA.finditer(sentence):
        before, after = sentence[: match.start()], sentence[match.end() :]
        content = [stem_word(w) for w in split_words(before) if w not in FUNCTION_WORDS]
        if content and set(content) <= asked:
            end = _CLAUSE_END.search(after.strip())
            clause = after.strip()[: end.start()] if end else after.strip()
            new = [w for w in split_words(clause) if stem_word(w) not in asked]
            if set(new) - FUNCTION_WORDS and len(split_words(clause)) <= LONGEST_THING:
                return clause
    # 2. Else the one run of new words, up to the words of the question or the end of the clause.
    runs: list[list[str]] = [[]]
    for token in re.findall(r"[\w'\u2019%$\u20ac.,-]*\w[%]?|[,;:.!?]", sentence):
        if not re.search(r"\w", token) or stem_word(token.lower()) in asked - FUNCTION_WORDS:
            runs.append([])
        else:
            runs[-1].append(token)
    telling = [run for run in map(_trim_run, runs) if run]
    if len(telling) == 1 and len(telling[0]) <= LONGEST_THING:
        match = re.search(r"\s+".join(map(re.escape, telling[0])), sentence)
        before = split_words(sentence[: match.start()])[-1:] if match else []
        # A single word behind another one, and not behind an article, may be the verb.
        is_noun = len(telling[0]) > 1 or telling[0][0][:1].isupper() or not before
        if match and (is_noun or before[0] in FUNCTION_WORDS):
            return match[0]
    return ""


def _trim_run(run: list[str]) -> list[str]:
    """Without function words at its ends, but with the article before it; empty without content."""
    content = [i for i, word in enumerate(run) if word.lower() not in FUNCTION_WORDS]
    if not content:
        return []
    first = content[0]
    if first and run[first - 1].lower() in ("a", "an", "the", "his", "her", "their", "no"):
        first -= 1
    return run[first : content[-1] + 1]


def _nearest(pattern: re.Pattern[str], question: FactQuestion, sentence: str) -> str:
    """The match that stands nearest to the question's words and is not of the question."""
    in_question = set(split_words(question.text))
    matches = [
        (_distance(question, sentence, match.start()), match.start(), match[0])
        for match in pattern.finditer(sentence)
        if set(split_words(match[0])) - in_question - FUNCTION_WORDS
    ]
    return min(matches)[2] if matches else ""


def _distance(question: FactQuestion, sentence: str, position: int) -> int:
    """Characters to the nearest word of the question's topic."""
    places = [
        match.start()
        for match in re.finditer(r"[^\W_]+", sentence)
        if stem_word(match[0].lower()) in question.topic
    ]
    return min((abs(place - position) for place in places), default=position)


def _trim(text: str) -> str:
    return text.strip(" .,;:!?\"'\u201c\u201d")
