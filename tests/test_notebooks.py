"""Every notebook runs from top to bottom in an empty folder, and is stored with what it showed.

Training is cut to a few steps: whether it learns is measured elsewhere. After a change of a cell,
`make notebooks` stores the outputs anew.
"""

import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 1_500_000
USED_WEIGHTS = {
    "02_hear_read_search": ("whisper-tiny.en", "minilm-l6", "efficientnet-lite0"),
    "07_frame_embeddings": ("efficientnet-lite0",),
}
"""Those that need real weights, and which."""

TRAINS_TWICE = "06_finetune_your_videos"
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def _read(path: Path) -> Any:
    """A notebook that is one. Imported here: it takes seconds, which every worker would spend."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def _code_cells(path: Path) -> list[Any]:
    notebook = _read(path)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _outputs(path: Path) -> list[Any]:
    return [output for cell in _code_cells(path) for output in cell.outputs]


def test_notebooks_are_numbered_without_gaps() -> None:
    assert len(NOTEBOOKS) >= 3
    numbers = [path.name[:3] for path in NOTEBOOKS]
    assert numbers == [f"{i:02d}_" for i in range(1, len(NOTEBOOKS) + 1)]


@every_notebook
def test_stored_outputs_are_of_these_very_cells(path: Path) -> None:
    spec = importlib.util.spec_from_file_location("execute", ROOT / "notebooks" / "execute.py")
    assert spec is not None and spec.loader is not None
    execute = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(execute)
    notebook = _read(path)
    assert notebook.metadata["mmreason"]["outputs_of"] == execute.source_hash(notebook), (
        "a cell was changed after it was run: make notebooks"
    )
    counts = [cell.execution_count for cell in _code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@every_notebook
def test_stored_outputs_hold_pictures_and_neither_warnings_nor_paths_of_a_machine(
    path: Path,
) -> None:
    outputs = _outputs(path)
    assert [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"] == []
    assert any(
        "image/png" in o.get("data", {}) or "image/jpeg" in o.get("data", {}) for o in outputs
    )
    text = path.read_text(encoding="utf-8")
    assert len(text) < MOST_BYTES
    found = re.search(r"TqdmWarning|/tmp/|/home/|/root/|site-packages|0x[0-9a-f]{8,}", text)
    assert found is None, found


@every_notebook
def test_no_cell_prints_nothing_but_blanks(path: Path) -> None:
    """A line of a table without its text says that the cell is older than the code."""
    for output in _outputs(path):
        lines = output.get("text", "").splitlines()
        blank = [line for line in lines if re.fullmatch(r"[\d:. -]+", line) and ":" in line]
        assert blank == []


@pytest.mark.parametrize(
    "path",
    [
        # Trains twice, which takes over a minute; its commands are tested by themselves.
        pytest.param(path, marks=pytest.mark.full, id=path.stem)
        if path.stem == TRAINS_TWICE
        else pytest.param(path, id=path.stem)
        for path in NOTEBOOKS
    ],
)
def test_notebook_runs(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    real_weights: Callable[[str], Path],
) -> None:
    """Each cell must succeed, and an answer must show itself as HTML."""
    from nbclient import NotebookClient

    if path.stem in USED_WEIGHTS:
        folders = [real_weights(name) for name in USED_WEIGHTS[path.stem]]
        # Where the kernel looks for them: in the cache folder of a user of its own.
        (tmp_path / "cache" / "mmreason").mkdir(parents=True)
        (tmp_path / "cache" / "mmreason" / "weights").symlink_to(folders[0].parent)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    old = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), old])))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = _read(path)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            cell.source = re.sub(r"^STEPS = \d+", "STEPS = 4", cell.source)
    work = tmp_path / "work"
    work.mkdir()
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    )
    client.execute()
    shown = [o for c in notebook.cells for o in c.get("outputs", ()) if "data" in o]
    # The card of an answer or the page of a run.
    assert any('class="mmr"' in "".join(o.data.get("text/html", "")) for o in shown)
