"""The page on objectives: its example runs, its names exist, its table is the code's."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import torch

from mmreason.training import objectives

PAGE = (Path(__file__).parents[3] / "docs" / "objectives.md").read_text(encoding="utf-8")


def test_the_example_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    torch.manual_seed(0)
    names: dict[str, object] = {}
    exec(compile(code, "docs/objectives.md", "exec"), names)
    logp = names["logp"]
    assert isinstance(logp, torch.Tensor) and logp.grad is not None and logp.grad.any()


def test_published_objectives_are_listed_as_they_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| `(\w+)`", PAGE, re.MULTILINE)
    assert [row[0] for row in rows] == list(objectives.PUBLISHED)
    for name, advantage, loss, aggregation in rows:
        objective = objectives.PUBLISHED[name]
        assert objective.aggregation == aggregation
        function = objective.loss.func if isinstance(objective.loss, partial) else objective.loss
        assert function is objectives.reinforce or f"`{function.__name__}`" in loss
        centred = getattr(objective.advantage, "keywords", {}).get("scale") == "none"
        assert centred == bool(re.fullmatch(r"R . mean", advantage))


def test_names_on_the_page_exist() -> None:
    called = set(re.findall(r"`(\w+_\w+)`", PAGE)) - set(objectives.PUBLISHED)
    elsewhere = {"sequence_sum", "diversity_weight"}
    assert {name for name in called - elsewhere if not hasattr(objectives, name)} == set()
