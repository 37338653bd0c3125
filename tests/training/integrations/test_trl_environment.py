"""Tools, environment and rewards in TRL's real loop: its parser, its tool calls, its masks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmreason.needle.worlds import needle_set
from mmreason.training.data.problem_file import write_problems
from mmreason.training.navigation.observer import BlankVideo, make_observer
from mmreason.training.rewards import Combination, Component, Truth, correct, tag_format, tool_bonus
from mmreason.training.rollouts.types import Problem
from mmreason.types import UsageError
from tests.fakes.trl_models import config_of, save_tiny

trl = pytest.importorskip("trl", minversion="1.16")
datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.filterwarnings("ignore")

from mmreason.training.integrations.trl import grpo_trainer  # noqa: E402
from mmreason.training.integrations.trl_environment import (  # noqa: E402
    make_environment_factory,
    scene_of,
    scenes_by_video,
)
from mmreason.training.integrations.trl_rewards import (  # noqa: E402
    TrlReward,
    read_trajectory,
    truths_by_id,
)

NEEDLES = needle_set(7, 180.0, 4)
ITEMS = [item for item in NEEDLES.items if item.answer is not None][:2]
PROBLEMS = [
    Problem(
        id=item.id,
        question=item.question,
        truth=Truth(question=item.question, options=item.options, choice=item.answer),
    )
    for item in ITEMS
]
REWARD = Combination(
    (
        Component(name="correct", reward=correct),
        Component(name="format", reward=tag_format, weight=0.1),
        Component(name="tools", reward=tool_bonus, weight=0.1),
    )
)


@pytest.fixture(scope="module")
def scene() -> Any:
    return scene_of(BlankVideo(NEEDLES.world), make_observer(NEEDLES.world))


def test_the_tools_watch(scene: Any) -> None:
    environment = make_environment_factory(lambda row: scene)()
    told = environment.reset(id="1", video="x")
    assert "180.0 s long" in told and "\n[1] 0:00" in told
    first = environment.caption([1])
    assert first in told
    leaf = scene.tree.node((1, 1)).span
    assert environment.look(leaf.start_s, leaf.end_s, ITEMS[0].question)
    assert environment.skim(0.0, 20.0)
    assert "circle" in environment.search("purple circle")
    for wrong in (lambda: environment.caption([99]), lambda: environment.look(5.0, 4.0, "what?")):
        with pytest.raises(UsageError):
            wrong()
    seen = read_trajectory("<answer>A</answer>", [1, 2], Truth(), environment)
    assert seen.visits == ((1,),) and seen.tool_calls == 4 and seen.tokens_out == 2
    environment.reset()
    assert read_trajectory("A", None, Truth(), environment).visits == ()


def test_scenes_are_found_by_the_path_of_their_video(tmp_path: Path) -> None:
    find = scenes_by_video(make_observer(NEEDLES.world))
    path = str(NEEDLES.save(tmp_path))
    environment = make_environment_factory(find, opening=False)()
    told = environment.reset(id="1", video=path)
    assert "180.0 s long" in told and len(told.splitlines()) == 2
    assert find({"video": path}) is find({"video": path})
    with pytest.raises(UsageError, match="path of its video in 'video', got None"):
        environment.reset(id="1", video=None)
    with pytest.raises(UsageError, match="reset the environment"):
        make_environment_factory(find)().caption([1])


def test_schemas_are_those_of_our_tools(scene: Any) -> None:
    from transformers.utils.chat_template_utils import get_json_schema

    from mmreason.tools.schema import tool_schemas

    environment = make_environment_factory(lambda row: scene)()
    ours = {one["function"]["name"]: one["function"]["parameters"] for one in tool_schemas()}
    for name in ("caption", "look", "skim", "search"):
        found = get_json_schema(getattr(environment, name))["function"]
        assert found["name"] == name and found["description"]
        properties = found["parameters"]["properties"]
        assert set(properties) == set(ours[name]["properties"])
        assert set(found["parameters"]["required"]) == set(ours[name]["required"])
        for argument, schema in properties.items():
            assert schema["type"] == ours[name]["properties"][argument]["type"]


def scripted(tokenizer: Any, turns: list[list[str]], seen: list[Any]) -> type[Any]:
    """Our trainer whose model says what a script says; everything else is TRL's."""

    class Scripted(grpo_trainer("dapo")):
        def _generate_single_turn(self, prompt_ids: Any, *rest: Any, **more: Any) -> Any:
            said = turns.pop(0)
            seen.append([tokenizer.decode(ids) for ids in prompt_ids])
            assert len(said) == len(prompt_ids)
            return [tokenizer(text)["input_ids"] for text in said], None

        def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
            seen.append(inputs)
            return super()._compute_loss(model, inputs)

    return Scripted


