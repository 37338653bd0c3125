"""What moves a number in a run, as text by name: settings, data with their truths, rewards with the
code that they are made of. A run goes on only with the same; what changed can be told.

Which settings move no number is said at the fields of a recipe and its parts. The model is
identified by the fingerprint of its weights, libraries by their versions. `checkpoint.py` keeps all
this.
"""

from __future__ import annotations

import hashlib
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

_BY_NAME = ("model", "sampler")
_PROBLEMS_LIMIT = 10_000
"""Problems looked at of a task that is no dataclass."""
_SHOWN = 60
"""Characters up to which a value is kept as it is; of longer ones a digest is."""
_ENDS_BYTES = 2**16
"""Read at either end of a video."""
_THIRD_PARTY = tuple(
    str(Path(sysconfig.get_path(name))) for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def iter_settings(recipe: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of all settings of a recipe that move a number, those of its parts among the
    others."""
    parts = [item for item in fields(recipe) if item.metadata.get("is_part")]
    for record in (recipe, *(getattr(recipe, owner.name) for owner in parts)):
        for item in fields(record):
            rules = item.metadata
            if not rules.get("moves_numbers", True) or rules.get("is_part"):
                continue
            if not (rules.get("came_later") and getattr(record, item.name) == _default_of(item)):
                yield rules.get("flat_name") or item.name, getattr(record, item.name)


def describe_settings(recipe: Any) -> dict[str, str]:
    """Name -> value, of tasks one a part (`task.problems`, `task.reward`). The same in every
    process."""
    # Bytecode, which stands for functions below, is another in each version.
    settings: dict[str, str] = {"python": ".".join(map(str, sys.version_info[:2]))}
    for name, value in iter_settings(recipe):
        if name in _BY_NAME:
            settings[name] = _shorten(_name_of(value))
        elif hasattr(value, "episodes"):
            for task_part, described in _iter_task_settings(value):
                settings[f"{name}.{task_part}"] = _shorten(described)
        else:
            settings[name] = _shorten(_Description().of(value))
    return settings


def digest_settings(recipe: Any) -> str:
    """Identifies all of that."""
    return hashlib.sha256(repr(sorted(describe_settings(recipe).items())).encode()).hexdigest()


def describe_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """One phrase for each setting that is another: "learning_rate was 1e-05, is 1e-06"."""
    changes = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if old is None or new is None:
            changes.append(f"{name} is {'new' if old is None else 'gone'}")
        # Two digests say that something changed, and nothing of what.
        elif old.startswith("#") or new.startswith("#"):
            changes.append(f"{name} changed")
        else:
            changes.append(f"{name} was {old}, is {new}")
    return changes


def _iter_task_settings(task: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a task; its code besides."""
    yield "kind", type(task).__qualname__
    yield "code", _Description().code_of_class(type(task))
    if is_dataclass(task):
        for field in fields(task):
            value = getattr(task, field.name)
            # A list and a tuple of the same problems are the same data.
            if field.name == "problems":
                value = list(value)
            yield field.name, _Description().of(value)
        return
    # Any other object: what it holds, and the problems that it gives.
    yield "settings", _Description().of(vars(task))
    count = len(task)
    yield "count", count
    problems = [task.problem(i) for i in range(min(count, _PROBLEMS_LIMIT))]
    yield "problems", _Description().of(problems)


def _default_of(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def _shorten(described: Any) -> str:
    # A text that begins like a digest is digested too: no setting can pass for another.
    text = repr(described)
    if len(text) <= _SHOWN and not text.startswith("#"):
        return text
    return "#" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _name_of(value: Any) -> Any:
    if isinstance(value, partial):
        arguments = [_name_of(argument) for argument in value.args]
        return ("partial", _name_of(value.func), arguments, sorted(value.keywords.items()))
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Path):
        return str(value)
    return getattr(value, "__qualname__", type(value).__qualname__)


class _Description:
    """Values as plain ones whose `repr` is the same in every process. Functions and objects that
    are met a second time are named and not described again, and so is what holds itself."""

    def __init__(self) -> None:
        self._met: dict[int, Any] = {}
        self._inside: set[int] = set()

    def of(self, value: Any) -> Any:
        """The description of any value."""
        # First, since members of some enumerations are integers or strings as well.
        if isinstance(value, Enum):
            return (type(value).__qualname__, value.name)
        if value is None or isinstance(value, str | int | float | bool | bytes):
            return value
        if isinstance(value, Path | re.Pattern | range | complex):
            return str(value)
        if isinstance(value, torch.Tensor | np.ndarray):
            return _describe_array(value)
        if isinstance(value, ModuleType):
            return value.__name__
        name = getattr(value, "__qualname__", type(value).__qualname__)
        # A reward's own model: its weights are too many to be read at every start.
        if isinstance(value, torch.nn.Module):
            return (name, sum(p.numel() for p in value.parameters()))
        if id(value) in self._met or id(value) in self._inside:
            return name
        # Of equal tuples it is chance which are one object: they are described every time.
        if isinstance(value, FunctionType) or type(value).__module__ != "builtins":
            self._met[id(value)] = value  # held, so that its id is not given to another
        self._inside.add(id(value))
        try:
            return self._of_compound(value)
        finally:
            self._inside.discard(id(value))

    def _of_compound(self, value: Any) -> Any:
        # Containers by their content, in an order that no hash decides.
        if isinstance(value, Mapping):
            # By text, since keys of different types have no order among themselves.
            return sorted(((repr(self.of(k)), self.of(v)) for k, v in value.items()), key=repr)
        if isinstance(value, set | frozenset):
            return sorted((self.of(item) for item in value), key=repr)
        if isinstance(value, partial):
            return ("partial", self.of(value.func), self.of(value.args), self.of(value.keywords))
        # Callables by what they call and what is bound to them.
        if isinstance(value, MethodType):
            return (self.of(value.__func__), self.of(value.__self__))
        if isinstance(value, FunctionType):
            return self._of_function(value)
        if isinstance(value, type | BuiltinFunctionType):
            return value.__qualname__
        if hasattr(value, "__wrapped__"):  # a cached function
            return self.of(value.__wrapped__)
        name = type(value).__qualname__
        if is_dataclass(value):
            # A field that came later says nothing until it is used: older runs go on.
            described = [
                (f.name, self.of(getattr(value, f.name)))
                for f in fields(value)
                if f.metadata.get("moves_numbers", True)
                and not (f.metadata.get("came_later") and getattr(value, f.name) == _default_of(f))
            ]
            # A problem's video may be another under the same name.
            if name == "Problem" and (video := getattr(value, "video", None)) is not None:
                described.append(("frames", describe_file(Path(video))))
            code = self.code_of_class(type(value)) if callable(value) else ()
            return (name, described, code)
        if isinstance(value, Sequence):
            return [self.of(item) for item in value]
        return (name, self.code_of_class(type(value)), self.of(getattr(value, "__dict__", {})))

    def code_of_class(self, kind: type) -> Any:
        """The methods of a class of the user's or of ours."""
        if not _is_followed(kind.__module__):
            return kind.__qualname__
        methods = []
        for name, value in sorted(vars(kind).items()):
            # Properties and static methods wrap the function that has the code.
            value = value.fget if isinstance(value, property) else value
            value = getattr(value, "__func__", value)
            # What dataclasses write for a class has no file, and follows from its fields.
            if isinstance(value, FunctionType) and value.__code__.co_filename != "<string>":
                methods.append((name, self.of(value)))
        return methods

    def _of_function(self, function: FunctionType) -> Any:
        if not _is_followed(function.__module__):
            return (function.__module__, function.__qualname__)
        # What it does, and all that it can reach: closure, defaults and globals by name.
        code = function.__code__
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        used = [name for name in _global_names(code) if name in function.__globals__]
        return (
            function.__qualname__,
            _describe_code(code, function.__doc__),
            self.of(function.__defaults__),
            self.of(function.__kwdefaults__),
            [self.of(content) for content in cells],
            [(name, self.of(function.__globals__[name])) for name in used],
        )


def _is_followed(module: str | None) -> bool:
    """Whether a module's code is described: of ours and of the user's, not of libraries."""
    root = (module or "").partition(".")[0]
    file = getattr(sys.modules.get(root), "__file__", None)
    return root in ("mmreason", "__main__") or not (file or "").startswith(_THIRD_PARTY)


def _global_names(code: CodeType) -> list[str]:
    """Names of globals that code may use, inner functions included."""
    inner = [
        name
        for constant in code.co_consts
        if isinstance(constant, CodeType)
        for name in _global_names(constant)
    ]
    return sorted({*code.co_names, *inner})


def _describe_code(code: CodeType, doc: str | None) -> Any:
    """What code does, without its comments, docstring and place in the file."""
    constants = [
        _describe_code(constant, None)
        if isinstance(constant, CodeType)
        else sorted(map(repr, constant))
        if isinstance(constant, frozenset)
        else repr(constant)
        for constant in code.co_consts
        if doc is None or constant != doc
    ]
    digest = hashlib.sha256(code.co_code).hexdigest()[:16]
    return (digest, constants, code.co_names, code.co_varnames[: code.co_argcount])


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - raises where it is empty
    except ValueError:
        return False
    return True


def _describe_array(value: Any) -> tuple[str, str, str]:
    array = value.detach().cpu() if isinstance(value, torch.Tensor) else torch.from_numpy(value)
    raw = array.contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return (str(array.dtype), str(tuple(array.shape)), hashlib.sha256(raw).hexdigest()[:16])


def describe_file(path: Path) -> str:
    """Of what a file holds: its size and either end of it. Empty where there is none."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            ends = file.read(_ENDS_BYTES)
            file.seek(max(0, size - _ENDS_BYTES))
            ends += file.read()
    except OSError:
        return ""
    return f"{size} {hashlib.sha256(ends).hexdigest()[:16]}"
