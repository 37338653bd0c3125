"""Features of frames from a frozen vision tower, computed once for all passes over them.

A tower that is not trained gives the same features for the same pixels in every forward pass: of
sampling, scoring and training, and of a second question about a clip. They are kept on the tower's
device by the digest of the pixels; beyond a budget of memory the least recently used go first. Two
kinds of towers are known: those that take patches of all clips with their grids (Qwen, GLM), and
those that take a row for each image (InternVL, LLaVA, SmolVLM, Gemma 3). A call of any other kind
goes through as it is, and so does a tower that is trained.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor

TOWERS = ("visual", "vision_tower", "vision_model", "video_tower", "image_tower")
"""Names of towers in the models of families."""
_OF_NO_MATTER = frozenset({"use_cache", "return_dict"})
"""Settings of a call that change no feature: they differ between writing and scoring."""
Features = dict[str, Any]
"""What a tower gives for one clip or image: tensors and lists of tensors by name, and its kind."""


class VisionFeatureCache:
    """Stands in for the forward pass of towers; `attach` puts it there."""

    def __init__(self, most_bytes: int):
        self._most_bytes = most_bytes
        self._features: OrderedDict[bytes, Features] = OrderedDict()
        self._versions: dict[int, int] = {}
        """Of the weights of each tower: how often they were changed in place."""
        self.used_bytes = 0
        self.hits = 0
        self.misses = 0

    @classmethod
    def attach(
        cls, model: Any, most_bytes: int, *, is_trainable: bool = False
    ) -> VisionFeatureCache | None:
        """Give the model's towers a cache of at most so many bytes. None where it has no tower that
        is frozen, or without memory. With `is_trainable` towers that could be trained get one too:
        it serves passes without gradients, until a weight changes."""
        towers = [
            tower for tower in find_vision_towers(model) if not _is_trained(tower) or is_trainable
        ]
        if not most_bytes or not towers:
            return None
        cache = cls(most_bytes)
        for number, tower in enumerate(towers):
            cache._put_before(tower, number)
        return cache

    def _put_before(self, tower: Any, number: int) -> None:
        run = tower.forward

        def forward(self_: Any, *arguments: Any, **named: Any) -> Any:
            if arguments and "hidden_states" not in named and "pixel_values" not in named:
                pixels, arguments = arguments[0], arguments[1:]
            else:
                pixels = named.pop("pixel_values", named.pop("hidden_states", None))
            # Settings besides, by place, are of no family that is known.
            if arguments or pixels is None or (torch.is_grad_enabled() and _is_trained(tower)):
                return run(pixels, *arguments, **named)
            self._forget_other_weights(number, tower)
            grid = named.pop("grid_thw", None)
            if grid is not None and not _has_tensors(named):
                return self._look_at_clips(run, number, pixels, grid, named)
            if grid is None and pixels.dim() == 4 and _are_rows(named, len(pixels)):
                return self._look_at_rows(run, number, pixels, named)
            return run(pixels, **named) if grid is None else run(pixels, grid_thw=grid, **named)

        # On the instance alone: other models of the class go on as they were.
        tower.forward = MethodType(forward, tower)

    def _forget_other_weights(self, number: int, tower: Any) -> None:
        """Features of weights that were changed since are of no use."""
        version = _count_changes(tower)
        if self._versions.setdefault(number, version) != version:
            self.forget()
            self._versions[number] = version

    def forget(self) -> None:
        """Let go of all features."""
        self._features.clear()
        self.used_bytes = 0

    def _look_at_clips(
        self, run: Any, tower: int, pixels: Tensor, grid_thw: Tensor, settings: Mapping[str, Any]
    ) -> Any:
        """Of `pixels` (patches, width) of all clips, with `grid_thw` (clips, 3)."""
        sizes = grid_thw.prod(dim=1).tolist()
        clips = pixels.split(sizes)
        keys = [
            _digest(clip, grid, tower=tower, settings=settings)
            for clip, grid in zip(clips, grid_thw, strict=True)
        ]

        def compute(numbers: Sequence[int]) -> list[Features]:
            output = run(
                torch.cat([clips[i] for i in numbers]), grid_thw=grid_thw[list(numbers)], **settings
            )
            return _split_by_clip(output, [sizes[i] for i in numbers])

        return self._look_up(keys, compute)

    def _look_at_rows(self, run: Any, tower: int, pixels: Tensor, named: Mapping[str, Any]) -> Any:
        """Of `pixels` (images, channels, height, width), other tensors with a row an image too."""
        by_row = {name: value for name, value in named.items() if isinstance(value, Tensor)}
        settings = {name: value for name, value in named.items() if name not in by_row}
        keys = [
            _digest(
                pixels[i], *(table[i] for table in by_row.values()), tower=tower, settings=settings
            )
            for i in range(len(pixels))
        ]

        def compute(numbers: Sequence[int]) -> list[Features]:
            chosen = list(numbers)
            tables = {name: table[chosen] for name, table in by_row.items()}
            return _split_by_row(run(pixels[chosen], **tables, **settings), len(chosen))

        return self._look_up(keys, compute)

    def _look_up(
        self, keys: Sequence[bytes], compute: Callable[[Sequence[int]], list[Features]]
    ) -> Any:
        """The output for all keys; `compute` makes those by number that are new."""
        # 1) Which are new? Equal ones in one call are computed once.
        missing = [i for i, key in enumerate(keys) if key not in self._features]
        fresh = list({keys[i]: i for i in reversed(missing)}.values())[::-1]
        self.misses += len(fresh)
        self.hits += len(keys) - len(fresh)
        # 2) One forward pass over those.
        if fresh:
            # Not as inference tensors, which no later training step could use.
            with torch.inference_mode(False), torch.no_grad():
                made = compute(fresh)
            for i, features in zip(fresh, made, strict=True):
                self._features[keys[i]] = features
                self.used_bytes += _count_bytes(features)
        # 3) Put the output together, and only then let go of what is over the budget.
        together = [self._features[key] for key in keys]
        for key in keys:
            # The least recently used go first; the clips of a problem come again for each of its
            # samples.
            self._features.move_to_end(key)
        while self.used_bytes > self._most_bytes:
            self.used_bytes -= _count_bytes(self._features.popitem(last=False)[1])
        return _join(together)


def find_vision_towers(model: Any) -> tuple[Any, ...]:
    """The vision towers whose features can be kept; empty where the model has none such."""
    inner = getattr(_without_adapters(model), "model", None)
    return tuple(getattr(inner, name) for name in TOWERS if hasattr(inner, name))


def _without_adapters(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _is_trained(tower: Any) -> bool:
    return any(parameter.requires_grad for parameter in tower.parameters())


def _count_changes(tower: Any) -> int:
    """Torch counts changes in place, as optimisers and loaders make them; not of inference
    tensors, which nothing may change."""
    return sum(0 if p.is_inference() else p._version for p in tower.parameters())


def _has_tensors(named: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in named.values())


def _are_rows(named: Mapping[str, Any], rows: int) -> bool:
    """Whether all tensors besides the pixels have a row for each image."""
    tensors = [value for value in named.values() if isinstance(value, Tensor)]
    return all(tensor.dim() and len(tensor) == rows for tensor in tensors)


def _count_bytes(features: Features) -> int:
    """Memory of the features of one clip."""
    tensors = [
        tensor
        for value in features.values()
        for tensor in (value if isinstance(value, list) else [value])
        if isinstance(tensor, Tensor)
    ]
    return sum(tensor.nbytes for tensor in tensors)


def _digest(*tensors: Tensor, tower: int, settings: Mapping[str, Any]) -> bytes:
    # By the very pixels: a clip is known again under any name, and never taken for a similar one.
    matters = sorted(item for item in settings.items() if item[0] not in _OF_NO_MATTER)
    digest = hashlib.blake2b(repr((tower, matters)).encode(), digest_size=16)
    for tensor in tensors:
        digest.update(repr((tuple(tensor.shape), str(tensor.dtype))).encode())
        raw = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        digest.update(raw.tobytes())
    return digest.digest()


def _split_by_clip(output: Any, sizes: list[int]) -> list[Features]:
    """The output cut into clips: tensors along their tokens, lists of tensors one by one."""
    patches = sum(sizes)

    def cut(tensor: Tensor) -> list[Tensor]:
        merged = patches // len(tensor)  # patches that the tower merges into one token
        return list(tensor.split([size // merged for size in sizes]))

    # The hidden state is of every patch; language models take the merged ones.
    return _split(output, len(sizes), cut, without="last_hidden_state")


def _split_by_row(output: Any, rows: int) -> list[Features]:
    """The output cut into images."""
    return _split(output, rows, lambda tensor: list(tensor.split(1)))


def _split(
    output: Any, count: int, cut: Callable[[Tensor], list[Tensor]], without: str = ""
) -> list[Features]:
    features: list[Features] = [{"__kind__": type(output)} for _ in range(count)]
    for name, value in output.items():
        if name == without:
            continue
        # Of hidden states those that nobody asked for are None.
        layers = value if isinstance(value, list | tuple) else [value]
        columns = [[None] * count if layer is None else cut(layer) for layer in layers]
        for i, item in enumerate(features):
            # Clones, since a view would keep the features of all others alive too.
            pieces = [None if (piece := column[i]) is None else piece.clone() for column in columns]
            item[name] = pieces if isinstance(value, list | tuple) else pieces[0]
    return features


def _join(together: Sequence[Features]) -> Any:
    """Clips or images put together again as what the tower returns."""
    first = together[0]
    values: dict[str, Any] = {}
    for name, value in first.items():
        if name == "__kind__":
            continue
        # A list holds features of several layers, so each layer is joined by itself.
        layers = range(len(value)) if isinstance(value, list) else None
        if layers is None:
            values[name] = torch.cat([features[name] for features in together])
            continue
        values[name] = [
            None if value[i] is None else torch.cat([features[name][i] for features in together])
            for i in layers
        ]
    return first["__kind__"](**values)
