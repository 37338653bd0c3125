"""A model in shards (FSDP2) over two processes makes the run of one that holds it whole."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import FullyShardedDataParallelPlugin

from mmreason.training.rl import Trainee
from mmreason.training.rl.logps import Scorer
from mmreason.training.rl.sharded import layer_names, shard
from mmreason.types import UsageError
from tests.training import tiny_rl
from tests.training.two_processes import is_the_run_of_one, launched, parameters

STEPS = 2
SHARED = (
    "plain",
    "stapo and dsdr",
    "kl and scales",
    "one",
    "held out",
    "adapters without dropout",
    "checkpointed",
    "nano",
    "nano frozen",
)


@pytest.mark.slow
def test_shards_make_the_run_of_one(tmp_path: Path):
    """Uneven shares too; "nano" looks at clips in some micro-batches only, and in none of a step,
    where its eyes must stay as they are."""
    launched(tmp_path / "two", STEPS, *SHARED, runs="sharded_runs")
    for name in SHARED:
        is_the_run_of_one(name, tmp_path / "two", tmp_path / "one", STEPS)
        stored = next((tmp_path / "two" / name / "checkpoints").iterdir())
        sizes = [(stored / "shards" / f"__{i}_0.distcp").stat().st_size for i in (0, 1)]
        assert min(sizes) > 0.4 * sum(sizes)  # half of it each
        assert "shards/.metadata" in json.loads((stored / "manifest.json").read_text())


@pytest.mark.slow
def test_identity_46_shards_go_on_bit_for_bit(tmp_path: Path):
    names = ("everything", "adapters", "few")
    launched(tmp_path / "whole", 4, *names, runs="sharded_runs")
    launched(tmp_path / "parts", 2, *names, runs="sharded_runs")
    launched(tmp_path / "parts", 4, *names, runs="sharded_runs")
    for name in names:
        whole, parts = (tiny_rl.digest(tmp_path / k / name / "model") for k in ("whole", "parts"))
        assert whole and whole == parts


@pytest.mark.slow
def test_three_processes_go_on_with_the_shards_of_two(tmp_path: Path):
    launched(tmp_path, 2, "plain", runs="sharded_runs")
    launched(tmp_path, 4, "plain", runs="sharded_runs", processes=3)
    both = parameters(tmp_path / "plain")
    launched(tmp_path / "whole", 4, "plain", runs="sharded_runs")
    assert float((both - parameters(tmp_path / "whole" / "plain")).abs().max()) < 1e-5


@pytest.mark.slow
def test_identity_48_a_spoilt_sample_skips_the_update_of_all_shards(tmp_path: Path):
    launched(tmp_path, 2, "spoilt in one process", runs="sharded_runs")
    steps = json.loads((tmp_path / "spoilt in one process.json").read_text())
    assert [step["optimiser/skipped"] for step in steps] == [1.0, 1.0]
    assert torch.isfinite(parameters(tmp_path / "spoilt in one process")).all()


def test_only_layers_that_every_pass_goes_through_are_sharded_by_themselves():
    assert layer_names(Trainee.load("nano").model) == ["Qwen3VLTextDecoderLayer"]
    assert layer_names(tiny_rl.trainee().model) == ["Qwen3DecoderLayer"]


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
    monkeypatch.delenv("FSDP_CPU_RAM_EFFICIENT_LOADING", raising=False)
    plugin = FullyShardedDataParallelPlugin(**({"fsdp_version": 2} | settings))
    monkeypatch.delenv("FSDP_CPU_RAM_EFFICIENT_LOADING", raising=False)
    accelerator: Any = SimpleNamespace(
        state=SimpleNamespace(fsdp_plugin=plugin), is_fsdp2=plugin.fsdp_version == 2
    )
    nothing: Any = None
    with pytest.raises(UsageError, match=named):
        shard(accelerator, Scorer(torch.nn.Linear(1, 1)), nothing, nothing, "no")
