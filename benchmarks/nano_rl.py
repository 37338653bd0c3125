"""Compares two checkpoints of nano on held-out problems: before and after reinforcement.

Boxes, half-truths, counts on crowded frames, and plays over long scripted videos whose observer
makes no mistakes. Both checkpoints get the same problems and the likeliest answer; differences are
paired. Writes a table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmreason.evaluation.scoring import Proportion
from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import LocalSampler
from mmreason.training.navigation.task import Navigation
from mmreason.training.rl import PolicyModel
from mmreason.training.rollouts.episode import Task
from mmreason.training.tasks.frames import KINDS, FrameTask

LIKELIEST = Sampling(samples=1, temperature=0.0, seed=0, step=0)
RESAMPLES = 10_000
FIRST_FRAME = 10_000
"""Those before are for choosing the checkpoint while it is trained."""
GROUNDING = ("box", "box_absent")


@dataclass(frozen=True)
class Measured:
    """Right (1) or wrong (0), one a problem, and the turns of each play."""

    right: dict[str, np.ndarray]
    """By kind: (problems,)."""
    turns: np.ndarray
    """(plays,)"""
    worlds: np.ndarray
    """(plays,): the world of each, as plays over one world are not independent."""


def measure_checkpoint(
    folder: str, frames: int, worlds: int, items: int, duration_s: float
) -> Measured:
    """The likeliest answer to every held-out problem."""
    policy = PolicyModel.load(folder)
    sampler = LocalSampler(
        policy.model,
        policy.tokenizer,
        end_ids=policy.end_ids,
        pad_id=policy.pad_id,
        batch_tokens=12_000,
    )

    def roll_out(task: Task, count: int, first: int = 0) -> list:
        groups = []
        # Forty at a time, so that progress can be told.
        for start in range(first, first + count, 40):
            problems = [task.problem(i) for i in range(start, min(start + 40, first + count))]
            groups += collect_rollouts(task, problems, policy.codec, sampler, LIKELIEST)
            print(f"\r{folder}: {task.name} {len(groups)}/{count}", end="", file=sys.stderr)
        print(file=sys.stderr)
        return [(group.problem, group.rollouts[0] if group.rollouts else None) for group in groups]

    def score_rollouts(pairs: Sequence) -> np.ndarray:
        return np.array([r is not None and bool(r.outcome.correct) for _, r in pairs], float)

    right = {
        kind: score_rollouts(
            roll_out(FrameTask(split="held-out", kinds=(kind,)), frames, FIRST_FRAME)
        )
        for kind in KINDS
    }
    # Problems of the two kinds are in turn different frames; a mean over both is the score.
    right["grounding"] = np.concatenate([right[kind] for kind in GROUNDING])
    plays = []
    if worlds:
        task = Navigation(split="held-out", worlds=worlds, duration_s=duration_s, items=items)
        plays = roll_out(task, worlds * items)
        right["navigation"] = score_rollouts(plays)
    for kind in sorted({problem.kind for problem, _ in plays}):
        right[f"navigation, {kind}"] = score_rollouts([p for p in plays if p[0].kind == kind])
    turns = np.array([r.outcome.turns if r is not None else 0 for _, r in plays], float)
    return Measured(right, turns, np.arange(worlds * items) // items)


def paired_gain(
    before: np.ndarray, after: np.ndarray, groups: np.ndarray | None = None
) -> tuple[float, float, float]:
    """Mean of after - before with a 95 % interval: bootstrap over `groups` of rows.

    Example:
        >>> mean, low, high = paired_gain(np.array([0.0, 1.0]), np.array([1.0, 1.0]))
        >>> mean, low, high
        (0.5, 0.0, 1.0)
    """
    gain = after - before
    labels = np.arange(len(gain)) if groups is None else groups
    # Rows of a group are drawn together: plays over one world succeed and fail alike.
    names, group_of_row = np.unique(labels, return_inverse=True)
    total, count = np.bincount(group_of_row, gain), np.bincount(group_of_row)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(names), (RESAMPLES, len(names)))
    means = total[drawn].sum(1) / count[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(gain.mean()), float(low), float(high)


def build_table(before: Measured, after: Measured) -> str:
    """A row a kind of problem."""
    rows = ["| held-out problems | n | before | after | gain, points |", "|---|---|---|---|---|"]
    for kind, right_before in before.right.items():
        right_after = after.right[kind]
        # Frames are independent of each other; plays over one world are not.
        groups = before.worlds if kind == "navigation" else None
        mean, low, high = (100 * x for x in paired_gain(right_before, right_after, groups))
        proportions = [
            f"{proportion.value:.1%} ({proportion.interval[0]:.1%} to {proportion.interval[1]:.1%})"
            for proportion in (
                Proportion(int(v.sum()), len(v)) for v in (right_before, right_after)
            )
        ]
        cells = [
            kind,
            str(len(right_before)),
            *proportions,
            f"{mean:+.1f} ({low:+.1f} to {high:+.1f})",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    if not len(before.turns):
        return "\n".join(rows)
    mean, low, high = paired_gain(before.turns, after.turns, before.worlds)
    rows.append(
        f"| turns a play | {len(before.turns)} | {before.turns.mean():.2f} | "
        f"{after.turns.mean():.2f} | {mean:+.2f} turns ({low:+.2f} to {high:+.2f}) |"
    )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", help="model folder, or the name of a packaged model")
    parser.add_argument("after")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--worlds", type=int, default=40, help="for plays; 0 for frames only")
    parser.add_argument("--items", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    before, after = (
        measure_checkpoint(
            folder, arguments.frames, arguments.worlds, arguments.items, arguments.seconds
        )
        for folder in (arguments.before, arguments.after)
    )
    text = build_table(before, after)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
