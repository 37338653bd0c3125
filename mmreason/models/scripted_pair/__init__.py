"""A small image-text pair of ours, which knows scripted worlds: nano's eyes and a reader of some
fifty words; and a head that was trained against half-truths, which it did not cure.

It makes frames by words, the veto and their measures run offline. Of anything else than coloured
shapes it knows nothing. Weights and their card lie beside this file;
`python -m mmreason.training.matching.train` makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmreason.video.encoders.backbone import Backbone, Inputs, TextTower
from mmreason.video.encoders.preprocess import FrameRecipe, Patching, preprocess_frames
from mmreason.video.types import VideoError
from mmreason.video.world.script import Colour, Pattern, Shape

NAME = "scripted-pair"
FOLDER = Path(__file__).resolve().parent
WIDTH_PX, HEIGHT_PX = 144, 80
"""Frames that nano's eyes were taught on."""
WORDS = (
    *("<pad>", "<unknown>", "a", "an", "and", "the", "of", "left", "right", "above", "below"),
    *("small", "large", "one", "two", "three"),
    *get_args(Colour),
    "black",
    *get_args(Pattern),
    *get_args(Shape),
    *(f"{shape}s" for shape in get_args(Shape)),
)
MOST_WORDS = 24
_EYES = FrameRecipe(
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    size=lambda frames, height, width: (HEIGHT_PX, WIDTH_PX),
    patching=Patching(side_px=8, merge=2, frames=2),
    is_still=True,
)


class PoolingHead(nn.Module):
    """Tokens (N, T, F) to one row (N, D): a layer of attention among them, then their pool by a
    learnt query."""

    def __init__(self, tokens: int, features: int, dim: int):
        super().__init__()
        self.place = nn.Parameter(torch.randn(tokens, dim) * 0.02)
        self.enter = nn.Linear(features, dim)
        self.layers = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                dim, 4, 4 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            ),
            2,
            enable_nested_tensor=False,
        )
        self.query = nn.Linear(dim, 1)
        self.leave = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, is_there: Tensor | None = None) -> Tensor:
        """`is_there` bool (N, T) where rows are of unequal length."""
        hidden = self.enter(tokens) + self.place[: tokens.shape[1]]
        missing = None if is_there is None else ~is_there
        hidden = self.layers(hidden, src_key_padding_mask=missing)
        scores = self.query(hidden)[..., 0]
        if missing is not None:
            scores = scores.masked_fill(missing, -torch.inf)
        return self.leave((scores.softmax(dim=1)[..., None] * hidden).sum(dim=1))


class ResidualHead(nn.Module):
    """Rows of length 1 to rows of length 1, at first the same: what is trained against half-truths
    behind towers that stay as they are."""

    def __init__(self, dim: int):
        super().__init__()
        self.inner = nn.Linear(dim, 4 * dim)
        self.outer = nn.Linear(4 * dim, dim)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, rows: Tensor) -> Tensor:
        return normalize(rows + self.outer(torch.nn.functional.gelu(self.inner(rows))), dim=-1)


