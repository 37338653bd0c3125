"""A problem as text: its question with the options below it, and its right answer."""

from __future__ import annotations

import json

from mmreason.training.data.problem_file import LETTERS
from mmreason.training.rewards import Truth
from mmreason.training.rollouts.types import Problem


def ground_truth(truth: Truth) -> str:
    """The right answer as one text: the option's letter, else the number, the words, the spans or
    the boxes (JSON), whichever is known first; empty where nothing is.

    Example:
        >>> ground_truth(Truth(options=("red", "blue"), choice=1)), ground_truth(Truth(number=2.0))
        ('B', '2')
    """
    # The order of `rewards.correct`: what is asked for first is what a reward judges first.
    if truth.choice is not None:
        return LETTERS[truth.choice] if truth.choice < len(LETTERS) else str(truth.choice)
    if truth.number is not None:
        # 2.0 as "2": answers are compared as texts there.
        return f"{truth.number:.15g}"
    if truth.answer is not None:
        return truth.answer
    if truth.spans is not None:
        return json.dumps([[span.start_s, span.end_s] for span in truth.spans])
    if truth.boxes is not None:
        return json.dumps([list(box.xyxy) for box in truth.boxes])
    return ""


def question_text(problem: Problem) -> str:
    """The question, and its options behind letters, one a line.

    Example:
        >>> truth = Truth(options=("red", "blue"), choice=1)
        >>> print(question_text(Problem(id="1", question="Which colour?", truth=truth)))
        Which colour?
        A. red
        B. blue
    """
    options = problem.truth.options
    lettered = [f"{LETTERS[i]}. {option}" for i, option in enumerate(options[: len(LETTERS)])]
    return "\n".join([problem.question, *lettered])
