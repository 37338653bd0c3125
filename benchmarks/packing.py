"""Packed rows against separate ones, in every family: losses, gradients, how rows are kept apart.

    python -m benchmarks.packing [family ...] > benchmarks/results/packing.md

Models are tiny and random, of the real classes and processors. The last lines count tokens of rows
of mixed lengths, padded and packed, and time one pass of each.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmreason.models.base import FramesPart, Message, TextPart
from mmreason.training.learner.dialogues import encode_dialogue
from mmreason.training.learner.isolation import find_packing
from mmreason.training.learner.logprobs import Scorer
from mmreason.training.learner.packing import LayoutKind, pack_sequences
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.rollouts.types import TokenSequence
from mmreason.video.types import FrameBatch
from tests.fakes import tiny_families

FAMILIES = (
    *("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_5", "internvl"),
    *("llava_onevision", "smolvlm", "gemma3", "glm4v", "glm46v"),
)
ANSWERS = ("that one over there", "none", "a cup and a saucer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Between one batch of rows and the same rows one at a time.

    Example:
        >>> Differences(loss=0.0, gradient=1e-7).loss
        0.0
    """

    loss: float
    """Largest of any learnt token's log-probability, nats."""
    gradient: float
    """Length of the difference over the length of the gradient."""


def make_rows(policy: PolicyModel, kind: str) -> list[TokenSequence]:
    """Three dialogues about clips, images or nothing ("clip", "image", "text")."""
    rows = []
    for i, answer in enumerate(ANSWERS):
        parts: list[FramesPart | TextPart] = [TextPart("which one, please? " * (i + 1))]
        if kind != "text":
            count = 4 if kind == "clip" else 1
            generator = np.random.default_rng(i)
            pixels = generator.integers(0, 255, (count, 56, 56, 3), np.uint8)
            frames = FrameBatch(
                pixels=pixels, times_s=np.arange(count) * 1.5, exact=np.ones(count, dtype=bool)
            )
            parts.insert(0, FramesPart(frames, "video" if kind == "clip" else "image"))
        messages = [Message("user", tuple(parts)), Message("assistant", (TextPart(answer),))]
        rows.append(encode_dialogue(policy, messages, (False, True)))
    return rows


def score_rows(
    policy: PolicyModel, batches: list[list[TokenSequence]], layout: LayoutKind
) -> tuple[list[Tensor], Tensor]:
    """Log-probabilities of each row's learnt tokens, and the gradient of their weighted sum, as one
    vector."""
    model = policy.model.train()
    scorer = Scorer(model).train()
    model.zero_grad()
    found: list[Tensor] = []
    for batch in batches:
        packed = pack_sequences(batch, kind=layout, pad_id=policy.pad_id, model=model)
        logp, _ = scorer(packed, 1.0, False)
        # Another weight for each row: gradients in the wrong place would show.
        weights = torch.arange(len(batch)) + len(found) + 1.0
        (logp * packed.mask * weights[:, None]).sum().backward()
        found += [row[mask] for row, mask in zip(logp.detach(), packed.mask, strict=True)]
    flat = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    return found, torch.cat([gradient.flatten() for gradient in flat])


def measure_differences(
    policy: PolicyModel, rows: list[TokenSequence], layout: LayoutKind
) -> Differences:
    """Of all rows in one pass of `layout` from each alone."""
    alone, gradient = score_rows(policy, [[row] for row in rows], "padded")
    together, other = score_rows(policy, [rows], layout)
    loss = max(float((a - b).abs().max()) for a, b in zip(alone, together, strict=True))
    return Differences(loss=loss, gradient=float((gradient - other).norm() / gradient.norm()))


def main(families: list[str]) -> None:
    """Print the page."""
    print("# Packed rows\n\n    python -m benchmarks.packing > benchmarks/results/packing.md\n")
    print("Tiny random models of the real classes, float32 on a CPU. Differences of packed rows")
    print("from separate ones: largest log-probability, nats, and relative gradient.\n")
    print("| Family | Kept apart by | Clips | Images | Text |\n| --- | --- | --- | --- | --- |")
    for family in families:
        policy = tiny_families.policy(family)
        cells = []
        for kind in ("clip", "image", "text"):
            found = measure_differences(policy, make_rows(policy, kind), "packed")
            cells.append(f"{found.loss:.1e}, {found.gradient:.1e}")
        way = find_packing(policy.model)
        print(f"| {family} | {way.isolation}: {way.reason} | {' | '.join(cells)} |", flush=True)
    _print_throughput(tiny_families.policy(families[0]))


def _print_throughput(policy: PolicyModel) -> None:
    """Rows of mixed lengths, as one padded and as one packed batch."""
    generator = np.random.default_rng(0)
    lengths = sorted(int(n) for n in 20 * 2 ** generator.uniform(0, 4, 16))
    rows = []
    for length in lengths:
        messages = [
            Message("user", (TextPart("x" * length),)),
            Message("assistant", (TextPart("yes"),)),
        ]
        rows.append(encode_dialogue(policy, messages, (False, True)))
    tokens = [len(row.token_ids) for row in rows]
    padded = len(tokens) * max(tokens)
    print(f"\n16 rows of {min(tokens)} to {max(tokens)} tokens: {padded:,} tokens padded into one")
    print(f"batch, {sum(tokens):,} packed: {padded / sum(tokens):.2f} times fewer.")
    for layout in ("padded", "packed"):
        score_rows(policy, [rows], layout)
        start = time.process_time()
        score_rows(policy, [rows], layout)
        print(f"One {layout} pass forward and back: {time.process_time() - start:.2f} s of CPU.")


if __name__ == "__main__":
    main(sys.argv[1:] or list(FAMILIES))
