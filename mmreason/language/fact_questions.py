"""What a question about real footage asks for: which kind of fact, and which sense knows of it.

Plain English rules, no model. The records that the senses made are then searched for the topic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mmreason.language.question import is_yes_no
from mmreason.language.text import FUNCTION_WORDS, STOP_WORDS, split_words, stem_word

FactKind = Literal[
    "moment", "occurrences", "yes_no", "number", "colour", "person", "place", "time", "reason",
    "thing",
]  # fmt: skip
"""moment: when in the video. occurrences: how often in the video. time: a time that is told of,
such as "on Monday". thing: all else."""
Sense = Literal["speech", "screen", "labels"]
SENSES: tuple[Sense, ...] = ("speech", "screen", "labels")

_SAYING = (
    r"(?:say|says|said|saying|tell|tells|told|talk|talks|talked|talking|speak|speaks|spoke|spoken"
    r"|speaking|mention|mentions|mentioned|mentioning|discuss|discusses|discussed|discussing"
    r"|explain|explains|explained|describe|describes|described|announce|announces|announced"
    r"|state|states|stated|recommend|recommends|recommended|advise|advises|advised|claim|claims"
    r"|claimed|hear|hears|heard|brought up|come up|comes up)"
)
_WHO_SAYS = (
    r"(?:the |a |an )?(?:speaker|narrator|voice|presenter|person|man|woman|host|lecturer|teacher"
    r"|audio|recording|narration|talk|video|clip|transcript|subtitles|he|she|they|it|you|we|someone"
    r"|anyone|anybody|somebody|people)"
)
_SHOWING = (
    r"(?:seen|see|shown|showing|show me|(?:video|clip|picture|image|it|they) shows?|appear|appears"
    r"|appearing|visible|displayed|on screen|on the screen|on display|in view|in the picture"
    r"|in sight)"
)
_SPEECH = re.compile(
    rf"\b(?:{_SAYING}|according to|narrat\w+|speech|aloud|voice[- ]?over|spoken)\b", re.IGNORECASE
)
_SCREEN = re.compile(
    r"\b(?:written|reads?|printed|slides?|screen ?text|on[- ]screen|on the screen|caption(?:ed|s)?"
    r"|subtitle|titled?|headings?|headline|signs?|label(?:led|ed)|banner|text|lettering|poster"
    r"|displayed|screen)\b",
    re.IGNORECASE,
)
_WRITING_SAYS = re.compile(
    r"\b(?:slides?|screen|signs?|captions?|headings?|headline|title|banner|text|poster)\s+(?:says?|tells?"
    r"|states?|mentions?|announces?|reads?)\b",
    re.IGNORECASE,
)
_LABELS = re.compile(
    rf"\b(?:{_SHOWING}|pictured?|photo(?:graph)?s?|image|look like|looks like|what (?:kind of )?"
    r"(?:animal|object|vehicle|food|thing|bird|dog|instrument)s?)\b"
    r"|^\W*(?:is|are) there\b|^\W*(?:do|does|can) (?:you|we|one) see",
    re.IGNORECASE,
)
_MOMENT = re.compile(
    rf"^\W*(?:when|at (?:what|which) (?:time|point|moment|second|minute)|(?:at )?(?:what|which)"
    rf" (?:point|part|moment)|where in the (?:video|clip))\b.*\b(?:{_SAYING}|{_SHOWING}|written"
    r"|read|the video|the clip|come on|topic)\b",
    re.IGNORECASE | re.DOTALL,
)
_OCCURRENCES = re.compile(
    rf"^\W*how (?:often|many times)\b.*\b(?:{_SAYING}|{_SHOWING}|written|occurs?|used?)\b"
    rf"|^\W*how many (?:different |distinct )?(?:slides|screens|scenes|photos|pictures)\b",
    re.IGNORECASE | re.DOTALL,
)
_TIME = re.compile(
    r"^\W*(?:when|what time|at what time|since when|until when|how (?:early|late|soon)"
    r"|(?:on |in |by |from |to |for )?(?:what|which)"
    r" (?:day|date|month|year|week|weekday|season|hour|century|decade))\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\bhow (?:many|much|long|old|far|tall|high|wide|deep|fast|big|large|heavy|often|hot|cold|warm)"
    r"\b|^\W*(?:at |by |for |to )?(?:what|which) (?:is the )?(?:\w+ )?(?:number|percentage|percent"
    r"|price|cost|amount|temperature|budget|distance|height|length|weight|speed|age|share|score"
    r"|total|population|size|fee|rate|sum|count)\b",
    re.IGNORECASE,
)
_FRAMES = (
    # "What does the speaker say about X", "Do they mention X", "When is X talked about"
    rf"\b(?:what|when|where|how often|how many times|does|do|did|is|are|was|were)\b"
    rf"(?:\s+(?:does|do|did|is|are|was|were|exactly))*\s+{_WHO_SAYS}\s+{_SAYING}\b"
    r"(?:\s+(?:about|of|that|to))?",
    r"\b(?:can|could|may|do|does|did) (?:one|we|you|i|they) (?:see|find|spot|read|hear)\b",
    rf"\baccording to {_WHO_SAYS}\b,?",
    r"\b(?:in|of|on|during|throughout) (?:the|this) (?:video|clip|footage|recording|film|talk"
    r"|narration|slides?|screen|picture|image)\b",
    r"\bas (?:the )?(?:speaker|narrator|voice) (?:says|said|tells)\b",
)
_FRAME = re.compile("|".join(_FRAMES), re.IGNORECASE)
_FRAME_TEXT = """
say says said saying tell tells told talk talks talked talking speak speaks spoke spoken speaking
speaker narrator presenter voice mention mentions mentioned mentioning discuss discusses discussed
explain explains explained hear heard word words sentence subtitle subtitles transcript written
write writes read reads slide slides screen text sign caption title heading display displayed
shown seen visible pictured picture photo photograph image according point part topic narration
aloud name names person please video clip often times time many much long
"""
_FRAME_WORDS = frozenset(_FRAME_TEXT.split())
"""Words that speak of the video and not of what it tells."""


@dataclass(frozen=True, slots=True)
class FactQuestion:
    """A question as it is looked up in records.

    Example:
        >>> fact = read_fact_question("When do they talk about the budget?")
        >>> fact.kind, fact.senses, fact.topic
        ('moment', ('speech',), ('budget',))
    """

    text: str
    kind: FactKind
    senses: tuple[Sense, ...]
    """Senses that may know, the most likely first. Where the words name some, only these."""
    topic: tuple[str, ...]
    """Stems of the words that are looked for, in their order."""
    subject: tuple[str, ...]
    """Those of the topic that name what is asked about, in distinction to what is asked of it: of
    "the budget of the bridge" the bridge. Another subject is another question."""
    query: str
    """The question without the words that speak of the video: what is compared by meaning."""


def read_fact_question(question: str) -> FactQuestion:
    """Read a question. Any text is a question for a thing at least."""
    kind = _read_kind(question)
    query = " ".join(_FRAME.sub(" ", question).split()) or question
    topic = _read_topic(query)
    subject = tuple(stem for stem in topic if stem in _read_subject(query))
    return FactQuestion(question, kind, _read_senses(question, kind), topic, subject, query)


_COLOUR = re.compile(r"\b(?:what|which)(?: (?:is|was) the)? (?:colou?r|shade)s?\b", re.IGNORECASE)
_PERSON = re.compile(
    r"^\W*(?:by |to |with |from )?(?:who|whom|whose|(?:which|what) (?:person|man|woman)"
    r"|what (?:is|was) the name of)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"^\W*(?:where|(?:in |to |from )?(?:what|which) (?:city|town|country|place|room|building)"
    r"\b|what (?:is|was) the (?:new )?(?:city|town|place|home|location)\b"
    r"|(?:in |on )?(?:what|which) street\b)",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"^\W*(?:why|for what reason|how come|because of what|what (?:is|was) the (?:reason|cause))\b",
    re.IGNORECASE,
)
_KINDS: tuple[tuple[FactKind, re.Pattern[str]], ...] = (
    ("moment", _MOMENT),
    ("occurrences", _OCCURRENCES),
    ("colour", _COLOUR),
    ("time", _TIME),
    ("number", _NUMBER),
    ("person", _PERSON),
    ("place", _PLACE),
    ("reason", _REASON),
)
"""The first that matches is the kind."""


def _read_kind(question: str) -> FactKind:
    for kind, pattern in _KINDS:
        if pattern.search(question):
            return kind
    return "yes_no" if is_yes_no(question) else "thing"


def _read_senses(question: str, kind: FactKind) -> tuple[Sense, ...]:
    by_words: dict[Sense, bool] = {
        "speech": _SPEECH.search(_WRITING_SAYS.sub(" ", question)) is not None,
        "screen": _SCREEN.search(question) is not None,
        "labels": _LABELS.search(question) is not None,
    }
    named: tuple[Sense, ...] = tuple(sense for sense in SENSES if by_words[sense])
    # "What is shown on the slide" is about its text, and what is shown may be written as well.
    if named == ("labels",):
        return ("labels",) if kind == "yes_no" else ("labels", "screen")
    if "screen" in named and "labels" in named:
        without_labels: tuple[Sense, ...] = tuple(s for s in named if s != "labels")
        return without_labels
    return named or ("speech", "screen", "labels")


_DETERMINERS = frozenset(
    ("the", "a", "an", "this", "that", "these", "those", "my", "your", "our", "his", "her", "their")
)
_DOES = frozenset(
    ("do", "does", "did", "can", "could", "will", "would", "shall", "should", "may", "might")
)
_DONE = re.compile(
    r"\w+(?:ed|en)$|^(?:kept|put|made|built|led|sent|sold|held|found|set|told|paid|cut|read|won|lost"
    r"|bought|brought|taught|left|done|gone|grown|known|shown|worn|born|run)$"
)
"""Participles: what follows the subject in "where is the tent kept"."""


def _read_subject(query: str) -> frozenset[str]:
    """Stems of the last thing that is named behind an article or to be counted."""
    words = split_words(query)
    subject: list[str] = []
    for first, word in enumerate(words):
        counts = word in ("many", "much") and words[first - 1 : first] == ["how"]
        if word not in _DETERMINERS and not counts:
            continue
        end = first + 1
        while end < len(words) and words[end] not in FUNCTION_WORDS:
            end += 1
        nouns = words[first + 1 : end]
        # "does the museum open", "is the tent kept": the verb comes last.
        is_ended = end < len(words) and words[end] in _STOPS_VERB
        if len(nouns) > 1 and not is_ended:
            done = next((i for i, noun in enumerate(nouns) if i and _DONE.match(noun)), None)
            if done is None and not counts and _DOES & set(words[:first]):
                done = len(nouns) - 1
            nouns = nouns[:done]
        content = [noun for noun in nouns if noun not in _FRAME_WORDS and noun not in STOP_WORDS]
        subject = content or subject
    return frozenset(map(stem_word, subject))


_STOPS_VERB = frozenset(["not", "have", "has", "had", "be", "been", "is", "are", "was", "were"])
"""Behind a subject these are the verb, or stand before it."""


def _read_topic(query: str) -> tuple[str, ...]:
    stems = (
        stem_word(word)
        for word in split_words(query)
        if word not in STOP_WORDS and word not in _FRAME_WORDS
    )
    return tuple(dict.fromkeys(stems))
