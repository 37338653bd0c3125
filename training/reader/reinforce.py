"""Reinforcement of the taught reader: right, cited, abstains, told by the notes alone.

python -m mmreason.training.reader.reinforce --adapter sft-0.safetensors --out runs/reader-rl-0

STAPO and DSDR are on. It goes on from the adapter's own factors, so that the result is one adapter
of the same size; `export.py` writes it.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from mmreason.models.base import ClipRecipe
from mmreason.training.monitoring.watch import watch_steps
from mmreason.training.parallel.strategy import OptimiserSettings
from mmreason.training.reader.notes import make_world
from mmreason.training.reader.rewards import READER_REWARD
from mmreason.training.reader.samples import question_of
from mmreason.training.reader.train import load_taught_policy
from mmreason.training.rl.recipe import Recipe
from mmreason.training.rl.recipe_parts import (
    BatchingSettings,
    Dsdr,
    ObjectiveSettings,
    SamplingSettings,
    Stapo,
)
from mmreason.training.rl.trainer import train
from mmreason.training.runs.recipe_parts import CheckpointSettings
from mmreason.training.stopping import StopSignal
from mmreason.training.tasks.samples import sample_questions
from mmreason.training.tasks.single_turn import SingleTurn

FIRST_WORLD = 50_000_000
"""Beyond the worlds of every supervised seed."""
WORLDS_PER_QUESTION = 6
"""Worlds looked at for a question of the wanted kind before any is taken."""
ABSENT_EVERY = 4
"""Every so many-th question has no answer. With more than half of them a policy learns to say
"none" to everything (see benchmarks/results/reader.md)."""
REPLY_TOKENS = 24


def reader_task(problems: int, *, seed: int) -> SingleTurn:
    """Questions of training worlds: a quarter without an answer, most of the others hard."""
    samples = []
    for i in range(problems):
        first = FIRST_WORLD + WORLDS_PER_QUESTION * (seed * 100_000 + i)
        worlds = [make_world("train", first + k) for k in range(WORLDS_PER_QUESTION)]
        places = [(w, n) for w in worlds for n in range(len(w.questions))]
        is_absent = i % ABSENT_EVERY == 0
        of_kind = [(w, n) for w, n in places if w.questions[n].is_absent == is_absent]
        hard = [(w, n) for w, n in of_kind if w.questions[n].is_hard]
        samples.append(question_of(*(hard or of_kind or places)[0]))
    # The task shows no clips.
    clip = ClipRecipe(frames=1, leaf_s=1.0)
    return sample_questions(
        samples, clip, name="reader", reward=READER_REWARD, max_new_tokens=REPLY_TOKENS
    )


def make_recipe(model: str, adapter: Path, out: Path, *, seed: int, steps: int) -> Recipe:
    """A run of `steps` x 4 questions with 6 replies each."""
    per_step = 4
    return Recipe(
        task=reader_task(steps * per_step, seed=seed),
        out=out,
        model=partial(load_taught_policy, model, adapter),
        seed=seed,
        steps=steps,
        sampling=SamplingSettings(problems_per_step=per_step, samples=6),
        objective=ObjectiveSettings(stapo=Stapo(), dsdr=Dsdr()),
        optimiser=OptimiserSettings(learning_rate=5e-5, warmup_updates=2),
        batching=BatchingSettings(micro_tokens=2_048),
        checkpoints=CheckpointSettings(every=5),
    )


def main() -> None:
    """Run, or go on with a run."""
    parser = argparse.ArgumentParser(description="Reinforces the taught reader.")
    parser.add_argument("--model", default="build/weights/smollm2-135m")
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    recipe = make_recipe(given.model, given.adapter, given.out, seed=given.seed, steps=given.steps)
    with StopSignal() as should_stop:
        for report in watch_steps(train(recipe, should_stop=should_stop), recipe.out):
            figures = {
                name: round(value, 4)
                for name, value in report.metrics.items()
                if name.startswith(("reward", "speed"))
            }
            print(report.step, figures, flush=True)


if __name__ == "__main__":
    main()
