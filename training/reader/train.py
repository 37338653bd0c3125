"""Teach the reader: adapters on a small language model, over worlds of notes that never repeat.

python -m mmreason.training.reader.train --out runs/reader-0 --seed 0
python -m mmreason.training.reader.train --out runs/reader-1 --seed 1 --adapter FILE

With an adapter, the run goes on from its factors; the result is one adapter of the same size.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from mmreason.models.adapter_file import load_factors, read_adapter
from mmreason.training.learner.adapters import Lora, TrainedWeights, select_trained_weights
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.monitoring.watch import watch_steps
from mmreason.training.parallel.strategy import OptimiserSettings
from mmreason.training.reader.samples import ReaderSamples
from mmreason.training.runs.recipe_parts import CheckpointSettings
from mmreason.training.sft.recipe import SftBatching, SftEvaluation, SftRecipe
from mmreason.training.sft.trainer import train_sft
from mmreason.training.stopping import StopSignal

RANK = 8
WORLDS_OF_A_SEED = 100_000
"""So that the worlds of no two seeds are the same."""


def load_taught_policy(model: str, adapter: Path) -> PolicyModel:
    """The base with the adapter's factors as its trained weights."""
    base = PolicyModel.load(model)
    policy = select_trained_weights(base, TrainedWeights(lora=Lora(rank=RANK, alpha=2 * RANK)))
    load_factors(policy.model, read_adapter(adapter, base_fingerprint=base.fingerprint))
    return policy


def make_recipe(
    model: str,
    out: Path,
    *,
    seed: int,
    steps: int,
    rows: int,
    learning_rate: float,
    adapter: Path | None = None,
) -> SftRecipe:
    """A run over `steps` x `rows` lessons, each seen once. `adapter`: to go on from."""
    lora = TrainedWeights(lora=Lora(rank=RANK, alpha=2 * RANK))
    return SftRecipe(
        samples=ReaderSamples("train", steps * rows, first=seed * WORLDS_OF_A_SEED),
        held_out_samples=ReaderSamples("test", 24, first=9 * WORLDS_OF_A_SEED),
        out=out,
        model=model if adapter is None else partial(load_taught_policy, model, adapter),
        seed=seed,
        steps=steps,
        optimiser=OptimiserSettings(
            learning_rate=learning_rate, warmup_updates=10, schedule="cosine"
        ),
        # A policy that was loaded with an adapter has its factors already.
        weights=lora if adapter is None else TrainedWeights(),
        batching=SftBatching(rows=rows, layout="packed"),
        checkpoints=CheckpointSettings(every=25),
        evaluation=SftEvaluation(every=100, generate=False),
    )


def main() -> None:
    """Run, or go on with a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="build/weights/smollm2-135m")
    parser.add_argument("--adapter", type=Path, help="An adapter to go on from.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=4e-4)
    given = parser.parse_args()
    recipe = make_recipe(
        given.model,
        given.out,
        seed=given.seed,
        steps=given.steps,
        rows=given.rows,
        learning_rate=given.learning_rate,
        adapter=given.adapter,
    )
    with StopSignal() as should_stop:
        for report in watch_steps(train_sft(recipe, should_stop=should_stop), recipe.out):
            figures = {name: round(value, 4) for name, value in report.metrics.items()}
            print(report.step, figures["loss/mean"], figures.get("eval/loss", ""), flush=True)


if __name__ == "__main__":
    main()
