"""The committed table of classes and their kinds is whole and right."""

from __future__ import annotations

import numpy as np
import pytest
from torchvision.models._meta import _IMAGENET_CATEGORIES

from mmreason.video.labels.classes import list_parents, read_classes, sum_parents

CLASSES = read_classes()


def test_every_class_has_a_name_of_its_own_and_a_kind() -> None:
    names = [item.name.lower() for item in CLASSES]
    assert len(set(names)) == len(CLASSES) == 1000
    assert all(item.parents for item in CLASSES)


def test_the_order_is_that_of_torchvision() -> None:
    for item, name in zip(CLASSES, _IMAGENET_CATEGORIES, strict=True):
        known = {item.name.lower(), *(word.lower() for word in item.synonyms)}
        # Renamed where the word alone says something else ("plane", "mouse", "crane bird").
        words = set(name.lower().replace("-", " ").split())
        assert name.lower() in known or any(
            words & set(k.replace("-", " ").split()) for k in known
        ), (item, name)


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("dog", range(151, 269)),
        ("cat", range(281, 286)),
        ("big cat", range(286, 294)),
        ("bear", range(294, 298)),
        ("snake", range(52, 69)),
        ("reptile", range(33, 69)),
        ("bird", [*range(7, 25), *range(80, 101), *range(127, 147)]),
        ("fish", [*range(7), *range(389, 398)]),
        ("insect", range(300, 327)),
        ("primate", range(365, 385)),
        ("fungus", [947, *range(991, 998)]),
        ("fruit", range(948, 958)),
    ],
)
def test_kinds_hold_exactly_their_classes(kind: str, columns: range | list[int]) -> None:
    assert [i for i, item in enumerate(CLASSES) if kind in item.parents] == list(columns)


def test_every_animal_is_an_animal_and_nothing_else_is() -> None:
    animals = [i for i, item in enumerate(CLASSES) if item.parents[-1] == "animal"]
    assert animals == list(range(398))


def test_a_kind_has_the_same_wider_kinds_wherever_it_stands() -> None:
    chains: dict[str, set[tuple[str, ...]]] = {}
    for item in CLASSES:
        for place, parent in enumerate(item.parents):
            chains.setdefault(parent, set()).add(item.parents[place + 1 :])
    assert {kind: chain for kind, chain in chains.items() if len(chain) > 1} == {}


def test_sums_over_kinds_are_sums_over_their_classes() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(1000), 3)
    names, sums = sum_parents(probabilities, CLASSES)
    assert names == list_parents(CLASSES)
    expected = probabilities[:, 281:286].sum(axis=1)
    assert np.allclose(sums[:, names.index("cat")], expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"must be \(N, 1000\)"):
        sum_parents(probabilities[:, :10], CLASSES)
