"""What all dialects share: their names, and the fields that many of them have."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from mmreason.models.base import Role
from mmreason.training.data.dialects.own_key import OWN_KEY, apply_own_key
from mmreason.training.data.dialects.row_errors import BadRow, describe
from mmreason.training.data.sample import Sample, SampleMessage, SourceLine
from mmreason.training.rewards import Truth
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

MOST_ID_LETTERS = 1_000
"""Of the id of a row."""
ID_FIELDS = ("id", "problem_id", "sample_id", "question_id", "uid")
CHANNEL_FIELDS = ("channel", "data_source")
TRANSCRIPT_FIELD = "transcript"


class Dialect(StrEnum):
    """In which fields a data set keeps its rows; docs/own_data.md has each."""

    PROBLEMS = "problems"
    """Our own problem files."""
    NAVIGATION = "navigation"
    """Steps of plays as `mmreason data navigation` writes them."""
    LLAVA = "llava"
    """LLaVA, and the fine-tuning scripts of Qwen-VL."""
    TWO_U1 = "2u1"
    """Qwen-VL-Series-Finetune by 2U1 in its GRPO stage, which has no placeholders; its other stages
    read LLaVA's rows."""
    SHAREGPT = "sharegpt"
    """LLaMA-Factory."""
    MS_SWIFT = "ms-swift"
    MESSAGES = "messages"
    """Messages of OpenAI and Hugging Face, with typed parts."""
    VIDEO_R1 = "video-r1"
    EASYR1 = "easyr1"
    VERL = "verl"
    ONETHINKER = "onethinker"
    TRL = "trl"
    VLM_R1 = "vlm-r1"
    COCO = "coco"
    VIDSTG = "vidstg"
    CHARADES_STA = "charades-sta"
    TABLE = "table"
    """Columns with common names: CSV, TSV, and folders of Hugging Face `datasets`."""


def read_dialect(name: str) -> Dialect:
    """A dialect by its name. Raises UsageError for one that is not known."""
    if name not in list(Dialect):
        raise UsageError(f"unknown dialect {show_line(name)[:40]!r}; known: {', '.join(Dialect)}")
    return Dialect(name)


@dataclass(frozen=True, slots=True)
class TurnTags:
    """How a ShareGPT file names the fields of a turn and its speakers.

    Example:
        >>> TurnTags(role_field="role", content_field="content", user="user").content_field
        'content'
    """

    role_field: str = "from"
    content_field: str = "value"
    user: str = "human"
    assistant: str = "gpt"
    system: str = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowContext:
    """Where a row stands, and from where its paths are meant.

    Example:
        >>> RowContext(source=SourceLine("a.json", 3), root=Path("/data")).row_id
        'a.json#3'
    """

    source: SourceLine
    root: Path
    """Folder that relative paths start from."""
    packed_index: int | None = None
    """Its place, from 1, in a row that packs several."""
    tags: TurnTags | None = None
    """Of ShareGPT, where `dataset_info.json` says them."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Of ShareGPT: what stands under which name, where `dataset_info.json` says it."""

    @property
    def row_id(self) -> str:
        """The id of a row that has none."""
        name = f"{Path(self.source.file).name}#{self.source.row}"
        return name if self.packed_index is None else f"{name}.{self.packed_index}"


def make_sample(
    row: Mapping[str, Any],
    context: RowContext,
    messages: Sequence[SampleMessage],
    truth: Truth,
    *,
    used: Collection[str],
    rejected: Sequence[SampleMessage] = (),
    channel: str | None = None,
) -> Sample:
    """A sample with its id, channel and transcript; fields that are not `used` are free columns.
    Raises BadRow."""
    id_field = next((name for name in ID_FIELDS if has_value(row, name)), None)
    # What is no text under such a name is something else, and a free column.
    texts = {name for name in (*CHANNEL_FIELDS, TRANSCRIPT_FIELD) if isinstance(row.get(name), str)}
    channel_field = next((name for name in CHANNEL_FIELDS if name in texts and row[name]), None)
    known = {*used, id_field, channel_field, OWN_KEY, *({TRANSCRIPT_FIELD} & texts)}
    # A null says nothing: tables and Parquet have one wherever a row lacks a column.
    columns = {
        name: to_json_value(v, name)
        for name, v in row.items()
        if name not in known and v is not None
    }
    if not any(message.text.strip() or message.media for message in messages):
        raise BadRow("says nothing: no message has a text or a file")
    sample = Sample(
        id=context.row_id if id_field is None else read_id(row, id_field),
        messages=tuple(messages),
        truth=replace(truth, columns=columns),
        rejected=tuple(rejected),
        transcript=row[TRANSCRIPT_FIELD] if TRANSCRIPT_FIELD in texts else "",
        channel=channel or ("" if channel_field is None else read_text(row, channel_field)),
        columns=columns,
        source=context.source,
    )
    return apply_own_key(sample, row.get(OWN_KEY))