class ScriptedPair(nn.Module):
    """Features of nano's eyes and words to rows that may be compared.

    `eyes` are not part of its weights: they are nano's own file.
    """

    def __init__(self, features: int = 192, dim: int = 128):
        super().__init__()
        squares = (HEIGHT_PX // 16) * (WIDTH_PX // 16)
        self.pictures = PoolingHead(squares, features, dim)
        self.words = nn.Embedding(len(WORDS), dim)
        self.texts = PoolingHead(MOST_WORDS, dim, dim)
        self.picture_head = ResidualHead(dim)
        self.text_head = ResidualHead(dim)

    def embed_tokens(self, tokens: Tensor, *, with_head: bool = True) -> Tensor:
        """(N, dim) of features (N, 45, 192) of nano's eyes; without the head as it was before it
        was trained against half-truths."""
        rows = normalize(self.pictures(tokens), dim=-1)
        return self.picture_head(rows) if with_head else rows

    def embed_words(self, ids: Tensor, *, with_head: bool = True) -> Tensor:
        """(M, dim) of ids (M, words) of `WORDS`, padded with 0."""
        rows = normalize(self.texts(self.words(ids), ids > 0), dim=-1)
        return self.text_head(rows) if with_head else rows


def read_words(texts: Sequence[str]) -> Tensor:
    """int64 (M, longest): the words of texts by their place in `WORDS`. VideoError for one of more
    than `MOST_WORDS` words."""
    places = {word: number for number, word in enumerate(WORDS)}
    rows = []
    for text in texts:
        words = "".join(c if c.isalpha() else " " for c in text.lower()).split()
        if len(words) > MOST_WORDS:
            raise VideoError(
                f"a text of {len(words)} words: {NAME} reads {MOST_WORDS}; ask with fewer"
            )
        rows.append([places.get(word, 1) for word in words] or [1])
    longest = max(map(len, rows), default=1)
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows]).view(-1, longest)


def prepare_pictures(frames: np.ndarray | Sequence[np.ndarray]) -> Inputs:
    """Squares of frames of any size as nano's eyes take them, and their grids."""
    groups = [frames] if isinstance(frames, np.ndarray) else [crop[None] for crop in frames]
    prepared = [preprocess_frames(group, _EYES) for group in groups]
    values = torch.cat([item.values for item in prepared])
    count = sum(len(group) for group in groups)
    return {"squares": values.view(count, -1, values.shape[-1])}


def look(eyes: Any, inputs: Inputs) -> Tensor:
    """Features (N, 45, 192) of pictures by nano's tower."""
    squares = inputs["squares"]
    grid = torch.tensor([[1, HEIGHT_PX // 8, WIDTH_PX // 8]] * len(squares), device=squares.device)
    output = eyes(squares.flatten(0, 1).to(eyes.dtype), grid_thw=grid, return_dict=True)
    return output.pooler_output.view(len(squares), -1, output.pooler_output.shape[-1]).float()


def load_eyes() -> Any:
    """Nano's vision tower, frozen, in float32."""
    from transformers import AutoModelForImageTextToText

    from mmreason.models.folders import NANO_FOLDER

    model: Any = AutoModelForImageTextToText.from_pretrained(
        NANO_FOLDER, use_safetensors=True, local_files_only=True, trust_remote_code=False
    )
    return model.model.visual.float().eval().requires_grad_(False)


def load_scripted_pair(*, with_head: bool = False) -> Backbone:
    """The packaged pair, or with the head that was trained against half-truths. VideoError where
    its weights are missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    pair = ScriptedPair()
    path = FOLDER / "pair.safetensors"
    try:
        pair.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise VideoError(
            f"{path}: the weights of {NAME} are missing or damaged ({error}); clone mmreason again "
            "and install it"
        ) from error
    module = nn.ModuleDict({"eyes": load_eyes(), "pair": pair.eval().requires_grad_(False)})

    def embed_frames(inputs: Inputs) -> Tensor:
        return pair.embed_tokens(look(module["eyes"], inputs), with_head=with_head)

    return Backbone(
        name=f"{NAME} with its head" if with_head else NAME,
        model=module,
        size_px=(HEIGHT_PX, WIDTH_PX),
        fit_size=lambda height, width: (HEIGHT_PX, WIDTH_PX),
        prepare_frames=lambda frames, size_px, device: {
            key: value.to(device) for key, value in prepare_pictures(frames).items()
        },
        embed_frames=embed_frames,
        architecture=f"nano's eyes and a pair, head {with_head}",
        recipe=f"{WIDTH_PX}x{HEIGHT_PX} {_EYES.resample}",
        notes=("knows scripted worlds of coloured shapes, and nothing else",),
        text_tower=TextTower(
            prepare=lambda texts: {"ids": read_words(texts)},
            embed=lambda inputs: pair.embed_words(inputs["ids"], with_head=with_head),
        ),
    )
