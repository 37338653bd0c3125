"""Recipes are checked when they are made; recipe files fail with one clear line."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mmreason.training.learner.adapters import select_trained_weights
from mmreason.training.objectives import PUBLISHED, Objective
from mmreason.training.rl import Dsdr, Kl, Lora, PolicyModel, Recipe, Stapo, read_recipe, train
from mmreason.training.rl.recipe import find_part
from mmreason.training.runs.settings import digest_settings, iter_settings
from mmreason.types import UsageError
from tests.fakes import rl_runs, tiny_rl

ROOT = Path(__file__).parents[3]

WRONG = [
    ({"steps": 0}, "steps must be >= 1, got 0"),
    ({"samples": 0}, "samples must be >= 1"),
    ({"updates": -1}, "updates must be >= 1"),
    ({"warmup_updates": -1}, "warmup_updates must be >= 0"),
    ({"temperature": 0.0}, "sampling.temperature must be > 0, got 0.0"),
    ({"temperature": math.nan}, "sampling.temperature must be > 0, got nan"),
    ({"learning_rate": -1.0}, "optimiser.learning_rate must be > 0, got -1.0"),
    ({"objective": "ppo"}, "unknown objective.formula 'ppo'; known: reinforce, rloo, grpo"),
    ({"objective": "dr_grpo", "max_tokens": None}, "divides by max_tokens; set it"),
    (
        {"correction": "is"},
        "unknown objective.correction 'is'; known: None, auto, tis, mis, icepop",
    ),
    ({"layout": "dense"}, "unknown batching.layout 'dense'; known: padded, packed"),
    ({"precision": "fp8"}, "unknown batching.precision 'fp8'"),
    ({"evaluate_every": 2}, "evaluation.every needs held_out"),
    ({"patience": 2}, "evaluation.patience needs every"),
    ({"kind_scale_decay": 0.9}, "kind_scale_decay needs a formula that only centres"),
    ({"kind_scale_decay": 1.0, "objective": "rloo"}, "kind_scale_decay must be < 1, got 1.0"),
    ({"steps": "10"}, "steps must be a whole number, got '10'"),
    ({"samples": 4.0}, "samples must be a whole number, got 4.0"),
    ({"samples": True}, "samples must be a whole number, got True"),
    ({"samples": 1}, "samples must be >= 2, got 1: rollouts of a problem are compared"),
    ({"learning_rate": "1e-5"}, "learning_rate must be a number, got '1e-5'"),
    ({"learning_rate": None}, "learning_rate must be a number, got None"),
    ({"max_tokens": 4.5}, "max_tokens must be a whole number, got 4.5"),
    ({"gdpo": 1}, "gdpo must be True or False, got 1"),
    ({"betas": 0.9}, "betas must be two numbers from 0 to 1, such as (0.9, 0.999), got 0.9"),
    ({"betas": (0.9,)}, "betas must be two numbers"),
    ({"model": 3}, "model must be a name, a folder, or a function that makes a PolicyModel, got 3"),
    ({"model": None}, "model must be a name, a folder"),
    ({"sampler": "vllm"}, "sampler must be a function of the PolicyModel that makes a sampler"),
    (
        {"objective": None},
        "objective.formula must be a name of objectives.PUBLISHED or an Objective",
    ),
    ({"overlong": 100}, "overlong must be Overlong(...), got 100"),
    ({"kl": 0.04}, "kl must be Kl(...), got 0.04"),
    ({"lora": True}, "lora must be Lora(...), got True"),
    ({"lora": {"rank": 8}}, "lora must be Lora(...), got {'rank': 8}"),
    ({"stapo": True}, "stapo must be Stapo(...), got True"),
    ({"freeze": "model.visual"}, "freeze must be a tuple of texts, such as ('model.visual',)"),
    ({"freeze": 3}, "freeze must be a tuple of texts, got 3"),
    ({"freeze": ("model", 3)}, "freeze must be a tuple of texts"),
    ({"vision_cache_gb": -1.0}, "vision_cache_gb must be >= 0"),
    ({"task": tiny_rl.colours(0)}, "the task 'colours' has no problems"),
]


@pytest.mark.parametrize(
    ("change", "message"), WRONG, ids=lambda x: "" if isinstance(x, dict) else x
)
def test_settings_that_cannot_be_are_refused(change, message):
    with pytest.raises(UsageError) as error:
        rl_runs.recipe("plain", Path("nowhere"), **change)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).startswith("recipe: ")


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Kl, {"coefficient": 0.1, "estimator": "k4"}, "unknown objective.kl.estimator 'k4'"),
        (Stapo, {"scope": "some"}, "unknown objective.stapo.scope 'some'"),
        (Dsdr, {"reference": "all"}, "unknown objective.dsdr.reference 'all'"),
    ],
)
def test_what_a_method_does_not_know_is_refused_when_it_is_made(kind, settings, message):
    with pytest.raises(UsageError, match=message):
        kind(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"samples": 8},
            "samples stands in the part sampling: sampling=SamplingSettings(samples=..",
        ),
        ({"sampling_tokens": 8}, "sampling=SamplingSettings(batch_tokens=...)"),
        ({"objective": "dapo"}, "objective=ObjectiveSettings(formula=...)"),
        (
            {"objective": PUBLISHED["dapo"]},
            "objective must be ObjectiveSettings(...), got Objective",
        ),
        ({"weights": Lora()}, "weights must be TrainedWeights(...), got Lora("),
        ({"sample": 8}, "there is no setting 'sample'; known: task, out, model"),
    ],
)
def test_a_setting_outside_its_part_is_told_where_it_stands(settings, message):
    with pytest.raises(UsageError) as error:
        Recipe(task=tiny_rl.colours(), out=Path("nowhere"), **settings)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_every_setting_has_one_name_of_its_own():
    """Checkpoints and logs know settings by names without parts."""
    base = rl_runs.recipe("everything", Path("nowhere"))
    names = [name for name, _ in iter_settings(base)]
    assert len(names) == len(set(names))
    places = [find_part(name) for name in names if name not in ("task", "model", "seed")]
    assert None not in places and len(places) == len(set(places))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"freeze": ("",)}, "leaves nothing to train"),
        ({"freeze": ("vision",)}, "this model has no part 'vision'"),
    ],
)
def test_what_is_frozen_must_be_there_and_leave_something(change, message):
    with pytest.raises(UsageError, match=message):
        select_trained_weights(
            tiny_rl.policy(), rl_runs.recipe("plain", Path("nowhere"), **change).weights
        )


FILES = {
    "": "sets no `recipe = Recipe(...)`",
    "recipe = 3": "sets no `recipe",
    "recipe = (": "raised SyntaxError",
    "import nothing_of_the_kind": "raised ModuleNotFoundError: No module named",
    "1 / 0": "raised ZeroDivisionError: division by zero",
    "from mmreason.types import UsageError\nraise UsageError('no rows')": "no rows",
}


@pytest.mark.parametrize("text", FILES)
def test_a_recipe_file_that_fails_says_where(tmp_path, text):
    path = tmp_path / "recipe.py"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_recipe(path)
    told = str(error.value)
    assert told.startswith(f"{path}: ") and FILES[text] in told and "\n" not in told


@pytest.mark.parametrize("path", ["gone.py", "."])
def test_a_recipe_file_must_be_there(tmp_path, path):
    with pytest.raises(UsageError, match="no such recipe file"):
        read_recipe(tmp_path / path)


GOOD = """
from pathlib import Path
from mmreason.training import rl
from mmreason.training.runs.settings import digest_settings
from tests.fakes import tiny_rl

