"""Chains of additions: one number after the other is added up, modulo `BASE`.

`sum 7 2 9 4 =` is answered by the partial sums, `9 18 22`; the last word counts. Filler words may
stand anywhere in an answer and are not read: tokens that earn nothing and are rewarded all the
same, the noise that STAPO is about.
"""

from __future__ import annotations

import random
from functools import partial

from mmreason.training.claims.text_task import TRAINING_PROBLEMS, Demonstration, TextTask
from mmreason.training.rewards import Trajectory, Truth
from mmreason.training.rollouts.types import Problem, stable_seed

BASE = 24
LARGEST = 5
"""Addends are 0 to this."""
HARD = 5
"""The addend that demonstrators have no idea of."""
FILLERS = ("uh", "um", "er", "hm")
WORDS = ("sum", "=", *(str(i) for i in range(BASE)), *FILLERS)


def make_task(
    addends: int, *, max_new_tokens: int, held_out: bool = False, count: int = TRAINING_PROBLEMS
) -> TextTask:
    """Sums of so many numbers; held-out tasks share no question with the others."""
    return TextTask(
        name=f"sums of {addends}{', held out' if held_out else ''}",
        count=count,
        make=partial(make_problem, held_out=held_out, addends=addends),
        right=check_last_number,
        max_new_tokens=max_new_tokens,
    )


def make_problem(index: int, *, held_out: bool, addends: int) -> Problem:
    """Problem `index` of its half.

    Example:
        >>> make_problem(0, held_out=False, addends=3).question.split()[0]
        'sum'
    """
    for attempt in range(1000):
        draw = random.Random(stable_seed("sums", held_out, addends, index, attempt))
        numbers = [draw.randint(0, LARGEST) for _ in range(addends)]
        question = f"sum {' '.join(map(str, numbers))} ="
        # A fifth of all questions is held out, by their words alone.
        if (stable_seed(question) % 5 == 0) == held_out:
            break
    else:
        raise AssertionError("no question of that half in a thousand draws")
    name = "held" if held_out else "train"
    truth = Truth(question=question, answer=str(sum(numbers) % BASE))
    return Problem(id=f"sums-{name}-{index}", question=question, truth=truth)


def check_last_number(trajectory: Trajectory, truth: Truth) -> float | None:
    """Whether the last word that is no filler is the sum: 0 or 1."""
    numbers = [word for word in trajectory.answer.split() if word not in FILLERS]
    return float(bool(numbers) and numbers[-1] == truth.answer)


def count_fillers(text: str) -> int:
    """How many filler words an answer holds.

    Example:
        >>> count_fillers("9 um 18 uh 22")
        2
    """
    return sum(word in FILLERS for word in text.split())


def demonstrate_sum(
    problem: Problem, draw: random.Random, *, guess: float, slip: float, filler: float, hard: bool
) -> Demonstration:
    """An answer as an imperfect teacher would write it.

    With probability `guess` he names any number at once. Else he writes the partial sums, each one
    off with probability `slip`, and, with `hard`, anything at all after the addend `HARD`. Before
    each word stands a filler with probability `filler`."""
    numbers = [int(word) for word in problem.question.split()[1:-1]]
    partial_sums, total = [], numbers[0]
    for number in numbers[1:] if draw.random() >= guess else ():
        total += number
        if hard and number == HARD:
            total = draw.randrange(BASE)
        elif draw.random() < slip:
            total += draw.choice((-1, 1))
        total %= BASE
        partial_sums.append(str(total))
    partial_sums = partial_sums or [str(draw.randrange(BASE))]
    written = [
        word
        for number in partial_sums
        for word in ((draw.choice(FILLERS), number) if draw.random() < filler else (number,))
    ]
    return Demonstration((problem.question, " ".join(written)))
