"""Kernels for CUDA: which is taken on which card, how each is called, and what hides one.

Their functions are fakes here; the tests marked `gpu` call the real ones.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mmreason.video.encoders.attention import (
    BACKENDS,
    AttentionBackend,
    backends,
    choose_backend,
    kernels,
    packed_attention,
)
from mmreason.video.encoders.attention.checks import read_layout
from mmreason.video.types import VideoError

CUDA = torch.device("cuda")
BOUNDS = torch.tensor([0, 3, 3, 8])


def fake_card(monkeypatch: pytest.MonkeyPatch, generation: int, *installed: str) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (generation, 0))
    monkeypatch.setattr(
        kernels, "find_kernel", lambda name: len if name in installed else f"{name} not installed"
    )


@pytest.mark.parametrize(
    ("generation", "installed", "dtype", "head_dim", "backend"),
    [
        (9, ("flash3", "flash4", "varlen", "flash2"), torch.bfloat16, 64, "flash3"),
        (10, ("flash3", "flash4", "varlen", "flash2"), torch.bfloat16, 64, "flash4"),
        # Heads of 80 and 72 are those of Qwen-VL's towers.
        (10, ("flash3", "flash4", "varlen", "flash2"), torch.float16, 80, "varlen"),
        (8, ("flash3", "flash4", "varlen", "flash2"), torch.bfloat16, 72, "varlen"),
        (8, ("flash2",), torch.bfloat16, 128, "flash2"),
        (7, ("varlen", "flash2"), torch.float16, 64, "batch"),
        (9, (), torch.bfloat16, 64, "batch"),
        (9, ("flash3", "varlen"), torch.float32, 64, "batch"),
        (9, ("flash3", "varlen"), torch.bfloat16, 12, "batch"),
        (9, ("flash3", "varlen"), torch.bfloat16, 264, "batch"),
    ],
)
def test_the_newest_kernel_that_can_is_taken(
    monkeypatch: pytest.MonkeyPatch,
    generation: int,
    installed: tuple[str, ...],
    dtype: torch.dtype,
    head_dim: int,
    backend: AttentionBackend,
) -> None:
    fake_card(monkeypatch, generation, *installed)
    choice = choose_backend(CUDA, dtype, head_dim)
    assert choice.backend == backend
    passed_over = kernels.FLASH_BACKENDS.index(backend) if backend in kernels.FLASH_BACKENDS else 4
    assert len(choice.missing) == passed_over


def test_single_precision_is_never_computed_by_a_kernel_of_halves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_card(monkeypatch, 9, *kernels.FLASH_BACKENDS)
    for backend in kernels.FLASH_BACKENDS:
        with pytest.raises(VideoError, match="float16 and bfloat16, not float32"):
            choose_backend(CUDA, torch.float32, 64, backend=backend)


@pytest.mark.parametrize("backend", kernels.FLASH_BACKENDS)
def test_a_kernel_gets_bounds_of_32_bits_and_the_longest_length(
    monkeypatch: pytest.MonkeyPatch, backend: kernels.FlashBackend
) -> None:
    received: dict[str, Any] = {}

    def fake_flash(q, k, v, *, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, **rest):
        received.update(bounds=(cu_seqlens_q, cu_seqlens_k), longest=(max_seqlen_q, max_seqlen_k))
        received["scale"] = rest.pop("softmax_scale")
        assert not rest
        mixed = backends.attend_masked(q, k, v, cu_seqlens_q, received["scale"])
        # The newest generation gives the sums of the softmax too.
        return (mixed, None) if backend == "flash4" else mixed

    def fake_varlen(q, k, v, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, enable_gqa):
        assert enable_gqa
        return fake_flash(
            q,
            k,
            v,
            cu_seqlens_q=cu_seq_q,
            cu_seqlens_k=cu_seq_k,
            max_seqlen_q=max_q,
            max_seqlen_k=max_k,
            softmax_scale=scale,
        )

    fake = fake_varlen if backend == "varlen" else fake_flash
    monkeypatch.setattr(backends, "find_kernel", lambda name: fake)
    query, key = torch.randn(8, 4, 8), torch.randn(8, 2, 8)
    layout = read_layout(BOUNDS, 8)
    mixed = backends.attend_flash(backend, query, key, key, BOUNDS, layout, 0.5)
    assert received["longest"] == (5, 5)
    assert all(bounds.dtype == torch.int32 for bounds in received["bounds"])
    expected = packed_attention(query, key, key, BOUNDS, scale=0.5, backend="masked")
    torch.testing.assert_close(mixed, expected)


def test_bounds_on_a_device_are_not_read_where_the_longest_is_known() -> None:
    on_device = BOUNDS.to("meta")
    assert read_layout(on_device, 8, max_seqlen=5).lengths is None
    with pytest.raises((RuntimeError, NotImplementedError)):
        read_layout(on_device, 8)


def install(site: Path, package: str, files: dict[str, str]) -> None:
    """A distribution with these files, as pip leaves it."""
    info = site / f"{package.replace('-', '_')}-9.0.dist-info"
    info.mkdir(parents=True)
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 9.0\n")
    record = [f"{name},,{len(text)}" for name, text in files.items()]
    (info / "RECORD").write_text("\n".join(record) + "\n")


FUNCTION = "def flash_attn_varlen_func(): ...\n"
FLASH2 = {"flash_attn/__init__.py": FUNCTION, "flash_attn/cute/__init__.py": "raise SystemExit\n"}
FLASH4 = {
    "flash_attn/cute/__init__.py": FUNCTION,
    "flash_attn/cute/interface.py": "# the new one\n",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is looked in first, where nothing of flash-attn is loaded yet."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("flash_attn", "flash_attn.cute", "flash_attn_interface"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def find(backend: kernels.FlashBackend) -> Any:
    return kernels.find_kernel.__wrapped__(backend)


def test_the_old_copy_inside_flash_attn_2_is_not_taken_for_the_fourth(site: Path) -> None:
    install(site, "flash-attn", FLASH2)
    assert find("flash4") == "flash4 is not installed"
    assert find("flash2").__name__ == "flash_attn_varlen_func"


def test_the_fourth_alone_is_not_taken_for_the_second(site: Path) -> None:
    install(site, "flash-attn-4", FLASH4)
    assert find("flash2") == "flash2 is not installed"
    assert find("flash4").__module__ == "flash_attn.cute"


def test_a_fourth_that_was_overwritten_is_told(site: Path) -> None:
    install(site, "flash-attn-4", FLASH4)
    (site / "flash_attn/cute/interface.py").write_text("# an older and longer copy\n")
    assert "install it last" in find("flash4")


def test_a_kernel_that_does_not_load_is_told_with_its_reason(site: Path) -> None:
    install(site, "flash-attn", {"flash_attn/__init__.py": "raise OSError('undefined symbol x')\n"})
    assert find("flash2") == "flash2 does not load: undefined symbol x"


def test_torch_varlen_is_found_without_a_card() -> None:
    assert callable(find("varlen"))


@pytest.mark.gpu
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_back_end_of_this_card_gives_the_formula_and_its_gradients(
    backend: AttentionBackend,
) -> None:
    lengths = [100, 0, 576, 7, 576]
    bounds = torch.tensor([0, *itertools.accumulate(lengths)])
    try:
        choose_backend(CUDA, torch.bfloat16, 64, backend=backend)
    except VideoError as error:
        pytest.skip(str(error))
    inputs = [
        torch.randn(sum(lengths), heads, 64, device="cuda", dtype=torch.bfloat16)
        for heads in (8, 4, 4)
    ]
    weights = torch.randn(sum(lengths), 8, 64, device="cuda")
    results = []
    pairs: list[tuple[AttentionBackend, torch.dtype]]
    pairs = [(backend, torch.bfloat16), ("masked", torch.float32)]
    for name, dtype in pairs:
        query, key, value = (x.to(dtype).requires_grad_() for x in inputs)
        mixed = packed_attention(query, key, value, bounds, backend=name)
        (mixed.float() * weights).sum().backward()
        results.append([mixed, query.grad, key.grad, value.grad])
    for computed, expected in zip(*results, strict=True):
        torch.testing.assert_close(computed.float(), expected, atol=5e-2, rtol=5e-2)
