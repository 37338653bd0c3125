"""Ways through a town: a grid of streets, some places closed, many right answers.

`from 3 to 17 closed 8 11 =` is answered by the places passed, `4 9 14 13 12 17`. An answer is right
when it walks along streets, passes nothing closed, nothing twice, and ends at the goal. So a
problem has several right answers, and how many of them a policy keeps shows in pass@16.
Leaves out training (`start.py`, `arms.py`).
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Hashable

from mmreason.training.claims.demonstration import Demonstration
from mmreason.training.rewards import Trajectory, Truth
from mmreason.training.rollouts.types import Problem, stable_seed

SIDE = 5
PLACES = tuple(range(SIDE * SIDE))
CLOSED = 4
LONGEST_WALK = 12
"""Places of an answer; the sampler's limit is one more, for the end."""
WORDS = ("from", "to", "closed", "=", *map(str, PLACES))


def neighbours(place: int) -> tuple[int, ...]:
    """Places one street away."""
    row, column = divmod(place, SIDE)
    steps = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
    return tuple(r * SIDE + c for r, c in steps if 0 <= r < SIDE and 0 <= c < SIDE)


def distances(goal: int, closed: frozenset[int]) -> dict[int, int]:
    """Streets to the goal from every place that reaches it."""
    found, queue = {goal: 0}, deque([goal])
    while queue:
        place = queue.popleft()
        for other in neighbours(place):
            if other not in closed and other not in found:
                found[other] = found[place] + 1
                queue.append(other)
    return found


def problem(index: int, *, held_out: bool) -> Problem:
    """Problem `index`, whose goal is 3 to 6 streets away; held-out ones share no question."""
    for attempt in range(1000):
        draw = random.Random(stable_seed("routes", held_out, index, attempt))
        start, goal, *closed = draw.sample(PLACES, 2 + CLOSED)
        question = f"from {start} to {goal} closed {' '.join(map(str, sorted(closed)))} ="
        length = distances(goal, frozenset(closed)).get(start)
        if length and 3 <= length <= 6 and (stable_seed(question) % 5 == 0) == held_out:
            break
    else:
        raise AssertionError("no question of that half in a thousand draws")
    name = "held" if held_out else "train"
    return Problem(id=f"routes-{name}-{index}", question=question, truth=Truth(question=question))


def read(question: str) -> tuple[int, int, frozenset[int]]:
    """Start, goal and closed places of a question."""
    words = question.split()
    return int(words[1]), int(words[3]), frozenset(map(int, words[5:-1]))


def arrives(seen: Trajectory, truth: Truth) -> float | None:
    """Whether the answer is a way to the goal: 0 or 1."""
    start, goal, closed = read(truth.question)
    at, passed = start, {start}
    for word in seen.answer.split():
        if not word.isdecimal() or int(word) not in neighbours(at):
            return 0.0
        at = int(word)
        if at in closed or at in passed:
            return 0.0
        passed.add(at)
    return float(at == goal)


def streets(answer: str) -> frozenset[Hashable]:
    """What an answer consists of, for measures of diversity: the steps from place to place."""
    words = answer.split()
    return frozenset(itertools.pairwise(words))


def demonstrate(of: Problem, draw: random.Random, *, heedless: float, lost: float) -> Demonstration:
    """A walk to the goal by a random shortest way.

    With probability `heedless` the teacher does not look at what is closed; each step goes
    anywhere with probability `lost`. He stops at the goal, or when he has had enough."""
    at, goal, closed = read(of.question)
    way = distances(goal, frozenset() if draw.random() < heedless else closed)
    said: list[int] = []
    while at != goal and len(said) < LONGEST_WALK:
        near = neighbours(at)
        best = min(way.get(place, 99) for place in near)
        good = [place for place in near if way.get(place, 99) == best]
        at = draw.choice(near if draw.random() < lost else good)
        said.append(at)
    return Demonstration((of.question, " ".join(map(str, said))))
