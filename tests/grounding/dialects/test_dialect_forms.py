"""Each family's own signs, and text written and read back in all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.grounding import Box, Dialect, parse_boxes, parse_points, render_boxes, render_points
from mmreason.grounding.dialects import NOTATIONS, mean_iou_ceiling, quantum_px
from mmreason.grounding.dialects.dialect import from_numbers, to_numbers

SIZE = (2000, 500)
BOX_DIALECTS = [dialect for dialect in Dialect if NOTATIONS[dialect].has_boxes]
POINT_DIALECTS = [dialect for dialect in Dialect if NOTATIONS[dialect].has_points]


@pytest.mark.parametrize(
    ("dialect", "text", "labels", "first_px"),
    [
        (
            Dialect.QWEN2_VL,
            "<|object_ref_start|>the dog<|object_ref_end|><|box_start|>(100,200),(300,400)"
            "<|box_end|><|box_start|>(500,500),(600,600)<|box_end|>",
            ("the dog", "the dog"),
            (200, 100, 600, 200),
        ),
        # A server that strips special tokens leaves the numbers.
        (Dialect.QWEN2_VL, "the dog(100,200),(300,400)", ("",), (200, 100, 600, 200)),
        (
            Dialect.INTERNVL,
            "<ref>dog</ref><box>[[100, 200, 300, 400], [500, 500, 600, 600]]</box>",
            ("dog", "dog"),
            (200, 100, 600, 200),
        ),
        (Dialect.INTERNVL, "dog[[100, 200, 300, 400]]", ("",), (200, 100, 600, 200)),
        (
            Dialect.GLM_V,
            "<think>[1,1,2,2]</think><answer>It is <|begin_of_box|>[[100,200,300,400]]"
            "<|end_of_box|></answer>",
            ("",),
            (200, 100, 600, 200),
        ),
        (Dialect.GLM_V, "It is [[100,200,300,400]]", ("",), (200, 100, 600, 200)),
        (
            Dialect.DEEPSEEK_VL2,
            "<|ref|>dog<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|>",
            ("dog",),
            (0, 0, 2000, 500),
        ),
        (
            Dialect.FLORENCE_2,
            "</s><s>a dog<loc_100><loc_200><loc_299><loc_399>cat<loc_0><loc_0><loc_9><loc_9></s>",
            ("a dog", "cat"),
            (201, 100.25, 599, 199.75),
        ),
        (
            Dialect.PALIGEMMA,
            "<loc0512><loc0256><loc0768><loc0512> dog ; <loc0000><loc0000><loc0100><loc0100> cat",
            ("dog", "cat"),
            (500, 250, 1000, 375),
        ),
        (
            Dialect.KOSMOS_2,
            "<grounding> An image of<phrase> a dog</phrase><object><patch_index_0033>"
            "<patch_index_0099></delimiter_of_multi_objects/><patch_index_0000><patch_index_0000>"
            "</object>",
            ("a dog", "a dog"),
            (1.5 / 32 * 2000, 1.5 / 32 * 500, 3.5 / 32 * 2000, 3.5 / 32 * 500),
        ),
        (
            Dialect.REX_OMNI,
            "<|object_ref_start|>dog<|object_ref_end|><|box_start|><0><0><999><999>, "
            "<1><2><500><400><|box_end|>",
            ("dog", "dog"),
            (0, 0, 2000, 500),
        ),
        (Dialect.REX_OMNI, "dog<0><0><999><999>", ("dog",), (0, 0, 2000, 500)),
        (
            Dialect.COGVLM,
            "A dog [[100,200,300,400;500,500,600,600]] runs.",
            ("", ""),
            (200, 100, 600, 200),
        ),
        (Dialect.COGVLM, "[[010,020,030,040]]", ("",), (20, 10, 60, 20)),
        (Dialect.NORM_1, "[0.1, 0.4, 0.3, 0.8]", ("",), (200, 200, 600, 400)),
    ],
)
def test_a_family_is_read_in_its_own_signs(dialect, text, labels, first_px):
    reading = parse_boxes(text, dialect, SIZE)
    assert reading.labels == labels
    assert reading.boxes[0].xyxy == pytest.approx(first_px)
    assert {issue.kind for issue in reading.issues} <= {"repaired"}


@pytest.mark.parametrize(
    "text",
    [
        "dog<loc_1><loc_2><loc_300><loc_400>",
        "<loc0001><loc0002><loc0300><loc0400> dog",
        "<object><patch_index_0001><patch_index_0099></object>",
        "<12><14><300><400>",
        '<point x="10" y="20" alt="dog">dog</point>',
    ],
)
def test_tokens_of_another_dialect_are_told_and_not_read(text):
    reading = parse_boxes(text, Dialect.NORM_1000, SIZE)
    assert (reading.status, reading.boxes) == ("unparsed", ())
    assert any(
        "another dialect" in str(issue) or "4 numbers" in str(issue) for issue in reading.issues
    )


def test_a_box_token_that_was_cut_off_is_read_up_to_its_end():
    reading = parse_boxes("<|box_start|>(100,200),(300,400)", Dialect.QWEN2_VL, SIZE)
    assert reading.boxes[0].xyxy == (200, 100, 600, 200)
    assert parse_boxes("<|box_start|>(100,200),(300,", Dialect.QWEN2_VL, SIZE).status == "unparsed"


@pytest.mark.parametrize("dialect", [Dialect.MOLMO, Dialect.MOLMO_2])
def test_points_are_no_boxes(dialect):
    text = render_points([(10, 20)], dialect, SIZE)
    reading = parse_boxes(text, dialect, SIZE)
    assert reading.status == "unparsed"
    with pytest.raises(ValueError, match="points, not boxes"):
        render_boxes([], dialect, SIZE)


sizes = st.tuples(st.integers(28, 4096), st.integers(28, 4096))


@st.composite
def boxes_in(draw, size):
    """A box at least one patch of 32 large: thinner ones are what Kosmos-2 cannot write."""
    width, height = size
    x1, x2 = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    y1, y2 = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    x1, y1 = min(x1, 1 - 1 / 16), min(y1, 1 - 1 / 16)
    x2, y2 = max(x2, x1 + 1 / 16), max(y2, y1 + 1 / 16)
    return Box(x1 * width, y1 * height, min(x2, 1) * width, min(y2, 1) * height)


@settings(max_examples=12, deadline=None)
@given(st.data(), sizes, sizes)
@pytest.mark.parametrize("dialect", BOX_DIALECTS)
def test_boxes_come_back_within_half_a_quantum(dialect, data, size, seen_size):
    box = data.draw(boxes_in(size))
    text = render_boxes([box], dialect, size, labels=["a dog"], seen_size_px=seen_size)
    reading = parse_boxes(text, dialect, size, seen_size_px=seen_size, strict=True)
    assert reading.status == "found", (text, reading.issues)
    steps = quantum_px(dialect, seen_size)
    half = [steps[axis] / 2 * size[axis] / seen_size[axis] for axis in (0, 1)]
    # The last number of some dialects is not the edge: beyond it the nearest one is a quantum off.
    notation = NOTATIONS[dialect]
    last = [1.0, 1.0]
    if notation.side is not None and notation.largest is not None and not notation.centred:
        last = [(notation.largest + notation.quantum / 2) / notation.side] * 2
    for value, expected, axis in zip(reading.boxes[0].xyxy, box.xyxy, (0, 1, 0, 1), strict=True):
        is_beyond = expected > last[axis] * size[axis]
        assert abs(value - expected) <= half[axis] * (2 if is_beyond else 1) + 1e-6


@settings(max_examples=12, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), sizes)
@pytest.mark.parametrize("dialect", POINT_DIALECTS)
def test_points_come_back_within_half_a_quantum(dialect, x, y, size):
    point = (x * size[0], y * size[1])
    text = render_points([point], dialect, size, labels=["a dog"], seen_size_px=size)
    reading = parse_points(text, dialect, size, seen_size_px=size)
    assert reading.status == "found", (text, reading.issues)
    assert reading.targets[0].label == "a dog"
    for value, expected, quantum in zip(
        reading.targets[0].point_px or (), point, quantum_px(dialect, size), strict=True
    ):
        assert abs(value - expected) <= quantum / 2 + 1e-6


@pytest.mark.parametrize("dialect", BOX_DIALECTS)
def test_nothing_there_is_written_and_read_as_none(dialect):
    assert parse_boxes(render_boxes([], dialect, SIZE), dialect, SIZE).status == "none"


@pytest.mark.parametrize("dialect", [d for d in BOX_DIALECTS if d not in {Dialect.GLM_V}])
def test_several_boxes_keep_their_order_and_labels(dialect):
    boxes = [Box(0, 0, 500, 250), Box(1000, 250, 1500, 400)]
    reading = parse_boxes(
        render_boxes(boxes, dialect, SIZE, labels=["dog", "cat"], seen_size_px=SIZE),
        dialect,
        SIZE,
        seen_size_px=SIZE,
    )
    assert [round(box.x1_px / 500) for box in reading.boxes] == [0, 2]
    if dialect is not Dialect.COGVLM:
        assert reading.labels == ("dog", "cat")


@pytest.mark.full
def test_patches_are_those_of_kosmos_2():
    processing = pytest.importorskip("transformers.models.kosmos2.processing_kosmos2")
    rng = np.random.default_rng(0)
    for _ in range(200):
        first, last = rng.integers(0, 32, 2), rng.integers(0, 32, 2)
        first, last = np.minimum(first, last), np.maximum(first, last)
        index = [int(p[1] * 32 + p[0]) for p in (first, last)]
        theirs = processing.patch_index_to_coordinate(*index, 32)
        ours = from_numbers(np.array([[*first, *last]]), Dialect.KOSMOS_2, (1000, 1000))[0]
        assert ours / 1000 == pytest.approx(theirs)
        box = np.sort(rng.uniform(0, 1, (2, 2)), axis=0).ravel()
        numbers = to_numbers(box[None] * 1000, Dialect.KOSMOS_2, (1000, 1000), rounding="nearest")
        x1, y1, x2, y2 = (int(value) for value in numbers[0])
        expected = processing.coordinate_to_patch_index(tuple(box), 32)
        assert (y1 * 32 + x1, y2 * 32 + x2) == expected


@pytest.mark.full
def test_bins_are_those_of_florence_2():
    torch = pytest.importorskip("torch")
    processing = pytest.importorskip("transformers.models.florence2.processing_florence2")
    config = {"NUM_BBOX_HEIGHT_BINS": 1000, "NUM_BBOX_WIDTH_BINS": 1000}
    processor = processing.Florence2PostProcessor.__new__(processing.Florence2PostProcessor)
    processor.quantize_bins = (config["NUM_BBOX_WIDTH_BINS"], config["NUM_BBOX_HEIGHT_BINS"])
    boxes = np.sort(np.random.default_rng(0).uniform(0, 1, (100, 2, 2)), axis=1).reshape(-1, 4)
    boxes *= [640, 480, 640, 480]
    theirs = processor.quantize(torch.tensor(boxes), (640, 480))
    ours = to_numbers(boxes, Dialect.FLORENCE_2, (640, 480), rounding="nearest")
    assert (theirs.numpy() == ours).all()
    back = from_numbers(ours, Dialect.FLORENCE_2, (640, 480))
    # Theirs are cut to whole pixels.
    assert (processor.dequantize(theirs, (640, 480)).numpy() == np.floor(back + 1e-9)).all()


@pytest.mark.parametrize(
    ("side_px", "frame_px", "nearest", "down"),
    [
        (30, (640, 480), 0.98, 0.96),
        (30, (1920, 1080), 0.95, 0.91),
        (30, (3840, 2160), 0.91, 0.82),
        (20, (3840, 2160), 0.86, 0.75),
    ],
)
def test_the_ceiling_of_whole_numbers_is_known(side_px, frame_px, nearest, down):
    assert mean_iou_ceiling(Dialect.NORM_1000, (side_px, side_px), frame_px) == pytest.approx(
        nearest, abs=0.006
    )
    assert mean_iou_ceiling(
        Dialect.NORM_1000, (side_px, side_px), frame_px, rounding="down"
    ) == pytest.approx(down, abs=0.006)


def test_a_ceiling_needs_a_box_inside_the_frame():
    with pytest.raises(ValueError, match="larger"):
        mean_iou_ceiling(Dialect.NORM_1000, (30, 30), (20, 20))
