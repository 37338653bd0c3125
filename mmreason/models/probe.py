"""Three tiny calls that tell what a model can do: see a clip, call a tool, write JSON.

A model that does all three is strong: it may decide for itself where to look. What was found is
kept by the model's fingerprint, so that it is asked once.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from mmreason.cache_folder import CacheFolderError, cache_folder
from mmreason.json_values import encode_json
from mmreason.models.base import (
    ChatModel,
    FramesPart,
    GenerateRequest,
    Message,
    Part,
    Reply,
    TextPart,
    Tier,
)
from mmreason.video.files import write_atomic
from mmreason.video.json_input import JsonInputError, parse_json, read_json
from mmreason.video.types import FrameBatch, VideoError

PROBE_SECONDS = 30.0
"""For all calls together: a server that takes longer tells nothing of what it can."""
_MOST_TOKENS = 256
_SIDE_PX = 224
_FRAMES = 4
MOST_FILE_BYTES = 1_000_000
_MOST_KEPT = 500
"""Models of which a probe is kept; older ones are asked again."""

RED, BLUE = (214, 40, 40), (30, 60, 200)
_FAILURES = (ValueError, RuntimeError, OSError)

_TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "mark_time",
        "description": "Marks a time of the video.",
        "parameters": {
            "type": "object",
            "properties": {"time_s": {"type": "number", "description": "In seconds."}},
            "required": ["time_s"],
        },
    },
}
_TIME_S = 12.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a model was seen to do.

    Example:
        >>> ProbeResult(sees_clips=True, calls_tools=True, writes_json=False).tier
        'small'
    """

    sees_clips: bool
    calls_tools: bool
    writes_json: bool

    @property
    def tier(self) -> Tier:
        """Strong where it does all three."""
        return "strong" if self.sees_clips and self.calls_tools and self.writes_json else "small"

    def __str__(self) -> str:
        names = {"sees_clips": "sees clips", "calls_tools": "calls tools", "writes_json": "JSON"}
        done = [text for name, text in names.items() if getattr(self, name)]
        return f"{', '.join(done) or 'nothing worked'} of {', '.join(names.values())}"


def probe_model(model: ChatModel) -> ProbeResult:
    """Ask a model three tiny questions. A call that fails is one that did not work; after one that
    failed for want of time no other is made."""
    deadline_s = time.monotonic() + PROBE_SECONDS
    return ProbeResult(
        sees_clips=_holds(lambda: "blue" in ask_second_colour(model, deadline_s).text.lower()),
        calls_tools=_holds(lambda: calls_tool(ask_for_call(model, deadline_s))),
        writes_json=_holds(lambda: holds_json(ask_for_json(model, deadline_s).text)),
    )


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except _FAILURES:
        return False


