"""Measures labels and looks: photographs named, other pictures declined, real clips, movement, shots.

    python benchmarks/gather_nano_sources.py build/label-pictures
    python benchmarks/senses_labels.py build/label-pictures > benchmarks/results/senses/labels.md

What each picture is was said by hand (`senses_labels_truth.tsv`). Pictures are parted into two halves
by a hash of their names. `--fit` makes the fits that tell photographs from other pictures on the
first half and writes `video/labels/photograph.safetensors`; the tables measure on the second.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw

from mmreason.video import Span, Video
from mmreason.video.labels import Label, VideoLabels, label_video
from mmreason.video.labels.decide import decide_labels
from mmreason.video.labels.efficientnet import EfficientNetLite
from mmreason.video.labels.photograph import judge_pictures, measure_picture
from mmreason.video.types import VideoError
from mmreason.weights import find_weights

TRUTH = Path(__file__).with_name("senses_labels_truth.tsv")
FIT = Path(__file__).parents[1] / "video/labels/photograph.safetensors"
FRAME_AREA_PX = 384 * 256
HONEST = {"web page", "screen", "scoreboard", "book jacket", "comic book", "crossword puzzle", "menu"}
"""What may rightly be said of pictures that are no photographs."""

Kind = Literal["photograph", "other", "unclear"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and what is known of it."""

    name: str
    pixels: np.ndarray
    """uint8 (H, W, 3)."""
    kind: Kind
    right: frozenset[str]
    """Kinds or classes of which each is a right answer; empty where ImageNet has none."""

    @property
    def is_first_half(self) -> bool:
        return zlib.crc32(self.name.encode()) % 2 == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", type=Path, help="Folder of gather_nano_sources.py.")
    parser.add_argument("--weights", default="efficientnet-lite0", help="Name or folder.")
    parser.add_argument("--fit", action="store_true", help="Make the fits anew.")
    args = parser.parse_args()
    classifier = EfficientNetLite(find_weights(args.weights))
    pictures = [*read_pictures(args.pictures), *draw_pictures()]
    if args.fit:
        write_fits(pictures, classifier)
        return 0
    print("# Labels\n\n`python benchmarks/senses_labels.py PICTURES`\n")
    print_pictures(pictures, classifier)
    print_clips(args.pictures, classifier)
    return 0


def read_pictures(folder: Path) -> Iterator[Picture]:
    for line in TRUTH.read_text("utf-8").splitlines()[1:]:
        name, kind, right = line.split("\t")
        if (folder / name).is_file():
            with Image.open(folder / name) as image:
                pixels = _to_pixels(image)
            words = frozenset(word.strip() for word in right.split(",") if word.strip())
            yield Picture(name, pixels, kind, words)  # type: ignore[arg-type]


def _to_pixels(image: Image.Image) -> np.ndarray:
    """On white where it is transparent, and as small as `label_video` reads frames."""
    rgba = image.convert("RGBA")
    ground = Image.new("RGBA", rgba.size, "white")
    flat = Image.alpha_composite(ground, rgba).convert("RGB")
    scale = min(1.0, (FRAME_AREA_PX / (flat.width * flat.height)) ** 0.5)
    size = max(16, round(flat.width * scale)), max(16, round(flat.height * scale))
    return np.asarray(flat.resize(size, Image.Resampling.BICUBIC))


def draw_pictures(seed: int = 5) -> Iterator[Picture]:
    """Pictures that are surely no photographs: noise, ramps, shapes, slides of text."""
    rng = np.random.default_rng(seed)
    for row in range(12):
        yield _drawn(f"drawn/noise-{row}", rng.normal(128, 20 + 8 * row, (216, 384, 3)))
        ramp = np.linspace(*rng.uniform(0, 255, 2), 384)[None, :, None]
        yield _drawn(f"drawn/ramp-{row}", np.broadcast_to(ramp * rng.uniform(0.2, 1, 3), (216, 384, 3)))
        yield _drawn(f"drawn/shapes-{row}", _draw_shapes(rng))
        yield _drawn(f"drawn/slide-{row}", _draw_slide(rng))


