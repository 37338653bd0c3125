"""Which dialects a row can be of: by its fields, then by its placeholders, then by its stage.

A row may fit several, since some read the same; the dialect of a file is the one that fits most of
its rows (`detect.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmreason.training.data.dialects.placeholders import has_placeholder
from mmreason.training.data.dialects.rows import Dialect
from mmreason.training.data.dialects.table_columns import (
    ANSWERS,
    ANY_FILE,
    FILES,
    QUESTIONS,
    find_column,
)
from mmreason.training.data.problem_file import FIELDS

_PLURAL = ("videos", "images", "audios")
_SINGULAR = ("video", "image", "audio")
_OWN_ONLY = ("kind", "choice", "number", "spans", "duration_s", "frame", "marks", "tube", "span")


@dataclass(frozen=True, slots=True)
class Recognised:
    """The dialects that a row fits, the likeliest first, and what says so.

    Example:
        >>> recognise_row({"videos": ["a.mp4"], "conversations": []}).dialects[0].value
        'sharegpt'
    """

    dialects: tuple[Dialect, ...]
    reason: str


def recognise_row(row: Mapping[str, Any]) -> Recognised:
    """What a row is by its fields; no dialect where it is none of those that are known."""
    fields = {name for name, value in row.items() if value is not None}
    if "conversations" in fields:
        return _of_conversations(row, fields)
    if "reward_model" in fields and "prompt" in fields:
        return _fits("'prompt' and 'reward_model'", Dialect.VERL)
    if "messages" in fields:
        return _of_messages(row, fields)
    if "chosen" in fields and "rejected" in fields:
        return _fits("'chosen' and 'rejected'", Dialect.TRL)
    if "prompt" in fields and (
        "completion" in fields or isinstance(row["prompt"], list) or "solution" in fields
    ):
        return _fits("'prompt'", Dialect.TRL)
    if "problem" in fields:
        return _of_problem(row, fields)
    if "question" in fields and "id" in fields and fields <= {*FIELDS}:
        others = () if fields & {*_OWN_ONLY, "columns"} else (Dialect.TABLE,)
        return _fits("'id' and 'question'", Dialect.PROBLEMS, *others)
    if "question" in fields and "id" in fields and fields & {*_OWN_ONLY}:
        return _fits("'id' and 'question'", Dialect.PROBLEMS)
    if find_column(row, QUESTIONS) and find_column(row, ANSWERS):
        return _fits("columns of questions and answers", Dialect.TABLE)
    if find_column(row, (*FILES, *ANY_FILE)) and find_column(row, ANSWERS):
        return _fits("columns of files and texts", Dialect.TABLE)
    return Recognised((), "")


def _fits(reason: str, *dialects: Dialect) -> Recognised:
    return Recognised(dialects, reason)


def _of_conversations(row: Mapping[str, Any], fields: set[str]) -> Recognised:
    if fields & {*_PLURAL}:
        name = next(name for name in _PLURAL if name in fields)
        return _fits(f"'conversations' and {name!r}", Dialect.SHAREGPT)
    if not fields & {*_SINGULAR}:
        if "chosen" in fields and "rejected" in fields:
            return _fits("'conversations', 'chosen' and 'rejected'", Dialect.SHAREGPT)
        # Text alone reads the same in all of them.
        return _fits(
            "'conversations' without files",
            Dialect.LLAVA,
            Dialect.SHAREGPT,
            Dialect.TWO_U1,
            Dialect.VLM_R1,
        )
    name = next(name for name in _SINGULAR if name in fields)
    if "accu_reward_method" in fields:
        return _fits("'conversations' and 'accu_reward_method'", Dialect.VLM_R1)
    if _texts_have_placeholder(row["conversations"]):
        return _fits(f"'conversations' and {name!r}", Dialect.LLAVA)
    return _fits(
        f"'conversations' and {name!r} without a placeholder", Dialect.TWO_U1, Dialect.VLM_R1
    )


def _of_messages(row: Mapping[str, Any], fields: set[str]) -> Recognised:
    messages = row["messages"] if isinstance(row["messages"], list) else []
    turns = [turn for turn in messages if isinstance(turn, dict)]
    if isinstance(row.get("train"), list):
        return _fits("'messages' and 'train'", Dialect.NAVIGATION)
    swift = next(
        (
            name
            for name in ("objects", "rejected_response", "rejected_messages", "solution")
            if name in fields
        ),
        None,
    )
    if swift is not None:
        return _fits(f"'messages' and {swift!r}", Dialect.MS_SWIFT)
    if any(isinstance(turn.get("content"), list) for turn in turns):
        beside = [name for name in ("images", "videos") if row.get(name)]
        if beside:
            reason = f"'messages' with typed parts, their files in {beside[0]!r}"
            return _fits(reason, Dialect.TRL, Dialect.MESSAGES)
        return _fits("'messages' with typed parts", Dialect.MESSAGES, Dialect.TRL)
    if "chosen" in fields and "rejected" in fields:
        return _fits("'messages', 'chosen' and 'rejected'", Dialect.SHAREGPT)
    has_files = any(row.get(name) for name in (*_PLURAL, *_SINGULAR))
    if has_files and _texts_have_placeholder(turns):
        # LLaMA-Factory with its tag map reads the very same row.
        return _fits(
            "'messages' with placeholders and files beside them",
            Dialect.MS_SWIFT,
            Dialect.SHAREGPT,
        )
    if has_files:
        return _fits("'messages' with files and without placeholders", Dialect.TRL)
    return _fits(
        "'messages' without files",
        Dialect.MESSAGES,
        Dialect.MS_SWIFT,
        Dialect.TRL,
        Dialect.SHAREGPT,
    )


def _of_problem(row: Mapping[str, Any], fields: set[str]) -> Recognised:
    if "path" in fields and "data_type" in fields:
        return _fits("'problem', 'path' and 'data_type'", Dialect.VIDEO_R1)
    if "answer" in fields:
        if "problem_type" in fields or isinstance(row["answer"], dict):
            return _fits("'problem', 'answer' and 'problem_type'", Dialect.ONETHINKER)
        return _fits("'problem' and 'answer'", Dialect.EASYR1, Dialect.ONETHINKER)
    if "solution" in fields:
        return _fits("'problem' and 'solution'", Dialect.VLM_R1)
    return Recognised((), "")


def _texts_have_placeholder(turns: Any) -> bool:
    texts = [
        turn.get("value", turn.get("content"))
        for turn in (turns if isinstance(turns, list) else [])
        if isinstance(turn, dict)
    ]
    return any(has_placeholder(text) for text in texts if isinstance(text, str))
