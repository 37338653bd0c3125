"""Every published objective learns the colours through the whole trainer; so do the extras."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from mmreason.training.objectives import PUBLISHED
from mmreason.training.rewards import Combination, Component, Trajectory, Truth
from mmreason.training.rl import Dsdr, Kl, Lora, Overlong, Recipe, Stapo, StepReport, train
from mmreason.training.runs.events import METRICS
from tests.fakes import rl_runs, tiny_rl


def settings(tmp_path: Path, **changes) -> Recipe:
    given = {
        "task": tiny_rl.colours(),
        "out": tmp_path / "run",
        "model": tiny_rl.policy,
        "steps": 44,
        "problems_per_step": 8,
        "samples": 8,
        "learning_rate": 0.01,
        "warmup_updates": 0,
        "checkpoint_every": 100,
        "max_tokens": 4,
    }
    return rl_runs.make_recipe(**(given | changes))


def learned(recipe: Recipe) -> list[StepReport]:
    """The reports; the share of right answers must rise well above that of always saying the same
    colour, a quarter."""
    reports = list(train(recipe))
    assert [report.step for report in reports] == list(range(1, recipe.steps + 1))
    share = [report.metrics["reward/correct"] for report in reports]
    assert sum(share[:4]) / 4 < 0.2
    assert sum(share[-4:]) / 4 > 0.4, share
    for report in reports:
        assert all(math.isfinite(value) for value in report.metrics.values())
        unknown = {name for name in report.metrics if not name.startswith("component/")}
        assert unknown <= set(METRICS), unknown - set(METRICS)
        # Where all is solved, or nothing yet, a step teaches nothing.
        assert all("nothing to learn from in this step" in line for line in report.warnings)
    return reports


def sample_of(names: Iterable[str], *always: str) -> list[Any]:
    """Runs of each take seconds. Losses and gradients of all are compared with other code in every
    run of the tests, and learn a toy task there (`test_objectives_learning`)."""
    return [n if n in always else pytest.param(n, marks=pytest.mark.full) for n in names]


@pytest.mark.parametrize("name", sample_of(PUBLISHED, "gspo", "vespo"))
def test_every_published_objective_learns(tmp_path, name):
    rate = 0.005 if PUBLISHED[name].aggregation == "sequence" else 0.01
    learned(settings(tmp_path, objective=name, learning_rate=rate))


EXTRAS = {
    "off-policy": {"updates": 2, "learning_rate": 0.005},
    "vespo off-policy": {"updates": 3, "objective": "vespo", "learning_rate": 0.005},
    "stapo": {"stapo": Stapo(probability=0.02)},
    "stapo and vespo": {"stapo": Stapo(probability=0.02), "objective": "vespo"},
    "dsdr": {"dsdr": Dsdr(reward_weight=0.1, entropy_weight=0.001)},
    "kl": {"kl": Kl(coefficient=0.01)},
    "tis": {"correction": "tis"},
    "dynamic": {"dynamic_sampling": True, "problems_per_step": 4},
    "kind scales": {"kind_scale_decay": 0.9, "objective": "rloo"},
    "gdpo": {"gdpo": True},
    "overlong": {"overlong": Overlong(max_tokens=5, buffer_tokens=2)},
    "packed": {"layout": "packed", "micro_tokens": 60},
    "truncated left out": {"mask_truncated": True},
}


@pytest.mark.parametrize("name", sample_of(EXTRAS, "stapo", "dsdr"))
def test_every_extra_learns(tmp_path, name):
    learned(settings(tmp_path, **EXTRAS[name]))


def says_red(seen: Trajectory, truth: Truth) -> float:
    return float(seen.answer.startswith("red"))


def test_adapters_learn_and_their_model_is_whole(tmp_path):
    """Over frozen random weights they learn to say red, whatever is asked."""
    pytest.importorskip("peft")
    only = Combination((Component(name="red", reward=says_red),))
    recipe = settings(
        tmp_path,
        task=tiny_rl.colours(reward=only),
        lora=Lora(rank=8, alpha=64),
        learning_rate=0.02,
        steps=24,
    )
    reports = list(train(recipe))
    assert reports[0].metrics["reward/mean"] < 0.3
    assert reports[-1].metrics["reward/mean"] > 0.6
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(recipe.out / "model")
    prompt = tiny_rl.policy().codec.encode_prompt(tiny_rl.said("say it blue"))
    ids = torch.tensor([prompt.token_ids])
    assert model.generate(ids, max_new_tokens=1, do_sample=False)[0, -1] == 5


def test_the_best_model_on_held_out_problems_is_kept(tmp_path):
    recipe = settings(tmp_path, held_out=tiny_rl.colours(4), evaluate_every=4)
    reports = list(train(recipe))
    found = {r.step: r.metrics["eval/correct"] for r in reports if "eval/correct" in r.metrics}
    assert list(found) == list(range(4, 45, 4))
    assert found[44] >= 0.75 > found[4]
    assert (recipe.out / "best" / "model.safetensors").is_file()


def test_patience_ends_a_run_that_no_longer_gets_better(tmp_path):
    recipe = settings(
        tmp_path, held_out=tiny_rl.colours(4), evaluate_every=1, patience=3, learning_rate=1e-12
    )
    reports = list(train(recipe))
    assert len(reports) == 4  # one that set the mark, three that did not raise it
    assert (recipe.out / "model").is_dir()
