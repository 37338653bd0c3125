"""Splits what a model thought from what it says.

Knows the tags of Qwen, GLM, DeepSeek and MiniCPM (`<think>`), Kimi-VL, Gemma 4, gpt-oss, Magistral
and Command A.
"""

from __future__ import annotations

import re

_NAMES = r"(?:think|thinking|thought|reasoning|seed:think)"
_MARK = re.compile(
    rf"(?P<open><{_NAMES}>|◁think▷|<\|channel>thought\b|<\|channel\|>(?:analysis|commentary)"
    r"(?:<\|message\|>)?|\[THINK\]|<\|(?:begin_of_thought|START_THINKING)\|>)"
    rf"|\[/THINK\]|<\|(?:end_of_thought|END_THINKING)\|>|</{_NAMES}>|◁/think▷|<channel\|>|(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)


def split_thought(text: str, *, opened: bool = False) -> tuple[str, str]:
    """(thought, what is said after it), both without tags; "<think>a</think>B" is ("a", "B").

    `opened` tells that the chat template has written the first tag already. A thought that never
    ends leaves nothing said; where there is no thought, the text comes back as it is.
    """
    marks = list(_MARK.finditer(text))
    if not marks:
        return (text.strip(), "") if opened else ("", text)
    last = marks[-1]
    end = len(text) if last["open"] else last.start()
    thought = _MARK.sub("", text[:end]).strip()
    return thought, "" if last["open"] else text[last.end() :].strip()


def opens_thought(prompt: str) -> bool:
    """Whether the text that the model goes on from ends with the tag that begins a thought."""
    marks = list(_MARK.finditer(prompt))
    return bool(marks) and bool(marks[-1]["open"]) and not prompt[marks[-1].end() :].strip()
