"""Which figures stand together on a page, under which heading, in what words.

Leaves out their values (`runs.py`) and where points lie (`curves.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.training.rl.events import METRICS

KEY_FIGURES = {
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
class Panel:
    """One chart."""

    title: str
    about: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    panels: tuple[Panel, ...]


def sections(names: Sequence[str], *, shared: bool = True) -> tuple[Section, ...]:
    """Every name in one panel; those that belong together in one where `shared`."""
    headings = [*_SECTIONS, _OTHER]
    found = [Section(title, _panels(title, names, shared)) for title in headings]
    return tuple(section for section in found if section.panels)


def about(name: str) -> str:
    """What a figure is; empty for one that is not listed."""
    if name.startswith("component/"):
        return METRICS["component/NAME"]
    return METRICS.get(name, "")


def _panels(heading: str, names: Sequence[str], shared: bool) -> tuple[Panel, ...]:
    made: dict[str, Panel] = {}
    for name in names:
        if _heading(name) != heading:
            continue
        title = _chart(name) if shared else name
        before = made[title].names if title in made else ()
        made[title] = Panel(title, "", (*before, name))
    return tuple(_told(panel) for panel in made.values())


def _told(panel: Panel) -> Panel:
    """Title and words apart; a panel of one figure has its own."""
    first, *others = panel.names
    if not others:
        return Panel(first, about(first), panel.names)
    title, _, words = panel.title.partition(": ")
    return Panel(title, words, panel.names)


def _heading(name: str) -> str:
    group = name.partition("/")[0]
    return next((title for title, groups in _SECTIONS.items() if group in groups), _OTHER)


def _chart(name: str) -> str:
    for title, members in _SHARED.items():
        if any(name == m or (m.endswith("/") and name.startswith(m)) for m in members):
            return title
    return name
