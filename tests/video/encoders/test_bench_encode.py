"""`mmreason bench encode`: rows of a comparison, and the page that tells them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mmreason.bench.encode import EncodeGroup, measure_group
from mmreason.bench.encode_report import OURS, EncodeReport, EncodeRow, build_encode_page


def _row(group: str, method: str, ratio: float) -> EncodeRow:
    return EncodeRow(
        group=group,
        method=method,
        frames=16,
        seconds=2.0 * ratio,
        ratio=ratio,
        lowest=ratio - 0.01,
        highest=ratio + 0.01,
        cosine=1.0,
        tflops=0.05,
        is_reference=ratio == 1.0,
    )


def _report(ratio: float, matmul_tflops: float | None = None) -> EncodeReport:
    rows = (_row("overhead over timm alone", "timm", 1.0), _row("overhead over timm", OURS, ratio))
    return EncodeReport(
        scale="full",
        device="a CPU",
        machine=("2 cores",),
        rounds=4,
        rows=rows,
        matmul_tflops=matmul_tflops,
        skipped=("open_clip, which is not installed",),
    )


def test_all_methods_are_measured_beside_the_first() -> None:
    rows = np.eye(3, dtype=np.float32)
    methods = {"reference": lambda frames: rows, "turned": lambda frames: np.roll(rows, 1, 1)}
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    reference, turned = measure_group(EncodeGroup("a pair", frames, methods, 1e9), rounds=3)
    assert reference.is_reference and reference.ratio == 1 and reference.cosine == 1
    assert not turned.is_reference and turned.cosine == 0
    assert turned.lowest <= turned.ratio <= turned.highest


@pytest.mark.parametrize(("ratio", "verdict"), [(1.01, ": reached."), (1.05, "**not reached**")])
def test_the_page_judges_the_overhead(ratio: float, verdict: str) -> None:
    page = build_encode_page(_report(ratio), "mmreason bench encode")
    assert verdict in page and "open_clip, which is not installed" in page
    assert f"| {OURS} | {2 * ratio:.3f} | {8 / ratio:.1f} | {ratio:.3f} |" in page
    assert "on this card" not in page
    assert "5 % of that" in build_encode_page(_report(ratio, 1.0), "mmreason bench encode")


@pytest.mark.full
def test_the_quick_size_runs_and_writes_its_page(tmp_path: Path) -> None:
    from mmreason.cli import app

    result = CliRunner().invoke(
        app, ["bench", "encode", "--quick", "--out", str(tmp_path), "--json"]
    )
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "encode.json").read_text())
    groups = {row["group"].split(",")[0] for row in report["rows"]}
    assert {"overhead over timm alone", "crops of unequal shapes", "CLIP of transformers"} <= groups
    assert all(row["cosine"] > 0.99 for row in report["rows"])
    assert (tmp_path / "encode.md").read_text().startswith("# Encoding frames")