def model():
    return tiny_rl.policy()

objective = rl.ObjectiveSettings(kl=rl.Kl(coefficient=0.1))
recipe = rl.Recipe(task=tiny_rl.colours(), out=Path("run"), model=model, objective=objective)
print(digest_settings(recipe))
"""


@pytest.mark.slow
def test_the_digest_of_a_file_is_the_same_in_every_process(tmp_path):
    path = tmp_path / "recipe.py"
    path.write_text(GOOD)
    here = read_recipe(path)
    done = subprocess.run(
        [sys.executable, str(path)],
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "5", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest_settings(here)


def test_the_digest_tells_recipes_apart():
    base = rl_runs.recipe("plain", Path("nowhere"))
    by_name = PUBLISHED["dapo"]
    others = [
        rl_runs.change_recipe(base, learning_rate=1e-5),
        rl_runs.change_recipe(base, seed=1),
        rl_runs.change_recipe(base, objective="grpo"),
        rl_runs.change_recipe(
            base, objective=Objective(by_name.advantage, by_name.loss, "sequence")
        ),
        rl_runs.change_recipe(base, objective=replace_clip(0.3)),
        rl_runs.change_recipe(base, objective=replace_clip(0.31)),
        rl_runs.change_recipe(base, lora=Lora()),
        rl_runs.change_recipe(base, lora=Lora(rank=8)),
        rl_runs.change_recipe(base, kl=Kl(coefficient=0.1)),
        rl_runs.change_recipe(base, task=tiny_rl.colours(9)),
        rl_runs.change_recipe(base, model=PolicyModel.load),  # pyright: ignore[reportArgumentType]
    ]
    digests = {digest_settings(one) for one in (base, *others)}
    assert len(digests) == len(others) + 1
    moved = rl_runs.change_recipe(base, out=Path("elsewhere"), steps=9, keep=1)
    assert digest_settings(moved) == digest_settings(base)


def replace_clip(high: float) -> Objective:
    dapo = PUBLISHED["dapo"]
    assert isinstance(dapo.loss, partial)
    return Objective(dapo.advantage, partial(dapo.loss.func, clip_high=high), dapo.aggregation)


def test_a_run_does_not_depend_on_the_random_numbers_of_its_process(tmp_path):
    """New adapters are made from the recipe's seed."""
    import torch

    pytest.importorskip("peft")
    found = []
    for i in range(2):
        torch.manual_seed(i)
        out = tmp_path / str(i)
        list(train(rl_runs.recipe("adapters", out, steps=1)))
        found.append(tiny_rl.digest(out / "model"))
    assert found[0] and found[0] == found[1]
    list(train(rl_runs.recipe("adapters", tmp_path / "2", steps=1, seed=8)))
    assert tiny_rl.digest(tmp_path / "2" / "model") != found[0]


