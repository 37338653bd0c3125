"""Which figures stand together on a page, under which heading, in what words.

Their values are in `runs`, where their points lie in `viz.curves`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.training.runs.events import METRICS

KEY_FIGURES = {
    "loss": "loss/mean",
    "held-out loss": "eval/loss",
    "reward": "reward/mean",
    "correct": "reward/correct",
    "held out": "eval/correct",
    "entropy": "entropy/mean",
    "length": "length/mean",
    "grad norm": "optimiser/gradient_norm",
    "skipped": "optimiser/skipped",
    "tokens/s": "speed/tokens_per_s",
}
"""What one looks at first: short name -> figure."""

_SECTIONS = {
    "Loss": ("loss", "start", "dpo", "rows", "progress"),
    "Reward": ("reward", "component", "eval"),
    "Groups and advantages": ("groups", "advantage"),
    "Entropy and diversity": ("entropy", "dsdr"),
    "Policy": ("policy", "vespo", "kl"),
    "Silencing": ("stapo",),
    "Sampler against trainer": ("mismatch",),
    "Length, turns and tools": ("length", "turns", "tools", "failures"),
    "Optimiser": ("optimiser",),
    "Speed and memory": ("speed", "memory"),
}
"""Heading -> groups of figures, the part of the name before the slash."""
_OTHER = "Other figures"

_SHARED = {
    "loss by channel: nats a learnt token": ("loss/channel/",),
    "held-out loss by channel: nats a learnt token": ("eval/channel/",),
    "reward components: means where they apply": ("component/",),
    "kinds of groups: their shares": (
        "groups/mixed",
        "groups/solved",
        "groups/failed",
        "groups/zero_variance",
    ),
    "advantage: least and greatest": ("advantage/",),
    "clipped tokens: shares on each side of the clip range": (
        "policy/clip_low",
        "policy/clip_high",
    ),
    "length: tokens written an attempt": ("length/mean", "length/max"),
    "tools: calls and errors an attempt": ("tools/",),
    "failures: how many in the step": ("failures/",),
    "time: seconds of the step": ("speed/rollout_s", "speed/train_s"),
}
"""Figures of one unit that share a chart: names, or a group with its slash. The key is the chart's
title and, after the colon, what it shows."""


@dataclass(frozen=True, slots=True)
class FigurePanel:
    """The figures of one chart.

    Example:
        >>> panel = group_figures(["length/mean", "length/max"])[0].panels[0]
        >>> panel.title, panel.names
        ('length', ('length/mean', 'length/max'))
    """

    title: str
    about: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FigureSection:
    """Charts under one heading."""

    title: str
    panels: tuple[FigurePanel, ...]


def group_figures(names: Sequence[str], *, is_shared: bool = True) -> tuple[FigureSection, ...]:
    """Every name in one panel; those that belong together in one where `is_shared`."""
    # Figures of other versions and of users come last.
    headings = [*_SECTIONS, _OTHER]
    sections = [FigureSection(title, _panels(title, names, is_shared)) for title in headings]
    return tuple(section for section in sections if section.panels)


def describe_figure(name: str) -> str:
    """What a figure is; empty for one that is not listed."""
    # Figures of one kind are listed once, without their name.
    group = name.rpartition("/")[0]
    return METRICS.get(name) or METRICS.get(f"{group}/NAME", "")


def _panels(heading: str, names: Sequence[str], is_shared: bool) -> tuple[FigurePanel, ...]:
    members: dict[str, list[str]] = {}
    for name in names:
        if _heading(name) == heading:
            members.setdefault(_shared_chart(name) if is_shared else name, []).append(name)
    return tuple(_panel(chart, tuple(figures)) for chart, figures in members.items())


def _panel(chart: str, names: tuple[str, ...]) -> FigurePanel:
    if len(names) == 1:
        # Alone, a figure says what it is itself.
        return FigurePanel(names[0], describe_figure(names[0]), names)
    title, _, about = chart.partition(": ")
    return FigurePanel(title, about, names)


def _heading(name: str) -> str:
    group = name.partition("/")[0]
    return next((title for title, groups in _SECTIONS.items() if group in groups), _OTHER)


def _shared_chart(name: str) -> str:
    for title, members in _SHARED.items():
        if any(name == m or (m.endswith("/") and name.startswith(m)) for m in members):
            return title
    return name
