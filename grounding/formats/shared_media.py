"""Images and videos that several splits share: a model is then measured on what it learnt."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from mmreason.grounding.formats.rows import ReferringRow

_COCO_NAME = re.compile(r"(?:COCO_(?:train|val|test)\d{4}_)?(\d{12})(?:_\d+)?")
"""COCO of 2014 and 2017 name one picture differently; `refer` adds the annotation's number."""
_OPEN_IMAGES_NAME = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class SharedMedia:
    """One image or video, and the splits that have rows about it.

    Example:
        >>> str(SharedMedia("coco:581857", ("train", "val"), 5))
        'coco:581857 is in train and val (5 rows)'
    """

    media: str
    splits: tuple[str, ...]
    rows: int

    def __str__(self) -> str:
        return f"{self.media} is in {' and '.join(self.splits)} ({self.rows} rows)"


def media_key(row: ReferringRow) -> str:
    """What names the image or video of a row: the number of COCO's and OpenImages' pictures in any
    data set and folder, else its file as the data set names it.

    Example:
        >>> row = ReferringRow(source="a", row=1, row_id="1", form="coco", expression="dog",
        ...     image="train2014/COCO_train2014_000000581857.jpg")
        >>> media_key(row)
        'coco:581857'
    """
    stem = PurePosixPath((row.image or row.video).replace("\\", "/")).stem
    match = _COCO_NAME.fullmatch(stem)
    if match is not None and row.image:
        return f"coco:{int(match[1])}"
    if row.image and _OPEN_IMAGES_NAME.fullmatch(stem):
        return f"openimages:{stem}"
    return f"image:{row.image}" if row.image else f"video:{row.video}"


def find_shared_media(rows: Iterable[ReferringRow]) -> tuple[SharedMedia, ...]:
    """What is in more than one split, by name. Rows that name no split belong to their file, so
    that files of several splits or data sets are compared by giving the rows of all.

    Example:
        >>> find_shared_media([])
        ()
    """
    splits: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        splits[media_key(row)][row.split or row.source] += 1
    return tuple(
        SharedMedia(media, tuple(sorted(counts)), sum(counts.values()))
        for media, counts in sorted(splits.items())
        if len(counts) > 1
    )
