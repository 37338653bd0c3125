"""Items of the needle benchmark: a question with its options, its answer and where the proof is.

JSON lines in and out. `worlds.py` makes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mmreason.json_lines import encode_json_line, require_json_lines
from mmreason.types import UsageError
from mmreason.video.files import write_atomic
from mmreason.video.types import Span
from mmreason.video.world.script import World

Kind = Literal["attribute", "motion", "order", "count", "absent", "global"]
Border = Literal["inside", "near", "across"]
"""How a needle lies to the borders of the tree: within a leaf, beside a border, on both sides."""

DURATIONS_S = {"3m": 180.0, "15m": 900.0, "1h": 3600.0, "3h": 10_800.0, "10h": 36_000.0}
NEEDLES_S = (1.0, 4.0, 16.0, 64.0)
POSITIONS = 10
"""Tenths of the video at which needles are planted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question about one needle world.

    Example:
        >>> item = Item(
        ...     id="needle-3m-0-00", world="needle-3m-0", duration_s=180.0, seed=0,
        ...     question="What colour is the small star?",
        ...     options=("red", "blue", "green", "white"), answer=2, kind="attribute",
        ...     gold_spans=(Span(61.0, 65.0),), needle_s=4.0, position=3, border="inside",
        ...     context=None, distractors=2,
        ... )
        >>> item.rotated(1).options, item.rotated(1).answer
        (('blue', 'green', 'white', 'red'), 1)
        >>> Item.from_dict(item.to_dict()) == item
        True
    """

    id: str
    world: str
    """Name of the world; its script is `<world>.json`."""
    duration_s: float
    seed: int
    question: str
    options: tuple[str, ...]
    """Four texts."""
    answer: int | None
    """Index of the right option; None where nothing supports any of them."""
    kind: Kind
    gold_spans: tuple[Span, ...]
    """Where each needle can be seen; the answer's chapter for global items; empty for absent."""
    needle_s: float
    """How long each needle lasts; of absent items the look-alike; 0 for global ones."""
    position: int
    """Tenth of the video (0..9) that holds the first needle (or look-alike)."""
    border: Border
    context: str | None
    """The word that is on the screen meanwhile, where the question says so."""
    distractors: int
    """Look-alikes planted for this item."""

    @property
    def places(self) -> int:
        """Places that have to be seen."""
        return len(self.gold_spans)

    def rotated(self, by: int) -> Item:
        """The same item with its options moved round by `by` places, for circular accuracy."""
        count = len(self.options)
        options = tuple(self.options[(i + by) % count] for i in range(count))
        # Options move to the left, and the right one with them, round the end.
        answer = None if self.answer is None else (self.answer - by) % count
        return replace(self, options=options, answer=answer)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        spans = [span.to_list() for span in self.gold_spans]
        return asdict(self) | {"options": list(self.options), "gold_spans": spans}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Item:
        """What `to_dict` gave. Raises TypeError or ValueError for anything else."""
        spans = tuple(Span(*map(float, pair)) for pair in data["gold_spans"])
        return cls(**data | {"options": tuple(data["options"]), "gold_spans": spans})


@dataclass(frozen=True, kw_only=True)
class NeedleSet:
    """A world with the items about it."""

    world: World
    items: tuple[Item, ...]

    def save(self, folder: str | Path) -> Path:
        """Write `<name>.json` (opened as a video, drawn on demand) and `<name>.jsonl`; returns
        the path of the script."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_items(folder / f"{self.world.name}.jsonl", self.items)
        return self.world.save(folder / f"{self.world.name}.json")


def write_items(path: Path, items: Iterable[Item]) -> Path:
    """One JSON object a line."""
    return write_atomic(path, b"".join(encode_json_line(item.to_dict()) for item in items))


def read_items(path: Path) -> tuple[Item, ...]:
    """Items written by `write_items`. Raises UsageError naming the first bad line."""
    return tuple(line.row for line in require_json_lines(path, _item))


def _item(data: dict[str, Any]) -> Item:
    try:
        return Item.from_dict(data)
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"is not a needle item ({error})") from error


def duration_of(name: str) -> float:
    """Seconds of a length such as `3m`, `90s` or `1h`. Raises UsageError.

    Example:
        >>> duration_of("15m")
        900.0
    """

    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    try:
        duration_s = float(name[:-1]) * units[name[-1:]]
    except (ValueError, KeyError):
        duration_s = 0.0
    # Chapters are a tenth of the video: below two minutes they are too short for a needle.
    if not 120.0 <= duration_s <= 86_400.0:
        raise UsageError(
            f"length {name!r} must be from 2m to 24h, such as {', '.join(DURATIONS_S)}"
        )
    return duration_s


def duration_name(duration_s: float) -> str:
    """The shortest name that `duration_of` reads back.

    Example:
        >>> duration_name(3600.0), duration_name(150.0)
        ('1h', '150s')
    """

    for unit, length_s in (("h", 3600), ("m", 60)):
        # The largest unit that needs no fraction.
        if duration_s % length_s == 0:
            return f"{duration_s / length_s:g}{unit}"
    return f"{duration_s:g}s"
