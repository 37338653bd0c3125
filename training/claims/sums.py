"""Chains of additions: one number after the other is added up, modulo `BASE`.

`sum 7 2 9 4 =` is answered by the partial sums, `9 18 22`; the last word counts. Filler words may
stand anywhere in an answer and are not read: tokens that earn nothing and are rewarded all the
same, the noise that STAPO is about. Leaves out training (`start.py`, `arms.py`).
"""

from __future__ import annotations

import random

from mmreason.training.claims.demonstration import Demonstration
from mmreason.training.rewards import Trajectory, Truth
from mmreason.training.rollouts.types import Problem, stable_seed

BASE = 24
LARGEST = 5
"""Addends are 0 to this."""
HARD = 5
"""The addend that demonstrators have no idea of."""
FILLERS = ("uh", "um", "er", "hm")
WORDS = ("sum", "=", *(str(i) for i in range(BASE)), *FILLERS)


def problem(index: int, *, held_out: bool, addends: int) -> Problem:
    """Problem `index`; held-out ones share no question with the others."""
    for attempt in range(1000):
        draw = random.Random(stable_seed("sums", held_out, addends, index, attempt))
        numbers = [draw.randint(0, LARGEST) for _ in range(addends)]
        question = f"sum {' '.join(map(str, numbers))} ="
        if (stable_seed(question) % 5 == 0) == held_out:
            break
    else:
        raise AssertionError("no question of that half in a thousand draws")
    name = "held" if held_out else "train"
    truth = Truth(question=question, answer=str(sum(numbers) % BASE))
    return Problem(id=f"sums-{name}-{index}", question=question, truth=truth)


def last_number(seen: Trajectory, truth: Truth) -> float | None:
    """Whether the last word that is no filler is the sum: 0 or 1."""
    words = [word for word in seen.answer.split() if word not in FILLERS]
    return float(bool(words) and words[-1] == truth.answer)


def fillers(text: str) -> int:
    """How many filler words an answer holds."""
    return sum(word in FILLERS for word in text.split())


def demonstrate(
    of: Problem, draw: random.Random, *, guess: float, slip: float, filler: float, hard: bool
) -> Demonstration:
    """An answer as an imperfect teacher would write it.

    With probability `guess` he names any number at once. Else he writes the partial sums, each one
    off with probability `slip`, and, with `hard`, anything at all after the addend `HARD`. Before
    each word stands a filler with probability `filler`."""
    numbers = [int(word) for word in of.question.split()[1:-1]]
    said, total = [], numbers[0]
    for number in numbers[1:] if draw.random() >= guess else ():
        total += number
        if hard and number == HARD:
            total = draw.randrange(BASE)
        elif draw.random() < slip:
            total += draw.choice((-1, 1))
        total %= BASE
        said.append(str(total))
    said = said or [str(draw.randrange(BASE))]
    words = [
        w for s in said for w in ((draw.choice(FILLERS), s) if draw.random() < filler else (s,))
    ]
    return Demonstration((of.question, " ".join(words)))
