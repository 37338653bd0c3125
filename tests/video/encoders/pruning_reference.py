"""The pruners in plain loops, one token at a time: what the fast ones are held to."""

from __future__ import annotations

import numpy as np


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / max(np.linalg.norm(first) * np.linalg.norm(second), 1e-8))


def kept_by_evs(tokens: np.ndarray, count: int) -> list[int]:
    """Places that stay, of (T, P, D): the first frame, then those that changed most."""
    frames, places, _ = tokens.shape
    changes = {
        t * places + p: 1 - cosine(tokens[t, p], tokens[t - 1, p])
        for t in range(1, frames)
        for p in range(places)
    }
    changed = sorted(changes, key=lambda place: (-changes[place], place))
    return sorted([*range(places), *changed[: count - places]])


def kept_by_dycoke(tokens: np.ndarray, count: int) -> list[int]:
    """Places that stay, of (T, P, D), group by group."""
    frames, places, _ = tokens.shape
    compared = [t for t in range(frames) if t % 4]
    drops = frames * places - count
    kept = set(range(frames * places))
    for number, t in enumerate(compared):
        earlier = t - 1 if t % 4 in (1, 3) else t - 2
        drop = drops // len(compared) + (number < drops % len(compared))
        alike = sorted(range(places), key=lambda p: (-cosine(tokens[t, p], tokens[earlier, p]), p))
        kept -= {t * places + p for p in alike[:drop]}
    return sorted(kept)


def runs_of_framefusion(tokens: np.ndarray, count: int) -> dict[int, list[int]]:
    """First place of each run -> all places in it, of (T, P, D)."""
    frames, places, _ = tokens.shape
    pairs = [(t, p) for t in range(1, frames) for p in range(places)]
    pairs.sort(key=lambda pair: (-cosine(tokens[pair], tokens[pair[0] - 1, pair[1]]), pair))
    joined = set(pairs[: frames * places - count])
    runs: dict[int, list[int]] = {}
    for p in range(places):
        head = p
        for t in range(frames):
            head = head if (t, p) in joined else t * places + p
            runs.setdefault(head, []).append(t * places + p)
    return runs


def groups_of_tome(frame: np.ndarray, count: int) -> dict[int, list[int]]:
    """Place that stays -> all places that went into it, of one frame (P, D)."""
    groups = {p: [p] for p in range(len(frame))}
    while len(groups) > count:
        left = list(groups)
        going, staying = left[1::2], left[0::2]
        mean = {p: np.mean(frame[groups[p]], axis=0) for p in left}
        nearest = {}
        for p in going:
            likeness = [cosine(mean[p], mean[q]) for q in staying]
            nearest[p] = max(likeness), staying[int(np.argmax(likeness))]
        going.sort(key=lambda p: (-nearest[p][0], p))
        for p in going[: len(left) - count]:
            groups[nearest[p][1]] += groups.pop(p)
    return groups
