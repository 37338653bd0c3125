"""Measures labels and looks: photographs, other pictures, real clips, movement, shots.

    python benchmarks/gather_nano_sources.py build/label-pictures
    python benchmarks/senses_labels.py build/label-pictures > benchmarks/results/senses/labels.md

What each picture is was said by hand (`senses_labels_truth.tsv`). Pictures are parted into two
halves by a hash of their names. `--fit` makes the fits that tell photographs from other pictures on
the first half and writes `video/labels/photograph.safetensors`; the second half measures them.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, cast

import av
import numpy as np
from PIL import Image, ImageDraw

from mmreason.video import Span, Video
from mmreason.video.content.shot_list import DETECTORS, list_shots
from mmreason.video.labels import Label, VideoLabels, label_video
from mmreason.video.labels.decide import decide_labels
from mmreason.video.labels.efficientnet import EfficientNetLite
from mmreason.video.labels.movement import MovementScan
from mmreason.video.labels.photograph import judge_pictures, measure_picture
from mmreason.video.types import VideoError
from mmreason.weights import find_weights

TRUTH = Path(__file__).with_name("senses_labels_truth.tsv")
FIT = Path(__file__).parents[1] / "video/labels/photograph.safetensors"
FRAME_AREA_PX = 384 * 256
HONEST = {"web page", "page", "scoreboard", "book jacket", "comic book", "crossword puzzle", "menu"}
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
    parser.add_argument("--shots", type=Path, nargs="*", help="Clips for both detectors of shots.")
    parser.add_argument("--shot-weights", default="transnetv2", help="Name or folder.")
    parser.add_argument("--fit", action="store_true", help="Make the fits anew.")
    args = parser.parse_args()
    classifier = EfficientNetLite(find_weights(args.weights))
    pictures = [*read_pictures(args.pictures), *draw_pictures()]
    if args.fit:
        write_fits(pictures, classifier)
        return 0
    print("# Labels\n\n`python benchmarks/senses_labels.py PICTURES`\n")
    print_pictures(pictures, classifier)
    print_movement(pictures)
    print_clips(args.pictures, classifier)
    if args.shots:
        print_made_shots(pictures, args.shot_weights)
        print_shots(args.shots, args.shot_weights)
    return 0


def read_pictures(folder: Path) -> Iterator[Picture]:
    for line in TRUTH.read_text("utf-8").splitlines()[1:]:
        name, kind, right = line.split("\t")
        if (folder / name).is_file():
            with Image.open(
                folder / name, formats=("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
            ) as image:
                pixels = _to_pixels(image)
            words = frozenset(word.strip() for word in right.split(",") if word.strip())
            yield Picture(name, pixels, cast("Kind", kind), words)


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
        ramp = np.linspace(rng.uniform(0, 255), rng.uniform(0, 255), 384)[None, :, None]
        yield _drawn(
            f"drawn/ramp-{row}", np.broadcast_to(ramp * rng.uniform(0.2, 1, 3), (216, 384, 3))
        )
        yield _drawn(f"drawn/shapes-{row}", _draw_shapes(rng))
        yield _drawn(f"drawn/slide-{row}", _draw_slide(rng))


def _drawn(name: str, pixels: np.ndarray) -> Picture:
    return Picture(name, pixels.clip(0, 255).astype(np.uint8), "other", frozenset())


def _draw_shapes(rng: np.random.Generator) -> np.ndarray:
    image = Image.new("RGB", (384, 216), _colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 7)):
        x, y, side = (int(value) for value in rng.integers((0, 0, 20), (340, 180, 120)))
        draw_shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        draw_shape((x, y, x + side, y + side), fill=_colour(rng))
    return np.asarray(image)


def _draw_slide(rng: np.random.Generator) -> np.ndarray:
    is_dark = rng.random() < 0.3
    image = Image.new("RGB", (384, 216), (20, 24, 40) if is_dark else (250, 250, 245))
    draw = ImageDraw.Draw(image)
    words = ("budget", "plan", "quarter", "two", "million", "growth", "year", "results", "team")
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
        standard = (values - mean) / scale
        weights, bias = fit_line(standard, is_photograph, decay)
        # The border loses that share of photographs that a fit has not met: scores of those it was
        # made with are too good.
        scores = cross_score(standard, is_photograph, decay)
        bias -= float(np.quantile(scores[is_photograph], lost_share))
        tensors |= {f"{name}.mean": mean, f"{name}.scale": scale, f"{name}.weights": weights}
        tensors[f"{name}.bias"] = np.array([bias])
    save_file({key: value.astype(np.float32) for key, value in tensors.items()}, FIT)
    print(f"{FIT.name}: from {is_photograph.sum()} photographs, {(~is_photograph).sum()} others")


def cross_score(values: np.ndarray, targets: np.ndarray, decay: float) -> np.ndarray:
    """(N,) scores of each row by a fit of the four other fifths."""
    scores = np.empty(len(values))
    for fold in range(5):
        # By turns within each class, so that every fifth has photographs.
        order = np.argsort(targets, kind="stable")
        tested = order[fold::5]
        trained = np.setdiff1d(order, tested)
        weights, bias = fit_line(values[trained], targets[trained], decay)
        scores[tested] = values[tested] @ weights + bias
    return scores


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
    print("## Pictures\n\nA picture is right where all that is said surely of it is right.\n")
    print("| half | pictures | declined | unsure | right | wrong |")
    print("| --- | --- | --- | --- | --- | --- |")
    wrong: list[str] = []
    for is_first in (True, False):
        half = "fitted on" if is_first else "measured"
        groups: dict[str, list[Picture]] = {
            "photographs of what ImageNet has": [
                item for item in pictures if item.kind == "photograph" and item.right
            ],
            "photographs of what it lacks": [
                item for item in pictures if item.kind == "photograph" and not item.right
            ],
            "no photographs": [item for item in pictures if item.kind == "other"],
        }
        for name, group in groups.items():
            chosen = [item for item in group if item.is_first_half == is_first]
            counts = dict.fromkeys(("declined", "unsure", "right", "wrong"), 0)
            for item in chosen:
                result, labels = judge_labels(item, classifier)
                counts[result] += 1
                if result == "wrong":
                    words = "; ".join(f"{label.text} {label.confidence:.2f}" for label in labels)
                    wrong.append(f"- {half}, {name}: {item.name}: {words}")
            cells = " | ".join(str(count) for count in counts.values())
            print(f"| {half} | {len(chosen)} {name} | {cells} |")
    print("\nWrong:\n")
    print("\n".join(wrong) or "none")


def judge_labels(
    item: Picture, classifier: EfficientNetLite
) -> tuple[Literal["declined", "unsure", "right", "wrong"], list[Label]]:
    """What is said surely of a picture, and whether all of it is right."""
    frames = item.pixels[None]
    if judge_pictures(frames, classifier)[0]:
        return "declined", []
    probabilities = classifier.classify(frames)[0]
    labels = decide_labels(probabilities, classifier.classes, Span(0, 1), classifier.name)
    sure = [label for label in labels if label.is_sure]
    if not sure:
        return "unsure", []
    right = item.right if item.kind == "photograph" else HONEST
    is_right = all({label.name, *label.parents} & right for label in sure)
    return ("right" if is_right else "wrong"), sure


def print_clips(folder: Path, classifier: EfficientNetLite) -> None:
    """At most the first 20 s of each clip."""
    print("\n## Clips that packages ship\n\nWhat is said surely of each, and how it looks.\n")
    print("| clip | shots | labels | movement | notes |\n| --- | --- | --- | --- | --- |")
    for path in sorted(folder.glob("*/*")):
        if path.suffix not in (".mp4", ".avi", ".mpg"):
            continue
        try:
            with Video.open(path) as video:
                span = video.info.span.clip(Span(0, 20))
                found = label_video(video, classifier, span=span)
        except VideoError as error:
            print(f"| {path.parent.name}/{path.name} | cannot be read: {error} | | | |")
            continue
        print(
            f"| {path.parent.name}/{path.name} | {len(found.shots)} | {_tell(found)} |", flush=True
        )


def _tell(found: VideoLabels) -> str:
    labels = "; ".join(f"{label.name} {label.confidence:.2f}" for label in found.sure)
    moves = dict.fromkeys(item.kind for item in found.movements)
    return " | ".join((labels or "nothing", ", ".join(moves) or "none", "; ".join(found.notes)))


def print_movement(pictures: Sequence[Picture]) -> None:
    """Cameras that are moved over photographs, and a square that moves over a still one."""
    print("\n## Movement\n\nFrames cut from photographs; 4 s each, five looks a second.\n")
    print("| truth | clips | told | told something else | nothing told |")
    print("| --- | --- | --- | --- | --- |")
    photographs = [item for item in pictures if item.kind == "photograph"][:20]
    for kind in MOVES:
        right = wrong = 0
        for item in photographs:
            scan = MovementScan()
            scan.push(move_camera(item.pixels, kind), np.arange(20) / 5)
            kinds = {movement.kind for movement in scan.finish((), (1280, 720))}
            # A square that moves before a camera at rest is both.
            others = kinds - {kind} - ({"still"} if kind == "something moves" else set())
            right += kind in kinds
            wrong += bool(others)
        silent = len(photographs) - right
        print(f"| {kind} | {len(photographs)} | {right} | {wrong} | {silent} |")


MOVES = (
    *("pan left", "pan right", "tilt up", "tilt down", "zoom in", "zoom out"),
    *("still", "something moves"),
)


def move_camera(photograph: np.ndarray, kind: str) -> np.ndarray:
    """uint8 (20, 90, 160): crops of a photograph, each a bit further on; noise as of a sensor."""
    grey = np.asarray(Image.fromarray(photograph).convert("L").resize((320, 180)))
    noise = np.random.default_rng(1)
    frames = []
    for row in range(20):
        step = row * 2.0
        x, y, scale = 80.0, 45.0, 1.0
        if kind.startswith("pan"):
            x = 20 + step if kind == "pan right" else 140 - step
        elif kind.startswith("tilt"):
            y = 20 + step if kind == "tilt down" else 70 - step
        elif kind.startswith("zoom"):
            scale = 1.3 - row * 0.025 if kind == "zoom in" else 0.8 + row * 0.025
        width, height = 160 * scale, 90 * scale
        left, top = x + (160 - width) / 2, y + (90 - height) / 2
        box = (left, top, left + width, top + height)
        frame = np.array(
            Image.fromarray(grey).resize((160, 90), Image.Resampling.BILINEAR, box=box), np.int16
        )
        if kind == "something moves":
            frame[30:50, 20 + 5 * row : 40 + 5 * row] = 255 - frame[30:50, 20:40]
        frames.append((frame + noise.normal(0, 2, frame.shape)).clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def print_made_shots(pictures: Sequence[Picture], weights: str) -> None:
    """Both detectors on a film of which every transition is known."""
    print("\n## Shots of a made film\n\nPans over photographs, 4 s each, 25 frames a second.\n")
    print("| detector | cuts | dissolves of 0.8 s | fades through black | false |")
    print("| --- | --- | --- | --- | --- |")
    photographs = [item for item in pictures if item.kind == "photograph"][:13]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        truth = make_film(photographs, path)
        with Video.open(path) as video:
            for detector in DETECTORS:
                shots = list_shots(video, detector, weights=weights).shots
                times_s = [shot.span.start_s for shot in shots[1:]]
                cells = []
                for kind in TRANSITIONS:
                    spans = [span for name, span in truth if name == kind]
                    count = sum(any(_is_near(span, time_s) for time_s in times_s) for span in spans)
                    cells.append(f"{count} of {len(spans)}")
                false = sum(
                    not any(_is_near(span, time_s) for _, span in truth) for time_s in times_s
                )
                print(f"| {detector} | {' | '.join(cells)} | {false} |", flush=True)


TRANSITIONS = ("cut", "dissolve", "fade")


def _is_near(span: Span, time_s: float) -> bool:
    return span.start_s - 0.3 <= time_s <= span.end_s + 0.3


def make_film(photographs: Sequence[Picture], path: Path) -> list[tuple[str, Span]]:
    """Write a film of pans, parted by the three kinds of transition in turn; gives these."""
    rate_hz, count = 25, 100
    shots = []
    for item in photographs:
        picture = Image.fromarray(item.pixels).resize((400, 180))
        shots.append([np.asarray(picture)[:, row // 2 : row // 2 + 320] for row in range(count)])
    frames, truth = [np.asarray(frame, np.float32) for frame in shots[0]], []
    for row, shot in enumerate(shots[1:]):
        kind = TRANSITIONS[row % 3]
        start_s = len(frames) / rate_hz
        steps = {"cut": 0, "dissolve": 20, "fade": 12}[kind]
        if kind == "dissolve":
            weights = np.linspace(0, 1, steps)
            frames += [(1 - w) * frames[-1] + w * shot[0] for w in weights]
        elif kind == "fade":
            last = frames[-1]
            frames += [last * w for w in np.linspace(1, 0, steps)]
            frames += [shot[0] * w for w in np.linspace(0, 1, steps)]
        truth.append((kind, Span(start_s, len(frames) / rate_hz)))
        frames += [np.asarray(frame, np.float32) for frame in shot]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate_hz)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for frame in frames:
            pixels = np.ascontiguousarray(frame.astype(np.uint8))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return truth


def print_shots(clips: Sequence[Path], weights: str) -> None:
    """Both detectors on the same clips, of which nobody knows the truth."""
    print("\n## Shots\n\n| clip | auto | TransNetV2 | of both | auto alone, TransNetV2 alone |")
    print("| --- | --- | --- | --- | --- |")
    for path in clips:
        with Video.open(path) as video:
            span = video.info.span.clip(Span(0, 60))
            times = [
                [
                    shot.span.start_s
                    for shot in list_shots(video, detector, span=span, weights=weights).shots[1:]
                ]
                for detector in ("auto", "transnetv2")
            ]
        both = sum(any(abs(a - b) <= 0.3 for b in times[1]) for a in times[0])
        counts = [len(item) for item in times]
        alone = ", ".join(str(count - both) for count in counts)
        print(f"| {path.name} | {counts[0]} | {counts[1]} | {both} | {alone} |")


if __name__ == "__main__":
    raise SystemExit(main())
