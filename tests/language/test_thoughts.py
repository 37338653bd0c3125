"""What a model thought is told apart from what it says."""

from __future__ import annotations

import pytest

from mmreason.language.thoughts import opens_thought, split_thought


@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("B", "", "B"),
        (" B \n", "", " B \n"),
        ("<think>a</think>B", "a", "B"),
        ("<think>\na\n</think>\n\nB\n", "a", "B"),
        ("a</think>B", "a", "B"),
        ("<think>a", "a", ""),
        ("<think>a</think>", "a", ""),
        ("<think></think>B", "", "B"),
        ("<think>a</think>b<think>c</think>D", "abc", "D"),
        ("<THINK>a</Think>B", "a", "B"),
        ("<thinking>a</thinking>B", "a", "B"),
        ("◁think▷a◁/think▷B", "a", "B"),
        ("<|channel>thought\na<channel|>B", "a", "B"),
        ("<|channel|>analysis<|message|>a<|channel|>final<|message|>B", "a", "B"),
        ("[THINK]a[/THINK]B", "a", "B"),
        ("<|START_THINKING|>a<|END_THINKING|>B", "a", "B"),
        ("I think it is B", "", "I think it is B"),
        ("a < b, think > c", "", "a < b, think > c"),
    ],
)
def test_thoughts_are_split_off(text, thought, said):
    assert split_thought(text) == (thought, said)


def test_a_thought_that_the_template_began_may_never_end():
    assert split_thought("a b", opened=True) == ("a b", "")
    assert split_thought("a</think>B", opened=True) == ("a", "B")


@pytest.mark.parametrize(
    ("prompt", "opens"),
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("assistant\n<think>", True),
        ("assistant\n<think>\n\n</think>\n\n", False),
        ("assistant\n", False),
        ("<think> was said", False),
    ],
)
def test_a_prompt_that_ends_with_the_tag_opens_a_thought(prompt, opens):
    assert opens_thought(prompt) is opens
