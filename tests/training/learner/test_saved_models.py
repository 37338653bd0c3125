"""Which weights are trained, and what a saved folder holds: the model that was trained."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
import transformers as hf
from peft import PeftModel

from mmreason.training.learner import quantise
from mmreason.training.learner.adapters import Lora, TrainedWeights, select_trained_weights
from mmreason.training.learner.model_card import ModelCard
from mmreason.training.learner.neftune import neftune_noise
from mmreason.training.learner.parts import part_of_parameter
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.learner.saving import prepare_to_save
from mmreason.types import UsageError
from mmreason.video.encoders.attention import find_packed_towers, pack_vision_towers
from tests.fakes import tiny_families

IDS = torch.arange(40, 60)[None]
RANK_2 = Lora(rank=2, alpha=4)


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits


def change_adapters(policy: PolicyModel) -> None:
    torch.manual_seed(1)
    for name, parameter in policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize(
    "weights",
    [
        TrainedWeights(lora=Lora(rank=2, alpha=4, dora=True)),
        TrainedWeights(lora=Lora(rank=2, alpha=4, modules_to_save=("embed_tokens",))),
        TrainedWeights(lora=RANK_2, quantise="4bit"),
        pytest.param(TrainedWeights(lora=RANK_2, freeze=("vision",)), marks=pytest.mark.full),
    ],
    ids=["dora", "embeddings", "4bit", "freeze"],
)
def test_a_merged_folder_is_the_model_that_was_trained(tmp_path: Path, weights: TrainedWeights):
    pytest.importorskip("bitsandbytes")
    policy = select_trained_weights(tiny_families.policy("qwen3_vl"), weights)
    change_adapters(policy)
    trained = logits(policy.model)
    policy.save(tmp_path, card="# A model\n")
    assert torch.equal(logits(policy.model), trained)  # the run goes on
    plain = hf.AutoModelForImageTextToText.from_pretrained(tmp_path, trust_remote_code=False)
    assert torch.allclose(logits(plain), trained, atol=1e-3)
    hf.AutoProcessor.from_pretrained(tmp_path, trust_remote_code=False)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["Qwen3VLForConditionalGeneration"]
    assert "quantization_config" not in config
    assert (tmp_path / "README.md").read_text() == "# A model\n"


def test_adapters_alone_are_saved_for_peft(tmp_path: Path):
    policy = select_trained_weights(tiny_families.policy("smolvlm"), TrainedWeights(lora=RANK_2))
    trained = {n for n, p in policy.model.named_parameters() if p.requires_grad}
    # Neither eyes nor what joins them have adapters.
    assert {part_of_parameter(name) for name in trained} == {"language"}
    change_adapters(policy)
    policy.save(tmp_path, merge=False)
    again = PeftModel.from_pretrained(tiny_families.policy("smolvlm").model, str(tmp_path))
    assert torch.allclose(logits(again), logits(policy.model), atol=1e-5)
    with pytest.raises(UsageError, match="no adapters to save"):
        tiny_families.policy("smolvlm").save(tmp_path / "full", merge=False)


def test_a_model_read_from_gguf_is_saved_as_a_plain_one(tmp_path: Path):
    class GgufQuantiser:  # of which transformers says that it cannot be saved
        is_serializable = staticmethod(lambda *arguments, **named: False)
        quantization_config = None

    policy = tiny_families.policy("qwen3_vl")
    policy.model.hf_quantizer = GgufQuantiser()
    policy.model.config.quantization_config = {"quant_method": "gguf"}
    policy.save(tmp_path)
    assert "quantization_config" not in json.loads((tmp_path / "config.json").read_text())
    assert torch.equal(logits(PolicyModel.load(tmp_path).model), logits(policy.model))


@pytest.mark.parametrize("part", ["vision", "projector", "language"])
def test_a_part_is_frozen_by_its_name(part: str):
    policy = select_trained_weights(
        tiny_families.policy("internvl"), TrainedWeights(freeze=(part,))
    )
    trained = {part_of_parameter(n) for n, p in policy.model.named_parameters() if p.requires_grad}
    assert trained == {"vision", "projector", "language"} - {part}


@pytest.mark.parametrize("family", ["qwen3_vl", "gemma3", "glm4v", "video_llama_3", "gemma4"])
def test_models_of_families_have_three_parts(family: str):
    names = [name for name, _ in tiny_families.chat(family).model.named_parameters()]
    assert {part_of_parameter(name) for name in names} == {"vision", "projector", "language"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"quantise": "4bit"}, "needs adapters"),
        ({"quantise": "3bit", "lora": RANK_2}, "unknown weights.quantise '3bit'"),
        ({"quantise": "8bit", "lora": Lora(dora=True)}, "does not go with"),
    ],
)
def test_weights_that_cannot_be_trained_are_refused(settings, words: str):
    with pytest.raises(UsageError, match=words):
        TrainedWeights(**settings)
    with pytest.raises(UsageError, match=r"weights\.lora\.rank"):
        Lora(rank=0)


def test_a_missing_bitsandbytes_is_told_with_the_way_to_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UsageError, match="qlora"):
        quantise.quantise_language(tiny_families.policy("internvl").model, "4bit")


def test_noise_is_of_the_length_of_each_sequence_and_only_while_learning():
    model = tiny_families.policy("internvl").model.train()
    embeddings = model.get_input_embeddings()
    seen: list[torch.Tensor] = []
    clean = embeddings(IDS).detach()
    positions = torch.tensor([[*range(4), *range(16)]])
    with neftune_noise(model, 5.0):
        hook = embeddings.register_forward_hook(lambda *given: seen.append(given[2].detach()))
        model(input_ids=IDS, position_ids=positions, use_cache=False)
        with torch.no_grad():
            model(input_ids=IDS, position_ids=positions, use_cache=False)
        hook.remove()
    noise = (seen[0] - clean).abs()
    width = clean.shape[-1]
    for part, length in ((noise[0, :4], 4), (noise[0, 4:], 16)):
        most = 5.0 / (length * width) ** 0.5
        assert 0.8 * most < float(part.max()) <= most * (1 + 1e-5)
    assert torch.equal(seen[1], clean)
    assert torch.equal(embeddings(IDS), clean)


def test_a_card_keeps_foreign_text_in_its_cells():
    card = ModelCard(
        title="x | y", base_model="a\n---\nlicense: mit", data={"<b>": "1|2"}, is_adapter=True
    )
    page = card.to_markdown()
    assert page.count("\n---\n") == 1 and "<b>" not in page.replace("\\<b>", "")
    assert "library_name: peft" in page and "x \\| y" in page


def test_a_model_with_packed_towers_is_made_anew_without_its_quantiser() -> None:
    model = tiny_families.chat("qwen2_vl").model
    pack_vision_towers(model)
    # As models that were read from GGUF have one, their weights being plain numbers by then.
    model.hf_quantizer = object()
    plain = prepare_to_save(model)
    assert plain is not model
    assert find_packed_towers(plain).choice is None and find_packed_towers(model).choice
    for name, weight in model.state_dict().items():
        assert torch.equal(plain.state_dict()[name], weight), name
