"""The packaged image-text pair: what it tells apart in its world, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from mmreason.grounding.half_truths import score_text
from mmreason.models.frame_encoders import load_frame_encoder
from mmreason.models.scripted_pair import MOST_WORDS, read_words
from mmreason.training.matching.pictures import draw_picture
from mmreason.video import VideoError


@pytest.fixture(scope="module")
def pair():
    return load_frame_encoder("scripted-pair")


@pytest.fixture(scope="module")
def pictures():
    return [draw_picture(f"test/{i}") for i in range(24)]


def test_captions_are_nearest_to_their_pictures(pair, pictures):
    frames = pair.encode_frames(np.stack([p.pixels for p in pictures]))
    texts = pair.encode_text([p.caption for p in pictures])
    found = (frames @ texts.T).argmax(axis=1) == np.arange(len(pictures))
    assert found.mean() > 0.7, "one in 24 by chance"
    # However they are cut into batches.
    alone = np.concatenate([pair.encode_frames(p.pixels[None]) for p in pictures[:3]])
    np.testing.assert_allclose(alone, frames[:3], atol=1e-5)


def test_it_is_fooled_by_half_truths_as_the_page_says(pair, pictures):
    frames = pair.encode_frames(np.stack([p.pixels for p in pictures]))
    seen = zip(frames, pictures, strict=True)
    rows = [(frame, half) for frame, picture in seen for half in picture.half_truths]
    right, wrong = (pair.encode_text([half[side] for _, half in rows]) for side in (0, 1))
    images = np.stack([frame for frame, _ in rows])
    held = (images * right).sum(axis=1) > (images * wrong).sum(axis=1)
    assert held.mean() < 0.6


def test_a_wrong_detail_is_vetoed(pair, pictures):
    vetoed = kept = 0
    for picture in pictures:
        frame = pair.encode_frames(picture.pixels[None])
        unit, foil = picture.pairs[0]
        kept += not score_text(frame, unit, pair.encode_text).vetoed
        vetoed += bool(score_text(frame, foil, pair.encode_text).vetoed)
    assert kept > len(pictures) / 2 and vetoed > len(pictures) / 2


def test_long_texts_are_refused_and_strange_words_are_read_as_unknown(pair):
    with pytest.raises(VideoError, match=f"reads {MOST_WORDS}; ask with fewer"):
        pair.encode_text(["red " * (MOST_WORDS + 1)])
    assert read_words(["a gizmo", ""]).tolist() == [[2, 1], [1, 0]]
    assert np.isfinite(pair.encode_text(["", "éé ?"])).all()
    assert "scripted worlds" in pair.notes[0]
