"""A run goes on only with the same data, truths, rewards and code; what changed is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmreason.models.base import ClipRecipe
from mmreason.training.rewards import Combination, Component, Truth, correct
from mmreason.training.rl import Recipe, read_recipe, train
from mmreason.training.rollouts.types import Problem
from mmreason.training.runs.settings import describe_changes, describe_settings, digest_settings
from mmreason.training.tasks.mixture import Mixture
from mmreason.training.tasks.videos import video_questions
from mmreason.types import UsageError
from tests.fakes import rl_runs, tiny_rl

PLAIN = tiny_rl.colours(4)
CLIP = ClipRecipe(frames=8, leaf_s=8.0)


def recipe(task: Any = PLAIN, **changes: Any) -> Recipe:
    return rl_runs.recipe("plain", Path("nowhere"), task=task, **changes)


def made_of(*components: Component) -> Any:
    return replace(PLAIN, reward=Combination(components))


def weighed(weight: float) -> Any:
    return made_of(Component(name="right", reward=correct, weight=weight))


def scaled(seen: Any, truth: Any, *, scale: Any) -> float:
    return scale


def answering(other: str) -> Any:
    first, *rest = PLAIN.problems
    return replace(PLAIN, problems=[replace(first, truth=Truth(answer=other)), *rest])


def compiled(source: str) -> Callable[..., Any]:
    """The function `reward` of a user's file."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "recipe.py", "exec"), space)
    return space["reward"]


REWARD = '''
LIMIT = 3

def helper(seen):
    return len(seen.answer) > LIMIT

def reward(seen, truth):
    """Longer is better."""
    words = {"red", "blue"}  # known ones
    return float(helper(seen) and seen.answer in words)
'''


def written(source: str) -> Any:
    return made_of(Component(name="mine", reward=compiled(source)))


@dataclass(frozen=True)
class Judge:
    strictness: float

    def __call__(self, seen: Any, truth: Any) -> float:
        return self.strictness


def table(value: float) -> Any:
    return partial(scaled, scale=np.array([value, 1.0]))


def pick(chosen: float) -> Callable[..., float]:
    return lambda seen, truth: chosen


CHANGES: dict[str, tuple[Any, Any, str]] = {
    "an answer": (PLAIN, answering("white"), "task.problems changed"),
    "a question": (
        PLAIN,
        replace(PLAIN, problems=[replace(PLAIN.problems[0], question="say"), *PLAIN.problems[1:]]),
        "task.problems changed",
    ),
    "the order": (
        PLAIN,
        replace(PLAIN, problems=list(reversed(PLAIN.problems))),
        "task.problems changed",
    ),
    "a weight": (weighed(1.0), weighed(-3.0), "task.reward changed"),
    "a setting of a reward": (
        made_of(Component(name="x", reward=partial(scaled, scale=0.5))),
        made_of(Component(name="x", reward=partial(scaled, scale=0.75))),
        "task.reward changed",
    ),
    "what a reward closes over": (
        made_of(Component(name="x", reward=pick(0.5))),
        made_of(Component(name="x", reward=pick(0.25))),
        "task.reward changed",
    ),
    "a table in a reward": (
        made_of(Component(name="x", reward=table(0.5))),
        made_of(Component(name="x", reward=table(0.75))),
        "task.reward changed",
    ),
    "a judge that is an object": (
        replace(PLAIN, judge=Judge(0.0)),
        replace(PLAIN, judge=Judge(1.0)),
        "task.judge changed",
    ),
    "the code of a reward": (
        written(REWARD),
        written(REWARD.replace(" > LIMIT", " >= LIMIT")),
        "task.reward changed",
    ),
    "a number that its code uses": (
        written(REWARD),
        written(REWARD.replace("LIMIT = 3", "LIMIT = 4")),
        "task.reward changed",
    ),
    "a constant in its code": (
        written(REWARD),
        written(REWARD.replace('"blue"', '"green"')),
        "task.reward changed",
    ),
    "the length of answers": (
        PLAIN,
        replace(PLAIN, max_new_tokens=5),
        "task.max_new_tokens was 4, is 5",
    ),
    "a part of a mixture": (
        Mixture(parts=((PLAIN, 1), (weighed(1.0), 1))),
        Mixture(parts=((PLAIN, 1), (weighed(2.0), 1))),
        "task.parts changed",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_moves_a_number_is_told_by_its_name(name: str):
    before, now, told = CHANGES[name]
    assert describe_settings(recipe(before)) == describe_settings(recipe(before))
    assert describe_changes(describe_settings(recipe(before)), describe_settings(recipe(now))) == [
        told
    ]
    assert digest_settings(recipe(before)) != digest_settings(recipe(now))


@pytest.mark.parametrize(
    "edited",
    [
        "# a comment\n\n" + REWARD,
        REWARD.replace("Longer is better.", "Or not."),
        REWARD.replace("{", "{  ").replace("  # known ones", ""),
        REWARD + "\nOTHER = 5\n",
    ],
    ids=["comment", "docstring", "spaces", "what is not used"],
)
def test_an_edit_that_changes_nothing_is_no_change(edited: str):
    assert edited != REWARD
    assert not describe_changes(
        describe_settings(recipe(written(REWARD))), describe_settings(recipe(written(edited)))
    )


def test_held_out_problems_are_data_too():
    given = [recipe(held_out=task) for task in (PLAIN, answering("white"))]
    assert describe_changes(*map(describe_settings, given)) == ["held_out.problems changed"]


def test_a_task_of_the_users_own_is_known_by_its_problems_and_code():
    class Own:
        name = "own"

        def __init__(self, answer: str, bonus: float = 0.0):
            self._bonus = bonus
            self._rows = answering(answer).problems

        def __len__(self) -> int:
            return len(self._rows)

        def problem(self, index: int) -> Problem:
            return self._rows[index]

        def episodes(self, problem: Any, codec: Any, count: int) -> Any: ...

        def score(self, problem: Any, outcome: Any) -> Any: ...

    tasks = (Own("red"), Own("red"), Own("blue"), Own("red", 1.0))
    first, same, other, paid = (describe_settings(recipe(task)) for task in tasks)
    assert first == same
    assert "task.problems changed" in describe_changes(first, other)
    assert describe_changes(first, paid) == ["task.settings changed"]


def test_a_tensor_is_known_by_its_values():
    given = [
        recipe(made_of(Component(name="x", reward=pick(torch.tensor([1.0, x])))))  # pyright: ignore[reportArgumentType]
        for x in (0.0, 0.0, 1.0)
    ]
    first, same, other = map(describe_settings, given)
    assert first == same and describe_changes(first, other) == ["task.reward changed"]


def test_a_video_that_is_replaced_is_a_change(tmp_path: Path):
    path = tmp_path / "a.mp4"
    problems = [Problem(id="a", question="?", truth=Truth(answer="b"), video=str(path))]
    found = []
    for content in (None, b"one" * 9, b"one" * 9, b"two" * 9):
        if content is not None:
            path.write_bytes(content)
        found.append(describe_settings(recipe(video_questions(problems, CLIP))))
    gone, first, same, other = found
    assert first == same
    assert (
        describe_changes(first, other) == describe_changes(first, gone) == ["task.problems changed"]
    )
    fewer = describe_settings(recipe(video_questions(problems, CLIP, frames=2)))
    assert describe_changes(other, fewer) == ["task.show changed"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"task": answering("white")}, "task.problems changed"),
        ({"task": weighed(-3.0)}, "task.reward changed"),
        ({"learning_rate": 1e-4}, "learning_rate was 0.003, is 0.0001"),
        ({"model": partial(tiny_rl.policy, seed=1)}, "the model starts from other weights"),
    ],
)
def test_a_resume_on_something_else_stops_with_what_changed(
    tmp_path: Path, change: dict[str, Any], told: str
):
    first = {"task": PLAIN, "steps": 1, "model": partial(tiny_rl.policy, seed=0)}
    list(train(rl_runs.recipe("plain", tmp_path, **first)))
    other = rl_runs.recipe("plain", tmp_path, **(first | change | {"steps": 2}))
    with pytest.raises(UsageError) as error:
        next(train(other))
    assert f"{tmp_path} holds a run of another recipe or model: " in str(error.value)
    assert told in str(error.value) and "\n" not in str(error.value)
    assert [r.step for r in train(rl_runs.recipe("plain", tmp_path, **(first | {"steps": 2})))] == [
        2
    ]


