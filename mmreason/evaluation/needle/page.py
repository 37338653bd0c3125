"""A run as files: one HTML page without scripts, its pictures as SVG and PNG, its table as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmreason import __version__
from mmreason.evaluation.needle import summary
from mmreason.evaluation.needle.methods import WARM, is_policy
from mmreason.evaluation.needle.outcomes import Outcome
from mmreason.evaluation.scoring import Mean, Proportion
from mmreason.json_values import encode_json, with_schema
from mmreason.needle.items import POSITIONS, duration_name
from mmreason.video.files import write_atomic
from mmreason.viz.axes import Axis, AxisTick, doubling_axis
from mmreason.viz.charts import (
    HeatCell,
    IntervalPoint,
    LinePanel,
    PointSeries,
    draw_heat_map,
    draw_line_charts,
)
from mmreason.viz.drawing import Drawing, render_png, render_svg
from mmreason.viz.pages import load_templates, render_document

_PERCENTS = Axis(
    low=0.0, high=1.0, ticks=tuple(AxisTick(tens / 10, f"{tens * 10}%") for tens in range(0, 11, 2))
)


def write_report(outcomes: Sequence[Outcome], folder: Path, *, model: str, command: str) -> Path:
    """Write `report.html`, `summary.json` and the pictures into `folder`; returns the page."""
    drawings = _drawings(outcomes)
    for name, drawing in drawings.items():
        write_atomic(folder / f"{name}.svg", render_svg(drawing).encode())
        write_atomic(folder / f"{name}.png", render_png(drawing))
    write_atomic(folder / "summary.json", _json(outcomes, model, command).encode())
    page = render_document(
        load_templates("mmreason.evaluation", "needle"),
        "page.html",
        _page_values(outcomes, drawings, model, command),
        title=f"Needle benchmark: {model}",
        width_rem=72,
        styles=("measures_style.html",),
    )
    return write_atomic(folder / "report.html", page.encode())


def _drawings(outcomes: Sequence[Outcome]) -> dict[str, Drawing]:
    """By file name: a heat map of depth and of needle length for each policy, and the curve."""
    names = summary.length_names(outcomes)
    drawings = {"cost": _draw_cost(outcomes)}
    policies = [m for m in dict.fromkeys(o.method for o in outcomes) if is_policy(m)]
    for method in (m for m in policies if not m.endswith(WARM)):
        of_method = [o for o in outcomes if o.method == method]
        depth = {
            (duration_name(s), f"{p * 10}%"): proportion
            for (s, p), proportion in summary.accuracy_by_depth(of_method).items()
        }
        drawings[f"depth-{method}"] = draw_heat_map(
            _heat_cells(depth),
            names,
            [f"{p * 10}%" for p in range(POSITIONS)],
            title=f"{method}: accuracy by length and depth",
            across="where in the video the needle lies",
        )
        lasting = summary.accuracy_by_needle(of_method).items()
        needles = {(duration_name(s), f"{n:g} s"): proportion for (s, n), proportion in lasting}
        # By seconds: as text "16 s" would come before "4 s".
        columns = sorted({column for _, column in needles}, key=lambda c: float(c.split()[0]))
        drawings[f"needle-{method}"] = draw_heat_map(
            _heat_cells(needles),
            names,
            columns,
            title=f"{method}: accuracy by length and needle",
            across="how long each needle is to be seen",
        )
    return drawings


def _heat_cells(
    proportions: Mapping[tuple[str, str], Proportion],
) -> dict[tuple[str, str], HeatCell]:
    return {
        cell: HeatCell(
            value=proportion.value,
            text=f"{proportion.value:.0%}",
            note=f"n={proportion.n}",
            title=str(proportion),
        )
        for cell, proportion in proportions.items()
        if proportion.n
    }


def _draw_cost(outcomes: Sequence[Outcome]) -> Drawing:
    """Accuracy with its interval against mean frames a question; methods of one kind are joined."""
    groups: dict[str, list[IntervalPoint]] = {}
    for row in summary.build_rows(outcomes):
        # Warm policies and the gold are no points of this curve: their cost is not that of a
        # question.
        if row.method.endswith(WARM) or row.method == "gold_clip":
            continue
        point = IntervalPoint(
            x=row.frames.value,
            y=row.accuracy.value,
            interval=row.accuracy.interval,
            title=f"{row.method}: {row.accuracy} at {row.frames.value:,.0f} frames",
        )
        groups.setdefault(_group(row.method), []).append(point)
    series = [
        PointSeries(
            name=name,
            points=sorted(points, key=lambda point: point.x),
            is_joined=name.startswith(("stills", "distinct")),
        )
        for name, points in groups.items()
    ]
    frames = [point.x for line in series for point in line.points if point.x > 0]
    across = doubling_axis(
        min(frames, default=8),
        max(frames, default=16),
        "frames shown to the model a question (mean)",
    )
    panel = LinePanel(series=series, across=across, up=_PERCENTS)
    return draw_line_charts("Accuracy against cost", [panel], list(groups), plot=(560, 300))


def _group(method: str) -> str:
    if method.startswith("stills"):
        return "stills, look" if method.endswith("_look") else "stills, text"
    if method.startswith("distinct"):
        return "distinct, look" if method.endswith("_look") else "distinct, text"
    if method.startswith("exhaustive"):
        return "exhaustive"
    return method.replace("_", " ")


def _page_values(
    outcomes: Sequence[Outcome], drawings: dict[str, Drawing], model: str, command: str
) -> dict[str, Any]:
    rows = summary.build_rows(outcomes)
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.by_kind))
    return {
        "version": __version__,
        "model": model,
        "command": command,
        "worlds": len({o.item.world for o in outcomes}),
        "items": len({o.item.id for o in outcomes}),
        "lengths": ", ".join(summary.length_names(outcomes)),
        "seeds": ", ".join(map(str, sorted({o.item.seed for o in outcomes}))),
        "kinds": kinds,
        "rows": [_cells(row, kinds) for row in rows],
        "errors": list(dict.fromkeys(k for row in rows for k in row.errors)),
        "lost": [(row.method, row.errors) for row in rows],
        "details": [
            (name, [_number(row.details[name]) for row in rows]) for name in _detail_names(rows)
        ],
        "methods": [row.method for row in rows],
        "versus": [
            sentence for row in rows if (sentence := comparison_sentence(outcomes, row.method))
        ],
        "pictures": [(name, render_svg(drawing)) for name, drawing in drawings.items()],
    }


def _detail_names(rows: Sequence[summary.Row]) -> list[str]:
    return list(rows[0].details) if rows else []


def _cells(row: summary.Row, kinds: Sequence[str]) -> dict[str, Any]:
    return {
        "method": row.method,
        "is_policy": is_policy(row.method),
        "accuracy": _proportion_cells(row.accuracy),
        "frames": _mean_cells(row.frames),
        "scanned": f"{row.scanned.value:,.0f}",
        "rounds": f"{row.rounds.value:.1f}",
        "tokens": f"{row.tokens.value:,.0f}",
        "hit": _proportion_cells(row.hit),
        "iou": _number(row.evidence_iou.value),
        "at": [_proportion_cells(proportion) for proportion in row.at_iou.values()],
        "ungrounded": _proportion_cells(row.ungrounded),
        "abstention": _number(row.abstention_f1),
        "kinds": [_proportion_cells(row.by_kind.get(kind, Proportion(0, 0))) for kind in kinds],
    }


def comparison_sentence(outcomes: Sequence[Outcome], method: str) -> str:
    """How a cold policy compares with the baselines, in a sentence; empty for other methods or
    where no baseline was measured."""
    if not is_policy(method) or method.endswith(WARM):
        return ""
    comparison = summary.compare_with_baselines(outcomes, method)
    clauses = []
    if comparison.best is not None:
        clauses.append(
            f"{_points(comparison.gain)} to {comparison.best}, the best of equal or smaller cost"
        )
    if comparison.best_scan is not None:
        clauses.append(
            f"{_points(comparison.scan_gain)} to {comparison.best_scan}, the best that scans"
        )
    # NaN says that the rival was not measured: no sentence about it then.
    if not math.isnan(comparison.frame_share):
        gap = _points(comparison.exhaustive_gap)
        clauses.append(
            f"{gap} to exhaustive captioning at {comparison.frame_share:.1%} of its frames"
        )
    if not math.isnan(comparison.kept):
        clauses.append(f"{comparison.kept:.1%} of the accuracy with the gold given")
    warm_share = summary.warm_share(outcomes, method)
    if not math.isnan(warm_share):
        decoded = summary.warm_share(outcomes, method, decoded=True)
        clauses.append(
            f"where it remembers, a world's later questions cost {warm_share:.1%} of the frames "
            f"shown, {decoded:.1%} of those decoded"
        )
    return f"{method}: {'; '.join(clauses)}." if clauses else ""


def _points(difference: tuple[float, float, float]) -> str:
    value, low, high = (100 * v for v in difference)
    if math.isnan(low):
        return f"{value:+.1f} points (one world: no interval)"
    return f"{value:+.1f} points ({low:+.1f} to {high:+.1f})"


def _proportion_cells(proportion: Proportion) -> tuple[str, str]:
    """(value, interval and count)."""
    if not proportion.n:
        return "-", ""
    low, high = proportion.interval
    return f"{proportion.value:.1%}", f"{low:.0%} to {high:.0%}, n = {proportion.n}"


def _mean_cells(mean: Mean) -> tuple[str, str]:
    low, high = mean.interval
    interval = "" if math.isnan(low) else f"{low:,.1f} to {high:,.1f}"
    return f"{mean.value:,.1f}", interval


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _json(outcomes: Sequence[Outcome], model: str, command: str) -> str:
    def tables(group: Sequence[Outcome]) -> list[dict[str, Any]]:
        return [row.to_dict() for row in summary.build_rows(group)]

    policies = [m for m in dict.fromkeys(o.method for o in outcomes) if is_policy(m)]
    cold = [m for m in policies if not m.endswith(WARM)]
    value = {
        "mmreason": __version__,
        "model": model,
        "command": command,
        "items": len({o.item.id for o in outcomes}),
        "seeds": sorted({o.item.seed for o in outcomes}),
        "methods": tables(outcomes),
        "by_length": {
            duration_name(s): tables([o for o in outcomes if o.item.duration_s == s])
            for s in summary.list_durations_s(outcomes)
        },
        "versus": [asdict(summary.compare_with_baselines(outcomes, m)) for m in cold],
        "warm_share": {m: summary.warm_share(outcomes, m) for m in cold},
        "warm_share_decoded": {m: summary.warm_share(outcomes, m, decoded=True) for m in cold},
    }
    return encode_json(with_schema(value), indent=1) + "\n"
