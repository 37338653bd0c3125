"""Samplers: one contract, requests that depend on their seed alone, log-probabilities by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch

from mmreason.training.generation.sampler import Sampler, SampleRequest
from mmreason.training.rl import PolicyModel
from mmreason.training.rollouts.types import Completion, Media, Prompt, SampleFailure, stable_seed
from mmreason.types import UsageError
from tests.fakes import tiny_rl
from tests.fakes.tiny_rl import request


class Scripted:
    """Writes one of a few texts by the seed; fails where the prompt begins with token 0."""

    def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
        return [self._one(one) for one in requests]

    def _one(self, one: SampleRequest) -> Completion | SampleFailure:
        if one.prompt.token_ids[0] == 0:
            return SampleFailure(kind="Refused", message="begins with 0")
        ids = ((5, 1), (6, 7, 8, 5, 6, 7, 8, 5, 1))[one.seed % 2][: one.max_new_tokens]
        text = " ".join(tiny_rl.WORDS[i] for i in ids if i != 1)
        return Completion(
            token_ids=ids,
            logprobs=(-1.0,) * len(ids),
            text=text,
            finish_reason="stop" if ids[-1] == 1 else "length",
        )


def tiny_prompts(made: PolicyModel) -> list[Prompt]:
    texts = ("say it red", "say it please please blue", "say", "please say it white")
    return [made.codec.encode_prompt(tiny_rl.said(text)) for text in texts]


def nano_prompts(made: PolicyModel) -> list[Prompt]:
    shown = [
        tiny_rl.clip("What moves?", 4, seed=1),
        tiny_rl.said("What colour is it?"),
        tiny_rl.clip("How many red circles are there?", 6, seed=2),
        tiny_rl.clip("What is it?", 4, seed=3),
    ]
    return [made.codec.encode_prompt(conversation) for conversation in shown]


KINDS = ("tiny", "nano", "scripted")


@pytest.fixture(scope="module", params=KINDS)
def subject(request: pytest.FixtureRequest) -> tuple[Sampler, list[Prompt], tuple[int, ...]]:
    """A sampler, prompts for it, and the tokens that end a turn."""
    if request.param == "nano":
        made = PolicyModel.load("nano")
        return tiny_rl.sampler(made), nano_prompts(made), made.end_ids
    made = tiny_rl.policy()
    inner = Scripted() if request.param == "scripted" else tiny_rl.sampler(made)
    return inner, tiny_prompts(made), made.end_ids


def drawn(sampler: Sampler, requests: Sequence[SampleRequest]) -> list[Completion]:
    found = sampler.sample(requests)
    assert len(found) == len(requests)
    assert all(isinstance(one, Completion) for one in found), found
    return [one for one in found if isinstance(one, Completion)]


def alike(a: Completion, b: Completion) -> bool:
    """The same tokens, and the same log-probabilities but for rounding in another batch."""
    return (
        a.token_ids == b.token_ids
        and a.text == b.text
        and a.is_finished == b.is_finished
        and a.logprobs == pytest.approx(b.logprobs, abs=2e-5)
    )


def test_contract_of_what_is_written(subject):
    sampler, prompts, ends = subject
    wanted = [
        request(p, seed, length=length) for p in prompts for seed in (1, 2) for length in (1, 7)
    ]
    for one, written in zip(wanted, drawn(sampler, wanted), strict=True):
        assert 1 <= len(written.token_ids) <= one.max_new_tokens
        assert written.is_finished == (written.token_ids[-1] in ends)
        assert not set(written.token_ids[:-1]) & set(ends)
        assert written.is_finished or len(written.token_ids) == one.max_new_tokens
        assert len(written.logprobs) == len(written.token_ids)
        assert all(value <= 0 for value in written.logprobs)
        assert written.text == written.text.strip()
        assert "<|im_end|>" not in written.text and "<end>" not in written.text
    assert sampler.sample([]) == []


def test_identity_47_a_draw_depends_on_its_seed_alone(subject):
    """Order, what else is asked for, and how much goes together, change nothing."""
    sampler, prompts, _ = subject
    wanted = [request(p, stable_seed(i, j)) for i, p in enumerate(prompts) for j in range(4)]
    once = drawn(sampler, wanted)
    order = list(range(len(wanted)))
    random.Random(3).shuffle(order)
    mixed = drawn(sampler, [wanted[i] for i in order])
    assert all(alike(once[i], again) for i, again in zip(order, mixed, strict=True))
    for i in (0, 5, 11):
        assert alike(drawn(sampler, [wanted[i]])[0], once[i])
    # Longer limits go on from the same tokens.
    longer = [request(one.prompt, one.seed, length=9) for one in wanted]
    for short, long in zip(once, drawn(sampler, longer), strict=True):
        assert long.token_ids[: len(short.token_ids)] == short.token_ids


@pytest.mark.parametrize("kind", ["tiny", "nano"])
def test_identity_47_the_budget_of_tokens_changes_no_draw(kind):
    made = PolicyModel.load("nano") if kind == "nano" else tiny_rl.policy()
    prompts = nano_prompts(made) if kind == "nano" else tiny_prompts(made)
    wanted = [request(p, stable_seed(i, j), 2.5) for i, p in enumerate(prompts) for j in range(4)]
    whole = drawn(tiny_rl.sampler(made), wanted)
    for batch_tokens in (1, 100, 400):
        parts = drawn(tiny_rl.sampler(made, batch_tokens), wanted)
        assert all(alike(a, b) for a, b in zip(whole, parts, strict=True))
    assert len({one.token_ids for one in whole}) > 4


@pytest.mark.parametrize("kind", ["tiny", "nano"])
@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.7])
def test_log_probabilities_are_a_softmax_at_the_sampling_temperature(kind, temperature):
    """By hand: one row at a time, without padding and cache, with the model's own positions."""
    made = PolicyModel.load("nano") if kind == "nano" else tiny_rl.policy()
    prompts = nano_prompts(made) if kind == "nano" else tiny_prompts(made)
    wanted = [request(p, i, temperature) for i, p in enumerate(prompts)]
    for one, written in zip(wanted, drawn(tiny_rl.sampler(made), wanted), strict=True):
        rows = logits_by_hand(made, one.prompt, written)
        by_hand = torch.log_softmax(rows / (temperature or 1.0), dim=-1)
        chosen = by_hand[torch.arange(len(rows)), torch.tensor(written.token_ids)]
        assert torch.allclose(chosen, torch.tensor(written.logprobs), atol=2e-5)
        if temperature == 0:
            assert rows.argmax(dim=-1).tolist() == list(written.token_ids)


