"""Is the answer right, and is it written as asked? Rewards of the final answer.

Leaves out where the proof is (`spans.py`, `boxes.py`, `evidence.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice

from mmreason.language.answer_reading import normalise_answer, read_answer
from mmreason.language.negation import Clauses
from mmreason.language.numbers import numbers_as_digits
from mmreason.language.text import split_words
from mmreason.training.rewards.types import Trajectory, Truth

_TAG = re.compile(r"</?(?:think|tool|answer)>", re.IGNORECASE)
_NUMERAL = re.compile(
    r"(?<![\w.,])[-+]?(?:\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.\d{1,15})?(?:e[-+]?\d{1,3})?(?!\d)",
    re.IGNORECASE,
)


def tag_format(seen: Trajectory, truth: Truth, *, thought_open: bool = False) -> float | None:
    """Whether every turn is `<think>...</think>` and one action: 0 or 1.

    The action is `<tool>...</tool>`, in the last turn `<answer>...</answer>`; nothing may be empty,
    nothing may stand outside. With `thought_open` the chat template has written the first tag of a
    turn already. None where the turns were not kept.
    """
    if not seen.turns:
        return None
    last = len(seen.turns) - 1
    return float(
        all(
            _well_formed(turn, "answer" if at == last else "tool", thought_open)
            for at, turn in enumerate(seen.turns)
        )
    )


def _well_formed(turn: str, action: str, thought_open: bool) -> bool:
    turn = "<think>" + turn if thought_open else turn
    tags = list(islice(_TAG.finditer(turn), 5))
    if [tag.group().lower() for tag in tags] != [
        "<think>",
        "</think>",
        f"<{action}>",
        f"</{action}>",
    ]:
        return False
    bounds = [0, *(edge for tag in tags for edge in tag.span()), len(turn)]
    outside, thought, between, body, after = (
        turn[bounds[i] : bounds[i + 1]].strip() for i in range(0, 10, 2)
    )
    return bool(thought and body) and not (outside or between or after)


def choice(seen: Trajectory, truth: Truth) -> float | None:
    """Whether the answer picks the right option, by letter or by text: 0 or 1. An answer that
    names several, or denies the right one, picks none. None without a known choice."""
    if truth.choice is None:
        return None
    read = read_answer(seen.answer, truth.options, truth.question)
    return float(read.choice == truth.choice)


def numeric(seen: Trajectory, truth: Truth, *, tolerance: float = 0.005) -> float | None:
    """Whether the answer holds the right number, and no other: 0 or 1.

    Number words count where there are no digits; "not 3" and "3 is wrong" hold none. `tolerance`
    is absolute; its default is rounding to two decimals. None without a known number.
    """
    if truth.number is None:
        return None
    said = read_answer(seen.answer).said
    numbers = _numbers_in(said) or _numbers_in(numbers_as_digits(said))
    return float(len(numbers) == 1 and abs(numbers.pop() - truth.number) <= tolerance)


def _numbers_in(text: str) -> set[float]:
    """The numbers that stand in digits and are not denied, as in "not 3"."""
    clauses = Clauses.of(text)
    return {
        float(found[0].replace(",", ""))
        for found in _NUMERAL.finditer(text)
        if not clauses.denies(*found.span())
    }


def text_overlap(seen: Trajectory, truth: Truth) -> float | None:
    """Mean F of ROUGE-1, ROUGE-2 and ROUGE-L against the right answer, 0..1 (Lin 2004; the mean as
    in Video-R1, arXiv 2503.21776). None without a right answer in words."""
    wanted = split_words(truth.answer or "")
    if not wanted:
        return None
    said = split_words(read_answer(seen.answer).said)
    scores = [_f_measure(_shared(said, wanted, n), said, wanted, n) for n in (1, 2)]
    if len(wanted) < 2:
        del scores[1]
    scores.append(_f_measure(_common_subsequence(said, wanted), said, wanted, 1))
    return sum(scores) / len(scores)


def _shared(said: list[str], wanted: list[str], n: int) -> int:
    """Runs of n words in both, each as often as in the one that has it less often."""
    counts = (Counter(zip(*(w[i:] for i in range(n)), strict=False)) for w in (said, wanted))
    first, second = counts
    return (first & second).total()


def _common_subsequence(said: list[str], wanted: list[str]) -> int:
    """Length of the longest common subsequence, a word of `said` at a time over all of `wanted` as
    bits of one integer (Hyyro 2004): linear in `said`."""
    at: dict[str, int] = {}
    for i, word in enumerate(wanted):
        at[word] = at.get(word, 0) | 1 << i
    every = (1 << len(wanted)) - 1
    open_bits = every
    for word in said:
        hit = open_bits & at.get(word, 0)
        open_bits = ((open_bits + hit) | (open_bits - hit)) & every
    return len(wanted) - open_bits.bit_count()


def _f_measure(shared: int, said: list[str], wanted: list[str], n: int) -> float:
    total = max(0, len(said) - n + 1) + max(0, len(wanted) - n + 1)
    return 2 * shared / total if total else 0.0


def correct(seen: Trajectory, truth: Truth) -> float | None:
    """Whether the answer is right by the strictest rule there is truth for: 0 or 1.

    The option where there are options, else the number, else the same words but for filler and
    what the question says already. None where no answer is known.
    """
    if truth.choice is not None:
        return choice(seen, truth)
    if truth.number is not None:
        return numeric(seen, truth)
    if truth.answer is None or not split_words(truth.answer):
        return None
    said = normalise_answer(read_answer(seen.answer).said, truth.question)
    return float(said == normalise_answer(truth.answer, truth.question))
