"""What can be measured, by name: `even_64` shows 64 even frames with the question, once; `greedy`
is a policy, `auto-check` a policy without one of its stages, `auto+index` one that reads an index
made ahead, `auto@strong` one that a scripted reasoner plays.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from mmreason import policies
from mmreason.language.answer_reading import read_answer
from mmreason.memory.store import Store
from mmreason.models.base import ChatModel, FramesPart, GenerateRequest, Message, TextPart
from mmreason.natural.items import NaturalItem
from mmreason.natural.reasoners import REASONERS
from mmreason.policies import Policy
from mmreason.policies.stages import Stage, check_stages
from mmreason.reasoner import Reasoner
from mmreason.tool_calls import Look
from mmreason.types import (
    Answer,
    Budget,
    Cost,
    Evidence,
    Observation,
    Step,
    StopReason,
    UsageError,
)
from mmreason.video import plan
from mmreason.video.subtitles import Subtitles
from mmreason.video.types import FrameSource

STAGED: dict[str, Callable[[frozenset[Stage]], Policy]] = {
    "auto": policies.Auto,
    "direct": policies.Direct,
    "global": policies.Global,
    "scripted_search": policies.ScriptedSearch,
    "tool_loop": policies.ToolLoop,
}
"""Policies that have stages."""
UNSTAGED: dict[str, Callable[[], Policy]] = {
    "greedy": policies.Greedy,
    "breadth_first": policies.BreadthFirst,
    "longvideo_r1": policies.LongVideoR1,
}
_METHOD = re.compile(
    r"(?P<policy>[a-z0-9_]+)(?P<stages>(?:-[a-z_]+)*)(?P<index>\+index)?(?:@(?P<reasoner>[a-z]+))?"
)
_EVEN = re.compile(r"even_(\d{1,4})")
MAX_NEW_TOKENS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to answer.

    Example:
        >>> parse_method("greedy").policy, parse_method("even_64").even_frames
        ('greedy', 64)
    """

    policy: str = ""
    without: tuple[str, ...] = ()
    """Stages of the policy that are off."""
    indexed: bool = False
    """Whether an index of the video is made ahead of its questions."""
    reasoner: str = ""
    """Name of the scripted model that decides; empty where the observer does."""
    even_frames: int = 0
    """Above 0: no policy, so many even frames in one call."""

    @property
    def name(self) -> str:
        """What `parse_method` reads."""
        if self.even_frames:
            return f"even_{self.even_frames}"
        stages = "".join(f"-{stage}" for stage in self.without)
        index = "+index" * self.indexed
        return f"{self.policy}{stages}{index}" + (f"@{self.reasoner}" if self.reasoner else "")


def parse_method(name: str) -> Method:
    """A method by its name. Raises UsageError for a name that is none."""
    if even := _EVEN.fullmatch(name):
        frames = int(even[1])
        if frames < 1:
            raise UsageError(f"{name!r} shows no frame; give even_1 or more")
        return Method(even_frames=frames)
    match = _METHOD.fullmatch(name)
    if match is None or match["policy"] not in {*STAGED, *UNSTAGED}:
        raise UsageError(
            f"{name!r} is no method; policies are {', '.join([*STAGED, *UNSTAGED])} (auto-check "
            "leaves out a stage, auto+index makes an index first, auto@strong has a reasoner "
            "decide), even_64 shows 64 even frames"
        )
    stages = tuple(stage for stage in match["stages"].split("-") if stage)
    if stages and match["policy"] in UNSTAGED:
        raise UsageError(f"{name!r}: {match['policy']} has no stages to leave out")
    check_stages(stages)
    if match["reasoner"] and match["reasoner"] not in REASONERS:
        raise UsageError(f"{name!r}: no such reasoner; there is {', '.join(REASONERS)}")
    return Method(
        policy=match["policy"],
        without=stages,
        indexed=match["index"] is not None,
        reasoner=match["reasoner"] or "",
    )


