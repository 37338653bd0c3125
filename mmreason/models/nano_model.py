"""Nano with what keeps it to its world: it is asked what it was taught, about pictures of its
world, and what it writes is passed on only where that is an answer.

Each thing that was done to a question or a reply is told in `Reply.note`. Conversations without
frames, or of several turns, go to the weights as they are: agents hold them, and read the replies
by rules of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmreason.models.base import (
    ClipRecipe,
    Conversation,
    FramesPart,
    GenerateRequest,
    Message,
    Reply,
    TextPart,
    Tier,
)
from mmreason.models.calibration import Calibration, ReplyKind
from mmreason.models.folders import CLIP_RECIPE
from mmreason.models.hf import TransformersModel
from mmreason.models.nano_expressions import understand_referring
from mmreason.models.nano_guard import why_outside
from mmreason.models.nano_questions import (
    NotTaught,
    Taught,
    is_there,
    understand_expression,
    understand_question,
)
from mmreason.models.nano_replies import (
    OUTSIDE,
    is_answer,
    is_box_list,
    is_caption,
    is_decline,
    whole_sentences,
)
from mmreason.types import UsageError
from mmreason.video.json_input import read_json
from mmreason.video.plain_text import show_line

SCRIPTED_WORLD = "scripted_world.json"
"""Beside weights that know scripted worlds and nothing else; holds their calibration."""
GUARD_VERSION = "1"
"""Part of the fingerprint: replies that were stored under other rules are not used."""
MOST_NOTES = 10
QUOTED = 60
"""Characters of a refused reply that are shown."""


class NanoModel:
    """Weights of scripted worlds behind the guard. See `ChatModel`."""

    def __init__(
        self,
        inner: TransformersModel,
        calibration: Calibration | None = None,
        *,
        reads_expressions: bool = False,
    ):
        """`inner` holds the weights; without `calibration` confidences stay as the weights state
        them. `reads_expressions` where they were taught more than names of things
        (`nano_expressions.py`)."""
        self.inner = inner
        self.calibration = calibration
        self.reads_expressions = reads_expressions
        self._declined: dict[str, None] = {}

    @classmethod
    def around(cls, inner: TransformersModel, folder: Path) -> NanoModel:
        """With the calibration that the model folder holds, and what its recipe says that it was
        taught. UsageError where these are damaged."""
        calibration = Calibration.load(folder / SCRIPTED_WORLD)
        # It was measured on whole clips.
        holds = calibration.maps and inner.options.prune is None
        return cls(
            inner,
            calibration if holds else None,
            reads_expressions=reads_expressions(folder),
        )

    @property
    def name(self) -> str:
        """See `ChatModel`."""
        return self.inner.name

    @property
    def fingerprint(self) -> str:
        """See `ChatModel`. Of the weights and of the rules."""
        both = f"{self.inner.fingerprint}/guard {GUARD_VERSION}"
        return hashlib.sha256(both.encode()).hexdigest()

    @property
    def lineage(self) -> str:
        """See `ChatModel`."""
        return "nano"

    @property
    def tier(self) -> Tier:
        """See `ChatModel`."""
        return self.inner.tier

    @property
    def takes_tools(self) -> bool:
        """See `ChatModel`. It was taught none."""
        return False

    @property
    def calibrated(self) -> bool:
        """See `ChatModel`."""
        return self.calibration is not None

    @property
    def clip(self) -> ClipRecipe:
        """See `ChatModel`."""
        return self.inner.clip

    def with_clip(self, clip: ClipRecipe) -> NanoModel:
        """The same model, watching clips by another recipe."""
        inner = self.inner.with_clip(clip)
        return NanoModel(inner, self.calibration, reads_expressions=self.reads_expressions)

    @property
    def notes(self) -> tuple[str, ...]:
        """See `ChatModel`. With the reasons of the last declines that were not the weights' own."""
        return (*self.inner.notes, *self._declined)

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """See `ChatModel`. The guard reads whole replies, which are cut at stop texts after it."""
        plans = self._plans(request.conversations)
        # One batch: what is asked, and whether the things that it takes for granted are there.
        questions = [c for plan in plans for c in plan.conversations]
        # Deadlines are one a conversation, of which there may be more now.
        inner_request = replace(request, conversations=questions, stop=(), deadlines_s=())
        written = iter(self.inner.generate(inner_request))
        done = []
        for plan in plans:
            replies = [next(written) for _ in plan.conversations]
            done.append(self._checked(plan, replies) if replies else _declined(plan.declined))
        for reply in done:
            if reply.note.startswith("declined: "):
                self._declined[reply.note] = None
        for old in list(self._declined)[:-MOST_NOTES]:
            del self._declined[old]
        return [reply.cut_at(request.stop) for reply in done]

    def _plans(self, conversations: Sequence[Conversation]) -> list[_Plan]:
        reasons: dict[int, str] = {}
        plans = []
        for conversation in conversations:
            shown_and_text = _shown_and_asked(conversation)
            # The rules know prompts of one turn alone: others reach the weights as they are.
            if shown_and_text is None:
                plans.append(_Plan((conversation,)))
                continue
            frames, text = shown_and_text
            plan = self._plan(frames, text)
            if not plan.declined:
                # Several questions of a batch are mostly asked about the same frames.
                pixels = frames.frames.pixels
                why = reasons.get(id(pixels))
                if why is None:
                    why = reasons[id(pixels)] = _why_outside(pixels)
                plan = plan if not why else _Plan((), declined=why)
            plans.append(plan)
        return plans

    def _plan(self, frames: FramesPart, text: str) -> _Plan:
        """What to ask in the place of `text`, or why not."""
        prompts = self.clip.prompts
        if text == prompts.caption:
            return _Plan((_one_turn(frames, text),), ReplyKind.CAPTION)
        expression = _between(prompts.locate, text)
        if expression is not None and not self.reads_expressions:
            name = understand_expression(expression)
            if isinstance(name, NotTaught):
                return _Plan((), declined=name.reason)
            return _Plan((_one_turn(frames, prompts.find(name)),), ReplyKind.BOX)
        if expression is not None:
            taught_text = understand_referring(expression, moving=False)
            return _plan_referring(frames, text, taught_text, prompts.find, ReplyKind.BOX)
        expression = _between(prompts.track, text) if self.reads_expressions else None
        if expression is not None:
            taught_text = understand_referring(expression, moving=True)
            return _plan_referring(frames, text, taught_text, prompts.follow, ReplyKind.TUBE)
        question, *options = text.split("\n")
        taught = understand_question(question)
        if isinstance(taught, NotTaught):
            return _Plan((), declined=taught.reason)
        said_differently = "" if taught.prompt == question else taught.prompt
        texts = ["\n".join([taught.prompt, *options]), *map(is_there, taught.things)]
        asked = tuple(_one_turn(frames, text) for text in texts)
        return _Plan(asked, ReplyKind.QUESTION, taught, said_differently)

    def _checked(self, plan: _Plan, replies: Sequence[Reply]) -> Reply:
        """The reply to the question, where it is one and its things are there; with its confidence
        as measured."""
        reply = _with_cost_of(replies)
        if plan.kind is None:
            return reply
        # 1. What a question takes for granted must be there.
        if plan.taught is not None:
            for thing, there in zip(plan.taught.things, replies[1:], strict=True):
                if is_decline(there.text) or not is_answer(there.text, "yes_no"):
                    return _refused(there)
                if there.text.rstrip(".") != "yes":
                    note = f"{is_there(thing)!r} was answered {there.text!r}"
                    text = "no" if plan.taught.yes else f"there is no {thing}"
                    absent = replace(reply, text=text, note=_join_notes(reply.note, note))
                    return self._calibrated(absent, plan.kind, there.confidence)
        # 2. The reply must be one that the weights were taught to give.
        text, taught = reply.text, plan.taught
        if plan.kind is ReplyKind.CAPTION:
            text = whole_sentences(text)
            is_one = is_caption(text)
        elif plan.kind in (ReplyKind.BOX, ReplyKind.TUBE):
            is_one = is_box_list(text)
        else:
            assert taught is not None
            is_one = is_answer(text, taught.kind, taught.choices)
        if not is_one:
            return _refused(reply)
        note = f"asked as {plan.asked_as!r}" if plan.asked_as else ""
        # 3. A yes-or-no question went out as one for the thing, whose answer is compared.
        if taught is not None and taught.yes and not is_decline(text):
            note = f"{note}, answered {text!r}"
            text = "yes" if text.rstrip(".") == taught.yes else "no"
        told = replace(reply, text=text, note=_join_notes(reply.note, note))
        return self._calibrated(told, plan.kind, reply.confidence)

    def _calibrated(self, reply: Reply, kind: ReplyKind, raw: float | None) -> Reply:
        if self.calibration is None or raw is None:
            return reply
        return replace(reply, stated_right=self.calibration.right(kind, raw))


