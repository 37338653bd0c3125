"""A cooking video told in plain language, and models that know it by the frames they are shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from mmreason.language.prompts import LETTERS
from mmreason.models.base import Reply, WrittenCall
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.video.types import FrameBatch
from tests.reasoner.conftest import FakeVideo

SHOTS = (
    "A chef in a white jacket chops two onions on a wooden board.",
    "Water boils in a steel pot; the chef adds salt.",
    "A woman in a green dress enters the kitchen and waves.",
    "A man in a red cap is wearing a watch on his wrist and stirs with a whisk.",
    "A sign above the door says Open Daily.",
    "Two children kick a ball on a beach.",
    "A child plays the piano in a bright room.",
    "A red car stops in front of the restaurant.",
    "A brown dog sleeps under the table.",
    "A chocolate cake stands in the window.",
    "Guests eat noodles from deep bowls.",
    "The team in the white jersey, the Lions, score a goal on a screen.",
    "The chef tastes the broth with a spoon.",
    "Rain falls on the street outside.",
    "A waiter carries three plates of pasta.",
    "The chef and the woman close the restaurant and turn off the lights.",
)
SHOT_S = 30.0


@dataclass(frozen=True)
class PlainQuestion:
    """A question in plain language, what answers it, and the shots that show it."""

    text: str
    answer: str
    shots: tuple[int, ...]
    options: tuple[str, ...] = ()
    needs_all: bool = False
    """Whether only all of the shots together tell it."""


def plain_video(repeats: int = 1) -> FakeVideo:
    """Every shot `repeats` times over, one after the other."""
    scenes = tuple((SHOT_S * (i + 1), SHOTS[i % len(SHOTS)]) for i in range(len(SHOTS) * repeats))
    return FakeVideo(scenes=scenes, fps_hz=2.0)


@dataclass
class PerfectObserver:
    """Captions in natural English; the right answer whenever a right frame is shown, else "not
    shown". Knows the question by its exact words."""

    video: FakeVideo
    questions: tuple[PlainQuestion, ...]
    kind: str = "moment"
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """(prompt, shots shown) of each request with frames."""

    def __call__(self, text: str, frames: FrameBatch | None) -> str:
        shown = self.video.seen_in(frames) if frames is not None else []
        if frames is not None:
            self.asked.append((text, tuple(shown)))
        if "one word: moment" in text:
            return self.kind
        question = next((q for q in self.questions if q.text in text), None)
        if question is None:
            return " ".join(shown)
        gold = {SHOTS[i] for i in question.shots}
        has_it = gold <= set(shown) if question.needs_all else bool(gold & set(shown))
        if "from 1 to 4" in text:
            return "4: it shows that" if gold & set(shown) else "1: something else"
        if frames is None or not has_it:
            return "none" if frames is None else "not shown"
        times = [t for t in frames.times_s.tolist() if self.video.scenes[self.scene(t)][1] in gold]
        answer = question.answer
        if question.options:
            answer = LETTERS[question.options.index(answer)]
        return f"{answer}\nseen at: {', '.join(f'{t:.1f}' for t in times[:4])}"

    def scene(self, time_s: float) -> int:
        return self.video.scene_at(time_s)


def calling(*calls: tuple[str, str], text: str = "", thought: str = "") -> Reply:
    """A reply that calls tools natively: (name, JSON arguments)."""
    written = tuple(WrittenCall(f"call_{i}", name, value) for i, (name, value) in enumerate(calls))
    return Reply(
        text=text,
        token_ids=(),
        logprobs=(),
        tokens_in=10,
        tokens_out=5,
        thought=thought,
        calls=written,
    )


Turn = Reply | str | Exception


@dataclass
class StrongScript:
    """Plays `turns` one after the other as the model that decides, and looks as `observer`."""

    observer: PerfectObserver
    turns: list[Turn]
    told: list[str] = field(default_factory=list)

    def __call__(self, text: str, frames: FrameBatch | None) -> str | Reply:
        if frames is not None or re.search(r"one word: |entries that help", text):
            return self.observer(text, frames)
        self.told.append(text)
        turn = self.turns.pop(0) if self.turns else "no more"
        if isinstance(turn, Exception):
            raise turn
        return turn


QUESTION = PlainQuestion("What do the guests eat?", "noodles", (10,), ("pasta", "noodles", "cake"))


@pytest.fixture
def strong() -> Callable[..., tuple[Reasoner, StrongScript, FakeVideo]]:
    """`strong(turn, ...)`: a reasoner whose model plays these turns, on the plain video."""

    def make(*turns: Turn, takes_tools: bool = True):
        video = plain_video()
        script = StrongScript(PerfectObserver(video, (QUESTION,)), list(turns))
        model = ScriptedModel(script, tier="strong", takes_tools=takes_tools)
        return Reasoner(model), script, video

    return make
