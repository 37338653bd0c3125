"""Rollouts as coloured tokens, and silenced tokens among their neighbours.

Every text here is a model's or a data set's: templates escape it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from mmreason.training.rollouts.types import Role
from mmreason.training.runs.events import SampleToken, SampleView
from mmreason.video.plain_text import show_text
from mmreason.viz.axes import format_number

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
class TokenView:
    """A token as drawn.

    Example:
        >>> TokenView(text="red", css="mmr-plus mmr-shade-1", title="entropy 0.7 nats").text
        'red'
    """

    text: str
    css: str
    title: str


@dataclass(frozen=True, slots=True)
class RoleSpan:
    """Neighbours of one role."""

    role: str
    """`read`, `written` or `came back`."""
    text: str
    """Of what the model did not write."""
    tokens: tuple[TokenView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """One rollout as drawn."""

    head: str
    question: str
    wanted: str
    verdict: str
    """`right`, `wrong` or empty."""
    earned: str
    rows: tuple[tuple[RoleSpan, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SilencedToken:
    """A token that STAPO left out of the loss, where it stood."""

    origin: str
    """Step, problem and attempt."""
    before: str
    text: str
    after: str
    probability: str
    entropy: str
    advantage: str


def select_samples(
    samples: Mapping[int, Sequence[SampleView]],
) -> tuple[list[tuple[int, list[RolloutView]]], int]:
    """The newest steps' samples, newest first, as many as a page can bear, and how many steps are
    left out. The newest step is always there."""
    views: list[tuple[int, list[RolloutView]]] = []
    tokens = 0
    for step in sorted(samples, reverse=True):
        tokens += sum(len(row) for view in samples[step] for row in view.sequences)
        # Each token is an element of its own, and pages of very many open slowly.
        if views and tokens > _MOST_SHOWN_TOKENS:
            break
        views.append((step, [_rollout_view(view) for view in samples[step]]))
    return views, len(samples) - len(views)


def find_silenced(samples: Mapping[int, Sequence[SampleView]]) -> list[SilencedToken]:
    """The newest silenced tokens with what stands round them."""
    newest: list[SilencedToken] = []
    # Newest first, so that the limit cuts off the oldest.
    for step in sorted(samples, reverse=True):
        for view in samples[step]:
            for row in view.sequences:
                for i, token in enumerate(row):
                    if token.silenced and len(newest) < _MOST_SILENCED:
                        newest.append(_in_context(step, view, row, i))
    return newest


def count_silenced_texts(samples: Mapping[int, Sequence[SampleView]]) -> list[tuple[str, int]]:
    """The tokens that were silenced most often in the samples, with how often."""
    rows = (row for views in samples.values() for view in views for row in view.sequences)
    counts = Counter(token.text for row in rows for token in row if token.silenced)
    return [(mark_breaks(text), count) for text, count in counts.most_common(_MOST_TEXTS)]


def mark_breaks(text: str) -> str:
    """Plain text with a sign before each line end and tab.

    Example:
        >>> mark_breaks("two\\nlines")
        'two↵\\nlines'
    """
    return show_text(text).replace("\n", "↵\n").replace("\t", "⇥\t")


def _rollout_view(view: SampleView) -> RolloutView:
    earned = [f"reward {_number(view.reward)}"]
    earned += [f"{name} {_number(value)}" for name, value in view.components.items()]
    earned.append(f"advantage {view.advantage:+.3g}")
    if view.truncated:
        earned.append("cut off by the length limit")
    return RolloutView(
        head=f"{view.problem} · rollout {view.sample + 1}",
        question=mark_breaks(view.question),
        wanted=mark_breaks(view.wanted),
        verdict="" if view.correct is None else "right" if view.correct else "wrong",
        earned=" · ".join(earned),
        rows=tuple(_role_spans(row, view.advantage) for row in view.sequences),
    )


def _role_spans(row: Sequence[SampleToken], advantage: float) -> tuple[RoleSpan, ...]:
    spans: list[RoleSpan] = []
    for role, group in groupby(row, lambda token: token.role):
        tokens = list(group)
        # Only what the model wrote has figures a token; the rest is one text, and a fraction of the
        # page.
        if role is Role.ASSISTANT:
            views = tuple(_token_view(token, advantage) for token in tokens)
            spans.append(RoleSpan(_ROLE_WORDS[role], "", views))
        else:
            spans.append(
                RoleSpan(_ROLE_WORDS[role], mark_breaks("".join(t.text for t in tokens)), ())
            )
    return tuple(spans)


def _token_view(token: SampleToken, advantage: float) -> TokenView:
    # The colour says what training does to the token, the shade how unlikely it was.
    sign = "plus" if advantage > 0 else "minus" if advantage < 0 else "zero"
    css = [f"mmr-{sign}", f"mmr-shade-{_shade(token.logprob)}"]
    if token.silenced:
        css.append("mmr-silenced")
    facts = []
    if token.logprob is not None:
        facts.append(f"log-probability {token.logprob:.3g} (p {_probability(token.logprob)})")
    if token.entropy is not None:
        facts.append(f"entropy {token.entropy:.3g} nats")
    facts += ["silenced by STAPO"] if token.silenced else []
    return TokenView(mark_breaks(token.text), " ".join(css), ", ".join(facts))


def _shade(logprob: float | None) -> int:
    """0 for a sure token to 3 for a rare one."""
    return 0 if logprob is None else sum(logprob < limit for limit in SHADES_LOGPROB)


def _in_context(step: int, view: SampleView, row: Sequence[SampleToken], i: int) -> SilencedToken:
    token = row[i]
    return SilencedToken(
        origin=f"step {step:,}, {view.problem}, rollout {view.sample + 1}",
        before=_join_texts(row[max(0, i - _AROUND) : i]),
        text=mark_breaks(token.text),
        after=_join_texts(row[i + 1 : i + 1 + _AROUND]),
        probability="-" if token.logprob is None else _probability(token.logprob),
        entropy=_number(token.entropy),
        advantage=f"{view.advantage:+.3g}",
    )


def _join_texts(tokens: Sequence[SampleToken]) -> str:
    return mark_breaks("".join(token.text for token in tokens)).replace("\n", " ")


def _probability(logprob: float) -> str:
    # Rounding can lift the logarithm of 1 a little above 0.
    return format_number(math.exp(min(logprob, 0.0)))


def _number(value: float | None) -> str:
    return "-" if value is None else format_number(value)
