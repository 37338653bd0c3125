"""Several runs on one page: the same figure in one chart, and what each came to.

Runs whose names differ in the seed only (`dapo-seed0`, `dapo_s1`) are one line: their mean, with a
band from the least to the greatest of them. Leaves out drawing (`curves.py`, `page.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmreason.training.monitoring.curves import COLOURS, Chart, Series, chart, number_words
from mmreason.training.monitoring.figures import KEY_FIGURES, Panel, about, sections
from mmreason.training.monitoring.page import constant, damage_words, render
from mmreason.training.monitoring.runs import Final, Run
from mmreason.types import UsageError
from mmreason.video.files import write_atomic

_SEED = re.compile(r"^(?P<name>.+?)[-_. ]+(?:seed|s)[-_=]?\d+$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Party:
    """Runs that stand as one line: several seeds, or one run."""

    name: str
    runs: tuple[Run, ...]

    def series(self, name: str, colour: int) -> Series:
        """The mean over the runs at the steps that all of them have, with their extremes."""
        curves = [dict(run.curve(name)) for run in self.runs]
        curves = [curve for curve in curves if curve]
        if not curves:
            return Series(name=self.name, curve=(), colour=colour)
        common = sorted(set.intersection(*(set(curve) for curve in curves)))
        at = [[curve[step] for curve in curves] for step in common]
        return Series(
            name=self.name,
            curve=tuple((step, math.fsum(v) / len(v)) for step, v in zip(common, at, strict=True)),
            colour=colour,
            band=tuple((min(v), max(v)) for v in at) if len(curves) > 1 else (),
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side."""

    parties: tuple[Party, ...]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Comparison:
        """Group the runs by name. Raises UsageError for fewer than two, or one given twice."""
        folders = [run.folder.resolve() for run in runs]
        if len(runs) < 2:
            raise UsageError(f"a comparison needs two runs or more, got {len(runs)}")
        for folder in folders:
            if folders.count(folder) > 1:
                raise UsageError(f"{folder}: given more than once")
        members: dict[str, list[Run]] = {}
        for run in runs:
            members.setdefault(_party(run.name), []).append(run)
        parties: list[Party] = []
        for name, held in members.items():
            seeds = len(held) > 1 and all(_SEED.match(run.name) for run in held)
            if seeds:
                parties.append(Party(name, tuple(held)))
            else:
                parties += [Party(_told(run, runs), (run,)) for run in held]
        return cls(tuple(parties))

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for party in self.parties for run in party.runs)

    def save_html(self, path: Path | str) -> Path:
        """Write one self-contained page; returns its path."""
        title = f"{len(self.runs)} runs: " + ", ".join(party.name for party in self.parties)
        page = render("compare.html", _context(self), title=title[:200], top="h1")
        return write_atomic(Path(path), page.encode())

    def _repr_html_(self) -> str:
        """The same in a notebook."""
        return render("compare.html", _context(self), title="", top="h2")

    def summary(self) -> list[dict[str, Any]]:
        """JSON types only: every line with its runs."""
        return [
            {"name": party.name, "runs": [run.summary() for run in party.runs]}
            for party in self.parties
        ]


def _party(name: str) -> str:
    found = _SEED.match(name)
    return found["name"] if found else name


def _told(run: Run, runs: Sequence[Run]) -> str:
    """Its name, with the folder above where another run has the same one."""
    twins = sum(other.name == run.name for other in runs)
    return run.name if twins == 1 else f"{run.folder.resolve().parent.name}/{run.name}"


def _context(comparison: Comparison) -> dict[str, object]:
    names = dict.fromkeys(name for run in comparison.runs for name in run.names)
    still = {
        name: value for name in names if (value := constant(comparison.runs, name)) is not None
    }
    return {
        "damage": damage_words(comparison.runs),
        "run_count": len(comparison.runs),
        "columns": (columns := _columns(comparison)),
        "rows": [_row(i, party, columns) for i, party in enumerate(comparison.parties)],
        "sections": [
            (section.title, [c for p in section.panels if (c := _chart(comparison, p))])
            for section in sections([name for name in names if name not in still], shared=False)
        ],
        "still": [(name, number_words(value), about(name)) for name, value in still.items()],
        "seeded": any(len(party.runs) > 1 for party in comparison.parties),
    }


def _columns(comparison: Comparison) -> list[str]:
    return [
        name for name in KEY_FIGURES.values() if any(name in run.names for run in comparison.runs)
    ]


def _row(i: int, party: Party, columns: Sequence[str]) -> dict[str, object]:
    done = sorted({run.done for run in party.runs})
    steps = f"{done[0]:,}" if len(done) == 1 else f"{done[0]:,} to {done[-1]:,}"
    finals = [[run.final(name) for run in party.runs] for name in columns]
    return {
        "colour": i % COLOURS + 1,
        "name": party.name,
        "runs": len(party.runs),
        "steps": steps,
        "cells": [_cell([one for one in held if one is not None]) for held in finals],
    }


def _cell(finals: Sequence[Final]) -> tuple[str, str]:
    """(mean of the final values with their standard deviation, mean of the best)."""
    if not finals:
        return "-", ""
    bests = [one.best for one in finals if one.best is not None]
    best = f"best {number_words(math.fsum(bests) / len(bests))}" if bests else ""
    return _spread([one.mean for one in finals]), best


def _spread(values: Sequence[float]) -> str:
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return number_words(mean)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return f"{number_words(mean)} ± {deviation:.2g}"


def _chart(comparison: Comparison, panel: Panel) -> Chart | None:
    (name,) = panel.names
    series = [party.series(name, i) for i, party in enumerate(comparison.parties)]
    if not any(one.curve for one in series):
        return None
    return chart(series, title=panel.title, about=panel.about)
