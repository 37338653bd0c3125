"""Reinforcement with the tube reward: `mmreason train rl training/nano/grounding_reinforced.py`.

It goes on from the model of `grounding_more.json`, taught in `runs/more`, since tubes must be known
a little before they can be reinforced. It has not been run: no packaged weights are of it.
"""

from pathlib import Path

from mmreason.grounding.refadv import Knobs
from mmreason.training import rl
from mmreason.training.tasks.referring import ReferringTask

KNOBS = Knobs(k=1, n=4, none_rate=0.2, families=("motion",))

recipe = rl.Recipe(
    task=ReferringTask(split="train", kind="video", knobs=KNOBS),
    out=Path("runs/grounding_reinforced"),
    model=Path("runs/more/model"),
    steps=100,
    sampling=rl.SamplingSettings(problems_per_step=8, samples=8, batch_tokens=12_000),
    objective=rl.ObjectiveSettings(formula="dapo", kl=rl.Kl(coefficient=0.01)),
    optimiser=rl.OptimiserSettings(learning_rate=1e-4, warmup_updates=5),
    weights=rl.TrainedWeights(freeze=("model.visual",)),
    batching=rl.BatchingSettings(micro_tokens=4_000),
    checkpoints=rl.CheckpointSettings(every=25),
    evaluation=rl.EvaluationSettings(
        held_out=ReferringTask(split="held-out", kind="video", knobs=KNOBS), every=50, problems=80
    ),
)
