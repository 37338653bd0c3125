"""Whether the sequences of one packed row are kept apart by a model, told by measuring it.

Positions that begin anew are a border for the attention of most models, with windows or without.
Layers that carry a state along the row (gated delta nets) know no border: they go through each
sequence by itself. A model that mixes sequences all the same is given padded rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MethodType
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from mmreason.training.learner.quantise import has_quantised_layers
from mmreason.training.rollouts.inputs import takes_argument, unwrap_adapter

Isolation = Literal["positions", "segments", "none"]

_PROBE_TOKENS = 12
"""Of each sequence that is measured: more than any short convolution reaches back."""
_LEAK = {torch.float32: 1e-4, torch.float64: 1e-6}
"""Difference of logits, over their spread, that another neighbour may make; by precision."""
_COARSE_LEAK = 2e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How a model keeps the sequences of one row apart.

    Example:
        >>> Packing(isolation="positions", reason="positions that begin anew").is_exact
        True
    """

    isolation: Isolation
    """By positions alone; with recurrent layers run a sequence at a time as well; not at all."""
    reason: str
    """What was measured, for people."""

    @property
    def is_exact(self) -> bool:
        """Whether packed rows give what separate ones give."""
        return self.isolation != "none"


_measured: WeakKeyDictionary[Any, Packing] = WeakKeyDictionary()


def find_packing(model: Any) -> Packing:
    """How `model` keeps packed sequences apart. Measured at the first call, by a few short passes
    of text, before the model is put into shards; remembered for the model afterwards.

    Recurrent layers are made to stop at borders where that is what is needed.
    """
    base = unwrap_adapter(model)
    if base not in _measured:
        _measured[base] = _measure_packing(model)
    return _measured[base]


def positions_for_text(model: Any, text_positions: Tensor) -> Tensor:
    """Positions (B, T) as the model takes them for text: (4, B, T) where it has positions in time
    and space, of which the first are those in the text. Without these such models see no border."""
    if not has_positions_in_space(model):
        return text_positions
    return text_positions[None].expand(4, -1, -1)


def has_positions_in_space(model: Any) -> bool:
    """Whether tokens have positions in time, height and width (M-RoPE)."""
    inner = getattr(unwrap_adapter(model), "model", None)
    return hasattr(inner, "get_rope_index")


def _measure_packing(model: Any) -> Packing:
    if not takes_argument(model, "position_ids"):
        return Packing(isolation="none", reason="the model takes no positions")
    recurrent = [layer for layer in model.modules() if hasattr(layer, "linear_attn")]
    for layer in recurrent:
        _stop_at_borders(layer)
    try:
        leak, change = _measure_leak(model)
    # Whatever such a pass raises, a model that cannot make it cannot be packed.
    except (TypeError, ValueError, RuntimeError, IndexError, KeyError) as error:
        line = " ".join(str(error).split())
        return Packing(
            isolation="none", reason=f"a packed pass fails ({type(error).__name__}: {line})"
        )
    limit = _LEAK.get(next(model.parameters()).dtype, _COARSE_LEAK)
    if has_quantised_layers(model):
        limit = _COARSE_LEAK
    # Alone and packed are passes of other shapes, which round in other ways.
    if leak > limit or change > 10 * limit:
        return Packing(
            isolation="none",
            reason=f"its logits change by {max(leak, change):.1e} of their spread with what is "
            "packed before",
        )
    if recurrent:
        return Packing(
            isolation="segments",
            reason="positions that begin anew; recurrent layers go through one sequence at a time",
        )
    return Packing(isolation="positions", reason="positions that begin anew")


@torch.no_grad()
def _measure_leak(model: Any) -> tuple[float, float]:
    """How much the logits of a sequence change with its neighbour, and between packed and alone;
    both over the spread of the logits."""
    device = next(model.parameters()).device
    first, other, second = _probe_ids(model, device)
    was_training = model.training
    model.eval()
    try:

        def logits(*rows: Tensor) -> Tensor:
            positions = torch.cat([torch.arange(len(row), device=device) for row in rows])[None]
            out = model(
                input_ids=torch.cat(rows)[None],
                position_ids=positions_for_text(model, positions),
                use_cache=False,
            ).logits
            return out[0, -len(second) :].float()

        alone, packed, beside = logits(second), logits(first, second), logits(other, second)
    finally:
        model.train(was_training)
    spread = float(alone.std()) or 1.0
    leak = float((packed - beside).abs().max()) / spread
    return leak, float((packed - alone).abs().max()) / spread


def _probe_ids(model: Any, device: torch.device) -> list[Tensor]:
    """Three rows of different token ids, none of which stands for frames."""
    config = unwrap_adapter(model).config
    special = {
        value
        for part in (config, config.get_text_config())
        for name, value in vars(part).items()
        if name.endswith(("_token_id", "_token_index")) and isinstance(value, int)
    }
    rows = model.get_input_embeddings().weight.shape[0]
    plain = [i for i in range(min(rows, 4096)) if i not in special]
    generator = torch.Generator().manual_seed(0)
    picked = torch.randint(len(plain), (3, _PROBE_TOKENS), generator=generator)
    return [torch.tensor([plain[i] for i in row], device=device) for row in picked.tolist()]


def _stop_at_borders(layer: Any) -> None:
    """Have the recurrent mixer of a decoder layer go through each sequence of a packed row by
    itself. The layer reads the positions in every pass, also where activations are made again."""
    mixer = layer.linear_attn
    if hasattr(mixer, "packed_lengths"):
        return
    mixer.packed_lengths = None
    # Both know their module by argument alone, so that a copy of the model works for itself.
    layer.register_forward_pre_hook(_read_borders, with_kwargs=True)
    # On the instance alone: other models of the class go on as they were.
    mixer.forward = MethodType(_run_by_sequence, mixer)


def _read_borders(layer: Any, _: tuple[Any, ...], named: dict[str, Any]) -> None:
    positions = named.get("position_ids")
    layer.linear_attn.packed_lengths = None
    is_packed = named.get("attention_mask") is None and named.get("cache") is None
    if not is_packed or positions is None or positions.shape[0] != 1:
        return
    starts = (positions[0] == 0).nonzero()[:, 0].tolist()
    if len(starts) > 1:
        ends = [*starts[1:], positions.shape[1]]
        layer.linear_attn.packed_lengths = [e - s for s, e in zip(starts, ends, strict=True)]


def _run_by_sequence(mixer: Any, hidden_states: Tensor, **named: Any) -> Tensor:
    run = type(mixer).forward
    if mixer.packed_lengths is None:
        return run(mixer, hidden_states, **named)
    pieces = hidden_states.split(mixer.packed_lengths, dim=1)
    return torch.cat([run(mixer, piece, **named) for piece in pieces], dim=1)
