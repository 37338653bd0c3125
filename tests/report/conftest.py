"""A made-up answer with something of everything."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from mmreason.types import Answer, Cost, Evidence, Observation, Step, StopReason, ToolCall
from mmreason.video.types import Span

TIMES_S = (8.5, 9.5, 10.5, 11.5)


def make_step(name: str, span: Span, text: str, **seen: Any) -> Step:
    asked = {key: seen.pop(key) for key in ("node", "question", "shift") if key in seen}
    arguments: dict[str, Any] = {"span": span} | asked
    observation = Observation(text=text, span=span, **seen)
    return Step(thought="", call=ToolCall(name=name, arguments=arguments), observation=observation)


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
        make_step("look", Span(8, 12), "red.", question=asked["question"], shift=0.25),
    )
    values: dict[str, Any] = {
        "question": "What colour is the circle?",
        "text": "red",
        "confidence": 0.94,
        "evidence": (
            Evidence(span=Span(8, 12), frame_times_s=TIMES_S, quote="it is red.", verified=True),
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
