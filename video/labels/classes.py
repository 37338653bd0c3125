"""The 1,000 classes of ImageNet-1k, as words, with the wider kinds that each belongs to.

The kinds ("cat, mammal, animal") are sorted by hand, in `imagenet_parents.tsv`. A classifier that
hesitates between tabby and tiger cat is sure of a cat: sums over kinds say more than classes do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np


@dataclass(frozen=True, slots=True)
class ImageClass:
    """What a classifier can name, and what it is a kind of.

    Example:
        >>> read_classes()[281]
        ImageClass(name='tabby', synonyms=('tabby cat',), parents=('cat', 'mammal', 'animal'))
    """

    name: str
    synonyms: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    """The nearest kind first."""


@cache
def read_classes() -> tuple[ImageClass, ...]:
    """The classes of ImageNet-1k, in the order of a classifier's outputs.

    Example:
        >>> len(read_classes()), read_classes()[817].parents
        (1000, ('car', 'vehicle'))
    """
    text = files("mmreason.video.labels").joinpath("imagenet_parents.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    assert [int(row[0]) for row in rows] == list(range(1000)), "the table is out of order"
    return tuple(
        ImageClass(name, _list(synonyms), _list(kinds)) for _, name, synonyms, kinds in rows
    )


def list_parents(classes: Sequence[ImageClass]) -> tuple[str, ...]:
    """The kinds of `classes`, each once, in order of the alphabet.

    Example:
        >>> list_parents((ImageClass("tabby", parents=("cat", "animal")),))
        ('animal', 'cat')
    """
    return tuple(sorted({parent for item in classes for parent in item.parents}))


def sum_parents(
    probabilities: np.ndarray, classes: Sequence[ImageClass]
) -> tuple[tuple[str, ...], np.ndarray]:
    """The kinds, and float32 (N, kinds): the probability of each, summed over its classes, from
    (N, classes). Raises ValueError where the two do not fit.

    Example:
        >>> classes = (ImageClass("tabby", parents=("cat",)), ImageClass("lynx", parents=("cat",)))
        >>> names, sums = sum_parents(np.array([[0.5, 0.25]]), classes)
        >>> names, sums.tolist()
        (('cat',), [[0.75]])
    """
    if probabilities.shape[1:] != (len(classes),):
        raise ValueError(
            f"probabilities must be (N, {len(classes)}), one a class, got {probabilities.shape}"
        )
    names = list_parents(classes)
    member = np.zeros((len(classes), len(names)), np.float32)
    columns = {name: column for column, name in enumerate(names)}
    for row, item in enumerate(classes):
        member[row, [columns[parent] for parent in item.parents]] = 1
    return names, probabilities.astype(np.float32) @ member


def _list(cell: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in cell.split(",") if word.strip())
