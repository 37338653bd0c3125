"""Attempts as a page shows them: tokens as text, with what the update saw of each.

Leaves out the page (`mmreason.training.monitoring`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmreason.training.rl.events import SampleToken, SampleView
from mmreason.training.rl.micro import Micro
from mmreason.training.rollouts.types import Role, Rollout, TokenSequence

TOKENS_LIMIT = 2_000
"""Tokens shown of a sequence; what is left out in the middle of the prompt is said."""


def views(micros: Sequence[Micro], tokenizer: Any, count: int) -> tuple[SampleView, ...]:
    """The first `count` attempts in the order of their problems and numbers."""
    found: dict[int, list[tuple[Micro, int]]] = {}
    for micro in micros:
        for i, row in enumerate(micro.rows):
            found.setdefault(id(row.rollout), []).append((micro, i))

    def order(places: Sequence[tuple[Micro, int]]) -> tuple[str, int]:
        micro, i = places[0]
        return micro.rows[i].rollout.problem.id, micro.rows[i].rollout.sample

    return tuple(_view(places, tokenizer) for places in sorted(found.values(), key=order)[:count])


def _view(places: Sequence[tuple[Micro, int]], tokenizer: Any) -> SampleView:
    row = places[0][0].rows[places[0][1]]
    rollout: Rollout = row.rollout
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
        sequences=tuple(_tokens(micro, i, tokenizer) for micro, i in places),
    )


def _tokens(micro: Micro, row: int, tokenizer: Any) -> tuple[SampleToken, ...]:
    sequence: TokenSequence = micro.rows[row].sequence
    tables = {name: tensor[row].tolist() for name, tensor in micro.shown.items()}
    places = sequence.media.places if sequence.media is not None else {}
    shown: list[SampleToken] = []
    column = visual = 0
    for token, role in zip(sequence.token_ids, sequence.roles, strict=True):
        if token in places:
            visual += 1
            continue
        if visual:
            shown.append(SampleToken(text=f"[{visual} visual tokens]", role=role))
            visual = 0
        # The first token of a sequence has nothing that predicts it.
        if role is not Role.MODEL or not shown:
            shown.append(SampleToken(text=tokenizer.decode([token]), role=role))
            continue
        known = {name: values[column] for name, values in tables.items()}
        column += 1
        shown.append(
            SampleToken(
                text=tokenizer.decode([token]),
                role=role,
                logprob=known.get("logp"),
                entropy=known.get("entropy"),
                silenced=bool(known.get("silenced", False)),
            )
        )
    if len(shown) <= TOKENS_LIMIT:
        return tuple(shown)
    half = TOKENS_LIMIT // 2
    gap = SampleToken(text=f"[{len(shown) - 2 * half} tokens left out]", role=Role.PROMPT)
    return (*shown[:half], gap, *shown[-half:])
