"""The examples in docstrings print what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOTS = {
    "mmreason": "mmreason",
    "video": "mmreason.video",
    "grounding": "mmreason.grounding",
    "training": "mmreason.training",
}


def _modules_with_examples() -> list[str]:
    """Import names of the modules that have a `>>>`."""
    names = []
    for folder, package in ROOTS.items():
        links = [link for link in (ROOT / folder).iterdir() if link.is_symlink()]
        for file in sorted((ROOT / folder).rglob("*.py")):
            if any(link in file.parents for link in links):
                continue
            if ">>> " in file.read_text(encoding="utf-8"):
                parts = file.relative_to(ROOT / folder).with_suffix("").parts
                names.append(".".join([package, *parts]).removesuffix(".__init__"))
    return names


@pytest.mark.parametrize("name", _modules_with_examples())
def test_examples_of_docstrings_print_what_they_show(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    assert any(test.examples for test in doctest.DocTestFinder().find(module))
    assert doctest.testmod(module).failed == 0
