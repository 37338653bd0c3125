"""The supervised start: a tiny model that has seen imperfect demonstrations.

Made once per task and seed and kept in a folder, so that all arms of an experiment begin with the
same weights. What is demonstrated is in `sums`, `routes` and `search`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from mmreason.training.claims import tiny
from mmreason.training.claims.text_task import Demonstration
from mmreason.training.rollouts.episode import Task
from mmreason.training.rollouts.types import Problem, stable_seed

IGNORED = -100
"""Target of a token that is read and not learnt, as `cross_entropy` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is taught, and for how long."""

    name: str
    """Part of the folder's name."""
    words: tuple[str, ...]
    task: Task
    """Whose problems are demonstrated."""
    demonstrate: Callable[[Problem, random.Random], Demonstration]
    """How a teacher does a problem, from a source of chance."""
    steps: int
    rows: int = 128
    learning_rate: float = 4e-3
    width: int = 48


def make_start(lesson: Lesson, seed: int, folder: Path) -> Path:
    """The folder of the model taught `lesson` with this seed; made where it is not there yet."""
    start = folder / f"{lesson.name}-{seed}"
    if (start / "config.json").is_file():
        return start
    tokenizer = tiny.make_tokenizer(lesson.words)
    model = tiny.make_model(tokenizer, seed=seed, width=lesson.width)
    teach_model(model, tokenizer, lesson, seed)
    # Renamed when whole: an interrupted start is made anew.
    unfinished = start.with_suffix(".unfinished")
    tiny.save_model(model, tokenizer, unfinished)
    unfinished.rename(start)
    return start


def teach_model(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, lesson: Lesson, seed: int
) -> list[float]:
    """Cross-entropy of the written words, learning rate falling linearly to 0; the losses."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=lesson.learning_rate, weight_decay=0.0)
    losses = []
    for step in range(lesson.steps):
        draw = random.Random(stable_seed(lesson.name, seed, step))
        demonstrations = [
            lesson.demonstrate(lesson.task.problem(draw.getrandbits(40)), draw)
            for _ in range(lesson.rows)
        ]
        # Drawn anew each step: a start sees every problem about once.
        ids, targets = encode_demonstrations(demonstrations, tokenizer)
        for group in optimiser.param_groups:
            # Twenty steps of warm-up, then straight down.
            warm = min(1.0, (step + 1) / 20)
            group["lr"] = lesson.learning_rate * warm * (1 - step / lesson.steps)
        logits = model(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten(), ignore_index=IGNORED
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def encode_demonstrations(
    demonstrations: Sequence[Demonstration], tokenizer: PreTrainedTokenizerFast
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and targets, (rows, longest); padded at the end, where nothing looks back from."""
    rows: list[tuple[list[int], list[int]]] = []
    for demonstration in demonstrations:
        ids: list[int] = []
        targets: list[int] = []
        for i, turn in enumerate(demonstration.turns):
            is_written = i % 2 == 1
            turn_ids = tokenizer.encode(turn, add_special_tokens=False)
            turn_ids += [tiny.END_ID] if is_written else []
            ids += turn_ids
            targets += turn_ids if is_written else [IGNORED] * len(turn_ids)
        rows.append((ids, targets))
    longest = max(len(ids) for ids, _ in rows)
    padded = [ids + [tiny.PAD_ID] * (longest - len(ids)) for ids, _ in rows]
    aims = [targets + [IGNORED] * (longest - len(targets)) for _, targets in rows]
    return torch.tensor(padded), torch.tensor(aims)
