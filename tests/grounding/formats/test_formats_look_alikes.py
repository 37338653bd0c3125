"""Look-alikes of annotated images, their smallest descriptions, and checked expressions."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmreason.cli import main
from mmreason.grounding.expression_checks import check_expression, match_words
from mmreason.grounding.formats import RowError
from mmreason.grounding.formats.annotated_images import read_annotated_images, report_image
from mmreason.grounding.look_alikes import (
    AnnotatedObject,
    AttributeValue,
    describe_minimally,
    find_look_alikes,
)
from tests.grounding.formats.formats_files import INSTANCES, write_json


def thing(id: str, category: str = "dog", **attributes: str | tuple[str, ...]) -> AnnotatedObject:
    values = {k: (v,) if isinstance(v, str) else v for k, v in attributes.items()}
    return AnnotatedObject(id=id, category=category, attributes=values)


DOGS = (
    thing("1", colour="brown", pose="lying"),
    thing("2", colour="brown", pose="sitting"),
    thing("3", colour="black", pose="lying"),
    thing("4", "cat", colour="brown", pose="lying"),
)


def random_objects(generator: np.random.Generator, count: int) -> list[AnnotatedObject]:
    """Of two classes, with four attributes of three values, some not known."""
    return [
        AnnotatedObject(
            id=str(number),
            category="ab"[generator.integers(2)],
            attributes={
                f"attribute {name}": (f"value {generator.integers(3)}",)
                for name in range(4)
                if generator.random() > 0.1
            },
        )
        for number in range(count)
    ]


def smallest_by_trying_all(objects: list[AnnotatedObject], target: AnnotatedObject) -> int | None:
    others = [item for item in objects if item is not target]
    for size in range(len(target.descriptors) + 1):
        for chosen in itertools.combinations(target.descriptors, size):
            if all(any(other.says(d) is False for d in chosen) for other in others):
                return size
    return None


def test_the_smallest_description_is_that_of_trying_all() -> None:
    generator = np.random.default_rng(4)
    sizes = []
    for _ in range(60):
        objects = random_objects(generator, int(generator.integers(1, 13)))
        for target in objects[:3]:
            found = describe_minimally(objects, target.id)
            expected = smallest_by_trying_all(objects, target)
            assert found.is_smallest and found.is_sufficient is (expected is not None)
            if expected is not None:
                assert len(found.descriptors) == expected
                sizes.append(expected)
                others = [item for item in objects if item is not target]
                for other in others:
                    assert any(other.says(d) is False for d in found.descriptors)
    assert {1, 2, 3} <= set(sizes)


def test_twenty_objects_are_described_exactly_where_greed_is_not() -> None:
    # The classic trap of the greedy choice: `wide` excludes most, and yet is not needed.
    objects = [thing("t", left="yes", right="yes", wide="yes")]
    for number in range(18):
        attributes = {"left": "yes", "right": "yes", "wide": "yes"}
        attributes["left" if number < 9 else "right"] = "no"
        if number % 9 < 6:
            attributes["wide"] = "no"
        objects.append(thing(str(number), **attributes))
    found = describe_minimally(objects, "t")
    assert found.is_smallest and [d.attribute for d in found.descriptors] == ["left", "right"]


def test_what_is_not_known_tells_nothing_apart() -> None:
    objects = [thing("1", colour="red"), thing("2")]
    described = describe_minimally(objects, "1")
    assert described.twins == ("2",) and not described.is_sufficient
    (pair,) = find_look_alikes(objects)
    assert pair.differ == () and pair.unknown == ("colour",)


def test_look_alikes_are_of_one_category_and_the_most_alike_come_first() -> None:
    twin = thing("5", colour="brown", pose="lying")
    pairs = find_look_alikes([*DOGS, twin])
    assert (pairs[0].first, pairs[0].second, pairs[0].differ) == ("1", "5", ())
    assert {(pair.first, pair.second): pair.differ for pair in pairs[1:]} == {
        ("1", "2"): ("pose",),
        ("1", "3"): ("colour",),
        ("2", "5"): ("pose",),
        ("3", "5"): ("colour",),
    }
    assert describe_minimally([*DOGS, twin], "1").twins == ("5",)


@pytest.mark.parametrize(
    ("expression", "status", "reason"),
    [
        ("the brown dog", "ambiguous", "also fits 2 (dog)"),
        ("the brown dog lying", "good", "needs each"),
        ("the black dog", "wrong", "1 (dog) is not colour: black"),
        ("the dog that is not sitting", "ambiguous", "also fits 3 (dog)"),
        ("the dog that is brown, not sitting", "good", "needs each"),
        (
            "the dog isn\N{RIGHT SINGLE QUOTATION MARK}t black and isn't sitting",
            "good",
            "needs each",
        ),
        ("the lying dog, not sitting, brown rather than black", "redundant", "without"),
        ("the brown dog on the left", "unchecked", "attributes do not explain: left"),
        ("the brown dog beside the cat", "unchecked", "category: dog and cat"),
        ("the brown or black dog lying", "unchecked", "colour: brown and black"),
        ("the fluffy one", "unchecked", "attributes do not explain: fluffy"),
        ("the one", "unchecked", "it says nothing"),
        ("the lying dog whose colour is brown", "good", "needs each"),
        ("the dog, not brown sitting", "unchecked", "not ... sitting"),
        ("the brown one, not the brown sitting", "unchecked", "not ... brown"),
    ],
)
def test_an_expression_is_judged_with_its_reason(expression: str, status: str, reason: str) -> None:
    check = check_expression(DOGS, expression, ["1"])
    assert (str(check.status), reason in check.reason) == (status, True), check


def test_a_redundant_word_is_named_and_the_noun_is_none() -> None:
    check = check_expression(DOGS, "the black dog that is lying", ["3"])
    assert str(check.status) == "redundant" and check.redundant == ("pose: lying",)
    # Without the noun the cat would not fit either: a sentence needs it all the same.
    assert str(check_expression(DOGS, "the sitting dog", ["2"]).status) == "good"


def test_what_the_annotations_do_not_say_is_not_checked() -> None:
    check = check_expression([thing("1", colour="red"), thing("2")], "the red dog", ["1"])
    assert (
        str(check.status) == "unchecked" and check.reason == "what it says is not known of 2 (dog)"
    )


def test_what_is_certain_is_told_though_others_are_not_known() -> None:
    objects = [thing("1", colour="red"), thing("2", colour="red"), thing("3")]
    assert check_expression(objects, "the red dog", ["1"]).reason == "also fits 2 (dog)"
    assert "not known of 3" in check_expression(objects, "the red dog", ["3"]).reason


def test_an_expression_that_means_nothing_must_fit_nothing() -> None:
    none = check_expression(DOGS, "the sitting cat", [])
    assert (str(none.status), none.reason) == ("good", "nothing fits, and nothing is meant")
    some = check_expression(DOGS, "the sitting dog", [])
    assert (str(some.status), some.reason) == ("wrong", "fits 2 (dog), and nothing is meant")


def test_a_value_of_two_attributes_is_read_only_where_one_is_named() -> None:
    people = [
        thing("1", "man", shirt="red", hat="blue", beard="no"),
        thing("2", "man", shirt="blue", hat="red", beard="no"),
    ]
    assert str(check_expression(people, "the man with the red shirt", ["1"]).status) == "good"
    unnamed = check_expression(people, "the man in red", ["1"])
    assert str(unnamed.status) == "unchecked" and unnamed.unexplained == ("red (hat or shirt)",)
    # A value "no" is not what the word in a sentence says.
    assert check_expression(people, "the man with no red shirt", ["2"]).descriptors == (
        "category: man",
        "not shirt: red",
    )


def test_longer_values_and_plurals_are_read_before_shorter_ones() -> None:
    objects = [thing("1", "ball", colour="dark red"), thing("2", "ball", colour="red")]
    required, unexplained = match_words(objects, "balls dark red")
    assert required == (
        (AttributeValue("category", "ball"), True),
        (AttributeValue("colour", "dark red"), True),
    )
    assert unexplained == ()


ANNOTATED: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "dogs.jpg", "width": 100, "height": 80}],
    "categories": [{"id": 1, "name": "Dog"}],
    "annotations": [
        {
            **{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9]},
            "attributes": {"colour": "Brown", "wet": True, "age": 3, "breed": None, "track_id": 7},
            "expressions": ["the brown dog", "the wet dog"],
        },
        {
            **{"id": 2, "image_id": 1, "category_id": 1, "bbox": [20, 0, 9, 9]},
            "attributes": {"colour": ["brown", "white"], "wet": False},
            "expression": "the dog that is not wet",
        },
        {"id": 3, "image_id": 1, "category_id": 1, "bbox": [0, 0, -9, 9], "attributes": {}},
        {"id": 4, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "attributes": {"x": {}}},
        {"id": 5, "image_id": 9, "category_id": 1, "bbox": [0, 0, 9, 9]},
    ],
}


def test_annotations_are_read_as_tools_export_them() -> None:
    read = list(read_annotated_images(ANNOTATED, "a.json"))
    errors = [item for item in read if isinstance(item, RowError)]
    (image,) = [item for item in read if not isinstance(item, RowError)]
    assert [error.row for error in errors] == [3, 4, 5]
    first, second = image.objects
    assert first.attributes == {"colour": ("brown",), "wet": ("wet",), "age": ("3",)}
    assert second.attributes == {"colour": ("brown", "white"), "wet": ()}
    report = report_image(image)
    statuses = {check.expression: str(check.status) for check in report.expressions}
    assert statuses == {
        "the brown dog": "ambiguous",
        "the wet dog": "good",
        "the dog that is not wet": "good",
    }
    assert [str(d) for d in report.descriptions[0].descriptors] == ["wet: wet"]


def test_the_command_tells_what_is_wrong_with_annotated_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_json(tmp_path / "a.json", ANNOTATED)
    assert main(["data", "check", str(path)]) == 1
    printed = capsys.readouterr().out
    assert "a.json: coco (an object with 'images' and 'annotations')" in printed
    assert "1 and 2 (dog): differ in" not in printed  # two attributes differ
    assert "ambiguous: 'the brown dog': also fits 2 (dog)" in printed
    assert main(["data", "check", str(path), "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert value["files"][0]["form"] == "coco" and value["problems"] == 4
    assert value["images"][0]["descriptions"][0]["descriptors"] == [
        {"attribute": "wet", "value": "wet"}
    ]


def test_the_command_tells_images_that_files_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {**INSTANCES, "annotations": INSTANCES["annotations"][:2]}
    train, val = (write_json(tmp_path / f"{name}.json", good) for name in ("train", "val"))
    assert main(["data", "check", str(train)]) == 0
    assert "no problems" in capsys.readouterr().out
    assert main(["data", "check", str(train), str(val)]) == 1
    assert f"coco:7 is in {train} and {val} (2 rows)" in capsys.readouterr().out
    assert main(["data", "check", str(tmp_path / "gone.json")]) == 2


def test_the_command_converts_and_tells_what_it_could_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_json(tmp_path / "a.json", INSTANCES)
    out = tmp_path / "out" / "a.jsonl"
    assert main(["data", "convert", str(path), "--out", str(out), "--to", "odvg"]) == 0
    printed = capsys.readouterr().out
    assert "2 rows of coco" in printed and "not read (1):" in printed
    assert len(out.read_text().splitlines()) == 2
    assert main(["data", "convert", str(path), "--out", str(path), "--to", "coco"]) == 2
    assert "is the very file that is to be read" in capsys.readouterr().err
    assert main(["data", "convert", str(out), "--out", str(path), "--to", "webvtt"]) == 2
    assert "none of 2 rows can be written as webvtt" in capsys.readouterr().err
    assert (
        main(["data", "convert", str(out), "--out", str(path), "--to", "coco", "--split", "val"])
        == 2
    )
    assert "no row is of the split 'val'" in capsys.readouterr().err
