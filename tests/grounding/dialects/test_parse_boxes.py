"""Model text to boxes: every shape seen in the wild, and nothing lost in silence."""

from __future__ import annotations

import json

import pytest

from mmreason.grounding import Box, Dialect, Transform, iou, parse_boxes, render_boxes
from mmreason.training.rewards.reading import read_boxes
from mmreason.training.rewards.types import Frame

SIZE = (2000, 500)
BOX = [100, 200, 300, 400]
IN_PX = (200.0, 100.0, 600.0, 200.0)


def parse(text: object, dialect: Dialect = Dialect.NORM_1000, **settings):
    text = text if isinstance(text, str) else json.dumps(text)
    return parse_boxes(text, dialect, SIZE, **settings)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('```json\n[{"bbox_2d": [100, 200, 300, 400], "label": "star"}]\n```', "fence"),
        ('```json\n{"bbox_2d": [100, 200, 300, 400]}\n```', "fence"),
        ("```\n[100, 200, 300, 400]", "fence"),
        ('[{"bbox_2d": [100, 200, 300, 400]}]', "json"),
        ('Here it is: {"boxes": [[100, 200, 300, 400]]} as asked.', "json"),
        ('{"objects": [{"name": "star", "box": ["100", "200", "300", "400"]}]}', "json"),
        ("[[100, 200, 300, 400]]", "json"),
        ("<think>maybe [1, 2, 3, 4]</think>[100, 200, 300, 400]", "json"),
        ("[1, 2, 3, 4] no wait</think><answer>[100, 200, 300, 400]</answer>", "json"),
        ("the [two] stars: [100, 200, 300, 400]", "json"),
        ("None of the other dogs, only [100, 200, 300, 400]", "json"),
        ("[{'bbox_2d': [100, 200, 300, 400], 'label': 'star'},]", "repaired"),
        ("[{'bbox_2d': [100, 200, 300, 400], 'label': 'dog's ball'}]", "repaired"),
        ("{bbox_2d: [100 200 300 400]}", "repaired"),
        ('[{"bbox_2d": [100, 200, 300, 400], "label": "star"]', "repaired"),
        ('{"bbox": [[100, 200], [300, 400]]}', "json"),
        ('{"bbox_2d": "[100, 200, 300, 400]"}', "json"),
        ('{"x1": 100, "y1": 200, "x2": 300, "y2": 400}', "json"),
        ('{"box": {"x": 100, "y": 200, "width": 200, "height": 200}}', "json"),
        ('{"bbox_xywh": [100, 200, 200, 200]}', "json"),
        ('{"star": [100, 200, 300, 400]}', "json"),
        ("\\boxed{[100, 200, 300, 400]}", "json"),
        ("100, 200, 300, 400", "rows"),
        ('{"bbox": {"top_left": [100, 200], "bottom_right": [300, 400]}}', "json"),
        ('{"boxes": [[100, 200, 300, 400]], "labels": ["star"], "scores": [0.9]}', "json"),
        ('{"bbox_2d": [100, 200, 300, 400], "label": "the "big" star"}', "repaired"),
        ("◁think▷[1, 2, 3, 4]◁/think▷[100, 200, 300, 400]", "json"),
        ("<think>a <think>b</think> [1, 2, 3, 4]</think>[100, 200, 300, 400]", "json"),
        ("[100, 200, 300, 400] as in figure [1]", "json"),
        ("<answer></answer><answer>[100, 200, 300, 400]</answer>", "json"),
        ("[{'bbox_2d': [100, 200, 300, 400,]}]", "repaired"),
        ("<|box_start|>(100,200),(300,400)<|box_end|>", "pairs"),
        ("it is at (100, 200, 300, 400).", "rows"),
        ('```json\n[{"bbox_2d": [1, 1, 9, 9]}]\n``` no:\n```json\n[100,200,300,400]\n```', "fence"),
        ('[{"bbox_2d": [300, 400, 100, 200]}]', "json"),
    ],
)
def test_one_box_in_many_shapes(text, rule):
    reading = parse(text)
    assert reading.status == "found", reading
    assert reading.boxes[0].xyxy == IN_PX
    assert reading.rule == rule
    assert reading.raw_text == text


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "```json\n[]\n```",
        '{"bbox_2d": null}',
        "there is no star.",
        "None",
        "It is not visible.",
        "The dog isn\u2019t there",
        "I cannot find it.",
        "No dog is visible.",
        "There isn't any dog.",
        '{"found": false}',
        '{"bbox_2d": "not visible"}',
        '{"answer": "none"}',
        '{"boxes": [], "labels": []}',
    ],
)
def test_an_explicit_no_is_none(text):
    reading = parse(text)
    assert (reading.status, reading.boxes) == ("none", ())
    assert reading.rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red star",
        "[1, 2, 3]",
        "[1, 2, 3, 4, 5]",
        "[NaN, 1, 2, 3]",
        "[100, null, 300, 400]",
        '{"bbox_2d": ["100px", "200px", "300px", "400px"]}',
        "100, 200, 300",
        "It is not in the left half but in the right one.",
        '{"bbox_2d": "left"}',
        "[10, 10, 10, 40]",
        "[5000, 5000, 6000, 6000]",
        "<think>[100, 200, 300, 400]",
        f"[{'9' * 400}, 1, 2, 3]",
        f"({'9' * 400}, 1, 2, 3)",
        "[" * 5000,
        '{"a":' * 3000,
    ],
)
def test_what_cannot_be_used_is_unparsed_with_a_reason(text):
    reading = parse(text)
    assert (reading.status, reading.boxes) == ("unparsed", ())
    assert reading.issues


