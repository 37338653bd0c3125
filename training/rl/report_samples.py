"""Rollouts as a page shows them: tokens as text, with what the update saw of each.

The page itself is made by `mmreason.training.monitoring`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmreason.training.rl.batches import MicroBatch
from mmreason.training.rollouts.types import Role
from mmreason.training.runs.events import SampleToken, SampleView

MOST_TOKENS = 2_000
"""Tokens shown of a sequence; how many are missing in the middle of the prompt is said."""


def samples_for_report(
    micro_batches: Sequence[MicroBatch], tokenizer: Any, count: int
) -> tuple[SampleView, ...]:
    """The first `count` rollouts in the order of their problems and numbers."""
    # 1) The rows of a rollout may lie in several micro-batches.
    rows_of: dict[int, list[tuple[MicroBatch, int]]] = {}
    for micro_batch in micro_batches:
        for i, row in enumerate(micro_batch.rows):
            rows_of.setdefault(id(row.rollout), []).append((micro_batch, i))

    def order(rows: Sequence[tuple[MicroBatch, int]]) -> tuple[str, int]:
        micro_batch, i = rows[0]
        rollout = micro_batch.rows[i].rollout
        return rollout.problem.id, rollout.sample

    # 2) The same problems come first in every step.
    first = sorted(rows_of.values(), key=order)[:count]
    return tuple(_sample_view(rows, tokenizer) for rows in first)


def _sample_view(rows: Sequence[tuple[MicroBatch, int]], tokenizer: Any) -> SampleView:
    row = rows[0][0].rows[rows[0][1]]
    rollout = row.rollout
    truth = rollout.problem.truth
    option = truth.options[truth.choice] if truth.choice is not None else ""
    number = "" if truth.number is None else f"{truth.number:g}"
    return SampleView(
        problem=rollout.problem.id,
        question=rollout.problem.question,
        wanted=truth.answer or option or number,
        sample=rollout.sample,
        reward=rollout.scored.total,
        components=dict(rollout.scored.values),
        correct=rollout.outcome.correct,
        advantage=row.advantage,
        truncated=rollout.truncated,
        sequences=tuple(_sample_tokens(micro_batch, i, tokenizer) for micro_batch, i in rows),
    )


def _sample_tokens(micro_batch: MicroBatch, row: int, tokenizer: Any) -> tuple[SampleToken, ...]:
    sequence = micro_batch.rows[row].sequence
    columns = {name: tensor[row].tolist() for name, tensor in micro_batch.reported.items()}
    placeholders = sequence.media.placeholder_counts if sequence.media is not None else {}
    tokens: list[SampleToken] = []
    column = visual = 0
    for token, role in zip(sequence.token_ids, sequence.roles, strict=True):
        # Hundreds of placeholders become one token that says how many.
        if token in placeholders:
            visual += 1
            continue
        if visual:
            tokens.append(SampleToken(text=f"[{visual} visual tokens]", role=role))
            visual = 0
        # The first token of a sequence has nothing that predicts it.
        if role is not Role.ASSISTANT or not tokens:
            tokens.append(SampleToken(text=tokenizer.decode([token]), role=role))
            continue
        values = {name: column_values[column] for name, column_values in columns.items()}
        column += 1
        tokens.append(
            SampleToken(
                text=tokenizer.decode([token]),
                role=role,
                logprob=values.get("logp"),
                entropy=values.get("entropy"),
                silenced=bool(values.get("silenced", False)),
            )
        )
    if len(tokens) <= MOST_TOKENS:
        return tuple(tokens)
    # The beginning and the end tell most of a long sample.
    half = MOST_TOKENS // 2
    gap = SampleToken(text=f"[{len(tokens) - 2 * half} tokens left out]", role=Role.PROMPT)
    return (*tokens[:half], gap, *tokens[-half:])
