"""Pruners that drop tokens which say again what an earlier frame says.

- EVS (efficient video sampling, NVIDIA, arXiv 2510.14624): the tokens that differ most from the
  same place one frame before.
- DyCoke's temporal token merging (CVPR 2025): in groups of four frames, tokens of the second, third
  and fourth that are most like the same place of the frame they are compared with. The code that
  its authors released leaves out odd frames of the last group; here each has its turn.

What is kept is chosen without a gradient; what is kept passes it on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmreason.video.encoders.pruning.types import PrunedTokens, check_tokens, count_kept

if TYPE_CHECKING:
    from torch import Tensor

_GROUP = 4
_COMPARED_WITH = (None, 0, 0, 2)
"""In a group: frame 1 is compared with frame 0, frame 3 with frame 2, and frame 2 with frame 0."""


def prune_evs(tokens: Tensor, keep: float) -> PrunedTokens:
    """Of features (T, H, W, D) the first frame, and those farthest by cosine from the same place
    one frame before: max(H * W, floor(T * H * W * keep)) tokens.

    VideoError for another shape, features that are not finite, and a share outside (0, 1].
    """
    import torch

    check_tokens(tokens)
    frames, height, width, _ = tokens.shape
    per_frame = height * width
    count = count_kept(frames * per_frame, keep, least=per_frame)
    changes = 1 - _cosines(tokens[1:], tokens[:-1]).flatten()
    # Earlier places first among equals, on every device.
    order = torch.argsort(changes, descending=True, stable=True)[: count - per_frame] + per_frame
    first = torch.arange(per_frame, device=tokens.device)
    return _select(tokens, torch.cat([first, order.sort().values]))


def prune_dycoke(tokens: Tensor, keep: float) -> PrunedTokens:
    """Of features (T, H, W, D) all but those most like what they are compared with:
    max(ceil(T / 4) * H * W, floor(T * H * W * keep)) tokens. What is dropped is shared evenly among
    the frames that are compared.

    VideoError for another shape, features that are not finite, and a share outside (0, 1].
    """
    import torch

    check_tokens(tokens)
    frames, height, width, _ = tokens.shape
    per_frame = height * width
    groups = -(-frames // _GROUP)
    count = count_kept(frames * per_frame, keep, least=groups * per_frame)
    compared = [t for t in range(frames) if t % _GROUP]
    is_kept = torch.ones(frames, per_frame, dtype=torch.bool, device=tokens.device)
    if compared:
        dropped = frames * per_frame - count
        each, more = divmod(dropped, len(compared))
        for number, t in enumerate(compared):
            earlier = _COMPARED_WITH[t % _GROUP]
            assert earlier is not None
            cosines = _cosines(tokens[t], tokens[t - t % _GROUP + earlier]).flatten()
            drop = each + (number < more)
            is_kept[t, torch.argsort(cosines, descending=True, stable=True)[:drop]] = False
    return _select(tokens, is_kept.flatten().nonzero()[:, 0])


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    """(...), in float32: of two rows without length 0."""
    from torch.nn.functional import cosine_similarity

    return cosine_similarity(first.detach().float(), second.detach().float(), dim=-1)


def _select(tokens: Tensor, flat: Tensor) -> PrunedTokens:
    """The tokens at places `flat` (K,), ascending."""
    import torch

    frames, height, width, features = tokens.shape
    merged_into = torch.full((frames * height * width,), -1, device=tokens.device)
    merged_into[flat] = torch.arange(len(flat), device=tokens.device)
    return PrunedTokens(
        tokens=tokens.reshape(-1, features)[flat],
        kept_index=unravel(flat, height, width),
        merged_into=merged_into.view(frames, height, width),
    )


def unravel(flat: Tensor, height: int, width: int) -> Tensor:
    """int64 (K, 3): frame, row and column of places (K,) in a clip laid out flat."""
    import torch

    return torch.stack([flat // (height * width), flat // width % height, flat % width], dim=1)
