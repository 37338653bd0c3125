"""Kept keys and values: never other than reading everything again, read once, gone in time."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    DynamicCache,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.kv_cache import (
    CacheUnsupportedError,
    stack_states,
    why_uncacheable,
)
from mmreason.training.generation.prefix_cache import CachedPrefix, PrefixCache
from mmreason.training.generation.sampler import LocalSampler, SampleRequest, cache_prefixes
from mmreason.training.rl import PolicyModel, train
from mmreason.training.rollouts.types import Completion, Media, Prompt, SampleFailure, stable_seed
from tests.fakes import rl_runs, tiny_rl

KINDS = ("tiny", "lora", "nano", "frames")


def made_of(kind: str) -> PolicyModel:
    if kind in ("nano", "frames"):
        return PolicyModel.load("nano")
    made = tiny_rl.policy()
    if kind == "lora":
        peft = pytest.importorskip("peft")
        config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        torch.manual_seed(1)
        return replace(made, model=peft.get_peft_model(made.model, config))
    return made


def beginnings(kind: str, made: PolicyModel) -> list[Prompt]:
    """Three rollouts of one question, two at another, one at a third of another length."""
    if kind == "nano":
        system = "You look at a video part by part. " * 3
        texts = ("What moves?", "Which one is red?", "How many red circles are there in it?")
        shown = [tiny_rl.said(system + text) for text in texts]
    elif kind == "frames":
        shown = [
            tiny_rl.clip("What moves?", 4, seed=1),
            tiny_rl.clip("What moves?", 4, seed=2),
            tiny_rl.clip("How many red circles are there?", 6, seed=1),
        ]
    else:
        same = "please say it " * 6
        shown = [tiny_rl.said(same + text) for text in ("red", "blue", "say it please white")]
    # Each rollout makes its prompt anew: what is shown alike is found by what it is.
    return [made.codec.encode_prompt(shown[i]) for i in (0, 0, 0, 1, 1, 2)]


def sampler(
    made: PolicyModel, batch_tokens: int = 65_536, cache_bytes: int = 2**31
) -> LocalSampler:
    return LocalSampler(
        made.model,
        made.tokenizer,
        end_ids=made.end_ids,
        pad_id=made.pad_id,
        batch_tokens=batch_tokens,
        cache_bytes=cache_bytes,
    )


@contextmanager
def counted(model: Any) -> Iterator[list[int]]:
    """Tokens that go through the model, one number a forward pass."""
    counts: list[int] = []
    hook = model.get_input_embeddings().register_forward_hook(
        lambda _, args, __: counts.append(args[0].numel())
    )
    try:
        yield counts
    finally:
        hook.remove()


def turn(
    wanted: Sequence[SampleRequest], one: LocalSampler, reference: LocalSampler
) -> list[Completion]:
    """A turn of all; the same from both."""
    found, expected = one.sample(wanted), reference.sample(wanted)
    for a, b in zip(found, expected, strict=True):
        assert isinstance(a, Completion) and isinstance(b, Completion)
        assert (a.token_ids, a.text, a.is_finished) == (b.token_ids, b.text, b.is_finished)
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-5)
    return [one for one in found if isinstance(one, Completion)]


def told(kind: str, seed: int) -> tuple[int, ...]:
    """What comes back after a turn: of other lengths and other tokens each time."""
    numbers = random.Random(seed)
    low, high = (2, 9) if kind in ("tiny", "lora") else (20, 400)
    return tuple(numbers.randrange(low, high) for _ in range(numbers.randrange(1, 9)))


@pytest.mark.parametrize("batch_tokens", [1, 400, 65_536])
@pytest.mark.parametrize("temperature", [0.0, 1.5])
@pytest.mark.parametrize("kind", KINDS)
def test_turns_equal_those_that_read_everything_again(
    kind: str, temperature: float, batch_tokens: int
) -> None:
    made = made_of(kind)
    one, reference = sampler(made, batch_tokens), sampler(made, cache_bytes=0)
    assert not one.why_uncached and reference.why_uncached
    prompts = dict(enumerate(beginnings(kind, made)))
    lengths = set()
    with one.cache_prefixes():
        for number in range(4):
            wanted = [
                SampleRequest(
                    prompt=prompt,
                    max_new_tokens=1 + (i + number) % 3 * 4,
                    temperature=temperature,
                    seed=stable_seed(kind, i, number),
                )
                for i, prompt in prompts.items()
            ]
            written = dict(zip(prompts, turn(wanted, one, reference), strict=True))
            lengths |= {len(each.token_ids) for each in written.values()}
            prompts = {
                i: Prompt(
                    (*prompt.token_ids, *written[i].token_ids, *told(kind, 10 * number + i)),
                    prompt.media,
                )
                for i, prompt in prompts.items()
                if i != number  # episodes end at different turns
            }
    assert len(lengths) > 2
    assert not one.why_uncached


def test_different_clips_of_one_shape_are_told_apart() -> None:
    made = PolicyModel.load("nano")
    first, _, _, second, *_ = beginnings("frames", made)
    assert first.token_ids == second.token_ids and first.media is not None
    one, reference = sampler(made), sampler(made, cache_bytes=0)
    with one.cache_prefixes():
        a, b = turn([tiny_rl.request(p, 1, 4.0) for p in (first, second)], one, reference)
        (again,) = turn([tiny_rl.request(second, 1, 4.0)], one, reference)
    assert a.logprobs != pytest.approx(b.logprobs, abs=1e-4)
    assert again.logprobs == pytest.approx(b.logprobs, abs=1e-5)


@pytest.mark.parametrize("kind", ["tiny", "nano", "frames"])
def test_nothing_is_read_twice(kind: str) -> None:
    made = made_of(kind)
    one = sampler(made)
    prompts = beginnings(kind, made)
    (first, *_), length = prompts, 3
    with one.cache_prefixes(), counted(made.model) as counts:
        wanted = [tiny_rl.request(first, seed, 1.5, length) for seed in range(5)]
        written = one.sample(wanted)
        assert counts[0] == len(first.token_ids)  # of five that are alike
        assert sum(counts) <= len(first.token_ids) + 5 * (length - 1)
        counts.clear()
        longer = []
        for i, each in enumerate(written):
            assert isinstance(each, Completion)
            back = (2, 3 + i // 4, 7 + i // 2 % 2, 7 + i % 2)
            ids = (*first.token_ids, *each.token_ids, *back)
            longer.append(tiny_rl.request(Prompt(ids, first.media), i, length=1))
        one.sample(longer)
        assert sum(counts) <= 5 * (1 + 4)  # the last of what was written, and what came after
        counts.clear()
        one.sample(longer)
        assert sum(counts) == 5  # scores of a prompt that is known come of its last token


def test_prompts_that_begin_alike_share_the_beginning() -> None:
    made = made_of("nano")
    prompts = beginnings("nano", made)[2:]
    alike = [p.token_ids for p in prompts]
    shared = next(i for i in range(999) if len({ids[i] for ids in alike}) > 1)
    assert shared > 30
    with counted(made.model) as counts:
        sampler(made).sample([tiny_rl.request(prompt, length=1) for prompt in prompts])
    rest = [len(ids) - shared for ids in set(alike)]
    assert counts[0] == shared and sum(counts) <= shared + len(rest) * max(rest)


def test_nothing_outlives_the_weights() -> None:
    made, task = tiny_rl.policy(), tiny_rl.colours(3)
    one, reference = sampler(made), sampler(made, cache_bytes=0)
    how = Sampling(samples=3, temperature=1.0, seed=5, step=2)
    (prompt, *_) = beginnings("tiny", made)
    wanted = [tiny_rl.request(prompt, seed) for seed in range(4)]

    def change() -> None:
        with torch.no_grad():
            for parameter in made.model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))

    torch.manual_seed(3)
    collect_rollouts(task, task.problems, made.codec, one, how)
    one.sample(wanted)
    with one.cache_prefixes():
        one.sample(wanted)
    change()
    groups, expected = (
        collect_rollouts(task, task.problems, made.codec, each, how) for each in (one, reference)
    )
    for a, b in zip(groups, expected, strict=True):
        for mine, theirs in zip(a.rollouts, b.rollouts, strict=True):
            assert mine.sequences[0].token_ids == theirs.sequences[0].token_ids
            assert mine.sequences[0].logprobs == pytest.approx(
                theirs.sequences[0].logprobs, abs=1e-5
            )
    turn(wanted, one, reference)
    with (
        one.cache_prefixes()
    ):  # what the scope is there for: inside, old keys would go on being used
        turn(wanted, one, reference)
        change()
        with pytest.raises(AssertionError):
            turn(wanted, one, reference)


def test_a_scope_that_is_broken_off_leaves_nothing() -> None:
    made = made_of("tiny")
    one = sampler(made)
    (prompt, *_) = beginnings("tiny", made)
    wanted = [tiny_rl.request(prompt, length=2)]
    with pytest.raises(KeyboardInterrupt), one.cache_prefixes():
        with one.cache_prefixes():
            one.sample(wanted)
        with counted(made.model) as counts:  # the outer scope still holds
            one.sample(wanted)
        assert counts[0] == 1
        raise KeyboardInterrupt
    with counted(made.model) as counts:
        one.sample(wanted)
    assert counts[0] == len(prompt.token_ids)


def test_a_draw_that_is_refused_spoils_nothing_that_is_kept() -> None:
    made = made_of("frames")
    good = beginnings("frames", made)
    media = good[0].media
    assert media is not None
    torn = dict(media.tensors) | {"pixel_values_videos": media.tensors["pixel_values_videos"][:-4]}
    bad = Prompt(
        good[0].token_ids, Media(tensors=torn, placeholder_counts=media.placeholder_counts)
    )
    one, reference = sampler(made), sampler(made, cache_bytes=0)
    wanted = [tiny_rl.request(prompt, i) for i, prompt in enumerate((good[0], bad, *good[3:]))]
    with one.cache_prefixes():
        for _ in range(2):
            found = one.sample(wanted)
            places = [i for i, each in enumerate(found) if isinstance(each, SampleFailure)]
            assert places == [1]
            turn([wanted[0], *wanted[2:]], one, reference)


def test_a_limit_of_memory_changes_no_draw() -> None:
    made = made_of("tiny")
    reference = sampler(made, cache_bytes=0)
    for cache_bytes in (1, 20_000):
        one = sampler(made, cache_bytes=cache_bytes)
        with one.cache_prefixes():
            for number in range(3):
                prompts = beginnings("tiny", made)
                turn(
                    [tiny_rl.request(p, i + number) for i, p in enumerate(prompts)], one, reference
                )


def test_samplers_that_keep_nothing_are_driven_all_the_same() -> None:
    class Plain:
        def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
            return []

    with cache_prefixes(Plain()):
        pass


def test_penalties_of_the_models_own_settings_change_no_draw() -> None:
    made = made_of("tiny")
    prompts = beginnings("tiny", made)
    wanted = [tiny_rl.request(prompt, i) for i, prompt in enumerate(prompts)]
    plain = sampler(made, cache_bytes=0)
    before = turn(wanted, sampler(made), plain)
    made.model.generation_config.repetition_penalty = 9.0
    made.model.generation_config.min_new_tokens = 4
    assert turn(wanted, sampler(made), plain) == before
    assert made.model.generation_config.repetition_penalty == 9.0


def small(**settings: Any) -> dict[str, Any]:
    words = len(tiny_rl.WORDS)
    return {"vocab_size": words, "hidden_size": 32, "num_hidden_layers": 2} | settings


def sliding() -> Any:
    config = Qwen3Config(
        **small(intermediate_size=64, num_attention_heads=2, num_key_value_heads=1, head_dim=16),
        use_sliding_window=True,
        sliding_window=8,
        max_window_layers=0,
        initializer_range=0.2,
    )
    return Qwen3ForCausalLM(config)


def recurrent() -> Any:
    return MambaForCausalLM(MambaConfig(**small(state_size=4), initializer_range=0.2))


@pytest.mark.parametrize(("build", "says"), [(sliding, "Sliding"), (recurrent, "forward pass")])
def test_models_that_hold_something_else_read_everything_again(build: Any, says: str) -> None:
    torch.manual_seed(0)
    made = replace(tiny_rl.policy(), model=build())
    made.model.generation_config.eos_token_id = 1
    one, reference = sampler(made), sampler(made, cache_bytes=0)
    assert says in one.why_uncached
    (prompt, *_) = beginnings("tiny", made)
    with one.cache_prefixes():
        for seed in range(2):
            (written,) = turn([tiny_rl.request(prompt, seed)], one, reference)
            prompt = Prompt((*prompt.token_ids, *written.token_ids, 5, 6))


def test_the_trainer_says_where_everything_is_read_again(tmp_path: Path) -> None:
    def model() -> PolicyModel:
        return replace(tiny_rl.policy(), model=sliding())

    settings: Any = {"task": tiny_rl.colours(2), "steps": 2, "problems_per_step": 2, "samples": 2}
    told = {
        name: [
            report.warnings
            for report in train(rl_runs.make_recipe(out=tmp_path / name, model=how, **settings))
        ]
        for name, how in (("sliding", model), ("plain", tiny_rl.policy))
    }
    assert [any("conversation again" in w for w in each) for each in told["plain"]] == [
        False,
        False,
    ]
    first, second = (
        [line for line in each if "reads its whole conversation again" in line]
        for each in told["sliding"]
    )
    assert len(first) == 1 and "Sliding" in first[0] and not second


def test_positions_that_change_with_the_length_are_told_of() -> None:
    config = LlamaConfig(
        **small(intermediate_size=64, num_attention_heads=2),
        max_position_embeddings=16,
        rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0},
    )
    assert "positions" in why_uncacheable(LlamaForCausalLM(config))


def test_what_the_trainer_trains_can_be_kept() -> None:
    for kind in KINDS[:-1]:
        assert why_uncacheable(made_of(kind).model) == ""


def test_layers_that_differ_are_refused() -> None:
    cache = DynamicCache()
    cache.update(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4), 0)
    assert stack_states(cache).shape == (1, 2, 1, 2, 3, 4)
    cache.update(torch.zeros(1, 2, 3, 8), torch.zeros(1, 2, 3, 4), 1)
    with pytest.raises(CacheUnsupportedError, match="differ"):
        stack_states(cache)


Ids = st.lists(st.integers(0, 2**31), min_size=1, max_size=6).map(tuple)
FewIds = st.lists(st.integers(255, 257), min_size=1, max_size=6).map(tuple)


def stretch(ids: tuple[int, ...]) -> CachedPrefix:
    return CachedPrefix(torch.tensor(ids, dtype=torch.float64).view(1, 1, 1, -1, 1))


@given(st.lists(Ids | FewIds, max_size=12), st.lists(Ids | FewIds, min_size=1, max_size=5))
def test_the_longest_common_beginning_is_found(
    known: list[tuple[int, ...]], asked: list[tuple[int, ...]]
) -> None:
    kept = PrefixCache(10**9)
    for ids in known:
        kept.put(kept.make_key(Prompt(ids)), stretch(ids))
    for ids in (*known, *asked):
        expected = max((alike(ids, other) for other in known), default=0)
        found, tokens = kept.find_longest(kept.make_key(Prompt(ids)))
        assert tokens == expected
        if tokens:
            assert found is not None
            assert tuple(found.states.flatten().tolist())[:tokens] == ids[:tokens]
    once = {ids for ids in known if not any(o != ids and o[: len(ids)] == ids for o in known)}
    assert len(kept) == len(once)  # none that is the beginning of another
    assert kept.used_bytes == 8 * sum(map(len, once))


def alike(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )


def test_memory_is_bounded_and_what_is_used_stays() -> None:
    kept = PrefixCache(8 * 8)
    keys = [kept.make_key(Prompt((i, i, i, i))) for i in range(3)]
    for i in (0, 1):
        kept.put(keys[i], stretch((i,) * 4))
    assert kept.find_longest(keys[0])[1] == 4  # used after the other
    kept.put(keys[2], stretch((2,) * 4))
    assert [kept.find_longest(key)[1] for key in keys] == [4, 0, 4]
    kept.put(kept.make_key(Prompt((7,) * 9)), stretch((7,) * 9))  # more than all there is
    assert kept.used_bytes <= 64
    kept.clear()
    assert kept.used_bytes == len(kept) == 0
