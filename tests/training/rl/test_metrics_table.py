"""`docs/training.md` lists every figure of a run. Run this file to write the list anew."""

from __future__ import annotations

import re
from pathlib import Path

from mmreason.training.monitoring.figures import group_figures
from mmreason.training.runs.events import METRICS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "training.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def _list() -> str:
    """A table a section, in the order and under the headings of a run's page."""
    parts = []
    for section in group_figures(list(METRICS), is_shared=False):
        parts.append(f"### {section.title}\n\n| figure | what it is |\n| --- | --- |")
        names = [name for panel in section.panels for name in panel.names]
        # A bar would end the cell.
        rows = (f"| `{name}` | {METRICS[name].replace('|', chr(92) + '|')} |" for name in names)
        parts[-1] += "".join(f"\n{row}" for row in rows)
    return "\n\n".join(parts)


def _rewritten(text: str) -> str:
    """The page with what stands between the marks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{_list()}\n\n{END}{after}"


def test_the_list_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == _rewritten(text), f"run: python {Path(__file__).relative_to(ROOT)}"


def test_every_figure_is_listed_once() -> None:
    text = PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([\w/]+)` \|", text.partition(BEGIN)[2], re.MULTILINE)
    assert sorted(listed) == sorted(METRICS)
    assert "### Other figures" not in text


if __name__ == "__main__":
    PAGE.write_text(_rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
