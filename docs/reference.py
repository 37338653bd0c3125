"""Write docs/python.md: the public names of mmreason with their signatures and docstrings.

    python docs/reference.py

Reads the code, so that the page cannot say something else; a test compares them.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("python.md")
MODULES = {
    "mmreason": "Asking. Names load when they are first used; `import mmreason` is quick.",
    "mmreason.video": "Opening, timing, sampling; knows nothing of models.",
    "mmreason.video.plan": "Which frames to take, decided before anything is decoded.",
    "mmreason.grounding": "Boxes and where something is in a frame.",
    "mmreason.policies": "Who decides where to look: an argument of `Reasoner`.",
}
_LINE = 90
_HEAD = """# Python reference

Written by `python docs/reference.py` from the code; do not edit. For a first answer see the
[README](../README.md) and the [notebooks](../notebooks/01_first_answer.ipynb). Times are seconds of
presentation, spans are half-open, boxes are x1, y1, x2, y2 in pixels of the original frame. Errors
that a caller can mend are `UsageError` and `VideoError`, both `ValueError`.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [_HEAD]
    seen: set[int] = set()
    for name, about in MODULES.items():
        module = import_module(name)
        parts.append(f"## {name}\n\n{about}\n")
        for public in sorted(module.__all__, key=str.lower):
            value = getattr(module, public)
            if inspect.ismodule(value) or public.startswith("__") or id(value) in seen:
                continue
            seen.add(id(value))
            parts.append(_entry(public, value))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def _entry(name: str, value: Any) -> str:
    if inspect.isclass(value):
        return _class(name, value)
    if inspect.isfunction(value):
        return f"### {name}\n\n{_signature(name, value)}\n{_text(value)}\n"
    return f"### {name}\n\n`{value!r}`\n"


def _class(name: str, cls: type) -> str:
    parts = [f"### {name}\n"]
    if issubclass(cls, Enum):
        about = _attribute_texts(cls)
        members = ((member.name, f'`"{member.value}"`') for member in cls)
        rows = [f"| {value} | {about.get(key, '')} |" for key, value in members]
        return "\n".join(
            [*parts, _text(cls), "", "| value | meaning |", "| --- | --- |", *rows, ""]
        )
    parts.append(_text(cls) + "\n")
    if is_dataclass(cls):
        about = _attribute_texts(cls)
        rows = [
            f"| `{_field(f)}` | {about.get(f.name, '')} |" for f in fields(cls) if _public(f.name)
        ]
        parts.append("\n".join(["| field | meaning |", "| --- | --- |", *rows, ""]))
    elif "__init__" in vars(cls) and not issubclass(cls, Exception):
        parts.append(f"{_signature(name, vars(cls)['__init__'])}\n{_text(vars(cls)['__init__'])}\n")
    parts += list(_methods(name, cls))
    return "\n".join(parts)


def _methods(name: str, cls: type) -> Iterator[str]:
    for key, value in vars(cls).items():
        if not _public(key):
            continue
        if isinstance(value, property):
            yield f"**`.{key}`** {_text(value.fget)}\n"
        elif isinstance(value, classmethod | staticmethod):
            yield f"{_signature(f'{name}.{key}', value.__func__)}\n{_text(value.__func__)}\n"
        elif inspect.isfunction(value):
            yield f"{_signature(f'.{key}', value)}\n{_text(value)}\n"


def _public(name: str) -> bool:
    return not name.startswith("_") and not name.isupper()


def _signature(name: str, function: Any) -> str:
    """A Python block; an argument a line where it is long."""
    signature = inspect.signature(function)
    arguments: list[str] = []
    kinds = [p.kind for p in signature.parameters.values()]
    for i, parameter in enumerate(signature.parameters.values()):
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.kind not in kinds[:i]:
            arguments.append("*")
        arguments.append(_argument(parameter))
    returns = (
        ""
        if signature.return_annotation in (signature.empty, "None")
        else (f" -> {_name_of(signature.return_annotation)}")
    )
    text = f"{name}({', '.join(arguments)}){returns}"
    if len(text) > _LINE:
        inside = "".join(f"    {argument},\n" for argument in arguments)
        text = f"{name}(\n{inside}){returns}"
    return f"```python\n{text}\n```\n"


def _argument(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{stars}{parameter.name}: {_name_of(parameter.annotation)}{default}"


def _name_of(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


def _field(field: Field[Any]) -> str:
    default = ""
    if field.default is not MISSING:
        default = f" = {field.default!r}"
    elif field.default_factory is not MISSING:
        default = f" = {getattr(field.default_factory, '__name__', 'factory')}()"
    return f"{field.name}: {_name_of(field.type)}{default}".replace("|", "\\|")


def _text(value: Any) -> str:
    """The docstring, without a line for each name of a dataclass that has none of its own."""
    found = inspect.getdoc(value) or ""
    return "" if found.startswith(f"{getattr(value, '__name__', '')}(") else found


def _attribute_texts(cls: type) -> dict[str, str]:
    """The strings below the fields of a class and of those it is made from, as one line each."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(one)))
        except (OSError, TypeError):
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, text in pairwise(body):
            if not isinstance(text, ast.Expr) or not isinstance(text.value, ast.Constant):
                continue
            target = field.target if isinstance(field, ast.AnnAssign) else None
            if isinstance(field, ast.Assign):
                target = field.targets[0]
            if isinstance(target, ast.Name):
                found[target.id] = " ".join(str(text.value.value).split()).replace("|", "\\|")
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
