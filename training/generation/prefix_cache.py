"""Keys and values of token sequences that a model has read, so that no prefix is read twice.

Found again by the longest beginning that a new prompt has in common with anything kept: the turns
of an episode go on from each other, attempts at one question begin alike, and so do questions under
one system prompt. Right only while the weights stay as they are: whoever keeps says how long
(`LocalSampler.keeping`). Leaves out reading (`reading.py`).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmreason.training.rollouts.types import Media, Prompt

_HEAD_WORDS = 4
"""Words of a key before its tokens: the digest of the frames."""
_WORD = np.dtype(">u4")
"""Most significant byte first, so that keys sort as their tokens do."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """What a model holds of a sequence that it has read."""

    states: Tensor
    """(layers, 2, heads, tokens, width): keys and values."""
    shift: int = 0
    """Token i after the last frame is at position i + shift (models that count positions in space
    and time)."""

    @property
    def tokens(self) -> int:
        return self.states.shape[3]


class Kept:
    """Stretches by what was read, at most `limit_bytes`; those not used for longest go first."""

    def __init__(self, limit_bytes: int):
        self._limit_bytes = limit_bytes
        self._stretches: OrderedDict[bytes, Stretch] = OrderedDict()
        self._sorted: list[bytes] = []  # none is the beginning of another
        self._digests: dict[int, tuple[Media, bytes]] = {}
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._sorted)

    def key(self, prompt: Prompt, written: tuple[int, ...] = ()) -> bytes:
        """Of the prompt and what was written after it: the frames, then token by token."""
        tokens = np.array((*prompt.token_ids, *written), dtype=_WORD)
        return self._digest(prompt.media) + tokens.tobytes()

    def find(self, key: bytes) -> tuple[Stretch | None, int]:
        """The stretch that begins like `key` for longest, and for how many tokens it does."""
        place = bisect_left(self._sorted, key)
        best, most = None, 0
        # Sorted, whatever has most in common with a key stands right before or right after it.
        for known in self._sorted[max(0, place - 1) : place + 1]:
            if (tokens := common(known, key)) > most:
                best, most = known, tokens
        if best is None:
            return None, 0
        self._stretches.move_to_end(best)
        return self._stretches[best], most

    def put(self, key: bytes, stretch: Stretch) -> None:
        """Keep a stretch of memory of its own. What it goes on from is not kept twice."""
        place = bisect_left(self._sorted, key)
        if place < len(self._sorted) and self._sorted[place].startswith(key):
            self._stretches.move_to_end(self._sorted[place])
            return
        if place and key.startswith(self._sorted[place - 1]):
            self._drop(place - 1)
            place -= 1
        self._sorted.insert(place, key)
        self._stretches[key] = stretch
        self.used_bytes += stretch.states.nbytes
        while self.used_bytes > self._limit_bytes:
            self._drop(bisect_left(self._sorted, next(iter(self._stretches))))

    def clear(self) -> None:
        """Forget everything."""
        self._stretches.clear()
        self._sorted.clear()
        self._digests.clear()
        self.used_bytes = 0

    def _drop(self, place: int) -> None:
        self.used_bytes -= self._stretches.pop(self._sorted.pop(place)).states.nbytes

    def _digest(self, media: Media | None) -> bytes:
        if media is None:
            return bytes(4 * _HEAD_WORDS)
        if id(media) not in self._digests:  # the object is held, its id cannot come again
            self._digests[id(media)] = (media, _digest(media))
        return self._digests[id(media)][1]


def common(a: bytes, b: bytes) -> int:
    """Tokens that two keys begin with alike; 0 where they were shown other frames."""
    count = min(len(a), len(b)) // _WORD.itemsize
    differ = np.frombuffer(a, _WORD, count) != np.frombuffer(b, _WORD, count)
    alike = int(differ.argmax()) if differ.any() else count
    return max(0, alike - _HEAD_WORDS)


def _digest(media: Media) -> bytes:
    found = hashlib.blake2b(digest_size=4 * _HEAD_WORDS)
    for name, tensor in sorted(media.tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(
            tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    return found.digest()
