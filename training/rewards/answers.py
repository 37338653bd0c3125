"""Is the answer right, and is it written as asked? Rewards of the final answer.

Where the proof is, is judged by `spans.py`, `boxes.py` and `evidence.py`.
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


def tag_format(trajectory: Trajectory, truth: Truth, *, thought_open: bool = False) -> float | None:
    """Whether every turn is `<think>...</think>` and one action: 0 or 1.

    The action is `<tool>...</tool>`, in the last turn `<answer>...</answer>`; nothing may be empty,
    nothing may stand outside. With `thought_open` the chat template has written the first tag of a
    turn already. None where the turns were not kept.

    Example:
        >>> turns = ("<think>It is hot.</think><answer>yes</answer>",)
        >>> tag_format(Trajectory(answer="yes", turns=turns), Truth())
        1.0
    """
    if not trajectory.turns:
        return None
    last = len(trajectory.turns) - 1
    return float(
        all(
            _well_formed(turn, "answer" if i == last else "tool", thought_open)
            for i, turn in enumerate(trajectory.turns)
        )
    )


def _well_formed(turn: str, action: str, thought_open: bool) -> bool:
    turn = "<think>" + turn if thought_open else turn
    # A fifth tag is one too many: no more are looked for, however long the turn is.
    tags = list(islice(_TAG.finditer(turn), 5))
    if [tag.group().lower() for tag in tags] != [
        "<think>",
        "</think>",
        f"<{action}>",
        f"</{action}>",
    ]:
        return False
    # The four tags cut the turn into five texts.
    bounds = [0, *(edge for tag in tags for edge in tag.span()), len(turn)]
    outside, thought, between, body, after = (
        turn[bounds[i] : bounds[i + 1]].strip() for i in range(0, 10, 2)
    )
    return bool(thought and body) and not (outside or between or after)


def choice(trajectory: Trajectory, truth: Truth) -> float | None:
    """Whether the answer picks the right option, by letter or by text: 0 or 1. An answer that
    names several, or denies the right one, picks none. None without a known choice.

    Example:
        >>> truth = Truth(options=("red", "blue"), choice=1)
        >>> [choice(Trajectory(answer=text), truth) for text in ("B", "blue", "not blue")]
        [1.0, 1.0, 0.0]
    """
    if truth.choice is None:
        return None
    read = read_answer(trajectory.answer, truth.options, truth.question)
    return float(read.choice == truth.choice)


def numeric(trajectory: Trajectory, truth: Truth, *, tolerance: float = 0.005) -> float | None:
    """Whether the answer holds the right number, and no other: 0 or 1.

    Number words count where there are no digits; "not 3" and "3 is wrong" hold none. `tolerance`
    is absolute; its default is rounding to two decimals. None without a known number.

    Example:
        >>> [numeric(Trajectory(answer=text), Truth(number=3.0)) for text in ("three", "3 or 4")]
        [1.0, 0.0]
    """
    if truth.number is None:
        return None
    answer = read_answer(trajectory.answer).said
    # Words are read only where no digits are: "one of the 3" is 3.
    numbers = _numbers_in(answer) or _numbers_in(numbers_as_digits(answer))
    return float(len(numbers) == 1 and abs(numbers.pop() - truth.number) <= tolerance)


def _numbers_in(text: str) -> set[float]:
    """The numbers that stand in digits and are not denied, as in "not 3"."""
    clauses = Clauses.of(text)
    return {
        float(match[0].replace(",", ""))
        for match in _NUMERAL.finditer(text)
        if not clauses.denies(*match.span())
    }


def text_overlap(trajectory: Trajectory, truth: Truth) -> float | None:
    """Mean F of ROUGE-1, ROUGE-2 and ROUGE-L against the right answer, 0..1 (Lin 2004; the mean as
    in Video-R1, arXiv 2503.21776). None without a right answer in words.

    Example:
        >>> truth = Truth(answer="a red kettle boils")
        >>> text_overlap(Trajectory(answer="a red kettle boils"), truth)
        1.0
    """
    rights = [words for text in right_answers(truth) if (words := split_words(text))]
    if not rights:
        return None
    answer = split_words(read_answer(trajectory.answer).said)
    return max(_overlap(answer, right) for right in rights)


def _overlap(answer: list[str], right: list[str]) -> float:
    # A right answer of one word has no pairs of words.
    lengths = (1, 2) if len(right) > 1 else (1,)
    scores = [_f_measure(_count_shared_runs(answer, right, n), answer, right, n) for n in lengths]
    scores.append(_f_measure(_common_subsequence(answer, right), answer, right, 1))
    return sum(scores) / len(scores)


def _count_shared_runs(answer: list[str], right: list[str], n: int) -> int:
    """Runs of n words in both, each as often as in the one that has it less often."""
    first, second = (
        Counter(zip(*(text[i:] for i in range(n)), strict=False)) for text in (answer, right)
    )
    return (first & second).total()


def _common_subsequence(answer: list[str], right: list[str]) -> int:
    """Length of the longest common subsequence, a word of `answer` at a time over all of `right` as
    bits of one integer (Hyyro 2004): linear in `answer`."""
    # 1) Where each word stands in the right answer, a bit a position.
    positions: dict[str, int] = {}
    for i, word in enumerate(right):
        positions[word] = positions.get(word, 0) | 1 << i
    # 2) A zero bit is a position where the longest subsequence grows by one. The carry of the sum
    #    moves each zero to the first match behind the zero before it.
    all_bits = (1 << len(right)) - 1
    open_bits = all_bits
    for word in answer:
        hit = open_bits & positions.get(word, 0)
        open_bits = ((open_bits + hit) | (open_bits - hit)) & all_bits
    return len(right) - open_bits.bit_count()


def _f_measure(shared: int, answer: list[str], right: list[str], n: int) -> float:
    total = max(0, len(answer) - n + 1) + max(0, len(right) - n + 1)
    return 2 * shared / total if total else 0.0


def right_answers(truth: Truth) -> tuple[str, ...]:
    """All answers in words that are right.

    Example:
        >>> right_answers(Truth(answer="red", answers=("red", "scarlet")))
        ('red', 'scarlet')
    """
    return truth.answers or (() if truth.answer is None else (truth.answer,))


def correct(trajectory: Trajectory, truth: Truth) -> float | None:
    """Whether the answer is right by the strictest rule there is truth for: 0 or 1.

    The option where there are options, else the number, else the same words but for filler and
    what the question says already. Of several right answers any will do. None where no answer is
    known.

    Example:
        >>> colours = ("red", "scarlet")
        >>> truth = Truth(question="What colour is the kettle?", answer="red", answers=colours)
        >>> correct(Trajectory(answer="The kettle is scarlet."), truth)
        1.0
    """
    if truth.choice is not None:
        return choice(trajectory, truth)
    rights = [text for text in right_answers(truth) if split_words(text)]
    # With a number one answer in words is that number written out, and several are others.
    if truth.number is not None and (len(rights) < 2 or numeric(trajectory, truth)):
        return numeric(trajectory, truth)
    if not rights:
        return None
    answer = normalise_answer(read_answer(trajectory.answer).said, truth.question)
    return float(any(answer == normalise_answer(right, truth.question) for right in rights))
