"""A language model of a few thousand weights and a task it can learn in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from mmreason.models.base import FramesPart, Message, TextPart
from mmreason.training.generation.sampler import LocalSampler, SampleRequest
from mmreason.training.rewards import Combination, Component, Trajectory, Truth, correct
from mmreason.training.rl import PolicyModel
from mmreason.training.rollouts.codec import TextCodec
from mmreason.training.rollouts.join import join_turns
from mmreason.training.rollouts.types import Completion, Problem, Prompt, TokenSequence
from mmreason.training.tasks.single_turn import SingleTurn
from mmreason.video.types import FrameBatch

COLOURS = ("red", "green", "blue", "white")
WORDS = ("<pad>", "<end>", "say", "it", "please", *COLOURS)


def tokenizer() -> PreTrainedTokenizerFast:
    model = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    model.pre_tokenizer = WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    return PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<pad>", eos_token="<end>", unk_token="<pad>"
    )


def policy(seed: int = 0, dropout: float = 0.0) -> PolicyModel:
    """A model that knows nothing."""
    torch.manual_seed(seed)
    words = tokenizer()
    config = Qwen3Config(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        initializer_range=0.1,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        attention_dropout=dropout,
        eos_token_id=1,
        pad_token_id=0,
    )
    return PolicyModel(
        model=Qwen3ForCausalLM(config),
        tokenizer=words,
        codec=TextCodec(words),
        end_ids=(1,),
        pad_id=0,
        name="tiny",
        fingerprint=f"tiny-{seed}",
    )


def show(problem: Problem) -> list[Message]:
    return [Message("user", (TextPart(problem.question),))]


def colours(problems: int = 8, reward: Combination | None = None) -> SingleTurn:
    """Say the colour that is asked for, in prompts of different lengths, and stop."""
    rows = [
        Problem(
            id=f"colour-{i}",
            question="say it " + "please " * (i % 3) + COLOURS[i % len(COLOURS)],
            truth=Truth(answer=COLOURS[i % len(COLOURS)]),
            kind=COLOURS[i % len(COLOURS)],
        )
        for i in range(problems)
    ]
    only = Combination((Component(name="right", reward=correct),))
    return SingleTurn(
        name="colours", problems=rows, show=show, reward=reward or only, max_new_tokens=4
    )


def digest(folder: Path) -> dict[str, bytes]:
    """The weights in a model folder, to compare runs bit for bit."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


def frames(count: int, seed: int = 0) -> FrameBatch:
    """Noise that nano can watch: (count, 32, 64, 3)."""
    pixels = np.random.default_rng(seed).integers(0, 255, (count, 32, 64, 3), dtype=np.uint8)
    return FrameBatch(
        pixels=pixels, times_s=np.arange(count) * 1.0, exact=np.ones(count, dtype=bool)
    )


def clip(question: str, count: int = 4, seed: int = 0) -> list[Message]:
    """One message: noise, and a question about it."""
    return [Message("user", (FramesPart(frames(count, seed), "video"), TextPart(question)))]


def said(text: str) -> list[Message]:
    """One message of text alone."""
    return [Message("user", (TextPart(text),))]


def request(
    prompt: Prompt, seed: int = 0, temperature: float = 1.0, length: int = 6
) -> SampleRequest:
    return SampleRequest(prompt=prompt, max_new_tokens=length, temperature=temperature, seed=seed)


def sampler(made: PolicyModel, batch_tokens: int = 65_536) -> LocalSampler:
    return LocalSampler(
        made.model,
        made.tokenizer,
        end_ids=made.end_ids,
        pad_id=made.pad_id,
        batch_tokens=batch_tokens,
    )


def sequences(made: PolicyModel, prompts: list[Prompt], length: int = 6) -> list[TokenSequence]:
    """What the model writes after each prompt, as rows to train on."""
    requests = [request(prompt, seed=i, length=length) for i, prompt in enumerate(prompts)]
    rows = []
    for one, written in zip(requests, sampler(made).sample(requests), strict=True):
        assert isinstance(written, Completion)
        rows += join_turns([(one.prompt, written)])
    return rows


def shortness(seen: Trajectory, truth: Truth) -> float:
    """More for fewer tokens: something that differs from answer to answer."""
    return 1 / (1 + (seen.tokens_out or 0)) + 0.1 * ("a" in seen.answer)


def length_reward() -> Combination:
    return Combination((Component(name="short", reward=shortness),))