def has_value(row: Mapping[str, Any], name: str) -> bool:
    """Whether something stands under `name`: no null, and no empty text or list."""
    return row.get(name) is not None and row[name] not in ("", [], {})


def to_json_value(value: Any, name: str) -> Any:
    """A value of a table as JSON types: dates and decimals as text. Raises BadRow for numbers that
    are not finite, and for bytes."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadRow(f"{name!r} holds {value}, expected a finite number")
        return value
    if isinstance(value, dict):
        return {str(key): to_json_value(item, name) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_value(item, name) for item in value]
    if isinstance(value, bytes):
        raise BadRow(f"{name!r} holds {len(value):,} bytes, which no column of ours can")
    return str(value)


def read_id(row: Mapping[str, Any], name: str) -> str:
    """An id: a text or a whole number. Raises BadRow."""
    value = row[name]
    if isinstance(value, float) and value.is_integer():
        # Tables with a gap in the column keep whole numbers so.
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRow(f"{name!r} must be a text or a whole number, found {describe(value)}")
    text = str(value)
    if not text.strip() or len(text) > MOST_ID_LETTERS:
        raise BadRow(f"{name!r} must have 1 to {MOST_ID_LETTERS:,} letters, found {describe(text)}")
    return text


def read_text(row: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    """A text; `default` where nothing is there. Raises BadRow."""
    value = row.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise BadRow(f"{name!r} must be a text, found {describe(value)}")
    return value


def read_list(row: Mapping[str, Any], name: str) -> list[Any]:
    """A list; empty where nothing is there. Raises BadRow."""
    value = row.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRow(f"{name!r} must be a list, found {describe(value)}")
    return value


_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "tool": "tool",
    "tool_response": "tool",
    "observation": "tool",
    "function_response": "tool",
    # ShareGPT's turn in which the model calls a tool.
    "function_call": "assistant",
    "tool_call": "assistant",
}
"""What speakers are called, in all dialects."""


def read_role(value: Any, tags: TurnTags | None = None) -> Role:
    """Who speaks. Raises BadRow for a name that is not known."""
    if tags is not None:
        by_tag: dict[str, Role] = {
            tags.user: "user",
            tags.assistant: "assistant",
            tags.system: "system",
        }
        if isinstance(value, str) and value in by_tag:
            return by_tag[value]
    if not isinstance(value, str) or value not in _ROLES:
        names = ", ".join(dict.fromkeys(_ROLES))
        raise BadRow(f"a speaker must be one of {names}; found {describe(value)}")
    return _ROLES[value]


def read_learnt(turn: Mapping[str, Any]) -> bool | None:
    """Whether the loss of a turn counts (ms-swift: `loss`, OpenAI: `weight`); None where it does
    not say. Raises BadRow."""
    value = next((turn[name] for name in _LOSS_FIELDS if turn.get(name) is not None), None)
    if value is None:
        return None
    if value not in (0, 1):
        raise BadRow(f"the loss of a message must be true or false, found {describe(value)}")
    return bool(value)


_LOSS_FIELDS = ("loss", "loss_scale", "weight")


def check_turns(messages: Sequence[SampleMessage]) -> None:
    """Raise BadRow where the conversation cannot be meant so: no message, the system's not first,
    two of the assistant's one after the other, or an answer that is empty."""
    if not messages:
        raise BadRow("has no message")
    for index, message in enumerate(messages):
        if message.role == "system" and index:
            raise BadRow(f"message {index + 1} is the system's, which must be the first")
        if message.role == "assistant" and not message.text.strip():
            raise BadRow(f"message {index + 1}, the assistant's, is empty")
        if index and message.role == "assistant" == messages[index - 1].role:
            raise BadRow(f"messages {index} and {index + 1} are both the assistant's")
