"""What every test shares: one torch thread, no network, no error logged by passing code, and a
process that is left as it was."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.process_state import (
    describe_changes,
    forget_accelerate,
    read_process_state,
    restore_environment,
)

# Read by torch and huggingface_hub when they are first imported, here and in child processes.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

# Ignored where tests run in the background of a script: those of Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("mmreason", deadline=None, derandomize=True, database=None)
settings.load_profile("mmreason")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `gpu` where there is no CUDA device; torch is imported only for them."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def no_logged_errors() -> Iterator[None]:
    """Fail a test during which anything logged at ERROR: a problem is raised or returned."""
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(errors)
    if errors.lines:
        pytest.fail("logged at ERROR: " + "; ".join(errors.lines))


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test after which the process is another than before: tests run in any order."""
    state, environment = read_process_state(), dict(os.environ)
    yield
    restore_environment(environment)
    forget_accelerate()
    if changes := describe_changes(state, read_process_state()):
        pytest.fail(f"left behind: {changes}")


@pytest.fixture(scope="session")
def real_weights() -> Callable[[str], Path]:
    """A function that gives the folder of real weights by name (`make test` gets them); where they
    are missing the test is skipped."""
    folder = Path(__file__).resolve().parents[1] / "build" / "weights"

    def find(name: str) -> Path:
        if not (folder / name).is_dir():
            command = f"mmreason weights get {name} --out {folder.relative_to(folder.parents[1])}"
            pytest.skip(f"the weights {name} are missing; get them with: {command}")
        return folder / name

    return find


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """A path, not yet a file, for a `Store` of this test's own."""
    return tmp_path / "store.sqlite"
