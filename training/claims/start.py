"""The supervised start: a tiny model that has seen imperfect demonstrations.

Made once per task and seed and kept in a folder, so that all arms of an experiment begin with the
same weights. Leaves out the demonstrations (`sums.py`, `routes.py`, `search.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from mmreason.training.claims import tiny
from mmreason.training.claims.demonstration import Demonstration
from mmreason.training.rollouts.types import stable_seed

IGNORED = -100
"""Target of a token that is read and not learnt, as `cross_entropy` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is taught, and for how long."""

    name: str
    """Part of the folder's name."""
    words: tuple[str, ...]
    demonstrate: Callable[[int, random.Random], Demonstration]
    """From the number of a problem and a source of chance."""
    steps: int
    rows: int = 128
    learning_rate: float = 4e-3
    width: int = 48


def start(lesson: Lesson, seed: int, folder: Path) -> Path:
    """The folder of the model taught `lesson` with this seed; made where it is not there yet."""
    made = folder / f"{lesson.name}-{seed}"
    if (made / "config.json").is_file():
        return made
    tokenizer = tiny.make_tokenizer(lesson.words)
    model = tiny.make_model(tokenizer, seed=seed, width=lesson.width)
    teach(model, tokenizer, lesson, seed)
    unfinished = made.with_suffix(".unfinished")
    tiny.save(model, tokenizer, unfinished)
    unfinished.rename(made)
    return made


def teach(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, lesson: Lesson, seed: int
) -> list[float]:
    """Cross-entropy of the written words, learning rate falling linearly to 0; the losses."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=lesson.learning_rate, weight_decay=0.0)
    losses = []
    for step in range(lesson.steps):
        draw = random.Random(stable_seed(lesson.name, seed, step))
        shown = [lesson.demonstrate(draw.getrandbits(40), draw) for _ in range(lesson.rows)]
        ids, targets = encode(shown, tokenizer)
        for group in optimiser.param_groups:
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


def encode(
    shown: Sequence[Demonstration], tokenizer: PreTrainedTokenizerFast
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and targets, (rows, longest); padded at the end, where nothing looks back from."""
    rows: list[tuple[list[int], list[int]]] = []
    for one in shown:
        ids: list[int] = []
        targets: list[int] = []
        for i, turn in enumerate(one.turns):
            words = tokenizer.encode(turn, add_special_tokens=False)
            words += [tiny.END_ID] if i % 2 else []
            ids += words
            targets += words if i % 2 else [IGNORED] * len(words)
        rows.append((ids, targets))
    longest = max(len(ids) for ids, _ in rows)
    padded = [ids + [tiny.PAD_ID] * (longest - len(ids)) for ids, _ in rows]
    aims = [targets + [IGNORED] * (longest - len(targets)) for _, targets in rows]
    return torch.tensor(padded), torch.tensor(aims)
