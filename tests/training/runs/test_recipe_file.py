"""Recipes from YAML and Python: the same keys, and mistakes that are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmreason.training.runs.recipe_file import build_recipe, read_recipe_file
from mmreason.training.runs.settings import describe_settings
from mmreason.training.sft.recipe import SftRecipe
from mmreason.types import UsageError

YAML = """
data: {train: a.jsonl, held_out: [b.jsonl, c.jsonl], frames: 4}
out: runs/x
model: nano
epochs: 2
optimiser: {learning_rate: 1e-4, schedule: cosine}
weights:
  lora: {rank: 8, targets: [q_proj, v_proj]}
"""
PYTHON = """
from pathlib import Path
from mmreason.training.sft import *
folder = Path(__file__).parent
recipe = SftRecipe(
    data=DataSettings(
        train=str(folder / "a.jsonl"),
        held_out=(str(folder / "b.jsonl"), str(folder / "c.jsonl")),
        frames=4,
    ),
    out=folder / "runs/x",
    model="nano",
    epochs=2.0,
    optimiser=OptimiserSettings(learning_rate=1e-4, schedule="cosine"),
    weights=TrainedWeights(lora=Lora(rank=8, targets=("q_proj", "v_proj"))),
)
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_yaml_and_python_give_the_same_recipe(tmp_path):
    by_yaml = read_recipe_file(write(tmp_path / "r.yaml", YAML), SftRecipe)
    by_python = read_recipe_file(write(tmp_path / "r.py", PYTHON), SftRecipe)
    assert describe_settings(by_yaml) == describe_settings(by_python)
    assert by_yaml.out == by_python.out == tmp_path / "runs/x"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("data: 3\nout: x", "data must be settings by name, found 3"),
        ("out: x\noptimizer: {}", "no setting optimizer; did you mean optimiser?"),
        ("out: x\noptimiser: {learning_rat: 1}", "optimiser.learning_rat; did you mean learning_r"),
        (
            "out: x\ndata: {train: a}\noptimiser: {learning_rate: fast}",
            "learning_rate must be a number",
        ),
        ("data: {train: a}", "missing 1 required keyword-only argument: 'out'"),
        ("- a", "expected settings by name, found list"),
        ("out: x\ndata: {train: a}\nweights: {lora: true}", "lora must be Lora(...), got True"),
        ("out: [", "is no YAML"),
        ("out: !!python/object/apply:os.system ['echo no']", "is no YAML"),
        ("[" * 5000, "is no YAML"),
        ("", "expected settings by name, found NoneType"),
    ],
)
def test_a_mistake_is_named_with_the_file(tmp_path, text, reason):
    path = write(tmp_path / "r.yaml", text)
    with pytest.raises(UsageError) as error:
        read_recipe_file(path, SftRecipe)
    assert str(error.value).startswith(str(path)) and reason in str(error.value)


def test_a_recipe_may_be_built_of_settings_by_name(tmp_path):
    made = build_recipe(SftRecipe, {"out": str(tmp_path), "data": {"train": "a.jsonl"}})
    assert made.data.train == "a.jsonl" and made.optimiser.schedule == "constant"
