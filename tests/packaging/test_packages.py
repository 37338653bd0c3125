"""The package list, its data files, the links and the version agree with the tree."""

import fnmatch
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
SIBLINGS = ("video", "grounding", "training")


def _folder(package: str) -> Path:
    """The folder of a dotted package name, by the longest prefix in the mapping."""
    mapping = SETUPTOOLS["package-dir"]
    prefix = max((p for p in mapping if f"{package}.".startswith(f"{p}.")), key=len)
    return ROOT.joinpath(mapping[prefix], *package.removeprefix(prefix).split("."))


def _tree() -> dict[Path, list[str]]:
    """Every folder under the four roots -> names of its files; links are not entered."""
    return {
        Path(folder): files
        for top in ("mmreason", *SIBLINGS)
        for folder, _, files in os.walk(ROOT / top)
        if not folder.endswith("__pycache__")
    }


def test_packages_are_exactly_the_folders_with_an_init() -> None:
    listed = {_folder(package) for package in SETUPTOOLS["packages"]}
    assert len(listed) == len(SETUPTOOLS["packages"])
    assert listed == {folder for folder, files in _tree().items() if "__init__.py" in files}


def test_no_module_lies_outside_a_package() -> None:
    lonely = [
        folder
        for folder, files in _tree().items()
        if any(name.endswith(".py") for name in files) and "__init__.py" not in files
    ]
    assert lonely == []


def test_every_data_file_is_shipped() -> None:
    by_folder = {_folder(package): package for package in SETUPTOOLS["packages"]}
    forgotten = []
    for folder, names in _tree().items():
        home = next(f for f in (folder, *folder.parents) if f in by_folder)
        patterns = SETUPTOOLS["package-data"].get(by_folder[home], [])
        for name in names:
            inside = (folder / name).relative_to(home)
            shipped = name.endswith(".py") or any(
                len(inside.parts) == len(Path(p).parts) and fnmatch.fnmatch(str(inside), p)
                for p in patterns
            )
            if not shipped and not _ignored(folder / name):
                forgotten.append(str((folder / name).relative_to(ROOT)))
    assert forgotten == []


def _ignored(path: Path) -> bool:
    """Whether the file is a link to a sibling (or its stand-in), or git ignores it."""
    if path.parent == ROOT / "mmreason" and path.name in SIBLINGS:
        return True
    return subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("name", SIBLINGS)
def test_links_are_relative(name: str) -> None:
    link = ROOT / "mmreason" / name
    if not link.is_symlink():  # a checkout without links holds the target as text
        assert link.read_text().strip() == f"../{name}"
    else:
        assert str(link.readlink()) == f"../{name}"
        assert link.is_dir()


def test_one_version_everywhere() -> None:
    init = (ROOT / "mmreason" / "__init__.py").read_text()
    found = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', init, re.MULTILINE)
    assert found, "mmreason/__init__.py must say __version__ as a literal, to be read unimported"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == found[1]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest and newest[1] == found[1]


def test_citation_holds_what_the_format_requires() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["license"] == "Apache-2.0"
    assert all(citation[key] for key in ("message", "title", "authors"))
    assert all("name" in author or "family-names" in author for author in citation["authors"])


def test_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
