"""A scripted model in place of every model, and a short real clip for it to watch."""

from pathlib import Path

import av
import numpy as np
import pytest

from mmreason.agent.senses_reader import SensesChoice, SensesReader
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.video.types import FrameBatch


def _reply(text: str, frames: FrameBatch | None) -> str:
    assert frames is not None
    if text.startswith("Locate"):
        if "dragon" in text:
            return "[]"
        return '```json\n[{"bbox_2d": [250, 250, 750, 1000], "label": "red half"}]\n```'
    red = frames.pixels[..., 0].mean() > frames.pixels[..., 2].mean()
    colour = "red" if red else "blue"
    return f"all is {colour}." if text == "Describe the clip." else f"{colour}"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedModel:
    """Tells red from blue; loaded under every name."""
    scripted = ScriptedModel(_reply, clip=ClipRecipe(frames=4, size_px=(32, 24), leaf_s=1.0))
    monkeypatch.setattr("mmreason.models.load", lambda *_, **__: scripted)
    # Footage of which the senses would answer too: here the model does, whatever the video.
    by_model = SensesChoice(reads=False, reason="the model answers")
    monkeypatch.setattr(SensesReader, "choose", lambda self, source: by_model)
    monkeypatch.setattr(
        "mmreason.memory.store.default_path", lambda: tmp_path / "home" / "store.sqlite3"
    )
    return scripted


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds at 10 Hz: blue, and red from the third second on."""
    path = tmp_path_factory.mktemp("clips") / "two colours.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(40):
            pixels = np.zeros((48, 64, 3), np.uint8)
            pixels[..., 0 if number >= 20 else 2] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path
