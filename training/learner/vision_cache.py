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


class FrozenEyes:
    """Stands in for the tower's forward pass; `install` puts it there."""

    def __init__(self, tower: Any, keep_bytes: int):
        self._forward = tower.forward
        self._keep_bytes = keep_bytes
        self._known: OrderedDict[bytes, Any] = OrderedDict()
        self.used_bytes = 0
        self.hits = 0
        self.misses = 0

    def __call__(self, hidden_states: Tensor, grid_thw: Tensor, **settings: Any) -> Any:
        """As the tower: `hidden_states` (patches, width) of all clips, `grid_thw` (clips, 3)."""
        sizes = grid_thw.prod(dim=1).tolist()
        clips = hidden_states.split(sizes)
        keys = [_key(clip, grid) for clip, grid in zip(clips, grid_thw, strict=True)]
        missing = [i for i, key in enumerate(keys) if key not in self._known]
        fresh = list({keys[i]: i for i in missing}.values())
        self.misses += len(fresh)
        self.hits += len(keys) - len(fresh)
        if fresh:
            # Not as inference tensors, which no later training step could use.
            with torch.inference_mode(False), torch.no_grad():
                seen = self._forward(
                    torch.cat([clips[i] for i in fresh]), grid_thw[fresh], **settings
                )
            for i, part in zip(fresh, _parts(seen, [sizes[i] for i in fresh]), strict=True):
                self._known[keys[i]] = part
                self.used_bytes += _bytes(part)
        parts = [self._known[key] for key in keys]
        for key in keys:
            self._known.move_to_end(key)
        while self.used_bytes > self._keep_bytes:
            self.used_bytes -= _bytes(self._known.popitem(last=False)[1])
        return _whole(parts)


def install(model: Any, keep_bytes: int) -> FrozenEyes | None:
    """Give the model's tower a memory of at most so many bytes. None where it has no such tower, or
    where that is trained, or without memory.

    The tower must take `(pixels, grid_thw=...)` and return features of all clips one after the
    other."""
    tower = tower_of(model)
    if (
        not keep_bytes
        or tower is None
        or any(parameter.requires_grad for parameter in tower.parameters())
    ):
        return None
    eyes = FrozenEyes(tower, keep_bytes)

    def forward(self: Any, hidden_states: Tensor, grid_thw: Tensor, **settings: Any) -> Any:
        return eyes(hidden_states, grid_thw, **settings)

    tower.forward = MethodType(forward, tower)
    return eyes


def tower_of(model: Any) -> Any:
    """The vision tower whose features can be kept; None where the model has none such."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return getattr(getattr(base, "model", None), "visual", None)


def _bytes(part: dict[str, Any]) -> int:
    """Memory of the features of one clip."""
    tensors = [
        tensor
        for value in part.values()
        for tensor in (value if isinstance(value, list) else [value])
        if isinstance(tensor, Tensor)
    ]
    return sum(tensor.nbytes for tensor in tensors)


def _key(clip: Tensor, grid: Tensor) -> bytes:
    raw = clip.detach().cpu().contiguous().view(torch.uint8).numpy()
    shape = repr((grid.tolist(), str(clip.dtype))).encode()
    return hashlib.blake2b(raw.tobytes() + shape, digest_size=16).digest()


def _parts(seen: Any, sizes: list[int]) -> list[dict[str, Any]]:
    """The output cut into clips: tensors along their tokens, lists of tensors one by one."""
    total = sum(sizes)

    def cut(tensor: Tensor) -> list[Tensor]:
        merge = total // len(tensor)
        return [part.clone() for part in tensor.split([size // merge for size in sizes])]

    found: list[dict[str, Any]] = [{"__kind__": type(seen)} for _ in sizes]
    for name, value in seen.items():
        if name == "last_hidden_state":  # of every patch; language models take the merged ones
            continue
        if isinstance(value, Tensor):
            for one, part in zip(found, cut(value), strict=True):
                one[name] = part
        elif isinstance(value, list | tuple):
            columns = [cut(tensor) for tensor in value]
            for i, one in enumerate(found):
                one[name] = [column[i] for column in columns]
    return found


def _whole(parts: list[dict[str, Any]]) -> Any:
    """Parts put together again as what the tower returns."""
    first = parts[0]
    values: dict[str, Any] = {}
    for name, value in first.items():
        if name == "__kind__":
            continue
        if isinstance(value, Tensor):
            values[name] = torch.cat([part[name] for part in parts])
        else:
            values[name] = [torch.cat([part[name][i] for part in parts]) for i in range(len(value))]
    return first["__kind__"](**values)
