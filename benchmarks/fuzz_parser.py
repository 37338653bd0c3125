"""Texts that no model should write, given to every reader of boxes, points, spans and tubes.

    python benchmarks/fuzz_parser.py                  # 200,000 texts, a page of Markdown
    python benchmarks/fuzz_parser.py --count 2000

A text is a valid reply with characters changed, cut, doubled or joined with another one, brackets
to great depth, huge numbers, or random Unicode. Counted are exceptions (there must be none), the
statuses, and the slowest text. The last rows are texts of one million characters that are made to
cost time.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator

from mmreason.grounding import (
    Dialect,
    Grounding,
    parse_boxes,
    parse_points,
    parse_spans,
    parse_tubes,
)

SIZE_PX = (1920, 1080)
SEEDS = (
    '```json\n[{"bbox_2d": [100, 200, 300, 400], "label": "dog"}]\n```',
    '[{"box_2d": [100, 200, 300, 400], "label": "dog", "score": 0.9}, {"box_2d": [1, 2, 3, 4]}]',
    "<think>maybe [1, 2, 3, 4]</think><answer>[[100, 200, 300, 400]]</answer>",
    "<|object_ref_start|>dog<|object_ref_end|><|box_start|>(100,200),(300,400)<|box_end|>",
    "<ref>dog</ref><box>[[100, 200, 300, 400]]</box>",
    "<|begin_of_box|>[100,200,300,400]<|end_of_box|>",
    "<|ref|>dog<|/ref|><|det|>[[100, 200, 300, 400]]<|/det|>",
    "</s><s>dog<loc_100><loc_200><loc_300><loc_400></s>",
    "<loc0100><loc0200><loc0300><loc0400> dog ; <loc0000><loc0000><loc0001><loc0001> cat",
    "<grounding><phrase>dog</phrase><object><patch_index_0044><patch_index_0863></object>",
    "<|box_start|><12><412><512><612>, <1><2><3><4><|box_end|>",
    '<points x1="10.5" y1="20.1" x2="30" y2="40" alt="dogs">dogs</points>',
    '<points coords="1 1 105 205 2 300 400">dogs</points>',
    "A dog [[100,200,300,400;500,600,700,800]] runs.",
    "[0.1, 0.2, 0.3, 0.4]",
    '{"time": [3, 5], "boxes": {"3": [1, 2, 30, 40], "4": [2, 3, 31, 41], "5": null}}',
    '[{"time": 1.0, "bbox_2d": [1, 2, 30, 40], "label": "dog"}, {"time": "0:02", "bbox_2d": []}]',
    '[{"object_id": 1, "frames": [{"frame": 3, "bbox_2d": [1, 2, 30, 40]}]}]',
    '{"start": "00:03", "end": 5.5}',
    "It happens from 3 to 5 seconds, and between 1:05 and 1:20.",
    "None of the other dogs, only (100, 200, 300, 400).",
    "There is no dog.",
    "{'x1': 1, 'y1': 2, 'x2': 3, 'y2': 4,}",
)
SIGNS = "[]{}()<>\"'`,:;|\\/.-+0123456789eE \n\té世\u202e\x00\ud800"
PIECES = (
    "NaN",
    "Infinity",
    "-1e400",
    "9" * 400,
    "1e-400",
    "null",
    "```",
    "</think>",
    "<answer>",
    "\\u d800",
    "\ud83d\ude00",
    "[" * 60,
    '{"a":' * 40,
    "<box>" * 5,
    '"',
    "'",
)
HOSTILE: dict[str, str] = {
    "opening brackets": "[",
    "brackets with numbers": "[1,",
    "objects in objects": '{"a":',
    "single quotes": "['",
    "quotes that differ": "[\"'",
    "round brackets": "(1,",
    "boxes that never close": "<box>",
    "labels that never close": "<ref>",
    "thoughts": "<think>",
    "fences": "```[1]",
    "white space": " ",
    "digits": "7",
    "location tokens": "<loc_1>",
    "point tags": '<point x="',
    "times": "1:00 to ",
    "rows": "[1,2,3,4] ",
    "lists of one": '{"bbox": [1]} x ',
    "backslashes": "['\\",
    "broken lists": "[[1,2,3,4],[",
}


def make_text(rng: random.Random) -> str:
    """One text: mostly a valid reply with a few changes, else signs or any Unicode."""
    kind = rng.random()
    if kind < 0.05:
        return "".join(chr(rng.randrange(0x110000)) for _ in range(rng.randrange(80)))
    if kind < 0.15:
        return "".join(rng.choice(SIGNS) for _ in range(rng.randrange(200)))
    text = rng.choice(SEEDS)
    for _ in range(rng.randrange(6)):
        i = rng.randrange(len(text) + 1)
        j = min(len(text), i + rng.randrange(12))
        change = rng.randrange(7)
        if change == 0:
            text = text[:i] + text[j:]
        elif change == 1:
            text = text[:i] + rng.choice(SIGNS) + text[j:]
        elif change == 2:
            text = text[:i] + rng.choice(PIECES) + text[i:]
        elif change == 3:
            text = text[:i]
        elif change == 4:
            text = text[:j] + text[i:]
        elif change == 5:
            text += rng.choice((" ", "\n", ", ", "")) + rng.choice(SEEDS)
        else:
            text = text.replace(rng.choice("0123456789"), rng.choice(("-", "99999", "e", ".")))
    return text


def read_all(text: str, dialect: Dialect, *, strict: bool) -> Iterator[tuple[str, Grounding]]:
    """What each reader makes of a text."""
    yield "boxes", parse_boxes(text, dialect, SIZE_PX, seen_size_px=(1036, 588), strict=strict)
    yield "points", parse_points(text, dialect, SIZE_PX, strict=strict)
    yield "tubes", parse_tubes(text, dialect, SIZE_PX, times_s=(0.0, 1.0, 2.0), strict=strict)
    yield "spans", parse_spans(text, duration_s=60.0, strict=strict)


def fuzz(count: int, seed: int) -> tuple[dict[str, Counter[str]], Counter[str], float]:
    """Statuses by reader, exceptions by type, and milliseconds of the processor of the slowest."""
    rng = random.Random(seed)
    dialects = list(Dialect)
    statuses: dict[str, Counter[str]] = {}
    exceptions: Counter[str] = Counter()
    slowest_ms = 0.0
    for _ in range(count):
        text, dialect, strict = make_text(rng), rng.choice(dialects), rng.random() < 0.1
        start_s = time.process_time()
        try:
            for name, grounding in read_all(text, dialect, strict=strict):
                statuses.setdefault(name, Counter())[str(grounding.status)] += 1
                if grounding.status == "unparsed" and not grounding.issues:
                    exceptions["silent"] += 1
        except Exception as error:  # each is a defect: counted by type, and shown
            exceptions[f"{type(error).__name__}: {error}"[:80]] += 1
        slowest_ms = max(slowest_ms, 1000 * (time.process_time() - start_s))
    return statuses, exceptions, slowest_ms


def time_hostile(characters: int) -> dict[str, float]:
    """Processor seconds that the slowest reader takes for each text of that length."""
    readers: tuple[Callable[[str], Grounding], ...] = (
        lambda text: parse_boxes(text, Dialect.FLORENCE_2, SIZE_PX),
        lambda text: parse_points(text, Dialect.MOLMO, SIZE_PX),
        lambda text: parse_tubes(text, Dialect.NORM_1000, SIZE_PX),
        parse_spans,
    )
    slowest_s: dict[str, float] = {}
    for name, piece in HOSTILE.items():
        text = piece * (characters // len(piece))
        for read in readers:
            start_s = time.process_time()
            read(text)
            slowest_s[name] = max(slowest_s.get(name, 0.0), time.process_time() - start_s)
    return slowest_s


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    statuses, exceptions, slowest_ms = fuzz(args.count, args.seed)
    print("# Texts that no model should write\n")
    print(f"`python benchmarks/fuzz_parser.py --count {args.count} --seed {args.seed}`\n")
    print(
        f"{args.count:,} texts, each in a random dialect, one in ten `strict`, read for boxes, "
        f"points, tubes and spans. Exceptions: **{sum(exceptions.values())}**. The slowest text "
        f"took {slowest_ms:.0f} ms in all four readers.\n"
    )
    for text, count in exceptions.most_common():
        print(f"- {count} x `{text}`")
    names = ("found", "ambiguous", "none", "unparsed")
    print(f"| read for | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    for reader, counts in statuses.items():
        print(f"| {reader} | {' | '.join(f'{counts[name]:,}' for name in names)} |")
    print("\nTexts of one million characters that are made to cost time, the slowest reader:\n")
    print("| text | seconds of the processor |\n|---|---:|")
    for name, seconds in time_hostile(1_000_000).items():
        print(f"| {name} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
