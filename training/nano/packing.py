"""Examples to tensors: one clip, several questions, one sequence.

The questions of a clip share its visual tokens. Each question sees the clip and itself, never
another question (a block mask), and its positions continue from the clip, so that every answer is
predicted exactly as if its question had been asked alone. `tests/training` holds the proof against
the unpacked model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from mmreason.training.nano.examples import LABELS, Example

PATCH_PX = 8
IGNORED = -100
LENGTH_STEP = 32
"""Sequences are padded to multiples of this: few different shapes keep the CPU's caches small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBatch:
    """Several clips or dialogues as tensors, padded on the right."""

    patches: torch.Tensor
    """float32 (patches, 3 * 2 * 8 * 8), normalised to -1..1, in the processor's order."""
    grid_thw: torch.Tensor
    """int64 (clips, 3)."""
    input_ids: torch.Tensor
    """int64 (clips, length)."""
    position_ids: torch.Tensor
    """int64 (3, clips, length)."""
    attention: torch.Tensor | None
    """bool (clips, 1, length, length); None where every token sees all before it."""
    visual: torch.Tensor
    """bool (clips, length)."""
    targets: torch.Tensor
    """int64 (clips, length): the next token where it is part of an answer, else -100."""
    dense: dict[str, torch.Tensor]
    """int64 (visual tokens,) by name."""
    boxes: torch.Tensor
    """float32 (visual tokens, 4)."""

    def to(self, device: torch.device) -> PackedBatch:
        """The same on a device."""
        moved = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, dict):
                moved[name] = {k: v.to(device) for k, v in value.items()}
            elif value is None:
                moved[name] = None
            else:
                moved[name] = value.to(device)
        return PackedBatch(**moved)


