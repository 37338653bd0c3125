"""Settings of a recipe that are of a wrong kind, told in one line before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from numbers import Real
from typing import Any

from mmreason.types import UsageError

_MAY_BE_NONE = ("max_tokens", "kind_scale_decay")


def check_kinds(recipe: Any) -> None:
    """UsageError for the first setting whose kind is not that of its default."""
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        wanted = _wanted(field.name, field.default)
        if wanted is None or (value is None and field.name in _MAY_BE_NONE):
            continue
        is_right, words = _KINDS[wanted]
        if not is_right(value):
            raise UsageError(f"recipe: {field.name} must be {words}, got {value!r:.60}")


def _wanted(name: str, default: object) -> str | None:
    if name in _NAMED:
        return _NAMED[name]
    for kind in (bool, int, float):
        if type(default) is kind:
            return kind.__name__
    return None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


_KINDS: Mapping[str, tuple[Any, str]] = {
    "bool": (lambda value: isinstance(value, bool), "True or False"),
    "int": (_is_whole, "a whole number"),
    "float": (_is_number, "a number"),
    "betas": (
        lambda value: (
            isinstance(value, tuple | list)
            and len(value) == 2
            and all(_is_number(one) and 0 <= one < 1 for one in value)
        ),
        "two numbers from 0 to 1, such as (0.9, 0.999)",
    ),
    "model": (
        lambda value: (
            callable(value)
            or (bool(str(value)) and hasattr(value, "__fspath__"))
            or (isinstance(value, str) and bool(value))
        ),
        "a name, a folder, or a function that makes a Trainee",
    ),
    "sampler": (
        lambda value: value is None or callable(value),
        "a function of the Trainee that makes a sampler, such as lambda trainee: sampler",
    ),
    "objective": (
        lambda value: isinstance(value, str) or hasattr(value, "advantage"),
        "a name of objectives.PUBLISHED or an Objective",
    ),
    "overlong": (
        lambda value: value is None or hasattr(value, "buffer_tokens"),
        "Overlong(max_tokens=..., buffer_tokens=...)",
    ),
    "names": (
        lambda value: (
            isinstance(value, str)  # told elsewhere, with the tuple to write
            or (isinstance(value, tuple | list) and all(isinstance(one, str) for one in value))
        ),
        "a tuple of texts",
    ),
}
_NAMED: Mapping[str, str] = {
    "max_tokens": "int",
    "kind_scale_decay": "float",
    "betas": "betas",
    "model": "model",
    "sampler": "sampler",
    "objective": "objective",
    "overlong": "overlong",
    "freeze": "names",
    "trackers": "names",
}
"""Settings whose default does not say what they are."""
