"""Which figures share a chart."""

from __future__ import annotations

from mmreason.training.monitoring.figures import group_figures
from mmreason.training.runs.events import METRICS


def test_every_figure_stands_in_one_panel() -> None:
    for is_shared in (True, False):
        sections = group_figures(list(METRICS), is_shared=is_shared)
        panels = [panel for section in sections for panel in section.panels]
        assert sorted(name for panel in panels for name in panel.names) == sorted(METRICS)
