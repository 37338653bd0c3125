"""An answer out of records, in their own words; or none, with what is nearest. Pure rules.

What is not in the records may still be in the video: that nothing was found is never an answer.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mmreason.agent.record_passages import (
    RecordPassage,
    ScoredPassage,
    holds_subject,
    make_passages,
    match_topic,
    plain_words,
    rank_passages,
)
from mmreason.language.extraction import extract_answer, holds_kind
from mmreason.language.fact_questions import FactQuestion
from mmreason.language.text import FUNCTION_WORDS, split_words, stem_word
from mmreason.language.values import yes_or_no
from mmreason.memory.records import MemoryRecord
from mmreason.memory.vector_index import Embedder
from mmreason.video.labels.words import find_classes

LEAST_COVERAGE = 0.6
"""Share of the topic that a passage must hold where nothing compares meanings."""
LEAST_COSINE = 0.25
NEAR = ((0.99, 0.10), (0.75, 0.30), (0.45, 0.45), (0.20, 0.60))
"""(coverage, cosine): a passage with at least both of one pair is about the question. Chosen on
made narrations with seeds below 1000, see benchmarks/senses_answers.py."""
MOST_CITED = 8
"""Records that the answer to a question for a count or for moments cites, and lines of a slide."""
MOST_MOMENTS = 3
"""Times in the text of an answer."""
MOST_NEAREST = 2
"""Passages told where there is no answer."""
RULED_KINDS = ("moment", "occurrences", "yes_no")
"""Kinds of question that rules over records decide; the others are answered with a quotation."""


@dataclass(frozen=True, slots=True)
class RecordAnswer:
    """What the records say.

    Example:
        >>> from mmreason.language.fact_questions import read_fact_question
        >>> from mmreason.video.types import Span
        >>> line = MemoryRecord("speech", Span(4, 8), "The budget is two million.", "talk.srt")
        >>> answer_from_records(read_fact_question("What is the budget?"), [line]).text
        'two million'
    """

    text: str = ""
    """Empty where they do not decide."""
    choice: int | None = None
    passages: tuple[RecordPassage, ...] = ()
    """What the answer rests on, the best first; empty without one."""
    confidence: float | None = None
    """How near question and passage are, 0..1: no probability."""
    nearest: tuple[RecordPassage, ...] = ()
    """Without an answer, what was found nearest."""
    readable: tuple[ScoredPassage, ...] = ()
    """Passages that a reader may answer by, the best first: about the subject and of the kind that
    is asked for. Empty where rules decide."""


def answer_from_records(
    question: FactQuestion,
    records: Sequence[MemoryRecord],
    *,
    options: Sequence[str] = (),
    embedder: Embedder | None = None,
) -> RecordAnswer:
    """Answer from the records of the senses that the question is for."""
    passages = make_passages(records)
    usable = [passage for passage in passages if passage.sense in question.senses]
    if options:
        return _pick_option(question, usable, options, embedder)
    answer = _answer_by_labels(question, [p for p in usable if p.sense == "labels"])
    if answer is not None:
        return answer
    ranked = rank_passages(question, [p for p in usable if p.sense != "labels"], embedder)
    nearest = tuple(item.passage for item in ranked[:MOST_NEAREST] if item.score > 0)
    near = [item for item in ranked if is_near(question, item, embedder is not None)]
    answer = _by_kind(question)(question, near) or RecordAnswer(nearest=nearest)
    return replace(answer, readable=_select_readable(question, ranked, near))


def _select_readable(
    question: FactQuestion, ranked: Sequence[ScoredPassage], near: Sequence[ScoredPassage]
) -> tuple[ScoredPassage, ...]:
    """What is near, then what names the subject in a sentence that rules find too far off: a reader
    may know that it says the same."""
    if question.kind in RULED_KINDS or not question.topic or _ASKS_NOW.match(question.text):
        return ()
    farther = [
        item
        for item in ranked
        if item not in near
        and question.subject
        and _holds_names(question, item.passage.text)
        and holds_subject(question.subject, item.passage.text)
    ]
    return tuple(
        item
        for item in (*near, *farther)
        if holds_kind(question, item.passage.text) and not _is_misheard(question, item.passage)
    )


def is_near(question: FactQuestion, item: ScoredPassage, compares_meaning: bool) -> bool:
    """Whether a passage is about the question: it holds enough of its words, or says the same in
    others, and names what the question names."""
    if not question.topic and question.senses == ("screen",):
        return True
    if not _holds_names(question, item.passage.text):
        return False
    if not holds_subject(question.subject, item.passage.text):
        return False
    if not compares_meaning:
        return bool(question.topic) and item.coverage >= LEAST_COVERAGE
    # Subject and form are right: that the words between are others says little.
    has_form = question.kind in ("number", "colour", "time", "person", "reason")
    if question.subject and has_form and holds_kind(question, item.passage.text):
        return item.cosine >= LEAST_COSINE
    return any(item.coverage >= coverage and item.cosine >= cosine for coverage, cosine in NEAR)


SURE_SPEECH = 0.8
"""Mean probability of the words of a sentence, below which a recogniser is not trusted with a name
or with all of the sentence; of a form that is recognised, such as a sum, it is."""


def _is_misheard(question: FactQuestion, passage: RecordPassage) -> bool:
    if passage.sense != "speech" or question.kind in ("number", "colour", "time"):
        return False
    known = [record.confidence for record in passage.records if record.confidence is not None]
    return bool(known) and min(known) < SURE_SPEECH


_ASKS_NOW = re.compile(
    r"^\W*when (?:do|does|is|are) (?:I|you|we|they|he|she|it|someone)\b", re.IGNORECASE
)
_Rule = Callable[[FactQuestion, Sequence[ScoredPassage]], RecordAnswer | None]


def _by_kind(question: FactQuestion) -> _Rule:
    rules: dict[str, _Rule] = {
        "moment": _tell_moments,
        "occurrences": _count_records,
        "yes_no": _decide,
    }
    if question.kind not in rules and not question.topic and question.senses == ("screen",):
        return _read_out
    return rules.get(question.kind, _quote_best)


def _quote_best(question: FactQuestion, near: Sequence[ScoredPassage]) -> RecordAnswer | None:
    """The part of the nearest passage that has a value of the kind that is asked for."""
    for item in near:
        if holds_kind(question, item.passage.text) and not _is_misheard(question, item.passage):
            text = extract_answer(question, item.passage.text)
            return RecordAnswer(text, None, (item.passage,), item.score)
    # "When does she add the salt?" may have no date, but has a time in the video.
    if question.kind == "time" and near and _ASKS_NOW.match(question.text):
        return _tell_moments(question, near)
    return None


def _tell_moments(question: FactQuestion, near: Sequence[ScoredPassage]) -> RecordAnswer | None:
    """When the passages that hold as much of the topic as the best are said or shown."""
    if not near:
        return None
    best = [item for item in near if item.coverage >= near[0].coverage - 0.01]
    # By meaning alone, all that is somehow near would be told.
    best = best if near[0].coverage >= LEAST_COVERAGE else best[:1]
    cited = sorted((item.passage for item in best[:MOST_CITED]), key=lambda p: p.span)
    first = near[0].passage
    cited = [first, *(passage for passage in cited if passage is not first)]
    return RecordAnswer(_list_times(cited), None, tuple(cited), near[0].score)


def _count_records(question: FactQuestion, near: Sequence[ScoredPassage]) -> RecordAnswer | None:
    """In how many distinct records all of the topic stands."""
    whole = [item for item in near if item.coverage > 0.99]
    if not whole or not question.topic:
        return None
    distinct = {(record.span_us, record.text) for i in whole for record in i.passage.records}
    # Of words said twice in one sentence each counts.
    times = sum(_count_word(question.topic, item.passage.text) for item in whole)
    passages = tuple(sorted((item.passage for item in whole), key=lambda p: p.span))
    count = max(1, times) if question.senses == ("speech",) else len(distinct)
    return RecordAnswer(str(count), None, passages[:MOST_CITED], whole[0].score)


def _count_word(topic: Sequence[str], text: str) -> int:
    stems = [stem_word(word) for word in split_words(text)]
    return min(stems.count(stem) for stem in topic)


def _decide(question: FactQuestion, near: Sequence[ScoredPassage]) -> RecordAnswer | None:
    """Yes where the words stand in a record, no where it holds a value that excludes them."""
    for item in near:
        if item.coverage > 0.99:
            is_denied = bool({"not", "never", "no"} & set(split_words(item.passage.text)))
            # "Do they mention the budget?" is answered by its being said, whatever is said of it.
            if question.senses != ("speech",) and is_denied:
                return None
            return RecordAnswer("yes", None, (item.passage,), item.score)
        if question.senses != ("speech",) and yes_or_no(question.text, item.passage.text) is False:
            return RecordAnswer("no", None, (item.passage,), item.score)
    return None


def _read_out(question: FactQuestion, near: Sequence[ScoredPassage]) -> RecordAnswer | None:
    """All that stands on the screen, where that is little."""
    by_text = {item.passage.text: item.passage for item in near}
    if not by_text or len(by_text) > MOST_CITED:
        return None
    passages = tuple(sorted(by_text.values(), key=lambda p: p.span))
    return RecordAnswer(" / ".join(p.text for p in passages), None, passages, None)


def _answer_by_labels(
    question: FactQuestion, passages: Sequence[RecordPassage]
) -> RecordAnswer | None:
    """What a classifier named, for questions that labels can answer: is it there, when, what."""
    if not question.topic or question.kind in ("number", "colour", "person", "reason", "time"):
        return None
    things = {thing: find_classes(thing) for thing in _read_things(question)}
    things = {thing: names for thing, names in things.items() if names}
    names = {name.lower() for classes in things.values() for name in classes}
    matching = [p for p in passages if names & set(_label_names(p))]
    # A red cat, or one that sleeps, is more than a label tells.
    held = {stem_word(word) for thing in things for word in split_words(thing)}
    if not matching or not set(question.topic) <= held:
        return None
    best = max(matching, key=_confidence_of)
    cited = (best, *(p for p in matching if p is not best))[:MOST_CITED]
    confidence = _confidence_of(best)
    if question.kind in ("moment", "place"):
        return RecordAnswer(_list_times(cited), None, cited, confidence)
    if question.kind == "yes_no":
        return RecordAnswer("yes", None, cited, confidence)
    if question.kind == "occurrences":
        return RecordAnswer(str(len(matching)), None, cited, confidence)
    shown = dict.fromkeys(_label_names(p)[0] for p in cited)
    return RecordAnswer(", ".join(shown), None, cited, confidence)


def _read_things(question: FactQuestion) -> tuple[str, ...]:
    """Words of the question that may name what is shown, and pairs of them ("red fox")."""
    words = [
        word
        for word in split_words(question.query)
        if word not in FUNCTION_WORDS and stem_word(word) in question.topic
    ]
    pairs = [f"{first} {second}" for first, second in itertools.pairwise(words)]
    return (*words, *pairs)


def _label_names(passage: RecordPassage) -> list[str]:
    """Of a label record: its name, then its parents."""
    return [name.strip().lower() for name in passage.text.split(",") if name.strip()]


def _confidence_of(passage: RecordPassage) -> float:
    return max(record.confidence or 0.0 for record in passage.records)


def _pick_option(
    question: FactQuestion,
    passages: Sequence[RecordPassage],
    options: Sequence[str],
    embedder: Embedder | None,
) -> RecordAnswer:
    """The one option that the passages nearest to the question hold."""
    ranked = rank_passages(question, passages, embedder)
    nearest = tuple(item.passage for item in ranked[:MOST_NEAREST] if item.score > 0)
    for item in ranked:
        if not is_near(question, item, embedder is not None):
            continue
        held = [i for i, option in enumerate(options) if _holds_option(option, item.passage.text)]
        # Where one option stands within another, the longer one is meant.
        longest = [i for i in held if all(len(options[i]) >= len(options[j]) for j in held)]
        if len(longest) == 1 and _is_part_of_all(held, longest[0], options):
            choice = longest[0]
            return RecordAnswer(options[choice], choice, (item.passage,), item.score)
        # Several stand there: this passage does not decide, and no lesser one may.
        if held:
            break
    return RecordAnswer(nearest=nearest)


def _is_part_of_all(held: Sequence[int], longest: int, options: Sequence[str]) -> bool:
    return all(_holds_option(options[i], options[longest]) for i in held)


def _holds_option(option: str, text: str) -> bool:
    stems = [stem_word(word) for word in plain_words(option) if word not in FUNCTION_WORDS]
    return bool(stems) and set(stems) <= match_topic(stems, text)


def _holds_names(question: FactQuestion, text: str) -> bool:
    """Whether a passage holds the numbers and names of the question, a little misspelt or not: a
    sentence on the Berlin office says nothing of the Paris one."""
    words = question.query.split()
    named = [
        stem_word(piece)
        for word in words[1:]
        if word[:1].isupper() or word[:1].isdigit()
        for piece in split_words(word)
    ]
    named = [stem for stem in named if stem in question.topic]
    return set(named) <= match_topic(named, text)


def _list_times(passages: Sequence[RecordPassage]) -> str:
    spans = sorted({passage.span for passage in passages})
    more = f" and {len(spans) - MOST_MOMENTS} more" if len(spans) > MOST_MOMENTS else ""
    return ", ".join(map(str, spans[:MOST_MOMENTS])) + more
