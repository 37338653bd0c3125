"""Takes an answer out of what it is wrapped in: tags, boxes, JSON, Markdown, LaTeX, quotes.

Leaves out what the answer means (`answer_reading.py`).
"""

from __future__ import annotations

import json
import re

from mmreason.language.negation import Clauses

_TAG = re.compile(r"<(/?)(answer|tool)>", re.IGNORECASE)
_BOX_TOKENS = re.compile(r"<\|begin_of_box\|>(.*?)(?:<\|end_of_box\|>|$)", re.DOTALL)
_BOXED = re.compile(r"\\f?box(?:ed)?\s*\{")
_MATH = re.compile(r"\\[()\[\]]|\$|[*_`]{1,3}")
_KEYS = ("answer", "finalanswer", "correctanswer", "choice", "option", "prediction", "答案")
_KEY_VALUE = re.compile(
    r"""["'](?:final[_ ]?|correct[_ ]?)?(?:answer|choice|option|prediction|答案)["']\s*:\s*"""
    r"""(?:"([^"\n]*)"|'([^'\n]*)'|([\w.-]+))""",
    re.IGNORECASE,
)
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "„": "“", "«": "»", "「": "」", "『": "』"}
_REWRITES = tuple(
    (re.compile(pattern, re.DOTALL | re.MULTILINE | re.IGNORECASE), into)
    for pattern, into in (
        (r"[\u200b-\u200f\u2060-\u2064\ufeff\u00ad]", ""),
        (r"```[\w-]*\n(.*?)(?:```|\Z)", r"\1"),
        (r"~~[^~\n]*~~|<(?:s|del|strike)>[^<>\n]*</(?:s|del|strike)>", ""),
        (r"</?(?:choice|option|final_answer|response|result)>", ""),
        (r"<br\s*/?>", "\n"),
        (r"<\|[\w-]+\|>|</s>", ""),
        (r"<(b|i|u|p|em|strong|code|span|mark|h\d|li)>([^<]*)</\1>", r"\2"),
        (r"\\(?:text|mathrm|mathbf|textbf|textit|mbox|mathit|operatorname)\s*\{([^{}]*)\}", r"\1"),
        (r"\\[()\[\]]|\$\$", ""),
        (r"\$(?=\S)([^$\n]{1,80})(?<=\S)\$(?!\d)", r"\1"),
        (r"\\([%$&#_{} ,])", r"\1"),
        (r"^[ \t]*(?:#{1,6}|>|[-*+•])[ \t]+", ""),
        (r"(\*{2,3}|_{2,3})(?=\S)([^\n]{1,300}?)(?<=\S)\1", r"\2"),
        (r"(?<![A-Za-z0-9*_])([*_])(?=[^\s*_])([^*_\n]+)(?<=\S)\1(?![A-Za-z0-9*_])", r"\2"),
        (r"\*\*|`+", ""),
    )
)


def tagged_answer(text: str) -> str:
    """What stands in the last `<answer>`, closed or not, or all of it where there are no such
    tags. Empty where a `<tool>` is opened last: that is a call, no answer."""
    tags = list(_TAG.finditer(text))
    opened = [index for index, tag in enumerate(tags) if not tag.group(1)]
    if not opened:
        return _TAG.sub("", text).strip() if tags else text.strip()
    last = tags[opened[-1]]
    if last.group(2).lower() != "answer":
        return ""
    end = tags[opened[-1] + 1].start() if opened[-1] + 1 < len(tags) else len(text)
    return text[last.end() : end].strip()


def unwrap_markup(text: str) -> str:
    """The text without what it is wrapped in: `\\boxed{\\text{blue}}`, `{"answer": "blue"}` and
    `**blue**` are all "blue". Of several boxes the last counts."""
    for _ in range(3):
        inner = _boxed(text)
        if inner is None:
            inner = _json_value(text)
        if inner is None or inner == text:
            break
        text = inner
    for _ in range(2):  # bold inside italics
        for pattern, into in _REWRITES:
            text = pattern.sub(into, text)
    return _unquoted(text.strip())


def _boxed(text: str) -> str | None:
    tokens = _BOX_TOKENS.findall(text)
    if tokens:
        return tokens[-1].strip()
    opened = list(_BOXED.finditer(text))
    if not opened:
        return None
    start, depth = opened[-1].end(), 1
    end = len(text)
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if not depth:
            end = position
            break
    inner = text[start:end].strip()
    before = _MATH.sub("", text[: opened[-1].start()])
    around = before + inner + _MATH.sub("", text[end + 1 :])
    is_denied = Clauses.of(around).denies(len(before), len(before) + len(inner))
    return around if is_denied else inner


def _json_value(text: str) -> str | None:
    """The value of the key that holds an answer, in JSON or in what was meant to be JSON."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        parsed = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        pairs = list(_KEY_VALUE.finditer(text, start, end))
        return (
            None if not pairs else next(group for group in pairs[-1].groups() if group is not None)
        )
    values = {re.sub(r"[\W_]", "", key).lower(): item for key, item in parsed.items()}
    value = next((values[key] for key in _KEYS if key in values), None)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, str | int | float) else None


def _unquoted(text: str) -> str:
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text
