"""Shards of a model (FSDP2) or its optimiser (DeepSpeed) in two processes make the run of one."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import FullyShardedDataParallelPlugin

from mmreason.training.learner.logprobs import Scorer
from mmreason.training.parallel.deepspeed_zero import build_zero
from mmreason.training.parallel.fsdp import build_sharded, layer_names
from mmreason.training.rl import PolicyModel
from mmreason.types import UsageError
from tests.fakes import tiny_rl
from tests.fakes.two_processes import (
    SPOILT,
    is_the_run_of_one,
    launched,
    one_process_skips_for_all,
    parameters,
)

STEPS = 2
SHARED = (
    "plain",
    "stapo and dsdr",
    "kl and scales",
    "one",
    "held out",
    "adapters without dropout",
    "checkpointed",
    "nano frozen",
)
CONFIGS = [
    "fsdp2",
    pytest.param(
        "deepspeed",
        marks=pytest.mark.skipif(find_spec("deepspeed") is None, reason="needs deepspeed"),
    ),
]


@pytest.mark.full  # two processes and every recipe again: `test_processes` has the quick half
@pytest.mark.parametrize("config", CONFIGS)
def test_shards_make_the_run_of_one(tmp_path: Path, config: str):
    """Uneven shares too. In a step of "nano" no process looks at a clip: its eyes must stay as they
    are, which DeepSpeed does not promise."""
    names = (*SHARED, "nano") if config == "fsdp2" else SHARED
    # All in one launch: starting two processes takes longer than most of the runs.
    launched(tmp_path / "two", STEPS, *names, *SPOILT, config=config)
    for name in names:
        is_the_run_of_one(name, tmp_path / "two", tmp_path / "one", STEPS)
    for name in SPOILT:
        one_process_skips_for_all(name, tmp_path / "two")


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS)
def test_identity_46_shards_go_on_bit_for_bit(tmp_path: Path, config: str):
    names = ("everything", "adapters", "few")
    launched(tmp_path / "whole", 4, *names, config=config)
    launched(tmp_path / "parts", 2, *names, config=config)
    for name in names:
        stored = next((tmp_path / "parts" / name / "checkpoints").iterdir())
        each = "shards/__{}_0.distcp" if config == "fsdp2" else SHARD_OF_ZERO
        listed = json.loads((stored / "manifest.json").read_text())
        sizes = [(stored / each.format(i)).stat().st_size for i in (0, 1)]
        assert all(each.format(i) in listed for i in (0, 1))
        assert min(sizes) > 0.4 * sum(sizes)  # about half of it each
    launched(tmp_path / "parts", 4, *names, config=config)
    for name in names:
        whole, parts = (tiny_rl.digest(tmp_path / k / name / "model") for k in ("whole", "parts"))
        assert whole and whole == parts


SHARD_OF_ZERO = "optimiser_{}.pt"


@pytest.mark.full
@pytest.mark.slow
def test_three_processes_go_on_with_the_shards_of_two(tmp_path: Path):
    launched(tmp_path, 2, "plain", config="fsdp2")
    launched(tmp_path, 4, "plain", config="fsdp2", processes=3)
    both = parameters(tmp_path / "plain")
    launched(tmp_path / "whole", 4, "plain", config="fsdp2")
    assert float((both - parameters(tmp_path / "whole" / "plain")).abs().max()) < 1e-5


def test_only_layers_that_every_pass_goes_through_are_sharded_by_themselves():
    assert layer_names(PolicyModel.load("nano").model) == ["Qwen3VLTextDecoderLayer"]
    assert layer_names(tiny_rl.policy().model) == ["Qwen3DecoderLayer"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"fsdp_version": 1}, "fsdp_version: 2"),
        ({"cpu_offload": True}, "fsdp_offload_params"),
        ({"activation_checkpointing": True}, "gradient_checkpointing"),
        ({"cpu_ram_efficient_loading": True, "sync_module_states": True}, "efficient_loading"),
    ],
)
def test_what_is_not_supported_is_refused(monkeypatch, settings: dict[str, Any], named: str):
    # Set first, so that what the plugin makes of it is taken back in the end.
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "False")
    given: dict[str, Any] = {"fsdp_version": 2} | settings
    plugin = FullyShardedDataParallelPlugin(**given)
    monkeypatch.delenv("FSDP_CPU_RAM_EFFICIENT_LOADING", raising=False)
    accelerator: Any = SimpleNamespace(
        state=SimpleNamespace(fsdp_plugin=plugin), is_fsdp2=plugin.fsdp_version == 2
    )
    nothing: Any = None
    with pytest.raises(UsageError, match=named):
        build_sharded(accelerator, Scorer(torch.nn.Linear(1, 1)), nothing, nothing, "no")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"zero_stage": 2}, "zero_stage 2 is not supported"),
        ({"zero_stage": 3}, "FSDP2"),
        ({"offload_optimizer_device": "cpu"}, "offload_optimizer_device"),
    ],
)
def test_what_deepspeed_is_not_asked_for_is_refused(settings: dict[str, Any], named: str):
    given = {"zero_stage": 1, "offload_optimizer_device": "none", "offload_param_device": "none"}
    plugin = SimpleNamespace(**(given | settings))
    accelerator: Any = SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=plugin))
    nothing: Any = None
    with pytest.raises(UsageError, match=named):
        build_zero(accelerator, Scorer(torch.nn.Linear(1, 1)), nothing, nothing)