def test_a_run_of_an_earlier_version_is_refused_with_a_line_that_says_so(tmp_path: Path):
    given = rl_runs.recipe("plain", tmp_path, steps=1)
    list(train(given))
    folder = tmp_path / "checkpoints" / "step-000001"
    state = json.loads((folder / "run.json").read_text())
    for name in ("settings", "learnt", "without_signal", "why"):
        del state[name]
    text = json.dumps(state | {"digest": "0" * 64})
    (folder / "run.json").write_text(text)
    listed = json.loads((folder / "manifest.json").read_text())
    listed["run.json"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(listed))
    with pytest.raises(UsageError, match="holds a run of an earlier version of mmreason, which"):
        next(train(replace(given, steps=2)))


def test_a_run_says_with_which_versions_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from mmreason.training.rl import run

    given = rl_runs.recipe("plain", tmp_path, steps=1)
    list(train(given))
    monkeypatch.setattr(run, "library_versions", lambda: {"torch": "9.9", "mmreason": "0.0"})
    (report,) = list(train(replace(given, steps=2)))
    assert any("torch is 9.9, the run began with" in line for line in report.warnings)


def test_a_recipe_file_and_its_import_are_one_recipe(tmp_path: Path):
    """Read twice, and from another folder."""
    text = (
        "from tests.fakes import rl_runs, tiny_rl\nfrom pathlib import Path\n"
        "from dataclasses import replace\n"
        "from mmreason.training.rewards import Combination, Component\n"
        "def mine(seen, truth):\n    return 0.5 if 'a' in seen.answer else helper()\n"
        "def helper():\n    return 0.25\n"
        "only = Combination((Component(name='m', reward=mine),))\n"
        "task = replace(tiny_rl.colours(4), reward=only)\n"
        "recipe = rl_runs.recipe('plain', Path('x'), task=task)\n"
    )
    found = []
    for folder in ("a", "a", "b"):
        path = tmp_path / folder / "recipe.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        found.append(digest_settings(read_recipe(path)))
    assert len(set(found)) == 1
    path.write_text(text.replace("0.25", "0.75"))
    assert digest_settings(read_recipe(path)) != found[0]