def _drawn(name: str, pixels: np.ndarray) -> Picture:
    return Picture(name, pixels.clip(0, 255).astype(np.uint8), "other", frozenset())


def _draw_shapes(rng: np.random.Generator) -> np.ndarray:
    image = Image.new("RGB", (384, 216), _colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 7)):
        x, y, side = (int(value) for value in rng.integers((0, 0, 20), (340, 180, 120)))
        shape = rng.choice(("ellipse", "rectangle"))
        getattr(draw, shape)((x, y, x + side, y + side), fill=_colour(rng))
    return np.asarray(image)


def _draw_slide(rng: np.random.Generator) -> np.ndarray:
    is_dark = rng.random() < 0.3
    image = Image.new("RGB", (384, 216), (20, 24, 40) if is_dark else (250, 250, 245))
    draw = ImageDraw.Draw(image)
    words = "budget plan quarter two million growth of the next year results team goals".split()
    for row in range(rng.integers(2, 8)):
        line = " ".join(rng.choice(words, 5))
        draw.text((24, 20 + 24 * row), line, fill="white" if is_dark else "black", font_size=14)
    return np.asarray(image)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def write_fits(pictures: Sequence[Picture], classifier: EfficientNetLite) -> None:
    """Fit on the first half and write the weights."""
    from safetensors.numpy import save_file

    chosen = [item for item in pictures if item.is_first_half and item.kind != "unclear"]
    is_photograph = np.array([item.kind == "photograph" for item in chosen])
    tensors: dict[str, np.ndarray] = {}
    measures: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, float]] = {
        # Statistics alone refuse only what is clear; the features decide.
        "statistics": (measure_picture, 1.0, 0.03),
        "features": (lambda frame: classifier.pool_features(frame[None])[0], 100.0, 0.08),
    }
    for name, (measure, decay, lost_share) in measures.items():
        values = np.array([measure(item.pixels) for item in chosen])
        mean, scale = values.mean(axis=0), values.std(axis=0) + 1e-6
        weights, bias = fit_line((values - mean) / scale, is_photograph, decay)
        scores = (values - mean) / scale @ weights + bias
        # The border loses that share of the photographs it was made with.
        bias -= float(np.quantile(scores[is_photograph], lost_share))
        tensors |= {f"{name}.mean": mean, f"{name}.scale": scale, f"{name}.weights": weights}
        tensors[f"{name}.bias"] = np.array([bias])
    save_file({key: value.astype(np.float32) for key, value in tensors.items()}, FIT)
    print(f"{FIT.name}: from {is_photograph.sum()} photographs, {(~is_photograph).sum()} others")


def fit_line(values: np.ndarray, targets: np.ndarray, decay: float) -> tuple[np.ndarray, float]:
    """Logistic regression with weight decay, both classes weighing the same: (weights, bias)."""
    from scipy.optimize import minimize

    rows = np.c_[values, np.ones(len(values))]
    signs = np.where(targets, 1.0, -1.0)
    shares = np.where(targets, 0.5 / targets.mean(), 0.5 / (1 - targets.mean()))

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (rows @ line)
        slope = -(shares * signs / (1 + np.exp(np.clip(margins, -50, 50)))) @ rows
        kept = np.append(line[:-1], 0.0)
        return float((shares * np.logaddexp(0, -margins)).sum() + decay / 2 * kept @ kept), (
            slope + decay * kept
        )

    line = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x
    return line[:-1], float(line[-1])


def print_pictures(pictures: Sequence[Picture], classifier: EfficientNetLite) -> None:
    ...


def print_clips(folder: Path, classifier: EfficientNetLite) -> None:
    ...


if __name__ == "__main__":
    raise SystemExit(main())
