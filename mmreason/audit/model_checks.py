"""What one model can do, tried with a few small questions: clips, times, tools, JSON,
log-probabilities, thinking, boxes. `mmreason doctor --model` prints them.

A check never raises: what fails is a finding. The model works where it answers at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np

from mmreason.audit.doctor import DoctorCheck, Status
from mmreason.grounding import Box, iou
from mmreason.memory.store import Store
from mmreason.models.base import ChatModel, FramesPart, Reply, TextPart
from mmreason.models.probe import (
    RED,
    ask_for_call,
    ask_for_json,
    ask_model,
    ask_second_colour,
    calls_tool,
    holds_json,
    two_colours,
)
from mmreason.reasoner import Reasoner
from mmreason.video.plain_text import show_line

_FAILURES = (ValueError, RuntimeError, OSError)
_QUOTED = 60
"""Characters of a reply that are shown."""
_SHIFT_S = 40.0
"""Where the clip starts whose times are asked for: nobody guesses it."""
_SQUARE_PX = (160, 96, 288, 224)
_SQUARE = Box(*_SQUARE_PX)
_PICTURE_PX = (320, 448)
_LEAST_IOU = 0.5

_Finding = tuple[Status, str, str]
"""(status, what was found, advice)."""


def check_model(model: ChatModel) -> list[DoctorCheck]:
    """Try a model. The first check, "answers", fails where no question got any text: then nothing
    works; of the others none but it can fail."""
    replies: list[Reply] = []

    def asked(reply: Reply) -> Reply:
        replies.append(reply)
        return reply

    checks = {
        "clips": lambda: _check_clips(asked(ask_second_colour(model))),
        "times": lambda: _check_times(asked(_ask_when(model))),
        "tools": lambda: _check_tools(model, asked),
        "JSON": lambda: _check_json(asked(ask_for_json(model))),
        "boxes": lambda: _check_boxes(model),
    }
    found = [_perform(name, check) for name, check in checks.items()]
    # These read the replies to the questions above and ask nothing.
    found += [
        _perform("log-probabilities", lambda: _check_logprobs(replies)),
        _perform("thinking", lambda: _check_thinking(replies)),
        DoctorCheck(name="tier", status="ok", found=f"{model.tier}: {_TIERS[model.tier]}"),
    ]
    notes = [DoctorCheck(name="note", status="ok", found=note) for note in model.notes]
    # The first in the list is made last, since it tells of all replies.
    return [_perform("answers", lambda: _check_answers(replies, found)), *found, *notes]


_TIERS = {
    "nano": "knows scripted worlds",
    "small": "is led step by step (option tier=strong lets it decide)",
    "strong": "decides for itself where to look (option tier=small leads it)",
}


def _perform(name: str, check: Callable[[], _Finding]) -> DoctorCheck:
    try:
        status, found, advice = check()
    except _FAILURES as error:
        status, found, advice = "warn", show_line(str(error))[:300] or type(error).__name__, ""
    return DoctorCheck(name=name, status=status, found=found, advice=advice)


def _check_answers(replies: list[Reply], found: list[DoctorCheck]) -> _Finding:
    spoken = [reply for reply in replies if reply.text or reply.calls]
    if spoken:
        return "ok", f"{len(spoken)} of {len(replies)} replies say something", ""
    reasons = [check.found for check in found if check.status == "warn"]
    return "fail", f"no reply says anything: {reasons[0] if reasons else 'all are empty'}", ""


def _check_clips(reply: Reply) -> _Finding:
    if "blue" in reply.text.lower():
        return "ok", "sees what comes second in a clip of two seconds", ""
    return (
        "warn",
        f"expected blue, second in a clip of two colours; found {_quote(reply)}",
        "frames may not reach it: try frames_as=images, or another image_format",
    )


def _ask_when(model: ChatModel) -> Reply:
    question = (
        "The picture changes its colour once. At which second of the video? Answer with one number."
    )
    return ask_model(model, (FramesPart(two_colours(_SHIFT_S)), TextPart(question)), math.inf)


def _check_times(reply: Reply) -> _Finding:
    numbers = [float(number) for number in re.findall(r"\d{1,4}(?:\.\d{1,3})?", reply.text)]
    # The frames beside the change are half a second apart: none shows it more exactly.
    if any(_SHIFT_S + 0.5 <= number <= _SHIFT_S + 1.5 for number in numbers):
        return "ok", "tells the second of the video at which something happens", ""
    advice = "times of its answers cannot be trusted; what was looked at when still is told"
    return "warn", f"expected about {_SHIFT_S + 1:g} s; found {_quote(reply)}", advice


def _check_tools(model: ChatModel, asked: Callable[[Reply], Reply]) -> _Finding:
    told_in_words = "told of them in words"
    if not model.takes_tools:
        return "warn", f"takes none: where a policy needs some, it is {told_in_words}", ""
    reply = asked(ask_for_call(model))
    if not calls_tool(reply):
        return "warn", f"expected a call of mark_time; found {_quote(reply)}", ""
    if not model.takes_tools:  # the server refused them on the way
        return "ok", f"calls tools, but its server refuses them: it is {told_in_words}", ""
    return "ok", "calls tools natively", ""


def _check_json(reply: Reply) -> _Finding:
    if holds_json(reply.text):
        return "ok", "writes the JSON that it is asked for", ""
    return "warn", f"expected a JSON object; found {_quote(reply)}", ""


def _check_boxes(model: ChatModel) -> _Finding:
    pixels = np.full((*_PICTURE_PX, 3), 255, np.uint8)
    left, top, right, bottom = (int(side) for side in _SQUARE_PX)
    pixels[top:bottom, left:right] = RED
    # A store of its own, or an earlier run would answer in place of the model.
    grounding = Reasoner(model, store=Store.in_memory()).ground(pixels, "red square")
    dialect = model.clip.box_dialect
    if not grounding.boxes:
        return "warn", f"found no box ({grounding.status}), read as {dialect}", _BOX_ADVICE
    overlap = max(float(iou(box, _SQUARE)) for box in grounding.boxes)
    if overlap >= _LEAST_IOU:
        return "ok", f"finds a square, overlap {overlap:.2f}, read as {dialect}", ""
    return "warn", f"the box overlaps the square by {overlap:.2f}, read as {dialect}", _BOX_ADVICE


_BOX_ADVICE = "try another box_dialect: norm_1000, norm_1000_yx, norm_1 or seen_px"


def _check_logprobs(replies: list[Reply]) -> _Finding:
    if any(reply.logprobs for reply in replies):
        return "ok", "told with each reply: answers have a confidence", ""
    return "warn", "not told: answers come without a confidence", ""


def _check_thinking(replies: list[Reply]) -> _Finding:
    thoughts = [reply for reply in replies if reply.thought]
    lost = [reply for reply in replies if not reply.text and not reply.calls]
    if lost:
        advice = "raise thought_tokens, or set enable_thinking=false"
        return "warn", f"{len(lost)} of {len(replies)} replies were all thought", advice
    if thoughts:
        return "ok", f"thinks before {len(thoughts)} of {len(replies)} replies", ""
    return "ok", "does not think before it answers, or does not show it", ""


def _quote(reply: Reply) -> str:
    text = show_line(reply.text)[:_QUOTED]
    return repr(text) if text else reply.note or "nothing"
