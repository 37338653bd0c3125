"""Trains the scripted pair: first pictures against captions, then its head against half-truths.

    python -m mmreason.training.matching.train --out build/scripted-pair

Nano's eyes stay as they are, so that each picture goes through them once. Takes about a quarter of
an hour of one core.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from mmreason.models.scripted_pair import (
    ScriptedPair,
    load_eyes,
    look,
    prepare_pictures,
    read_words,
)
from mmreason.training.matching.losses import TEMPERATURE, UNIT_WEIGHT, full_loss, unit_loss
from mmreason.training.matching.pictures import SLOTS, Picture, draw_picture, without_pixels

_LOOKED_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRecipe:
    """How the pair is trained.

    Example:
        >>> PairRecipe(steps=10).unit_weight
        0.5
    """

    seed: int = 0
    pictures: int = 6_000
    on_photographs: float = 0.25
    """Share of the pictures."""
    batch: int = 128
    steps: int = 2_000
    """Of pictures against captions."""
    head_steps: int = 600
    learning_rate: float = 1e-3
    head_rate: float = 1e-3
    unit_weight: float = UNIT_WEIGHT
    temperature: float = TEMPERATURE


@dataclass(frozen=True, slots=True)
class SeenPictures:
    """Pictures with what nano's eyes gave for them: float16 (N, 45, 192)."""

    pictures: tuple[Picture, ...]
    tokens: Tensor


def look_at_pictures(prefix: str, count: int, on_photographs: float) -> SeenPictures:
    """`count` pictures of seeds that begin with `prefix`."""
    eyes = load_eyes()
    pictures, tokens = [], []
    for first in range(0, count, _LOOKED_AT_ONCE):
        drawn = [
            draw_picture(f"{prefix}/{i}", photographs=i % 100 < 100 * on_photographs)
            for i in range(first, min(first + _LOOKED_AT_ONCE, count))
        ]
        with torch.inference_mode():
            features = look(eyes, prepare_pictures(np.stack([p.pixels for p in drawn])))
        tokens.append(features.half())
        pictures += [without_pixels(picture) for picture in drawn]
    return SeenPictures(tuple(pictures), torch.cat(tokens).clone())


def make_pair(seed: int) -> ScriptedPair:
    """An untrained pair, the same for a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ScriptedPair()


def train_pair(
    pair: ScriptedPair, seen: SeenPictures, recipe: PairRecipe
) -> Iterator[tuple[str, int, float]]:
    """Trains `pair` in place: (stage, step, loss) after every step of both stages."""
    draw = random.Random(recipe.seed)
    heads = {id(p) for m in (pair.picture_head, pair.text_head) for p in m.parameters()}
    towers = [p for p in pair.parameters() if id(p) not in heads]
    for step, loss in _run(pair, towers, seen, recipe, draw, with_head=False):
        yield "captions", step, loss
    for parameter in towers:
        parameter.requires_grad_(False)
    head = [p for p in pair.parameters() if id(p) in heads]
    for step, loss in _run(pair, head, seen, recipe, draw, with_head=True):
        yield "half-truths", step, loss


def _run(
    pair: ScriptedPair,
    parameters: Sequence[Tensor],
    seen: SeenPictures,
    recipe: PairRecipe,
    draw: random.Random,
    *,
    with_head: bool,
) -> Iterator[tuple[int, float]]:
    steps = recipe.head_steps if with_head else recipe.steps
    rate = recipe.head_rate if with_head else recipe.learning_rate
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=0.1
    )
    for step in range(1, steps + 1):
        numbers = draw.sample(range(len(seen.pictures)), recipe.batch)
        pictures = [seen.pictures[i] for i in numbers]
        images = pair.embed_tokens(seen.tokens[numbers].float(), with_head=with_head)
        if with_head:
            loss = _half_truth_loss(pair, images, pictures, recipe, draw)
        else:
            # A part of a caption is a right text too, and teaches the single things.
            texts = [
                draw.choice([p.caption, *(unit for unit, _ in p.pairs)]) if p.pairs else p.caption
                for p in pictures
            ]
            captions = pair.embed_words(read_words(texts), with_head=False)
            none = torch.zeros(len(images), dtype=torch.bool)
            loss = full_loss(images, captions, captions, none, recipe.temperature)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        yield step, loss.item()


def _half_truth_loss(
    pair: ScriptedPair,
    images: Tensor,
    pictures: Sequence[Picture],
    recipe: PairRecipe,
    draw: random.Random,
) -> Tensor:
    captions, foils, has_foil = [], [], []
    units: list[str] = []
    unit_foils: list[str] = []
    is_there = []
    for picture in pictures:
        captions.append(picture.caption)
        foils.append(picture.caption_foil or picture.caption)
        has_foil.append(bool(picture.caption_foil))
        pairs = draw.sample(picture.pairs, min(SLOTS, len(picture.pairs)))
        for slot in range(SLOTS):
            unit, foil = pairs[slot] if slot < len(pairs) else (picture.caption, picture.caption)
            units.append(unit)
            unit_foils.append(foil)
            is_there.append(slot < len(pairs))
    rows = pair.embed_words(read_words([*captions, *foils, *units, *unit_foils]))
    count = len(pictures)
    caption_rows, foil_rows = rows[:count], rows[count : 2 * count]
    unit_rows, unit_foil_rows = rows[2 * count :].view(2, count, SLOTS, -1)
    loss = full_loss(images, caption_rows, foil_rows, torch.tensor(has_foil), recipe.temperature)
    there = torch.tensor(is_there).view(count, SLOTS)
    return loss + recipe.unit_weight * unit_loss(
        images, unit_rows, unit_foil_rows, there, recipe.temperature
    )


def save_pair(pair: ScriptedPair, folder: Path) -> Path:
    """As float16, which the figures of the card are of."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pair.safetensors"
    save_file({k: v.half().contiguous() for k, v in pair.state_dict().items()}, path)
    return path


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=PairRecipe.pictures)
    parser.add_argument("--steps", type=int, default=PairRecipe.steps)
    parser.add_argument("--head-steps", type=int, default=PairRecipe.head_steps)
    parser.add_argument("--unit-weight", type=float, default=UNIT_WEIGHT)
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = PairRecipe(
        seed=given.seed,
        pictures=given.pictures,
        steps=given.steps,
        head_steps=given.head_steps,
        unit_weight=given.unit_weight,
    )
    seen = look_at_pictures(f"train/{recipe.seed}", recipe.pictures, recipe.on_photographs)
    print(f"{len(seen.pictures)} pictures were looked at", flush=True)
    pair = make_pair(recipe.seed)
    for stage, step, loss in train_pair(pair, seen, recipe):
        if step % 100 == 0:
            print(f"{stage} {step}: loss {loss:.3f}", flush=True)
    print(f"written to {save_pair(pair, given.out)}")


if __name__ == "__main__":
    main()
