"""Runs on rows of data sets, by recipes in YAML: the same keys as elsewhere, rewards by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmreason.training.rewards import Trajectory
from mmreason.training.rl import DataSettings, JudgeSettings, Recipe, read_recipe, train
from mmreason.training.rl.data_task import make_tasks
from mmreason.training.rollouts.types import Outcome
from mmreason.training.runs.settings import describe_changes, describe_settings
from mmreason.training.runs.stopped import TrainingStopped
from mmreason.types import UsageError
from tests.fakes import tiny_rl

COLOURS = tiny_rl.COLOURS
OWN = """
def bonus(trajectory, truth):
    return truth.columns["bonus"] * (trajectory.answer == truth.answer)

def spread(trajectories, truths):
    return [len(t.answer) / 10 for t in trajectories]
"""


def write_rows(folder: Path, name: str = "train.json", **more: Any) -> Path:
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"say it {colour}"},
                {"role": "assistant", "content": colour},
            ],
            "bonus": 0.5,
        }
        | more
        for colour in COLOURS
    ]
    path = folder / name
    path.write_text(json.dumps(rows))
    return path


def write_recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def recipe(folder: Path, **changes: Any) -> Recipe:
    settings: dict[str, Any] = {
        "data": changes.pop("data", None) or DataSettings(train=write_rows(folder)),
        "out": folder / "run",
        "model": tiny_rl.policy,
        "steps": 1,
    }
    return Recipe(**settings | changes)


def test_rows_are_trained_on_and_their_columns_reach_rewards(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    held_out = write_rows(tmp_path, "val.json")
    given = recipe(
        tmp_path,
        data=DataSettings(train=write_rows(tmp_path), held_out=held_out),
        rewards={"answer": 1.0, f"{tmp_path}/own.py:bonus": 1.0, f"{tmp_path}/own.py:spread": 0.1},
    )
    (report,) = list(train(given))
    assert {"component/answer", "component/bonus", "component/spread"} <= set(report.metrics)
    # Held-out rows without a number of steps between evaluations are answered at the end.
    assert "eval/correct" in report.metrics
    task = make_tasks(given, None).problems
    scored = task.score(task.problem(0), Outcome(trajectory=Trajectory(answer="red")))
    assert scored.values == {"answer": 1.0, "bonus": 0.5, "spread": pytest.approx(0.3)}


def test_a_column_of_another_type_costs_the_rollouts_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN.replace('["bonus"] *', '["bonus"] / 2 *'))
    data = DataSettings(train=write_rows(tmp_path, bonus="half"))
    given = recipe(tmp_path, data=data, rewards={f"{tmp_path}/own.py:bonus": 1.0})
    report = next(iter(train(given)))
    assert any("reward bonus" in w and "TypeError" in w for w in report.warnings)


def test_yaml_has_the_same_keys(tmp_path: Path) -> None:
    write_rows(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    read = read_recipe(
        write_recipe(
            tmp_path,
            "data: {train: train.json, frames: 4}\nout: run\nmodel: nano\nsteps: 3\n"
            "rewards: {answer: 1.0, time: 0.5, judge: 0.5, own.py:bonus: 0.2}\n"
            "judge: {url: 'http://localhost:8000/v1', on_failure: skip}\n"
            "sampling: {samples: 4, answer_tokens: 8}\n"
            "objective: {formula: grpo, aggregation: episode, tie_break_cost: 0.02}\n"
            "evaluation: {patience: 0}\n",
        )
    )
    assert read.data == DataSettings(train=str(tmp_path / "train.json"), frames=4)
    assert read.judge == JudgeSettings(url="http://localhost:8000/v1", on_failure="skip")
    assert [(c.name, c.weight) for c in read.reward.components] == [
        ("answer", 1.0),
        ("time", 0.5),
        ("judge", 0.5),
        ("bonus", 0.2),
    ]
    assert read.objective.resolved_formula.aggregation == "episode"
    task = make_tasks(read, None).problems
    assert len(task) == 4 and task.problem(0).truth.columns["bonus"] == 0.5


BASE = "data: {train: train.json}\nout: run\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("out: run\n", "give the problems once: data.train for files, or task"),
        (BASE + "sampels: 4\n", "there is no setting sampels; did you mean sampling"),
        (BASE + "sampling: {sample: 4}\n", "sampling.sample; did you mean samples"),
        (BASE + "rewards: {anwser: 1}\n", "there is no reward 'anwser'; known: answer, choice"),
        (BASE + "rewards: {answer: much}\n", "rewards.answer must be a weight"),
        (BASE + "rewards: [answer]\n", "rewards must be weights by name"),
        (BASE + "rewards: {}\n", "rewards names none"),
        (BASE + "rewards: {judge: 1}\n", "rewards.judge needs a judge"),
        (BASE + "judge: {url: 'http://x/v1'}\n", "judge is not asked: give it a weight"),
        (BASE + "judge: {model: x}\nrewards: {judge: 1}\n", "judge.url must be"),
        (BASE + "rewards: {none.py:f: 1}\n", "there is no file"),
        (BASE + "rewards: {own.py:missing: 1}\n", "has no function 'missing'"),
        (BASE + "rewards: {broken.py:f: 1}\n", "broken.py: raised ZeroDivisionError"),
        (BASE + "evaluation: {every: 2}\n", "evaluation.every needs held_out problems"),
        (BASE + "sampling: {server: {engine: tgi, url: x}}\n", "unknown sampling.server.engine"),
        (BASE + "sampling: {server: {engine: vllm}}\n", "sampling.server.url must be"),
        (BASE + "task: train.json\n", "task must be a task, got"),
    ],
)
def test_a_recipe_with_wrong_keys_says_which(text: str, message: str, tmp_path: Path) -> None:
    write_rows(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(UsageError) as error:
        read_recipe(write_recipe(tmp_path, text))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_problems_are_given_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give the problems once"):
        recipe(tmp_path, task=tiny_rl.colours())
    with pytest.raises(UsageError, match="a task has its own"):
        Recipe(task=tiny_rl.colours(), out=tmp_path, rewards={"answer": 1.0})
    same = DataSettings(train=write_rows(tmp_path), held_out=tmp_path / "train.json")
    with pytest.raises(UsageError, match=r"data\.held_out is a file of data\.train"):
        make_tasks(recipe(tmp_path, data=same), None)


def test_rows_that_cannot_be_used_are_refused_or_left_out(tmp_path: Path) -> None:
    rows = json.loads(write_rows(tmp_path).read_text())
    rows[1] = {"messages": rows[1]["messages"][:1]}
    user = {"role": "user", "content": "<image>say it blue"}
    rows[2] = {"messages": [user, rows[2]["messages"][1]], "images": ["gone.png"]}
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(UsageError) as error:
        make_tasks(recipe(tmp_path, data=DataSettings(train=path)), None)
    told = str(error.value)
    assert "row 3: there is no file" in told and "bad_rows" in told and "\n" not in told
    kept = make_tasks(recipe(tmp_path, data=DataSettings(train=path, bad_rows="skip")), None)
    assert len(kept.problems) == 2


def test_a_run_goes_on_only_with_the_same_rows(tmp_path: Path) -> None:
    first = recipe(tmp_path)
    before = describe_settings(make_tasks(first, None))
    assert describe_settings(make_tasks(first, None)) == before
    # The file's name says nothing: what stands in it does, columns too.
    assert {"data", "rewards", "judge"}.isdisjoint(before)
    write_rows(tmp_path, bonus=0.7)
    changed = describe_changes(before, describe_settings(make_tasks(first, None)))
    assert "task.problems changed" in changed


def test_a_judge_that_is_down_ends_the_run_with_one_line(tmp_path: Path) -> None:
    judge = JudgeSettings(url="http://127.0.0.1:9/v1", attempts=1, timeout_s=1.0)
    given = recipe(tmp_path, rewards={"judge": 1.0}, judge=judge)
    with pytest.raises(TrainingStopped) as error:
        list(train(given))
    told = str(error.value)
    assert "the reward judge gave no value for any of 64 rollouts of step 1" in told
    assert "the judge cannot be asked" in told and "\n" not in told
    assert not (tmp_path / "run" / "model").exists()
