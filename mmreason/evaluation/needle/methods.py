"""The methods a benchmark run can measure, by name. Policies search; baselines do not.

`runner.py` runs them over items.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from mmreason import policies
from mmreason.evaluation.needle import baselines
from mmreason.memory.store import Store
from mmreason.models.base import ChatModel
from mmreason.needle.items import Item
from mmreason.policies import Policy
from mmreason.reasoner import Reasoner
from mmreason.types import Answer, Budget, UsageError
from mmreason.video.content import salient
from mmreason.video.types import FrameSource

POLICIES = ("greedy", "breadth_first", "random_leaf", "oracle", "longvideo_r1")
BUDGETS = (8, 16, 32, 64, 128, 256, 512)
"""Frames of the baselines of uniform stills."""
SCAN_BUDGETS = (16, 32, 64, 128, 256)
"""Frames of the baselines of stills that differ most."""
BASELINES = (
    "one_pass",
    *(f"stills_{n}" for n in BUDGETS),
    *(f"stills_{n}_look" for n in BUDGETS),
    *(f"distinct_{n}" for n in SCAN_BUDGETS),
    *(f"distinct_{n}_look" for n in SCAN_BUDGETS),
    "exhaustive_text",
    "exhaustive",
    "gold_clip",
)
WARM = "_warm"
"""Ending of a policy's name that keeps what it saw for the world's next questions."""


def check_methods(names: Sequence[str]) -> tuple[str, ...]:
    """The names without repeats. Raises UsageError for one that is no method.

    Example:
        >>> check_methods(["greedy", "stills_8", "greedy"])
        ('greedy', 'stills_8')
    """
    valid_names = {*POLICIES, *(p + WARM for p in POLICIES), *BASELINES}
    for name in names:
        if name not in valid_names:
            raise UsageError(
                f"{name!r} is no method; policies are {', '.join(POLICIES)} (with {WARM} to keep "
                f"what was seen), baselines {', '.join(BASELINES)}"
            )
    return tuple(dict.fromkeys(names))


def is_policy(method: str) -> bool:
    """Whether a method searches.

    Example:
        >>> is_policy("greedy_warm"), is_policy("stills_8")
        (True, False)
    """
    return method.removesuffix(WARM) in POLICIES


def is_scan(method: str) -> bool:
    """Whether a baseline compares small frames of the whole video first."""
    return method.startswith("distinct")


def answer_item(
    method: str,
    model: ChatModel,
    video: FrameSource,
    item: Item,
    *,
    budget: Budget,
    store: Store | None = None,
) -> Answer:
    """Answer one item. `budget` binds policies only; `store` is what a warm policy has seen."""
    if is_policy(method):
        # A new policy and reasoner an item: only `store` carries what was seen from one to the
        # next.
        policy = _policy(method.removesuffix(WARM), item)
        reasoner = Reasoner(model, policy=policy, store=store)
        return reasoner.ask(
            video, item.question, options=item.options, budget=budget, seed=item.seed
        )
    if method == "one_pass":
        return baselines.answer_in_one_pass(model, video, item)
    if method == "gold_clip":
        return baselines.answer_from_gold(model, video, item)
    if method.startswith("exhaustive"):
        return baselines.answer_exhaustively(model, video, item, look=not method.endswith("_text"))
    frames, look = int(method.split("_")[1]), method.endswith("_look")
    if is_scan(method):
        return baselines.answer_from_distinct_stills(
            model, video, item, _scan(video), frames=frames, look=look
        )
    return baselines.answer_from_stills(model, video, item, frames=frames, look=look)


@lru_cache(maxsize=1)
def _scan(video: FrameSource) -> salient.SalientScan:
    """The scan of an open video, which does not depend on the question; smaller budgets take the
    first of it."""
    return salient.find_salient(video, video.info.span, SCAN_BUDGETS[-1])


def _policy(name: str, item: Item) -> Policy:
    if name == "oracle":
        return policies.Oracle(item.gold_spans)
    if name == "random_leaf":
        return policies.RandomLeaf(item.seed)
    if name == "longvideo_r1":
        return policies.LongVideoR1()
    return policies.BreadthFirst() if name == "breadth_first" else policies.Greedy()
