"""Packed attention: every back end gives what the masked formula gives, or says why not."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.video.encoders.attention import (
    AttentionBackend,
    SequenceLayout,
    choose_backend,
    packed_attention,
)
from mmreason.video.types import VideoError

HERE: tuple[AttentionBackend | None, ...] = (None, "batch", "loop", "masked")
"""Back ends that compute gradients on this machine; None: the one that is chosen."""
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Query, key and value."""
HEADS, KV_HEADS, HEAD_DIM, VALUE_DIM = 4, 2, 8, 6


def bounds_of(lengths: list[int], dtype: torch.dtype = torch.int32) -> torch.Tensor:
    return torch.tensor([0, *itertools.accumulate(lengths)], dtype=dtype)


def make_inputs(
    tokens: int, *, dtype: torch.dtype = torch.float64, seed: int = 0, grad: bool = False
) -> Inputs:
    generator = torch.Generator().manual_seed(seed)

    def draw(heads: int, dim: int) -> torch.Tensor:
        drawn = torch.randn(tokens, heads, dim, generator=generator, dtype=dtype)
        return drawn.requires_grad_(grad)

    return draw(HEADS, HEAD_DIM), draw(KV_HEADS, HEAD_DIM), draw(KV_HEADS, VALUE_DIM)


def by_formula(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: list[int], scale: float
) -> torch.Tensor:
    """softmax(Q K^T scale) V of each sequence and head, in plain loops."""
    outputs = []
    start = 0
    for length in lengths:
        rows = slice(start, start + length)
        start += length
        for head in range(query.shape[1]):
            shared = head * key.shape[1] // query.shape[1]
            scores = query[rows, head] @ key[rows, shared].T * scale
            outputs.append(scores.softmax(-1) @ value[rows, shared])
    if not outputs:
        return query.new_zeros(0, query.shape[1], value.shape[2])
    merged = [outputs[i : i + query.shape[1]] for i in range(0, len(outputs), query.shape[1])]
    return torch.cat([torch.stack(heads, dim=1) for heads in merged])


