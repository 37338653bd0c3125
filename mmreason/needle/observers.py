"""Models without weights: they read a world's script at the times of the frames they are shown.

The captioner tells what a stretch holds, as well as its noise allows; the looker answers the
question forms of `world.questions` from the shown frames alone and says "there is no star." where
none of them shows one. Noise comes from a stable hash, so the same frames are always told the same
way, and what is told at one chance is told at every higher one. Pixels are never looked at.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mmreason.models.base import (
    ClipRecipe,
    FramesPart,
    GenerateRequest,
    Message,
    Reply,
    TextPart,
    Tier,
)
from mmreason.needle.words import (
    ATTRIBUTES,
    VALUES,
    Attribute,
    Figure,
    figure_of,
    motion_answer,
    parse_question,
    split_word_clause,
    things_of,
    to_singular,
)
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch, Span
from mmreason.video.world.motion import actor_position
from mmreason.video.world.script import Actor, Scene, World
from mmreason.video.world.truth import add_article

STILL_S = 1e-3
"""A single frame is told as a stretch of this length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionNoise:
    """How good the captioner is. The defaults are perfect.

    Example:
        >>> noise = CaptionNoise(p_mention=((10.0, 1.0), (math.inf, 0.5)))
        >>> noise.chance(3.0), noise.chance(60.0)
        (1.0, 0.5)
    """

    p_mention: tuple[tuple[float, float], ...] = ((math.inf, 1.0),)
    """(longest stretch in seconds, chance that a thing in it is told), shortest first."""
    drop_rate: float = 0.0
    """Chance that each of a told thing's colour, size and pattern is left out."""
    false_rate: float = 0.0
    """Chance that a caption tells of one thing that is not there."""
    most_words: int | None = None
    """Longest caption. The words on the screen stay; things that do not fit are left out, at
    random."""
    seed: int = 0

    def __post_init__(self) -> None:
        rates = (self.drop_rate, self.false_rate, *(p for _, p in self.p_mention))
        if not self.p_mention or not all(0.0 <= rate <= 1.0 for rate in rates):
            raise UsageError(f"chances of a captioner must be from 0 to 1, got {self}")

    def chance(self, length_s: float) -> float:
        """Chance that a thing is told in a caption of a stretch of `length_s`."""
        for longest_s, chance in self.p_mention:
            if length_s <= longest_s:
                return chance
        return self.p_mention[-1][1]


PERFECT = CaptionNoise()


TOKENS_PER_FRAME = 46
"""Visual tokens that are counted a frame: about what the packaged model needs."""


@dataclass
class OracleModel:
    """A `ChatModel` that knows one world. Counts a token a word, and `TOKENS_PER_FRAME` a frame.

    It is not bound by `max_new_tokens`: how long a caption may be is part of its noise.
    """

    reader: ScriptReader
    clip: ClipRecipe
    name: str
    lineage: str = "oracle"
    calibrated: bool = False
    notes: tuple[str, ...] = ()
    tier: Tier = "nano"
    takes_tools: bool = False
    calls: int = 0
    frames: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """See `ChatModel`. Only the last message of a conversation is read."""
        request.refuse_constraint(self.name)
        request.refuse_tools(self.name)
        replies = [self._reply(conversation[-1]) for conversation in request.conversations]
        return [reply.cut_at(request.stop) for reply in replies]

    def _reply(self, message: Message) -> Reply:
        text = "\n".join(part.text for part in message.parts if isinstance(part, TextPart))
        batch = next((p.frames for p in message.parts if isinstance(p, FramesPart)), None)
        written = self.reader(text, batch)
        frame_count = 0 if batch is None else len(batch)
        word_count = len(written.split())
        # Costs as a real model would report them, so that budgets and ledgers work.
        # Costs are what benchmarks compare, so an oracle has to have some.
        visual = frame_count * TOKENS_PER_FRAME
        self.calls += 1
        self.frames += frame_count
        self.tokens_in += len(text.split()) + visual
        self.tokens_out += word_count
        return Reply(
            text=written,
            token_ids=tuple(range(word_count)),
            logprobs=(-0.05,) * word_count,
            tokens_in=len(text.split()) + visual,
            tokens_out=word_count,
            tokens_visual=visual,
        )


