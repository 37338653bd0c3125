"""The frozen sets: 2,000 pictures and 2,000 clips, as scripts with hashes.

Their seeds are below `TRAINING_SEEDS`, and nothing may be trained on them. `DATA_CARD.md` tells how
they were made.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmreason.grounding.refadv.drafts import GroundKind, Knobs, LookKind
from mmreason.grounding.refadv.generator import generate
from mmreason.grounding.refadv.items import Item, ItemKind
from mmreason.video.files import write_atomic
from mmreason.video.json_input import parse_json

FOLDER = Path(__file__).with_name("frozen")
HASHES = "hashes.json"
BLOCK_ITEMS = 100
"""Items of one choice of knobs, with seeds that follow each other."""
MAX_BYTES = 64_000_000
"""Of one set, unpacked."""


def list_blocks(kind: ItemKind) -> tuple[Knobs, ...]:
    """The knobs of each block of a frozen set; block `b` has the seeds from `100 * b` on.

    Example:
        >>> len(list_blocks("image")), len(list_blocks("video"))
        (20, 20)
    """
    return _IMAGE_BLOCKS if kind == "image" else _VIDEO_BLOCKS


def _block(
    k: int,
    n: int,
    family: str,
    *,
    negation: int = 0,
    hops: int = 1,
    hardness: int = 0,
    ground: GroundKind = "plain",
    look: LookKind = "shapes",
) -> Knobs:
    return Knobs(
        k=k,
        n=n,
        families=(family,),
        negation=negation,
        hops=hops,
        hardness=hardness,
        none_rate=0.2,
        multi_rate=0.1,
        ground=ground,
        look=look,
    )


_IMAGE_BLOCKS = (
    _block(1, 4, "attribute"),
    _block(2, 4, "attribute"),
    _block(2, 6, "attribute", negation=1),
    _block(2, 8, "attribute", look="cutouts", ground="photo"),
    _block(3, 6, "attribute"),
    _block(3, 8, "attribute", negation=1, ground="texture"),
    _block(3, 12, "attribute", hardness=1),
    _block(4, 8, "attribute", look="cutouts", ground="texture"),
    _block(4, 20, "attribute", ground="photo"),
    _block(2, 6, "relation"),
    _block(3, 6, "relation"),
    _block(3, 8, "relation", negation=1, ground="texture"),
    _block(3, 8, "relation", hops=2),
    _block(4, 12, "relation", hops=2, look="cutouts", ground="photo"),
    _block(2, 6, "ordinal"),
    _block(3, 8, "ordinal", negation=1, ground="photo"),
    _block(2, 6, "same", look="cutouts", ground="photo"),
    _block(3, 8, "same"),
    _block(2, 6, "count"),
    _block(3, 12, "count", ground="texture"),
)
_VIDEO_BLOCKS = (
    _block(1, 4, "motion"),
    _block(2, 6, "motion"),
    _block(3, 6, "motion", negation=1, ground="texture"),
    _block(3, 8, "motion", look="cutouts", ground="photo"),
    _block(2, 4, "order"),
    _block(3, 6, "order"),
    _block(4, 6, "order", ground="photo"),
    _block(4, 8, "order", negation=1),
    _block(3, 8, "order", look="cutouts", ground="texture"),
    _block(2, 6, "sequence"),
    _block(3, 8, "sequence", negation=1, ground="photo"),
    _block(2, 6, "turn"),
    _block(3, 8, "turn", look="cutouts", ground="texture"),
    _block(1, 5, "enter"),
    _block(2, 6, "enter", ground="photo"),
    _block(2, 6, "leave"),
    _block(1, 5, "touch"),
    _block(2, 6, "touch", look="cutouts", ground="photo"),
    _block(1, 5, "pass"),
    _block(2, 6, "pass", ground="texture"),
)


def load_frozen(kind: ItemKind, folder: Path = FOLDER) -> tuple[Item, ...]:
    """The 2,000 frozen items of a kind, after their hash is verified.

    Raises ValueError where the file is not the one that was frozen.

    Example:
        >>> items = load_frozen("video")  # doctest: +SKIP
        >>> len(items), items[0].id  # doctest: +SKIP
        (2000, 'video-0')
    """
    return tuple(Item.from_dict(row) for row in read_rows(kind, folder))


def read_rows(kind: ItemKind, folder: Path = FOLDER) -> Iterator[dict[str, Any]]:
    """The JSON of the frozen items of a kind, one at a time, after their hash is verified. Raises
    ValueError like `load_frozen`.

    Example:
        >>> next(read_rows("image"))["id"]
        'image-0'
    """
    for line in _read_lines(kind, folder):
        yield parse_json(line)


def _read_lines(kind: ItemKind, folder: Path) -> list[bytes]:
    path = folder / f"{kind}.jsonl.xz"
    hashes = parse_json((folder / HASHES).read_bytes(), most_bytes=100_000)
    # Bounded, since a small file of this kind may hold very much.
    try:
        data = lzma.LZMADecompressor().decompress(path.read_bytes(), max_length=MAX_BYTES)
    except lzma.LZMAError as error:
        raise ValueError(
            f"{path}: not the frozen set ({error}); install the package again"
        ) from error
    found, expected = hashlib.sha256(data).hexdigest(), hashes[kind]
    if found != expected:
        raise ValueError(
            f"{path}: not the frozen set: expected SHA-256 {expected}, found {found}; "
            "install the package again"
        )
    return data.splitlines()


def generate_frozen(kind: ItemKind) -> Iterator[Item]:
    """The items of a frozen set, generated anew: what the set was written from."""
    for index, knobs in enumerate(list_blocks(kind)):
        yield from generate(kind=kind, seed=BLOCK_ITEMS * index, count=BLOCK_ITEMS, knobs=knobs)


def write_frozen(folder: Path = FOLDER) -> dict[str, str]:
    """Generate both sets and write them with their hashes (of the unpacked lines)."""
    hashes = {}
    kinds: tuple[ItemKind, ...] = ("image", "video")
    for kind in kinds:
        lines = (
            json.dumps(item.to_dict(), separators=(",", ":"), sort_keys=True)
            for item in generate_frozen(kind)
        )
        data = "".join(f"{line}\n" for line in lines).encode()
        hashes[kind] = hashlib.sha256(data).hexdigest()
        write_atomic(folder / f"{kind}.jsonl.xz", lzma.compress(data, preset=9))
    write_atomic(folder / HASHES, f"{json.dumps(hashes, indent=1)}\n".encode())
    return hashes
