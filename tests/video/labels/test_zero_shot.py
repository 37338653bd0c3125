"""Zero-shot image models of transformers serve as classifiers, by folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessor,
    Siglip2Model,
    Siglip2Processor,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipProcessor,
)

from mmreason.video import VideoError
from mmreason.video.labels import load_classifier
from mmreason.video.labels.classes import ImageClass
from mmreason.video.labels.zero_shot import BEYOND_IMAGENET, ZeroShotClassifier

SIDE_PX = 32
WORDS = ("<pad>", "<unk>", "</s>", "a", "photo", "of", "cat", "person", ".")
CLASSES = (ImageClass("cat", parents=("animal",)), ImageClass("person"))


def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="</s>",
        model_max_length=16,
    )


def sizes() -> dict[str, Any]:
    layer = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    layer["num_attention_heads"] = 2
    text = layer | {"vocab_size": len(WORDS), "max_position_embeddings": 16, "projection_size": 16}
    text |= {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 0}
    return {"text_config": text, "vision_config": layer | {"image_size": SIDE_PX, "patch_size": 8}}


def write_clip(folder: Path) -> None:
    CLIPModel(CLIPConfig(**sizes(), projection_dim=16)).save_pretrained(folder)
    side = {"height": SIDE_PX, "width": SIDE_PX}
    images = CLIPImageProcessor(size=side, crop_size=side)
    CLIPProcessor(images, tokenizer()).save_pretrained(folder)


def write_siglip(folder: Path) -> None:
    SiglipModel(SiglipConfig(**sizes())).save_pretrained(folder)
    images = SiglipImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX})
    SiglipProcessor(images, tokenizer()).save_pretrained(folder)


def write_siglip2(folder: Path) -> None:
    config = sizes()
    config["vision_config"] |= {"num_patches": 16, "patch_size": 16}
    # Its processor pads sentences to 64 words.
    config["text_config"] |= {"max_position_embeddings": 64}
    Siglip2Model(Siglip2Config(**config)).save_pretrained(folder)
    images = Siglip2ImageProcessor(patch_size=16, max_num_patches=16)
    Siglip2Processor(images, tokenizer()).save_pretrained(folder)


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