def make_oracle(
    world: World, noise: CaptionNoise = PERFECT, *, frames: int = 8, leaf_s: float = 3.0
) -> OracleModel:
    """A model that knows `world` and watches clips as the packaged model does, in tiny pictures."""
    settings = json.dumps(asdict(noise), sort_keys=True)
    # World and noise are the model: another of either may not share stored replies.
    digest = hashlib.sha256((settings + world.to_json()).encode()).hexdigest()[:16]
    clip = ClipRecipe(frames=frames, size_px=(16, 16), leaf_s=leaf_s)
    reader = ScriptReader(world, noise, clip.prompts.caption)
    return OracleModel(reader, clip, name=f"oracle {digest}")


@dataclass
class ScriptReader:
    """Captions and answers about one world by (prompt, frames)."""

    world: World
    noise: CaptionNoise
    caption_prompt: str
    _starts_s: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._starts_s = [scene.start_s for scene in self.world.scenes]

    def __call__(self, text: str, frames: FrameBatch | None) -> str:
        if frames is None or not len(frames):
            return "this is outside my world."
        if text.strip() == self.caption_prompt:
            return self.caption(frames.times_s)
        return self.answer(text.strip().splitlines()[0], frames.times_s)

    def caption(self, times_s: np.ndarray) -> str:
        """What the stretch that the frames are spread over holds, each thing told once."""
        span = span_of_frames(times_s)
        scenes = self._scenes_in(span)
        chance = self.noise.chance(span.duration_s)
        # 1. The things, each once however many scenes show it.
        figures = dict.fromkeys(figure_of(a) for scene in scenes for a in scene.actors)
        things = [
            self._describe(span, figure)
            for figure in figures
            if self._draw(span, figure, "mention") < chance
        ]
        if self._draw(span, None, "false") < self.noise.false_rate:
            things.append(self._invented(span))
        # 2. The words on the screen always stay: without them no question of a chapter could be
        # answered.
        screen_words = dict.fromkeys(scene.text for scene in scenes if scene.text)
        verb = ("the word", "is") if len(screen_words) == 1 else ("the words", "are")
        ending = (
            f"{verb[0]} {' and '.join(screen_words)} {verb[1]} on the screen."
            if screen_words
            else ""
        )
        # 3. Things in random order while there is room, told in their own.
        room = math.inf if self.noise.most_words is None else self.noise.most_words
        # What has no room is left out at random and not from the end, or late things would never be
        # told.
        room -= len(ending.split())
        fitting = []
        for name in sorted(things, key=lambda n: self._draw(span, None, n)):
            if (room := room - len(name.split())) >= 0:
                fitting.append(name)
        sentences = "".join(f"{name}. " for name in things if name in fitting)
        return (sentences + ending).strip() or "nothing is there."

    def answer(self, question: str, times_s: np.ndarray) -> str:
        """The answer that the shown frames give; a clause about the word on the screen counts."""
        # Only frames on which the clause's word is shown count.
        plain, word = split_word_clause(question)
        sightings = [
            (float(t), scene, actor)
            for t in times_s
            for scene in (self._scene_at(float(t)),)
            if word is None or scene.text == word
            for actor in scene.actors
        ]
        question_parts = parse_question(plain)
        if question_parts is not None and question_parts[0] in _REPLIES:
            return _REPLIES[question_parts[0]](self, sightings, *question_parts[1])
        if plain == "What word is on the screen?":
            return str(self._scene_at(float(times_s[0])).text or "there is no word.")
        return "this is outside my world."

    def _scene_at(self, time_s: float) -> Scene:
        return self.world.scenes[max(0, bisect_right(self._starts_s, time_s) - 1)]

    def _scenes_in(self, span: Span) -> tuple[Scene, ...]:
        first = max(0, bisect_right(self._starts_s, span.start_s) - 1)
        # Half-open: a scene that begins where the span ends is not in it.
        last = max(first + 1, bisect_right(self._starts_s, span.end_s - 1e-9))
        return self.world.scenes[first:last]

    def _describe(self, span: Span, figure: Figure) -> str:
        attributes: list[Attribute] = [
            a
            for a in ATTRIBUTES
            if a == "shape" or self._draw(span, figure, a) >= self.noise.drop_rate
        ]
        return add_article(describe_figure(figure, tuple(attributes)))

    def _invented(self, span: Span) -> str:
        values: dict[str, Any] = {
            a: VALUES[a][int(self._draw(span, None, f"invented {a}") * len(VALUES[a]))]
            for a in ATTRIBUTES
        }
        return add_article(describe_figure(Figure(**values), ATTRIBUTES))

    def _draw(self, span: Span, figure: Figure | None, what: str) -> float:
        """Uniform in [0, 1), the same for the same arguments, world and seed."""
        # No state: the order in which captions are made changes nothing.
        key = (self.world.name, self.noise.seed, span.to_list(), repr(figure), what)
        digest = hashlib.sha256(repr(key).encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64


_Sightings = list[tuple[float, Scene, Actor]]


def describe_figure(figure: Figure, attributes: tuple[Attribute, ...]) -> str:
    """`figure` in the words of `world.truth.noun`, of `attributes` alone.

    Example:
        >>> describe_figure(Figure("star", "red", "large", "striped"), ("shape", "colour"))
        'red star'
    """

    values = [
        figure.value(a)
        for a in ("size", "colour", "pattern", "shape")
        if a in attributes and (a != "pattern" or figure.pattern != "plain")
    ]
    return " ".join(values)


def span_of_frames(times_s: np.ndarray) -> Span:
    """The stretch that evenly spread frames at `times_s`, float (N,), stand for: half a step beyond
    the first and the last.

    Example:
        >>> span_of_frames(np.array([1.0, 3.0, 5.0]))
        Span(start_s=0.0, end_s=6.0)
    """

    first_s, last_s = float(np.min(times_s)), float(np.max(times_s))
    if len(times_s) < 2 or last_s <= first_s:
        return Span(first_s, first_s + STILL_S)
    half_s = (last_s - first_s) / (len(times_s) - 1) / 2
    return Span(max(0.0, first_s - half_s), last_s + half_s)


def phrase_fits(phrase: str, figure: Figure) -> bool:
    """Whether all words of a phrase fit.

    Example:
        >>> star = Figure("star", "red", "large", "plain")
        >>> phrase_fits("red object", star), phrase_fits("small star", star)
        (True, False)
    """

    phrase_words = phrase.split()
    values = {figure.value(a) for a in ATTRIBUTES} | {"object"}
    return bool(phrase_words) and all(word in values for word in phrase_words)


def _about_first(
    reply: Callable[[ScriptReader, _Sightings], str],
) -> Callable[[ScriptReader, _Sightings, str], str]:
    """The answer about the first thing that a phrase fits."""

    def about(reader: ScriptReader, sightings: _Sightings, phrase: str) -> str:
        fits = [row for row in sightings if phrase_fits(phrase, figure_of(row[2]))]
        # Several may fit a phrase: a model talks of the first one it sees.
        of_first = [row for row in fits if row[2].id == fits[0][2].id]
        return f"{reply(reader, of_first)}." if of_first else f"there is no {phrase}."

    return about


def _value(attribute: Attribute) -> Callable[[ScriptReader, _Sightings], str]:
    return lambda _, rows: figure_of(rows[0][2]).value(attribute)


def _move(_: ScriptReader, rows: _Sightings) -> str:
    """One frame shows no motion."""
    kind = rows[0][2].motion.kind
    # Seen on one frame alone, everything stands still.
    return motion_answer(kind if len({t for t, _, _ in rows}) > 1 else "still")


def _place(reader: ScriptReader, rows: _Sightings) -> str:
    # Of the frames on which it is seen, the middle one.
    time_s, scene, actor = rows[len(rows) // 2]
    x = actor_position(reader.world, scene, actor, time_s)[0] / reader.world.aspect
    return "on the left" if x < 0.4 else "on the right" if x > 0.6 else "in the middle"


def _is_there(_: ScriptReader, sightings: _Sightings, phrase: str) -> str:
    return "yes." if any(phrase_fits(phrase, figure_of(a)) for _, _, a in sightings) else "no."


def _how_many(_: ScriptReader, sightings: _Sightings, what: str) -> str:
    fits = {a.id for _, _, a in sightings if phrase_fits(to_singular(what), figure_of(a))}
    return f"{len(fits)}."


def _comes(_: ScriptReader, sightings: _Sightings, end: str, things: str) -> str:
    """First or last by first sight; a thing that is not shown is said to be missing."""
    names = things_of(things)
    first_s = {
        name: min((t for t, _, a in sightings if phrase_fits(name, figure_of(a))), default=math.inf)
        for name in names
    }
    missing = [name for name in names if first_s[name] == math.inf]
    if missing:
        return f"there is no {missing[0]}."
    best = (min if end == "first" else max)(names, key=lambda name: first_s[name])
    return f"the {best}."


_REPLIES: dict[str, Callable[..., str]] = {
    "colour": _about_first(_value("colour")),
    "shape": _about_first(_value("shape")),
    "pattern": _about_first(_value("pattern")),
    "size": _about_first(_value("size")),
    "motion": _about_first(_move),
    "location": _about_first(_place),
    "existence": _is_there,
    "count": _how_many,
    "order": _comes,
}
