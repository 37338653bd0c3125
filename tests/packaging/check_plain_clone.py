"""Clone the committed state with links disabled and run some tests of each kind there.

    .venv/bin/python tests/packaging/check_plain_clone.py

A system without links (core.symlinks=false) checks them out as small text files; mmreason must
import from such a clone all the same. What could differ is how modules and files beside them are
found, so the tests are those that find them in another way each, and not all there are. Exits with
1 and one line when something is wrong.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = (
    "tests/packaging",
    # Pages and frozen items beside modules.
    "tests/grounding/drawing/test_drawing_page.py",
    "tests/grounding/test_grounding_boxes.py",
    "tests/grounding/test_refadv_items.py",
    "tests/video/test_inspect.py",
    # Modules found by a process that the library starts itself.
    "tests/security/test_isolation.py",
    # Templates and settings beside modules.
    "tests/training/monitoring/test_run_pages.py",
    "tests/training/nano/test_nano_packing.py",
)
ORIGIN = "import mmreason, mmreason.video; print(mmreason.__file__); print(mmreason.video.__file__)"


def _run(*command: str | Path, cwd: Path, paths: Path | None = None) -> str:
    environment = os.environ | ({"PYTHONPATH": str(paths)} if paths else {})
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name).resolve() / "clone"
        _run("git", "clone", "--quiet", "-c", "core.symlinks=false", ROOT, clone, cwd=ROOT)
        if (clone / "mmreason" / "video").is_symlink():
            sys.exit("the clone has links, so it proves nothing")
        files = _run(sys.executable, "-c", ORIGIN, cwd=clone.parent, paths=clone).split()
        if not all(Path(file).is_relative_to(clone) for file in files):
            sys.exit(f"imported {files} instead of the clone {clone}")
        pytest = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS)
        print("without links:", _run(*pytest, cwd=clone, paths=clone).strip().splitlines()[-1])


if __name__ == "__main__":
    main()
