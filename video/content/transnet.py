"""TransNetV2 (Souček and Lokoč 2020, arXiv 2008.04838): a small 3-D network that finds cuts and
gradual transitions in frames of 48 x 27, written anew after the paper.

Its published weights (MIT) load key for key, from safetensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mmreason.video.types import VideoError

SIZE_PX = (48, 27)
"""Width and height of its frames."""
WINDOW, MARGIN = 100, 25
"""Frames it sees at once, and those at each end of a window whose values are not used."""
_LOOKUP = 101
"""How many frames around it each frame is compared with."""


class TransNet(nn.Module):
    """Logits of "a transition is here" for each of uint8 frames (B, T, 27, 48, 3): (B, T).

    Example:
        >>> TransNet()(torch.zeros(1, 4, 27, 48, 3, dtype=torch.uint8)).shape
        torch.Size([1, 4])
    """

    def __init__(self) -> None:
        super().__init__()
        # Names are those of the published weights.
        widths = (16, 32, 64)
        inputs = (3, *(4 * width for width in widths[:-1]))
        self.SDDCNN = nn.ModuleList(
            _Stack(into, width) for into, width in zip(inputs, widths, strict=True)
        )
        self.frame_sim_layer = _FrameSimilarity(sum(4 * width for width in widths))
        self.color_hist_layer = _ColourSimilarity()
        self.fc1 = nn.Linear(4 * widths[-1] * 3 * 6 + 128 + 128, 1024)
        self.cls_layer1 = nn.Linear(1024, 1)
        self.cls_layer2 = nn.Linear(1024, 1)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        volume = frames.permute(0, 4, 1, 2, 3).float() / 255
        means = []
        for stack in self.SDDCNN:
            volume = stack(volume)
            means.append(volume.mean(dim=(3, 4)))
        features = torch.cat(
            (
                self.color_hist_layer(frames),
                self.frame_sim_layer(torch.cat(means, dim=1).transpose(1, 2)),
                volume.permute(0, 2, 3, 4, 1).flatten(2),
            ),
            dim=2,
        )
        return self.cls_layer1(functional.relu(self.fc1(features)))[..., 0]


class _Stack(nn.Module):
    """Two blocks with a connection around the second, then half the size in the picture."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList((_Dilated(inputs, width), _Dilated(4 * width, width)))

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        first, second = self.DDCNN
        near = functional.relu(first(volume))
        return functional.avg_pool3d(functional.relu(second(near)) + near, (1, 2, 2))


class _Dilated(nn.Module):
    """Four convolutions side by side that reach 1, 2, 4 and 8 frames into past and future."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.Conv3D_1 = _SpaceThenTime(inputs, width, 1)
        self.Conv3D_2 = _SpaceThenTime(inputs, width, 2)
        self.Conv3D_4 = _SpaceThenTime(inputs, width, 4)
        self.Conv3D_8 = _SpaceThenTime(inputs, width, 8)
        self.bn = nn.BatchNorm3d(4 * width, eps=1e-3)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        reaches = (self.Conv3D_1, self.Conv3D_2, self.Conv3D_4, self.Conv3D_8)
        return self.bn(torch.cat([reach(volume) for reach in reaches], dim=1))


class _SpaceThenTime(nn.Module):
    """A 3-D convolution as one over the picture and one over time."""

    def __init__(self, inputs: int, width: int, reach: int) -> None:
        super().__init__()
        space = nn.Conv3d(inputs, 2 * width, (1, 3, 3), padding=(0, 1, 1), bias=False)
        time = nn.Conv3d(
            2 * width, width, (3, 1, 1), dilation=(reach, 1, 1), padding=(reach, 0, 0), bias=False
        )
        self.layers = nn.ModuleList((space, time))

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        space, time = self.layers
        return time(space(volume))


class _FrameSimilarity(nn.Module):
    """How alike each frame is to those around it, by learned features (B, T, inputs)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.projection = nn.Linear(inputs, 128)
        self.fc = nn.Linear(_LOOKUP, 128)

    def forward(self, means: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.fc(_similarities(self.projection(means))))


class _ColourSimilarity(nn.Module):
    """How alike each frame is to those around it, by its 8 x 8 x 8 colours."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(_LOOKUP, 128)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        coarse = frames.long() >> 5
        bins = (coarse[..., 0] << 6) + (coarse[..., 1] << 3) + coarse[..., 2]
        counts = torch.zeros(*frames.shape[:2], 512)
        flat = bins.flatten(2)
        counts.scatter_add_(2, flat, torch.ones(flat.shape))
        return functional.relu(self.fc(_similarities(counts)))


def _similarities(vectors: torch.Tensor) -> torch.Tensor:
    """Cosines (B, T, 101) of each of (B, T, C) to the 50 before it, itself and the 50 after it; 0
    where there are none."""
    unit = functional.normalize(vectors, dim=2)
    half = _LOOKUP // 2
    padded = functional.pad(unit @ unit.transpose(1, 2), (half, half))
    length = vectors.shape[1]
    columns = torch.arange(length)[:, None] + torch.arange(_LOOKUP)
    return padded.gather(2, columns.expand(len(vectors), -1, -1))


def load_transnet(folder: Path) -> TransNet:
    """The network with the published weights of `folder`. Raises VideoError where they do not
    serve."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    get_line = "get it with `mmreason weights get transnetv2`"
    if not path.is_file():
        raise VideoError(f"{folder}: no model.safetensors there; {get_line}")
    model = TransNet()
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise VideoError(f"{path}: not the weights of TransNetV2 ({reason}); {get_line}") from error
    return model.eval()


def stream_probabilities(
    score_window: Callable[[np.ndarray], np.ndarray], batches: Iterator[np.ndarray]
) -> Iterator[np.ndarray]:
    """Probabilities of a transition, in order, of uint8 frames (N, 27, 48, 3) that come in batches.

    `score_window` gives float32 (100,) of frames (100, 27, 48, 3). Each frame is scored in a window
    in which it has 25 frames or more to both sides; the first and last frames stand in for those
    before and after the video. At most 150 frames beside a batch are held.
    """
    step = WINDOW - 2 * MARGIN
    buffer: np.ndarray | None = None
    count, scored = 0, 0
    for frames in batches:
        if not len(frames):
            continue
        if buffer is None:
            frames = np.concatenate((np.repeat(frames[:1], MARGIN, axis=0), frames))
            count -= MARGIN
        buffer = frames if buffer is None else np.concatenate((buffer, frames))
        count += len(frames)
        while len(buffer) >= WINDOW:
            yield score_window(buffer[:WINDOW])[MARGIN:-MARGIN]
            scored += step
            buffer = buffer[step:]
    while buffer is not None and scored < count:
        padding = np.repeat(buffer[-1:], max(0, WINDOW - len(buffer)), axis=0)
        values = score_window(np.concatenate((buffer[:WINDOW], padding)))[MARGIN:-MARGIN]
        yield values[: count - scored]
        scored += step
        buffer = np.concatenate((buffer, padding))[step:]


def score_frames(model: TransNet, frames: np.ndarray) -> np.ndarray:
    """float32 (T,), 0..1, of one window of uint8 frames (T, 27, 48, 3)."""
    with torch.inference_mode():
        logits = model(torch.from_numpy(np.ascontiguousarray(frames))[None])
    return torch.sigmoid(logits)[0].numpy()
