"""A natural run as files: one HTML page without scripts, its picture, its table as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmreason import __version__
from mmreason.evaluation.natural.outcomes import NaturalOutcome
from mmreason.evaluation.natural.summary import (
    NaturalRow,
    build_rows,
    comparison_lines,
    is_policy,
)
from mmreason.evaluation.natural.table import format_share
from mmreason.json_values import encode_json, with_schema
from mmreason.needle.items import duration_name
from mmreason.video.files import write_atomic
from mmreason.viz.axes import Axis, AxisTick, doubling_axis
from mmreason.viz.charts import IntervalPoint, LinePanel, PointSeries, draw_line_charts
from mmreason.viz.drawing import Drawing, render_svg
from mmreason.viz.pages import load_templates, render_document

_PERCENTS = Axis(
    low=0.0, high=1.0, ticks=tuple(AxisTick(tens / 10, f"{tens * 10}%") for tens in range(0, 11, 2))
)


def write_report(outcomes: Sequence[NaturalOutcome], folder: Path, *, command: str) -> Path:
    """Write `report.html`, `summary.json` and `cost.svg` into `folder`; returns the page."""
    rows = build_rows(outcomes)
    drawing = draw_cost(rows)
    write_atomic(folder / "cost.svg", render_svg(drawing).encode())
    summary = {
        "mmreason": __version__,
        "command": command,
        "items": len({o.item.pair for o in outcomes}),
        "videos": len({o.item.video for o in outcomes}),
        "rows": [row.to_dict() for row in rows],
        "comparisons": comparison_lines(outcomes),
    }
    text = encode_json(with_schema(summary), indent=1)
    write_atomic(folder / "summary.json", f"{text}\n".encode())
    page = render_document(
        load_templates("mmreason.evaluation", "natural"),
        "page.html",
        _page_values(outcomes, rows, drawing, command),
        title="Natural benchmark",
        width_rem=72,
        styles=("measures_style.html",),
    )
    return write_atomic(folder / "report.html", page.encode())


def draw_cost(rows: Sequence[NaturalRow]) -> Drawing:
    """Share right with its interval against frames a question; even frames are joined."""
    groups: dict[str, list[IntervalPoint]] = {}
    for row in rows:
        kind = "policy" if is_policy(row.method) else "even frames"
        value, low, high = row.right
        point = IntervalPoint(
            x=max(1.0, row.frames.value),
            y=value,
            interval=(low, high),
            title=f"{row.observer} {row.method}: {value:.1%} at {row.frames.value:,.0f} frames",
        )
        groups.setdefault(f"{row.observer}, {kind}", []).append(point)
    series = [
        PointSeries(
            name=name,
            points=sorted(points, key=lambda point: point.x),
            is_joined=name.endswith("even frames"),
        )
        for name, points in groups.items()
    ]
    frames = [point.x for line in series for point in line.points]
    across = doubling_axis(
        min(frames, default=8), max(frames, default=16), "frames shown a question (mean)"
    )
    panel = LinePanel(series=series, across=across, up=_PERCENTS)
    return draw_line_charts("Right against cost", [panel], list(groups), plot=(560, 300))


def _page_values(
    outcomes: Sequence[NaturalOutcome], rows: Sequence[NaturalRow], drawing: Drawing, command: str
) -> dict[str, Any]:
    lengths = sorted({o.item.duration_s for o in outcomes})
    families = sorted({family for row in rows for family in row.by_family})
    return {
        "version": __version__,
        "command": command,
        "items": len({o.item.pair for o in outcomes}),
        "videos": len({o.item.video for o in outcomes}),
        "lengths": ", ".join(duration_name(length_s) for length_s in lengths),
        "languages": ", ".join(dict.fromkeys(o.item.language for o in outcomes)),
        "rows": [_cells(row) for row in rows],
        "families": [(family, [_count_right(row, family) for row in rows]) for family in families],
        "comparisons": comparison_lines(outcomes),
        "picture": render_svg(drawing),
    }


def _count_right(row: NaturalRow, family: str) -> str:
    right = row.by_family.get(family)
    return "-" if right is None else f"{right.hits}/{right.n}"


def _cells(row: NaturalRow) -> dict[str, Any]:
    return {
        "observer": row.observer,
        "method": row.method,
        "is_policy": is_policy(row.method),
        "right": format_share(row.right, row.items),
        "grounded": format_share(row.grounded),
        "evidence": f"{row.evidence_share:.1%}",
        "frames": f"{row.frames.value:,.1f}",
        "index_frames": f"{row.index_frames:,.1f}",
        "scanned": f"{row.scanned.value:,.0f}",
        "calls": f"{row.calls.value:.1f}",
        "tokens": f"{row.tokens.value:,.0f}",
        "abstention": f"{row.abstention_f1:.2f}",
        "tool_use": f"{row.tool_use.value:.0%}",
        "failed": row.failed,
    }
