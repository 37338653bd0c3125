"""Transforms of frames: exact, undone exactly, and the same as what Pillow and processors do."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mmreason.grounding import Box, Transform
from mmreason.grounding.spaces import seen_transform, smart_resize, tile_frame

sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


@st.composite
def transforms(draw, size=None):
    size = size or draw(sizes)
    kind = draw(st.sampled_from(["resize", "letterbox", "crop", "flip", "rotate", "exif", "yx"]))
    if kind in ("resize", "letterbox"):
        return getattr(Transform, kind)(size, draw(sizes))
    if kind == "crop":
        x, y = draw(st.integers(-50, 5000)), draw(st.integers(-50, 5000))
        width, height = draw(sizes)
        return Transform.crop(size, Box(x, y, x + width, y + height))
    if kind == "flip":
        return Transform.flip(size, horizontal=draw(st.booleans()))
    if kind == "rotate":
        return Transform.rotate(size, clockwise_deg=90 * draw(st.integers(-4, 8)))
    if kind == "yx":
        return Transform.transpose(size)
    return Transform.exif(size, draw(st.integers(1, 8)))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 6))
def test_any_chain_of_transforms_is_undone_exactly(data, length):
    chain = data.draw(transforms())
    for _ in range(length - 1):
        chain = chain.then(data.draw(transforms(chain.to_size)))
    assert chain.then(chain.inverse()) == Transform.identity(chain.from_size)
    assert chain.inverse().inverse() == chain
    width, height = chain.from_size
    box = Box(0.25 * width, 0.125 * height, 0.75 * width, 0.5 * height)
    back = chain.inverse().apply(chain.apply(box))
    assert back.xyxy == pytest.approx(box.xyxy, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_composing_is_applying_one_after_the_other(data):
    first = data.draw(transforms())
    second = data.draw(transforms(first.to_size))
    box = Box(1, 2, 30, 40)
    both = first.then(second).apply(box).xyxy
    assert both == pytest.approx(second.apply(first.apply(box)).xyxy, abs=1e-6)


def test_a_crop_of_a_crop_is_one_crop():
    outer = Transform.crop((640, 480), Box(100, 50, 500, 450))
    inner = Transform.crop(outer.to_size, Box(20, 30, 120, 90))
    assert outer.then(inner) == Transform.crop((640, 480), Box(120, 80, 220, 140))


def _marked(size: tuple[int, int]) -> tuple[Image.Image, Box]:
    """A picture with one white rectangle that is nowhere the same when turned."""
    width, height = size
    pixels = np.zeros((height, width), np.uint8)
    box = Box(3, 2, 9, 5)
    pixels[2:5, 3:9] = 255
    return Image.fromarray(pixels), box


def _box_of(picture: Image.Image) -> tuple[float, ...]:
    rows, columns = np.nonzero(np.asarray(picture) > 127)
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations_are_those_of_pillow(orientation):
    picture, box = _marked((20, 12))
    exif = Image.Exif()
    exif[274] = orientation
    stored = io.BytesIO()
    picture.save(stored, "png", exif=exif)
    turned = ImageOps.exif_transpose(Image.open(stored, formats=["PNG"]))
    transform = Transform.exif((20, 12), orientation)
    assert transform.to_size == turned.size
    assert transform.apply(box).xyxy == _box_of(turned)


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_video_rotation_counts_counter_clockwise(rotation_deg):
    picture, box = _marked((20, 12))
    turned = np.rot90(np.asarray(picture), rotation_deg // 90)
    transform = Transform.rotate((20, 12), clockwise_deg=-rotation_deg)
    assert transform.to_size == (turned.shape[1], turned.shape[0])
    assert transform.apply(box).xyxy == _box_of(Image.fromarray(turned))


def test_flips_crops_and_whole_resizes_move_pixels_as_pillow_does():
    picture, box = _marked((20, 12))
    flipped = Transform.flip((20, 12)).apply(box)
    assert flipped.xyxy == _box_of(ImageOps.mirror(picture))
    upside = Transform.flip((20, 12), horizontal=False).apply(box)
    assert upside.xyxy == _box_of(ImageOps.flip(picture))
    crop = Transform.crop((20, 12), Box(2, 1, 12, 9)).apply(box)
    assert crop.xyxy == _box_of(picture.crop((2, 1, 12, 9)))
    larger = Transform.resize((20, 12), (60, 24)).apply(box)
    assert larger.xyxy == _box_of(picture.resize((60, 24), Image.Resampling.NEAREST))


def test_letterbox_keeps_the_aspect_and_centres():
    transform = Transform.letterbox((640, 360), (1000, 1000))
    assert transform.apply(Box(0, 0, 640, 360)).xyxy == (0, 219, 1000, 781)
    corner = Transform.letterbox((640, 360), (1000, 1000), align="corner")
    assert corner.apply(Box(0, 0, 640, 360)).xyxy == (0, 0, 1000, 562)


def test_arrays_of_boxes_are_those_one_by_one():
    transform = Transform.rotate((640, 480), clockwise_deg=90).then(
        Transform.resize((480, 640), (96, 64))
    )
    boxes = np.array([[0, 0, 10, 20], [5, 6, 70, 80.5]])
    assert [tuple(row) for row in transform.apply_boxes(boxes)] == [
        transform.apply(Box(*row)).xyxy for row in boxes
    ]
    assert transform.apply_boxes(np.empty((0, 4))).shape == (0, 4)


@settings(max_examples=40, deadline=None)
@given(sizes, st.tuples(st.integers(8, 900), st.integers(8, 900)), st.integers(0, 7))
def test_tiles_cover_the_frame_and_overlap_as_asked(size, tile, overlap_px):
    if size[0] * size[1] > 40 * tile[0] * tile[1]:
        size = (min(size[0], tile[0] * 5), min(size[1], tile[1] * 5))
    crops = tile_frame(size, tile, overlap_px)
    areas = [crop.inverse().apply(Box(0, 0, *crop.to_size)) for crop in crops]
    for low, high, axis in (("x1_px", "x2_px", 0), ("y1_px", "y2_px", 1)):
        spans = sorted({(getattr(area, low), getattr(area, high)) for area in areas})
        assert spans[0][0] == 0
        assert spans[-1][1] == size[axis]
        for before, after in itertools.pairwise(spans):
            assert before[1] - after[0] >= overlap_px
    assert {crop.to_size for crop in crops} == {(min(size[0], tile[0]), min(size[1], tile[1]))}


@pytest.mark.full
@settings(max_examples=100, deadline=None)
@given(st.tuples(st.integers(28, 4000), st.integers(28, 4000)), st.sampled_from([28, 32]))
def test_smart_resize_is_that_of_the_processors_and_repeats_itself(size, multiple_px):
    module = pytest.importorskip("transformers.models.qwen2_vl.image_processing_qwen2_vl")
    limits = {"least_px": 56**2, "most_px": multiple_px**2 * 1280}
    ours = smart_resize(size, multiple_px=multiple_px, **limits)
    theirs = module.smart_resize(size[1], size[0], multiple_px, 56**2, multiple_px**2 * 1280)
    assert (ours[1], ours[0]) == tuple(theirs)
    if max(ours) / min(ours) <= 200:
        assert smart_resize(ours, multiple_px=multiple_px, **limits) == ours


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transform.resize((10, 10), (0, 5)), "positive"),
        (lambda: Transform.crop((10, 10), Box(0, 0, 2.5, 5)), "whole pixels"),
        (lambda: Transform.crop((10, 10), Box(3, 3, 3, 5)), "positive"),
        (lambda: Transform.rotate((10, 10), clockwise_deg=45), "multiples of 90"),
        (lambda: Transform.exif((10, 10), 9), "1 to 8"),
        (lambda: Transform.identity((8, 8)).then(Transform.identity((9, 8))), "cannot follow"),
        (lambda: tile_frame((10, 10), (4, 4), 4), "overlap"),
        (lambda: smart_resize((4000, 10), multiple_px=28, least_px=1, most_px=9), "200 to 1"),
        (lambda: seen_transform((8, 8), (4, 4), Transform.identity((8, 8))), "not both"),
    ],
)
def test_what_cannot_be_a_transform_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_transform_is_json():
    assert Transform.resize((640, 480), (480, 480)).to_dict() == {
        "from_size": [640, 480],
        "to_size": [480, 480],
        "scale": ["3/4", "1"],
        "shift": ["0", "0"],
        "swaps_axes": False,
    }
