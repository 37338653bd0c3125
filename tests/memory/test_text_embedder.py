"""A sentence embedder of the Hugging Face kind, tiny and random: pooling, names, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from mmreason.memory.records import MemoryQuery, MemoryRecord
from mmreason.memory.video_memory import VideoMemory
from mmreason.tools.text_embedder import load_embedder
from mmreason.types import UsageError
from mmreason.video.types import Span

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "runs", "red", "car", "."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedder")
    (folder / "words.txt").write_text("\n".join(WORDS))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizer(str(folder / "words.txt")).save_pretrained(folder)
    return folder


def set_pooling(folder: Path, **modes: bool) -> None:
    (folder / "1_Pooling").mkdir(exist_ok=True)
    values = {f"pooling_mode_{name}": value for name, value in modes.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(values))


def test_a_text_has_one_vector_whatever_stands_beside_it(folder: Path) -> None:
    embedder = load_embedder(str(folder))
    alone = embedder.embed_texts(["a dog runs."])
    among = embedder.embed_texts(["a red car.", "a dog runs.", "a " * 100])
    assert alone.shape == (1, 16) and among.dtype == np.float32
    np.testing.assert_allclose(alone[0], among[1], atol=1e-5)
    assert np.allclose(np.linalg.norm(among, axis=1), 1, atol=1e-5)


def test_the_folder_says_how_to_pool(folder: Path) -> None:
    mean = load_embedder(str(folder)).embed_texts(["a dog runs."])
    set_pooling(folder, cls_token=True, mean_tokens=False)
    first = load_embedder(str(folder)).embed_texts(["a dog runs."])
    assert not np.allclose(mean, first, atol=1e-3)
    set_pooling(folder, cls_token=False, mean_tokens=True)
    np.testing.assert_allclose(load_embedder(str(folder)).embed_texts(["a dog runs."]), mean)
    set_pooling(folder, lasttoken=True)
    with pytest.raises(UsageError, match="pools by lasttoken; expected mean_tokens or cls_token"):
        load_embedder(str(folder))
    (folder / "1_Pooling" / "config.json").write_text("{")
    with pytest.raises(UsageError, match=r"config\.json cannot be read"):
        load_embedder(str(folder))
    set_pooling(folder, mean_tokens=True)


def test_other_weights_have_another_name(folder: Path, tmp_path: Path) -> None:
    name = load_embedder(str(folder)).name
    assert name == load_embedder(str(folder)).name
    model = BertModel.from_pretrained(folder)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.add_(1)
    model.save_pretrained(tmp_path)
    BertTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    assert load_embedder(str(tmp_path)).name != name


def test_a_memory_is_searched_with_it(folder: Path) -> None:
    memory = VideoMemory(embedder=load_embedder(str(folder)))
    memory.add([MemoryRecord("event", Span(0, 9), "a dog runs.", "frames")])
    (hit,) = memory.search(MemoryQuery("a dog runs.")).hits
    assert hit.similarity == pytest.approx(1.0, abs=1e-3)


def test_what_is_no_embedder_is_one_line(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match=r"has no config\.json"):
        load_embedder(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "nothing-like-it"}')
    with pytest.raises(UsageError, match="cannot be loaded as an embedder") as caught:
        load_embedder(str(tmp_path))
    assert "\n" not in str(caught.value)
