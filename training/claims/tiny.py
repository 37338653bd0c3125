"""A language model of some 50,000 parameters and a vocabulary of whole words.

Small enough that a step of reinforcement learning takes a tenth of a second on one core. What
it is taught is in `start`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.rollouts.codec import TextCodec

PAD, END, UNKNOWN = "<pad>", "<end>", "<unk>"
PAD_ID, END_ID = 0, 1
LONGEST = 256
"""Tokens of prompt and answer together."""


def make_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """One token a word, words are parted by blanks. Ids follow the order of `words`."""
    vocabulary = {word: i for i, word in enumerate((PAD, END, UNKNOWN, *words))}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def make_model(
    tokenizer: PreTrainedTokenizerFast, *, seed: int, width: int = 48
) -> LlamaForCausalLM:
    """Two layers of four heads; the same weights for the same seed, whatever ran before."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=width // 4,
        max_position_embeddings=LONGEST,
        tie_word_embeddings=True,
        pad_token_id=PAD_ID,
        bos_token_id=None,
        eos_token_id=END_ID,
        use_cache=True,
    )
    # The seed of the weights must not move other random numbers.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def save_model(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """As `load_model` reads it back."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_model(folder: Path) -> PolicyModel:
    """The model in `folder` as the trainer takes it."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder)
    # Starts of one name and other weights must not be taken for each other.
    weights = (folder / "model.safetensors").read_bytes()
    return PolicyModel(
        model=model,
        tokenizer=tokenizer,
        codec=TextCodec(tokenizer),
        end_ids=(END_ID,),
        pad_id=PAD_ID,
        name=folder.name,
        fingerprint=hashlib.blake2b(weights, digest_size=8).hexdigest(),
    )