@pytest.mark.parametrize("backend", HERE)
@given(lengths=st.lists(st.integers(0, 9), max_size=6), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_every_back_end_gives_the_formula_for_ragged_lengths(
    backend: AttentionBackend | None, lengths: list[int], seed: int
) -> None:
    inputs = make_inputs(sum(lengths), seed=seed)
    mixed = packed_attention(*inputs, bounds_of(lengths), scale=0.3, backend=backend)
    torch.testing.assert_close(mixed, by_formula(*inputs, lengths, 0.3))


@pytest.mark.full
def test_flex_gives_the_formula_for_ragged_lengths() -> None:
    inputs, lengths = make_inputs(12, grad=True), [4, 0, 7, 1]
    with torch.no_grad():
        mixed = packed_attention(*inputs, bounds_of(lengths), scale=0.3, backend="flex")
    torch.testing.assert_close(mixed, by_formula(*inputs, lengths, 0.3))


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("lengths", [[3, 3], [3, 0, 1, 1]])
def test_gradients_are_those_of_numerical_differentiation(
    backend: AttentionBackend | None, lengths: list[int]
) -> None:
    inputs = make_inputs(sum(lengths), grad=True)
    assert torch.autograd.gradcheck(
        lambda q, k, v: packed_attention(q, k, v, bounds_of(lengths), backend=backend),
        inputs,
        fast_mode=True,
    )


@pytest.mark.parametrize("backend", HERE)
def test_a_sequence_does_not_depend_on_its_neighbours(backend: AttentionBackend | None) -> None:
    first, second = make_inputs(12, seed=1), make_inputs(12, seed=2)
    for a, b in zip(first, second, strict=True):
        b[4:9] = a[4:9]
    bounds = bounds_of([4, 5, 3], torch.int64)
    mixed, mixed_beside_others = (
        packed_attention(*inputs, bounds, backend=backend) for inputs in (first, second)
    )
    torch.testing.assert_close(mixed[4:9], mixed_beside_others[4:9])
    assert not torch.allclose(mixed[:4], mixed_beside_others[:4])


@pytest.mark.parametrize("lengths", [[64] * 6, [64, 64, 32, 64, 64, 32, 7], [5, 9, 30]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batches_equal_the_loop_bit_for_bit(lengths: list[int], dtype: torch.dtype) -> None:
    inputs = make_inputs(sum(lengths), dtype=dtype)
    batched, looped = (
        packed_attention(*inputs, bounds_of(lengths), backend=backend)
        for backend in ("batch", "loop")
    )
    assert torch.equal(batched, looped)


def test_no_tokens_and_no_sequences_give_an_empty_result_with_gradients() -> None:
    for bounds in ([0], [0, 0], [0, 0, 0]):
        inputs = make_inputs(0, grad=True)
        mixed = packed_attention(*inputs, torch.tensor(bounds))
        assert mixed.shape == (0, HEADS, VALUE_DIM)
        mixed.sum().backward()


def _with(index: int, tensor: Any) -> Any:
    """Inputs of seven tokens, one of them wrong."""
    return [tensor if i == index else x for i, x in enumerate(make_inputs(7, dtype=torch.float32))]


@pytest.mark.parametrize(
    ("inputs", "bounds", "message"),
    [
        (_with(0, torch.zeros(1, 7, 4, 8)), [0, 7], r"rank 3.*query \(1, 7, 4, 8\)"),
        (_with(1, torch.zeros(6, 2, 8)), [0, 7], r"as many tokens.*key \(6, 2, 8\)"),
        (_with(1, torch.zeros(7, 1, 8)), [0, 7], r"as many heads.*key \(7, 1, 8\), value \(7, 2"),
        (_with(1, torch.zeros(7, 2, 9)), [0, 7], r"a head_dim of key as of query.*\(7, 2, 9\)"),
        (_with(0, torch.zeros(7, 3, 8)), [0, 7], r"multiple of those.*query \(7, 3, 8\)"),
        (_with(0, torch.zeros(7, 0, 8)), [0, 7], r"at least one head.*query \(7, 0, 8\)"),
        (_with(2, torch.zeros(7, 2, 6).half()), [0, 7], r"one floating.*value torch.float16"),
        ([torch.zeros(7, 2, 8).int()] * 3, [0, 7], r"one floating.*query torch.int32"),
        (_with(0, torch.zeros(7, 4, 8, device="meta")), [0, 7], r"one device.*query on meta"),
        (_with(0, [1.0]), [0, 7], r"query is a tensor, got list"),
        (None, [1, 7], r"from 0 to the number of tokens, 7, got 1 to 7"),
        (None, [0, 6], r"from 0 to the number of tokens, 7, got 0 to 6"),
        (None, [0, 5, 3, 7], r"never falls, got 5 and then 3 at 2"),
        (None, [0.0, 7.0], r"int32 or int64, got torch.float32"),
        (None, [], r"\(sequences \+ 1,\).*got the shape \(0,\)"),
        (None, [[0, 7]], r"got the shape \(1, 2\)"),
        (None, (0, 7), r"cu_seqlens is a tensor.*got tuple"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_shape(inputs: Any, bounds: Any, message: str) -> None:
    query, key, value = make_inputs(7) if inputs is None else inputs
    given_bounds: Any = bounds if isinstance(bounds, tuple) else torch.tensor(bounds)
    with pytest.raises(VideoError, match=message):
        packed_attention(query, key, value, given_bounds)


def test_a_longest_sequence_that_is_not_is_refused() -> None:
    with pytest.raises(VideoError, match="max_seqlen is 2, but a sequence has 4 tokens"):
        packed_attention(*make_inputs(7), bounds_of([4, 3]), max_seqlen=2)
    with pytest.raises(VideoError, match="longest sequence of 7 tokens, got 8"):
        packed_attention(*make_inputs(7), bounds_of([4, 3]), max_seqlen=8)


def test_nan_is_refused_on_request_and_stays_in_its_sequence_otherwise() -> None:
    inputs = make_inputs(7)
    inputs[1][5, 1, 3] = float("nan")
    with pytest.raises(VideoError, match=r"key \(7, 2, 8\) has 1 numbers .* token 5, head 1, col"):
        packed_attention(*inputs, bounds_of([4, 3]), refuse_nan=True)
    mixed = packed_attention(*inputs, bounds_of([4, 3]))
    assert mixed[:4].isfinite().all() and mixed[4:].isnan().any()


def test_the_choice_on_a_cpu_is_a_printable_value() -> None:
    layout = SequenceLayout(count=3, longest=4, lengths=(4, 4, 4))
    choice = choose_backend("cpu", torch.bfloat16, 64, layout=layout)
    assert str(choice) == (
        "batch (cpu: 3 sequences in 1 batch; kernels for unequal lengths need CUDA)"
    )


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("flash2", r"flash2 needs CUDA.*pip install \"\.\[flash\]\""),
        ("flash3", r"flash3 needs CUDA.*build flash-attn 3"),
        ("flash4", r"flash4 needs CUDA.*pip install flash-attn-4"),
        ("varlen", r"varlen needs CUDA.*install -U torch torchvision"),
        ("triton", r"no back end 'triton'; there are flash4, flash3"),
    ],
)
def test_a_forced_back_end_that_is_not_there_says_what_to_install(
    backend: AttentionBackend, message: str
) -> None:
    with pytest.raises(VideoError, match=message):
        packed_attention(*make_inputs(7), bounds_of([7]), backend=backend)


def test_flex_on_a_cpu_refuses_gradients() -> None:
    with pytest.raises(VideoError, match="flex gives no gradients on a CPU"):
        packed_attention(*make_inputs(7, grad=True), bounds_of([7]), backend="flex")
