"""`FrameEncoder`: frames, crops and texts in, rows of length 1 out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from mmreason.video.encoders.backbone import (
    Backbone,
    Frames,
    Inputs,
    SizePx,
    first_line,
    hash_tensors,
)
from mmreason.video.types import FrameBatch, VideoError

BATCH_BYTES = 1 << 30
"""For what one batch holds while it runs."""
_MOST_FRAMES = {"cpu": 8}
"""By kind of device: larger batches are no faster on a CPU."""
_MOST_FRAMES_ELSEWHERE = 256
_MOST_TEXTS = 64
_BLOCK_FACTOR = 1.5
"""A block keeps its input for the residual sum while its widest layer runs."""


class FrameEncoder:
    """One model as an encoder of frames, and of text where it has a tower for that.

    Rows are float32 and of length 1, so that `a @ b.T` are cosines. The same call gives the same
    numbers; other batches differ by rounding only.

    Example:
        >>> encoder = load_encoder("efficientnet-lite0")  # doctest: +SKIP
        >>> encoder.encode_frames(frames).shape  # doctest: +SKIP
        (8, 1280)
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        device: str,
        dtype: torch.dtype = torch.float32,
        batch_bytes: int = BATCH_BYTES,
        compile: bool = False,
        notes: tuple[str, ...] = (),
    ) -> None:
        self._backbone = backbone
        self._device = torch.device(device)
        self._dtype = dtype
        self._batch_bytes = batch_bytes
        self._compiled = torch.compile(backbone.embed_frames) if compile else None
        self._most_frames = _MOST_FRAMES.get(self._device.type, _MOST_FRAMES_ELSEWHERE)
        self.notes = (*backbone.notes, *notes)
        """What a reader should know of how it was loaded."""
        backbone.model.to(device=self._device, dtype=dtype).eval().requires_grad_(False)
        # Networks of convolutions and batch norms take about four fifths of the time this way.
        has_batch_norm = any(isinstance(m, nn.BatchNorm2d) for m in backbone.model.modules())
        self._layout = torch.channels_last if has_batch_norm else torch.contiguous_format
        backbone.model.to(memory_format=self._layout)

    @property
    def name(self) -> str:
        return self._backbone.name

    @property
    def size_px(self) -> SizePx:
        """(height, width) of the largest picture that the model is given."""
        return self._backbone.size_px

    @property
    def device(self) -> str:
        return str(self._device)

    @property
    def dtype(self) -> str:
        return str(self._dtype).removeprefix("torch.")

    @property
    def takes_text(self) -> bool:
        return self._backbone.text_tower is not None

    @property
    def logit_scale(self) -> float | None:
        """What cosines are multiplied by to be logits; None where the model learned none."""
        return self._backbone.logit_scale

    @property
    def logit_bias(self) -> float | None:
        """What is added to those logits (SigLIP); None where the model learned none."""
        return self._backbone.logit_bias

    @property
    def fingerprint(self) -> str:
        """32 hex digits of the weights, how frames are prepared, and the type of numbers: vectors
        under equal fingerprints may be compared. Read once, at the first use."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        tensors = hash_tensors(self._backbone.model.state_dict())
        text = f"{tensors} {self._backbone.architecture} {self._backbone.recipe} {self.dtype}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def dim(self) -> int:
        """D, the numbers of a vector."""
        return self._probe[0]

    @property
    def frame_bytes(self) -> int:
        """Estimate of what one frame of `size_px` holds while it runs: 1.5 times the largest input
        and output of one layer, measured on a grey frame."""
        return self._probe[1]

    def __repr__(self) -> str:
        height, width = self.size_px
        towers = "frames and text" if self.takes_text else "frames"
        return (
            f"FrameEncoder({self.name}, {towers}, {width}x{height}, {self.dtype} on {self.device}"
            + (", compiled)" if self._compiled else ")")
        )

    def encode_frames(self, pixels: np.ndarray | FrameBatch) -> np.ndarray:
        """float32 (N, D), rows of length 1, of uint8 (N, H, W, 3) RGB or a `FrameBatch`; no frames
        give (0, D). Raises VideoError for other shapes and types, and where the model gives what is
        not finite."""
        frames = pixels.pixels if isinstance(pixels, FrameBatch) else pixels
        _check_frames(frames)
        if not len(frames):
            return np.zeros((0, self.dim), np.float32)
        return self._encode_group(frames, range(len(frames)))

    def encode_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """float32 (N, D), rows of length 1 in the order of `crops`, each uint8 (h, w, 3) RGB of its
        own size. Raises VideoError as `encode_frames`."""
        crops = list(crops)
        for number, crop in enumerate(crops):
            _check_crop(crop, number)
        return self._encode_groups(crops)

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (M, D), rows of length 1. Raises VideoError for a model without a text tower, and
        for a text that is longer than the model reads."""
        tower = self._backbone.text_tower
        if tower is None:
            raise VideoError(
                f"{self.name} has no text tower; to compare frames with text load a CLIP or SigLIP "
                'model, such as load_encoder("google/siglip2-base-patch16-224")'
            )
        if isinstance(texts, str) or not isinstance(texts, Iterable):
            raise VideoError(f"texts must be a sequence of strings, got {_describe(texts)}")
        texts = list(texts)
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise VideoError(f"text {number} must be a string, got {_describe(text)}")
        rows = [np.zeros((0, self.dim), np.float32)]
        for first in range(0, len(texts), _MOST_TEXTS):
            inputs = tower.prepare(texts[first : first + _MOST_TEXTS])
            features = self._run(tower.embed, inputs)
            rows.append(self._normalise(features, range(first, len(texts)), "text"))
        return np.concatenate(rows)

    def _encode_groups(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """Rows in the order of `crops`, of which those that the model sees alike run together."""
        vectors = np.zeros((len(crops), self.dim), np.float32)
        groups: dict[SizePx, list[int]] = {}
        for number, crop in enumerate(crops):
            groups.setdefault(self._backbone.fit_size(*crop.shape[:2]), []).append(number)
        for numbers in groups.values():
            vectors[numbers] = self._encode_group([crops[i] for i in numbers], numbers)
        return vectors

    def _encode_group(self, frames: Frames, numbers: Sequence[int]) -> np.ndarray:
        """Rows of frames that share a `fit_size`; `numbers` are those that errors name."""
        size_px = self._backbone.fit_size(*frames[0].shape[:2])
        rows, first = [], 0
        for features in self._embed_batches(frames, size_px):
            rows.append(self._normalise(features, numbers[first:], "frame"))
            first += len(features)
        return np.concatenate(rows)

    def _embed_batches(self, frames: Frames, size_px: SizePx) -> Iterator[torch.Tensor]:
        """Features of one batch after the other."""
        first = 0
        while first < len(frames):
            batch = frames[first : first + self._count_frames(size_px)]
            try:
                features = self._embed_batch(batch, size_px)
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise self._too_large(size_px) from error
                # Kept for later calls: what did not fit once will not fit again.
                self._most_frames = len(batch) // 2
                torch.cuda.empty_cache()
                continue
            yield features
            first += len(features)

    def _embed_batch(self, frames: Frames, size_px: SizePx) -> torch.Tensor:
        inputs = self._backbone.prepare_frames(frames, size_px, self._device)
        if self._compiled is None:
            return self._run(self._backbone.embed_frames, inputs)
        try:
            return self._run(self._compiled, inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise VideoError(
                f"{self.name} cannot be compiled here ({first_line(error)}); a CPU needs g++, "
                "or load it with compile=False"
            ) from error

    def _count_frames(self, size_px: SizePx) -> int:
        """How many frames of this size go into one batch."""
        share = size_px[0] * size_px[1] / (self.size_px[0] * self.size_px[1])
        return max(1, min(self._most_frames, int(self._batch_bytes / (self.frame_bytes * share))))

    @cached_property
    def _probe(self) -> tuple[int, int]:
        """(D, bytes of one frame while it runs), of one grey frame."""
        height, width = self.size_px
        grey = np.full((height, width, 3), 128, np.uint8)
        size_px = self._backbone.fit_size(height, width)
        try:
            inputs = self._backbone.prepare_frames([grey], size_px, self._device)
            with _measure_layers(self._backbone.model) as layer_bytes:
                features = self._run(self._backbone.embed_frames, inputs)
        except torch.OutOfMemoryError as error:
            raise self._too_large(size_px) from error
        except (ValueError, RuntimeError) as error:
            raise VideoError(
                f"{self.name}: frames as its processor makes them do not fit the model "
                f"({first_line(error)})"
            ) from error
        if features.ndim != 2:
            raise VideoError(
                f"{self.name} gives features of shape {tuple(features.shape)} for one frame, "
                "expected (1, D): it is no encoder of whole frames"
            )
        prepared = sum(tensor.nbytes for tensor in inputs.values())
        return features.shape[1], int(prepared + _BLOCK_FACTOR * max(layer_bytes, default=0))

    def _too_large(self, size_px: SizePx) -> VideoError:
        return VideoError(
            f"{self.name}: one frame of {size_px[1]}x{size_px[0]} does not fit into the memory of "
            f'{self.device}; use dtype="bfloat16" or device="cpu"'
        )

    def _run(self, embed: Callable[[Inputs], torch.Tensor], inputs: Inputs) -> torch.Tensor:
        with torch.inference_mode():
            return embed({name: self._place(tensor) for name, tensor in inputs.items()})

    def _place(self, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point():
            return tensor.to(self._device)
        layout = self._layout if tensor.ndim == 4 else torch.preserve_format
        return tensor.to(self._device, self._dtype, memory_format=layout)

    def _normalise(self, features: torch.Tensor, numbers: Sequence[int], kind: str) -> np.ndarray:
        """float32 rows of length 1 on the CPU; `numbers` are those of its rows, for errors."""
        vectors = features.float()
        lengths = vectors.norm(dim=1, keepdim=True)
        is_usable = (lengths.isfinite() & (lengths > 0)).squeeze(1)
        if not bool(is_usable.all()):
            row = int((~is_usable).nonzero()[0])
            raise VideoError(
                f"{self.name} gave a vector of length {float(lengths[row]):g} for {kind} "
                f"{numbers[row]}, expected a finite one above 0: its weights are damaged, or "
                f"{self.dtype} is too narrow for it"
            )
        return (vectors / lengths).cpu().numpy()


@contextmanager
def _measure_layers(model: torch.nn.Module) -> Iterator[list[int]]:
    """Bytes that go in and out of each layer that runs meanwhile."""
    layer_bytes: list[int] = []

    def add(_: torch.nn.Module, inputs: object, output: object) -> None:
        tensors = [*inputs, output] if isinstance(inputs, tuple) else [output]
        layer_bytes.append(sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor)))

    layers = [module for module in model.modules() if not list(module.children())]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    try:
        yield layer_bytes
    finally:
        for hook in hooks:
            hook.remove()


def _check_frames(frames: Any) -> None:
    is_pixels = isinstance(frames, np.ndarray) and frames.dtype == np.uint8
    if not is_pixels or frames.ndim != 4 or frames.shape[3] != 3:
        raise VideoError(f"frames must be uint8 (N, H, W, 3) RGB, got {_describe(frames)}")
    if len(frames) and not frames.size:
        raise VideoError(f"frames must have pixels, got {_describe(frames)}")


def _check_crop(crop: Any, number: int) -> None:
    is_pixels = isinstance(crop, np.ndarray) and crop.dtype == np.uint8
    if not is_pixels or crop.ndim != 3 or crop.shape[2] != 3 or not crop.size:
        raise VideoError(
            f"crop {number} must be uint8 (h, w, 3) RGB of at least one pixel, got "
            f"{_describe(crop)}"
        )


def _describe(value: object) -> str:
    shape = getattr(value, "shape", None)
    if shape is None:
        return type(value).__name__
    return f"{getattr(value, 'dtype', type(value).__name__)} {tuple(shape)}"
