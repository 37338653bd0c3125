"""One step of TRL's trainer with our loss, as one of several processes: run by `test_trl_trainer`.

python -m tests.fakes.trl_processes MODEL FOLDER MICRO_BATCH   (rank and size by environment)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch


def answer_of(row: int, tokenizer: Any) -> list[int]:
    """An answer that depends on the row alone; lengths from 1 to 12."""
    length = 1 + (5 * row) % 12
    return [300 + (7 * row + i) % 40 for i in range(length - 1)] + [tokenizer.eos_token_id]


def main(model: str, folder: Path, size: int) -> None:
    """Write the weights after the step to `folder/weights-<processes>.pt`."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    from mmreason.training.integrations.trl import grpo_trainer
    from mmreason.training.rl import Stapo
    from tests.fakes.trl_models import config_of

    torch.set_num_threads(1)
    rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    tokenizer = AutoTokenizer.from_pretrained(model)

    class Scripted(grpo_trainer("vespo", stapo=Stapo(probability=0.5, quantile=0.9))):
        def _generate_single_turn(self, prompt_ids: Any, *rest: Any, **more: Any) -> Any:
            first = rank * len(prompt_ids)
            return [answer_of(first + i, tokenizer) for i in range(len(prompt_ids))], None

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [float(len(ids) % 3) for ids in completion_ids]

    settings = {
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": 8 // size // processes,
        "num_generations": 4,
        "max_completion_length": 16,
        "optim": "sgd",
        "learning_rate": 1.0,
        "max_grad_norm": 0.0,
        "scale_rewards": "none",
        "shuffle_dataset": False,
        "gradient_checkpointing": False,
    }
    rows = [[{"role": "user", "content": f"count {i}"}] for i in range(2)]
    trainer = Scripted(
        model=model,
        args=config_of(folder, settings),
        reward_funcs=reward,
        train_dataset=Dataset.from_dict({"prompt": rows}),
        processing_class=tokenizer,
    )
    trainer.train()
    if rank == 0:
        weights = [p.detach().flatten() for p in trainer.model.parameters()]
        torch.save(torch.cat(weights), folder / f"weights-{processes}.pt")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
