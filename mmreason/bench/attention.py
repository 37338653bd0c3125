"""Measures packed attention: layouts of sequences, rivals, and rounds in which all take turns.

What is measured is turned into a page by `attention_report`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch.nn.functional import scaled_dot_product_attention

from mmreason.bench.attention_report import BATCH, LOOP, OURS, AttentionRow, CardPeaks
from mmreason.bench.rounds import measure_rounds
from mmreason.video.encoders.attention import (
    BACKENDS,
    AttentionBackend,
    choose_backend,
    packed_attention,
)
from mmreason.video.types import VideoError

Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Query, key and value (tokens, heads, head_dim) to the same shape."""

BUCKET = "bucket by length"
MASK = "block-diagonal mask"
HEAD_DIM = 64
_MOST_MASK_BYTES = 500_000_000
"""A mask of more (tokens x tokens in float32) is not tried: SDPA makes one of the bool mask."""


@dataclass(frozen=True, slots=True)
class AttentionScale:
    """How much is measured."""

    name: str
    rounds: int
    heads: int
    divide: int
    """Layouts have this part of their sequences."""
    tower_layers: int
    tower_frames: int
    tower_rounds: int


FULL = AttentionScale("full", 9, 6, 1, 4, 8, 5)
QUICK = AttentionScale("quick", 2, 2, 8, 1, 2, 1)
# Towers of the size that models have: sixteen heads fill a card.
FULL_CUDA = AttentionScale("full", 30, 16, 1, 8, 32, 10)


@dataclass(frozen=True, slots=True)
class AttentionLayout:
    """Lengths of sequences, by a name."""

    name: str
    lengths: tuple[int, ...]

    @property
    def bounds(self) -> torch.Tensor:
        """`cu_seqlens` of it, on the CPU."""
        return torch.tensor([0, *itertools.accumulate(self.lengths)], dtype=torch.int32)