def test_processes_that_do_not_know_of_each_other_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="2 processes were started and accelerate sees 1"):
        next(train(rl_runs.recipe("plain", tmp_path)))


def test_recipe_defaults_are_a_run():
    assert (
        Recipe(task=tiny_rl.colours(), out=Path("nowhere")).objective.resolved_formula
        is PUBLISHED["dapo"]
    )


def test_lists_and_texts_are_taken_for_tuples_and_paths():
    names: Any = ["model.visual"]
    given = rl_runs.make_recipe(task=tiny_rl.colours(), out="runs/x", freeze=names)
    assert given.out == Path("runs/x") and given.weights.freeze == ("model.visual",)


def brevity(seen, truth):
    return -len(seen.answer)


def test_a_plain_function_is_a_reward(tmp_path):
    task = replace(tiny_rl.colours(), reward=brevity)
    (report, *_) = list(train(rl_runs.recipe("plain", tmp_path, task=task, steps=1)))
    assert report.metrics["component/brevity"] < 0
    assert report.metrics["failures/rewards"] == 0


@pytest.mark.parametrize("reward", [3, "correct", None, float])
def test_what_is_no_reward_is_refused_when_the_task_is_made(reward):
    with pytest.raises(UsageError, match=r"reward must be a function of \(trajectory"):
        replace(tiny_rl.colours(), reward=reward)


def test_bf16_and_old_weights_are_corrected_unless_it_is_said_otherwise():
    def used(**changes):
        return rl_runs.recipe("plain", Path("nowhere"), **changes).resolved_correction

    assert used() is None
    assert used(precision="bf16") == used(stale_sampler=True) == "tis"
    assert used(precision="bf16", correction=None) is None
    assert used(precision="bf16", correction="icepop") == used(correction="icepop") == "icepop"
