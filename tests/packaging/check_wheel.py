"""Build the source archive and from it the wheel, and use the wheel where folders share our names.

    .venv/bin/python tests/packaging/check_wheel.py

The wheel is installed alone into a fresh environment that borrows the dependencies of the running
one through a path file, so nothing is downloaded. Exits with 1 when something is wrong.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SIBLINGS = ("video", "grounding", "training")
NEEDED = (
    "mmreason/py.typed",
    "mmreason/video/__init__.py",
    "mmreason/grounding/__init__.py",
    "mmreason/training/__init__.py",
    "mmreason/models/nano/config.json",
    "mmreason/models/nano/mmreason.json",
    "mmreason/models/nano/model.safetensors",
    "mmreason/models/nano/tokenizer.json",
    "mmreason/models/nano/chat_template.jinja",
    "mmreason/models/nano_grounding/config.json",
    "mmreason/models/nano_grounding/model.safetensors",
    "mmreason/models/nano_reinforced/config.json",
    "mmreason/models/nano_reinforced/model.safetensors",
    "mmreason/models/notes_reader/adapter.safetensors",
    "mmreason/models/scripted_pair/pair.safetensors",
    "mmreason/evaluation/public/page.html",
    "mmreason/skill/SKILL.md",
    "mmreason/viz/document.html",
)
IMPORT_ALL = """
import importlib, pkgutil, sys
import mmreason
found = pkgutil.walk_packages(mmreason.__path__, "mmreason.")
names = [m.name for m in found if not m.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
assert not {"video", "grounding", "training"} & set(sys.modules), "a decoy was imported"
print(len(names), mmreason.__file__)
"""


def _run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def build_wheel(folder: Path) -> Path:
    """Build into `folder`; the wheel comes from the archive, so stale build folders cannot help."""
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_content(wheel: Path) -> None:
    """Exit when the wheel holds anything beside `mmreason` and its metadata, or lacks a file."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    extra = {top for top in tops if top != "mmreason" and not top.endswith(".dist-info")}
    if extra or "mmreason" not in tops:
        sys.exit(f"{wheel.name}: top level should be mmreason alone, found {sorted(tops)}")
    missing = [name for name in NEEDED if name not in names]
    if missing:
        sys.exit(f"{wheel.name} lacks {', '.join(missing)}")
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        sys.exit(f"{wheel.name} lacks its licence")


def install(wheel: Path, folder: Path) -> Path:
    """A fresh environment in `folder` with the wheel and borrowed dependencies; its bin folder."""
    _run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=ROOT)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    _run(*pip, "install", "--quiet", "--no-deps", wheel, cwd=ROOT)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(_run(python, "-c", where, cwd=folder.parent).strip())
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def check_beside_decoys(bin_folder: Path, folder: Path) -> None:
    """Import every module and run the command where `video/` and its like raise when imported."""
    for name in SIBLINGS:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise RuntimeError('the decoy was imported')\n")
    count, origin = _run(bin_folder / "python", "-c", IMPORT_ALL, cwd=folder).split()
    if not Path(origin).is_relative_to(bin_folder.parent):
        sys.exit(f"imported {origin} instead of the installed wheel")
    for command in ([bin_folder / "python", "-m", "mmreason"], [bin_folder / "mmreason"]):
        if "ask" not in _run(*command, "--help", cwd=folder):
            sys.exit(f"{command[-1]} --help does not name `ask`")
    print(f"beside decoy folders {count} modules import and `mmreason --help` runs")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build_wheel(folder / "dist")
        check_content(wheel)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, holds mmreason alone")
        check_beside_decoys(install(wheel, folder / "fresh"), folder / "decoys")


if __name__ == "__main__":
    main()
