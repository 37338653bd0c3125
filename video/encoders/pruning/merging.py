"""Pruners that put the mean of alike tokens in their place.

- FrameFusion's first stage (ICCV 2025): tokens of the same place in neighbouring frames. Its
  threshold of similarity is replaced by a budget: the most alike pairs are joined until it is met.
- Token merging within a frame (ToMe, Bolya et al., ICLR 2023): each token of one half goes to the
  nearest of the other half, the nearest pairs first; in rounds, since a round halves at most.

Who goes where is chosen without a gradient; means pass it on to all that went into them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmreason.video.encoders.pruning.selecting import unravel
from mmreason.video.encoders.pruning.types import PrunedTokens, check_tokens, count_kept

if TYPE_CHECKING:
    from torch import Tensor


def merge_framefusion(tokens: Tensor, keep: float) -> PrunedTokens:
    """Features (T, H, W, D) with runs of the same place joined where neighbouring frames are most
    alike by cosine: max(H * W, floor(T * H * W * keep)) tokens, each at the first of its run.

    VideoError for another shape, features that are not finite, and a share outside (0, 1].
    """
    import torch
    from torch.nn.functional import cosine_similarity

    check_tokens(tokens)
    frames, height, width, _ = tokens.shape
    per_frame = height * width
    count = count_kept(frames * per_frame, keep, least=per_frame)
    features = tokens.detach().float()
    cosines = cosine_similarity(features[1:], features[:-1], dim=-1).flatten()
    joined = torch.argsort(cosines, descending=True, stable=True)[: frames * per_frame - count]
    is_joined = torch.zeros(frames * per_frame, dtype=torch.bool, device=tokens.device)
    is_joined[joined + per_frame] = True
    # A token that is joined goes where the same place one frame before went.
    frame = torch.arange(frames, device=tokens.device)[:, None]
    starts = torch.where(is_joined.view(frames, -1), -1, frame)
    start_frame = starts.cummax(dim=0).values
    head = start_frame * per_frame + torch.arange(per_frame, device=tokens.device)
    return _merge(tokens, head.flatten())


def merge_tome(tokens: Tensor, keep: float) -> PrunedTokens:
    """Features (T, H, W, D) with alike tokens of each frame joined: max(T, floor(T * H * W * keep))
    tokens, shared evenly among the frames. A joined token stands at the place of the one that its
    nearest went to.

    VideoError for another shape, features that are not finite, and a share outside (0, 1].
    """
    import torch

    check_tokens(tokens)
    frames, height, width, features = tokens.shape
    per_frame = height * width
    count = count_kept(frames * per_frame, keep, least=frames)
    each, more = divmod(count, frames)
    heads = [
        _merge_frame(tokens[t].detach().float().reshape(per_frame, features), each + (t < more))
        + t * per_frame
        for t in range(frames)
    ]
    return _merge(tokens, torch.cat(heads))


def _merge_frame(features: Tensor, count: int) -> Tensor:
    """int64 (P,): the row that each of the rows (P, D) goes into, so that `count` are left."""
    import torch
    from torch.nn.functional import normalize

    rows = len(features)
    head = torch.arange(rows, device=features.device)
    left = head.clone()
    means, members = features.clone(), torch.ones(rows, device=features.device)
    while len(left) > count:
        # 1. Every second token may go, to the nearest of those that stay.
        going, staying = left[1::2], left[0::2]
        cosines = normalize(means[going], dim=1) @ normalize(means[staying], dim=1).T
        nearest, target = cosines.max(dim=1)
        drop = min(len(left) - count, len(going))
        chosen = torch.argsort(nearest, descending=True, stable=True)[:drop]
        source, into = going[chosen], staying[target[chosen]]
        # 2. Several may go into one: its mean is that of all members.
        sums = (means * members[:, None]).index_add(0, into, means[source] * members[source, None])
        members = members.index_add(0, into, members[source])
        means = sums / members[:, None]
        # 3. What went into the source before goes with it.
        moved = torch.arange(rows, device=features.device)
        moved[source] = into
        head = moved[head]
        is_gone = torch.zeros(rows, dtype=torch.bool, device=features.device)
        is_gone[source] = True
        left = left[~is_gone[left]]
    return head


def _merge(tokens: Tensor, head: Tensor) -> PrunedTokens:
    """Means of the tokens that share a head; `head` (T * H * W,) is the place each goes to."""
    import torch

    frames, height, width, features = tokens.shape
    kept, row = head.unique(return_inverse=True)
    counts = torch.bincount(row, minlength=len(kept))
    # In float32: a sum of many bfloat16 rows would lose most of them.
    sums = torch.zeros(len(kept), features, device=tokens.device, dtype=torch.float32)
    sums = sums.index_add(0, row, tokens.reshape(-1, features).float())
    return PrunedTokens(
        tokens=(sums / counts[:, None]).to(tokens.dtype),
        kept_index=unravel(kept, height, width),
        merged_into=row.view(frames, height, width),
    )
