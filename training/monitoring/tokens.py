"""Rollouts as coloured tokens, and silenced tokens among their neighbours.

Every text here is a model's or a data set's: templates escape it. Leaves out the page around it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from mmreason.training.monitoring.curves import number_words
from mmreason.training.rl.events import SampleToken, SampleView
from mmreason.training.rollouts.types import Role

SHADES_LOGPROB = (-0.105, -0.693, -2.303)
"""Between the shades: probabilities 0.9, 0.5, 0.1."""
_ROLE_WORDS = {Role.PROMPT: "read", Role.ASSISTANT: "written", Role.TOOL: "came back"}
_AROUND = 8
"""Tokens on each side of a silenced one."""
_MOST_SILENCED = 12
_MOST_TEXTS = 12
_MOST_SHOWN_TOKENS = 30_000
"""Written tokens on a page: each is an element of its own."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A token as drawn."""

    text: str
    css: str
    title: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbours of one role."""

    who: str
    """`read`, `written` or `came back`."""
    text: str
    """Of what the model did not write."""
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One rollout as drawn."""

    head: str
    question: str
    wanted: str
    verdict: str
    """`right`, `wrong` or empty."""
    earned: str
    rows: tuple[tuple[Stretch, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Silenced:
    """A token that STAPO left out of the loss, where it stood."""

    where: str
    before: str
    text: str
    after: str
    probability: str
    entropy: str
    advantage: str


def shown_samples(
    samples: Mapping[int, Sequence[SampleView]],
) -> tuple[list[tuple[int, list[Sample]]], int]:
    """The newest steps' samples, newest first, as many as a page can bear, and how many steps are
    left out. The newest step is always there."""
    shown: list[tuple[int, list[Sample]]] = []
    spent = 0
    for step in sorted(samples, reverse=True):
        spent += sum(len(row) for view in samples[step] for row in view.sequences)
        if shown and spent > _MOST_SHOWN_TOKENS:
            break
        shown.append((step, [_sample(view) for view in samples[step]]))
    return shown, len(samples) - len(shown)


def silenced(samples: Mapping[int, Sequence[SampleView]]) -> list[Silenced]:
    """The newest silenced tokens with what stands round them."""
    found: list[Silenced] = []
    for step in sorted(samples, reverse=True):
        for view in samples[step]:
            for row in view.sequences:
                for i, token in enumerate(row):
                    if token.silenced and len(found) < _MOST_SILENCED:
                        found.append(_in_context(step, view, row, i))
    return found


def silenced_texts(samples: Mapping[int, Sequence[SampleView]]) -> list[tuple[str, int]]:
    """The tokens that were silenced most often in the samples, with how often."""
    rows = (row for views in samples.values() for view in views for row in view.sequences)
    counts = Counter(token.text for row in rows for token in row if token.silenced)
    return [(visible(text), count) for text, count in counts.most_common(_MOST_TEXTS)]


def visible(text: str) -> str:
    """Line ends and controls as signs; half a surrogate pair, which no file can hold, as U+FFFD."""
    marks = {"\n": "↵\n", "\t": "⇥\t"}
    return "".join(
        marks.get(c, c if c.isprintable() else "\N{REPLACEMENT CHARACTER}") for c in text
    )


def _sample(view: SampleView) -> Sample:
    earned = [f"reward {_number(view.reward)}"]
    earned += [f"{name} {_number(value)}" for name, value in view.components.items()]
    earned.append(f"advantage {view.advantage:+.3g}")
    if view.truncated:
        earned.append("cut off by the length limit")
    return Sample(
        head=f"{view.problem} · attempt {view.sample + 1}",
        question=visible(view.question),
        wanted=visible(view.wanted),
        verdict="" if view.correct is None else "right" if view.correct else "wrong",
        earned=" · ".join(earned),
        rows=tuple(_stretches(row, view.advantage) for row in view.sequences),
    )


def _stretches(row: Sequence[SampleToken], advantage: float) -> tuple[Stretch, ...]:
    made: list[Stretch] = []
    for role, group in groupby(row, lambda token: token.role):
        tokens = list(group)
        if role is Role.ASSISTANT:
            pieces = tuple(_piece(token, advantage) for token in tokens)
            made.append(Stretch(_ROLE_WORDS[role], "", pieces))
        else:
            made.append(Stretch(_ROLE_WORDS[role], visible("".join(t.text for t in tokens)), ()))
    return tuple(made)


def _piece(token: SampleToken, advantage: float) -> Piece:
    sign = "plus" if advantage > 0 else "minus" if advantage < 0 else "zero"
    css = [f"mmr-{sign}", f"mmr-shade-{_shade(token.logprob)}"]
    if token.silenced:
        css.append("mmr-silenced")
    told = []
    if token.logprob is not None:
        told.append(f"log-probability {token.logprob:.3g} (p {_probability(token.logprob)})")
    if token.entropy is not None:
        told.append(f"entropy {token.entropy:.3g} nats")
    told += ["silenced by STAPO"] if token.silenced else []
    return Piece(visible(token.text), " ".join(css), ", ".join(told))


def _shade(logprob: float | None) -> int:
    """0 for a sure token to 3 for a rare one."""
    return 0 if logprob is None else sum(logprob < limit for limit in SHADES_LOGPROB)


def _in_context(step: int, view: SampleView, row: Sequence[SampleToken], i: int) -> Silenced:
    token = row[i]
    return Silenced(
        where=f"step {step:,}, {view.problem}, attempt {view.sample + 1}",
        before=_words(row[max(0, i - _AROUND) : i]),
        text=visible(token.text),
        after=_words(row[i + 1 : i + 1 + _AROUND]),
        probability="-" if token.logprob is None else _probability(token.logprob),
        entropy=_number(token.entropy),
        advantage=f"{view.advantage:+.3g}",
    )


def _words(tokens: Sequence[SampleToken]) -> str:
    return visible("".join(token.text for token in tokens)).replace("\n", " ")


def _probability(logprob: float) -> str:
    return number_words(math.exp(min(logprob, 0.0)))


def _number(value: float | None) -> str:
    return "-" if value is None else number_words(value)