def call(name: str, **arguments: Any) -> str:
    words = json.dumps({"name": name, "arguments": arguments})
    return f"<think>\nI look.\n</think>\n\n<tool_call>\n{words}\n</tool_call><|im_end|>"


def answer(text: str) -> str:
    return f"<think>\nI know.\n</think>\n\n<answer>{text}</answer><|im_end|>"


def test_trl_plays_the_tools_and_scores_the_answers(scene: Any, tmp_path: Path) -> None:
    path, tokenizer = save_tiny(tmp_path / "tiny")
    item = ITEMS[0]
    assert item.answer is not None
    right, wrong = item.options[item.answer], item.options[item.answer - 1]
    turns = [
        [call("caption", node=[1]), call("caption", node=[99]), answer(right), answer(wrong)],
        [answer(right), answer(wrong)],
    ]
    seen: list[Any] = []
    rows = {
        "id": [PROBLEMS[0].id],
        "prompt": [[{"role": "user", "content": item.question}]],
    }
    trainer = scripted(tokenizer, turns, seen)(
        model=path,
        args=config_of(
            tmp_path / "out",
            {"gradient_accumulation_steps": 1, "max_completion_length": 1000},
        ),
        reward_funcs=TrlReward(REWARD, truths_by_id(PROBLEMS)),
        train_dataset=datasets.Dataset.from_dict(rows),
        processing_class=tokenizer,
        environment_factory=make_environment_factory(lambda row: scene),
    )
    before = [p.detach().clone() for p in trainer.model.parameters()]
    trainer.train()
    first, second, inputs = seen
    assert all(item.question in text and "[1] 0:00" in text for text in first)
    assert all(f'"name": "{name}"' in first[0] for name in ("caption", "look", "skim", "search"))
    assert "reset" not in first[0] and "get_reward" not in first[0]
    note = scene.tree.node((1,)).span
    assert "<tool_response>" in second[0] and "error" not in second[0].rsplit("response", 2)[1]
    assert note.duration_s > 0 and "node id" in second[1] and "error" in second[1]
    # right with a tool; wrong after a failed call; right without tools; wrong without.
    totals = sorted(trainer._logs["rewards"]["reward"])
    assert totals == pytest.approx([0.1, 0.1, 1.1, 1.2])
    log = trainer.state.log_history[0]
    assert log["component/correct"] == 0.5 and log["tools/failure_frequency"] == 0.5
    masked = inputs["completion_mask"].bool() & ~inputs["tool_mask"].bool()
    assert int(masked.any(dim=1).sum()) == 2, "what tools said is not trained on"
    moved = [(p - b).abs().max() for p, b in zip(trainer.model.parameters(), before, strict=True)]
    assert torch.stack(moved).max() > 0


def test_the_page_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code as it stands, but for the model and TRL's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    path, _ = save_tiny(tmp_path / "tiny")
    video = str(NEEDLES.save(tmp_path))
    write_problems("train.jsonl", [replace(problem, video=video) for problem in PROBLEMS])
    page = (Path(__file__).parents[3] / "docs" / "trl.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    code = code.replace('"Qwen/Qwen3-4B"', repr(path)).replace('load("nano")', "load()")
    assert "GRPOConfig(" in code and repr(path) in code
    monkeypatch.setattr("mmreason.models.load", lambda: make_observer(NEEDLES.world))
    settings = config_of(tmp_path / "out", {"scale_rewards": "none"})
    monkeypatch.setattr(trl, "GRPOConfig", lambda **_: settings)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/trl.md", "exec"), names)
    assert names["trainer"].state.global_step == 1
    assert "component/answer" in names["trainer"].state.log_history[0]


def test_missing_truths_are_told() -> None:
    reward = TrlReward(REWARD, truths_by_id(PROBLEMS))
    with pytest.raises(UsageError, match="no problem has the id 'other'"):
        reward(["q"], ["a"], id=["other"])


def test_a_reward_at_fault_leaves_its_row_out() -> None:
    broken = Component(name="broken", reward=lambda seen, truth: 7.0)
    reward = TrlReward(Combination((broken,)), lambda row: Truth(), name="mine")
    told: dict[str, float] = {}
    assert reward(["q"], ["a"], log_metric=told.__setitem__) == [None]
    assert told == {"failures/rewards": 1.0} and reward.__name__ == "mine"
