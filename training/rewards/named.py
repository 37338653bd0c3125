"""Rewards by the names that recipes have for them: `rewards: {answer: 1.0, time: 0.5}`.

A name with a colon is a function of the user's own, in a Python file: `own.py:my_reward`. The file
is run when the recipe is read.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from mmreason.training.rewards.answers import choice, correct, numeric, tag_format, text_overlap
from mmreason.training.rewards.boxes import box_f1, box_iou
from mmreason.training.rewards.combine import Combination, Component
from mmreason.training.rewards.conduct import length_band, repetition, tool_bonus
from mmreason.training.rewards.evidence import evidence_place, evidence_time
from mmreason.training.rewards.spans import union_tiou
from mmreason.training.rewards.tubes import tube_viou
from mmreason.training.rewards.types import AnyReward, Reward
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

NAMED_REWARDS: Mapping[str, tuple[Reward, tuple[float, float]]] = {
    "answer": (correct, (0.0, 1.0)),
    "choice": (choice, (0.0, 1.0)),
    "number": (numeric, (0.0, 1.0)),
    "text": (text_overlap, (0.0, 1.0)),
    "time": (union_tiou, (0.0, 1.0)),
    "box": (box_f1, (0.0, 1.0)),
    "one_box": (box_iou, (0.0, 1.0)),
    "tube": (tube_viou, (0.0, 1.0)),
    "evidence_time": (evidence_time, (0.0, 1.0)),
    "evidence_place": (evidence_place, (0.0, 1.0)),
    "format": (tag_format, (0.0, 1.0)),
    "length": (length_band, (0.0, 1.0)),
    "repetition": (repetition, (-1.0, 0.0)),
    "tool": (tool_bonus, (0.0, 1.0)),
}
"""Name -> (reward, range). "judge" is a model's verdict, by the recipe's part `judge`."""
JUDGE_NAME = "judge"


def combine_named(weights: Mapping[str, float], judge: Component | None = None) -> Combination:
    """A combination of rewards by name with their weights. UsageError for a name that is none, and
    for "judge" where there is no judge.

    Example:
        >>> combine_named({"answer": 1.0, "time": 0.5}).bounds
        (0.0, 1.5)
    """
    if not weights:
        raise UsageError("recipe: rewards names none; give such as rewards: {answer: 1.0}")
    return Combination(
        tuple(_component(str(name), weight, judge) for name, weight in weights.items())
    )


def load_function(reference: str) -> AnyReward:
    """The function of `file.py:function`. UsageError where there is none."""
    path_text, _, name = reference.rpartition(":")
    path = Path(path_text)
    if not path.is_file():
        raise UsageError(f"recipe: the reward {show_line(reference)}: there is no file {path}")
    # By its path: two files of one name are two modules.
    module_name = f"{path.stem}_{sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"recipe: the reward {show_line(reference)}: {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Known by its name, so that what it defines can be pickled and followed.
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        line = show_line(" ".join(str(error).split()))
        raise UsageError(f"{path}: raised {type(error).__name__}: {line}") from error
    function = getattr(module, name, None)
    if not callable(function) or isinstance(function, type):
        raise UsageError(f"recipe: {path} has no function {show_line(name)!r}")
    return function


def _component(name: str, weight: object, judge: Component | None) -> Component:
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise UsageError(
            f"recipe: rewards.{show_line(name)[:60]} must be a weight, such as 1.0, "
            f"got {weight!r:.60}"
        )
    if name == JUDGE_NAME:
        if judge is None:
            raise UsageError("recipe: rewards.judge needs a judge: judge: {url: ..., model: ...}")
        return Component(
            name=name,
            reward=judge.reward,
            weight=weight,
            bounds=judge.bounds,
            batched=True,
            on_failure=judge.on_failure,
        )
    if ".py:" in name:
        label = name.rpartition(":")[2]
        return Component(
            name=label, reward=load_function(name), weight=weight, bounds=(-math.inf, math.inf)
        )
    if name not in NAMED_REWARDS:
        known = ", ".join((*NAMED_REWARDS, JUDGE_NAME))
        raise UsageError(
            f"recipe: there is no reward {show_line(name)[:60]!r}; known: {known}; one of your own "
            "is file.py:function"
        )
    reward, bounds = NAMED_REWARDS[name]
    return Component(name=name, reward=reward, weight=weight, bounds=bounds)
