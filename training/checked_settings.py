"""Settings of a run that check themselves: what each may be is said once, at its field.

A part of a recipe is a frozen dataclass whose fields are made with `setting` and whose
`__post_init__` calls `check_settings`. Errors are one line that names part, setting, what was
expected and what was found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any, TypeVar

from mmreason.types import UsageError

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a setting may be, in code and in words.

    Example:
        >>> WHOLE.is_right(3), WHOLE.is_right(True), WHOLE.description
        (True, False, 'a whole number')
    """

    is_right: Callable[[Any], bool]
    description: str


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _are_names(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)


def _are_betas(value: Any) -> bool:
    is_pair = isinstance(value, tuple) and len(value) == 2
    return is_pair and all(_is_number(beta) and 0 <= beta < 1 for beta in value)


FLAG = Kind(lambda value: isinstance(value, bool), "True or False")
WHOLE = Kind(lambda value: isinstance(value, int) and _is_number(value), "a whole number")
NUMBER = Kind(_is_number, "a number")
NAMES = Kind(_are_names, "a tuple of texts")
BETAS = Kind(_are_betas, "two numbers from 0 to 1, such as (0.9, 0.999)")
_BY_TYPE = {bool: FLAG, int: WHOLE, float: NUMBER}
"""For settings whose default says what they are."""


def setting(
    default: Value,
    *,
    kind: Kind | type | None = None,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[object, ...] = (),
    moves_numbers: bool = True,
    flat_name: str = "",
    came_later: bool = False,
) -> Value:
    """A field of a part of a recipe.

    `kind` is needed where the default does not say it; a class stands for its objects. None is
    right where it is the default. A run may go on with another value where the setting does not
    move any number of it (how far, where to, how often to save, how much to show). `flat_name` is
    what checkpoints and logs call the setting, where that is not the name of the field. A
    setting that came later is no part of what a run is known by while it has its default: older
    runs go on.
    """
    metadata = {
        "kind": kind or _BY_TYPE.get(type(default)),
        "least": least,
        "above": above,
        "below": below,
        "choices": choices,
        "moves_numbers": moves_numbers,
        "flat_name": flat_name,
        "came_later": came_later,
    }
    return field(default=default, metadata=metadata)


def part(kind: Callable[[], Value]) -> Value:
    """A field of a recipe that holds a record of settings; by default one of defaults."""
    return field(default_factory=kind, metadata={"kind": kind, "is_part": True})


def check_settings(record: Any, part_name: str = "") -> None:
    """UsageError for the first setting that cannot be. Lists become tuples.

    `part_name` is what the recipe calls the record; empty for the recipe itself.
    """
    for item in fields(record):
        value = getattr(record, item.name)
        if isinstance(value, list):
            value = tuple(value)
            object.__setattr__(record, item.name, value)
        if value is None and item.default is None:
            continue
        name = f"{part_name}.{item.name}" if part_name else item.name
        _check_value(name, value, item.metadata)


def _check_value(name: str, value: Any, rules: Any) -> None:
    kind, choices = rules.get("kind"), rules.get("choices")
    if isinstance(kind, type):
        kind = Kind(lambda value, cls=kind: isinstance(value, cls), f"{kind.__name__}(...)")
    if kind is NAMES and isinstance(value, str):  # what is meant is plain
        raise UsageError(f"recipe: {name} must be a tuple of texts, such as ({value!r},)")
    if kind is not None and not kind.is_right(value):
        raise UsageError(f"recipe: {name} must be {kind.description}, got {value!r:.60}")
    if choices and value not in choices:
        names = ", ".join(map(str, choices))
        raise UsageError(f"recipe: unknown {name} {value!r}; known: {names}")
    for rule, sign, holds in (
        ("least", ">=", lambda bound: value >= bound),
        ("above", ">", lambda bound: value > bound),
        ("below", "<", lambda bound: value < bound),
    ):
        bound = rules.get(rule)
        # Written so that NaN, which compares with nothing, is refused.
        if bound is not None and not holds(bound):
            raise UsageError(f"recipe: {name} must be {sign} {bound}, got {value}")
