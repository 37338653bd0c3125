"""Records as JSON and back, checked by their own annotations: what comes from a process that reads
a hostile file is not unpickled, and not believed.
"""

from __future__ import annotations

import dataclasses
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


class RecordError(ValueError):
    """A value that does not have the form of its record."""


def record_to_json(record: Any) -> dict[str, Any]:
    """A dataclass as JSON types.

    Example:
        >>> from mmreason.video.types import Chapter, Span
        >>> record_to_json(Chapter(Span(0.0, 2.5), "intro"))
        {'span': {'start_s': 0.0, 'end_s': 2.5}, 'title': 'intro'}
    """
    return dataclasses.asdict(record)


def record_from_json(kind: Any, value: Any) -> Any:
    """The record of `kind` that `value` describes: dataclasses, tuples of one kind, `Literal`,
    unions and plain types, to any depth. Raises RecordError.

    Example:
        >>> from mmreason.video.types import Chapter
        >>> record_from_json(Chapter, {"span": {"start_s": 0.0, "end_s": 2.5}, "title": "intro"})
        Chapter(span=Span(start_s=0.0, end_s=2.5), title='intro')
        >>> record_from_json(tuple[int, ...], [1, "2"])
        Traceback (most recent call last):
        ...
        mmreason.video.isolation.records.RecordError: expected int, found str
    """
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass_from_json(kind, value)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union_from_json(arguments, value)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(record_from_json(arguments[0], item) for item in value)
    if origin is Literal and value in arguments:
        return value
    # JSON has one kind of number: 2.0 may come as 2.
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is kind or (kind is type(None) and value is None):
        return value
    raise RecordError(f"expected {getattr(kind, '__name__', kind)}, found {type(value).__name__}")


def _dataclass_from_json(kind: type, value: Any) -> Any:
    if not isinstance(value, dict):
        raise RecordError(f"expected {kind.__name__}, found {type(value).__name__}")
    hints = get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}
    # All fields or none: what is missing must not take a default that hides it.
    if value.keys() != names:
        raise RecordError(f"{kind.__name__} has other fields than {', '.join(sorted(names))}")
    try:
        return kind(**{name: record_from_json(hints[name], value[name]) for name in names})
    except (TypeError, ValueError) as error:  # the record's own checks
        raise RecordError(str(error)) from error


def _union_from_json(kinds: tuple[Any, ...], value: Any) -> Any:
    for kind in kinds:
        try:
            return record_from_json(kind, value)
        except RecordError:
            continue
    raise RecordError(f"expected one of {kinds}, found {type(value).__name__}")
