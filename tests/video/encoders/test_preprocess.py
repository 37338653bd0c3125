"""Frames made ready by us are those that transformers' processors make, to the last bit."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import CLIPImageProcessor, SiglipImageProcessor
from transformers.models.got_ocr2.image_processing_got_ocr2 import GotOcr2ImageProcessor
from transformers.models.internvl.video_processing_internvl import InternVLVideoProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from mmreason.video import VideoError
from mmreason.video.encoders.preprocess import (
    FrameRecipe,
    UnknownProcessor,
    make_pixels_ours,
    preprocess_frames,
    recipe_of,
)
from mmreason.video.encoders.preprocess.reference import preprocess_plainly

SMALL = {"shortest_edge": 4096, "longest_edge": 80_000}
VIDEO = {
    "qwen2": lambda: Qwen2VLVideoProcessor(size=SMALL, cap_pixels_per_frame=False),
    "qwen3": lambda: Qwen3VLVideoProcessor(size=SMALL, cap_pixels_per_frame=False),
    "qwen3 capped": lambda: Qwen3VLVideoProcessor(size=SMALL, cap_pixels_per_frame=True),
    "internvl": lambda: InternVLVideoProcessor(size={"height": 64, "width": 64}),
}
IMAGE = {
    "qwen2": lambda: Qwen2VLImageProcessor(size=SMALL),
    "clip": lambda: CLIPImageProcessor(
        size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48}
    ),
    "clip with an edge": lambda: CLIPImageProcessor(
        size={"shortest_edge": 31}, crop_size={"height": 48, "width": 50}
    ),
    "internvl": lambda: GotOcr2ImageProcessor(
        size={"height": 28, "width": 32}, crop_to_patches=True, max_patches=5
    ),
    "internvl in one tile": lambda: GotOcr2ImageProcessor(size={"height": 28, "width": 32}),
    "siglip": lambda: SiglipImageProcessor(size={"height": 48, "width": 48}),
}
# Frames, height, width: odd sides, a single frame, an odd count, wide, tall.
SIZES = [(4, 90, 160), (3, 101, 67), (1, 64, 64), (5, 40, 300), (2, 333, 31)]


def make_frames(frames: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", VIDEO)
def test_clips_are_those_of_transformers(name, size):
    pixels = make_frames(*size)
    call = {"videos": [pixels], "do_sample_frames": False, "return_tensors": "pt"}
    if name.startswith("qwen3") and size[0] == 1:
        pytest.skip("their rule of size refuses a single frame, which nothing hands over")
    theirs = VIDEO[name]()(**call)
    processor = VIDEO[name]()
    recipe = recipe_of(processor)
    assert isinstance(recipe, FrameRecipe)
    ours = preprocess_frames(pixels, recipe)
    expected = theirs["pixel_values_videos"]
    assert torch.equal(ours.values, expected.reshape(ours.values.shape))
    if ours.grid_thw:
        assert theirs["video_grid_thw"].tolist() == [list(ours.grid_thw)]
    assert make_pixels_ours(SimpleNamespace(video_processor=processor)) == ()
    again = processor(**call)
    assert list(again) == list(theirs)
    assert all(torch.equal(again[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", IMAGE)
def test_pictures_are_those_of_transformers(name, size):
    images = list(make_frames(*size))
    theirs = IMAGE[name]()(images=images, return_tensors="pt")
    processor = IMAGE[name]()
    recipe = recipe_of(processor)
    assert isinstance(recipe, FrameRecipe)
    values = preprocess_frames(np.stack(images), recipe).values
    assert torch.equal(values, theirs["pixel_values"])
    assert make_pixels_ours(SimpleNamespace(image_processor=processor)) == ()
    again = processor(images=images, return_tensors="pt")
    assert all(torch.equal(again[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("name", VIDEO)
def test_the_plain_way_gives_the_same_numbers(name):
    _check_plain_way(VIDEO[name]())


@pytest.mark.parametrize("name", IMAGE)
def test_the_plain_way_gives_the_same_numbers_of_stills(name):
    _check_plain_way(IMAGE[name]())


def _check_plain_way(processor):
    pixels = make_frames(5, 60, 100)
    recipe = recipe_of(processor)
    assert isinstance(recipe, FrameRecipe)
    torch.testing.assert_close(
        preprocess_frames(pixels, recipe).values, preprocess_plainly(pixels, recipe)
    )


def test_a_processor_of_ours_is_saved_as_the_one_it_was(tmp_path):
    processor = VIDEO["qwen3"]()
    make_pixels_ours(SimpleNamespace(video_processor=processor))
    processor.save_pretrained(tmp_path)
    loaded = Qwen3VLVideoProcessor.from_pretrained(tmp_path)
    assert type(loaded) is Qwen3VLVideoProcessor
    assert loaded.to_dict() == processor.to_dict()


def test_clips_of_several_sizes_go_together():
    clips = [make_frames(2, 64, 96), make_frames(4, 50, 70)]
    call = {"videos": clips, "do_sample_frames": False, "return_tensors": "pt"}
    theirs = VIDEO["qwen3"]()(**call)
    processor = VIDEO["qwen3"]()
    make_pixels_ours(SimpleNamespace(video_processor=processor))
    ours = processor(**call)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("turn", ["mirrored", "of blue, green, red", "read-only", "strided"])
def test_frames_that_torch_takes_no_view_of_are_copied(turn):
    pixels = make_frames(4, 64, 96)
    turned = {
        "mirrored": pixels[:, :, ::-1],
        "of blue, green, red": pixels[..., ::-1],
        "read-only": np.frombuffer(pixels.tobytes(), np.uint8).reshape(pixels.shape),
        "strided": pixels[::2, ::2],
    }[turn]
    processor = VIDEO["qwen3"]()
    call = {"do_sample_frames": False, "return_tensors": "pt"}
    theirs = processor(videos=[np.array(turned)], **call)
    make_pixels_ours(SimpleNamespace(video_processor=processor))
    ours = processor(videos=[turned], **call)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize(
    "images",
    [
        [torch.rand(3, 40, 60)],
        [torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8), torch.rand(3, 20, 20)],
        [torch.randint(-99, 99, (3, 40, 60), dtype=torch.int8)],
    ],
    ids=["floats", "bytes and floats", "signed bytes"],
)
def test_pictures_that_are_no_bytes_go_the_processors_own_way(images):
    processor = IMAGE["siglip"]()
    call = {"images": images, "do_convert_rgb": False, "return_tensors": "pt"}
    theirs = processor(**call)
    make_pixels_ours(SimpleNamespace(image_processor=processor))
    assert torch.equal(processor(**call)["pixel_values"], theirs["pixel_values"])


@pytest.mark.parametrize("kind", ["Qwen3VLVideoProcessor", "Qwen2VLImageProcessor"])
def test_strips_that_a_processor_refuses_are_refused_by_their_size(kind):
    processor = VIDEO["qwen3"]() if "Video" in kind else IMAGE["qwen2"]()
    recipe = recipe_of(processor)
    assert isinstance(recipe, FrameRecipe)
    told = f"{kind} does not take 2 frames of 9000x32 pixels: .*aspect ratio"
    with pytest.raises(VideoError, match=told):
        preprocess_frames(make_frames(2, 32, 9000), recipe)


def test_a_single_frame_that_a_rule_of_pairs_refuses_is_refused_by_name():
    recipe = recipe_of(VIDEO["qwen3"]())
    assert isinstance(recipe, FrameRecipe)
    with pytest.raises(VideoError, match="does not take 1 frames of 64x64 pixels"):
        preprocess_frames(make_frames(1, 64, 64), recipe)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["qwen3", "internvl"])
def test_frames_made_ready_on_a_gpu_are_those_of_the_cpu_within_a_step_of_a_byte(name):
    recipe = recipe_of(VIDEO[name]())
    assert isinstance(recipe, FrameRecipe)
    pixels = make_frames(5, 90, 160)
    there = preprocess_frames(pixels, recipe, device="cuda").values
    assert there.is_cuda
    torch.testing.assert_close(
        there.cpu(),
        preprocess_frames(pixels, recipe).values,
        rtol=0,
        atol=1.01 / 255 / min(recipe.std),
    )


def test_settings_of_a_call_that_are_unusual_go_the_processors_own_way():
    call = {"videos": [make_frames(4, 64, 64)], "do_sample_frames": False, "return_tensors": "pt"}
    call["do_normalize"] = False
    processor = VIDEO["qwen3"]()
    make_pixels_ours(SimpleNamespace(video_processor=processor))
    theirs, ours = VIDEO["qwen3"]()(**call), processor(**call)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_frames_of_the_right_size_are_taken_as_they_are():
    pixels = make_frames(4, 64, 96)
    recipe = recipe_of(VIDEO["qwen3"](), {"do_resize": False})
    assert isinstance(recipe, FrameRecipe)
    prepared = preprocess_frames(pixels, recipe)
    assert (prepared.size_px, prepared.grid_thw) == ((64, 96), (2, 4, 6))
    assert float(prepared.values.min()) == -1 and float(prepared.values.max()) == 1


def test_half_precision_is_the_rounded_result():
    recipe = recipe_of(VIDEO["qwen3"]())
    assert isinstance(recipe, FrameRecipe)
    pixels = make_frames(4, 64, 64)
    half = preprocess_frames(pixels, recipe, dtype=torch.bfloat16).values
    assert torch.equal(half, preprocess_frames(pixels, recipe).values.bfloat16())


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (np.zeros((0, 8, 8, 3), np.uint8), r"got uint8 of shape \(0, 8, 8, 3\)"),
        (np.zeros((8, 8, 3), np.uint8), r"got uint8 of shape \(8, 8, 3\)"),
        (np.zeros((2, 8, 8, 3), np.float32), r"got float32 of shape \(2, 8, 8, 3\)"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"got uint8 of shape \(2, 3, 8, 8\)"),
        (torch.zeros(2, 8, 8, 3), r"got torch.float32 of shape \(2, 8, 8, 3\)"),
        ("clip.mp4", r"got <class 'str'> of shape \(\)"),
    ],
)
def test_what_are_no_frames_is_refused_by_its_shape(pixels, told):
    recipe = FrameRecipe(mean=(0, 0, 0), std=(1, 1, 1), size=lambda n, h, w: (h, w))
    with pytest.raises(VideoError, match=told):
        preprocess_frames(pixels, recipe)


def test_sides_that_do_not_divide_are_refused():
    recipe = recipe_of(VIDEO["qwen3"](), {"do_resize": False})
    assert isinstance(recipe, FrameRecipe)
    with pytest.raises(VideoError, match="70x64 pixels do not divide into blocks of 32x32"):
        preprocess_frames(make_frames(2, 64, 70), recipe)


def test_a_single_pixel_becomes_a_picture():
    recipe = recipe_of(IMAGE["siglip"]())
    assert isinstance(recipe, FrameRecipe)
    assert preprocess_frames(make_frames(1, 1, 1), recipe).values.shape == (1, 3, 48, 48)


def test_a_processor_that_is_not_known_says_so():
    unknown = recipe_of(SimpleNamespace(size=1))
    assert isinstance(unknown, UnknownProcessor)
    assert "SimpleNamespace is none of those whose work is known" in unknown.reason
    padded = recipe_of(SiglipImageProcessor(do_rescale=False))
    assert isinstance(padded, UnknownProcessor)
    assert "not to rescale" in padded.reason


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"resample": 0}, "resizes by 0"),
        ({"resample": 1}, "resizes by 1"),
        ({"image_std": [0.5, 0.0, 0.5]}, "which are no such numbers"),
        ({"image_mean": [0.5, float("nan"), 0.5]}, "which are no such numbers"),
        ({"image_mean": [0.5]}, "not by three colours"),
        ({"rescale_factor": 1.0}, "rescales by 1.0"),
        ({"do_pad": True}, "set to pad"),
    ],
)
def test_unusual_settings_are_told_by_name(settings, told):
    unknown = recipe_of(IMAGE["siglip"](), settings)
    assert isinstance(unknown, UnknownProcessor)
    assert told in unknown.reason
