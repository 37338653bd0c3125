"""How nano-reinforced was made: `mmreason train rl training/nano/reinforced.py`.

It goes on from the model of `half_truths.json`, taught in `runs/half_truths`:
`mmreason train nano --config training/nano/half_truths.json --start nano --out runs/half_truths`.
Boxes and true things are asked for more often than what is not there, so that "no" is not the
answer to everything; what it was taught before is held by its distance to the start. The packaged
weights are `runs/reinforced/best`, in bfloat16.
"""

from pathlib import Path

from mmreason.training import rl
from mmreason.training.tasks.frames import FrameTask, Kind

KINDS: tuple[Kind, ...] = (
    "box",
    "exists",
    "box_absent",
    "box",
    "half_truth",
    "exists",
    "box",
    "count",
)
"""In turn; a kind that stands more than once is asked more often."""

recipe = rl.Recipe(
    task=FrameTask(split="train", kinds=KINDS),
    out=Path("runs/reinforced"),
    model=Path("runs/half_truths/model"),
    steps=150,
    sampling=rl.SamplingSettings(problems_per_step=16, samples=8, batch_tokens=12_000),
    objective=rl.ObjectiveSettings(formula="dapo", kl=rl.Kl(coefficient=0.01)),
    optimiser=rl.OptimiserSettings(learning_rate=1e-4, warmup_updates=5),
    weights=rl.TrainedWeights(freeze=("model.visual",)),
    batching=rl.BatchingSettings(micro_tokens=4_000),
    checkpoints=rl.CheckpointSettings(every=25),
    evaluation=rl.EvaluationSettings(
        held_out=FrameTask(split="held-out", kinds=KINDS), every=50, problems=160
    ),
)
