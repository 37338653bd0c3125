"""Frames that answer a query, from one score a candidate. Leaves out computing the scores.

    plan.relevant(scores, times_s, 32, "bolt")

Each method restates the idea of a paper in its simplest form; the functions say what is left out.
All return exactly min(budget, T) different candidates: places that a method leaves open go to the
best scores not yet taken. Where all scores are the same nothing is relevant, and all but "mdp3"
with embeddings take the middles of equal parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from mmreason.video.plan.budget import FrameBudget, as_budget
from mmreason.video.plan.build import (
    build_chosen,
    checked_candidates,
    checked_vector,
    fit_candidates,
)
from mmreason.video.plan.diversity import Kernel, greedy_dpp, unit_rows, unit_scores
from mmreason.video.plan.families import Family, FamilyName
from mmreason.video.plan.information import at_quantiles, spread
from mmreason.video.types import SamplePlan

RelevantMethod = Literal["aks", "bolt", "qframe", "mdp3", "tstar"]

_AKS_STANDS_OUT = 0.8
_AKS_DEPTH = 5
_BOLT_POWER = 3.0
_QFRAME_TEMPERATURE = 0.1
_MDP3_PARTS = 16
_MDP3_LEAST_PART = 32
_TSTAR_ROUNDS = 4
_TSTAR_LEAST_LOOKS = 32
_TSTAR_POWER = 3.0
_TSTAR_EVEN_SHARE = 0.1


def relevant(
    scores: Sequence[float] | np.ndarray,
    times_s: Sequence[float] | np.ndarray,
    budget: int | FrameBudget,
    method: RelevantMethod = "aks",
    *,
    embeddings: Sequence[Sequence[float]] | np.ndarray | None = None,
    seed: int = 0,
    size_px: tuple[int, int] | None = None,
    family: Family | FamilyName | None = None,
) -> SamplePlan:
    """The candidates to show a model that was asked something; higher `scores` (T,) fit better.

    - "aks": the best of each stretch, where a stretch is halved until its best stand out.
    - "bolt": equal steps of the cumulated score, cubed: dense where scores are high.
    - "qframe": drawn at random by score, without replacement, from `seed`.
    - "mdp3": relevant and different: a DPP in each of up to 16 parts, with the budget shared among
      them to the best total. `embeddings` (T, D) say what is alike; without them, nearness in time.
    - "tstar": looks at few scores (`settings["looked_at"]`), more and more around the best seen.

    Only the order and the relative distance of scores count, never their scale. Raises ValueError
    for lengths that differ, times that do not ascend, numbers that are not finite, an unknown
    method, embeddings for a method without use for them, and a budget that holds no frame.
    """
    raw = checked_vector(scores, "scores")
    times = checked_candidates(times_s, raw, "scores")
    if method not in get_args(RelevantMethod):
        known = ", ".join(get_args(RelevantMethod))
        raise ValueError(f"method {method!r} is not known; known are {known}")
    if embeddings is not None and method != "mdp3":
        raise ValueError(f'only "mdp3" compares embeddings; leave them out for {method!r}')
    points = None if embeddings is None else unit_rows(embeddings)
    if points is not None:
        checked_candidates(times, points, "embeddings")
    limits = as_budget(budget)
    shape = fit_candidates(len(times), limits, size_px, family)
    unit, n = unit_scores(raw), shape.frames
    looked_at = len(raw)
    chosen: dict[int, str] = {}
    if n == 0:
        pass
    elif not unit.any() and points is None:
        chosen = {i: "all scores are the same: middle of a part" for i in spread(len(raw), n)}
    elif method == "aks":
        chosen = _aks(unit, n)
    elif method == "bolt":
        chosen = _bolt(unit, n)
    elif method == "qframe":
        chosen = _qframe(unit, n, seed)
    elif method == "mdp3":
        chosen = _mdp3(unit, times, points, n)
    else:
        chosen, looked_at = _tstar(raw, n, seed)
    _refill(chosen, unit, n)
    return build_chosen(
        {i: f"{why} (score {raw[i]:.3g})" for i, why in chosen.items()},
        times,
        method=f"relevant ({method})",
        shape=shape,
        settings={"seed": seed} | ({"looked_at": looked_at} if method == "tstar" else {}),
        family=family,
        budget=limits,
    )


def _refill(chosen: dict[int, str], scores: np.ndarray, n: int) -> None:
    """Add the best scores not yet chosen, up to `n`; the earlier of equals first."""
    for i in np.argsort(-scores, kind="stable").tolist():
        if len(chosen) >= n:
            return
        chosen.setdefault(i, "next best score")


def _aks(scores: np.ndarray, n: int) -> dict[int, str]:
    """Adaptive keyframe sampling (Tang et al., CVPR 2025, arXiv 2502.21271).

    A stretch whose best scores exceed its mean by 0.8 gives its best; any other is halved, down to
    a depth of 5. Unlike the paper's M / 2^depth rounded down, both halves share the frames without
    loss, the odd one going to the higher peak; its threshold on the deviation is left out.
    """
    chosen: dict[int, str] = {}
    stretches = [(0, len(scores), n, 0)]
    while stretches:
        start, stop, count, depth = stretches.pop()
        part = scores[start:stop]
        if count == 0:
            continue
        best = np.argsort(-part, kind="stable")[:count]
        stands_out = part[best].mean() - part.mean() > _AKS_STANDS_OUT
        if stands_out or depth == _AKS_DEPTH or count == 1 or count == len(part):
            why = f"best of candidates {start + 1}-{stop}"
            chosen |= {start + int(i): why for i in best}
            continue
        middle = (start + stop) // 2
        left = count // 2
        if count % 2 and scores[start:middle].max() >= scores[middle:stop].max():
            left += 1
        left = min(max(left, count - (stop - middle)), middle - start)
        stretches += [(start, middle, left, depth + 1), (middle, stop, count - left, depth + 1)]
    return chosen


def _bolt(scores: np.ndarray, n: int) -> dict[int, str]:
    """Inverse transform sampling (Liu et al., CVPR 2025, arXiv 2503.21483) of scores cubed, at
    quantiles 1/n to 1 - 1/n. Repeated frames are taken once."""
    quantiles = np.linspace(1 / n, 1 - 1 / n, n) if n > 1 else np.array([0.5])
    found = at_quantiles(scores**_BOLT_POWER, quantiles).tolist()
    return {
        i: f"{100 * quantile:.0f}% of the score behind"
        for i, quantile in reversed(list(zip(found, quantiles, strict=True)))
    }


def _qframe(scores: np.ndarray, n: int, seed: int) -> dict[int, str]:
    """Q-Frame's choice (Zhang et al., ICCV 2025, arXiv 2506.22139): the highest of softmax logits
    plus Gumbel noise, which draws without replacement. Its tiers of resolution are left out: a
    plan has one size."""
    logits = scores / _QFRAME_TEMPERATURE
    noise = np.random.default_rng(seed).gumbel(size=len(scores))
    drawn = np.argsort(-(logits + noise), kind="stable")[:n].tolist()
    return {i: f"draw {k + 1} by score" for k, i in enumerate(drawn)}


def _mdp3(
    scores: np.ndarray, times_s: np.ndarray, points: np.ndarray | None, n: int
) -> dict[int, str]:
    """The list-wise part of mDP3 (Sun et al., ICCV 2025, arXiv 2501.02885).

    A DPP weighted by score is maximised greedily inside each part of the video (16, or fewer so
    that each has 32 candidates), and the frames are shared among the parts to the highest sum of
    log-determinants. Gains never increase within a part, so taking the largest of all is what
    dynamic programming over the parts would find. Left out: the paper also conditions each part on
    the frames chosen in the one before.
    """
    if points is None:
        length_s = max(float(times_s[-1] - times_s[0]), 1e-9) if len(times_s) else 1.0
        kernel = Kernel.of(times_s[:, None], scores, width=length_s / max(n, 1))
    else:
        kernel = Kernel.of(points, scores)
    parts = min(_MDP3_PARTS, max(1, len(scores) // _MDP3_LEAST_PART))
    edges = [len(scores) * k // parts for k in range(parts + 1)]
    offers: list[tuple[float, int, float, int, int]] = []
    for number, (start, stop) in enumerate(pairwise(edges)):
        part = slice(start, stop)
        greedy = greedy_dpp(kernel.part(part), times_s[part], min(n, stop - start))
        offers += [
            (-gain, k, _scattered(number), number, start + i)
            for k, (gain, i) in enumerate(zip(greedy.gains, greedy.order, strict=True))
        ]
    return {
        i: f"choice {k + 1}, relevant and new in part {number + 1}"
        for k, (*_, number, i) in enumerate(sorted(offers)[:n])
    }


def _scattered(number: int) -> float:
    """A rank that puts 0, 1, 2, ... 15 far from their neighbours: van der Corput's sequence."""
    return int(f"{number:04b}"[::-1], 2) / 16


