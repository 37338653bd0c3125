"""Dialogues as rows to learn, and features of frozen towers that are kept between passes."""

from __future__ import annotations

import pytest
import torch

from benchmarks.packing import make_rows
from mmreason.models.base import Message, TextPart
from mmreason.models.vision_cache import VisionFeatureCache
from mmreason.training.learner.dialogues import encode_dialogue
from mmreason.training.learner.logprobs import Scorer
from mmreason.training.learner.packing import pack_sequences
from mmreason.training.learner.parts import part_of_parameter
from mmreason.training.rollouts.types import Role
from mmreason.types import UsageError
from tests.fakes import tiny_families


def message(role, text: str) -> Message:
    return Message(role, (TextPart(text),))


TALK = [
    message("system", "be short"),
    message("user", "what is it?"),
    message("assistant", "a cup"),
    message("user", "and its colour?"),
    message("assistant", "red"),
]


def learnt_text(policy, row) -> str:
    ids = [i for i, role in zip(row.token_ids, row.roles, strict=True) if role is Role.ASSISTANT]
    return policy.tokenizer.decode(ids)


def test_answers_are_learnt_with_their_end_and_nothing_else():
    policy = tiny_families.policy("qwen3_vl")
    row = encode_dialogue(policy, TALK, [False, False, True, False, True])
    assert learnt_text(policy, row) == "a cup<end>red<end>"
    last = encode_dialogue(policy, TALK, [False, False, False, False, True])
    assert last.token_ids == row.token_ids and learnt_text(policy, last) == "red<end>"
    for flags, words in (([False] * 5, "nothing to learn"), ([True] * 5, "cannot be learnt")):
        with pytest.raises(UsageError, match=words):
            encode_dialogue(policy, TALK, flags)


def test_a_template_that_rewrites_earlier_turns_is_refused_but_for_the_last():
    policy = tiny_families.policy("qwen3_vl")
    shown = policy.processor.chat_template
    policy.processor.chat_template = shown.replace(
        "{{ '<end>' }}", "{{ '<end>' if loop.last else '' }}"
    )
    with pytest.raises(UsageError, match="writes message 3 in another way"):
        encode_dialogue(policy, TALK, [False, False, True, False, True])


@pytest.mark.parametrize(
    "family",
    ["internvl", "smolvlm"]
    + [pytest.param(f, marks=pytest.mark.full) for f in ("qwen3_vl", "gemma3", "video_llava")]
    + [pytest.param(f, marks=pytest.mark.full) for f in ("llava_onevision", "glm4v", "gemma4")],
)
def test_what_a_frozen_tower_gave_is_what_it_gives(family: str):
    if not tiny_families.can_be_made(family):
        pytest.skip(f"needs {tiny_families.NEEDS[family]}")
    policy = tiny_families.policy(family)
    rows = [make_rows(policy, "clip")[0], *make_rows(policy, "image")[:2]]

    def score() -> list[torch.Tensor]:
        found = []
        for row in rows:
            packed = pack_sequences([row], kind="padded", pad_id=policy.pad_id, model=policy.model)
            with torch.no_grad():
                found.append(Scorer(policy.model).eval()(packed, 1.0, False)[0])
        return found

    plain = score()
    assert VisionFeatureCache.attach(policy.model, 10**8) is None  # its towers are trained
    for name, parameter in policy.model.named_parameters():
        parameter.requires_grad_(part_of_parameter(name) == "language")
    cache = VisionFeatureCache.attach(policy.model, 10**8)
    assert cache is not None
    misses = []
    for _ in range(2):
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(score(), plain, strict=True))
        misses.append(cache.misses)
    assert misses[0] == misses[1]
    assert bool(cache.misses) == (family != "gemma4")  # whose towers take neither rows nor grids


def test_a_cache_keeps_to_its_memory():
    policy = tiny_families.policy("internvl")
    row = make_rows(policy, "clip")[0]
    policy.model.requires_grad_(False)
    cache = VisionFeatureCache.attach(policy.model, 1)
    assert cache is not None
    packed = pack_sequences([row], kind="padded", pad_id=policy.pad_id, model=policy.model)
    Scorer(policy.model).eval()(packed, 1.0, False)
    assert cache.used_bytes <= 1 and cache.misses
