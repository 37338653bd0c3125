"""A run's reports made up by arithmetic: plausible curves and samples, the same for every call."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from mmreason.training.rollouts.types import Role
from mmreason.training.runs.events import SampleToken, SampleView, StepReport

_SENTENCE = (
    "The red star appears after the blue circle leaves , so I look at the last part again and "
    "count two squares before the cut to the next scene <answer> B </answer>"
)


def reports(
    steps: int = 200, *, seed: int = 0, gain: float = 1.0, samples: int = 4
) -> Iterator[StepReport]:
    """Rewards that rise by about `gain` times a sigmoid, with noise; a skipped update at 70."""
    random = np.random.default_rng(seed)
    for step in range(1, steps + 1):
        yield StepReport(
            step=step,
            steps=steps,
            metrics=_metrics(step, steps, gain, random),
            samples=tuple(_view(step, i, random) for i in range(samples)),
            warnings=(f"update {step}: skipped, the loss of clip-7 was nan",) if step == 70 else (),
        )


def _metrics(step: int, steps: int, gain: float, random: np.random.Generator) -> dict[str, float]:
    at = step / steps
    rise = gain / (1 + math.exp(-8 * (at - 0.4)))
    correct = min(1.0, max(0.0, 0.2 + 0.6 * rise + random.normal(0, 0.06)))
    silenced = int(random.poisson(3))
    figures = {
        "reward/mean": correct + 0.1 * rise + random.normal(0, 0.02),
        "reward/deviation": 0.4 - 0.15 * rise + random.normal(0, 0.02),
        "reward/correct": correct,
        "component/answer": correct,
        "component/format": min(1.0, 0.5 + 2 * rise) + random.normal(0, 0.01),
        "component/evidence": 0.1 + 0.4 * rise + random.normal(0, 0.03),
        "groups/mixed": max(0.0, 0.7 - 0.3 * rise + random.normal(0, 0.08)),
        "groups/solved": max(0.0, 0.05 + 0.4 * rise + random.normal(0, 0.05)),
        "groups/failed": max(0.0, 0.25 - 0.2 * rise + random.normal(0, 0.05)),
        "groups/zero_variance": max(0.0, 0.3 + random.normal(0, 0.05)),
        "advantage/min": -1.6 + random.normal(0, 0.2),
        "advantage/max": 1.9 + random.normal(0, 0.2),
        "entropy/mean": 0.9 - 0.5 * at + random.normal(0, 0.03),
        "policy/loss": random.normal(0, 0.02),
        "policy/ratio_max": 1 + abs(random.normal(0, 0.4)),
        "policy/clip_low": abs(random.normal(0, 0.002)),
        "policy/clip_high": abs(random.normal(0, 0.003)),
        "stapo/silenced": silenced,
        "stapo/silenced_share": silenced / 4000,
        "stapo/candidates": silenced + int(random.poisson(2)),
        "stapo/threshold": 1.1 + random.normal(0, 0.1),
        "dsdr/diversity": 0.35 - 0.1 * at + random.normal(0, 0.02),
        "dsdr/groups": 6 + int(random.integers(0, 3)),
        "dsdr/entropy_loss": -0.02 + random.normal(0, 0.002),
        "kl/update": abs(random.normal(0, 1e-5)),
        "mismatch/reported": 1,
        "mismatch/gap_mean": 2e-4 + abs(random.normal(0, 2e-5)),
        "mismatch/gap_max": 0.02 + abs(random.normal(0, 0.01)),
        "length/mean": 60 + 40 * at + random.normal(0, 4),
        "length/max": 128 + 60 * at + random.normal(0, 12),
        "length/truncated": max(0.0, random.normal(0.03, 0.02)),
        "turns/mean": 2.4 - 0.6 * at + random.normal(0, 0.1),
        "tools/calls": 1.4 - 0.6 * at + random.normal(0, 0.1),
        "tools/errors": abs(random.normal(0, 0.05)),
        "failures/groups": 0,
        "failures/samples": 0,
        "optimiser/gradient_norm": 0.4 + abs(random.normal(0, 0.1)) + (3.0 if step == 71 else 0),
        "optimiser/learning_rate": 1e-6 * min(1.0, step / 10),
        "optimiser/skipped": float(step >= 70),
        "speed/rollout_s": 4 + 2 * at + random.normal(0, 0.2),
        "speed/train_s": 2.5 + at + random.normal(0, 0.1),
        "speed/tokens_per_s": 820 + random.normal(0, 30),
        "memory/peak_mb": 1500 + 120 * min(at, 0.3),
    }
    if step % 20 == 0:
        figures["eval/correct"] = 0.2 + 0.55 * rise + random.normal(0, 0.02)
    return {name: float(value) for name, value in figures.items()}


def _view(step: int, sample: int, random: np.random.Generator) -> SampleView:
    words = _SENTENCE.split()
    is_right = bool(random.random() < 0.5)
    read = [SampleToken(text=text, role=Role.PROMPT) for text in ("<user>", "\n")]
    read += [SampleToken(text="<frame>", role=Role.PROMPT)] * 256
    read += [SampleToken(text=" What happens after the star?", role=Role.PROMPT)]
    came = [SampleToken(text="<tool> two squares, 0:12 to 0:15 </tool>\n", role=Role.TOOL)]
    count = int(random.integers(24, len(words) + 1))
    wrote = [_token(f" {word}", is_right, random) for word in words[:count]]
    return SampleView(
        problem=f"clip-{sample // 2}",
        question="What happens after the star leaves?",
        wanted="the square turns blue",
        sample=sample % 2,
        reward=1.2 if is_right else 0.1,
        components={"answer": float(is_right), "format": 0.1, "evidence": None},
        correct=is_right,
        advantage=0.9 if is_right else -0.9,
        truncated=count < len(words) - 4,
        sequences=((*read, *wrote[:12], *came, *wrote[12:]),),
    )


def _token(text: str, is_right: bool, random: np.random.Generator) -> SampleToken:
    logprob = -float(random.exponential(0.6)) * (8 if random.random() < 0.04 else 1)
    return SampleToken(
        text=text,
        role=Role.ASSISTANT,
        logprob=logprob,
        entropy=float(random.exponential(0.5)),
        silenced=is_right and logprob < -3.5,
    )
