"""Attention over sequences of unequal length that lie end to end.

    from mmreason.video.encoders.attention import packed_attention, register_packed_attention
    mixed = packed_attention(query, key, value, cu_seqlens)
    model = AutoModel.from_pretrained(name, attn_implementation=register_packed_attention())

Which back end computes is a value, `AttentionChoice`. What each needs: `docs/attention.md`.
"""

from mmreason.video.encoders.attention.choose import choose_backend
from mmreason.video.encoders.attention.packed import packed_attention
from mmreason.video.encoders.attention.towers import (
    PACKED_ATTENTION,
    PackedTowers,
    find_packed_towers,
    pack_vision_towers,
    register_packed_attention,
)
from mmreason.video.encoders.attention.types import (
    BACKENDS,
    AttentionBackend,
    AttentionChoice,
    SequenceLayout,
)

__all__ = [
    "BACKENDS",
    "PACKED_ATTENTION",
    "AttentionBackend",
    "AttentionChoice",
    "PackedTowers",
    "SequenceLayout",
    "choose_backend",
    "find_packed_towers",
    "pack_vision_towers",
    "packed_attention",
    "register_packed_attention",
]
