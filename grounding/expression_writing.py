"""Letting a language model write expressions about an annotated image, and checking what it wrote.

Ref-Adv's way (arXiv 2602.23898, section 3): asked at once, models pile descriptors up, so that
some are not needed. Asked twice they are: first for two look-alikes with what tells them from the
rest (group) and from each other (pair), then for sentences that use one of either. Where
attributes are known, each step is checked exactly; people still look at what passes.

The prompts are text: which model answers is the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmreason.grounding.dialects.answer_text import answer_body, find_values
from mmreason.grounding.expression_checks import (
    ExpressionCheck,
    ExpressionStatus,
    check_expression,
    match_words,
)
from mmreason.grounding.look_alikes import AnnotatedObject, fitting

GROUP_COUNT, PAIR_COUNT = 2, 4
"""Discriminators that the first reply must have."""
SENTENCES = 4
"""Expressions of each target in the second reply."""


class ReplyError(ValueError):
    """A reply that cannot be used; one line says why. Ask again, or leave the image out."""


@dataclass(frozen=True, slots=True)
class Discriminator:
    """What is true of one side and false of the other.

    Example:
        >>> Discriminator("P1", "pose", "lying", "sitting").phrases
        ('lying', 'sitting')
    """

    id: str
    """G1, G2 tell the pair from the rest; P1 to P4 the first of the pair from the second."""
    name: str
    first: str
    """True of the pair, or of its first."""
    second: str
    """True of the rest, or of the second of the pair."""

    @property
    def phrases(self) -> tuple[str, str]:
        return self.first, self.second


@dataclass(frozen=True, slots=True)
class LookAlikePlan:
    """The first reply: two look-alikes, and what may be said of them.

    Example:
        >>> plan.pair  # doctest: +SKIP
        ('1', '4')
    """

    pair: tuple[str, str]
    """Ids; both will be targets, each the other's hard distractor."""
    group: tuple[Discriminator, ...]
    within: tuple[Discriminator, ...]
    doubts: tuple[str, ...]
    """Phrases that the annotations contradict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenExpression:
    """A sentence of the second reply, and what is wrong with it.

    Example:
        >>> written.problems  # doctest: +SKIP
        ('says a number: 4',)
    """

    text: str
    target: str
    group_ids: tuple[str, ...]
    pair_ids: tuple[str, ...]
    check: ExpressionCheck
    problems: tuple[str, ...]
    """None: it may go to people, who look without knowing the answer."""


def write_pair_prompt(objects: Sequence[AnnotatedObject]) -> str:
    """The first question, beside the image with each object's id drawn on it."""
    listed = "\n".join(f"{item.id}: {item.category}" for item in objects)
    return (
        "Each object in the picture is marked with its id:\n"
        f"{listed}\n"
        "Choose the two of one category that look most alike (the pair). Everything else is the "
        "rest.\n"
        f"Then name exactly {GROUP_COUNT} properties that the pair has and the rest has not "
        f'("group"), and exactly {PAIR_COUNT} that the first of the pair has and the second has '
        'not ("within"): two that one sees at once and two that take a closer look. A phrase is '
        "a few words, says only what is to be seen, and never an id.\n"
        'Answer with JSON: {"pair": [id, id], "group": [{"name": ..., "first": phrase of the '
        'pair, "second": phrase of the rest}], "within": [{"name": ..., "first": phrase of the '
        'first, "second": phrase of the second}]}'
    )


def read_pair_reply(text: str, objects: Sequence[AnnotatedObject]) -> LookAlikePlan:
    """What the first question was answered with. Raises ReplyError where it cannot be used."""
    value = _read_object(text)
    ids = {item.id: item for item in objects}
    named = value.get("pair")
    pair = _read_ids(named)
    if len(pair) != 2 or len(set(pair)) != 2 or not set(pair) <= set(ids):
        raise ReplyError(f"'pair' must be two ids of the objects, found {str(named)[:60]}")
    first, second = (ids[key] for key in pair)
    if first.category != second.category:
        raise ReplyError(f"the pair is a {first.category} and a {second.category}, no look-alikes")
    group = _read_discriminators(value, "group", "G", GROUP_COUNT)
    within = _read_discriminators(value, "within", "P", PAIR_COUNT)
    distractors = [item for item in objects if item.id not in pair]
    doubts = []
    for item in group:
        doubts += _doubt(objects, item, item.first, [first, second], distractors)
    for item in within:
        doubts += _doubt(objects, item, item.first, [first], [second])
        doubts += _doubt(objects, item, item.second, [second], [first])
    return LookAlikePlan((pair[0], pair[1]), group, within, tuple(doubts))


def write_sentences_prompt(plan: LookAlikePlan) -> str:
    """The second question, in the same conversation."""
    group = "\n".join(f"{d.id}: {d.first} (the rest: {d.second})" for d in plan.group)
    within = "\n".join(
        f"{d.id}: {plan.pair[0]} is {d.first}, {plan.pair[1]} is {d.second}" for d in plan.within
    )
    return (
        f"Write {SENTENCES} referring expressions of {plan.pair[0]} and {SENTENCES} of "
        f"{plan.pair[1]}. Each uses exactly one of the group\n{group}\nand exactly one of within\n"
        f"{within}\n"
        "and says nothing else. Word the property of the target, the negated one of its twin (not "
        "...), or both (... rather than ...). Never write an id.\n"
        'Answer with JSON: {"expressions": [{"target": id, "group": [id], "within": [id], "text": '
        "...}]}"
    )


