"""Zero-shot image models of transformers serve as classifiers, by folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmreason.video import VideoError
from mmreason.video.labels import load_classifier
from mmreason.video.labels.classes import ImageClass
from mmreason.video.labels.zero_shot import BEYOND_IMAGENET, ZeroShotClassifier
from tests.fakes.tiny_encoders import write_clip, write_siglip, write_siglip2

CLASSES = (ImageClass("cat", parents=("animal",)), ImageClass("person"))


@pytest.fixture(scope="module", params=[write_clip, write_siglip, write_siglip2])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp(request.param.__name__)
    request.param(path)
    return path


def test_probabilities_are_a_softmax_over_the_candidates(folder: Path) -> None:
    classifier = ZeroShotClassifier(str(folder), classes=CLASSES)
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 64, 3), np.uint8)
    probabilities = classifier.classify(frames)
    assert probabilities.shape == (3, 2) and probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    alone = np.concatenate([classifier.classify(frame[None]) for frame in frames])
    assert np.allclose(alone, probabilities, atol=1e-5)


def test_a_folder_with_a_config_is_a_zero_shot_model(tmp_path: Path) -> None:
    write_clip(tmp_path)
    classifier = load_classifier(str(tmp_path))
    names = [item.name for item in classifier.classes]
    assert len(names) == 1000 + len(BEYOND_IMAGENET) and {"tabby", "face", "tree"} <= set(names)


def test_a_name_that_cannot_be_loaded_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        VideoError, match=r"cannot be loaded as an image model .*efficientnet-lite0"
    ):
        load_classifier(str(tmp_path))
