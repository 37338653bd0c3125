"""Frames that answer a query, from one score a candidate.

    plan.relevant(scores, times_s, 32, "bolt")

Each method restates the idea of a paper in its simplest form; the functions say what is left out.
All return exactly min(budget, T) different candidates: places that a method leaves open go to the
best scores not yet taken. Where all scores are the same nothing is relevant, and all but "mdp3"
with embeddings take the middles of equal parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from mmreason.video.plan.budget import FrameBudget, as_budget
from mmreason.video.plan.build import (
    build_chosen,
    checked_candidates,
    checked_vector,
    fit_candidates,
)
from mmreason.video.plan.diversity import (
    Kernel,
    published_relevance,
    unit_rows,
    unit_scores,
)
from mmreason.video.plan.families import Family, FamilyName
from mmreason.video.plan.information import at_quantiles, spread_evenly
from mmreason.video.plan.sequence import MOST_CONDITIONED, choose_sequence
from mmreason.video.types import SamplePlan

RelevantMethod = Literal["aks", "bolt", "qframe", "mdp3", "tstar"]

_AKS_STANDS_OUT = 0.8
_AKS_DEPTH = 5
# Cubed, since scores lie close together and would draw almost evenly as they are.
_BOLT_POWER = 3.0
# Low, so that scores outweigh the noise.
_QFRAME_TEMPERATURE = 0.1
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
    cosines: bool = False,
    seed: int = 0,
    size_px: tuple[int, int] | None = None,
    family: Family | FamilyName | None = None,
) -> SamplePlan:
    """The candidates to show a model that was asked something; higher `scores` (T,) fit better.

    - "aks": the best of each stretch, where a stretch is halved until its best stand out.
    - "bolt": equal steps of the cumulated score, cubed: dense where scores are high.
    - "qframe": drawn at random by score, without replacement, from `seed`.
    - "mdp3": relevant and different: a DPP in each of up to 16 parts, each knowing the last frame
      chosen before it, with the budget shared among them to the best total. `embeddings` (T, D) say
      what is alike; without them, nearness in time. `cosines` says that the scores are cosines of a
      query with these embeddings: relevance is then weighed as published, by their absolute size.
      Beyond 64 frames parts know nothing of each other (`settings["conditioned"]`).
    - "tstar": looks at few scores (`settings["looked_at"]`), more and more around the best seen.

    Otherwise only the order and the relative distance of scores count, never their scale. Raises
    ValueError for lengths that differ, times that do not ascend, numbers that are not finite, an
    unknown method, embeddings for a method without use for them, cosines without embeddings, and a
    budget that holds no frame.

    Example:
        >>> relevant([0.1, 0.9, 0.8, 0.2], [0, 1, 2, 3], 2, "aks").times_s
        (1.0, 2.0)
    """
    raw = checked_vector(scores, "scores")
    times = checked_candidates(times_s, raw, "scores")
    if method not in get_args(RelevantMethod):
        methods = ", ".join(get_args(RelevantMethod))
        raise ValueError(f"method {method!r} is not known; known are {methods}")
    if embeddings is not None and method != "mdp3":
        raise ValueError(f'only "mdp3" compares embeddings; leave them out for {method!r}')
    if cosines and (embeddings is None or np.abs(raw).max(initial=0.0) > 1 + 1e-6):
        raise ValueError("cosines need the embeddings they come from, and lie in -1..1")
    points = None if embeddings is None else unit_rows(embeddings)
    if points is not None:
        checked_candidates(times, points, "embeddings")
    limits = as_budget(budget)
    shape = fit_candidates(len(times), limits, size_px, family)
    unit, n = unit_scores(raw), shape.frames
    looked_at = len(raw)
    chosen: dict[int, str] = {}
    # Chosen by the method; what it leaves open goes to the best scores (`_refill`).
    if n == 0:
        pass
    elif not unit.any() and points is None:
        chosen = {
            i: "all scores are the same: middle of a part" for i in spread_evenly(len(raw), n)
        }
    elif method == "aks":
        chosen = _aks(unit, n)
    elif method == "bolt":
        chosen = _bolt(unit, n)
    elif method == "qframe":
        chosen = _qframe(unit, n, seed)
    elif method == "mdp3":
        chosen = _mdp3(raw, times, points, n, cosines)
    else:
        chosen, looked_at = _tstar(raw, n, seed)
    _refill(chosen, unit, n)
    return build_chosen(
        {i: f"{why} (score {raw[i]:.3g})" for i, why in chosen.items()},
        times,
        method=f"relevant ({method})",
        shape=shape,
        settings={"seed": seed}
        | ({"looked_at": looked_at} if method == "tstar" else {})
        | ({"conditioned": n <= MOST_CONDITIONED} if method == "mdp3" else {}),
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
        stretch_scores = scores[start:stop]
        if count == 0:
            continue
        best = np.argsort(-stretch_scores, kind="stable")[:count]
        # Best well above the mean: something happens in here, take it. Else look closer.
        stands_out = stretch_scores[best].mean() - stretch_scores.mean() > _AKS_STANDS_OUT
        if stands_out or depth == _AKS_DEPTH or count == 1 or count == len(stretch_scores):
            why = f"best of candidates {start + 1}-{stop}"
            chosen |= {start + int(i): why for i in best}
            continue
        middle = (start + stop) // 2
        first_count = count // 2
        # The odd frame goes to the half with the higher peak; no half gets more than it holds.
        if count % 2 and scores[start:middle].max() >= scores[middle:stop].max():
            first_count += 1
        first_count = min(max(first_count, count - (stop - middle)), middle - start)
        stretches += [
            (start, middle, first_count, depth + 1),
            (middle, stop, count - first_count, depth + 1),
        ]
    return chosen


def _bolt(scores: np.ndarray, n: int) -> dict[int, str]:
    """Inverse transform sampling (Liu et al., CVPR 2025, arXiv 2503.21483) of scores cubed, at
    quantiles 1/n to 1 - 1/n. Repeated frames are taken once."""
    quantiles = np.linspace(1 / n, 1 - 1 / n, n) if n > 1 else np.array([0.5])
    picks = at_quantiles(scores**_BOLT_POWER, quantiles).tolist()
    return {
        # Reversed, so that of equal picks the first quantile's words stay.
        i: f"{100 * quantile:.0f}% of the score behind"
        for i, quantile in reversed(list(zip(picks, quantiles, strict=True)))
    }


def _qframe(scores: np.ndarray, n: int, seed: int) -> dict[int, str]:
    """Q-Frame's choice (Zhang et al., ICCV 2025, arXiv 2506.22139): the highest of softmax logits
    plus Gumbel noise, which draws without replacement. Its tiers of resolution are in `tiers`."""
    drawn = gumbel_order(scores, seed)[:n]
    return {i: f"draw {k + 1} by score" for k, i in enumerate(drawn)}


def gumbel_order(scores: np.ndarray, seed: int) -> list[int]:
    """All candidates in the order in which Q-Frame draws them, by `scores` (T,) in 0..1.

    Example:
        >>> sorted(gumbel_order(np.array([0.0, 1.0, 0.5]), seed=0))
        [0, 1, 2]
    """
    noise = np.random.default_rng(seed).gumbel(size=len(scores))
    return np.argsort(-(scores / _QFRAME_TEMPERATURE + noise), kind="stable").tolist()


def _mdp3(
    scores: np.ndarray, times_s: np.ndarray, points: np.ndarray | None, n: int, cosines: bool
) -> dict[int, str]:
    """See `sequence`. The kernel is the paper's where the scores are cosines; else its widths go
    with the distances that there are, and scores brought to 0..1 stand for the cosines."""
    # Without embeddings nearness in time stands for likeness, a part of the clip wide.
    if points is None:
        length_s = max(float(times_s[-1] - times_s[0]), 1e-9)
        kernel = Kernel.of(times_s[:, None], unit_scores(scores), width=length_s / n)
    elif cosines:
        kernel = Kernel.of_cosines(points, scores)
    else:
        kernel = Kernel.of(points, unit_scores(scores))
    if not cosines:
        kernel = replace(kernel, quality=published_relevance(unit_scores(scores)))
    return {
        i: f"relevant and new in part {number + 1}"
        for i, number in choose_sequence(kernel, times_s, n).items()
    }


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
        # What was looked at is not looked at again.
        weights = hope * unseen
        if not weights.any():
            break
        # Systematic sampling: one random shift for an even comb over the weights.
        steps = (np.arange(looks) + rng.random()) / looks
        unseen[at_quantiles(weights, steps)] = False
        looked_at = np.flatnonzero(~unseen)
        # Scores of unseen candidates are guessed from those seen around them.
        around = np.interp(np.arange(total), looked_at, unit_scores(raw[looked_at])) ** _TSTAR_POWER
        # An even part stays, so that no stretch is given up for one bad look.
        hope = _TSTAR_EVEN_SHARE * max(around.mean(), 1e-9) + around
    _look_evenly(unseen, n)
    looked_at = np.flatnonzero(~unseen)
    best = looked_at[np.argsort(-raw[looked_at], kind="stable")[:n]].tolist()
    return {i: "best of those looked at" for i in best}, len(looked_at)


def _look_evenly(unseen: np.ndarray, n: int) -> None:
    """See as many more as are needed for `n`, spread over those unseen."""
    missing = n - int((~unseen).sum())
    if missing > 0:
        open_rows = np.flatnonzero(unseen)
        unseen[open_rows[spread_evenly(len(open_rows), missing)]] = False