def make_layouts(divide: int) -> tuple[AttentionLayout, ...]:
    """Frames, windows, windows with cut edges (the grid of 36 x 20 patches of a 504 x 280 frame in
    windows of 8 x 8), and lengths that all differ."""
    draw = random.Random(0)
    edges = [
        min(8, 20 - y) * min(8, 36 - x)
        for _ in range(16)
        for y in range(0, 20, 8)
        for x in range(0, 36, 8)
    ]
    layouts = {
        "32 x 576 (frames)": [576] * 32,
        "144 x 64 (windows)": [64] * 144,
        "240 windows of 64, 32 and 16": edges,
        "24 of 100 to 700": [draw.randint(100, 700) for _ in range(24)],
    }
    return tuple(
        AttentionLayout(name, tuple(lengths[: len(lengths) // divide]))
        for name, lengths in layouts.items()
    )


def measure_layout(
    layout: AttentionLayout,
    dtype: torch.dtype,
    scale: AttentionScale,
    device: torch.device,
    peaks: CardPeaks | None,
) -> list[AttentionRow]:
    """All methods on one layout, in shuffled order within each round."""
    generator = torch.Generator().manual_seed(0)
    shape = (sum(layout.lengths), scale.heads, HEAD_DIM)
    query, key, value = (torch.randn(shape, generator=generator).to(device) for _ in range(3))
    expected = attend_loop(query, key, value, layout.lengths)
    inputs = tuple(x.to(dtype) for x in (query, key, value))
    methods = list_methods(layout, inputs[0], device)
    outputs = {name: attend(*inputs) for name, attend in methods.items()}
    rounds = measure_rounds(
        {name: partial(attend, *inputs) for name, attend in methods.items()},
        scale.rounds,
        partial(wait_for, device),
    )
    choice = choose_backend(device, dtype, HEAD_DIM)
    operations = 4 * scale.heads * HEAD_DIM * sum(length**2 for length in layout.lengths)
    # Query, key, value and result pass through memory once.
    traffic = 4 * shape[0] * scale.heads * HEAD_DIM * inputs[0].element_size()
    rows = []
    for name in methods:
        seconds = median(taken[name] for taken in rounds)
        ratios = [taken[name] / taken[LOOP] for taken in rounds]
        best = [min(taken[LOOP], taken.get(BATCH, taken[LOOP])) for taken in rounds]
        tflops = operations / seconds / 1e12
        roof = None if peaks is None else _roof_tflops(peaks, operations / traffic)
        rows.append(
            AttentionRow(
                layout=layout.name,
                dtype=_dtype_name(dtype),
                method=name,
                seconds=seconds,
                ratio=median(ratios),
                lowest=min(ratios),
                highest=max(ratios),
                pace=median(b / taken[name] for b, taken in zip(best, rounds, strict=True)),
                greatest_difference=float((outputs[name].float() - expected).abs().max()),
                tflops=tflops,
                matmul_percent=None if peaks is None else 100 * tflops / peaks.matmul_tflops,
                roofline_percent=None if roof is None else 100 * tflops / roof,
                backend=choice.backend if name == OURS else "",
            )
        )
    return rows


def list_methods(
    layout: AttentionLayout, query: torch.Tensor, device: torch.device
) -> dict[str, Attend]:
    """What can compute this layout here, ours among them."""
    lengths = layout.lengths
    # On the device, as a tower has them; the longest is known to whoever made them.
    bounds = layout.bounds.to(device)
    ours = partial(packed_attention, cu_seqlens=bounds, max_seqlen=max(lengths))
    methods: dict[str, Attend] = {
        LOOP: partial(attend_loop, lengths=lengths),
        OURS: ours,
        BUCKET: partial(attend_buckets, lengths=lengths),
    }
    if len(set(lengths)) == 1:
        methods[BATCH] = partial(attend_batch, lengths=lengths)
    if device.type == "cpu" and query.dtype == torch.float32 and fits_mask(lengths):
        methods[MASK] = partial(attend_mask, lengths=lengths)
    if device.type == "cuda":
        forced: tuple[AttentionBackend, ...] = tuple(
            name for name in BACKENDS if name.startswith("flash") or name == "varlen"
        )
        for name in forced:
            try:
                choose_backend(device, query.dtype, HEAD_DIM, backend=name)
            except VideoError:
                continue
            methods[f"{OURS}, {name}"] = partial(ours, backend=name)
    return methods


def fits_mask(lengths: tuple[int, ...]) -> bool:
    """Whether a mask of all tokens is small enough to try."""
    return sum(lengths) ** 2 * 4 <= _MOST_MASK_BYTES


def wait_for(device: torch.device) -> None:
    """Return when the device has done its work; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_peaks(device: torch.device) -> CardPeaks:
    """The fastest of several large products in bfloat16, and of several copies in memory."""
    left = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    source = torch.empty(1 << 30, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    calls = {"matmul": lambda: left @ left, "copy": lambda: target.copy_(source)}
    rounds = measure_rounds(calls, 20, partial(wait_for, device))
    fastest = {name: min(taken[name] for taken in rounds) for name in calls}
    return CardPeaks(
        matmul_tflops=2 * 8192**3 / fastest["matmul"] / 1e12,
        # Read and written.
        copy_gb_s=2 * source.nbytes / fastest["copy"] / 1e9,
    )


def _roof_tflops(peaks: CardPeaks, operations_per_byte: float) -> float:
    return min(peaks.matmul_tflops, operations_per_byte * peaks.copy_gb_s / 1e3)


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def attend_loop(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: tuple[int, ...]
) -> torch.Tensor:
    """As towers of transformers do without flash attention: split, one SDPA call each, joined."""
    parts = (x.transpose(0, 1)[None].split(lengths, dim=2) for x in (query, key, value))
    mixed = [
        scaled_dot_product_attention(q, k, v).transpose(1, 2).contiguous()
        for q, k, v in zip(*parts, strict=True)
    ]
    return torch.cat(mixed, dim=1)[0]


def attend_batch(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: tuple[int, ...]
) -> torch.Tensor:
    """Equal lengths viewed as a batch: one SDPA call."""
    q, k, v = (x.unflatten(0, (len(lengths), -1)).transpose(1, 2) for x in (query, key, value))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(0, 1)


def attend_buckets(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: tuple[int, ...]
) -> torch.Tensor:
    """Sequences of one length gathered from wherever they lie: one SDPA call a length."""
    starts = [0, *itertools.accumulate(lengths)]
    output = torch.empty_like(query)
    for length in sorted(set(lengths)):
        first = torch.tensor([s for s, n in zip(starts, lengths, strict=False) if n == length])
        rows = (first[:, None] + torch.arange(length)).flatten().to(query.device)
        q, k, v = (
            x[rows].unflatten(0, (len(first), length)).transpose(1, 2) for x in (query, key, value)
        )
        mixed = scaled_dot_product_attention(q, k, v)
        output[rows] = mixed.transpose(1, 2).flatten(0, 1)
    return output


def attend_mask(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: tuple[int, ...]
) -> torch.Tensor:
    """One SDPA call over all tokens under a bool mask."""
    sequence = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    mask = (sequence[:, None] == sequence[None]).to(query.device)
    q, k, v = (x.transpose(0, 1)[None] for x in (query, key, value))
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)[0].transpose(0, 1)
