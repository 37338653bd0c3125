"""What the trainer tells whoever watches it: one report a step, with samples to look at.

Plain numbers and tokens, so that logs, tables and pages need no tensors. They are made in `run.py`
and shown by `mmreason.training.monitoring`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmreason.training.rollouts.types import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleToken:
    """A token of a rollout as a page shows it.

    Example:
        >>> SampleToken(text="red", role=Role.ASSISTANT, logprob=-0.1, entropy=0.4).silenced
        False
    """

    text: str
    role: Role
    logprob: float | None = None
    """Under the policy that was trained in this step; None for what it did not write."""
    entropy: float | None = None
    """Nats over the vocabulary at this place; None where it was not taken."""
    silenced: bool = False
    """Left out of the loss by STAPO."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleView:
    """One rollout to look at."""

    problem: str
    """Id of the problem."""
    question: str
    wanted: str
    """The right answer in words; empty where there is none."""
    sample: int
    reward: float | None
    components: Mapping[str, float | None]
    correct: bool | None
    advantage: float
    truncated: bool
    sequences: tuple[tuple[SampleToken, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step: rollouts, rewards and the optimiser updates made of them.

    Example:
        >>> StepReport(step=1, steps=20, metrics={"reward/mean": 0.25}).metrics["reward/mean"]
        0.25
    """

    step: int
    """From 1."""
    steps: int
    metrics: Mapping[str, float]
    """Finite numbers by name; the part before the slash is the group: `reward/mean`. A figure that
    does not apply to the step is not there. `docs/training.md` lists all of them."""
    samples: tuple[SampleView, ...] = ()
    """A few rollouts, the same problems' positions every time."""
    warnings: tuple[str, ...] = ()
    """One line each: skipped updates with the sample's name, failed groups with the reason."""


METRICS: Mapping[str, str] = {
    "reward/mean": "mean reward of the step's rollouts",
    "reward/deviation": "its standard deviation",
    "reward/correct": "share of right answers",
    "component/NAME": "mean of one reward component, where it applies",
    "groups/mixed": "share of groups with right and wrong answers",
    "groups/solved": "share of groups with right answers only",
    "groups/failed": "share of groups without a right answer",
    "groups/zero_variance": "share of groups whose rewards are all equal: they teach nothing",
    "groups/flat": "share of rows with advantage 0 that were counted but not run",
    "groups/dropped": "groups left out by dynamic sampling",
    "groups/ties_broken": "groups whose cheaper right episodes earned more",
    "advantage/min": "smallest advantage",
    "advantage/max": "largest advantage",
    "entropy/sampled": "mean -log p of all written tokens when sampled, nats: estimates entropy",
    "entropy/mean": "mean entropy of the tokens in the last update, nats",
    "policy/loss": "policy loss of the last update",
    "policy/ratio_max": "largest token ratio of the last update",
    "policy/clip_low": "share of tokens below the clip range with A < 0",
    "policy/clip_high": "share of tokens above it with A > 0",
    "vespo/mean_weight": "mean weight phi",
    "vespo/vanished_share": "share of sequences with phi < 0.01: they no longer learn",
    "vespo/effective_share": "effective sample size as a share of the sequences",
    "vespo/log_weight_abs_max": "largest |log W|",
    "stapo/silenced": "tokens silenced in the step",
    "stapo/silenced_share": "their share of the written tokens",
    "stapo/candidates": "improbable tokens of rewarded answers",
    "stapo/threshold": "entropy below which a candidate is silenced, nats",
    "dsdr/diversity": "mean diversity of right answers, 0..1",
    "dsdr/groups": "groups with a right answer: where the entropy term acts",
    "dsdr/entropy_loss": "the entropy term before its coefficient",
    "kl/reference": "KL to the reference per token (k3), nats",
    "kl/update": "KL from the sampling weights to the updated ones per token (k3), nats",
    "mismatch/served_gap": "server against trainer on a fixed text, nats a token",
    "mismatch/reported": "1 where the sampler told log-probabilities, else 0",
    "mismatch/gap_mean": "mean |trainer - sampler| of log-probabilities, nats",
    "mismatch/gap_max": "largest of them",
    "mismatch/kl": "KL from sampler to trainer per token (k3), nats",
    "mismatch/corrected_share": "share of tokens whose correction weight is not 1",
    "length/mean": "tokens written a rollout",
    "length/max": "most tokens written",
    "length/truncated": "share of rollouts cut off by the length limit",
    "length/sequences": "rows trained on a rollout; above 1 where turns could not be joined",
    "turns/mean": "turns of the model a rollout",
    "tools/calls": "tool calls a rollout",
    "tools/errors": "tool calls that returned an error, a rollout",
    "failures/groups": "problems that could not be shown at all",
    "failures/samples": "rollouts that failed",
    "failures/rewards": "rollouts left out because a reward was at fault",
    "optimiser/gradient_norm": "gradient norm before clipping, last update",
    "optimiser/learning_rate": "learning rate of the last update",
    "optimiser/skipped": "updates skipped so far: for NaN or infinity, or as nothing was rewarded",
    "optimiser/without_signal": "steps so far without a signal: rewards did not differ",
    "speed/rollout_s": "seconds sampling",
    "speed/train_s": "seconds in forward and backward passes and the optimiser",
    "speed/tokens_per_s": "tokens written and trained on a second of the step",
    "memory/peak_mb": "peak memory of the process or the device so far, MB",
    "eval/correct": "share of right answers on held-out problems, greedy",
    "eval/reward": "mean reward on them",
    "loss/mean": "mean negative log-probability of a learnt token, nats; of DPO a pair's loss",
    "loss/channel/NAME": "the same over the rows of one channel",
    "eval/loss": "the same on held-out rows",
    "eval/channel/NAME": "the same over the held-out rows of one channel",
    "eval/preferred": "share of held-out pairs whose better answer gained on the worse one",
    "eval/questions": "held-out questions that were answered for it",
    "start/NAME": "a held-out figure before the first step",
    "dpo/preferred": "share of pairs whose better answer has gained on the worse one",
    "dpo/margin": "mean lead of better answers over the reference's, times beta, nats",
    "rows/left_out": "rows of the step that could not be used",
    "progress/epochs": "how often every row has come by",
    "speed/read_s": "seconds waiting for rows: media opened, tokens laid out",
}
"""Every figure that a step may have, with what it is."""
