"""Settings of a recipe that are of a wrong kind, told in one line before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from numbers import Real
from typing import Any

from mmreason.types import UsageError

_MAY_BE_NONE = ("max_tokens", "kind_scale_decay")


def check_kinds(recipe: Any) -> None:
    """UsageError for the first setting whose kind is not that of its default."""
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        kind = _expected_kind(field.name, field.default)
        if kind is None or (value is None and field.name in _MAY_BE_NONE):
            continue
        is_right, description = _KINDS[kind]
        if not is_right(value):
            raise UsageError(f"recipe: {field.name} must be {description}, got {value!r:.60}")


def _expected_kind(name: str, default: object) -> str | None:
    # None and functions as defaults do not say what a setting is.
    if name in _KIND_OF:
        return _KIND_OF[name]
    for kind in (bool, int, float):
        if type(default) is kind:
            return kind.__name__
    return None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _are_betas(value: Any) -> bool:
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    return is_pair and all(_is_number(beta) and 0 <= beta < 1 for beta in value)


def _is_model(value: Any) -> bool:
    is_path = hasattr(value, "__fspath__") and bool(str(value))
    return callable(value) or is_path or (isinstance(value, str) and bool(value))


def _are_names(value: Any) -> bool:
    if isinstance(value, str):  # refused elsewhere, with the tuple to write
        return True
    return isinstance(value, tuple | list) and all(isinstance(name, str) for name in value)


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, bool), "True or False"),
    "int": (_is_whole, "a whole number"),
    "float": (_is_number, "a number"),
    "betas": (_are_betas, "two numbers from 0 to 1, such as (0.9, 0.999)"),
    "model": (_is_model, "a name, a folder, or a function that makes a PolicyModel"),
    "sampler": (
        lambda value: value is None or callable(value),
        "a function of the PolicyModel that makes a sampler, such as lambda policy: sampler",
    ),
    "objective": (
        lambda value: isinstance(value, str) or hasattr(value, "advantage"),
        "a name of objectives.PUBLISHED or an Objective",
    ),
    "overlong": (
        lambda value: value is None or hasattr(value, "buffer_tokens"),
        "Overlong(max_tokens=..., buffer_tokens=...)",
    ),
    "names": (_are_names, "a tuple of texts"),
}
"""Whether a value is right, and what is expected in words."""
_KIND_OF: Mapping[str, str] = {
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
