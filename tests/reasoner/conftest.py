"""Fakes shared by the reasoner's tests: a video whose content is a list of timed facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from mmreason.models.base import ClipRecipe, GenerateRequest, Reply, TextPart, Tier
from mmreason.models.scripted import ScriptedModel
from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo


@dataclass
class FakeVideo:
    """Shows frame k at k / fps_hz; the red channel tells the scene by its number, the
    green one differs where what is seen does."""

    scenes: tuple[tuple[float, str], ...]
    """(end in seconds, what is seen) in order."""
    fps_hz: float = 10.0
    broken: Span | None = None
    """Reading here raises VideoError."""
    content_hash: str = "fake"
    reads: list[tuple[float, ...]] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.scenes]

    @property
    def info(self) -> VideoInfo:
        return VideoInfo(
            path="fake.mp4",
            duration_s=self.scenes[-1][0],
            start_s=0.0,
            width_px=320,
            height_px=180,
            codec="none",
            mean_fps_hz=self.fps_hz,
            frame_count=None,
            rotation_deg=0,
            has_audio=False,
            backend="fake",
            size_bytes=0,
        )

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        self.reads.append(tuple(times_s))
        if self.broken and any(self.broken.contains(t) for t in times_s):
            raise VideoError("fake.mp4: packet is damaged")
        width, height = size_px or (320, 180)
        shown = np.floor(np.asarray(times_s, np.float64) * self.fps_hz + 1e-9) / self.fps_hz
        pixels = np.zeros((len(shown), height, width, 3), np.uint8)
        for i, time_s in enumerate(shown):
            scene = pixels[i, ..., 0] = self.scene_at(float(time_s))
            pixels[i, ..., 1] = 37 * self.texts.index(self.texts[scene]) % 256
        return FrameBatch(pixels=pixels, times_s=shown, exact=np.ones(len(shown), np.bool_))

    def scene_at(self, time_s: float) -> int:
        ends = [end_s for end_s, _ in self.scenes]
        return next((i for i, end_s in enumerate(ends) if time_s < end_s), len(ends) - 1)

    def seen_in(self, batch: FrameBatch) -> list[str]:
        """What is seen in a batch, in order, without repeats."""
        numbers = batch.pixels[:, 0, 0, 0].tolist()
        return list(dict.fromkeys(self.scenes[n][1] for n in numbers))


@pytest.fixture
def fake_video() -> Callable[..., FakeVideo]:
    """`fake_video((10, "a red star moves left."), ...)`; keywords as in `FakeVideo`."""

    def make(*scenes: tuple[float, str], **settings) -> FakeVideo:
        return FakeVideo(scenes=scenes, **settings)

    return make


@pytest.fixture
def watcher() -> Callable[..., ScriptedModel]:
    """A model that captions what is shown and answers by a function of (question, things seen)."""

    def make(video: FakeVideo, answer: Callable[[str, list[str]], str], **settings):
        def script(text: str, batch: FrameBatch | None) -> str:
            assert batch is not None
            seen = video.seen_in(batch)
            return " ".join(seen) if text == "Describe the clip." else answer(text, seen)

        clip = ClipRecipe(frames=8, size_px=(64, 32), leaf_s=4.0, reads_transcript=False)
        clip = settings.pop("clip", clip)
        return ScriptedModel(script, clip=clip, **settings)

    return make


SCENES = (
    (16.0, "a green cross stays still."),
    (32.0, "a red star moves left."),
    (48.0, "a blue star moves up."),
    (64.0, "a yellow circle bounces."),
)
"""Sixty-four seconds that the shared questions are about."""
QUESTION = "How does the red star move?"


def truthful(question: str, seen: list[str]) -> str:
    """Answers motion, colour and presence from the sentences it sees; says when nothing fits."""
    asked = set(re.findall(r"\w+", question.split("\n")[0].lower()))
    things = {"cross", "star", "circle", "square"} & asked
    named = asked & {"green", "red", "blue", "yellow", "purple"}
    for sentence in seen:
        words = re.findall(r"\w+", sentence)
        if things | named <= set(words):
            if "colour" in asked:
                return words[1]
            return f"it {' '.join(words[3:])}" if "move" in asked else "yes"
    return "no" if question.startswith("Is there") else "there is no such thing."


def navigates(text: str, batch: FrameBatch | None = None) -> str:
    """A reasoning model by rule, from the last message alone: opens what holds a red star, looks
    at it on the lowest level, answers what it is told."""
    told = re.search(r"<information>(it [^<]*)</information>", text)
    if told:
        return f"<think>found</think><answer>{told.group(1)}</answer>"
    node = re.search(r"\((\d+), (\d+)\) [^\n]*red star", text)
    if node:
        name = f"({node.group(1)}, {node.group(2)})"
        return f'<think>look</think><tool>video_qa({name}, "{QUESTION}")</tool>'
    node = re.search(r"\((\d+)\) [^\n]*red star", text)
    if node and "last turn" not in text:
        return f"<think>open</think><tool>open(({node.group(1)},))</tool>"
    return "<think>nothing</think><answer>it is not there</answer>"


@pytest.fixture
def video() -> FakeVideo:
    """Shows `SCENES`."""
    return FakeVideo(scenes=SCENES)


@pytest.fixture
def model(video, watcher) -> ScriptedModel:
    """Watches `video` and is `honest`."""
    return watcher(video, truthful)


@dataclass
class Thinker:
    """A text-only model: one reply after the other, the last one again and again; or a function of
    the last message. `told` is what it was sent, `said` what it wrote."""

    replies: Sequence[str] | Callable[[str], str]
    name: str = "thinker"
    fingerprint: str = "thinker"
    lineage: str = "thinker"
    calibrated: bool = False
    clip: ClipRecipe = field(default_factory=lambda: ClipRecipe(frames=1, leaf_s=4.0))
    notes: tuple[str, ...] = ()
    tier: Tier = "small"
    takes_tools: bool = False
    told: list[str] = field(default_factory=list)
    said: list[Reply] = field(default_factory=list)

    def generate(self, request: GenerateRequest) -> list[Reply]:
        (conversation,) = request.conversations
        parts = conversation[-1].parts
        text = "\n".join(part.text for part in parts if isinstance(part, TextPart))
        self.told.append(text)
        if callable(self.replies):
            written = self.replies(text)
        else:
            written = self.replies[min(len(self.said), len(self.replies) - 1)]
        told = [part for m in conversation for part in m.parts if isinstance(part, TextPart)]
        size = sum(len(part.text.split()) for part in told)
        tokens_out = len(written.split())
        self.said.append(
            Reply(text=written, token_ids=(), logprobs=(), tokens_in=size, tokens_out=tokens_out)
        )
        return [self.said[-1]]


@pytest.fixture
def thinker() -> type[Thinker]:
    """`thinker([...])` or `thinker(function)`: see `Thinker`."""
    return Thinker


@pytest.fixture
def navigator() -> Thinker:
    """A `Thinker` that navigates by rule."""
    return Thinker(navigates)


@pytest.fixture
def honest() -> Callable[[str, list[str]], str]:
    """What `model` answers by."""
    return truthful
