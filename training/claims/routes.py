"""Ways through a town: a grid of streets, some places closed, many right answers.

`from 3 to 17 closed 8 11 =` is answered by the places passed, `4 9 14 13 12 17`. An answer is right
when it walks along streets, passes nothing closed, nothing twice, and ends at the goal. So a
problem has several right answers, and how many of them a policy keeps shows in pass@16.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Hashable
from functools import partial

from mmreason.training.claims.text_task import TRAINING_PROBLEMS, Demonstration, TextTask
from mmreason.training.rewards import Trajectory, Truth
from mmreason.training.rollouts.types import Problem, stable_seed

SIDE = 5
PLACES = tuple(range(SIDE * SIDE))
CLOSED = 4
LONGEST_WALK = 12
"""Places of an answer; the sampler's limit is one more, for the end."""
WORDS = ("from", "to", "closed", "=", *map(str, PLACES))
_UNREACHABLE = 99


def make_task(*, held_out: bool = False, count: int = TRAINING_PROBLEMS) -> TextTask:
    """Walks through the town; held-out tasks share no question with the others."""
    return TextTask(
        name=f"routes{', held out' if held_out else ''}",
        count=count,
        make=partial(make_problem, held_out=held_out),
        right=check_walk,
        max_new_tokens=LONGEST_WALK + 1,
    )


def list_neighbours(crossing: int) -> tuple[int, ...]:
    """Places one street away.

    Example:
        >>> list_neighbours(0)
        (5, 1)
    """
    row, column = divmod(crossing, SIDE)
    steps = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
    return tuple(r * SIDE + c for r, c in steps if 0 <= r < SIDE and 0 <= c < SIDE)


def measure_distances(goal: int, closed: frozenset[int]) -> dict[int, int]:
    """Streets to the goal from every place that reaches it.

    Example:
        >>> measure_distances(0, frozenset())[24]
        8
    """
    streets, queue = {goal: 0}, deque([goal])
    while queue:
        crossing = queue.popleft()
        for other in list_neighbours(crossing):
            if other not in closed and other not in streets:
                streets[other] = streets[crossing] + 1
                queue.append(other)
    return streets


def make_problem(index: int, *, held_out: bool) -> Problem:
    """Problem `index` of its half, whose goal is 3 to 6 streets away."""
    for attempt in range(1000):
        draw = random.Random(stable_seed("routes", held_out, index, attempt))
        start, goal, *closed = draw.sample(PLACES, 2 + CLOSED)
        question = f"from {start} to {goal} closed {' '.join(map(str, sorted(closed)))} ="
        length = measure_distances(goal, frozenset(closed)).get(start)
        # A fifth of all questions is held out, by their words alone.
        if length and 3 <= length <= 6 and (stable_seed(question) % 5 == 0) == held_out:
            break
    else:
        raise AssertionError("no question of that half in a thousand draws")
    name = "held" if held_out else "train"
    return Problem(id=f"routes-{name}-{index}", question=question, truth=Truth(question=question))


def parse_question(question: str) -> tuple[int, int, frozenset[int]]:
    """Start, goal and closed places of a question.

    Example:
        >>> parse_question("from 0 to 2 closed 1 20 =") == (0, 2, frozenset({1, 20}))
        True
    """
    tokens = question.split()
    return int(tokens[1]), int(tokens[3]), frozenset(map(int, tokens[5:-1]))


def check_walk(trajectory: Trajectory, truth: Truth) -> float | None:
    """Whether the answer is a way to the goal: 0 or 1."""
    crossing, goal, closed = parse_question(truth.question)
    passed = {crossing}
    for word in trajectory.answer.split():
        if not word.isdecimal() or int(word) not in list_neighbours(crossing):
            return 0.0
        crossing = int(word)
        if crossing in closed or crossing in passed:
            return 0.0
        passed.add(crossing)
    return float(crossing == goal)


def list_streets(answer: str) -> frozenset[Hashable]:
    """What an answer consists of, for measures of diversity: the steps from place to place.

    Example:
        >>> sorted(list_streets("1 2 3"))
        [('1', '2'), ('2', '3')]
    """
    passed = answer.split()
    return frozenset(itertools.pairwise(passed))


def demonstrate_walk(
    problem: Problem, draw: random.Random, *, heedless: float, lost: float
) -> Demonstration:
    """A walk to the goal by a random shortest way.

    With probability `heedless` the teacher does not look at what is closed; each step goes
    anywhere with probability `lost`. He stops at the goal, or when he has had enough."""
    crossing, goal, closed = parse_question(problem.question)
    distances = measure_distances(goal, frozenset() if draw.random() < heedless else closed)
    walk: list[int] = []
    while crossing != goal and len(walk) < LONGEST_WALK:
        near = list_neighbours(crossing)
        best = min(distances.get(other, _UNREACHABLE) for other in near)
        good = [other for other in near if distances.get(other, _UNREACHABLE) == best]
        crossing = draw.choice(near if draw.random() < lost else good)
        walk.append(crossing)
    return Demonstration((problem.question, " ".join(map(str, walk))))
