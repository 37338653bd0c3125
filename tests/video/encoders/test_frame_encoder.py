"""One contract for every kind of encoder: rows, batches, order, text, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmreason.video import FrameBatch, VideoError
from mmreason.video.encoders import FrameEncoder, load_encoder
from tests.fakes import tiny_encoders

WRITERS = {
    "timm": tiny_encoders.write_vit,
    "naflex": tiny_encoders.write_naflex,
    "clip": tiny_encoders.write_clip,
    "siglip": tiny_encoders.write_siglip,
    "siglip2": tiny_encoders.write_siglip2,
}
WITH_TEXT = ("clip", "siglip", "siglip2")
FRAMES = np.random.default_rng(0).integers(0, 256, (3, 36, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def encoders(
    real_weights: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], FrameEncoder]:
    """Each kind, loaded once for all tests of this file."""
    loaded: dict[str, FrameEncoder] = {}

    def get(kind: str) -> FrameEncoder:
        if kind not in loaded:
            if kind == "efficientnet":
                folder = real_weights("efficientnet-lite0")
            else:
                folder = tmp_path_factory.mktemp(kind)
                torch.manual_seed(0)
                WRITERS[kind](folder)
            loaded[kind] = load_encoder(str(folder), device="cpu")
        return loaded[kind]

    return get


@pytest.fixture(params=["efficientnet", *WRITERS])
def encoder(
    request: pytest.FixtureRequest, encoders: Callable[[str], FrameEncoder]
) -> FrameEncoder:
    return encoders(request.param)


def test_frames_become_rows_of_length_one_in_their_order(encoder: FrameEncoder) -> None:
    vectors = encoder.encode_frames(FRAMES)
    assert vectors.shape == (3, encoder.dim) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.allclose(encoder.encode_frames(FRAMES[::-1]), vectors[::-1], atol=1e-6)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-4)


def test_batches_and_repeats_do_not_change_the_numbers(encoder: FrameEncoder) -> None:
    vectors = encoder.encode_frames(FRAMES)
    alone = np.concatenate([encoder.encode_frames(frame[None]) for frame in FRAMES])
    assert np.abs(alone - vectors).max() < 1e-6
    assert np.array_equal(encoder.encode_frames(FRAMES), vectors)


def test_crops_of_one_size_are_frames_and_a_batch_of_a_video_is_its_pixels(
    encoder: FrameEncoder,
) -> None:
    vectors = encoder.encode_frames(FRAMES)
    assert np.abs(encoder.encode_crops(list(FRAMES)) - vectors).max() < 1e-6
    batch = FrameBatch(pixels=FRAMES, times_s=np.arange(3.0), exact=np.ones(3, bool))
    assert np.array_equal(encoder.encode_frames(batch), vectors)


def test_crops_of_unequal_sizes_come_back_in_their_order(encoder: FrameEncoder) -> None:
    frame = FRAMES[0]
    crops = [frame, frame[:1, :1], frame[5:30, 10:20], frame[:1]]
    vectors = encoder.encode_crops(crops)
    for crop, vector in zip(crops, vectors, strict=True):
        assert np.abs(encoder.encode_frames(crop[None])[0] - vector).max() < 1e-6
    assert np.isfinite(vectors).all()


def test_no_frames_give_no_rows_of_the_right_width(encoder: FrameEncoder) -> None:
    assert encoder.encode_frames(FRAMES[:0]).shape == (0, encoder.dim)
    assert encoder.encode_frames(np.zeros((0, 0, 0, 3), np.uint8)).shape == (0, encoder.dim)
    assert encoder.encode_crops([]).shape == (0, encoder.dim)


@pytest.mark.parametrize(
    ("frames", "received"),
    [
        (FRAMES[None], r"uint8 \(1, 3, 36, 64, 3\)"),
        (FRAMES.astype(np.float32), r"float32 \(3, 36, 64, 3\)"),
        (FRAMES[..., :1], r"uint8 \(3, 36, 64, 1\)"),
        (FRAMES[:, :0], r"uint8 \(3, 0, 64, 3\)"),
        (None, "NoneType"),
    ],
)
def test_other_shapes_and_types_are_refused_with_what_was_received(
    encoders: Callable[[str], FrameEncoder], frames: np.ndarray, received: str
) -> None:
    encoder = encoders("timm")
    with pytest.raises(VideoError, match=received):
        encoder.encode_frames(frames)
    with pytest.raises(VideoError, match="crop 1 must be uint8"):
        encoder.encode_crops([FRAMES[0], frames])


@pytest.mark.parametrize("kind", WITH_TEXT)
def test_text_has_rows_beside_those_of_frames(
    encoders: Callable[[str], FrameEncoder], kind: str
) -> None:
    encoder = encoders(kind)
    texts = ["a photo of a cat", "person", "a cat"]
    vectors = encoder.encode_text(texts)
    assert encoder.takes_text and vectors.shape == (3, encoder.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.abs(encoder.encode_text(texts[1:2])[0] - vectors[1]).max() < 1e-6
    assert encoder.encode_text([]).shape == (0, encoder.dim)
    assert encoder.logit_scale is not None and encoder.logit_scale > 0
    assert (encoder.logit_bias is None) == (kind == "clip")


def test_text_is_what_the_model_itself_makes_of_it(
    encoders: Callable[[str], FrameEncoder],
) -> None:
    from transformers import AutoModel, AutoTokenizer

    for kind, most_tokens in (("clip", 16), ("siglip", 16), ("siglip2", 64)):
        encoder = encoders(kind)
        model = AutoModel.from_pretrained(encoder.name, use_safetensors=True)
        # SigLIP learned from padded sentences without a mask, CLIP reads up to the end alone.
        ids = AutoTokenizer.from_pretrained(encoder.name)(
            ["a photo"], padding=False if kind == "clip" else "max_length", max_length=most_tokens
        )["input_ids"]
        with torch.inference_mode():
            features = model.get_text_features(input_ids=torch.tensor(ids)).pooler_output[0]
        expected = (features / features.norm()).numpy()
        assert np.abs(encoder.encode_text(["a photo"])[0] - expected).max() < 1e-5


def test_a_text_longer_than_the_model_reads_is_refused(
    encoders: Callable[[str], FrameEncoder],
) -> None:
    with pytest.raises(VideoError, match=r"at most 16 tokens, got 20 in 'cat cat.*shorten"):
        encoders("clip").encode_text(["cat", "cat " * 20])


def test_a_model_without_a_text_tower_says_which_have_one(
    encoders: Callable[[str], FrameEncoder],
) -> None:
    encoder = encoders("timm")
    assert not encoder.takes_text and encoder.logit_scale is None
    with pytest.raises(VideoError, match=r"no text tower.*CLIP or SigLIP"):
        encoder.encode_text(["a cat"])


def test_one_string_is_no_sequence_of_texts(encoders: Callable[[str], FrameEncoder]) -> None:
    with pytest.raises(VideoError, match="texts must be a sequence of strings, got str"):
        encoders("clip").encode_text("a cat")
    with pytest.raises(VideoError, match="text 1 must be a string, got NoneType"):
        encoders("clip").encode_text(["a cat", None])  # pyright: ignore[reportArgumentType]  # what is tested


def test_frames_are_prepared_as_the_models_own_processors_do(
    encoders: Callable[[str], FrameEncoder],
) -> None:
    from transformers import AutoModel, AutoProcessor

    for kind in WITH_TEXT:
        encoder = encoders(kind)
        model = AutoModel.from_pretrained(encoder.name, use_safetensors=True)
        inputs = AutoProcessor.from_pretrained(encoder.name).image_processor(
            images=list(FRAMES), return_tensors="pt"
        )
        with torch.inference_mode():
            features = model.get_image_features(**inputs).pooler_output
        expected = (features / features.norm(dim=1, keepdim=True)).numpy()
        assert np.abs(encoder.encode_frames(FRAMES) - expected).max() < 1e-5


def test_frames_are_prepared_as_timms_own_transform_does(
    encoders: Callable[[str], FrameEncoder],
) -> None:
    import timm
    from PIL import Image
    from timm.data.config import resolve_model_data_config
    from timm.data.transforms_factory import create_transform

    encoder = encoders("timm")
    model = timm.create_model(f"local-dir:{encoder.name}", pretrained=True, num_classes=0).eval()
    transform: Any = create_transform(**resolve_model_data_config(model))
    smooth = np.kron(FRAMES[:, ::6, ::8], np.ones((1, 12, 16, 1))).astype(np.uint8)
    pixels = torch.stack([transform(Image.fromarray(frame)) for frame in smooth])
    with torch.inference_mode():
        features = model(pixels)
    expected = (features / features.norm(dim=1, keepdim=True)).numpy()
    # PIL and torch round a resized byte differently now and then.
    assert np.abs(encoder.encode_frames(smooth) - expected).max() < 1e-3


def test_a_flexible_model_keeps_the_shape_of_frames(
    encoders: Callable[[str], FrameEncoder],
) -> None:
    encoder, wide = encoders("naflex"), np.zeros((1, 36, 64, 3), np.uint8)
    # The same picture squashed would give the same vector; here bars at the side move.
    wide[:, :, :8] = 255
    square = np.ascontiguousarray(wide[:, :, :36])
    assert not np.allclose(encoder.encode_frames(wide), encoder.encode_frames(square), atol=1e-4)
    assert encoder.encode_frames(np.zeros((1, 1, 4000, 3), np.uint8)).shape == (1, encoder.dim)


def test_packed_frames_are_what_the_model_makes_of_them_padded_and_masked(
    encoders: Callable[[str], FrameEncoder],
) -> None:
    encoder = encoders("naflex")
    model, patch_px = encoder._backbone.model, 16
    crops = [FRAMES[0], FRAMES[1][:20, :60], FRAMES[2][:, :30], FRAMES[0][:9, :9], FRAMES[1]]
    pixels = [encoder._backbone.prepare_frames([c], (64, 64), torch.device("cpu")) for c in crops]
    images = [next(iter(inputs.values()))[0] for inputs in pixels]
    assert len({image.shape for image in images}) > 2
    rows, coordinates = [], []
    for image in images:
        squares = image.unflatten(1, (-1, patch_px)).unflatten(3, (-1, patch_px))
        rows.append(squares.permute(1, 3, 2, 4, 0).flatten(0, 1).flatten(1))
        down, across = (side // patch_px for side in image.shape[1:])
        coordinates.append(torch.cartesian_prod(torch.arange(down), torch.arange(across)))
    pad = torch.nn.utils.rnn.pad_sequence
    with torch.inference_mode():
        features = model(
            pad(rows, batch_first=True),
            patch_coord=pad(coordinates, batch_first=True),
            patch_valid=pad([torch.ones(len(row)) for row in rows], batch_first=True).bool(),
        )
    expected = (features / features.norm(dim=1, keepdim=True)).numpy()
    assert np.abs(encoder.encode_crops(crops) - expected).max() < 1e-5


def test_the_fingerprint_tells_weights_and_numbers_apart_not_folders(
    encoders: Callable[[str], FrameEncoder], tmp_path: Path
) -> None:
    encoder = encoders("timm")
    torch.manual_seed(0)
    tiny_encoders.write_vit(tmp_path / "again")
    torch.manual_seed(1)
    tiny_encoders.write_vit(tmp_path / "other")
    again, other = (load_encoder(str(tmp_path / name)) for name in ("again", "other"))
    assert again.fingerprint == encoder.fingerprint != other.fingerprint
    shutil.copytree(encoders("clip").name, tmp_path / "moved")
    assert load_encoder(str(tmp_path / "moved")).fingerprint == encoders("clip").fingerprint
    narrow = load_encoder(str(tmp_path / "again"), dtype="bfloat16", device="cpu")
    assert narrow.fingerprint != encoder.fingerprint
    cosines = (narrow.encode_frames(FRAMES) * encoder.encode_frames(FRAMES)).sum(axis=1)
    assert cosines.min() > 0.99


def test_what_was_loaded_is_shown(encoders: Callable[[str], FrameEncoder]) -> None:
    assert repr(encoders("efficientnet")) == (
        "FrameEncoder(efficientnet-lite0, frames, 224x224, float32 on cpu)"
    )
    assert "frames and text, 32x32" in repr(encoders("clip"))