def test_a_list_cut_off_keeps_its_complete_boxes():
    text = (
        '```json\n[{"bbox_2d": [0, 0, 100, 100]}, {"bbox_2d": [500, 500, 900, 900]}, {"bbox_2d": [1'
    )
    reading = parse(text)
    assert (reading.status, len(reading.boxes), reading.rule) == ("ambiguous", 2, "cut_list")


def test_several_boxes_are_ambiguous_and_all_kept_with_labels():
    rows = [{"bbox_2d": [0, 0, 100, 100], "label": "a"}, {"bbox_2d": [500, 0, 600, 100]}]
    reading = parse(json.dumps(rows))
    assert (reading.status, reading.labels) == ("ambiguous", ("a", ""))


def test_repeats_are_merged_and_said():
    reading = parse("[[100, 200, 300, 400], [100, 200, 300, 401]]")
    assert reading.status == "found"
    assert any("repeated" in str(issue) for issue in reading.issues)


def test_out_of_frame_is_clipped_and_said():
    reading = parse("[900, 0, 1050, 500]")
    assert reading.boxes[0].xyxy == (1800, 0, 2000, 250)
    assert any("clipped" in str(issue) for issue in reading.issues)
    assert any("scale_conflict" in str(issue) for issue in reading.issues)


def test_scale_is_declared_and_never_switched():
    reading = parse("[0.1, 0.2, 0.3, 0.4]")
    assert reading.boxes[0].x2_px == pytest.approx(0.6)
    assert any("scale_conflict" in str(issue) for issue in reading.issues)


def test_seen_pixels_are_scaled_back_to_the_original():
    reading = parse("[100, 100, 200, 200]", Dialect.SEEN_PX, seen_size_px=(400, 250))
    assert reading.boxes[0].xyxy == (500, 200, 1000, 400)


@pytest.mark.parametrize(
    "text",
    [
        '[{"box_2d": [200, 100, 400, 300], "label": "star"}]',
        '```json\n[{"box_2d": [200, 100, 400, 300], "label": "star"}]\n```',
        "[200, 100, 400, 300]",
        "<box>200 100 400 300</box>",
    ],
)
def test_boxes_with_y_first_are_turned(text):
    reading = parse(text, Dialect.NORM_1000_YX)
    assert reading.boxes[0].xyxy == IN_PX
    assert reading.issues == ()