def read_sentences_reply(
    text: str, plan: LookAlikePlan, objects: Sequence[AnnotatedObject]
) -> tuple[WrittenExpression, ...]:
    """The sentences, each with what is wrong with it. Raises ReplyError where there are none."""
    value = _read_object(text)
    entries = value.get("expressions")
    if not isinstance(entries, list) or not entries:
        raise ReplyError("'expressions' must be a list of sentences")
    return tuple(_check_sentence(entry, plan, objects) for entry in entries)


def _check_sentence(
    entry: Any, plan: LookAlikePlan, objects: Sequence[AnnotatedObject]
) -> WrittenExpression:
    fields = entry if isinstance(entry, dict) else {}
    text, target = str(fields.get("text", "")).strip(), _id_text(fields.get("target", ""))
    group_ids, pair_ids = _read_ids(fields.get("group")), _read_ids(fields.get("within"))
    problems = [] if text else ["says nothing"]
    if target not in plan.pair:
        problems.append(f"is about {target[:20]!r}, none of the pair")
    for used, discriminators, name in (
        (group_ids, plan.group, "group"),
        (pair_ids, plan.within, "within"),
    ):
        if len(used) != 1 or used[0] not in {item.id for item in discriminators}:
            problems.append(f"must use one discriminator of {name}, names {len(used)}")
    # Ids are drawn on the picture, and must not be in the sentence.
    numbers = re.findall(r"#?\b\d+\b", text)
    problems += [f"says a number: {numbers[0]}"] if numbers else []
    check = check_expression(objects, text, [target])
    bad = (ExpressionStatus.AMBIGUOUS, ExpressionStatus.REDUNDANT, ExpressionStatus.WRONG)
    problems += [f"{check.status}: {check.reason}"] if check.status in bad else []
    return WrittenExpression(
        text=text,
        target=target,
        group_ids=group_ids,
        pair_ids=pair_ids,
        check=check,
        problems=tuple(problems),
    )


def _id_text(value: Any) -> str:
    """An id as text, whether it was written as text or as a number."""
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if is_whole else value)


def _read_ids(value: Any) -> tuple[str, ...]:
    return tuple(map(_id_text, value)) if isinstance(value, list) else ()


def _read_object(text: str) -> dict[str, Any]:
    values = [found.value for found in find_values(answer_body(text, []), [])]
    objects = [value for value in values if isinstance(value, dict)]
    if not objects:
        raise ReplyError("the reply holds no JSON object")
    return objects[-1]


def _read_discriminators(
    value: dict[str, Any], name: str, letter: str, count: int
) -> tuple[Discriminator, ...]:
    entries = value.get(name)
    if not isinstance(entries, list) or len(entries) != count:
        found = len(entries) if isinstance(entries, list) else "none"
        raise ReplyError(f"{name!r} must have {count} discriminators, found {found}")
    read = []
    for number, entry in enumerate(entries, start=1):
        fields = entry if isinstance(entry, dict) else {}
        texts = [str(fields.get(key, "")).strip() for key in ("name", "first", "second")]
        if not all(texts):
            raise ReplyError(f"{name!r} {number} must have a name and two phrases")
        read.append(Discriminator(f"{letter}{number}", *texts))
    return tuple(read)


def _doubt(
    objects: Sequence[AnnotatedObject],
    item: Discriminator,
    phrase: str,
    true_of: Sequence[AnnotatedObject],
    false_of: Sequence[AnnotatedObject],
) -> list[str]:
    """What the annotations contradict; a phrase that they do not know is not doubted."""
    required, unexplained = match_words(objects, phrase)
    if not required or unexplained:
        return []
    fits = {thing.id for thing in fitting(objects, required)[0]}
    false = [thing.id for thing in true_of if any(thing.says(d) is (not h) for d, h in required)]
    doubts = [f"{item.id}: {phrase!r} is not true of {', '.join(false)}"] if false else []
    if false_of and all(thing.id in fits for thing in false_of):
        names = ", ".join(thing.id for thing in false_of)
        doubts.append(f"{item.id}: {phrase!r} is true of {names} too")
    return doubts


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What expressions cost that are still there after people looked.

    Example:
        >>> cost = estimate_cost(4000, input_price=2.5, output_price=10)
        >>> round(cost.price), round(cost.price / cost.accepted, 3)
        (149, 0.037)
    """

    accepted: int
    generations: int
    price: float
    """In the currency of the prices."""


def estimate_cost(
    accepted: int,
    *,
    input_price: float,
    output_price: float,
    kept_share: float = 0.187,
    input_tokens: int = 2300,
    output_tokens: int = 120,
) -> CostEstimate:
    """Of `kept` expressions, at prices a million tokens. The share that people keep and the tokens
    of an expression are those that Ref-Adv reports of GPT-4o. Raises ValueError for numbers that
    are none."""
    if accepted < 0 or not 0 < kept_share <= 1 or min(input_price, output_price) < 0:
        raise ValueError("kept and prices must not be below 0, kept_share must be in 0..1")
    generations = round(accepted / kept_share)
    each = (input_tokens * input_price + output_tokens * output_price) / 1e6
    return CostEstimate(accepted, generations, generations * each)
