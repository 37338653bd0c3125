"""Rows of one pass are kept apart: losses and gradients are those of separate rows, by family."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.packing import FAMILIES, make_rows, measure_differences
from mmreason.training.learner.isolation import find_packing
from mmreason.training.learner.packing import choose_layout, pack_sequences
from mmreason.training.rollouts.types import Role, TokenSequence
from mmreason.types import UsageError
from tests.fakes import tiny_families, tiny_rl

QUICK = ("qwen3_vl", "qwen3_5", "gemma3")
CASES = [
    pytest.param(family, marks=() if family in QUICK else pytest.mark.full)
    for family in FAMILIES
    if tiny_families.can_be_made(family)
]


@pytest.mark.parametrize("family", CASES)
def test_packed_and_padded_rows_learn_what_separate_rows_learn(family: str):
    policy = tiny_families.policy(family)
    for kind in ("clip", "text") if family in QUICK else ("clip", "image", "text"):
        rows = make_rows(policy, kind)
        for layout in ("padded", "packed"):
            differences = measure_differences(policy, rows, layout)
            assert differences.loss < 1e-5, (kind, layout)
            assert differences.gradient < 1e-5, (kind, layout)
    assert find_packing(policy.model).is_exact


def test_a_recurrent_layer_stops_at_the_border_and_with_it_off_would_not():
    policy = tiny_families.policy("qwen3_5")
    rows = make_rows(policy, "text")
    assert find_packing(policy.model).isolation == "segments"
    assert measure_differences(policy, rows, "packed").loss < 1e-5
    for module in policy.model.modules():
        if hasattr(module, "packed_lengths"):
            del module.forward  # as the class has it
    assert measure_differences(policy, rows, "packed").loss > 1e-3


class _Deaf(GPT2LMHeadModel):
    """Pays no attention to positions."""

    def forward(self, input_ids=None, position_ids=None, attention_mask=None, **named):
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, **named)


def test_a_model_that_mixes_rows_is_given_padded_ones_and_says_so():
    torch.manual_seed(0)
    model = _Deaf(GPT2Config(vocab_size=64, n_positions=64, n_embd=32, n_layer=1, n_head=2))
    layout, notes = choose_layout("packed", model)
    assert layout == "padded"
    assert "rows are padded, not packed" in notes[0]
    assert choose_layout("padded", model) == ("padded", ())
    row = TokenSequence(token_ids=(5, 6), roles=(Role.PROMPT, Role.ASSISTANT), logprobs=None)
    with pytest.raises(UsageError, match="does not keep packed sequences apart"):
        pack_sequences([row, row], kind="packed", pad_id=0, model=model)


def test_a_model_that_keeps_rows_apart_is_measured_once():
    model = tiny_rl.policy().model
    assert find_packing(model) is find_packing(model)
    assert choose_layout("packed", model) == ("packed", ())
