"""What is measured: which items, under which changes. All of it is in `run.json` of a run."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmreason.evaluation.refadv.cases import RefAdvCase, item_cases
from mmreason.evaluation.refadv.outcomes import Change, Kind
from mmreason.grounding.refadv import Item, Knobs, generate, load_frozen
from mmreason.grounding.refadv.generator import list_families
from mmreason.json_lines import encode_json_line, require_json_lines
from mmreason.types import UsageError
from mmreason.video.files import write_atomic

MOST_ITEM_BYTES = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPlan:
    """Items, and the changes that each is asked under.

    Example: `ItemPlan(kind="image", seed=7, count=4, changes=("original",)).items()` are drawn;
    with seed None they are of the frozen set.
    """

    kind: Kind
    count: int
    seed: int | None
    """None for the frozen set."""
    knobs: tuple[Knobs, ...] = ()
    """Of drawn items, in turn."""
    changes: tuple[Change, ...]
    shuffles: int = 1

    def items(self) -> tuple[Item, ...]:
        """The items. Raises UsageError where the frozen set has fewer, or no scene can be drawn."""
        if self.seed is None:
            return spread_items(load_frozen(self.kind), self.count)
        return tuple(self._draw_items(self.seed))

    def _draw_items(self, seed: int) -> Iterator[Item]:
        knobs = self.knobs or (Knobs(),)
        drawn, failed = 0, 0
        while drawn < self.count:
            try:
                item = next(
                    generate(kind=self.kind, seed=seed, count=1, knobs=knobs[drawn % len(knobs)])
                )
            except RuntimeError as error:
                # A few seeds find no room for all objects: the next one is taken in their place.
                failed += 1
                if failed > self.count:
                    raise UsageError(f"{error}; give fewer --candidates") from error
            else:
                drawn += 1
                yield item
            seed += 1

    def settings(self, items: Sequence[Item]) -> dict[str, Any]:
        """JSON types: all that moves a figure, with the items by their content."""
        return {
            "kind": self.kind,
            "count": self.count,
            "seed": self.seed,
            "knobs": [asdict(knobs) for knobs in self.knobs],
            "changes": list(self.changes),
            "shuffles": self.shuffles,
            "items_sha256": digest_items(items),
        }

    def cases(self, items: Iterable[Item]) -> Iterator[RefAdvCase]:
        """Every item under every change, item by item."""
        for item in items:
            yield from item_cases(item, self.changes, shuffles=self.shuffles)


def mix_knobs(
    kind: Kind,
    descriptors: Sequence[int],
    candidates: Sequence[int],
    families: Sequence[str] = (),
    *,
    wording: str = "varied",
    none_rate: float = 0.1,
) -> tuple[Knobs, ...]:
    """Every number of descriptors with every number of candidates, without and with negation;
    those that no expression can have are left out. Raises UsageError where none is left."""
    mixed: list[Knobs] = []
    reason = ""
    if wording not in ("varied", "first"):
        raise UsageError(f"the wording must be varied or first, got {wording!r}")
    for k, n, negation in itertools.product(descriptors, candidates, (0, 1)):
        try:
            knobs = Knobs(
                k=k,
                n=n,
                negation=negation,
                families=tuple(families),
                none_rate=none_rate,
                wording=wording,
            )
            list_families(kind, knobs)
        except ValueError as error:
            reason = str(error)
        else:
            mixed.append(knobs)
    if not mixed:
        raise UsageError(f"no {kind} item can be drawn: {reason or 'give --descriptors'}")
    return tuple(mixed)


def spread_items(items: Sequence[Item], count: int) -> tuple[Item, ...]:
    """`count` items, evenly over all: frozen sets are sorted by what they test."""
    if count > len(items):
        raise UsageError(f"there are {len(items):,} items, not {count:,}")
    return tuple(items[i * len(items) // count] for i in range(count))


def digest_items(items: Iterable[Item]) -> str:
    """SHA-256 of their JSON lines."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(encode_json_line(item.to_dict()))
    return digest.hexdigest()


def write_items(items: Iterable[Item], path: Path) -> Path:
    """One line an item."""
    return write_atomic(path, b"".join(encode_json_line(item.to_dict()) for item in items))


def read_items(path: Path) -> tuple[Item, ...]:
    """What `write_items` wrote, or anybody in that form. Raises UsageError naming the line."""
    lines = require_json_lines(path, Item.from_dict, most_line_bytes=MOST_ITEM_BYTES)
    items = tuple(line.row for line in lines)
    twice = [i for i, n in itertools.groupby(sorted(item.id for item in items)) if len([*n]) > 1]
    if twice:
        raise UsageError(f"{path}: two items are called {twice[0]!r}")
    return items
