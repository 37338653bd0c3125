"""Importing mmreason is light and silent, and works without links and beside namesakes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIBLINGS = ("video", "grounding", "training")
HEAVY = ("torch", "torchvision", "transformers", "timm", "cv2", "av", "decord", "torchcodec")
LIGHT = {
    "mmreason": (*HEAVY, "numpy", "PIL"),
    "mmreason.video": HEAVY,
    "mmreason.grounding": HEAVY,
    "mmreason.cli": HEAVY,
    # Names alone load neither a model nor a decoder: using one does.
    "mmreason.models.scripted, mmreason; mmreason.Reasoner, mmreason.Answer, mmreason.ask": HEAVY,
}
"""What to import, and what that must not load."""
IMPORT_CPU_S = 0.2


def _python(code: str, *path: Path, cwd: Path) -> str:
    """What `code` prints in a fresh interpreter that looks in `path` first."""
    code = f"import sys; sys.path[:0] = {[str(p) for p in path]}\n{code}"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("names", LIGHT)
def test_import_is_light_and_silent(names: str, tmp_path: Path) -> None:
    code = f"import {names}\nprint([m for m in {LIGHT[names]} if m in sys.modules])"
    assert _python(code, ROOT, cwd=tmp_path) == "[]\n"


def test_import_takes_under_a_fifth_of_a_second(tmp_path: Path) -> None:
    code = (
        "import time; began = time.process_time(); import mmreason\n"
        "print(time.process_time() - began)"
    )
    times_s = [float(_python(code, ROOT, cwd=tmp_path)) for _ in range(3)]
    assert min(times_s) < IMPORT_CPU_S


def test_public_names_exist_and_no_others(tmp_path: Path) -> None:
    code = (
        "import mmreason\n"
        "print([name for name in mmreason.__all__ if not hasattr(mmreason, name)])\n"
        "print(set(mmreason.__all__) <= set(dir(mmreason)), hasattr(mmreason, 'no_such_name'))"
    )
    assert _python(code, ROOT, cwd=tmp_path) == "[]\nTrue False\n"


def _copy_without_links(folder: Path) -> None:
    """The four roots as a checkout without links has them: each link a text file."""
    unneeded = ("__pycache__", "*.safetensors")
    skip = shutil.ignore_patterns(*unneeded, *SIBLINGS)
    shutil.copytree(ROOT / "mmreason", folder / "mmreason", ignore=skip)
    skip = shutil.ignore_patterns(*unneeded)
    for name in SIBLINGS:
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
        (folder / "mmreason" / name).write_text(f"../{name}")


def test_siblings_are_found_without_links(tmp_path: Path) -> None:
    _copy_without_links(tmp_path / "clone")
    code = (
        "import mmreason.video, mmreason.grounding, mmreason.training\n"
        "print(mmreason.video.__file__)"
    )
    printed = _python(code, tmp_path / "clone", cwd=tmp_path)
    assert Path(printed.strip()) == tmp_path / "clone" / "video" / "__init__.py"


def test_folders_of_the_same_name_do_not_shadow_ours(tmp_path: Path) -> None:
    for name in SIBLINGS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the decoy was imported')")
    code = "import mmreason.video, mmreason.grounding, mmreason.training, mmreason.cli"
    assert _python(code, tmp_path, ROOT, cwd=tmp_path) == ""
