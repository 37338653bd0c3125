"""Run the notebooks and store them with their outputs, as they are shown on the web.

    python notebooks/execute.py                # all of them (some minutes)
    python notebooks/execute.py 01_first_answer.ipynb

Each runs in an empty folder. A hash of the code is stored beside the outputs, so that a test finds
outputs that belong to other cells. Needs the extra `notebooks`.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]


def source_hash(notebook: Any) -> str:
    """sha256 over the code cells: the outputs are those of this code."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()


def execute(path: Path) -> None:
    """Run one notebook and write it back, with nothing in it that differs from run to run for no
    reason (times of execution, the version of Python)."""
    notebook = nbformat.read(path, as_version=4)
    kernel_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="mmreason-notebook-") as folder:
        NotebookClient(
            notebook,
            timeout=1800,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            coalesce_streams=True,
        ).execute(env=os.environ | {"PYTHONPATH": kernel_path})
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "mmreason": {"outputs_of": source_hash(notebook)},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        for output in cell.get("outputs", ()):
            _keep_smaller_picture(output)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def _keep_smaller_picture(output: Any) -> None:
    """A Pillow image shows itself in two formats; one is enough."""
    pictures = [kind for kind in ("image/png", "image/jpeg") if kind in output.get("data", {})]
    for kind in sorted(pictures, key=lambda kind: len(output.data[kind]))[1:]:
        del output.data[kind]


def main(names: list[str]) -> None:
    folder = Path(__file__).resolve().parent
    paths = [folder / name for name in names] or sorted(folder.glob("*.ipynb"))
    for path in paths:
        print(f"running {path.name}", flush=True)
        execute(path)


if __name__ == "__main__":
    main(sys.argv[1:])
