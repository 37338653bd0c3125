"""Names that a reader has to rely on: one class a name, and files that docstrings speak of."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("video", "grounding", "mmreason", "training")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def _paths(folder: str) -> list[str]:
    """Files below `folder` as paths in the repository, without what links lead to."""
    linked = [link for link in (ROOT / folder).iterdir() if link.is_symlink()]
    return [
        file.relative_to(ROOT).as_posix()
        for file in sorted((ROOT / folder).rglob("*.py"))
        if not any(link in file.parents for link in linked)
    ]


@cache
def _modules(folder: str) -> dict[str, ast.Module]:
    return {path: ast.parse((ROOT / path).read_text(encoding="utf-8")) for path in _paths(folder)}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_two_public_classes_of_a_folder_share_a_name(folder: str) -> None:
    homes = defaultdict(list)
    for path, module in _modules(folder).items():
        for node in module.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(path)
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("folder", [*FOLDERS, "tests", "benchmarks", "docs"])
def test_files_that_docstrings_name_exist(folder: str) -> None:
    known = [path for part in (*FOLDERS, "tests", "benchmarks", "docs") for path in _paths(part)]
    missing = [
        f"{path}: {name}"
        for path, module in _modules(folder).items()
        for node in ast.walk(module)
        if isinstance(node, DOCUMENTED)
        for name in re.findall(r"`([\w/]+\.py)`", ast.get_docstring(node) or "")
        if not any(f"/{file}".endswith(f"/{name}") for file in known)
    ]
    assert missing == []
