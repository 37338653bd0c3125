"""Prefix cache: keys and values of token sequences that the model has read.

A new prompt is looked up by the longest beginning that it has in common with any cached sequence:
the turns of an episode go on from each other, rollouts of one question begin alike, and so do
questions under one system prompt. Valid only while the weights stay as they are, which whoever
opens the cache promises (`LocalSampler.cache_prefixes`). Reading is in `prefill.py`.
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

_DIGEST_WORDS = 4
"""32-bit words of a key before its tokens: the digest of the frames."""
_WORD = np.dtype(">u4")
"""Most significant byte first, so that keys sort as their tokens do."""


@dataclass(frozen=True, slots=True, eq=False)
class CachedPrefix:
    """Keys and values of one sequence that the model has read.

    Example: a prompt of 12 tokens in a model of 2 layers with 1 key head of width 16 has `states`
    of shape (2, 2, 1, 12, 16) and `length` 12.
    """

    states: Tensor
    """(layers, 2, heads, tokens, head width): keys, then values."""
    position_shift: int = 0
    """Token i after the last frame is at position i + position_shift (models that count positions
    in space and time)."""

    @property
    def length(self) -> int:
        """Tokens."""
        return self.states.shape[3]


class PrefixCache:
    """Cached prefixes by what was read, at most `most_bytes`; the least recently used go first."""

    def __init__(self, most_bytes: int):
        self._most_bytes = most_bytes
        self._prefixes: OrderedDict[bytes, CachedPrefix] = OrderedDict()
        self._sorted_keys: list[bytes] = []  # none is the beginning of another
        self._digests: dict[int, tuple[Media, bytes]] = {}
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._sorted_keys)

    def make_key(self, prompt: Prompt, completion_ids: tuple[int, ...] = ()) -> bytes:
        """The key of a prompt and what was written after it: digest of the frames, then tokens."""
        tokens = np.array((*prompt.token_ids, *completion_ids), dtype=_WORD)
        return self._digest(prompt.media) + tokens.tobytes()

    def find_longest(self, key: bytes) -> tuple[CachedPrefix | None, int]:
        """The prefix that begins like `key` for longest, and for how many tokens it does."""
        index = bisect_left(self._sorted_keys, key)
        best_key, best_tokens = None, 0
        # Sorted, the key with the longest common beginning stands right before or right after.
        for neighbour in self._sorted_keys[max(0, index - 1) : index + 1]:
            if (tokens := count_common_tokens(neighbour, key)) > best_tokens:
                best_key, best_tokens = neighbour, tokens
        if best_key is None:
            return None, 0
        self._prefixes.move_to_end(best_key)
        return self._prefixes[best_key], best_tokens

    def put(self, key: bytes, prefix: CachedPrefix) -> None:
        """Cache a prefix in memory of its own. A shorter one that it goes on from is replaced."""
        index = bisect_left(self._sorted_keys, key)
        # 1) A cached sequence goes on from this one: nothing is new, but it was used.
        if index < len(self._sorted_keys) and self._sorted_keys[index].startswith(key):
            self._prefixes.move_to_end(self._sorted_keys[index])
            return
        # 2) This one goes on from a cached sequence, which it holds already.
        if index and key.startswith(self._sorted_keys[index - 1]):
            self._evict(index - 1)
            index -= 1
        self._sorted_keys.insert(index, key)
        self._prefixes[key] = prefix
        self.used_bytes += prefix.states.nbytes
        # 3) Make room, oldest first; a prefix larger than the whole budget goes as well.
        while self.used_bytes > self._most_bytes:
            self._evict(bisect_left(self._sorted_keys, next(iter(self._prefixes))))

    def clear(self) -> None:
        """Forget everything."""
        self._prefixes.clear()
        self._sorted_keys.clear()
        self._digests.clear()
        self.used_bytes = 0

    def _evict(self, index: int) -> None:
        self.used_bytes -= self._prefixes.pop(self._sorted_keys.pop(index)).states.nbytes

    def _digest(self, media: Media | None) -> bytes:
        if media is None:
            return bytes(_WORD.itemsize * _DIGEST_WORDS)
        if id(media) not in self._digests:  # the object is held, its id cannot come again
            self._digests[id(media)] = (media, _digest_media(media))
        return self._digests[id(media)][1]


def count_common_tokens(a: bytes, b: bytes) -> int:
    """Tokens that two keys begin with alike; 0 where they have other frames."""
    count = min(len(a), len(b)) // _WORD.itemsize
    differ = np.frombuffer(a, _WORD, count) != np.frombuffer(b, _WORD, count)
    common = int(differ.argmax()) if differ.any() else count
    return max(0, common - _DIGEST_WORDS)


def _digest_media(media: Media) -> bytes:
    digest = hashlib.blake2b(digest_size=_WORD.itemsize * _DIGEST_WORDS)
    for name, tensor in sorted(media.tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(raw.numpy().tobytes())
    return digest.digest()
