"""Captions ahead of questions, what a question would cost, and settings of published weights."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

import pytest

from mmreason.agent.build_index import list_level_nodes
from mmreason.cli import main
from mmreason.memory.store import Store
from mmreason.memory.tree import TreeRecipe, plan_tree
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.policies.presets import NANO_POLICY, Preset, find_preset
from mmreason.reasoner import Reasoner
from mmreason.types import Budget, UsageError
from mmreason.video.types import Span
from mmreason.video.world import generate

CLIP = ClipRecipe(frames=4, size_px=(32, 18), leaf_s=4.0, overview="stills")


def model() -> ScriptedModel:
    def told(text: str, frames) -> str:
        return f"shade {int(frames.pixels.mean())}"

    return ScriptedModel(told, clip=CLIP)


@pytest.fixture
def world(tmp_path):
    return generate.world(3, duration_s=120, scene_s=5).save(tmp_path / "w.json")


def test_an_index_is_what_questions_find(world):
    observer = model()
    reasoner = Reasoner(observer)
    built = list(reasoner.index(world, ("high", "medium")))
    assert [one.done for one in built] == list(range(1, 21)) and built[0].total == 20
    assert not any(one.observation.cached or one.observation.error for one in built)
    calls = observer.calls
    answer = reasoner.ask(world, "What colour is the ring?")
    captions = [s for s in answer.trace if s.call.name == "caption"]
    known = [s for s in captions if len(s.call.arguments["node"]) <= 2]
    assert known and all(s.observation.cached for s in known)
    again = list(reasoner.index(world, ("high",)))
    assert all(one.observation.cached for one in again)
    assert observer.calls == calls + answer.cost.model_calls


def test_an_index_broken_off_goes_on(world, tmp_path):
    with Store.open(tmp_path / "s.sqlite3") as store:
        first = islice(Reasoner(model(), store=store).index(world, ("medium",)), 7)
        assert not any(one.observation.cached for one in first)
    with Store.open(tmp_path / "s.sqlite3") as store:
        whole = Reasoner(model(), store=store).index(world, ("medium",))
        cached = [one.observation.cached for one in whole]
    assert cached == [True] * 7 + [False] * 9


def test_levels_are_named_and_short_videos_have_fewer():
    tree = plan_tree(Span(0, 60), leaf_s=4.0)
    assert len(list_level_nodes(tree, ("high", "low"))) == 4, "two levels: the third is not there"
    for wrong in ((), ("highest",)):
        with pytest.raises(UsageError, match="levels are high, medium, low"):
            list_level_nodes(tree, wrong)


def test_the_index_verb_tells_what_was_there(world, tmp_path, capsys):
    command = ["index", str(world), "--store", str(tmp_path / "s.sqlite3"), "--json"]
    for there in (0, 4):
        assert main(command) == 0
        (done,) = json.loads(capsys.readouterr().out)["results"]
        assert (done["nodes"], done["from_store"], done["failed"]) == (4, there, 0)
    assert main([*command, "--levels", "top"]) == 2


@pytest.mark.parametrize(
    "length_s", [3, 30, 120, 3600, pytest.param(36_000, marks=pytest.mark.full)]
)
@pytest.mark.parametrize("overview", ["stills", "denser"])
def test_real_costs_lie_within_the_estimate(tmp_path, length_s, overview):
    clip = ClipRecipe(frames=4, leaf_s=4.0, overview=overview)
    observer = ScriptedModel(lambda text, frames: "nothing", clip=clip)
    world = generate.world(3, duration_s=length_s, scene_s=60).model_copy(
        update={"width_px": 64, "height_px": 36}
    )
    path = world.save(tmp_path / "w.json")
    reasoner = Reasoner(observer)
    plan = reasoner.estimate(path)
    assert observer.calls == 0
    answer = reasoner.ask(path, "What colour is the ring?")
    assert answer.cost.frames <= plan.most_frames
    assert answer.cost.model_calls <= plan.most_calls
    assert plan.least_frames <= plan.most_frames
    capped = reasoner.estimate(path, Budget(frames=9))
    assert capped.most_frames <= 9


def test_a_dry_run_looks_at_nothing(world, tmp_path, capsys):
    assert main(["ask", str(world), "--dry-run", "--json", "--store", str(tmp_path / "s")]) == 0
    assert json.loads(capsys.readouterr().out)["opening_frames"] == 32
    with Store.open(tmp_path / "s") as store:
        assert len(store) == 0


def test_compat_is_what_the_weights_expect():
    preset = find_preset("longvideo_r1")
    assert preset.policy.published and preset.policy.rounds == 30
    assert preset.tree == TreeRecipe(depth=3)
    clip = ClipRecipe(frames=16, leaf_s=16.0, multiple_px=2)
    adapted = preset.adapt_clip(clip)
    assert (adapted.frames, adapted.longest_px, adapted.multiple_px) == (32, 512, 2)
    fixed = replace(clip, size_px=(64, 32))
    assert preset.adapt_clip(fixed) == fixed
    assert find_preset("nano") == Preset(policy=NANO_POLICY, tree=TreeRecipe())
    assert find_preset("nano").adapt_clip(clip) == clip, "that is the observer's own affair"
    with pytest.raises(UsageError, match="compat is 'longvideo_r1' or 'nano'"):
        find_preset("other")
    with pytest.raises(UsageError, match="either compat or those"):
        Reasoner.load("nano", compat="longvideo_r1", tree=TreeRecipe(depth=2))
