"""EfficientNet-Lite0 with the weights that a package ships: the default for real footage.

Labels name classes by the same network (`mmreason.video.labels.efficientnet`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mmreason.video.encoders.backbone import Backbone, Frames, Inputs, SizePx, hash_tensors
from mmreason.video.types import VideoError

NAME = "efficientnet-lite0"
_ARCHITECTURE = "tf_efficientnet_lite0"
"""The weights come from TensorFlow, which pads unevenly: timm's tf_ variant does the same."""
_SIDE_PX = 224
_MEAN, _DEVIATION = 0.498, 0.502
"""What its authors normalised by: (pixel - 127) / 128."""
_TENSORS_SHA256 = "ac73d8caead58befc6b7f487a945ef400c8f1514ec776b50fd6f4f8f65497ef2"
"""Of the tensors, not of the file: releases of safetensors write headers differently."""
_GET_AGAIN = f"get them again with `mmreason weights get {NAME}`"


def load_efficientnet(folder: Path) -> Backbone:
    """The network of `folder/model.safetensors`, without its classes: 1,280 pooled features. Raises
    VideoError where the file is missing, of another network, or altered."""
    model = load_network(folder)

    def embed_frames(inputs: Inputs) -> torch.Tensor:
        return model.forward_head(model.forward_features(inputs["pixels"]), pre_logits=True)

    return Backbone(
        name=NAME,
        model=model,
        size_px=(_SIDE_PX, _SIDE_PX),
        fit_size=lambda height, width: (_SIDE_PX, _SIDE_PX),
        prepare_frames=_prepare_frames,
        embed_frames=embed_frames,
        architecture=_ARCHITECTURE,
        recipe=f"{_SIDE_PX}x{_SIDE_PX} area mean {_MEAN} std {_DEVIATION}",
    )


def load_network(folder: Path) -> Any:
    """The whole network, with its 1,000 classes. Raises VideoError as `load_efficientnet`."""
    path = folder / "model.safetensors"
    if not path.is_file():
        raise VideoError(
            f"{folder}: no model.safetensors there; get it with `mmreason weights get {NAME}`"
        )
    model = timm.create_model(_ARCHITECTURE, pretrained=False)
    try:
        tensors = load_file(path)
        model.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise VideoError(
            f"{path}: not the weights of EfficientNet-Lite0 ({reason}); {_GET_AGAIN}"
        ) from error
    sha256 = hash_tensors(tensors)
    if sha256 != _TENSORS_SHA256:
        raise VideoError(
            f"{path}: altered weights, expected tensors of SHA-256 {_TENSORS_SHA256}, found "
            f"{sha256}; {_GET_AGAIN}"
        )
    return model.eval()


def squash_frames(frames: Frames) -> np.ndarray:
    """float32 (N, 3, 224, 224) of uint8 (h, w, 3): whole frames, whatever their shape."""
    sized = [
        cv2.resize(frame, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA) for frame in frames
    ]
    pixels = np.stack(sized).astype(np.float32) / 255
    return np.ascontiguousarray(((pixels - _MEAN) / _DEVIATION).transpose(0, 3, 1, 2))


def _prepare_frames(frames: Frames, size_px: SizePx, device: torch.device) -> Inputs:
    return {"pixels": torch.from_numpy(squash_frames(frames))}