def reads_expressions(folder: Path) -> bool:
    """Whether the recipe in a model folder says that the weights were taught expressions."""
    path = folder / CLIP_RECIPE
    try:
        recipe = read_json(path) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({show_line(str(error))})") from error
    return isinstance(recipe, dict) and recipe.get("reads_expressions") is True


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do about one conversation."""

    conversations: tuple[Conversation, ...]
    """What to ask the weights: the question, then whether each of its things is there. Empty where
    it is declined."""
    kind: ReplyKind | None = None
    """None where the weights are asked as they are."""
    taught: Taught | None = None
    asked_as: str = ""
    declined: str = ""
    """Why the weights are not asked."""


def _between(template: str, text: str) -> str | None:
    """The expression of a prompt, read back; None where `text` is not of this template, or there
    is none."""
    start, _, end = template.partition("{expression}")
    if not template or not (text.startswith(start) and text.endswith(end)):
        return None
    return text[len(start) : len(text) - len(end)]


def _plan_referring(
    frames: FramesPart,
    text: str,
    expression: str | NotTaught,
    request: Callable[[str], str],
    kind: ReplyKind,
) -> _Plan:
    if isinstance(expression, NotTaught):
        return _Plan((), declined=expression.reason)
    asked = request(expression)
    return _Plan((_one_turn(frames, asked),), kind, asked_as="" if asked == text else asked)


def _shown_and_asked(conversation: Conversation) -> tuple[FramesPart, str] | None:
    """The frames and the text of a conversation of one turn that holds just these."""
    if len(conversation) != 1 or len(conversation[0].parts) != 2:
        return None
    frames, text = conversation[0].parts
    if not isinstance(frames, FramesPart) or not isinstance(text, TextPart):
        return None
    return frames, text.text


def _one_turn(frames: FramesPart, text: str) -> Conversation:
    return [Message("user", (frames, TextPart(text)))]


def _why_outside(pixels: np.ndarray) -> str:
    why = why_outside(pixels)
    return f"the picture is not of its world: {why}" if why else ""


def _declined(why: str) -> Reply:
    return Reply(
        text=OUTSIDE, token_ids=(), logprobs=(), tokens_in=0, tokens_out=0, note=f"declined: {why}"
    )


def _join_notes(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _refused(reply: Reply) -> Reply:
    """A decline in the place of what the weights wrote; as it is where they declined themselves."""
    if is_decline(reply.text):
        return reply
    quoted = " ".join(reply.text.split())[:QUOTED]
    why = f"what it wrote is no answer that it was taught to give: {quoted!r}"
    return replace(reply, text=OUTSIDE, logprobs=(), note=f"declined: {why}")


def _with_cost_of(replies: Sequence[Reply]) -> Reply:
    """The first reply, with what all of them took."""
    return replace(
        replies[0],
        tokens_in=sum(reply.tokens_in for reply in replies),
        tokens_out=sum(reply.tokens_out for reply in replies),
        tokens_visual=sum(reply.tokens_visual for reply in replies),
    )
