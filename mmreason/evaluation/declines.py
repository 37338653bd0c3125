"""Measures whether a model of scripted worlds declines footage that is none.

Each source is shown at five brightnesses, each window is asked every question, as a clip and as a
still. A source counts as invented if any reply to any of them is neither a decline nor an empty
list of boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mmreason.evaluation.decline_sources import LIGHTS, Source, at_light
from mmreason.evaluation.scoring import Proportion
from mmreason.grounding import parse_boxes
from mmreason.language.prompts import Prompts
from mmreason.language.refusals import declines_to_answer
from mmreason.models.base import ChatModel, FramesPart, GenerateRequest, Message, TextPart
from mmreason.video.types import FrameBatch, VideoError

QUESTIONS = (
    "What colour is the star?",
    "How many objects are there?",
    "What shape is the red object?",
    "How does the circle move?",
    "Where is the square?",
    "What word is on the screen?",
)
"""In words that nano knows, so that only the picture can be the reason to decline."""
THING = "white star"
BATCH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceResult:
    """What a model said of one source.

    `replies` counts all replies; `invented` those that claim something, of which `examples` holds
    (brightness, prompt, reply).

    Example:
        >>> SourceResult(
        ...     name="pictures/cat.png", group="pictures", is_held_out=True, replies=45, invented=1,
        ...     guarded=40, examples=((0.6, "Where is the square?", "on the left."),),
        ... ).invented
        1
    """

    name: str
    group: str
    is_held_out: bool
    replies: int
    invented: int
    guarded: int
    """Replies that the model's guard gave in its place."""
    examples: tuple[tuple[float, str, str], ...]


@dataclass
class DeclineResults:
    """All sources that could be read, and those that could not."""

    sources: list[SourceResult] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def share(self, *, held_out: bool, group: str | None = None) -> Proportion:
        """Sources with an invention, of those of one half (and one group)."""
        chosen = [
            source
            for source in self.sources
            if source.is_held_out == held_out and group in (None, source.group)
        ]
        return Proportion(sum(source.invented > 0 for source in chosen), len(chosen))

    def replies(self, *, held_out: bool) -> Proportion:
        """Replies that invent, of all of one half; they are not independent of each other."""
        chosen = [source for source in self.sources if source.is_held_out == held_out]
        return Proportion(
            sum(source.invented for source in chosen), sum(source.replies for source in chosen)
        )


def measure_declines(
    model: ChatModel,
    sources: Iterable[Source],
    *,
    on_source: Callable[[int], None] | None = None,
) -> DeclineResults:
    """Ask `model` about every source; sources that cannot be read are listed, not counted."""
    results = DeclineResults()
    for done, source in enumerate(sources, 1):
        try:
            windows = source.windows(model.clip.frames, model.clip.size_px)
        # What no decoder reads is no finding about the model.
        except VideoError:
            results.unreadable.append(source.name)
        else:
            results.sources.append(_measure(model, source, windows))
        if on_source is not None:
            on_source(done)
    return results


@dataclass(frozen=True, slots=True)
class _Ask:
    light: float
    frames: FrameBatch
    kind: str
    prompt: str


def _measure(model: ChatModel, source: Source, windows: list[FrameBatch]) -> SourceResult:
    # Every window at every brightness with every question: one slip makes the source invented.
    asks = [ask for window in windows for ask in _asks(window, model.clip.prompts)]
    invented: list[tuple[float, str, str]] = []
    guarded = 0
    # A batch holds clips or stills: models take one kind of input at a time.
    for kind in ("video", "image"):
        same_kind = [ask for ask in asks if ask.kind == kind]
        for start in range(0, len(same_kind), BATCH):
            chunk = same_kind[start : start + BATCH]
            conversations = [
                [Message("user", (FramesPart(a.frames, kind), TextPart(a.prompt)))] for a in chunk
            ]
            replies = model.generate(GenerateRequest(conversations))
            for ask, reply in zip(chunk, replies, strict=True):
                # The guard marks what it said in the place of the weights.
                guarded += reply.note.startswith("declined: ")
                if not _is_declined(model, reply.text):
                    invented.append((ask.light, ask.prompt, reply.text))
    return SourceResult(
        name=source.name,
        group=source.group,
        is_held_out=source.is_held_out,
        replies=len(asks),
        invented=len(invented),
        guarded=guarded,
        # Three are enough to see what kind of thing is invented.
        examples=tuple(invented[:3]),
    )


def _asks(window: FrameBatch, prompts: Prompts) -> Iterator[_Ask]:
    middle = len(window) // 2
    for light in LIGHTS:
        clip = at_light(window, light)
        still = FrameBatch(
            pixels=clip.pixels[middle : middle + 1],
            times_s=clip.times_s[middle : middle + 1],
            exact=clip.exact[middle : middle + 1],
        )
        # Questions may be about motion, so they get the clip; boxes are of one picture.
        for question in QUESTIONS:
            yield _Ask(light, clip, "video", prompts.ask(question))
        yield _Ask(light, clip, "video", prompts.caption)
        yield _Ask(light, still, "image", prompts.caption)
        yield _Ask(light, still, "image", prompts.find(THING))


def _is_declined(model: ChatModel, text: str) -> bool:
    # A reply in a fence is a list of boxes: an empty one claims nothing.
    if text.lstrip().startswith("```"):
        return not parse_boxes(text, model.clip.box_dialect, (1000, 1000)).boxes
    return declines_to_answer(text)
