"""Words of questions find their classes, and those that ImageNet lacks are told as missing."""

from __future__ import annotations

import pytest

from mmreason.video.labels import WHAT_IS_MISSING, explain_gap, find_classes
from mmreason.video.labels.classes import list_parents, read_classes
from mmreason.video.labels.words import _EVERYDAY

CLASSES = read_classes()
KINDS = set(list_parents(CLASSES))


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("dog", ("dog",)),
        ("the puppies", ("dog",)),
        ("Cats", ("cat",)),
        ("car", ("car",)),
        ("bikes", ("bicycle", "motorcycle")),
        ("plane", ("airplane",)),
        ("buses", ("bus",)),
        ("wolves", ("wolf",)),
        ("food", ("food",)),
        ("an animal", ("animal",)),
        ("mobile phone", ("mobile phone",)),
        ("cellular telephone", ("mobile phone",)),
        ("crane", ("crane (bird)", "construction crane")),
        ("horse", ("horse",)),
        ("gibberish", ()),
        ("", ()),
    ],
)
def test_a_word_finds_the_names_that_labels_use(word: str, names: tuple[str, ...]) -> None:
    assert find_classes(word) == names


def test_the_head_of_a_name_finds_all_that_end_with_it() -> None:
    assert set(find_classes("terrier")) == {c.name for c in CLASSES if c.name.endswith(" terrier")}
    # Not by its other words: a house finch is no house.
    assert find_classes("house") == ()


def test_every_everyday_word_stands_for_names_of_the_table() -> None:
    names = {item.name for item in CLASSES} | KINDS
    assert {name for values in _EVERYDAY.values() for name in values} <= names


@pytest.mark.parametrize("word", ["person", "people", "a face", "women", "trees", "houses", "sky"])
def test_what_imagenet_lacks_is_told_and_finds_nothing(word: str) -> None:
    assert find_classes(word) == ()
    assert str(explain_gap(word)).startswith("the classifier has no class for ")


def test_no_word_is_both_missing_and_a_class() -> None:
    for word in WHAT_IS_MISSING:
        assert word not in KINDS and word not in _EVERYDAY
        assert explain_gap(word)


def test_a_kind_that_is_poor_is_found_with_a_warning() -> None:
    assert find_classes("horse") and "one colour" in str(explain_gap("a horse"))
    assert explain_gap("dog") is None and explain_gap("gibberish") is None