def test_boxes_from_0_to_1_are_scaled_and_larger_numbers_are_said():
    reading = parse("[0.1, 0.2, 0.3, 0.4]", Dialect.NORM_1)
    assert reading.boxes[0].xyxy == pytest.approx(IN_PX)
    assert reading.issues == ()
    assert any(
        "scale_conflict" in str(issue) for issue in parse("[1, 2, 3, 4]", Dialect.NORM_1).issues
    )


@pytest.mark.parametrize(
    "text",
    [
        "<box>100 200 300 400</box>",
        "<ref>star</ref><box>100, 200, 300, 400</box>",
        "<box> 100 200 300 400 </box>",
        "<box>[[100, 200, 300, 400]]</box>",
        "<|begin_of_box|>[100,200,300,400]<|end_of_box|>",
    ],
)
def test_boxes_between_tags_are_read(text):
    reading = parse(text)
    assert [box.xyxy for box in reading.boxes] == [IN_PX]
    assert reading.issues == ()


def test_swapped_corners_are_said():
    assert any("swapped" in str(issue) for issue in parse("[300, 400, 100, 200]").issues)


def test_length_is_limited_and_said():
    reading = parse("x" * 130_000 + "[100, 200, 300, 400]")
    assert reading.boxes[0].xyxy == IN_PX
    assert any("cut" in str(issue) for issue in reading.issues)


def kinds(reading) -> set[str]:
    return {issue.kind for issue in reading.issues}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[{'bbox_2d': [100, 200, 300, 400]}]", "repaired"),
        ('[{"bbox_2d": [100, 200, 300, 400]},]', "repaired"),
        ('{"bbox_2d": [100, 200, 300, 400]}\n{"bbox_2d": [500, 500, 600, 600]}', "repaired"),
        ('[{"bbox_2d": [100, 200, 300, 400]}, {"bbox_2d": [1, 2, 3', "cut"),
        ('[{"bbox_2d": [100, 200, 300, 400]}, {"bbox_2d": [1, 2, 3, 4, 5]}]', "dropped_box"),
        ('[{"bbox_2d": [100, 200, 300, 400]}, {"bbox_2d": [1, 2, Infinity, 4]}]', "dropped_box"),
        ("[[100, 200, 300, 400], [NaN, 2, 3, 4]]", "dropped_box"),
        ("[[100, 200, 300, 400], [5, 5, 5, 9]]", "dropped_box"),
        ("[[100, 200, 300, 400], [100, 201, 300, 400]]", "merged_box"),
        ("[300, 400, 100, 200]", "swapped_corners"),
        ('{"bbox_2d": [100, 200, 300, 400], "label": "the "big" star"}', "repaired"),
        ("100 200 300 400", "repaired"),
        ("[100, 200, 1001, 400]", "clipped_box"),
        ('[{"bbox_2d": [1, 1, 9, 9]}] and at last [{"bbox_2d": [100, 200, 300, 400]}]', "skipped"),
        ('{"bbox_2d": [1, 1, 9, 9], "bbox_2d": [100, 200, 300, 400]}', "repaired"),
    ],
)
def test_whatever_is_mended_is_told_and_refused_when_strict(text, kind):
    reading = parse(text)
    assert reading.boxes
    assert kind in kinds(reading)
    strict = parse(text, strict=True)
    assert (strict.status, strict.boxes) == ("unparsed", ())
    assert kind in kinds(strict)
    assert "strict" in str(strict.issues[-1])


def test_strict_takes_what_needs_no_mending():
    text = '```json\n[{"bbox_2d": [100, 200, 300, 400], "label": "star"}]\n```'
    assert parse(text, strict=True) == parse(text)
    assert parse("[]", strict=True).status == "none"


