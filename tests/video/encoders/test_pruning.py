"""Pruners: budgets, places, gradients, and equality with plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.video import VideoError
from mmreason.video.encoders.pruning import (
    PRUNERS,
    PruneSettings,
    estimate_flops_share,
    merge_framefusion,
    merge_tome,
    prune,
    prune_dycoke,
    prune_evs,
)
from tests.video.encoders import pruning_reference as reference

METHODS = list(PRUNERS)
SIZES = st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 4))
SHARES = st.sampled_from([0.05, 0.25, 0.3, 0.5, 0.75, 1.0])


def make_clip(frames: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, height, width, 6, generator=generator)


def least_of(method: str, frames: int, per_frame: int) -> int:
    groups = math.ceil(frames / 4)
    return {"dycoke": groups * per_frame, "tome": frames}.get(method, per_frame)


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=25)
@given(size=SIZES, keep=SHARES, seed=st.integers(0, 99))
def test_the_budget_is_met_exactly_and_places_are_kept(method, size, keep, seed):
    tokens = make_clip(size[0], size[1], size[2], seed)
    total, per_frame = math.prod(size), size[1] * size[2]
    pruned = PRUNERS[method](tokens, keep)
    count = max(math.floor(total * keep + 1e-9), least_of(method, size[0], per_frame))
    assert pruned.tokens.shape == (count, 6)
    places = pruned.flat_index
    assert (places.diff() > 0).all()
    # Each kept token stands at a place that went into it.
    assert torch.equal(pruned.merged_into.flatten()[places], torch.arange(count))
    assert torch.equal(torch.tensor([list(size)]) > pruned.kept_index, torch.ones(count, 3).bool())


@pytest.mark.parametrize(
    ("prune_clip", "kept"),
    [
        (prune_evs, reference.kept_by_evs),
        (prune_dycoke, reference.kept_by_dycoke),
    ],
)
@settings(deadline=None, max_examples=25)
@given(size=SIZES, keep=SHARES, seed=st.integers(0, 99))
def test_what_is_selected_is_what_plain_loops_select(prune_clip, kept, size, keep, seed):
    tokens = make_clip(size[0], size[1], size[2], seed)
    pruned = prune_clip(tokens, keep)
    flat = tokens.reshape(size[0], -1, 6)
    assert pruned.flat_index.tolist() == kept(flat.numpy(), len(pruned.tokens))
    assert torch.equal(pruned.tokens, flat.reshape(-1, 6)[pruned.flat_index])


@settings(deadline=None, max_examples=25)
@given(size=SIZES, keep=SHARES, seed=st.integers(0, 99))
def test_merged_tokens_are_the_means_of_the_runs_that_plain_loops_find(size, keep, seed):
    tokens = make_clip(size[0], size[1], size[2], seed)
    flat = tokens.reshape(size[0], -1, 6).numpy()
    pruned = merge_framefusion(tokens, keep)
    runs = reference.runs_of_framefusion(flat, len(pruned.tokens))
    assert pruned.flat_index.tolist() == sorted(runs)
    means = [flat.reshape(-1, 6)[runs[head]].mean(axis=0) for head in sorted(runs)]
    np.testing.assert_allclose(pruned.tokens.numpy(), np.stack(means), atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(places=st.integers(1, 12), count=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_frame_is_merged_as_plain_loops_merge_it(places, count, seed):
    count = min(count, places)
    tokens = make_clip(1, 1, places, seed)
    pruned = merge_tome(tokens, count / places)
    groups = reference.groups_of_tome(tokens[0, 0].numpy(), count)
    assert pruned.flat_index.tolist() == sorted(groups)
    means = [tokens[0, 0].numpy()[groups[head]].mean(axis=0) for head in sorted(groups)]
    np.testing.assert_allclose(pruned.tokens.numpy(), np.stack(means), atol=1e-6)


@pytest.mark.parametrize("method", ["evs", "framefusion"])
def test_of_a_clip_that_stands_still_the_first_frame_is_enough(method):
    tokens = make_clip(1, 3, 4).expand(8, -1, -1, -1)
    pruned = PRUNERS[method](tokens, 1 / 8)
    assert pruned.kept_index[:, 0].tolist() == [0] * 12
    torch.testing.assert_close(pruned.tokens, tokens[0].reshape(-1, 6))


@pytest.mark.parametrize("method", ["evs", "dycoke"])
def test_a_square_that_moves_is_always_kept(method):
    ground = make_clip(1, 4, 4).expand(8, -1, -1, -1).clone()
    square = torch.full((6,), 5.0)
    for t in range(8):
        ground[t, t % 4, (t * 3) % 4] = square
    pruned = PRUNERS[method](ground, 0.5)
    kept = {tuple(place) for place in pruned.kept_index.tolist()}
    assert kept >= {(t, t % 4, (t * 3) % 4) for t in range(8)}


@pytest.mark.parametrize("method", METHODS)
def test_gradients_reach_what_went_into_the_kept_tokens_and_nothing_else(method):
    tokens = make_clip(5, 2, 3).requires_grad_()
    pruned = PRUNERS[method](tokens, 0.4)
    pruned.tokens.sum().backward()
    assert tokens.grad is not None
    reached = tokens.grad.abs().sum(dim=-1) > 0
    assert torch.equal(reached, pruned.merged_into >= 0)
    # Means: each kept token hands out one in all.
    torch.testing.assert_close(tokens.grad[..., 0].sum(), torch.tensor(float(len(pruned.tokens))))


@pytest.mark.parametrize("method", METHODS)
def test_bfloat16_features_stay_what_they_are(method):
    pruned = PRUNERS[method](make_clip(4, 2, 2).bfloat16(), 0.5)
    assert pruned.tokens.dtype == torch.bfloat16


@pytest.mark.parametrize("method", METHODS)
def test_all_are_kept_where_all_may_be(method):
    tokens = make_clip(5, 2, 2)
    pruned = prune(tokens, PruneSettings(method, 1.0))
    torch.testing.assert_close(pruned.tokens, tokens.reshape(-1, 6), rtol=0, atol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (torch.ones(4, 4, 8), r"\(frames, rows, columns, width\), each 1 or more, got \(4, 4, 8\)"),
        (torch.ones(0, 2, 2, 8), r"each 1 or more, got \(0, 2, 2, 8\)"),
        (torch.ones(2, 2, 2, 8, dtype=torch.int64), "floating point, got torch.int64"),
        (torch.full((2, 2, 2, 8), math.nan), r"\(2, 2, 2, 8\) hold nan or infinity"),
    ],
)
def test_what_is_no_clip_of_features_is_refused_by_its_shape(method, tokens, told):
    with pytest.raises(VideoError, match=told):
        PRUNERS[method](tokens, 0.5)


@pytest.mark.parametrize(
    "text",
    [
        "evs",
        "evs:",
        "evs:half",
        "evs:nan",
        ":0.5",
        "fastv:0.5",
        "evs:0",
        "evs:1.5",
        "evs:-1",
        "evs:inf",
    ],
)
def test_settings_that_are_none_are_refused(text):
    with pytest.raises(VideoError, match="prune"):
        PruneSettings.parse(text)


def test_flops_follow_the_closed_form():
    whole = {"layers": 4, "whole_layers": 4, "hidden": 8, "intermediate": 16}
    assert estimate_flops_share(10, 0.5, **whole) == 1.0
    none_whole = estimate_flops_share(10, 0.5, **(whole | {"whole_layers": 0}))
    assert none_whole == (4 * 5 * 64 + 2 * 25 * 8 + 2 * 5 * 128) / (
        4 * 10 * 64 + 2 * 100 * 8 + 2 * 10 * 128
    )
    with pytest.raises(VideoError, match=r"whole_layers in 0\.\.layers"):
        estimate_flops_share(10, 0.5, **(whole | {"whole_layers": 5}))
