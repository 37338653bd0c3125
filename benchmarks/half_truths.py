"""Half-truths: how often a right text is preferred to itself with one wrong detail, by the scripted
pair before and after its head, on pictures that it never saw.

    python benchmarks/half_truths.py --out benchmarks/results/half_truths.md

With `--train SEED ...` pairs are trained anew, with units in the loss and without, which takes a
quarter of an hour each; without it the packaged pair is measured, in about two minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from mmreason.grounding.half_truths import HalfTruthScore, score_half_truths, score_text
from mmreason.grounding.half_truths.veto import WEIGHT
from mmreason.models.scripted_pair import ScriptedPair, load_scripted_pair, read_words
from mmreason.training.matching.train import (
    PairRecipe,
    SeenPictures,
    look_at_pictures,
    make_pair,
    train_pair,
)
from mmreason.video.files import write_atomic

PICTURES = 600
SETS = {"plain grounds": 0.0, "photographs as grounds": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFigures:
    """One pair on one set of pictures."""

    pair: str
    pictures: str
    half_truths: dict[str, HalfTruthScore]
    recall: float
    """Share of pictures whose caption is the nearest of all captions."""


def measure(
    pair: ScriptedPair, seen: SeenPictures, *, with_head: bool, veto: bool
) -> tuple[dict[str, HalfTruthScore], float]:
    """Half-truth accuracy and recall at 1; with `veto` half-truths are scored by it."""
    known: dict[str, np.ndarray] = {}

    def embed(texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            rows = pair.embed_words(read_words(new), with_head=with_head).numpy()
            known.update(zip(new, rows, strict=True))
        return np.stack([known[text] for text in texts])

    with torch.inference_mode():
        images = pair.embed_tokens(seen.tokens.float(), with_head=with_head).numpy()
        captions = [picture.caption for picture in seen.pictures]
        nearest = (images @ embed(captions).T).argmax(axis=1)
        found = [captions[j] == captions[i] for i, j in enumerate(nearest)]
        rows = [(i, *half) for i, p in enumerate(seen.pictures) for half in p.half_truths]

        def score(image: int, text: str) -> float:
            frame = images[image : image + 1]
            return score_text(frame, text, embed, weight=WEIGHT if veto else 0.0).score

        right = [score(image, text) for image, text, _, _ in rows]
        wrong = [score(image, text) for image, _, text, _ in rows]
    numbers = [image for image, *_ in rows]
    kinds = [kind for *_, kind in rows]
    return score_half_truths(right, wrong, kinds, numbers), float(np.mean(found))


def measure_all(train_seeds: list[int]) -> Iterator[PairFigures]:
    """The packaged pair, then those that are trained anew."""
    seen = {name: look_at_pictures(f"held-out/{name}", PICTURES, s) for name, s in SETS.items()}
    packaged = load_scripted_pair().model.get_submodule("pair")
    assert isinstance(packaged, ScriptedPair)
    pairs = {"packaged": packaged}
    for seed in train_seeds:
        recipe = PairRecipe(seed=seed)
        taught = look_at_pictures(f"train/{seed}", recipe.pictures, recipe.on_photographs)
        for weight in (recipe.unit_weight, 0.0):
            name = f"seed {seed}, unit weight {weight:g}"
            pairs[name] = make_pair(seed)
            for _ in train_pair(pairs[name], taught, replace(recipe, unit_weight=weight)):
                pass
    for name, pair in pairs.items():
        for with_head, veto in ((False, False), (True, False), (False, True)):
            how = (", with its head" if with_head else "") + (", veto" if veto else "")
            for pictures in SETS:
                scores, recall = measure(pair, seen[pictures], with_head=with_head, veto=veto)
                yield PairFigures(
                    pair=name + how,
                    pictures=pictures,
                    half_truths=scores,
                    recall=recall,
                )


def build_page(figures: list[PairFigures], command: str) -> str:
    """Markdown."""
    lines = [
        "# Half-truths",
        "",
        f"`{command}`",
        "",
        f"{PICTURES} held-out pictures of scripted worlds a set. A half-truth is a right text (one "
        "thing) with a wrong detail added: a thing that is not there (entity), or a place where "
        "the thing is not (relation). A tie is wrong. Intervals (95 %) are of a bootstrap over "
        "pictures. Recall is of a picture's caption among all captions. Photographs are the four "
        "that pictures of the training had as grounds too.",
        "",
        "| pair | pictures | all | entity | relation | comparisons | recall at 1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for item in figures:
        cells = [
            f"{score.accuracy:.1%} ({score.low:.1%} to {score.high:.1%})"
            if (score := item.half_truths.get(kind))
            else "none"
            for kind in ("all", "entity", "relation")
        ]
        lines.append(
            f"| {item.pair} | {item.pictures} | {' | '.join(cells)} | "
            f"{item.half_truths['all'].comparisons} | {item.recall:.1%} |"
        )
    lines += [
        "",
        "Aims: 90 % of half-truths with the head, and recall within 2 points of before. The head, "
        "trained with the loss of CS-CLIP on frozen features, with half-truths of the same forms "
        "about other pictures among its foils, does not reach the first. Letting both towers learn "
        "with it for 200 steps did not either (a trial, not in this table). The pair knows "
        "coloured shapes and nothing else; what such a head does for CLIP or SigLIP on real "
        "pictures was not measured.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, nargs="*", default=[], metavar="SEED")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seeds = "".join(f" {seed}" for seed in given.train)
    command = "python benchmarks/half_truths.py --out benchmarks/results/half_truths.md"
    figures = list(measure_all(given.train))
    page = build_page(figures, command + (f" --train{seeds}" if seeds else ""))
    write_atomic(given.out, page.encode())
    print(page)


if __name__ == "__main__":
    main()