def test_a_number_cut_in_the_middle_is_never_read():
    assert parse("[100, 200, 300, 40").status == "unparsed"
    assert len(parse("[[100, 200, 300, 400], [500, 500, 600, 60").boxes) == 1
    assert parse('{"bbox_2d": [100, 200, 300, 4').status == "unparsed"


def test_an_empty_list_behind_a_box_in_prose_is_the_last_word():
    reading = parse('First I saw [{"bbox_2d": [1, 1, 90, 90]}]. It is none of those: []')
    assert (reading.status, kinds(reading)) == ("none", {"skipped"})


def test_rows_in_prose_are_all_kept():
    reading = parse("left at [0, 0, 100, 100], and right at [500, 0, 600, 100]")
    assert (reading.status, len(reading.boxes)) == ("ambiguous", 2)


def test_none_of_the_others_before_a_box_is_no_refusal():
    for text in (
        "None of the other dogs, but this: <box>100 200 300 400</box>",
        "There is no second dog. (100, 200, 300, 400)",
        "The cat is not visible; the dog: {'bbox': [100, 200, 300, 400]}",
    ):
        assert parse(text).boxes[0].xyxy == IN_PX


def test_a_box_that_cannot_be_used_is_no_refusal():
    reading = parse("There is no other. [1, 2, 3]")
    assert reading.status == "unparsed"


TWO = '[{"bbox_2d": [0, 0, 100, 100], "score": 0.2}, {"bbox_2d": [500, 0, 600, 100], "score": 0.9}]'


@pytest.mark.parametrize(
    ("pick", "left_px"), [("first", [0]), ("last", [1000]), ("best_score", [1000])]
)
def test_trap_3_first_last_or_best_box_is_explicit_and_told(pick, left_px):
    reading = parse(TWO, pick=pick)
    assert [box.x1_px for box in reading.boxes] == left_px
    assert reading.status == "found"
    assert next(str(issue) for issue in reading.issues if issue.kind == "picked").endswith(pick)
    assert parse(TWO, pick=pick, strict=True).status == "found"
    assert len(parse(TWO).boxes) == 2
    assert parse(TWO).targets[1].score == 0.9
    assert parse(TWO).targets[1].score_kind == "stated"


def test_trap_3_first_box_of_a_text_that_changes_its_mind_is_its_first():
    text = '{"bbox_2d": [0, 0, 100, 100]} no, it is {"bbox_2d": [500, 0, 600, 100]}'
    assert parse(text, pick="first").boxes[0].x1_px == 0
    assert parse(text, pick="last").boxes[0].x1_px == 1000
    assert parse(text).boxes[0].x1_px == 1000


def test_best_score_without_scores_says_so():
    reading = parse("[[0, 0, 100, 100], [500, 0, 600, 100]]", pick="best_score")
    assert "unsure" in kinds(reading)


def test_trap_6_rewards_and_evaluation_read_alike():
    frame = Frame(size_px=SIZE)
    for text in (TWO, "[]", "nothing to read", "[900, 0, 1050, 500]", '{"bbox": [1, 2, 3]}'):
        assert (read_boxes(text, frame) or ()) == parse(text).boxes


@pytest.mark.parametrize(
    ("dialect", "text", "right_px"),
    [
        (Dialect.DEEPSEEK_VL2, "<|det|>[[0, 0, 999, 999]]<|/det|>", 2000),
        (Dialect.REX_OMNI, "<|box_start|><0><0><999><999><|box_end|>", 2000),
        (Dialect.COGVLM, "[[000,000,999,999]]", 1998),
        (Dialect.NORM_1000, "[0, 0, 999, 999]", 1998),
        (Dialect.FLORENCE_2, "<loc_0><loc_0><loc_999><loc_999>", 1999),
        (Dialect.PALIGEMMA, "<loc0000><loc0000><loc1023><loc1023>", 2000 * 1023 / 1024),
    ],
)
def test_trap_7_divided_by_999_or_by_1000(dialect, text, right_px):
    assert parse(text, dialect).boxes[0].x2_px == pytest.approx(right_px)


