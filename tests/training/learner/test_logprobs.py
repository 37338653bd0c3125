"""Log-probabilities and entropies: packed as padded, with adapters off as the model itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mmreason.models.vision_cache import VisionFeatureCache
from mmreason.training.learner.adapters import disable_adapter, select_trained_weights
from mmreason.training.learner.logprobs import SOFTMAX_TOKENS, Scorer, token_logps
from mmreason.training.learner.packing import LayoutKind, PackedInputs, pack_sequences
from mmreason.training.rl import Lora, PolicyModel, Recipe
from mmreason.training.rollouts.types import Role, TokenSequence
from tests.fakes import rl_runs, tiny_rl


def recipe(**settings) -> Recipe:
    return rl_runs.make_recipe(task=tiny_rl.colours(), out=Path("nowhere"), **settings)


def laid(made: PolicyModel, rows: list[TokenSequence], kind: LayoutKind) -> PackedInputs:
    return pack_sequences(rows, kind=kind, pad_id=made.pad_id, model=made.model)


def scored(
    made: PolicyModel,
    rows: list[TokenSequence],
    kind: LayoutKind = "padded",
    temperature: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        logp, entropy = Scorer(made.model).eval()(laid(made, rows, kind), temperature, True)
    assert entropy is not None
    return logp, entropy


def text_rows(made: PolicyModel) -> list[TokenSequence]:
    texts = ("say it red", "say it please please blue", "say", "please say it white")
    return tiny_rl.sequences(made, [made.codec.encode_prompt(tiny_rl.said(text)) for text in texts])


def agent_row() -> TokenSequence:
    """Two turns with an observation between them."""
    roles = [Role.PROMPT] * 3 + [Role.ASSISTANT] * 2 + [Role.TOOL] * 4 + [Role.ASSISTANT] * 3
    ids = (2, 3, 5, 6, 1, 4, 4, 7, 2, 8, 5, 1)
    return TokenSequence(token_ids=ids, roles=tuple(roles), logprobs=None)


@pytest.fixture(scope="module")
def nano() -> PolicyModel:
    return PolicyModel.load("nano")


@pytest.fixture(scope="module")
def nano_rows(nano: PolicyModel) -> list[TokenSequence]:
    shown = [
        tiny_rl.clip("What moves?", 4, seed=1),
        tiny_rl.clip("How many red circles are there?", 6, seed=2),
        tiny_rl.clip("Is it red?", 2, seed=3),
    ]
    return tiny_rl.sequences(nano, [nano.codec.encode_prompt(c) for c in shown])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_identity_44_packed_equals_padded(attention):
    made = tiny_rl.policy()
    made.model.set_attn_implementation(attention)
    rows = [*text_rows(made), agent_row()]
    padded, packed = scored(made, rows, "padded", 0.7), scored(made, rows, "packed", 0.7)
    for a, b in zip(padded, packed, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    alone = [scored(made, [row], "padded", 0.7)[0][0] for row in rows]
    for i, one in enumerate(alone):
        assert torch.allclose(padded[0][i, : len(one)], one, atol=1e-5)
    assert padded[0].abs().sum() > 1


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_identity_44_packed_equals_padded_with_frames(nano, nano_rows, attention):
    nano.model.set_attn_implementation(attention)
    try:
        padded, packed = (scored(nano, nano_rows, kind) for kind in ("padded", "packed"))
    finally:
        nano.model.set_attn_implementation("sdpa")
    for a, b in zip(padded, packed, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    for i, row in enumerate(nano_rows):
        told = [v for v, role in zip(row.logprobs or (), row.roles, strict=True) if role == 1]
        assert padded[0][i, : len(told)].tolist() == pytest.approx(told, abs=1e-4)


def test_identity_44_gradients_of_packed_equal_those_of_padded():
    made = tiny_rl.policy()
    rows = [*text_rows(made), agent_row()]
    found = []
    for kind in ("padded", "packed"):
        made.model.zero_grad()
        logp, _ = Scorer(made.model).train()(laid(made, rows, kind), 1.3, True)
        (logp * torch.arange(1, len(rows) + 1)[:, None]).sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in made.model.parameters()]))
    assert torch.allclose(*found, atol=1e-4, rtol=1e-4)
    assert found[0].norm() > 1


def test_packed_sequences_do_not_see_each_other():
    """With other tokens in the neighbours, the same numbers to the bit."""
    made = tiny_rl.policy()
    rows = text_rows(made)
    middle = scored(made, rows, "packed")[0][1]
    other = [agent_row(), rows[1], *rows[2:]]
    assert torch.allclose(scored(made, other, "packed")[0][1][: len(middle)], middle, atol=1e-6)


def test_observations_are_read_and_not_trained_on():
    made = tiny_rl.policy()
    logp, _ = scored(made, [agent_row()])
    assert logp.shape == (1, 5)
    ids = list(agent_row().token_ids)
    ids[6] = 8  # another observation
    other = TokenSequence(token_ids=tuple(ids), roles=agent_row().roles, logprobs=None)
    changed, _ = scored(made, [other])
    assert torch.equal(changed[0, :2], logp[0, :2])
    assert not torch.allclose(changed[0, 2:], logp[0, 2:], atol=1e-4)


def test_text_after_video_is_scored_at_its_own_positions(nano, nano_rows):
    (text,) = tiny_rl.sequences(nano, [nano.codec.encode_prompt(tiny_rl.said("What is it?"))])
    nano.model.model.rope_deltas = None
    fresh, _ = scored(nano, [text])
    scored(nano, nano_rows)
    tiny_rl.sequences(nano, [nano.codec.encode_prompt(tiny_rl.clip("What?", 6))])
    assert torch.equal(scored(nano, [text])[0], fresh)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_a_softmax_in_pieces_is_the_softmax(temperature):
    torch.manual_seed(0)
    logits = torch.randn(2 * SOFTMAX_TOKENS + 3, 11, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(0, 11, (len(logits),))
    logp, entropy = token_logps(logits, ids, temperature, True)
    plain = torch.distributions.Categorical(logits=logits / temperature)
    assert entropy is not None
    assert torch.allclose(logp.double(), plain.log_prob(ids), atol=1e-5)
    assert torch.allclose(entropy.double(), plain.entropy(), atol=1e-5)
    weights = torch.randn(len(logits))
    (ours,) = torch.autograd.grad((logp * weights).sum(), logits)
    (theirs,) = torch.autograd.grad((plain.log_prob(ids) * weights).sum(), logits)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_row_where_nothing_was_written_takes_part_with_zeros():
    made = tiny_rl.policy()
    silent = TokenSequence(token_ids=(2, 3), roles=(Role.PROMPT,) * 2, logprobs=None)
    for rows in ([silent], [silent, agent_row()]):
        logp, _ = Scorer(made.model)(laid(made, rows, "padded"), 1.0, False)
        assert not logp[0].any()
        made.model.zero_grad()
        logp.sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in made.model.parameters())


LORA = Lora(rank=4, alpha=8)


@pytest.mark.parametrize("kind", ["tiny", "nano"])
def test_identity_45_an_adapter_that_is_off_is_the_base_model(kind):
    pytest.importorskip("peft")
    made = PolicyModel.load("nano") if kind == "nano" else tiny_rl.policy()
    shown = tiny_rl.clip("What moves?") if kind == "nano" else tiny_rl.said("say it red")
    rows = tiny_rl.sequences(made, [made.codec.encode_prompt(shown)])
    base = scored(made, rows)
    with_adapter = select_trained_weights(made, recipe(lora=LORA).weights)
    for layout in ("padded", "packed"):  # new adapters change nothing
        for a, b in zip(scored(with_adapter, rows, layout), base, strict=True):
            assert torch.allclose(a, b, atol=1e-6)
    for name, parameter in with_adapter.model.named_parameters():
        if parameter.requires_grad:
            assert "lora" in name
            torch.nn.init.normal_(parameter, std=0.3)
    assert not torch.allclose(scored(with_adapter, rows)[0], base[0], atol=1e-3)
    with disable_adapter(with_adapter.model):
        for a, b in zip(scored(with_adapter, rows), base, strict=True):
            assert torch.equal(a, b)
    assert not torch.allclose(scored(with_adapter, rows)[0], base[0], atol=1e-3)


def test_identity_45_adapters_sample_and_score_alike_on_frames():
    """Positions in time and space are those of the model under the adapter."""
    pytest.importorskip("peft")
    made = select_trained_weights(PolicyModel.load("nano"), recipe(lora=LORA).weights)
    for name, parameter in made.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    prompts = [made.codec.encode_prompt(tiny_rl.clip("What moves?", n, seed=n)) for n in (4, 6)]
    rows = tiny_rl.sequences(made, prompts)
    for kind in ("padded", "packed"):
        logp, _ = scored(made, rows, kind)
        for i, row in enumerate(rows):
            told = [v for v, role in zip(row.logprobs or (), row.roles, strict=True) if role == 1]
            assert logp[i, : len(told)].tolist() == pytest.approx(told, abs=1e-4)


def test_identity_45_adapters_leave_the_eyes_alone_unless_asked():
    pytest.importorskip("peft")

    def trained(lora: Lora) -> set[str]:
        model = select_trained_weights(PolicyModel.load("nano"), recipe(lora=lora).weights).model
        return {name for name, p in model.named_parameters() if p.requires_grad}

    text = trained(LORA)
    assert text and not any("visual" in name for name in text)
    both = trained(Lora(rank=4, alpha=8, with_vision=True))
    assert text < both and any("visual" in name for name in both)


def test_frozen_eyes_see_what_open_ones_see():
    """With and without memory, in sampling and scoring, first and again: the same to the bit."""
    plain, kept = PolicyModel.load("nano"), PolicyModel.load("nano")
    for name, parameter in kept.model.named_parameters():
        if ".visual." in name:
            parameter.requires_grad_(False)
    eyes = VisionFeatureCache.attach(kept.model, 10**9)
    assert eyes is not None and VisionFeatureCache.attach(plain.model, 10**9) is None
    prompts = [plain.codec.encode_prompt(tiny_rl.clip("What moves?", n, seed=n)) for n in (4, 6, 4)]
    rows = tiny_rl.sequences(plain, prompts)
    for _ in range(2):
        assert [r.token_ids for r in tiny_rl.sequences(kept, prompts)] == [
            r.token_ids for r in rows
        ]
        assert torch.allclose(scored(kept, rows)[0], scored(plain, rows)[0], atol=1e-6)
    # Equal prompts are read once: 0 and 2 hits in sampling, 3 each time in scoring.
    assert eyes.misses == 2 and eyes.hits == 8
    logp, _ = Scorer(kept.model).train()(laid(kept, rows, "padded"), 1.0, False)
    logp.sum().backward()  # kept features serve in training too
