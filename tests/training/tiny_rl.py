"""A language model of a few thousand weights and a task it can learn in seconds."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from mmreason.models.base import Message, TextPart
from mmreason.training.rewards import Combination, Component, Truth, correct
from mmreason.training.rl import Trainee
from mmreason.training.rollouts.codec import TextCodec
from mmreason.training.rollouts.single import SingleTurn
from mmreason.training.rollouts.types import Problem

COLOURS = ("red", "green", "blue", "white")
WORDS = ("<pad>", "<end>", "say", "it", "please", *COLOURS)


def tokenizer() -> PreTrainedTokenizerFast:
    model = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    model.pre_tokenizer = WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    return PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<pad>", eos_token="<end>", unk_token="<pad>"
    )


def trainee(seed: int = 0, dropout: float = 0.0) -> Trainee:
    """A model that knows nothing."""
    torch.manual_seed(seed)
    words = tokenizer()
    config = Qwen3Config(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        attention_dropout=dropout,
        eos_token_id=1,
        pad_token_id=0,
    )
    return Trainee(
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
