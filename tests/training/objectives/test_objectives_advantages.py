"""Advantages, groups, dynamic sampling, and rewards shaped by length or by the order of frames."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmreason.training.objectives import (
    gdpo_advantage,
    group_advantage,
    keep_groups,
    leave_one_out_advantage,
    overlong_penalty,
    position_weights,
    temporal_contrast_bonus,
    zero_variance_share,
)
from mmreason.types import UsageError
from tests.fakes.token_batches import F64, close

NAN = float("nan")
GROUP = torch.tensor([0, 0, 0, 3, 3, 3, 3])
REWARD = torch.tensor([1.0, 0.0, 0.4, 0.1, 0.9, 0.9, 0.3], dtype=F64)
ALL = (
    group_advantage,
    partial(group_advantage, scale="batch"),
    partial(group_advantage, scale="none"),
    leave_one_out_advantage,
)


def _numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=F64)


def test_identity_34_groups_sum_to_zero_and_units_do_not_matter() -> None:
    for advantage in ALL:
        found = advantage(REWARD, GROUP)
        close(found[:3].sum(), 0.0)
        close(found[3:].sum(), 0.0)
    plain = group_advantage(REWARD, GROUP, epsilon=0.0)
    close(group_advantage(7 * REWARD - 3, GROUP, epsilon=0.0), plain)
    first = REWARD[:3]
    close(plain[:3], (first - first.mean()) / first.std())
    batch = group_advantage(REWARD, GROUP, scale="batch", epsilon=0.0)
    close(batch[:3], (first - first.mean()) / REWARD.std())
    close(leave_one_out_advantage(REWARD, GROUP)[0], 1.0 - 0.2)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_identity_34_equal_rewards_and_groups_of_one_are_exactly_zero(dtype: torch.dtype) -> None:
    reward = torch.tensor([0.1, 0.1, 0.1, 0.7], dtype=dtype)
    group = torch.tensor([5, 5, 5, 2])
    for advantage in ALL:
        assert not advantage(reward, group).any()
        assert advantage(reward[:0], group[:0]).shape == (0,)
    assert zero_variance_share(reward, group) == 1.0
    assert zero_variance_share(REWARD.to(dtype), GROUP) == 0.0


@given(st.permutations(range(7)))
def test_identity_35_order_does_not_matter(order: list[int]) -> None:
    rows = torch.tensor(order)
    for advantage in ALL:
        close(advantage(REWARD[rows], GROUP[rows]), advantage(REWARD, GROUP)[rows])


def test_identity_35_missing_rewards_poison_nothing() -> None:
    reward = torch.cat([REWARD, _numbers(NAN, NAN, NAN)])
    group = torch.cat([GROUP, torch.tensor([0, 3, 8])])
    for advantage in ALL:
        found = advantage(reward, group)
        close(found[:7], advantage(REWARD, GROUP))
        assert not found[7:].any()
    assert zero_variance_share(reward, group) == 0.0


def test_identity_36_gdpo_of_one_component_is_the_group_advantage() -> None:
    close(gdpo_advantage(REWARD.unsqueeze(1), GROUP), group_advantage(REWARD, GROUP))


def test_gdpo_gives_components_of_any_size_the_same_weight() -> None:
    small = 1e-3 * REWARD.flip(0)
    components = torch.stack([REWARD, small], dim=1)
    each = [group_advantage(c, GROUP, epsilon=0.0) for c in (REWARD, small)]
    close(gdpo_advantage(components, GROUP, epsilon=0.0), each[0] + each[1])
    weighted = gdpo_advantage(components, GROUP, epsilon=0.0, weights=_numbers(1.0, 0.5))
    close(weighted, each[0] + each[1] / 2)
    scaled = gdpo_advantage(components, GROUP, batch_scale=True, epsilon=0.0)
    close(scaled.std(), 1.0)
    components[0, 1] = NAN
    components[1] = NAN
    found = gdpo_advantage(components, GROUP, batch_scale=True)
    assert torch.isfinite(found).all() and found[1] == 0.0


def test_bad_groups_and_rewards_are_named() -> None:
    with pytest.raises(UsageError, match="row 1"):
        group_advantage(_numbers(1.0, float("inf")), torch.tensor([0, 0]))
    with pytest.raises(UsageError, match="floating point"):
        group_advantage(REWARD > 0, GROUP)
    with pytest.raises(UsageError, match="integer"):
        group_advantage(REWARD, GROUP.double())
    with pytest.raises(UsageError, match=">= 0"):
        group_advantage(REWARD, GROUP - 1)
    with pytest.raises(UsageError, match="shape"):
        group_advantage(REWARD, GROUP[:2])
    with pytest.raises(UsageError, match="known: group"):
        group_advantage(REWARD, GROUP, scale="std")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="components"):
        gdpo_advantage(REWARD, GROUP)


def test_dynamic_sampling_keeps_solved_groups_for_dsdr() -> None:
    correct = _numbers(1, 1, 0, 1, 0, 0, NAN, NAN)
    group = torch.tensor([0, 0, 1, 1, 2, 2, 2, 3])
    found = keep_groups(correct, group)
    assert found.keep.tolist() == [False, False, True, True, False, False, False, False]
    assert (found.mixed, found.solved, found.failed) == (1, 1, 2)
    kept = keep_groups(correct, group, diversity_weight=1e-3).keep
    assert kept.tolist() == [True] * 4 + [False] * 4
    with pytest.raises(UsageError, match="row 0"):
        keep_groups(_numbers(0.5), torch.tensor([0]))


def test_identity_41_shuffled_frames_gate_the_bonus() -> None:
    group = torch.tensor([0, 0, 1, 1, 2, 2])
    accuracy = _numbers(1, 0, 1, 0, 0, 0)
    shuffled = _numbers(0.625, 0.7, 0.0)
    bonus = temporal_contrast_bonus(accuracy, group, shuffled, torch.tensor([0, 1, 2]))
    assert bonus.tolist() == [0.3, 0.0, 0.0, 0.0, 0.0, 0.0]  # .5 >= .8 * .625, .5 < .8 * .7
    none = temporal_contrast_bonus(
        accuracy, group, shuffled[:0], torch.tensor([], dtype=torch.long)
    )
    assert not none.any()
    off = temporal_contrast_bonus(accuracy, group, shuffled, torch.tensor([0, 1, 2]), bonus=0.0)
    assert torch.equal(accuracy + off, accuracy)
    missing = temporal_contrast_bonus(
        _numbers(1, NAN), group[:2], _numbers(NAN, 0.2), torch.tensor([0, 0])
    )
    assert missing.tolist() == [0.3, 0.0]


def test_identity_42_overlong_penalty_is_continuous() -> None:
    length = torch.tensor([0, 60, 80, 90, 100, 500])
    penalty = overlong_penalty(length, max_length=100, buffer=20)
    close(penalty, _numbers(0, 0, 0, -0.5, -1, -1))
    knots = _numbers(80 - 1e-9, 80 + 1e-9, 100 - 1e-9, 100 + 1e-9)
    close(overlong_penalty(knots, max_length=100, buffer=20), _numbers(0, 0, -1, -1), 1e-9)
    with pytest.raises(UsageError, match="buffer"):
        overlong_penalty(length, max_length=10, buffer=20)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_identity_43_position_weights(dtype: torch.dtype) -> None:
    g = torch.Generator().manual_seed(7)
    log_p = torch.randn(3, 6, 9, generator=g, dtype=dtype).log_softmax(-1)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]]).bool()
    weights = position_weights(log_p, mask)
    assert (weights.min(), weights.max()) == (1.0, pytest.approx(1.4))
    assert weights[5] == 1.0
    assert torch.equal(position_weights(log_p, mask, alpha=1.0), torch.ones(6, dtype=dtype))
    same = log_p[:1].expand(3, 6, 9)
    full = torch.ones_like(mask)
    assert torch.equal(position_weights(same, full), torch.ones(6, dtype=dtype))
    assert torch.equal(position_weights(log_p, ~full), torch.ones(6, dtype=dtype))
    close(position_weights(log_p.roll(1, 0), mask.roll(1, 0)), weights, 1e-5)
    # A masked answer counts as uniform, whatever was computed there.
    noise = torch.where(mask.unsqueeze(2), log_p, torch.nan)
    assert torch.equal(position_weights(noise, mask), weights)
    with pytest.raises(UsageError, match="alpha"):
        position_weights(log_p, mask, alpha=0.5)
    with pytest.raises(UsageError, match="vocabulary"):
        position_weights(log_p, mask[:2])


def test_position_weights_are_the_published_formula() -> None:
    g = torch.Generator().manual_seed(8)
    log_p = torch.randn(4, 3, 5, generator=g, dtype=F64).log_softmax(-1)
    spread = []
    for t in range(3):
        mean = log_p[:, t].mean(0)
        each = [float(((mean - p).exp() - (mean - p) - 1).sum()) for p in log_p[:, t]]
        spread.append(sum(each) / 4)
    low, high = min(spread), max(spread)
    expected = _numbers(*(1 + 0.4 * (s - low) / (high - low) for s in spread))
    close(position_weights(log_p, torch.ones(4, 3, dtype=torch.bool)), expected)
