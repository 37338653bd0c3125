"""Measures how frames are made ready: transformers' processors beside ours, time and peak memory.

What is measured is turned into a page by `preprocess_report`. Run as a module it makes one call and
prints the memory that it took: a peak is of a whole process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from mmreason.bench.preprocess_report import OURS, PreprocessRow
from mmreason.bench.rounds import measure_rounds, summarise_rounds
from mmreason.models.hf_settings import limit_threads
from mmreason.video.encoders.preprocess import FrameRecipe, preprocess_frames, recipe_of

THEIRS = "transformers"
THREADS = (1, 2)


@dataclass(frozen=True, slots=True)
class PreprocessScale:
    """How much is measured."""

    name: str
    rounds: int
    shape: tuple[int, int, int]
    """Frames, height, width."""
    processors: int
    """So many of `PROCESSORS`, from the first."""


FULL = PreprocessScale("full", 5, (32, 720, 1280), 5)
QUICK = PreprocessScale("quick", 2, (4, 180, 320), 1)

PROCESSORS: dict[str, dict[str, Any]] = {
    # As the checkpoints ship them.
    "Qwen3VLVideoProcessor": {
        "size": {"shortest_edge": 4096, "longest_edge": 25_165_824},
        "cap_pixels_per_frame": False,
    },
    "Qwen2VLVideoProcessor": {"cap_pixels_per_frame": False},
    "InternVLVideoProcessor": {"size": {"height": 448, "width": 448}},
    "SiglipImageProcessor": {"size": {"height": 384, "width": 384}},
    "CLIPImageProcessor": {},
}


def measure_processors(scale: PreprocessScale) -> Iterator[PreprocessRow]:
    """One row for each processor and number of threads."""
    pixels = make_pixels(scale.shape)
    for name in list(PROCESSORS)[: scale.processors]:
        processor = make_processor(name)
        recipe = recipe_of(processor)
        assert isinstance(recipe, FrameRecipe), recipe
        calls = {
            THEIRS: partial(run_theirs, processor, pixels),
            OURS: partial(preprocess_frames, pixels, recipe),
        }
        prepared = preprocess_frames(pixels, recipe)
        expected = run_theirs(processor, pixels).reshape(prepared.values.shape)
        difference = float((prepared.values - expected).abs().max())
        size_px = prepared.size_px
        del prepared, expected
        peaks_mb = {method: measure_peak_mb(name, method, scale.shape) for method in calls}
        for threads in THREADS:
            with limit_threads(threads):
                times = summarise_rounds(measure_rounds(calls, scale.rounds), THEIRS)
            yield PreprocessRow(
                processor=name,
                threads=threads,
                shape=scale.shape,
                size_px=size_px,
                greatest_difference=difference,
                theirs=times[THEIRS],
                ours=times[OURS],
                theirs_peak_mb=peaks_mb[THEIRS],
                ours_peak_mb=peaks_mb[OURS],
            )


def make_pixels(shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 (N, H, W, 3): coarse noise, since resizing takes the same time for any picture."""
    frames, height, width = shape
    coarse = np.random.default_rng(0).integers(
        0, 256, (frames, -(-height // 8), -(-width // 8), 3), dtype=np.uint8
    )
    return np.ascontiguousarray(coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width])


def make_processor(name: str) -> Any:
    """A processor of transformers by the name of its class."""
    return getattr(transformers, name)(**PROCESSORS[name])


def run_theirs(processor: Any, pixels: np.ndarray) -> torch.Tensor:
    """The processor's own way."""
    if hasattr(processor, "do_sample_frames"):
        out = processor(videos=[pixels], do_sample_frames=False, return_tensors="pt")
        return out["pixel_values_videos"]
    return processor(images=list(pixels), return_tensors="pt")["pixel_values"]


def measure_peak_mb(name: str, method: str, shape: tuple[int, int, int]) -> float:
    """Of one call in a process of its own, in MB (1e6 bytes)."""
    command = [sys.executable, "-m", __spec__.name, name, method, json.dumps(shape)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _measure_this_process(name: str, method: str, shape: tuple[int, int, int]) -> float:
    torch.set_num_threads(1)
    processor = make_processor(name)
    recipe = recipe_of(processor)
    assert isinstance(recipe, FrameRecipe), recipe
    # Whatever is loaded at the first call counts for neither.
    small = make_pixels((2, 64, 64))
    run_theirs(processor, small)
    preprocess_frames(small, recipe)
    pixels = make_pixels(shape)
    _forget_peak()
    before = _read_status_bytes("VmRSS")
    result = (
        run_theirs(processor, pixels) if method == THEIRS else preprocess_frames(pixels, recipe)
    )
    assert result is not None
    return (_read_status_bytes("VmHWM") - before) / 1e6


def _forget_peak() -> None:
    """The peak begins anew at what the process has now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def _read_status_bytes(key: str) -> int:
    """VmRSS is what the process has, VmHWM the most that it had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{key}:")[2].split()[0]) * 1024


if __name__ == "__main__":
    print(_measure_this_process(sys.argv[1], sys.argv[2], tuple(json.loads(sys.argv[3]))))
