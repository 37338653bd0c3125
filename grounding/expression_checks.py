"""Whether an expression about an annotated image refers to its target, to that alone, and with no
word too many.

Words are matched with the values of attributes and the categories of the image. An expression with
words that no attribute explains ("left of the bench") is checked only as far as its attributes go,
and says so.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mmreason.grounding.look_alikes import CATEGORY, AnnotatedObject, AttributeValue, fitting

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|[,;.:]")
_STOPS = frozenset(",;.:")
"""What is negated stands before the next of these."""
_NEGATIONS = frozenset({"not", "isn't", "aren't", "no", "without", "non"})
_SCOPE = 3
"""Words between a negation and what it negates, at most."""
_FUNCTION_WORDS = frozenset(
    (
        *("a", "an", "the", "of", "and", "but", "with", "in", "on", "to", "rather", "than"),
        *("is", "are", "was", "be", "has", "have", "that", "which", "who", "whose"),
        *("one", "ones", "it", "its", "this", "these", "those", "instead"),
    )
)
"""Carry no descriptor; whatever else is not explained is told."""
_CONTRASTS = (("rather", "than"), ("instead", "of"))
"""Negate what follows, as "not" does."""


class ExpressionStatus(StrEnum):
    """What a check of an expression came to."""

    GOOD = "good"
    """It fits its target alone, and needs each of its descriptors."""
    AMBIGUOUS = "ambiguous"
    """It fits others too."""
    REDUNDANT = "redundant"
    """It fits its target alone, and would without some of its descriptors."""
    WRONG = "wrong"
    """It does not fit its target."""
    UNCHECKED = "unchecked"
    """Attributes alone cannot say: it has words that they do not explain, or they are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionCheck:
    """An expression and what is right or wrong with it.

    Example:
        >>> check.reason  # doctest: +SKIP
        'also fits 2 (star)'
    """

    expression: str
    targets: tuple[str, ...]
    """Ids of the objects that it is to refer to."""
    status: ExpressionStatus
    reason: str
    descriptors: tuple[str, ...]
    """What was understood of it, "not" before what is negated."""
    also_fits: tuple[str, ...] = ()
    """Ids of others."""
    redundant: tuple[str, ...] = ()
    """Descriptors that can go one at a time."""
    unexplained: tuple[str, ...] = ()
    """Words that no attribute explains."""


def check_expression(
    objects: Sequence[AnnotatedObject], expression: str, targets: Sequence[str]
) -> ExpressionCheck:
    """Check one expression about the objects of an image. `targets` may be none or several.

    Example:
        >>> red = AnnotatedObject(id="1", category="star", attributes={"colour": ("red",)})
        >>> blue = AnnotatedObject(id="2", category="star", attributes={"colour": ("blue",)})
        >>> check_expression([red, blue], "the star", ["1"]).reason
        'also fits 2 (star)'
        >>> str(check_expression([red, blue], "the star that is not blue", ["1"]).status)
        'good'
    """
    required, unexplained = match_words(objects, expression)
    fit, unsure = fitting(objects, required)
    target_ids = set(targets)
    fits = {item.id for item in fit}
    missed = [item for item in objects if item.id in target_ids and item.id not in fits]
    also = tuple(item.id for item in fit if item.id not in target_ids)
    redundant = () if also or missed or not targets else _find_redundant(objects, required, fits)
    status, reason = _judge(
        objects, required, targets, missed, unsure, also, redundant, unexplained
    )
    return ExpressionCheck(
        expression=expression,
        targets=tuple(targets),
        status=status,
        reason=reason,
        descriptors=tuple(_show(d, holds) for d, holds in required),
        also_fits=also,
        redundant=redundant,
        unexplained=unexplained,
    )


def _judge(
    objects: Sequence[AnnotatedObject],
    required: Sequence[tuple[AttributeValue, bool]],
    targets: Sequence[str],
    missed: Sequence[AnnotatedObject],
    unsure: Sequence[AnnotatedObject],
    also: Sequence[str],
    redundant: Sequence[str],
    unexplained: Sequence[str],
) -> tuple[ExpressionStatus, str]:
    names = {item.id: f"{item.id} ({item.category})" for item in objects}
    if not required:
        gap = f"attributes do not explain: {', '.join(unexplained)}"
        return ExpressionStatus.UNCHECKED, gap if unexplained else "it says nothing"
    double = _find_double(objects, required)
    if double:
        reason = f"{double}: of one object, or of several; this check cannot say"
        return ExpressionStatus.UNCHECKED, reason
    false = [item for item in missed if item not in unsure]
    if false:
        violated = [_show(d, h) for d, h in required if false[0].says(d) is (not h)]
        status, reason = ExpressionStatus.WRONG, f"{names[false[0].id]} is not {violated[0]}"
    elif missed or (unsure and not also):
        unknown = ", ".join(names[item.id] for item in missed or unsure)
        reason = f"what it says is not known of {unknown}"
        status = ExpressionStatus.UNCHECKED
    elif also:
        fits = ", ".join(names[key] for key in also)
        status = ExpressionStatus.AMBIGUOUS if targets else ExpressionStatus.WRONG
        reason = f"also fits {fits}" if targets else f"fits {fits}, and nothing is meant"
    elif not targets:
        status, reason = ExpressionStatus.GOOD, "nothing fits, and nothing is meant"
    elif redundant:
        status = ExpressionStatus.REDUNDANT
        reason = f"unique without {' or without '.join(redundant)}"
    else:
        status = ExpressionStatus.GOOD
        reason = "unique, and needs each of its descriptors"
    if not unexplained:
        return status, reason
    # What is not understood may be what tells objects apart, or be about another object.
    gap = f"attributes do not explain: {', '.join(unexplained)}"
    return ExpressionStatus.UNCHECKED, f"{reason}, by its attributes; {gap}"