def _tstar(raw: np.ndarray, n: int, seed: int) -> tuple[dict[int, str], int]:
    """Temporal search after T* (Ye et al., CVPR 2025, arXiv 2504.02259): the choice and the number
    of scores looked at.

    Each of 4 rounds draws a grid of unseen candidates from a distribution that begins even and is
    then raised where seen scores, interpolated over time, are high. Interpolation is linear where
    the paper fits a spline; its detector is whatever made the scores.
    """
    rng, total = np.random.default_rng(seed), len(raw)
    looks = max(_TSTAR_LEAST_LOOKS, 2 * n)
    unseen = np.ones(total, dtype=bool)
    hope = np.full(total, 1.0)
    for _ in range(_TSTAR_ROUNDS):
        weights = hope * unseen
        if not weights.any():
            break
        steps = (np.arange(looks) + rng.random()) / looks
        unseen[at_quantiles(weights, steps)] = False
        seen = np.flatnonzero(~unseen)
        around = np.interp(np.arange(total), seen, unit_scores(raw[seen])) ** _TSTAR_POWER
        hope = _TSTAR_EVEN_SHARE * max(around.mean(), 1e-9) + around
    _look_evenly(unseen, n)
    seen = np.flatnonzero(~unseen)
    best = seen[np.argsort(-raw[seen], kind="stable")[:n]].tolist()
    return {i: "best of those looked at" for i in best}, len(seen)


def _look_evenly(unseen: np.ndarray, n: int) -> None:
    """See as many more as are needed for `n`, spread over those unseen."""
    missing = n - int((~unseen).sum())
    if missing > 0:
        rest = np.flatnonzero(unseen)
        unseen[rest[spread(len(rest), missing)]] = False
