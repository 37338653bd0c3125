"""docs/limits.md names the limits of the code with their numbers, and leaves none of a module out
that it names."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "limits.md"
CELLS = 5


def _rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if row[0] != "what" and not row[0].startswith("---")]


NAMED = {row[2].strip("`"): row[1] for row in _rows() if row[2]}
MODULES = sorted({name.rpartition(".")[0] for name in NAMED if name.split(".")[-2].islower()})


def _value_of(name: str) -> Any:
    """A constant of a module, or the default of a field of a record."""
    owner, _, last = name.rpartition(".")
    if owner.rpartition(".")[2].islower():
        return getattr(importlib.import_module(owner), last)
    module, _, record = owner.rpartition(".")
    fields = dataclasses.fields(getattr(importlib.import_module(module), record))
    return next(field.default for field in fields if field.name == last)


@pytest.mark.parametrize("name", NAMED)
def test_a_limit_on_the_page_is_that_of_the_code(name: str) -> None:
    number = re.match(r"[\d,.]+", NAMED[name])
    assert number, f"{name}: the page gives no number"
    assert float(number[0].replace(",", "")) == _value_of(name)


@pytest.mark.parametrize("module", MODULES)
def test_the_page_leaves_out_no_limit_of_a_module(module: str) -> None:
    found = {
        f"{module}.{name}"
        for name, value in vars(importlib.import_module(module)).items()
        if re.match(r"(MAX|MOST)_[A-Z_]+$", name) and isinstance(value, int | float)
    }
    own = {name for name in found if _is_defined_in(module, name.rpartition(".")[2])}
    assert own <= NAMED.keys(), f"not on the page: {sorted(own - NAMED.keys())}"


def _is_defined_in(module: str, name: str) -> bool:
    file = importlib.import_module(module).__file__
    assert file is not None
    return re.search(rf"^{name}\b.* = ", Path(file).read_text(), re.MULTILINE) is not None


def test_each_row_has_all_its_cells() -> None:
    assert NAMED
    assert [row[0] for row in _rows() if len(row) != CELLS or not row[3]] == []