def _find_double(
    objects: Sequence[AnnotatedObject], required: Sequence[tuple[AttributeValue, bool]]
) -> str:
    """Two values of one attribute that no object has both of, as in "the dog beside the cat"."""
    positive = [descriptor for descriptor, holds in required if holds]
    for first, second in itertools.combinations(positive, 2):
        if first.attribute == second.attribute and not any(
            item.says(first) and item.says(second) for item in objects
        ):
            return f"{first} and {second.value}"
    return ""


def _find_redundant(
    objects: Sequence[AnnotatedObject],
    required: Sequence[tuple[AttributeValue, bool]],
    fits: set[str],
) -> tuple[str, ...]:
    """Descriptors without which the same objects fit. The head noun is no descriptor: a sentence
    needs one."""
    redundant = []
    for index, (descriptor, holds) in enumerate(required):
        if descriptor.attribute == CATEGORY and holds:
            continue
        fewer = [pair for position, pair in enumerate(required) if position != index]
        fit, unsure = fitting(objects, fewer)
        if not unsure and {item.id for item in fit} == fits:
            redundant.append(_show(descriptor, holds))
    return tuple(redundant)


def match_words(
    objects: Sequence[AnnotatedObject], expression: str
) -> tuple[tuple[tuple[AttributeValue, bool], ...], tuple[str, ...]]:
    """The descriptors that an expression words, each with whether it is to hold, and the words
    that none explains.

    Example:
        >>> star = AnnotatedObject(id="1", category="star", attributes={"colour": ("red",)})
        >>> required, unexplained = match_words([star], "stars on the left, not red")
        >>> [(str(d), holds) for d, holds in required], unexplained
        ([('category: star', True), ('colour: red', False)], ('left',))
    """
    tokens = _words_of(expression)
    matches, unclear, taken = _match_values(objects, tokens)
    polarity: dict[AttributeValue, bool] = {}
    negated_ends: set[int] = set()
    for start, length, descriptor in sorted(matches):
        holds = not _is_negated(tokens, taken, start)
        # "not big red": whether red is negated too, nobody can say.
        if start in negated_ends or polarity.get(descriptor, holds) != holds:
            unclear.append(f"not ... {' '.join(tokens[start : start + length])}")
        polarity.setdefault(descriptor, holds)
        negated_ends |= set() if holds else {start + length}
    # The name of an attribute whose value is there ("whose colour is red") says nothing more.
    names = {token for d in polarity for token in _words_of(d.attribute)}
    unexplained = [
        token
        for index, token in enumerate(tokens)
        if index not in taken and token not in _FUNCTION_WORDS | _NEGATIONS | _STOPS | names
    ]
    return tuple(polarity.items()), (*unexplained, *unclear)


def _match_values(
    objects: Sequence[AnnotatedObject], tokens: Sequence[str]
) -> tuple[list[tuple[int, int, AttributeValue]], list[str], set[int]]:
    """(first word, number of words, descriptor) of each value in the text, values that may be of
    several attributes, and the words of both. Longer values first, so that "dark red" is not read
    as "red"."""
    by_phrase: dict[tuple[str, ...], set[AttributeValue]] = defaultdict(set)
    for item in objects:
        for descriptor in item.descriptors:
            by_phrase[tuple(_words_of(descriptor.value))].add(descriptor)
    taken: set[int] = set()
    matches, unclear = [], []
    for phrase in sorted(by_phrase, key=lambda phrase: (-len(phrase), phrase)):
        # "No" and "one" as values are words of every sentence.
        if not set(phrase) - _FUNCTION_WORDS - _NEGATIONS - _STOPS:
            continue
        options = by_phrase[phrase]
        if len(options) > 1:
            named = {d for d in options if set(_words_of(d.attribute)) & set(tokens)}
            options = named if len(named) == 1 else options
        for start in _places(tokens, phrase):
            indices = range(start, start + len(phrase))
            if taken.isdisjoint(indices):
                taken |= set(indices)
                if len(options) == 1:
                    matches.append((start, len(phrase), next(iter(options))))
                else:
                    attributes = " or ".join(sorted(d.attribute for d in options))
                    unclear.append(f"{' '.join(phrase)} ({attributes})")
    return matches, unclear, taken


def _words_of(text: str) -> list[str]:
    plain = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("non-", "non ")
    return _WORD.findall(plain)


def _places(tokens: Sequence[str], phrase: Sequence[str]) -> list[int]:
    """Where a phrase begins; its last word may be a plural."""
    ends = {phrase[-1], f"{phrase[-1]}s", f"{phrase[-1]}es"} if phrase else set()
    if phrase and phrase[-1].endswith("y"):
        ends.add(f"{phrase[-1][:-1]}ies")
    last = len(phrase) - 1
    return [
        start
        for start in range(len(tokens) - last)
        if tuple(tokens[start : start + last]) == tuple(phrase[:-1])
        and tokens[start + last] in ends
    ]


def _is_negated(tokens: Sequence[str], taken: set[int], start: int) -> bool:
    """Whether a negation stands before, with nothing between that is itself a descriptor."""
    for index in range(start - 1, max(-1, start - 1 - _SCOPE), -1):
        if index in taken or tokens[index] in _STOPS:
            return False
        if tokens[index] in _NEGATIONS or tuple(tokens[index : index + 2]) in _CONTRASTS:
            return True
    return False


def _show(descriptor: AttributeValue, holds: bool) -> str:
    return str(descriptor) if holds else f"not {descriptor}"
