"""Small supervised runs by name, here or in processes of their own:

python -m tests.fakes.sft_runs FOLDER STEPS NAME...

Under torchrun the processes share each run. Writes the figures of all steps to `FOLDER/NAME.json`.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import PartialState

from mmreason.training.data.sample import Sample, SampleMessage
from mmreason.training.learner.adapters import Lora, TrainedWeights
from mmreason.training.parallel.processes import destroy_process_group
from mmreason.training.parallel.strategy import OptimiserSettings
from mmreason.training.rewards import Truth
from mmreason.training.runs.recipe_parts import CheckpointSettings
from mmreason.training.sft import (
    SftBatching,
    SftEvaluation,
    SftObjective,
    SftRecipe,
    train_sft,
)
from tests.fakes import tiny_rl


def sample(i: int, rejected: str = "") -> Sample:
    """Of an even number: a colour is the answer; of an odd one, a colour and "it"."""
    colour = tiny_rl.COLOURS[i % len(tiny_rl.COLOURS)]
    worse = (SampleMessage(role="assistant", parts=(rejected,)),) if rejected else ()
    return Sample(
        id=f"row-{i}",
        messages=(
            SampleMessage(role="user", parts=("say it " + "please " * (i % 3) + colour,)),
            SampleMessage(role="assistant", parts=(colour + " it" * (i % 2),)),
        ),
        rejected=worse,
        truth=Truth(answer=colour),
        channel="even" if i % 2 == 0 else "odd",
    )


SAMPLES = [sample(i) for i in range(8)]
PAIRS = [sample(i, rejected=tiny_rl.COLOURS[(i + 1) % 4]) for i in range(6)]
DROPOUT = partial(tiny_rl.policy, dropout=0.2)
NAMES: dict[str, dict[str, Any]] = {
    "plain": {},
    "packed": {"batching": SftBatching(rows=5, layout="packed", micro_tokens=24)},
    "pairs": {"samples": PAIRS, "objective": SftObjective(formula="dpo")},
    "one row": {"batching": SftBatching(rows=1)},
    "noisy": {
        "model": DROPOUT,
        "objective": SftObjective(neftune_alpha=5.0),
        "held_out_samples": SAMPLES[:3],
        "evaluation": SftEvaluation(every=2, answer_tokens=4),
    },
    "adapters": {
        "weights": TrainedWeights(lora=Lora(rank=4, alpha=8, dropout=0.2)),
        "objective": SftObjective(neftune_alpha=5.0),
    },
}


def recipe(name: str, out: Path, **changes: Any) -> SftRecipe:
    """The run `name`, its folder in `out`."""
    settings: dict[str, Any] = {
        "samples": SAMPLES,
        "out": out / name,
        "model": tiny_rl.policy,
        "steps": 6,
        "optimiser": OptimiserSettings(learning_rate=3e-3, warmup_updates=2, schedule="cosine"),
        "batching": SftBatching(rows=5),
        "evaluation": SftEvaluation(generate=False),
        "checkpoints": CheckpointSettings(every=1),
    }
    return SftRecipe(**(settings | NAMES[name] | changes))


def run(name: str, out: Path, **changes: Any) -> list[dict[str, float]]:
    """The figures of all steps that are done now."""
    return [dict(report.metrics) for report in train_sft(recipe(name, out, **changes))]


if __name__ == "__main__":
    folder, steps, *names = sys.argv[1:]
    for name in names:
        figures = run(name, Path(folder), steps=int(steps))
        if PartialState().is_main_process:
            (Path(folder) / f"{name}.json").write_text(json.dumps(figures))
    destroy_process_group()
