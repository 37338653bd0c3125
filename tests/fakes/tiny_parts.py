"""What tiny models of real families are made of: sizes, tokenizers of single bytes, templates."""

from __future__ import annotations

from typing import Any

import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
EYES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
SIGLIP = {**EYES, "model_type": "siglip_vision_model", "image_size": 28, "patch_size": 14}
SIGLIP["vision_use_head"] = False
CLIP = {**EYES, "model_type": "clip_vision_model", "image_size": 28, "patch_size": 14}
CLIP |= {"num_hidden_layers": 3, "projection_dim": 32}
SIZE = {"height": 28, "width": 28}
MROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
GRIDS = [[28, 56], [56, 28], [56, 56]]


def words_of(*special: str, **extra: str) -> Any:
    """A tokenizer of bytes and `special` tokens: the first pads, the second ends a turn."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*special, *alphabet])}
    made: Any = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.add_special_tokens(list(special))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=special[0],
        eos_token=special[1],
        bos_token=special[0],
        extra_special_tokens=extra,
    )


def template(image: str, video: str) -> str:
    return (
        "{% for m in messages %}{{ m['role'] + ': ' }}{% for c in m['content'] %}"
        f"{{% if c['type'] == 'image' %}}{image}{{% elif c['type'] == 'video' %}}{video}"
        "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{{ '<end>' }}{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )


def ids_of(words: Any, **tokens: str) -> dict[str, Any]:
    return {name: words.convert_tokens_to_ids(token) for name, token in tokens.items()}