def patchify(frames: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    """uint8 (F, H, W, 3) -> float32 (patches, 384) and the (t, h, w) grid; one frame is shown
    twice.

    Example:
        >>> patches, grid = patchify(np.zeros((1, 16, 32, 3), np.uint8))
        >>> patches.shape, grid
        ((8, 384), (1, 2, 4))
    """
    # The vision tower reads frames in pairs.
    if len(frames) % 2:
        frames = np.concatenate([frames, frames[-1:]])
    f, height, width, _ = frames.shape
    t, h, w, p = f // 2, height // PATCH_PX, width // PATCH_PX, PATCH_PX
    # The processor's order: slices, 2 x 2 blocks of patches, in each colour, time, rows, columns.
    blocks = frames.reshape(t, 2, h // 2, 2, p, w // 2, 2, p, 3)
    blocks = blocks.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(t * h * w, 3 * 2 * p * p)
    return blocks.astype(np.float32) / np.float32(127.5) - 1, (t, h, w)


def slice_times(times_s: tuple[float, ...]) -> list[float]:
    """The time Qwen3-VL writes before each slice: the mean of its two frames, in milliseconds'
    steps.

    Example:
        >>> slice_times((0.5, 1.5, 2.5))
        [1.0, 2.5]
    """
    # In the processor's own order of rounding, or training would read other digits than asking
    # does.
    stamps = [round(t * 1000) / 1000 for t in times_s]
    return [(stamps[i] + stamps[min(i + 1, len(stamps) - 1)]) / 2 for i in range(0, len(stamps), 2)]


def pack_examples(examples: list[Example], tokenizer: PreTrainedTokenizerFast) -> PackedBatch:
    """One batch of examples that are all images or all clips of one length."""
    rows = [_pack_row(example, tokenizer) for example in examples]
    # Few different lengths: kernels and memory are reused from batch to batch.
    length = -(-max(len(row.ids) for row in rows) // LENGTH_STEP) * LENGTH_STEP
    n = len(rows)
    pad = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    ids = np.full((n, length), pad, np.int64)
    positions = np.zeros((3, n, length), np.int64)
    visual = np.zeros((n, length), bool)
    targets = np.full((n, length), IGNORED, np.int64)
    # Memory grows with the square of the length: clips of a batch are about equally long.
    attention = np.zeros((n, 1, length, length), bool)
    for i, row in enumerate(rows):
        size = len(row.ids)
        ids[i, :size], positions[:, i, :size] = row.ids, row.positions
        visual[i, :size], targets[i, :size] = row.visual, row.targets
        attention[i, 0, :size, :size] = _visibility(row.segments)
        # Padding looks at itself: a row without any key would be NaN.
        attention[i, 0, range(length), range(length)] = True
    grids = [row.grid for row in rows]
    dense = {name: np.concatenate([e.labels[name].ravel() for e in examples]) for name in LABELS}
    return PackedBatch(
        patches=torch.from_numpy(np.concatenate([row.patches for row in rows])),
        grid_thw=torch.tensor(grids),
        input_ids=torch.from_numpy(ids),
        position_ids=torch.from_numpy(positions),
        attention=torch.from_numpy(attention),
        visual=torch.from_numpy(visual),
        targets=torch.from_numpy(targets),
        dense={name: torch.from_numpy(values) for name, values in dense.items()},
        boxes=torch.from_numpy(np.concatenate([e.boxes.reshape(-1, 4) for e in examples])),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _PackedRow:
    ids: np.ndarray
    positions: np.ndarray
    visual: np.ndarray
    targets: np.ndarray
    segments: np.ndarray
    """0 for the clip, 1, 2, ... for the questions."""
    patches: np.ndarray
    grid: tuple[int, int, int]


def _pack_row(example: Example, tokenizer: PreTrainedTokenizerFast) -> _PackedRow:
    patches, grid = patchify(example.frames)
    ids, positions, visual = _clip_tokens(example, grid, tokenizer)
    # Every question goes on where the clip ends, as if it were the only one.
    start = int(positions.max()) + 1
    segments = [np.zeros(len(ids), np.int64)]
    targets = [np.full(len(ids), IGNORED, np.int64)]
    columns, position_ids = [ids], [positions]
    turn = _encode(tokenizer, "<|im_end|>\n<|im_start|>assistant\n")
    end = _encode(tokenizer, "<|im_end|>")
    for index, (question, answer) in enumerate(example.dialogue):
        question_ids = [*_encode(tokenizer, question), *turn]
        answer_ids = [*_encode(tokenizer, answer), *end]
        pair_ids = np.array([*question_ids, *answer_ids])
        learnt_ids = np.full(len(pair_ids), IGNORED, np.int64)
        # The target of a token is the one after it.
        learnt_ids[len(question_ids) - 1 : -1] = answer_ids
        columns.append(pair_ids)
        targets.append(learnt_ids)
        position_ids.append(np.broadcast_to(start + np.arange(len(pair_ids)), (3, len(pair_ids))))
        segments.append(np.full(len(pair_ids), index + 1, np.int64))
    joined = np.concatenate(columns)
    return _PackedRow(
        ids=joined,
        positions=np.concatenate(position_ids, axis=1),
        visual=np.pad(visual, (0, len(joined) - len(visual))),
        targets=np.concatenate(targets),
        segments=np.concatenate(segments),
        patches=patches,
        grid=grid,
    )


def _clip_tokens(example: Example, grid: tuple[int, int, int], tokenizer: PreTrainedTokenizerFast):
    """Ids, positions (3, n) and visual mask of the user turn up to the question."""
    slices, rows, columns = grid[0], grid[1] // 2, grid[2] // 2
    pad = _encode(tokenizer, "<|image_pad|>" if example.is_image else "<|video_pad|>")[0]
    begin, finish = _encode(tokenizer, "<|vision_start|>"), _encode(tokenizer, "<|vision_end|>")
    stamps = [] if example.is_image else slice_times(example.times_s)
    ids, position_ids, visual = [], [], []
    position = 0

    def text(tokens: list[int]) -> None:
        nonlocal position
        ids.extend(tokens)
        position_ids.append(np.broadcast_to(position + np.arange(len(tokens)), (3, len(tokens))))
        visual.extend([False] * len(tokens))
        position += len(tokens)

    text(_encode(tokenizer, "<|im_start|>user\n"))
    for index in range(slices):
        stamp = [] if example.is_image else _encode(tokenizer, f"<{stamps[index]:.1f} seconds>")
        text([*stamp, *begin])
        row, column = np.divmod(np.arange(rows * columns), columns)
        position_ids.append(
            np.stack([np.full(rows * columns, position), position + row, position + column])
        )
        ids.extend([pad] * (rows * columns))
        visual.extend([True] * (rows * columns))
        # As in Qwen3-VL: the next text stands after the longer side of the grid.
        position += max(rows, columns)
        text([*finish])
    return np.array(ids), np.concatenate(position_ids, axis=1), np.array(visual)


@lru_cache(maxsize=65536)
def _encode_text(tokenizer: PreTrainedTokenizerFast, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False).input_ids)


def _encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    # A fresh list, since callers extend it and the cached tuple is everybody's.
    return list(_encode_text(tokenizer, text))


def _visibility(segments: np.ndarray) -> np.ndarray:
    """bool (n, n): row i may look at column j."""
    n = len(segments)
    causal = np.tril(np.ones((n, n), bool))
    # Each question sees the clip and itself: many questions cost one pass over the clip.
    is_same = segments[:, None] == segments[None, :]
    return causal & (is_same | (segments == 0)[None, :])
