"""What a supervised run would read, before anything is trained: every row encoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from mmreason.report.text import format_count
from mmreason.training.data.sample import RowFault, Sample
from mmreason.training.learner.adapters import select_trained_weights
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.sft.recipe import SftRecipe
from mmreason.training.sft.run import make_encoder
from mmreason.video.encoders.load import has_fast_bfloat16

MOST_FAULTS_SHOWN = 10
_MOMENT_BYTES = 8
"""Of AdamW, a parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SftPlan:
    """The work of a run."""

    rows: int
    held_out: int
    faults: tuple[str, ...]
    """Rows that cannot be used, each with its reason."""
    tokens: tuple[int, ...]
    """Of each row that can."""
    learnt_tokens: int
    """In one epoch."""
    steps: int
    parameters: int
    trained: int
    state_bytes: int
    """Estimate for one process without shards: weights, and for what is trained its gradients and
    the two moments of AdamW in float32. What passes through the model comes to it."""
    warnings: tuple[str, ...]
    """What is likely not meant."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "rows": self.rows,
            "held_out": self.held_out,
            "faults": list(self.faults),
            "tokens_median": median(self.tokens) if self.tokens else 0,
            "tokens_most": max(self.tokens, default=0),
            "learnt_tokens": self.learnt_tokens,
            "steps": self.steps,
            "parameters": self.parameters,
            "trained": self.trained,
            "state_bytes": self.state_bytes,
            "warnings": list(self.warnings),
        }

    def describe(self) -> list[str]:
        """Lines for people."""
        lines = [
            f"{format_count(self.rows, 'row')}, {self.held_out:,} held out; "
            f"{format_count(self.steps, 'step')}",
            f"{self.parameters:,} parameters, {self.trained:,} of them trained: about "
            f"{self.state_bytes / 1e9:.2g} GB for weights, gradients and optimiser in each process "
            "without shards; what passes through the model comes to it",
        ]
        lines += [f"note: {warning}" for warning in self.warnings]
        if self.tokens:
            lines.append(
                f"tokens a row: {median(self.tokens):,.0f} in the middle, {max(self.tokens):,} at "
                f"most; {self.learnt_tokens:,} are learnt in an epoch"
            )
        if self.faults:
            lines.append(f"{format_count(len(self.faults), 'row')} cannot be used:")
            lines += [f"  {fault}" for fault in self.faults[:MOST_FAULTS_SHOWN]]
            if len(self.faults) > MOST_FAULTS_SHOWN:
                lines.append(f"  and {len(self.faults) - MOST_FAULTS_SHOWN:,} more")
        return lines


def plan_rows(
    recipe: SftRecipe, samples: Sequence[Sample], held_out: int, advance: Callable[[], object]
) -> SftPlan:
    """Encode every row once; `advance` is called after each."""
    loaded = recipe.model() if callable(recipe.model) else PolicyModel.load(recipe.model)
    policy = select_trained_weights(loaded, recipe.weights)
    encoder, _ = make_encoder(recipe, policy)
    faults: list[str] = []
    tokens: list[int] = []
    learnt = 0
    for position in range(len(samples)):
        item = encoder.encode(samples[position], position)
        if isinstance(item, RowFault):
            faults.append(str(item))
        else:
            tokens += [len(row.sequence.token_ids) for row in item]
            learnt += sum(row.sequence.completion_tokens for row in item)
        advance()
    parameters = list(policy.model.parameters())
    trained = [p for p in parameters if p.requires_grad]
    steps = recipe.count_steps(len(samples))
    return SftPlan(
        rows=len(samples),
        held_out=held_out,
        faults=tuple(faults),
        tokens=tuple(tokens),
        learnt_tokens=learnt,
        steps=steps,
        parameters=sum(p.numel() for p in parameters),
        trained=sum(p.numel() for p in trained),
        state_bytes=sum(p.numel() * p.element_size() for p in parameters)
        + sum(p.numel() * (p.element_size() + _MOMENT_BYTES) for p in trained),
        warnings=tuple(_find_doubts(recipe, steps)),
    )


def _find_doubts(recipe: SftRecipe, steps: int) -> Iterator[str]:
    import torch

    warmup = recipe.optimiser.warmup_updates
    if steps <= warmup:
        yield (
            f"the learning rate rises over {warmup} updates (optimiser.warmup_updates), and the "
            f"run has {steps}: it never reaches its height"
        )
    on_cpu = not torch.cuda.is_available()
    if recipe.batching.precision == "bf16" and on_cpu and not has_fast_bfloat16("cpu"):
        yield (
            'this processor has no arithmetic for bfloat16: batching.precision "no" takes a '
            "fraction of the time"
        )
