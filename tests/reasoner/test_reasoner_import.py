"""`import mmreason` stays light and finds its folders without links."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "cv2", "av", "decord", "numpy", "PIL")


def run(code: str, root: Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_import_is_fast_and_light():
    loaded = run("import sys, mmreason; print(*sys.modules)").split()
    assert not set(loaded) & set(HEAVY)
    code = "import time; t = time.perf_counter(); import mmreason; print(time.perf_counter() - t)"
    assert min(float(run(code)) for _ in range(3)) < 0.2


def test_no_model_or_decoder_until_one_is_used():
    code = (
        "import sys, mmreason; mmreason.Reasoner, mmreason.Budget, mmreason.Answer, mmreason.ask;"
        "import mmreason.models; from mmreason.models.scripted import ScriptedModel;"
        "print(*sys.modules)"
    )
    assert not set(run(code).split()) & {"torch", "transformers", "cv2", "av", "decord"}


def test_every_public_name_is_there():
    assert run("import mmreason; [getattr(mmreason, n) for n in mmreason.__all__]; print('all')")
    names = run("import mmreason; print(*dir(mmreason))").split()
    assert {"ask", "Reasoner", "Budget", "Answer", "Evidence", "UsageError"} <= set(names)


def test_unknown_name_is_an_attribute_error():
    import mmreason

    with pytest.raises(AttributeError, match="no_such_name"):
        mmreason.__getattr__("no_such_name")


def test_checkout_with_links_turned_to_text_files(tmp_path):
    for name in ("video", "grounding"):
        (tmp_path / name).symlink_to(ROOT / name)
    package = tmp_path / "mmreason"
    package.mkdir()
    for path in (ROOT / "mmreason").iterdir():
        if path.name in ("video", "grounding", "training"):
            (package / path.name).write_text(f"../{path.name}")
        elif path.name != "__pycache__":
            (package / path.name).symlink_to(path)
    (package / "__init__.py").unlink()
    (package / "__init__.py").write_bytes((ROOT / "mmreason" / "__init__.py").read_bytes())
    code = (
        "import mmreason.video.types as t, mmreason.grounding as g; print(t.__file__, g.__file__)"
    )
    where = run(code, tmp_path)
    assert where == f"{tmp_path}/video/types.py {tmp_path}/grounding/__init__.py"


def test_version_is_short_and_single():
    import mmreason

    assert mmreason.__version__ == "0.1.0"