def without_stage(method: Method, stage: str) -> Method:
    """The same policy without one more stage.

    Example:
        >>> without_stage(parse_method("auto"), "check").name
        'auto-check'
    """
    return parse_method(replace(method, without=(*method.without, stage)).name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewing:
    """A video with the models that watch it and decide about it.

    Example: `Viewing(video=video, subtitles=subtitles, observer=model, decider=None)`.
    """

    video: FrameSource
    subtitles: Subtitles
    observer: ChatModel
    decider: ChatModel | None
    """Decides where to look in place of the observer."""

    def make_reasoner(self, method: Method, store: Store) -> Reasoner:
        """Who answers by a policy."""
        decider = self.decider or self.observer
        policy = _build_policy(method)
        return Reasoner(decider, observer=self.observer, policy=policy, store=store)


def build_index(method: Method, viewing: Viewing) -> tuple[Store, int]:
    """A store with the index of a video, and how many frames it took."""
    store = Store.in_memory()
    steps = viewing.make_reasoner(method, store).index(viewing.video, subtitles=viewing.subtitles)
    return store, sum(step.cost.frames for step in steps)


def answer_item(
    method: Method,
    viewing: Viewing,
    item: NaturalItem,
    *,
    budget: Budget,
    store: Store | None = None,
) -> Answer:
    """Answer one item, with nothing in the store unless there is one."""
    if method.even_frames:
        return answer_from_even_frames(viewing, item, method.even_frames)
    reasoner = viewing.make_reasoner(method, store or Store.in_memory())
    return reasoner.ask(
        viewing.video,
        item.question,
        options=item.options or None,
        budget=budget,
        subtitles=viewing.subtitles,
        seed=item.seed,
    )


def _build_policy(method: Method) -> Policy:
    if method.policy in UNSTAGED:
        return UNSTAGED[method.policy]()
    return STAGED[method.policy](check_stages(method.without))


def answer_from_even_frames(viewing: Viewing, item: NaturalItem, count: int) -> Answer:
    """Direct viewing: evenly spread frames, all that is said, and the question, in one call."""
    started = time.perf_counter()
    model, video = viewing.observer, viewing.video
    span = video.info.span
    times_s = plan.uniform(span, count).times_s
    size_px = model.clip.frame_size_px(video.info.width_px, video.info.height_px)
    # All that is said: what is compared with policies is the choice of frames.
    lines = [(str(line.span), line.text) for line in viewing.subtitles]
    prompt = model.clip.prompts.ask(item.question, item.options, lines)
    message = Message("user", (FramesPart(video.frames_at(times_s, size_px)), TextPart(prompt)))
    (reply,) = model.generate(GenerateRequest([[message]], max_new_tokens=MAX_NEW_TOKENS))
    reading = read_answer(reply.text, item.options, item.question)
    cost = Cost(
        rounds=1,
        model_calls=1,
        observer_calls=1,
        frames=count,
        frames_unique=count,
        tokens_in=reply.tokens_in,
        tokens_visual=reply.tokens_visual,
        tokens_out=reply.tokens_out,
        seconds=time.perf_counter() - started,
    )
    # With options an answer is one of them; without, all but a "not shown".
    is_answer = reading.choice is not None if item.options else reading.kind.value != "absent"
    look = Look(span=span, question=item.question, options=item.options, shift=0.0)
    observation = Observation(text=reply.text, span=span, frame_times_s=times_s, cost=cost)
    evidence = Evidence(span=span, frame_times_s=times_s, quote=reply.text)
    return Answer(
        question=item.question,
        text=reading.said if is_answer else "",
        choice=reading.choice,
        options=item.options,
        evidence=(evidence,) if is_answer else (),
        cost=cost,
        trace=(Step(thought="", call=look, observation=observation),),
        stop_reason=StopReason.ANSWERED if is_answer else StopReason.ABSTAINED,
        video=video.info.path,
        duration_s=video.info.duration_s,
        settings={"policy": "even frames"},
    )
