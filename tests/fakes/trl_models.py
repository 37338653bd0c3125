"""A tiny text model with a chat template for tools, saved to disk: what TRL's trainer needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mmreason.models.folders import NANO_FOLDER

WORDS = ("<tool_call>", "</tool_call>", "<think>", "</think>", "<tool_response>")


def tiny_tokenizer() -> Any:
    """nano's byte-level tokenizer with the marks and the template of Qwen3."""
    from transformers import PreTrainedTokenizerFast
    from trl.chat_template_utils import qwen3_chat_template

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(NANO_FOLDER / "tokenizer.json"),
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens(list(WORDS))
    tokenizer.chat_template = qwen3_chat_template
    return tokenizer


def save_tiny(folder: Path) -> tuple[str, Any]:
    """(path of a random Qwen3 of two thin layers, its tokenizer)."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=0.2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder), tokenizer


def config_of(folder: Path, settings: dict[str, Any]) -> Any:
    """A `GRPOConfig` for two steps on one core, with other settings on top."""
    grpo_config = pytest.importorskip("trl").GRPOConfig
    usual: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "num_generations": 4,
        "max_completion_length": 8,
        "max_steps": 1,
        "learning_rate": 1e-2,
        "report_to": [],
        "save_strategy": "no",
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        "logging_steps": 1,
        "seed": 3,
    }
    return grpo_config(**(usual | settings))
