"""The attention benchmark: its rivals compute the same, and its page judges the aims."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmreason.bench import attention, attention_report, attention_towers
from mmreason.bench.attention import QUICK, AttentionLayout
from mmreason.bench.attention_report import (
    BATCH,
    LOOP,
    OURS,
    AttentionReport,
    AttentionRow,
    CardPeaks,
    TowerRow,
    build_attention_page,
    judge_attention,
)
from mmreason.cli import main

CPU = torch.device("cpu")
SMALL = replace(QUICK, rounds=1, tower_frames=1)


@pytest.mark.parametrize("lengths", [(8, 8, 8), (8, 3, 8, 5)])
def test_all_ways_compute_the_same(lengths: tuple[int, ...]) -> None:
    rows = attention.measure_layout(
        AttentionLayout("small", lengths), torch.float32, SMALL, CPU, None
    )
    methods = {row.method for row in rows}
    assert {LOOP, OURS, attention.BUCKET, attention.MASK} <= methods
    assert (BATCH in methods) == (len(set(lengths)) == 1)
    assert all(row.greatest_difference < 1e-5 and row.seconds > 0 for row in rows)
    assert [row.ratio for row in rows if row.method == LOOP] == [1.0]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.full if "windows" in name else ())
        for name in attention_towers.TOWERS
    ],
)
def test_towers_give_the_same_with_every_attention(name: str) -> None:
    rows = attention_towers.measure_tower(name, SMALL, torch.float32, CPU)
    assert [row.attention for row in rows] == ["eager", "sdpa", attention_report.PACKED]
    assert all(row.greatest_difference < 1e-4 for row in rows)


def test_layouts_are_those_of_towers() -> None:
    frames, windows, edges, ragged = attention.make_layouts(1)
    assert frames.lengths == (576,) * 32 and windows.lengths == (64,) * 144
    # A frame of 36 x 20 patches in windows of 8 x 8.
    assert sum(edges.lengths) == 16 * 36 * 20 and set(edges.lengths) == {64, 32, 16}
    assert len(ragged.lengths) == 24 and 100 <= min(ragged.lengths) <= max(ragged.lengths) <= 700


def report_of(pace: float, peaks: CardPeaks | None) -> AttentionReport:
    row = AttentionRow(
        layout="32 x 576 (frames)",
        dtype="bfloat16",
        method=OURS,
        seconds=0.001,
        ratio=0.25,
        lowest=0.2,
        highest=0.3,
        pace=pace,
        greatest_difference=1e-3,
        tflops=400.0,
        matmul_percent=None if peaks is None else 57.0,
        roofline_percent=None if peaks is None else 57.0,
        backend="varlen" if peaks else "batch",
    )
    tower = TowerRow("tower", "float32", "sdpa", 1.0, 1.0, 1.0, 1.0, 0.0)
    return AttentionReport(
        scale="full",
        machine={"GPU": "none"},
        heads=6,
        head_dim=64,
        rounds=9,
        rows=(row,),
        towers=(tower,),
        peaks=peaks,
        skipped=("the mask",),
    )


@pytest.mark.parametrize(("pace", "is_reached"), [(0.96, True), (0.94, False)])
def test_on_a_cpu_ours_is_held_to_the_better_of_loop_and_batch(
    pace: float, is_reached: bool
) -> None:
    report = report_of(pace, None)
    assert [aim.reached for aim in judge_attention(report)] == [is_reached]
    page = build_attention_page(report, "mmreason bench attention")
    assert ("**not reached**" in page) != is_reached
    assert "Not measured: the mask." in page and "roofline" not in page
    assert judge_attention(replace(report, scale="quick")) == []


def test_on_a_gpu_it_is_held_to_the_loop_and_the_roofline() -> None:
    report = report_of(1.0, CardPeaks(matmul_tflops=700, copy_gb_s=4000))
    aims = judge_attention(report)
    assert [(round(aim.measured, 1), aim.reached) for aim in aims] == [(4.0, True), (57.0, True)]
    page = build_attention_page(report, "mmreason bench attention")
    assert "700 TFLOP/s" in page and "| 57 % | 57 % |" in page


@pytest.mark.full
def test_the_command_writes_a_page_and_fits_its_schema(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from jsonschema import Draft202012Validator

    from mmreason.schemas import load

    assert main(["bench", "attention", "--quick", "--out", str(tmp_path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    Draft202012Validator(load("bench_attention")).validate(printed)
    assert printed == json.loads((tmp_path / "attention.json").read_text())
    assert "mmreason bench attention --quick" in (tmp_path / "attention.md").read_text()


def test_a_file_in_place_of_the_folder_is_refused_before_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    assert main(["bench", "attention", "--out", str(file)]) == 2
    assert "is a file; give a folder with --out" in capsys.readouterr().err
