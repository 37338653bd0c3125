"""Pages for those who change the code: their examples run, their names and files exist.

`make docs` builds the site and fails on broken links; here are the parts that need no generator.
"""

import ast
import importlib.util
import re
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FOLDERS = ("video", "grounding", "mmreason", "training")


def _build_script() -> ModuleType:
    """docs/build.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("build_docs", ROOT / "docs" / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _defined_names() -> frozenset[str]:
    """Classes, functions and aliases at the top level of all modules."""
    names = set()
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef):
                    names.add(node.name)
                elif isinstance(node, ast.Assign):
                    names.update(name.id for name in node.targets if isinstance(name, ast.Name))
    return frozenset(names)


def _glossary() -> str:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return page.split("## Glossary")[1].split("\n## ")[0]


def test_every_name_of_the_glossary_is_in_the_code() -> None:
    rows = re.findall(r"^\| (?!term|---).*\|$", _glossary(), re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert len(rows) > 25 and len(names) > 50
    assert [name for name in names if name not in _defined_names()] == []


def test_the_names_and_files_of_the_architecture_page_exist() -> None:
    text = re.sub(r"```.*?```|^\| .*", "", ARCHITECTURE, flags=re.MULTILINE | re.DOTALL)
    files = re.findall(r"`([\w/]+/(?:\w+\.py)?)`", text)
    assert len(files) > 15
    assert [file for file in files if not (ROOT / file).exists()] == []
    names = re.findall(r"`([A-Z][A-Za-z]+|answer_loop|\w+_\w+)`", text)
    assert len(names) > 25
    assert [name for name in names if name not in _defined_names()] == []


def test_the_picture_of_the_architecture_has_every_folder() -> None:
    """Of mmreason/ and training/, but those that hold no code of one level."""
    picture = (ROOT / "docs" / "pictures" / "architecture.svg").read_text(encoding="utf-8")
    drawn = " ".join(re.findall(r'class="t">([^<]*)<', picture))
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {name.split(".")[-1] for name in packages["packages"] if name.count(".") <= 2}
    inner = {"backends", "content", "isolation", "plan", "subtitles", "world"}  # of video/
    inner |= {"audio", "encoders", "labels", "screen_text", "speech"}
    # of grounding/, and the evaluation of one of them
    inner |= {"detectors", "dialects", "drawing", "formats", "half_truths", "metrics", "refadv"}
    inner |= {"tracking"}
    inner |= {
        "mmreason",
        "training",
        "schemas",
        "nano",
        "nano_grounding",
        "nano_reinforced",
        "notes_reader",
        "scripted_pair",
        "navigation",
    }
    assert sorted(name for name in folders - inner if name not in drawn) == []


def test_the_examples_of_the_architecture_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", ARCHITECTURE, re.DOTALL)
    assert len(blocks) == ARCHITECTURE.split("## How to add")[1].count("\n### ")
    exec(compile("\n".join(blocks), "docs/architecture.md", "exec"), {"__name__": "architecture"})


def test_every_link_of_the_site_leads_to_a_page_of_it(tmp_path: Path) -> None:
    _build_script().gather_pages(tmp_path)
    broken = [
        f"{page.relative_to(tmp_path)}: {link}"
        for page in tmp_path.rglob("*.md")
        if page.suffixes != [".py", ".md"]  # code may hold what looks like a link
        for link in re.findall(r"\]\((?!\w+:)([^)#\s]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).is_file()
    ]
    assert broken == []
    assert (tmp_path / "notebooks" / "01_first_answer.ipynb.md").is_file()


def test_the_reference_has_a_page_for_each_package() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert sorted(["mmreason", *_build_script().package_names()]) == sorted(packages["packages"])


def test_the_navigation_of_the_site_has_every_page_of_docs() -> None:
    navigation = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    pages = [page.name for page in (ROOT / "docs").glob("*.md")]
    assert [name for name in pages if f'"docs/{name}"' not in navigation] == []


def test_what_a_page_would_fetch_from_elsewhere_is_noticed() -> None:
    fetched = _build_script().fetched_addresses
    assert fetched('<script src="https://cdn.example/a.js"></script>')
    assert fetched('<link rel="stylesheet" href="//cdn.example/a.css">')
    assert fetched("<style>@font-face { src: url(https://cdn.example/a.woff) }</style>")
    assert not fetched(
        '<a href="https://example.org/">a link</a> <img src="data:image/png;base64,//A">'
    )
