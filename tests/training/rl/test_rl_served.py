"""Rollouts by a server that takes the weights of every step: as if the model itself wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmreason.training.generation import sampling as seeds
from mmreason.training.rl import Lora, Recipe, ServerSettings, train
from mmreason.types import UsageError
from tests.fakes import rl_runs, tiny_rl
from tests.fakes.weights_server import WeightsServerFake
from tests.models.servers import serving

SMALL: dict[str, Any] = {
    "steps": 3,
    "problems_per_step": 2,
    "samples": 4,
    "task": tiny_rl.colours(reward=tiny_rl.length_reward()),
    "learning_rate": 2e-2,
    "warmup_updates": 0,
    "correction": None,
}


@pytest.fixture(autouse=True)
def loopback_without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(autouse=True)
def seeds_of_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers take seeds of 31 bits: with those everywhere the same tokens are drawn."""
    draw = seeds.uniform_draws

    def draw_short(seed: int, count: int) -> Any:
        return draw(seed % 2**31, count)

    for module in ("sampling", "sampler", "decode"):
        monkeypatch.setattr(
            f"mmreason.training.generation.{module}.uniform_draws", draw_short, raising=False
        )


def run(fake: WeightsServerFake, out: Path, **changes: Any) -> list[dict[str, float]]:
    server = {k: changes.pop(k) for k in ("weights_as", "sleeps") if k in changes}
    with serving(fake.answer) as real:
        engine: Any = fake.engine
        settings = ServerSettings(engine=engine, url=real.url, **server)
        given: Recipe = rl_runs.recipe("plain", out, server=settings, **SMALL | changes)
        return [dict(report.metrics) for report in train(given)]


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_a_run_with_a_server_is_the_run_of_the_model_itself(engine: str, tmp_path: Path) -> None:
    fake = WeightsServerFake(engine)
    served = run(fake, tmp_path / "served", sleeps=True)
    local = rl_runs.run("plain", tmp_path, **SMALL)
    for here, there in zip(served, local, strict=True):
        assert here["reward/mean"] == pytest.approx(there["reward/mean"], abs=1e-6)
        assert here["optimiser/gradient_norm"] == pytest.approx(
            there["optimiser/gradient_norm"], rel=1e-3
        )
        # Sampler and trainer agree at every step, the first among them.
        assert here["mismatch/gap_mean"] < 1e-3 and here["mismatch/served_gap"] < 1e-3
    if engine == "vllm":
        assert fake.log.count("/collective_rpc") == 3 and fake.log.count("/sleep 2") == 3
    else:
        assert fake.log.count("/update_weights_from_disk") == 3 and fake.version == "2"
    # What is not needed any more does not fill the disk.
    assert len(list((tmp_path / "served" / "served").iterdir())) == 1


def test_adapters_are_brought_by_name(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    fake = WeightsServerFake("vllm")
    figures = run(fake, tmp_path / "run", weights_as="adapter", lora=Lora(rank=2, alpha=4))
    assert all(step["mismatch/gap_mean"] < 1e-3 for step in figures)
    assert list(fake.adapters) == ["mmreason-2"]


def test_a_server_that_keeps_its_weights_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        run(WeightsServerFake("vllm", ignores_weights=True), tmp_path)
    told = str(error.value)
    assert "it does not have the weights that it was given" in told and "\n" not in told
    # One that begins with the right weights, and then keeps them.
    started = WeightsServerFake("vllm", ignores_weights=True, policy=tiny_rl.policy())
    with pytest.raises(UsageError, match=r"very log-probabilities of before|does not have the wei"):
        run(started, tmp_path / "started")


@pytest.mark.full
def test_a_server_without_the_route_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        run(WeightsServerFake("sglang"), tmp_path, weights_as="adapter", lora=Lora(rank=2))
    assert "/load_lora_adapter: expected status 200, found 404" in str(error.value)
    with pytest.raises(UsageError, match="needs adapters: set weights"):
        run(WeightsServerFake("vllm"), tmp_path / "whole", weights_as="adapter")
