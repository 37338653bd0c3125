"""A made-up answer with something of everything."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from mmreason.types import (
    Answer,
    Check,
    CheckKind,
    Cost,
    Evidence,
    Note,
    Observation,
    Step,
    StopReason,
)
from mmreason.video.types import Span
from tests.fakes.agent_calls import call_named

OTHER = Check(kind=CheckKind.OTHER_MODEL, by="qwen", agreed=True)
TIMES_S = (8.5, 9.5, 10.5, 11.5)


def make_step(name: str, span: Span, text: str, **seen: Any) -> Step:
    """A step; what the call asks, `thought` and `thinking` are told from what was seen by name."""
    told = ("node", "question", "shift", "check", "text_asked")
    asked = {key.removesuffix("_asked"): seen.pop(key) for key in told if key in seen}
    thought, thinking = seen.pop("thought", ""), seen.pop("thinking", Cost())
    call = call_named(name, span, **asked)
    observation = Observation(text=text, span=span, **seen)
    return Step(thought=thought, call=call, observation=observation, thinking=thinking)


def _jpeg(level: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (32, 18), (level, 80, 80)).save(data, "JPEG")
    return data.getvalue()


@pytest.fixture
def make_answer() -> Callable[..., Answer]:
    asked = {"question": "What colour is the circle?", "shift": 0.0}
    trace = (
        make_step("caption", Span(0, 12), "a red circle moves right.", node=(1,)),
        make_step("caption", Span(12, 24), "a green star bounces.", node=(2,), cached=True),
        make_step("caption", Span(8, 12), "the circle moves.", node=(1, 3)),
        make_step("look", Span(8, 12), "red.", **asked, cost=Cost(frames=8, seconds=0.42)),
        make_step("look", Span(12, 16), "", error="no frame there", question="How many circles?"),
        make_step("look", Span(8, 12), "red.", question=asked["question"], shift=0.25, check=True),
    )
    values: dict[str, Any] = {
        "question": "What colour is the circle?",
        "text": "red",
        "confidence": 0.94,
        "confidence_calibrated": True,
        "evidence": (
            Evidence(span=Span(8, 12), frame_times_s=TIMES_S, quote="it is red.", check=OTHER),
            Evidence(span=Span(0, 4), quote="a red circle.", boxes_px=((1, 2.5, 30, 40),)),
        ),
        "cost": Cost(rounds=6, model_calls=5, frames=36, tokens_in=2060, cache_hits=1, seconds=2.3),
        "trace": trace,
        "stop_reason": StopReason.ANSWERED,
        "video": "/data/clip.mp4",
        "duration_s": 24.0,
        "settings": {"model": "nano", "seed": 0, "clip": {"frames": 8}},
        "thumbnails": {time_s: _jpeg(int(10 * time_s)) for time_s in TIMES_S},
    }
    return lambda **changes: Answer(**(values | changes))


ROUND = Cost(rounds=1, frames=8, observer_calls=1, model_calls=1, tokens_in=200, seconds=0.1)
MORE = Cost(frames=8, observer_calls=1, model_calls=1, tokens_in=200, seconds=0.1)
CHECK = Cost(rounds=1, frames=8, checker_calls=1, model_calls=1, tokens_in=200, seconds=0.1)
THINKING = Cost(model_calls=1, reasoner_calls=1, tokens_in=900, tokens_out=60, model_seconds=0.5)


def _read(level: int, parent: tuple[int, ...], start_s: float, part_s: float) -> list[Step]:
    """The captions of six children, stills and all; the first counts as the round."""
    steps = []
    for i in range(6):
        span = Span(start_s + i * part_s, start_s + (i + 1) * part_s)
        middle_s = span.middle_s
        notes = (
            Note(Span(span.start_s, middle_s), f"a scene of level {level}."),
            Note(Span(middle_s, span.end_s), "a red star.", middle_s),
        )
        cost = ROUND if parent and i == 0 else MORE
        thought = f"open {'.'.join(map(str, parent)) or 'the top'}"
        seen: dict[str, Any] = {"notes": notes, "cost": cost, "thought": thought}
        steps.append(make_step("caption", span, "two lines", node=[*parent, i + 1], **seen))
    return steps


@pytest.fixture
def hour(make_answer: Callable[..., Answer]) -> Answer:
    """One hour, three levels, 8 looks, a search, something invalid, one place of evidence."""
    question = "What colour is the star?"
    look: dict[str, Any] = {"question": question, "shift": 0.0, "cost": ROUND}
    elsewhere = [Span(600 + 20 * i, 603 + 20 * i) for i in range(8)]
    place = Span(2003, 2006)
    trace = (
        *_read(1, (), 0, 600),
        *_read(2, (4,), 1800, 100),
        *_read(3, (4, 3), 2000, 100 / 6),
        make_step(
            "invalid",
            Span(0, 0),
            "",
            text_asked="<b>no</b> call",
            error="found no tag",
            cost=Cost(rounds=1),
            thinking=THINKING,
        ),
        make_step(
            "search",
            Span(0, 3600),
            "found",
            text_asked="star",
            notes=(Note(Span(2000, 2003), "the word STAR"),),
            cost=Cost(rounds=1),
        ),
        *(make_step("look", span, "nothing", **look) for span in elsewhere),
        make_step("look", place, "red", **look),
        make_step("look", place, "red", **(look | {"shift": 0.25, "check": True, "cost": CHECK})),
    )
    total = sum((step.cost for step in trace), Cost())
    return make_answer(
        question=question,
        trace=trace,
        evidence=(Evidence(span=place, quote="red", check=OTHER),),
        cost=total + THINKING,
        duration_s=3600.0,
        thumbnails={},
        settings={
            "model": {"name": "nano"},
            "roles": {"reasoner": {"name": "large"}, "observer": {"name": "nano"}},
            "budget": {"frames": 400, "rounds": None, "tokens": 90_000, "seconds": None},
        },
    )
