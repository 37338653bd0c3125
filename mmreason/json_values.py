"""Records as JSON values, by one rule for all of them.

Times are rounded to microseconds, probabilities to four digits, a `Span` is `[start, end]`. Leaves
out the schemas of these values (`schemas/`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from mmreason.video.plain_text import escape_hidden
from mmreason.video.types import Span

SCHEMA = 2
"""Version of every JSON output: it grows where a field goes or changes its meaning."""

_DIGITS = 6
_PROBABILITY_DIGITS = 4


def with_schema(values: Mapping[str, Any]) -> dict[str, Any]:
    """One JSON output, with the version of its schema in front."""
    return {"schema": SCHEMA, **values}


def to_json(value: Any, name: str = "") -> Any:
    """JSON types only. A record becomes an object of its fields, without those that are marked
    `metadata={"json": False}`, with the properties that its `JSON_PROPERTIES` names, and of these
    alone where its `JSON_FIELDS` is False; one with `JSON_WITHOUT_ZEROS` leaves out its numbers
    that are 0."""
    if isinstance(value, Span):
        return value.to_list()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return round(value, _PROBABILITY_DIGITS if name == "confidence" else _DIGITS)
    if isinstance(value, Mapping):
        return {str(key): to_json(item, str(key)) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item, name) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    return value


def encode_json(
    value: Mapping[str, Any], *, indent: int | None = None, ascii_only: bool = False
) -> str:
    """`value` as JSON that any reader takes and any terminal may show: hidden characters are
    escaped, half a surrogate pair is U+FFFD, a number that is not finite is null, and what is no
    JSON type (a path) is its text.

    Example:
        >>> encode_json({"name": "a\\x9bb", "share": float("nan")})
        '{"name": "a\\\\u009bb", "share": null}'
    """
    text = json.dumps(_finite(value), indent=indent, ensure_ascii=False, default=str)
    text = escape_hidden(text)
    # Beyond the basic plane a character takes two escapes, which `json.dumps` writes.
    return re.sub("[^\x00-\x7f]", _escape, text) if ascii_only else text


def _escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_finite(item) for item in value]
    return value


def _object(record: Any) -> dict[str, Any]:
    names = [*getattr(record, "JSON_PROPERTIES", ())]
    if getattr(record, "JSON_FIELDS", True):
        names += [field.name for field in fields(record) if field.metadata.get("json", True)]
    values = {name: to_json(getattr(record, name), name) for name in names}
    if getattr(record, "JSON_WITHOUT_ZEROS", False):
        return {name: value for name, value in values.items() if value != 0}
    return values