def logits_by_hand(made: PolicyModel, prompt: Prompt, written: Completion) -> torch.Tensor:
    """(tokens written, V) logits."""
    ids = torch.tensor([[*prompt.token_ids, *written.token_ids]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if prompt.media is not None:
        inputs |= dict(prompt.media.tensors)
        inputs["mm_token_type_ids"] = 2 * (ids == made.model.config.video_token_id).long()
    if hasattr(made.model, "model") and hasattr(made.model.model, "rope_deltas"):
        made.model.model.rope_deltas = None
    with torch.inference_mode():
        logits = made.model(**inputs, use_cache=False).logits[0]
    n = len(prompt.token_ids)
    return logits[n - 1 : n - 1 + len(written.token_ids)]


def test_temperature_0_takes_the_likeliest_whatever_the_seed():
    made = tiny_rl.policy()
    (prompt, *_) = tiny_prompts(made)
    found = drawn(
        tiny_rl.sampler(made), [request(prompt, seed, temperature=0.0) for seed in range(5)]
    )
    assert all(alike(one, found[0]) for one in found)


def test_seeds_draw_from_the_distribution():
    """Shares of the first token over many seeds are its probabilities."""
    made = tiny_rl.policy()
    (prompt, *_) = tiny_prompts(made)
    wanted = [request(prompt, stable_seed("share", i), length=1) for i in range(2000)]
    firsts = [one.token_ids[0] for one in drawn(tiny_rl.sampler(made), wanted)]
    with torch.inference_mode():
        logits = made.model(torch.tensor([prompt.token_ids])).logits[0, -1]
    for token, probability in enumerate(torch.softmax(logits, dim=-1).tolist()):
        assert firsts.count(token) / len(firsts) == pytest.approx(probability, abs=0.04)


def test_text_after_video_is_read_at_its_own_positions():
    """The model remembers offsets of positions from the last video; a text has none."""
    made = PolicyModel.load("nano")
    video, text, *_ = nano_prompts(made)
    sampler = tiny_rl.sampler(made)
    fresh = drawn(sampler, [request(text, 1, length=8)])[0]
    drawn(sampler, [request(video, 5)])
    assert alike(drawn(sampler, [request(text, 1, length=8)])[0], fresh)
    assert made.model.model.rope_deltas is not None  # there was something to be confused by


def test_the_model_is_left_in_the_mode_it_was_in():
    made = tiny_rl.policy(dropout=0.5)
    prompts = tiny_prompts(made)
    sampler = tiny_rl.sampler(made)
    made.model.train()
    noisy = drawn(sampler, [request(p, 1) for p in prompts])
    assert made.model.training
    made.model.eval()
    assert all(
        alike(a, b)
        for a, b in zip(noisy, drawn(sampler, [request(p, 1) for p in prompts]), strict=True)
    )
    assert not made.model.training


def test_sampling_leaves_the_random_numbers_of_torch_alone():
    made = tiny_rl.policy()
    before = torch.random.get_rng_state()
    drawn(tiny_rl.sampler(made), [request(p, 1) for p in tiny_prompts(made)])
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_draw_that_the_model_refuses_takes_no_other_with_it():
    """A clip with fewer features than the grid says, as a broken processor would give it."""
    made = PolicyModel.load("nano")
    good = nano_prompts(made)
    media = good[0].media
    assert media is not None
    torn = dict(media.tensors) | {"pixel_values_videos": media.tensors["pixel_values_videos"][:-4]}
    bad = Prompt(
        good[0].token_ids, Media(tensors=torn, placeholder_counts=media.placeholder_counts)
    )
    wanted = [request(p, 1) for p in (good[0], bad, *good[1:])]
    found = tiny_rl.sampler(made).sample(wanted)
    assert [isinstance(one, SampleFailure) for one in found] == [False, True, False, False, False]
    lost = found[1]
    assert isinstance(lost, SampleFailure) and lost.kind and lost.message
    assert "\n" not in lost.message
    alone = tiny_rl.sampler(made).sample([wanted[0], *wanted[2:]])
    for a, b in zip([found[0], *found[2:]], alone, strict=True):
        assert isinstance(a, Completion) and isinstance(b, Completion) and alike(a, b)


@pytest.mark.parametrize(("length", "temperature"), [(0, 1.0), (4, -0.5)])
def test_a_draw_checks_what_it_is_asked(length, temperature):
    with pytest.raises(UsageError, match="a sample needs"):
        request(Prompt((2,)), temperature=temperature, length=length)
