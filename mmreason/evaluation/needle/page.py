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
from mmreason.needle.items import duration_name
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
        styles=("page_style.html",),
    )
    return write_atomic(folder / "report.html", page.encode())


def _drawings(outcomes: Sequence[Outcome]) -> dict[str, Drawing]:
    """By file name: a heat map of depth and of needle length for each policy, and the curve."""
    names = summary.length_names(outcomes)
    drawings = {"cost": _draw_cost(outcomes)}
    policies = [m for m in dict.fromkeys(o.method for o in outcomes) if is_policy(m)]
    for method in (m for m in policies if not m.endswith(WARM)):
        held = [o for o in outcomes if o.method == method]
        depth = {
            (duration_name(s), f"{p * 10}%"): share for (s, p), share in summary.heat(held).items()
        }
        drawings[f"depth-{method}"] = draw_heat_map(
            _heat_cells(depth),
            names,
            [f"{p * 10}%" for p in summary.positions()],
            title=f"{method}: accuracy by length and depth",
            across="where in the video the needle lies",
        )
        lasting = summary.by_needle(held).items()
        needles = {(duration_name(s), f"{n:g} s"): share for (s, n), share in lasting}
        columns = sorted({column for _, column in needles}, key=lambda c: float(c.split()[0]))
        drawings[f"needle-{method}"] = draw_heat_map(
            _heat_cells(needles),
            names,
            columns,
            title=f"{method}: accuracy by length and needle",
            across="how long each needle is to be seen",
        )
    return drawings


def _heat_cells(shares: Mapping[tuple[str, str], Proportion]) -> dict[tuple[str, str], HeatCell]:
    return {
        place: HeatCell(
            value=share.value, text=f"{share.value:.0%}", note=f"n={share.n}", title=str(share)
        )
        for place, share in shares.items()
        if share.n
    }


def _draw_cost(outcomes: Sequence[Outcome]) -> Drawing:
    """Accuracy with its interval against mean frames a question; methods of one kind are joined."""
    groups: dict[str, list[IntervalPoint]] = {}
    for row in summary.rows(outcomes):
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
    rows = summary.rows(outcomes)
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
        "details": [(name, [_number(row.details[name]) for row in rows]) for name in _names(rows)],
        "methods": [row.method for row in rows],
        "versus": [sentence for row in rows if (sentence := versus_words(outcomes, row.method))],
        "pictures": [(name, render_svg(drawing)) for name, drawing in drawings.items()],
    }


def _names(rows: Sequence[summary.Row]) -> list[str]:
    return list(rows[0].details) if rows else []


def _cells(row: summary.Row, kinds: Sequence[str]) -> dict[str, Any]:
    return {
        "method": row.method,
        "is_policy": is_policy(row.method),
        "accuracy": _share(row.accuracy),
        "frames": _mean(row.frames),
        "scanned": f"{row.scanned.value:,.0f}",
        "rounds": f"{row.rounds.value:.1f}",
        "tokens": f"{row.tokens.value:,.0f}",
        "hit": _share(row.hit),
        "iou": _number(row.evidence_iou.value),
        "at": [_share(share) for share in row.at_iou.values()],
        "ungrounded": _share(row.ungrounded),
        "abstention": _number(row.abstention_f1),
        "kinds": [_share(row.by_kind.get(kind, Proportion(0, 0))) for kind in kinds],
    }


def versus_words(outcomes: Sequence[Outcome], method: str) -> str:
    """How a cold policy compares with the baselines, in a sentence; empty for other methods or
    where no baseline was measured."""
    if not is_policy(method) or method.endswith(WARM):
        return ""
    found = summary.versus(outcomes, method)
    parts = []
    if found.best is not None:
        parts.append(f"{_points(found.gain)} to {found.best}, the best of equal or smaller cost")
    if found.best_scan is not None:
        parts.append(f"{_points(found.scan_gain)} to {found.best_scan}, the best that scans")
    if not math.isnan(found.frame_share):
        gap = _points(found.exhaustive_gap)
        parts.append(f"{gap} to exhaustive captioning at {found.frame_share:.1%} of its frames")
    if not math.isnan(found.kept):
        parts.append(f"{found.kept:.1%} of the accuracy with the gold given")
    share = summary.warm_share(outcomes, method)
    if not math.isnan(share):
        decoded = summary.warm_share(outcomes, method, decoded=True)
        parts.append(
            f"where it remembers, a world's later questions cost {share:.1%} of the frames shown, "
            f"{decoded:.1%} of those decoded"
        )
    return f"{method}: {'; '.join(parts)}." if parts else ""


def _points(difference: tuple[float, float, float]) -> str:
    value, low, high = (100 * v for v in difference)
    if math.isnan(low):
        return f"{value:+.1f} points (one world: no interval)"
    return f"{value:+.1f} points ({low:+.1f} to {high:+.1f})"


def _share(share: Proportion) -> tuple[str, str]:
    """(value, interval and count)."""
    if not share.n:
        return "-", ""
    low, high = share.interval
    return f"{share.value:.1%}", f"{low:.0%} to {high:.0%}, n = {share.n}"


def _mean(mean: Mean) -> tuple[str, str]:
    low, high = mean.interval
    told = "" if math.isnan(low) else f"{low:,.1f} to {high:,.1f}"
    return f"{mean.value:,.1f}", told


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _json(outcomes: Sequence[Outcome], model: str, command: str) -> str:
    def tables(held: Sequence[Outcome]) -> list[dict[str, Any]]:
        return [row.to_dict() for row in summary.rows(held)]

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
            for s in summary.lengths(outcomes)
        },
        "versus": [asdict(summary.versus(outcomes, m)) for m in cold],
        "warm_share": {m: summary.warm_share(outcomes, m) for m in cold},
        "warm_share_decoded": {m: summary.warm_share(outcomes, m, decoded=True) for m in cold},
    }
    return encode_json(with_schema(value), indent=1) + "\n"
