"""Clips of all kinds, each written when a test first asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.video import matrix

Files = Callable[[str], Path]
"""The clip of a kind of `matrix.MAKERS`; skips the test where it cannot be made."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = matrix.make(kind, tmp_path_factory.mktemp("clips"))
        return made[kind]

    return get
