"""What `load_encoder` loads, what it refuses in one line, and how batches fit into memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mmreason.video import VideoError
from mmreason.video.encoders import FrameEncoder, load_encoder
from mmreason.video.encoders.backbone import Backbone
from tests.fakes import tiny_encoders

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 24, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit")
    tiny_encoders.write_vit(folder)
    return folder


def test_altered_weights_are_refused_with_the_hash_expected_and_found(
    real_weights: Callable[[str], Path], tmp_path: Path
) -> None:
    tensors = load_file(real_weights("efficientnet-lite0") / "model.safetensors")
    tensors["conv_stem.weight"][0, 0, 0, 0] += 1e-3
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(VideoError, match=r"expected tensors of SHA-256 ac73d8ca\w+, found \w{64};"):
        load_encoder(str(tmp_path))


def test_weights_that_were_not_fetched_name_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(VideoError, match="mmreason weights get efficientnet-lite0"):
        load_encoder()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("efficientnet_bo", "efficientnet_b0, efficientnet_b1"),
        ("timm/vit_base_patch16_siglp_224", "vit_base_patch16_siglip_224"),
        ("dinov3", r"\w+\.dinov3"),
        ("qqqqqq", "efficientnet-lite0"),
        ("", "efficientnet-lite0"),
        ("/not/there/at/all", "efficientnet-lite0"),
        ("\x1b[2J", "efficientnet-lite0"),
    ],
)
def test_an_unknown_name_is_told_with_near_ones(name: str, near: str) -> None:
    with pytest.raises(VideoError, match=f"is no encoder .* near are: .*{near}") as raised:
        load_encoder(name)
    assert "\n" not in str(raised.value) and "\x1b" not in str(raised.value)


def test_a_tag_that_timm_does_not_publish_is_told_with_those_it_does() -> None:
    with pytest.raises(VideoError, match=r"near are: vit_base_patch16_siglip_224\.v2_webli"):
        load_encoder("vit_base_patch16_siglip_224.nope")


@pytest.mark.parametrize(
    "name", ["timm/vit_base_patch16_siglip_224.v2_webli", "google/siglip2-base-patch16-224"]
)
def test_a_hub_that_cannot_be_reached_says_how_to_get_the_folder(name: str) -> None:
    with pytest.raises(VideoError, match=rf"not on this machine .*hf download {name} --local-dir"):
        load_encoder(name)


def test_a_file_of_weights_beside_its_config_is_loaded(vit_folder: Path, tmp_path: Path) -> None:
    shutil.copy(vit_folder / "config.json", tmp_path)
    shutil.copy(vit_folder / "model.safetensors", tmp_path / "best.safetensors")
    encoder = load_encoder(str(tmp_path / "best.safetensors"), device="cpu")
    assert encoder.fingerprint == load_encoder(str(vit_folder), device="cpu").fingerprint


def test_pickled_weights_are_not_read(vit_folder: Path, tmp_path: Path) -> None:
    config = json.loads((vit_folder / "config.json").read_text())
    config["pretrained_cfg"]["file"] = str(tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save(load_file(vit_folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(VideoError, match=r"'pytorch_model\.bin', a format that can hold programs"):
        load_encoder(str(tmp_path))
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(VideoError, match=r"model\.safetensors: is not there"):
        load_encoder(str(tmp_path))


def test_a_config_cannot_lead_to_another_file_than_the_one_beside_it(
    vit_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(vit_folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((vit_folder / "config.json").read_text())
    for key in ("file", "url", "hf_hub_id", "hf_hub_filename", "source"):
        config["pretrained_cfg"][key] = "/not/there.bin"
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = load_encoder(str(tmp_path), device="cpu")
    assert encoder.fingerprint == load_encoder(str(vit_folder), device="cpu").fingerprint


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("[", "is no JSON"),
        ('{"architecture": 7}', "no architecture of timm, found 7"),
        ('{"architecture": "vit_nowhere"}', "no architecture of timm, found 'vit_nowhere'"),
        ('{"architecture": "test_efficientnet"}', "does not fit the model"),
        ('{"architecture": "test_vit", "model_args": {"depth": "x"}}', "does not fit the model"),
    ],
)
def test_a_folder_of_timm_that_does_not_fit_is_refused_in_one_line(
    vit_folder: Path, tmp_path: Path, config: str, reason: str
) -> None:
    shutil.copy(vit_folder / "model.safetensors", tmp_path)
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(VideoError, match=reason) as raised:
        load_encoder(str(tmp_path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("write", "tensor"),
    [
        (tiny_encoders.write_vit, "blocks.1.mlp.fc2.weight"),
        (tiny_encoders.write_clip, "vision_model.post_layernorm.weight"),
    ],
)
def test_weights_that_lack_a_tensor_are_refused_not_started_at_random(
    write: Callable[[Path], None], tensor: str, tmp_path: Path
) -> None:
    write(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors[tensor]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(VideoError, match=rf"lacks 1 of the model's tensors \({tensor}\)"):
        load_encoder(str(tmp_path), device="cpu")


@pytest.mark.parametrize("write", [tiny_encoders.write_vit, tiny_encoders.write_clip])
def test_a_folder_that_means_harm_is_refused_before_a_library_opens_it(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    deep = config | {"model_args": {"depth": 10**9}, "vision_config": {"num_hidden_layers": 10**9}}
    (tmp_path / "config.json").write_text(json.dumps(deep))
    with pytest.raises(VideoError, match="the limit is 10,000"):
        load_encoder(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").unlink()
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(VideoError, match=r"'model\.safetensors' is no regular file"):
        load_encoder(str(tmp_path))


@pytest.mark.parametrize("kind", ["damaged", "pickled"])
def test_an_image_text_folder_without_usable_weights_is_refused(kind: str, tmp_path: Path) -> None:
    tiny_encoders.write_clip(tmp_path)
    weights = tmp_path / "model.safetensors"
    if kind == "pickled":
        torch.save(load_file(weights), tmp_path / "pytorch_model.bin")
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-100])
    reason = "can hold programs" if kind == "pickled" else "cannot be loaded as an image model"
    with pytest.raises(VideoError, match=reason) as raised:
        load_encoder(str(tmp_path))
    assert "\n" not in str(raised.value)


def test_a_model_that_does_not_compare_pictures_with_text_is_refused(tmp_path: Path) -> None:
    from transformers import CLIPVisionModel

    tiny_encoders.write_clip(tmp_path)
    vision = CLIPVisionModel.from_pretrained(tmp_path, use_safetensors=True)
    vision.save_pretrained(tmp_path)
    with pytest.raises(VideoError, match="which does not compare pictures with text"):
        load_encoder(str(tmp_path))


def test_weights_that_give_what_is_not_finite_are_an_error_and_no_row(
    vit_folder: Path, tmp_path: Path
) -> None:
    shutil.copy(vit_folder / "config.json", tmp_path)
    tensors = load_file(vit_folder / "model.safetensors")
    tensors["patch_embed.proj.bias"][3] = float("nan")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(VideoError, match="vector of length nan for frame 0, expected a finite one"):
        load_encoder(str(tmp_path), device="cpu").encode_frames(FRAMES)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"dtype": "float16"}, "dtype 'float16': expected one of float32, bfloat16"),
        ({"device": "abacus"}, "device 'abacus' is none; give \"cpu\""),
        ({"batch_bytes": 0}, "batch_bytes must be at least 1, got 0"),
    ],
)
def test_settings_that_are_none_are_refused(
    vit_folder: Path, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(VideoError, match=reason):
        load_encoder(str(vit_folder), **settings)


def test_a_card_that_is_not_there_is_refused(
    vit_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(VideoError, match="no CUDA device is there"):
        load_encoder(str(vit_folder), device="cuda")


def test_a_card_beyond_the_last_is_refused(
    vit_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(VideoError, match=r"'cuda:2': there are 2 CUDA devices, counted from 0"):
        load_encoder(str(vit_folder), device="cuda:2")


def test_a_processor_that_does_not_fit_its_model_is_told(tmp_path: Path) -> None:
    tiny_encoders.write_siglip(tmp_path)
    path = next(p for p in tmp_path.glob("*processor_config.json") if "size" in p.read_text())
    path.write_text(path.read_text().replace("32", "24"))
    with pytest.raises(VideoError, match="do not fit the model"):
        load_encoder(str(tmp_path), device="cpu").encode_frames(FRAMES)


def test_slow_bfloat16_is_told(vit_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for is_fast in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": is_fast})  # noqa: B023  # called at once
        encoder = load_encoder(str(vit_folder), device="cpu", dtype="bfloat16")
        assert bool(encoder.notes) != is_fast
    assert "no fast bfloat16" in encoder.notes[0]


def _counting(backbone: Backbone, most_frames: int, sizes: list[int]) -> Backbone:
    """`backbone` on a device whose memory holds `most_frames`; `sizes` gets those of batches."""
    from dataclasses import replace

    def embed(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        sizes.append(len(inputs["pixels"]))
        if sizes[-1] > most_frames:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return backbone.embed_frames(inputs)

    return replace(backbone, embed_frames=embed)


def test_a_batch_holds_what_fits_into_its_bytes(vit_folder: Path) -> None:
    encoder = load_encoder(str(vit_folder), device="cpu")
    sizes: list[int] = []
    counted = FrameEncoder(
        _counting(encoder._backbone, 99, sizes),
        device="cpu",
        batch_bytes=int(2.5 * encoder.frame_bytes),
    )
    assert np.abs(counted.encode_frames(FRAMES) - encoder.encode_frames(FRAMES)).max() < 1e-6
    # The first is a grey frame, by which bytes are measured.
    assert sizes == [1, 2, 2, 1]


def test_a_batch_that_does_not_fit_is_halved_and_the_half_is_remembered(vit_folder: Path) -> None:
    encoder = load_encoder(str(vit_folder), device="cpu")
    sizes: list[int] = []
    tight = FrameEncoder(_counting(encoder._backbone, 2, sizes), device="cpu")
    assert np.abs(tight.encode_frames(FRAMES) - encoder.encode_frames(FRAMES)).max() < 1e-6
    assert sizes == [1, 5, 2, 2, 1]
    tight.encode_frames(FRAMES)
    assert sizes[5:] == [2, 2, 1]


def test_one_frame_that_does_not_fit_says_what_to_do(vit_folder: Path) -> None:
    backbone = load_encoder(str(vit_folder), device="cpu")._backbone
    with pytest.raises(VideoError, match=r"one frame of 160x160 does not fit .*bfloat16"):
        FrameEncoder(_counting(backbone, 0, []), device="cpu").encode_frames(FRAMES)


def test_the_tower_is_compiled_where_that_is_asked_for(
    vit_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []

    def compile_tower(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(inputs: object) -> object:
            compiled.append(inputs)
            return function(inputs)

        return run

    plain = load_encoder(str(vit_folder), device="cpu").encode_frames(FRAMES)
    monkeypatch.setattr(torch, "compile", compile_tower)
    encoder = load_encoder(str(vit_folder), device="cpu", compile=True)
    assert np.array_equal(encoder.encode_frames(FRAMES), plain) and len(compiled) == 1
    assert repr(encoder).endswith("on cpu, compiled)")


def test_a_compiler_that_is_missing_is_told(
    vit_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(inputs: object) -> object:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", lambda function: fail)
    encoder = load_encoder(str(vit_folder), device="cpu", compile=True)
    with pytest.raises(VideoError, match=r"cannot be compiled here \(No working C\+\+.*compile=F"):
        encoder.encode_frames(FRAMES)


@pytest.mark.full
def test_a_compiled_tower_gives_the_same_vectors(tmp_path: Path) -> None:
    tiny_encoders.write_naflex(tmp_path)
    plain, fast = (load_encoder(str(tmp_path), device="cpu", compile=c) for c in (False, True))
    assert np.abs(plain.encode_frames(FRAMES) - fast.encode_frames(FRAMES)).max() < 1e-5


@pytest.mark.gpu
def test_a_card_gives_the_vectors_of_the_processor(vit_folder: Path) -> None:
    on_card = load_encoder(str(vit_folder), device="cuda").encode_frames(FRAMES)
    on_cpu = load_encoder(str(vit_folder), device="cpu").encode_frames(FRAMES)
    assert (on_card * on_cpu).sum(axis=1).min() > 0.999


def test_the_package_imports_no_torch() -> None:
    code = "import sys, mmreason.video.encoders; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
