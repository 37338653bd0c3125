"""Clone the committed state with links disabled and run the packaging and video tests there.

    .venv/bin/python tests/packaging/check_plain_clone.py

A system without links (core.symlinks=false) checks them out as small text files; mmreason must
import from such a clone all the same. Exits with 1 and one line when it does not.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
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
        tests = ("tests/packaging", "tests/video")
        pytest = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
        print("without links:", _run(*pytest, cwd=clone, paths=clone).strip().splitlines()[-1])


if __name__ == "__main__":
    main()
