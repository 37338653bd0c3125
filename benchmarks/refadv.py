"""How many items of the procedural Ref-Adv hold, and how fast they are made and solved again.

    python benchmarks/refadv.py [--items 20000] [--freeze]

Generates items of both kinds with the knobs of the frozen sets and training seeds, writes each as
JSON, and has the certifier solve that JSON again. Times are of this process's own work. Prints the
page and writes it to `benchmarks/results/grounding/refadv.md`. `--freeze` writes the frozen sets
anew instead.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mmreason.grounding.refadv import TRAINING_SEEDS, CertificateError, Item, certify, generate
from mmreason.grounding.refadv.frozen import BLOCK_ITEMS, list_blocks, write_frozen
from mmreason.grounding.refadv.items import ItemKind

RESULTS = Path(__file__).parent / "results" / "grounding" / "refadv.md"
KINDS: tuple[ItemKind, ...] = ("image", "video")
POLICIES = ("largest", "most central", "first drawn", "leftmost", "most alike")


@dataclass(slots=True)
class Tally:
    """What is counted of one kind."""

    items: int = 0
    certified: int = 0
    generate_s: float = 0.0
    certify_s: float = 0.0
    words: int = 0
    families: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    order_critical: int = 0
    negated: int = 0
    negation_matters: int = 0
    reversed_to_another: int = 0
    hard: int = 0
    bound: float = 0.0
    hits: Counter[str] = field(default_factory=Counter)
    chance: float = 0.0
    ones: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description="The procedural Ref-Adv, made and certified.")
    parser.add_argument("--items", type=int, default=20_000, help="of both kinds together")
    parser.add_argument("--freeze", action="store_true", help="write the frozen sets anew")
    options = parser.parse_args()
    if options.freeze:
        print(json.dumps(write_frozen(), indent=1))
        return
    tallies: dict[ItemKind, Tally] = {
        kind: measure_kind(kind, options.items // 2) for kind in KINDS
    }
    page = write_page(tallies)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(page)
    print(page)


def measure_kind(kind: ItemKind, count: int) -> Tally:
    """Make and solve `count` items, block by block of knobs."""
    tally = Tally()
    blocks = list_blocks(kind)
    rng = random.Random(0)
    size = max(1, count // len(blocks))
    for index, knobs in enumerate(blocks):
        start_s = time.process_time()
        items = list(
            generate(kind=kind, seed=TRAINING_SEEDS + index * size, count=size, knobs=knobs)
        )
        tally.generate_s += time.process_time() - start_s
        rows = [json.dumps(item.to_dict()) for item in items]
        start_s = time.process_time()
        for row in rows:
            try:
                certify(json.loads(row))
                tally.certified += 1
            except CertificateError as error:
                print(error)
        tally.certify_s += time.process_time() - start_s
        for item in items:
            count_item(tally, item, rng)
    return tally


def count_item(tally: Tally, item: Item, rng: random.Random) -> None:
    """Add one item to the tally."""
    certificate = item.certificate
    tally.items += 1
    tally.words += len(item.expression.split())
    tally.families[item.tags[0]] += 1
    tally.answers[certificate.answer] += 1
    tally.negated += "negation" in item.tags
    if certificate.answer != "one":
        return
    tally.ones += 1
    tally.order_critical += certificate.order_critical
    tally.negation_matters += certificate.negation_matters
    tally.hard += certificate.shared_k == certificate.k - 1
    tally.bound += certificate.single_frame_bound
    reversal = certificate.reversal_ids
    tally.reversed_to_another += (
        reversal is not None and len(reversal) == 1 and reversal != item.target_ids
    )
    tally.chance += 1 / len(item.candidate_ids)
    for name, choice in choose_blindly(item, rng).items():
        tally.hits[name] += choice in item.target_ids


def choose_blindly(item: Item, rng: random.Random) -> dict[str, str]:
    """What readers choose who look at the first frame and do not read the expression."""
    boxes = item.boxes(item.frame_time_s or 0.0)
    names = [name for name in item.candidate_ids if name in boxes]
    middle = (item.world.width_px / 2, item.world.height_px / 2)
    centres = {
        name: ((box.x1_px + box.x2_px) / 2, (box.y1_px + box.y2_px) / 2)
        for name, box in boxes.items()
    }
    looks = {a.id: (a.colour, a.shape, a.size, a.pattern) for a in item.world.scenes[0].actors}
    alike = {
        name: sum(a == b for other in names for a, b in zip(looks[name], looks[other], strict=True))
        for name in names
    }
    rng.shuffle(names)
    return {
        "largest": max(names, key=lambda name: round(boxes[name].area_px2)),
        "most central": min(names, key=lambda name: math.dist(centres[name], middle)),
        "first drawn": min(names, key=item.candidate_ids.index),
        "leftmost": min(names, key=lambda name: centres[name][0]),
        "most alike": max(names, key=lambda name: alike[name]),
    }


def write_page(tallies: dict[ItemKind, Tally]) -> str:
    """The page of results."""
    total = sum(tally.items for tally in tallies.values())
    certified = sum(tally.certified for tally in tallies.values())
    generate_s = sum(tally.generate_s for tally in tallies.values())
    certify_s = sum(tally.certify_s for tally in tallies.values())
    lines = [
        "# Procedural Ref-Adv: items, certificates, speed",
        "",
        f"`python benchmarks/refadv.py --items {total}`, one core. Knobs are those of the frozen "
        f"sets ({BLOCK_ITEMS} items a block there), seeds those of training. Load average while "
        f"measured: {os.getloadavg()[1]:.1f} on {os.cpu_count()} processors.",
        "",
        f"- {certified:,} of {total:,} items certified by the independent evaluator from their "
        f"saved JSON ({certified / total:.2%}).",
        f"- {total / generate_s:,.0f} items a second generated (each solved once on the way), "
        f"{total / certify_s:,.0f} a second certified again from JSON.",
        "",
        "| | image | video |",
        "| --- | --- | --- |",
    ]
    rows = {
        "items": lambda t: f"{t.items:,}",
        "certified": lambda t: f"{t.certified:,}",
        "generated a second": lambda t: f"{t.items / t.generate_s:,.0f}",
        "certified a second": lambda t: f"{t.items / t.certify_s:,.0f}",
        "words an expression": lambda t: f"{t.words / t.items:.1f}",
        "one / none / many": lambda t: " / ".join(
            f"{t.answers[answer] / t.items:.0%}" for answer in ("one", "none", "many")
        ),
        "negated": lambda t: f"{t.negated / t.items:.0%}",
        "of those with one target: hardest distractor fits all but one descriptor": lambda t: (
            f"{t.hard / t.ones:.1%}"
        ),
        "... words bound otherwise mean another": lambda t: f"{t.order_critical / t.ones:.1%}",
        "... without negation another": lambda t: f"{t.negation_matters / t.ones:.1%}",
        "... backwards another single object": lambda t: f"{t.reversed_to_another / t.ones:.1%}",
        "... mean single-frame bound": lambda t: f"{t.bound / t.ones:.3f}",
        "... chance (1/n)": lambda t: f"{t.chance / t.ones:.3f}",
    }
    lines += [
        f"| {name} | {' | '.join(write(tallies[kind]) for kind in KINDS)} |"
        for name, write in rows.items()
    ]
    lines += [
        "",
        "Readers who see the first frame and do not read the expression (share of items with one "
        "target, +- 1.96 standard errors):",
        "",
        "| reader | image | video |",
        "| --- | --- | --- |",
    ]
    for name in POLICIES:
        cells = []
        for kind in KINDS:
            tally = tallies[kind]
            share = tally.hits[name] / tally.ones
            error = 1.96 * math.sqrt(share * (1 - share) / tally.ones)
            cells.append(f"{share:.3f} +- {error:.3f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    families = ", ".join(
        f"{name} {count:,}" for tally in tallies.values() for name, count in tally.families.items()
    )
    return "\n".join([*lines, "", f"Families: {families}.", ""])


if __name__ == "__main__":
    main()