def two_colours(start_s: float = 0.0, *, side_px: int = _SIDE_PX) -> FrameBatch:
    """A clip of two seconds: red in the first, blue in the second."""
    times_s = start_s + (np.arange(_FRAMES) + 0.5) * (2.0 / _FRAMES)
    colours = np.array([RED] * (_FRAMES // 2) + [BLUE] * (_FRAMES // 2), np.uint8)
    pixels = np.broadcast_to(colours[:, None, None, :], (_FRAMES, side_px, side_px, 3))
    return FrameBatch(
        pixels=np.ascontiguousarray(pixels), times_s=times_s, exact=np.ones(_FRAMES, bool)
    )


def ask_second_colour(model: ChatModel, deadline_s: float = math.inf) -> Reply:
    """Which of two colours comes second in a clip: blue."""
    question = (
        "One colour fills the picture, then another does. Which colour comes second? Answer with "
        "one word."
    )
    return ask_model(model, (FramesPart(two_colours()), TextPart(question)), deadline_s)


def ask_for_call(model: ChatModel, deadline_s: float = math.inf) -> Reply:
    """Have the model call a tool. UsageError where it takes none."""
    question = f"Mark the time {_TIME_S} s with the tool mark_time."
    return ask_model(model, (TextPart(question),), deadline_s, with_tool=True)


def calls_tool(reply: Reply) -> bool:
    """Whether a reply holds the call that was asked for."""
    for call in reply.calls:
        try:
            arguments = parse_json(call.arguments)
        except JsonInputError:
            continue
        if call.name == "mark_time" and isinstance(arguments, dict):
            # Compared as texts, since some models write the number in quotes.
            return str(arguments.get("time_s")) == str(_TIME_S)
    return False


def ask_for_json(model: ChatModel, deadline_s: float = math.inf) -> Reply:
    """Have the model write one JSON object."""
    question = (
        'A dog runs at 4 s. Write nothing but one JSON object with the keys "animal" (a text) and '
        '"time_s" (a number).'
    )
    return ask_model(model, (TextPart(question),), deadline_s)


def holds_json(text: str) -> bool:
    """Whether a text is the object that was asked for, in a fence or not."""
    try:
        value = parse_json(text[text.find("{") : text.rfind("}") + 1])
    except JsonInputError:
        return False
    is_right = isinstance(value, dict) and "dog" in str(value.get("animal")).lower()
    return is_right and value.get("time_s") == 4


def ask_model(
    model: ChatModel, parts: tuple[Part, ...], deadline_s: float, *, with_tool: bool = False
) -> Reply:
    """One short request. Raises what the model raises."""
    (reply,) = model.generate(
        GenerateRequest(
            [[Message("user", parts)]],
            max_new_tokens=_MOST_TOKENS,
            tools=(_TOOL,) if with_tool else (),
            deadlines_s=() if deadline_s == math.inf else (deadline_s,),
        )
    )
    return reply


class ProbeFile:
    """What probes found, by the fingerprint of the model, in one JSON file. A file that cannot be
    read or written only means that models are asked again."""

    def __init__(self, path: Path | None):
        """Without a path nothing is kept."""
        self._path = path

    def read_result(self, fingerprint: str) -> ProbeResult | None:
        """What was found of this model; None where nothing is kept."""
        kept = self._read_all().get(fingerprint)
        names = ("sees_clips", "calls_tools", "writes_json")
        if not isinstance(kept, dict) or not all(type(kept.get(name)) is bool for name in names):
            return None
        return ProbeResult(**{name: kept[name] for name in names})

    def keep_result(self, fingerprint: str, result: ProbeResult) -> None:
        """Keep what was found, for next time."""
        if self._path is None:
            return
        results = self._read_all() | {fingerprint: asdict(result)}
        newest = dict(list(results.items())[-_MOST_KEPT:])
        with contextlib.suppress(OSError, VideoError):
            write_atomic(self._path, encode_json(newest).encode())

    def _read_all(self) -> dict[str, Any]:
        if self._path is None:
            return {}
        try:
            value = read_json(self._path, most_bytes=MOST_FILE_BYTES)
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}


class Probeable(ChatModel, Protocol):
    """A model whose tier may be found by asking it."""

    @property
    def may_be_probed(self) -> bool:
        """Whether nothing tells its tier, and asking costs no money."""
        ...

    def with_tier(self, tier: Tier, note: str) -> Self:
        """The same model in another tier."""
        ...


ProbeableT = TypeVar("ProbeableT", bound=Probeable)


def settle_tier(model: ProbeableT, file: ProbeFile, probe: bool | None) -> ProbeableT:
    """The model with the tier that a probe finds, or found before.

    `probe` asks any model; None asks only one that may be: three calls to a hosted server cost
    money. False asks nobody.
    """
    if not (model.may_be_probed or probe):
        return model
    result = file.read_result(model.fingerprint)
    if result is None and probe is not False:
        result = probe_model(model)
        file.keep_result(model.fingerprint, result)
    if result is None:
        return model
    return model.with_tier(result.tier, f"tier {result.tier}, by a probe: {result}")


def find_probe_file() -> Path | None:
    """Where the results of probes are kept; None for a user without a home, who is asked anew."""
    try:
        return cache_folder() / "probes.json"
    except CacheFolderError:
        return None
