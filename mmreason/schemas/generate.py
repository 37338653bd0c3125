"""JSON Schemas from records: types become types, docstrings of fields become descriptions.

The rules are those of `json_values.to_json`. Leaves out which records there are (`outputs.py`).
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import textwrap
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mmreason.json_values import SCHEMA
from mmreason.schemas.outputs import Output
from mmreason.video.types import Span

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema_of(output: Output) -> dict[str, Any]:
    """The schema of one output (JSON Schema 2020-12). Other fields than these may be there: a
    version adds fields, and grows where one goes or changes its meaning."""
    shared: dict[str, Any] = {}
    body = _object(output.record, shared)
    version = {"const": SCHEMA, "description": "Version of this output."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": output.name,
        "description": f"{output.command}: {body['description']}",
        "type": "object",
        "properties": {"schema": version, **body["properties"]},
        "required": ["schema", *body["required"]],
        **({"$defs": shared} if shared else {}),
    }


def as_text(schema: Mapping[str, Any]) -> str:
    """The schema as the text of its file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _object(record: type, shared: dict[str, Any]) -> dict[str, Any]:
    hints, docs = get_type_hints(record), _field_docs(record)
    properties, required = {}, []
    for name in getattr(record, "JSON_PROPERTIES", ()):
        getter = getattr(record, name).fget
        kind = get_type_hints(getter)["return"]
        properties[name] = _described(_type(kind, shared), inspect.getdoc(getter))
        required.append(name)
    for record_field in fields(record):
        if not (record_field.metadata.get("json", True) and getattr(record, "JSON_FIELDS", True)):
            continue
        properties[record_field.name] = _described(
            _type(hints[record_field.name], shared), docs.get(record_field.name)
        )
        if not record_field.metadata.get("optional", False):
            required.append(record_field.name)
    description = _one_line(inspect.getdoc(record) or "")
    # What is left out where it is 0 cannot be required.
    if getattr(record, "JSON_WITHOUT_ZEROS", False):
        description, required = f"{description} Numbers that are 0 may be left out.", []
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": required,
    }


def _type(kind: Any, shared: dict[str, Any]) -> dict[str, Any]:
    origin, inside = get_origin(kind), get_args(kind)
    if kind is Any:
        return {}
    if kind is Span:
        pair = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
        return pair | {"description": "Start and end in seconds; the end is not included."}
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if origin is Literal:
        return {"enum": list(inside)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_type(one, shared) for one in inside]}
    if kind is type(None):
        return {"type": "null"}
    # A tuple of fixed length has a kind for each of its places.
    if origin is tuple and Ellipsis not in inside:
        exact = {"minItems": len(inside), "maxItems": len(inside)}
        return {"type": "array", "prefixItems": [_type(one, shared) for one in inside], **exact}
    if origin in (tuple, list):
        return {"type": "array", "items": _type(inside[0], shared)}
    if origin in (dict, Mapping):
        return {"type": "object"}
    assert isinstance(kind, type), f"no rule for {kind!r}"
    if issubclass(kind, Enum):
        return _enum(kind)
    assert is_dataclass(kind), f"no rule for {kind!r}"
    if kind.__name__ not in shared:
        shared[kind.__name__] = {}  # so that a record may hold others of its kind
        shared[kind.__name__] = _object(kind, shared)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _enum(kind: type[Enum]) -> dict[str, Any]:
    docs = _field_docs(kind)
    lines = [
        f"{member.value}: {_one_line(docs[member.name])}" for member in kind if member.name in docs
    ]
    return _described({"enum": [member.value for member in kind]}, " ".join(lines))


def _described(schema: dict[str, Any], text: str | None) -> dict[str, Any]:
    """The schema with a description, in front of the one it may have."""
    if not text:
        return schema
    before = schema.get("description", "")
    return schema | {"description": _one_line(f"{text} {before}")}


def _field_docs(record: type) -> dict[str, str]:
    """Docstrings that stand below the fields of a class, its bases' first."""
    docs: dict[str, str] = {}
    for base in reversed(record.__mro__):
        # Bases of the standard library have sources too, but no fields of ours.
        if not (is_dataclass(base) or issubclass(base, Enum)) or base.__module__ == "enum":
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        # What documents a field is the text that stands right behind it.
        for pair in itertools.pairwise(body.body):
            match pair:
                case (
                    ast.AnnAssign(target=ast.Name(id=name))
                    | ast.Assign(targets=[ast.Name(id=name)]),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    docs[name] = text
    return docs


def _one_line(text: str) -> str:
    """A docstring as one line, without its example: that is Python, and this is about JSON."""
    return " ".join(text.partition("\n\nExample:")[0].split())
