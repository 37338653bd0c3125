"""Measures encoders of frames: ours beside timm, transformers and open_clip with the same weights.

What is measured is turned into a page by `encode_report`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from timm.data.transforms_factory import transforms_imagenet_eval as create_naflex_transform
from timm.layers.config import set_fused_attn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from mmreason.bench.encode_report import OURS, EncodeRow
from mmreason.bench.rounds import measure_rounds, summarise_rounds
from mmreason.video.encoders import FrameEncoder, image_text, timm_models

Encode = Callable[[Any], np.ndarray]
"""uint8 (N, H, W, 3), or crops (h, w, 3), to rows of length 1."""

_BATCH = 8


@dataclass(frozen=True, slots=True)
class EncodeScale:
    """How much is measured."""

    name: str
    rounds: int
    frames: int
    model: str
    convnet: str
    large_px: tuple[int, int]
    """(height, width) of frames as they come from a video."""
    clip_width: int
    clip_layers: int


FULL = EncodeScale(
    "full", 4, 16, "vit_small_patch16_224", "efficientnet_lite0", (720, 1280), 384, 6
)
QUICK = EncodeScale("quick", 2, 2, "test_vit", "test_efficientnet", (180, 320), 64, 1)


@dataclass(frozen=True, slots=True)
class EncodeGroup:
    """Ways to encode the same frames; the first is what the others are compared with."""

    title: str
    frames: np.ndarray | Sequence[np.ndarray]
    methods: dict[str, Encode]
    flops: float
    """Of one frame."""


def make_groups(scale: EncodeScale, device: torch.device) -> Iterator[EncodeGroup]:
    """Every comparison, made when it is asked for."""
    draw = np.random.default_rng(0)
    torch.manual_seed(0)
    model = _create_timm(scale.model, device)
    # Frames of the model's own size are then not resized, by us no more than by timm alone.
    model.pretrained_cfg |= {"crop_pct": 1.0}
    flops = count_flops(model, model.pretrained_cfg["input_size"][1:], device)
    side = model.pretrained_cfg["input_size"][1]
    small = draw.integers(0, 256, (scale.frames, side, side, 3), np.uint8)
    large = draw.integers(0, 256, (scale.frames, *scale.large_px, 3), np.uint8)
    encoder = _wrap(model, scale.model, device)
    bare = BareTimm(model, device)
    yield EncodeGroup(
        f"overhead over timm alone, {scale.model}, frames of its own size",
        small,
        {"timm, pixels by torch": bare.encode, OURS: encoder.encode_frames},
        flops,
    )
    height, width = scale.large_px
    yield EncodeGroup(
        f"{scale.model}, frames of {width}x{height}",
        large,
        {"timm, its transform by PIL": bare.encode_by_pil, OURS: encoder.encode_frames},
        flops,
    )
    with _unfused_attention():
        eager = BareTimm(_copy_weights(model, _create_timm(scale.model, device)), device)
    yield EncodeGroup(
        f"attention of timm, {scale.model}",
        small[:_BATCH],
        {"SDPA": bare.encode, "eager": eager.encode},
        flops,
    )
    yield EncodeGroup(
        f"frames a batch, {scale.model}",
        small[:_BATCH],
        {f"{count}": partial(bare.encode, batch=count) for count in (8, 1, 4)},
        flops,
    )
    narrow = BareTimm(
        _copy_weights(model, _create_timm(scale.model, device)).to(torch.bfloat16), device
    )
    # Where bfloat16 is slow it is very slow: one frame tells.
    few = small if device.type == "cuda" else small[:1]
    yield EncodeGroup(
        f"numbers, {scale.model}",
        few,
        {"float32": bare.encode, "bfloat16": narrow.encode},
        flops,
    )
    yield _make_crops_group(scale, device, draw)
    yield _make_convnet_group(scale, device, draw)
    yield _make_clip_group(scale, device, large)
    if _has_open_clip():
        yield _make_open_clip_group(device, large[:4])


def measure_group(group: EncodeGroup, rounds: int) -> list[EncodeRow]:
    """All methods in turns; the first run of each is not counted."""
    names = list(group.methods)
    reference = names[0]
    vectors = {name: encode(group.frames) for name, encode in group.methods.items()}
    calls = {name: partial(encode, group.frames) for name, encode in group.methods.items()}
    times = summarise_rounds(measure_rounds(calls, rounds), reference)
    rows = []
    for name in names:
        rows.append(
            EncodeRow(
                group=group.title,
                method=name,
                frames=len(group.frames),
                seconds=times[name].seconds,
                ratio=times[name].ratio,
                lowest=times[name].lowest,
                highest=times[name].highest,
                cosine=float((vectors[name] * vectors[reference]).sum(axis=1).min()),
                tflops=group.flops * len(group.frames) / times[name].seconds / 1e12,
                is_reference=name == reference,
            )
        )
    return rows


class BareTimm:
    """A timm model as one uses it without us: pixels, batches of eight, vectors of length 1."""

    def __init__(self, model: torch.nn.Module, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._dtype = next(model.parameters()).dtype
        config = resolve_model_data_config(model)
        self._transform: Any = create_transform(**config)
        self._mean, self._std = (
            torch.tensor(config[key], device=device)[:, None, None] for key in ("mean", "std")
        )

    def encode(
        self,
        frames: np.ndarray,
        batch: int = _BATCH,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> np.ndarray:
        """Of frames that have the model's size already."""
        rows = []
        for first in range(0, len(frames), batch):
            pixels = torch.from_numpy(frames[first : first + batch]).to(self._device)
            pixels = pixels.permute(0, 3, 1, 2).contiguous().float().div_(255)
            pixels = pixels.sub_(self._mean).div_(self._std)
            rows.append(self._run(pixels.contiguous(memory_format=layout)))
        return np.concatenate(rows)

    def encode_by_pil(self, frames: np.ndarray) -> np.ndarray:
        """Of frames of any size, by the transform that timm makes for the model."""
        rows = []
        for first in range(0, len(frames), _BATCH):
            batch = [
                torch.as_tensor(self._transform(Image.fromarray(frame)))
                for frame in frames[first : first + _BATCH]
            ]
            rows.append(self._run(torch.stack(batch).to(self._device)))
        return np.concatenate(rows)

    def _run(self, pixels: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            return _to_unit_rows(self._model(pixels.to(self._dtype)))


def _make_convnet_group(
    scale: EncodeScale, device: torch.device, draw: np.random.Generator
) -> EncodeGroup:
    model = _create_timm(scale.convnet, device)
    _, height, width = model.pretrained_cfg["input_size"]
    other = _copy_weights(model, _create_timm(scale.convnet, device))
    other = other.to(memory_format=torch.channels_last)
    return EncodeGroup(
        f"layout of a convolutional network, {scale.convnet}",
        draw.integers(0, 256, (scale.frames, height, width, 3), np.uint8),
        {
            "contiguous": BareTimm(model, device).encode,
            "channels last": partial(BareTimm(other, device).encode, layout=torch.channels_last),
        },
        count_flops(model, (height, width), device),
    )


def _make_crops_group(
    scale: EncodeScale, device: torch.device, draw: np.random.Generator
) -> EncodeGroup:
    """Crops of unequal shapes for a NaFlex model, of at most 196 patches."""
    name = "naflexvit_base_patch16_gap"
    model: Any = timm.create_model(
        name,
        embed_dim=scale.clip_width,
        depth=scale.clip_layers,
        num_heads=scale.clip_width // 64,
        num_classes=0,
    )
    model.pretrained_cfg |= {"input_size": (3, 224, 224)}
    model = model.to(device).eval().requires_grad_(False)
    encoder = _wrap(model, name, device)
    sides = draw.integers(40, 300, (scale.frames, 2))
    crops = [draw.integers(0, 256, (height, width, 3), np.uint8) for height, width in sides]
    padded = PaddedNaFlex(model, device)
    return EncodeGroup(
        f"crops of unequal shapes, NaFlex, {scale.clip_layers} layers of {scale.clip_width}",
        crops,
        {
            "timm, padded with a mask": padded.encode,
            "one at a time": lambda crops: np.concatenate(
                [encoder.encode_crops([crop]) for crop in crops]
            ),
            OURS: encoder.encode_crops,
        },
        count_flops(model, (224, 224), device),
    )


class PaddedNaFlex:
    """A NaFlex model as timm runs it: patches of a batch padded to the longest, under a mask."""

    def __init__(self, model: torch.nn.Module, device: torch.device) -> None:
        self._model = model
        self._device = device
        config = resolve_model_data_config(model)
        self._transform: Any = create_naflex_transform(
            patch_size=16,
            max_seq_len=196,
            interpolation=config["interpolation"],
            mean=config["mean"],
            std=config["std"],
            naflex=True,
            patchify=True,
        )

    def encode(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """Of crops of any size."""
        rows = []
        for first in range(0, len(crops), _BATCH):
            items = [self._transform(Image.fromarray(c)) for c in crops[first : first + _BATCH]]
            batch = {
                key: pad_sequence([item[key] for item in items], batch_first=True).to(self._device)
                for key in items[0]
            }
            with torch.inference_mode():
                rows.append(_to_unit_rows(self._model(batch)))
        return np.concatenate(rows)


def _make_clip_group(scale: EncodeScale, device: torch.device, frames: np.ndarray) -> EncodeGroup:
    size = {
        "hidden_size": scale.clip_width,
        "intermediate_size": 4 * scale.clip_width,
        "num_hidden_layers": scale.clip_layers,
        "num_attention_heads": scale.clip_width // 64,
    }
    vision = size | {"image_size": 224, "patch_size": 16}
    # The text tower is not run: one layer of few words.
    text = {"vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=64)
    model: Any = CLIPModel(config).eval()
    model.to(device)
    processor = CLIPImageProcessor()

    def encode(frames: np.ndarray) -> np.ndarray:
        rows = []
        for first in range(0, len(frames), _BATCH):
            inputs = processor(images=list(frames[first : first + _BATCH]), return_tensors="pt")
            with torch.inference_mode():
                features = model.get_image_features(inputs["pixel_values"].to(device))
            rows.append(_to_unit_rows(getattr(features, "pooler_output", features)))
        return np.concatenate(rows)

    encoder = FrameEncoder(
        image_text.build_backbone(model, processor, None, "clip"), device=str(device)
    )
    height, width = scale.large_px
    return EncodeGroup(
        f"CLIP of transformers, {scale.clip_layers} layers of {scale.clip_width}, frames of "
        f"{width}x{height}",
        frames,
        {"transformers": encode, OURS: encoder.encode_frames},
        count_flops(model.vision_model, (224, 224), device),
    )


def _to_unit_rows(features: torch.Tensor) -> np.ndarray:
    vectors = features.float()
    return (vectors / vectors.norm(dim=1, keepdim=True)).cpu().numpy()


def _wrap(model: torch.nn.Module, name: str, device: torch.device) -> FrameEncoder:
    return FrameEncoder(timm_models.build_backbone(model, name), device=str(device))


def _create_timm(name: str, device: torch.device) -> Any:
    model = timm.create_model(name, pretrained=False, num_classes=0)
    return model.to(device).eval().requires_grad_(False)


def _copy_weights(source: Any, target: Any) -> Any:
    target.load_state_dict(source.state_dict())
    return target


@contextmanager
def _unfused_attention() -> Iterator[None]:
    """Models made meanwhile compute attention step by step."""
    set_fused_attn(False)
    try:
        yield
    finally:
        set_fused_attn(True)


def count_flops(model: torch.nn.Module, size_px: tuple[int, int], device: torch.device) -> float:
    """Operations of the model on one frame."""
    pixels = torch.zeros(1, 3, *size_px, device=device)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(pixels)
    return float(counter.get_total_flops())


def list_skipped() -> tuple[str, ...]:
    """What cannot be measured here, and why."""
    return () if _has_open_clip() else ("open_clip, which is not installed",)


def _has_open_clip() -> bool:
    return importlib.util.find_spec("open_clip") is not None


def _make_open_clip_group(device: torch.device, frames: np.ndarray) -> EncodeGroup:
    """A tower of open_clip whose image side is timm's SigLIP, beside that tower under us."""
    # By name, so that a checker of types does not ask for it where it is not installed.
    open_clip: Any = importlib.import_module("open_clip")

    name = "ViT-B-16-SigLIP"
    model, _, transform = open_clip.create_model_and_transforms(name, pretrained=None)
    model = model.to(device).eval()

    def encode(frames: np.ndarray) -> np.ndarray:
        rows = []
        for first in range(0, len(frames), _BATCH):
            batch = [transform(Image.fromarray(f)) for f in frames[first : first + _BATCH]]
            with torch.inference_mode():
                rows.append(_to_unit_rows(model.encode_image(torch.stack(batch).to(device))))
        return np.concatenate(rows)

    trunk = model.visual.trunk
    # By the rule of open_clip, which is not that of timm for the same tower.
    rule = model.visual.preprocess_cfg
    trunk.pretrained_cfg |= {"mean": rule["mean"], "std": rule["std"], "crop_pct": 1.0}
    return EncodeGroup(
        f"{name} of open_clip, frames of {frames.shape[2]}x{frames.shape[1]}",
        frames,
        {"open_clip": encode, OURS: _wrap(trunk, name, device).encode_frames},
        count_flops(trunk, (224, 224), device),
    )
