"""What a batch refuses, and that numbers that are not finite are named with their sample."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mmreason.training.objectives import NonFinite, TokenBatch, require_finite, without_truncated
from mmreason.types import UsageError
from tests.fakes.token_batches import padded, random_batch


def _full() -> TokenBatch:
    batch = random_batch(entropy=True)
    return replace(batch, correction=torch.ones_like(batch.logp.detach()))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("field", ["logp", "old_logp", "advantage", "entropy", "correction"])
def test_not_finite_is_named(field: str, value: float) -> None:
    batch = _full()
    tensor = getattr(batch, field).detach().clone()
    tensor[2, ...] = value
    broken = replace(batch, **{field: tensor})
    with pytest.raises(NonFinite, match=f"{field}.*clip-7/3") as raised:
        require_finite(broken, ["clip-1/0", "clip-1/1", "clip-7/3", "clip-7/4"])
    assert (raised.value.field, raised.value.rows) == (field, ("clip-7/3",))
    with pytest.raises(NonFinite, match="row 2"):
        require_finite(broken)
    hidden = batch.mask.clone()
    hidden[2] = False
    require_finite(replace(broken, mask=hidden))


def test_padding_may_hold_anything() -> None:
    require_finite(_full())
    require_finite(padded(_full(), 9))


def test_many_bad_samples_are_shortened() -> None:
    assert "and 4 more" in str(NonFinite("logp", tuple("abcdefghi")))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("logp", torch.zeros(6), "logp must have shape"),
        ("logp", torch.zeros(4, 6, dtype=torch.bfloat16), "float32 or float64"),
        ("mask", torch.ones(4, 6), "must be bool"),
        ("mask", torch.ones(4, 5, dtype=torch.bool), "mask must have shape"),
        ("old_logp", torch.zeros(4, 1), "old_logp must have shape"),
        ("advantage", torch.zeros(6), "advantage must have shape"),
        ("advantage", torch.zeros(4, 1), "advantage must have shape"),
        ("entropy", torch.zeros(4), "entropy must have shape"),
        ("correction", torch.zeros(4), "correction must have shape"),
    ],
)
def test_wrong_shapes_are_refused(field: str, value: torch.Tensor, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(_full(), **{field: value})


def test_truncated_sequences_can_be_left_out() -> None:
    mask = _full().mask
    kept = without_truncated(mask, torch.tensor([True, False, False, True]))
    assert not kept[0].any() and not kept[3].any() and torch.equal(kept[1:3], mask[1:3])
