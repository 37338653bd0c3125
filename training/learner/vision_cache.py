"""Features of frames from a frozen vision tower, computed once for all samples of a problem.

A tower that is not trained gives the same features for the same pixels in every forward pass: of
sampling, scoring and training. They are kept on the tower's device by the digest of the pixels;
beyond a budget of memory the least recently used go first. Exact for towers that look at each image
or clip by itself, as those of the Qwen families do; others are left alone, and so are towers that
are trained.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from types import MethodType
from typing import Any

import torch
from torch import Tensor

from mmreason.training.rollouts.inputs import unwrap_adapter


class VisionFeatureCache:
    """Stands in for the tower's forward pass; `attach` puts it there."""

    def __init__(self, tower: Any, most_bytes: int):
        self._forward = tower.forward
        self._most_bytes = most_bytes
        self._features: OrderedDict[bytes, dict[str, Any]] = OrderedDict()
        self.used_bytes = 0
        self.hits = 0
        self.misses = 0

    @classmethod
    def attach(cls, model: Any, most_bytes: int) -> VisionFeatureCache | None:
        """Give the model's tower a cache of at most so many bytes. None where it has no such tower,
        or where that is trained, or without memory.

        The tower must take `(pixels, grid_thw=...)` and return features of all clips one after the
        other."""
        tower = find_vision_tower(model)
        if (
            not most_bytes
            or tower is None
            or any(parameter.requires_grad for parameter in tower.parameters())
        ):
            return None
        cache = cls(tower, most_bytes)

        def forward(self: Any, hidden_states: Tensor, grid_thw: Tensor, **settings: Any) -> Any:
            return cache(hidden_states, grid_thw, **settings)

        # On the instance alone: other models of the class go on as they were.
        tower.forward = MethodType(forward, tower)
        return cache

    def __call__(self, hidden_states: Tensor, grid_thw: Tensor, **settings: Any) -> Any:
        """As the tower: `hidden_states` (patches, width) of all clips, `grid_thw` (clips, 3)."""
        # 1) Which clips are new? Equal ones in one call are computed once.
        sizes = grid_thw.prod(dim=1).tolist()
        clips = hidden_states.split(sizes)
        keys = [_pixel_key(clip, grid) for clip, grid in zip(clips, grid_thw, strict=True)]
        missing = [i for i, key in enumerate(keys) if key not in self._features]
        fresh = list({keys[i]: i for i in missing}.values())
        self.misses += len(fresh)
        self.hits += len(keys) - len(fresh)
        # 2) One forward pass over those.
        if fresh:
            # Not as inference tensors, which no later training step could use.
            with torch.inference_mode(False), torch.no_grad():
                output = self._forward(
                    torch.cat([clips[i] for i in fresh]), grid_thw[fresh], **settings
                )
            fresh_features = _split_by_clip(output, [sizes[i] for i in fresh])
            for i, features in zip(fresh, fresh_features, strict=True):
                self._features[keys[i]] = features
                self.used_bytes += _count_bytes(features)
        # 3) Put the output together, and only then let go of what is over the budget.
        by_clip = [self._features[key] for key in keys]
        for key in keys:
            # The least recently used go first; the clips of a problem come again for each of its
            # samples.
            self._features.move_to_end(key)
        while self.used_bytes > self._most_bytes:
            self.used_bytes -= _count_bytes(self._features.popitem(last=False)[1])
        return _join_clips(by_clip)


def find_vision_tower(model: Any) -> Any:
    """The vision tower whose features can be kept; None where the model has none such."""
    return getattr(getattr(unwrap_adapter(model), "model", None), "visual", None)


def _count_bytes(features: dict[str, Any]) -> int:
    """Memory of the features of one clip."""
    tensors = [
        tensor
        for value in features.values()
        for tensor in (value if isinstance(value, list) else [value])
        if isinstance(tensor, Tensor)
    ]
    return sum(tensor.nbytes for tensor in tensors)


def _pixel_key(clip: Tensor, grid: Tensor) -> bytes:
    # By the very pixels: a clip is known again under any name, and never taken for a similar one.
    raw = clip.detach().cpu().contiguous().view(torch.uint8).numpy()
    shape = repr((grid.tolist(), str(clip.dtype))).encode()
    return hashlib.blake2b(raw.tobytes() + shape, digest_size=16).digest()


def _split_by_clip(output: Any, sizes: list[int]) -> list[dict[str, Any]]:
    """The output cut into clips: tensors along their tokens, lists of tensors one by one."""
    patches = sum(sizes)

    def cut(tensor: Tensor) -> list[Tensor]:
        merged = patches // len(tensor)  # patches that the tower merges into one token
        # Clones, since a view would keep the features of all other clips alive too.
        return [piece.clone() for piece in tensor.split([size // merged for size in sizes])]

    by_clip: list[dict[str, Any]] = [{"__kind__": type(output)} for _ in sizes]
    for name, value in output.items():
        if name == "last_hidden_state":  # of every patch; language models take the merged ones
            continue
        if isinstance(value, Tensor):
            for features, piece in zip(by_clip, cut(value), strict=True):
                features[name] = piece
        elif isinstance(value, list | tuple):
            columns = [cut(tensor) for tensor in value]
            for i, features in enumerate(by_clip):
                features[name] = [column[i] for column in columns]
    return by_clip


def _join_clips(by_clip: list[dict[str, Any]]) -> Any:
    """Clips put together again as what the tower returns."""
    first = by_clip[0]
    values: dict[str, Any] = {}
    for name, value in first.items():
        if name == "__kind__":
            continue
        if isinstance(value, Tensor):
            values[name] = torch.cat([features[name] for features in by_clip])
        # A list holds features of several layers, so each layer is joined by itself.
        else:
            values[name] = [
                torch.cat([features[name][i] for features in by_clip]) for i in range(len(value))
            ]
    return first["__kind__"](**values)