def test_trap_8_the_resize_before_the_model_is_undone():
    # Qwen2.5-VL sees 1024 x 768 as 1036 x 756.
    truth = Box(300, 200, 340, 260)
    seen = (1036, 756)
    text = render_boxes([truth], Dialect.SEEN_PX, (1024, 768), seen_size_px=seen)
    reading = parse_boxes(text, Dialect.SEEN_PX, (1024, 768), seen_size_px=seen)
    assert iou(reading.boxes[0], truth) > 0.95
    # Without the size the numbers mean something else, and that is told.
    blind = parse_boxes(text, Dialect.SEEN_PX, (1024, 768))
    assert iou(blind.boxes[0], truth) < 0.85
    assert "unsure" in kinds(blind)


def test_trap_9_no_reply_is_lost():
    replies = ["[100, 200, 300, 400]", "", "garbage [", "[]", "[1, 2, 3]"]
    statuses = [parse(reply).status for reply in replies]
    assert statuses == ["found", "unparsed", "unparsed", "none", "unparsed"]


def test_boxes_in_a_crop_that_was_letterboxed_come_back_to_the_frame():
    crop = Transform.crop((2000, 500), Box(500, 100, 900, 300))
    seen = crop.then(Transform.letterbox(crop.to_size, (1000, 1000)))
    truth = Box(600, 150, 700, 250)
    text = render_boxes([truth], Dialect.NORM_1000, (2000, 500), transform=seen)
    reading = parse(text, transform=seen)
    assert reading.boxes[0].xyxy == pytest.approx(truth.xyxy, abs=0.5)
    assert reading.transform == seen


def test_a_transform_of_another_frame_is_refused():
    with pytest.raises(ValueError, match="not of"):
        parse("[]", transform=Transform.identity((8, 8)))
    with pytest.raises(ValueError, match="not both"):
        parse("[]", transform=Transform.identity(SIZE), seen_size_px=SIZE)


def test_xywh_counts_where_it_is_declared():
    assert parse("[100, 200, 200, 200]", layout="xywh").boxes[0].xyxy == IN_PX


def test_scale_is_switched_on_request_only_and_told():
    for text in ("[0.1, 0.4, 0.15, 0.8]", "[200, 200, 300, 400]"):
        declared = Dialect.NORM_1000 if "." in text else Dialect.NORM_1
        plain, auto = parse(text, declared), parse(text, declared, scale="auto")
        assert "scale_conflict" in kinds(plain) & kinds(auto)
        assert "read as" in str(auto.issues[0])
        assert auto.boxes != plain.boxes
    assert parse("[0.1, 0.4, 0.15, 0.8]", scale="auto").boxes[0].xyxy == pytest.approx(
        (200, 200, 300, 400)
    )
    pixels = parse("[1100, 100, 1500, 400]", scale="auto")
    assert pixels.boxes[0].xyxy == (1100, 100, 1500, 400)


def test_names_of_corners_are_stronger_than_the_order_of_a_dialect():
    reading = parse('{"xmin": 100, "ymin": 200, "xmax": 300, "ymax": 400}', Dialect.NORM_1000_YX)
    assert reading.boxes[0].xyxy == IN_PX


def test_labels_and_scores_in_lists_of_their_own_go_to_their_boxes():
    reading = parse(
        {"boxes": [[0, 0, 90, 90], [500, 0, 590, 90]], "labels": ["a", "b"], "scores": [0.1, 0.9]}
    )
    assert reading.labels == ("a", "b")
    assert [target.score for target in reading.targets] == [0.1, 0.9]


def test_the_limit_of_boxes_is_told():
    rows = [[i * 9, j * 90, i * 9 + 8, j * 90 + 80] for i in range(20) for j in range(10)]
    reading = parse(json.dumps(rows))
    assert len(reading.boxes) == 100
    assert "cut" in kinds(reading)
