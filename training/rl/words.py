"""Embeddings of texts by their words, so that diversity can be measured without another model.

Counts of words and of pairs of neighbours, spread over a fixed width by a stable hash. It sees
other words, not other meanings: give `Dsdr.embed` a real sentence embedder where one is at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from zlib import crc32

import torch
from torch import Tensor

WIDTH = 512


def embed_words(texts: Sequence[str]) -> Tensor:
    """(B, 512) float64; a text without words has one entry of its own kind."""
    table = torch.zeros((len(texts), WIDTH), dtype=torch.float64)
    for row, text in enumerate(texts):
        words = text.lower().split() or [""]
        for item in (*words, *(" ".join(pair) for pair in pairwise(words))):
            table[row, crc32(item.encode("utf-8", "surrogatepass")) % WIDTH] += 1
    return table
