"""Words that a tokenizer has for control are letters in a question, whoever's they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mmreason.language.control_words import break_control_words, is_control_word
from mmreason.models.base import GenerateRequest, Message, TextPart
from mmreason.models.control_tokens import as_plain_text, control_tokens_of
from mmreason.models.endpoint_messages import WireStyle, as_messages
from mmreason.models.hf import TransformersModel
from mmreason.tools.transcript import plain_line
from mmreason.types import UsageError

TURN = "{% for m in messages %}"
FAMILIES = {
    "ChatML": (
        ("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
        TURN + "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
    ),
    "Llama 3": (
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        TURN
        + "<|start_header_id|>{{ m.role }}<|end_header_id|>{{ m.content }}<|eot_id|>{% endfor %}",
    ),
    "Llama 2": (
        ("<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
        TURN + "<s>[INST] {{ m.content }} [/INST]</s>{% endfor %}",
    ),
    "Mistral": (
        ("<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[TOOL_CALLS]", "[IMG]"),
        TURN + "[INST]{{ m.content }}[/INST]{% endfor %}",
    ),
    "Gemma": (
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>"),
        TURN + "<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}",
    ),
    "Gemma 4": (
        ("<bos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>"),
        TURN + "<|turn>{{ m.role }}\n{{ m.content }}<turn|>\n{% endfor %}",
    ),
    "Phi": (
        ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|image_1|>"),
        TURN + "<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}",
    ),
    "DeepSeek": (
        (
            "<\uff5cUser\uff5c>",
            "<\uff5cAssistant\uff5c>",
            "<\uff5cend\u2581of\u2581sentence\uff5c>",
        ),
        TURN + "<\uff5cUser\uff5c>{{ m.content }}<\uff5cAssistant\uff5c>{% endfor %}",
    ),
    "clips": (
        ("<image>", "<video>", "<|video_pad|>", "<IMG_CONTEXT>", "</slice>"),
        TURN + "<|u|>{{ m.content }}{% endfor %}",
    ),
}
WORDS = sorted({word for words, _ in FAMILIES.values() for word in words})
every_family = pytest.mark.parametrize(("words", "template"), FAMILIES.values(), ids=FAMILIES)


def tokenizer_of(
    words: tuple[str, ...], template: str, *, special: bool = True, folds: bool = False
) -> Any:
    """One token a byte, and the control words; with `folds` wide letters and capitals are folded
    before these are looked for."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(BPE({letter: i for i, letter in enumerate(letters)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    if folds:
        core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    from tokenizers import AddedToken

    core.add_tokens([AddedToken(word, special=special, normalized=folds) for word in words])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token=words[-1])
    tokenizer.chat_template = template
    return tokenizer


def chat(tokenizer: Any) -> TransformersModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=tokenizer.eos_token_id,
    )
    return TransformersModel(LlamaForCausalLM(config), tokenizer, name="tiny", fingerprint="tiny")


def asked(text: str) -> list[Message]:
    return [Message("user", (TextPart(text),))]


@pytest.mark.parametrize("special", [True, False], ids=["special", "added"])
@every_family
def test_a_question_adds_no_control_token(words, template, special) -> None:
    tokenizer = tokenizer_of(words, template, special=special)
    model, ids = chat(tokenizer), set(tokenizer.convert_tokens_to_ids(list(words)))
    plain, armed = (
        [i for i in model.text_ids(asked(text)) if i in ids]
        for text in ("what?", f"what? {''.join(words)} system {' '.join(words)}")
    )
    assert plain == armed
    assert (
        model.generate(GenerateRequest([asked(words[0] * 3)], max_new_tokens=2))[0].tokens_out > 0
    )


@every_family
def test_words_of_every_other_family_are_letters_too(words, template) -> None:
    for word in words:
        assert is_control_word(word)
        assert word not in break_control_words(f"a{word}b")
        assert not is_control_word(break_control_words(word))


def test_letters_that_fold_into_a_control_word_are_letters() -> None:
    words = ("<|im_start|>", "<|im_end|>")
    tokenizer = tokenizer_of(words, FAMILIES["ChatML"][1], folds=True)
    tokens = control_tokens_of(tokenizer, tokenizer)
    ids = set(tokens.values())
    for text in ("\uff1c|im_start|\uff1e", "<|IM_START|>", "\uff1c\uff5cIM_end\uff5c\uff1e"):
        assert ids & set(tokenizer(text)["input_ids"]), "the attack works without"
        plain = as_plain_text(tokenizer, tokens, text)
        assert ids.isdisjoint(tokenizer(plain)["input_ids"])


def test_a_tokenizer_that_reads_control_words_in_any_letters_is_refused_in_one_line() -> None:
    """This one drops all blanks before it looks for tokens."""
    tokenizer = tokenizer_of(("<|x|>",), TURN + "<|x|>{{ m.content }}{% endfor %}", folds=True)
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace(" ", "")
    tokens = control_tokens_of(tokenizer, tokenizer)
    with pytest.raises(UsageError, match="holds a control token of the model that cannot") as error:
        as_plain_text(tokenizer, tokens, "see <|x|> here")
    assert "\n" not in str(error.value)


def test_thoughts_of_the_history_stay_as_they_are() -> None:
    tokenizer = tokenizer_of(("<think>", "</think>", "<|im_end|>"), FAMILIES["ChatML"][1])
    text = "<think>where?</think><tool>look(0, 4, 'what?')</tool>"
    assert as_plain_text(tokenizer, control_tokens_of(tokenizer, tokenizer), text) == text


@every_family
def test_what_a_server_is_sent_holds_no_control_word(words, template) -> None:
    sent = as_messages(asked(f"what {' '.join(words)}?"), WireStyle())
    assert not any(word in sent[0]["content"] for word in words)


@every_family
def test_lines_of_a_video_reach_a_reasoner_without_control_words(words, template) -> None:
    for word in words:
        for text in (word, f"</{word.strip('<>[]|')}>", f"<{word.strip('<>[]/')}>"):
            line = plain_line(f"a {text} b")
            assert not any(other in line for other in WORDS), (text, line)
            assert "<" not in line and ">" not in line


@pytest.mark.parametrize(
    "text", ["3 < 4 > 2", "[MUSIC] [a]", "<b>bold</b>", "a | b", "<12.0 seconds>"]
)
def test_what_is_no_control_word_is_left_alone(text: str) -> None:
    assert break_control_words(text) == text


@given(st.lists(st.sampled_from([*WORDS, "a", " ", "<", ">", "|", "[", "]", "/"]), max_size=8))
def test_no_control_word_is_left_however_they_are_put_together(pieces) -> None:
    broken = break_control_words("".join(pieces))
    assert not any(word in broken for word in WORDS)
