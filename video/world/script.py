"""The script of a world: what is where, when, and how it moves. JSON in, JSON out.

Coordinates are fractions of the frame (x of width, y of height), sizes are fractions of the frame
*height*, times are seconds. Scripts are untrusted: the limits below bound what one can ask of
memory and time.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    model_validator,
)

from mmreason.video.files import write_atomic
from mmreason.video.json_input import JsonInputError, read_json
from mmreason.video.plain_text import show_line
from mmreason.video.types import Span, VideoError

if TYPE_CHECKING:
    import numpy as np

Shape = Literal["circle", "square", "triangle", "star", "cross", "ring"]
CutOut = Literal["cup", "cat", "shuttle", "helmet", "horse", "tripod"]
"""Photographed things, cut out by hand."""
Form = Shape | CutOut
Colour = Literal["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "white"]
Size = Literal["small", "large"]
Pattern = Literal["plain", "striped", "dotted"]
Background = Literal["black", "slate", "brown", "forest", "navy", "plum"]
Ground = Literal["plain", "weave", "planks", "clouds", "grass", "gravel", "brick", "stars"]
"""On a background; `grass` and what follows are photographs."""
MotionKind = Literal["still", "left", "right", "up", "down", "enter", "leave", "circle", "bounce"]
Side = Literal["left", "right"]
Playback = Literal["forward", "reverse", "frozen"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]

MAX_BYTES = 4_000_000
"""Of a script: a day of scenes of ten seconds takes about half."""
MAX_SCENES = 20_000
MAX_ACTORS = 32
"""In one scene. This bounds how far `touch` and `occlude` lead from one actor to the next, too."""
MAX_EVENTS = 64
"""In one scene."""
MAX_SUBTITLES = 20_000
MAX_DURATION_S = 86_400.0
MIN_SCENE_S = 0.001
MIN_MOTION_S = 0.05
MIN_SCALE = 0.1
MIN_FPS_HZ = 0.01
MAX_FPS_HZ = 120.0
MAX_SIDE_PX = 4096
MAX_PIXELS = 4096 * 2304
"""Of one frame: 16 to 9 at the longest side."""
MAX_FIELDS = 32
"""Of one object."""
MAX_NAME = 200
"""Characters of a name or an id."""
MAX_TEXT = 1_000
"""Characters of a line of subtitles."""
_MAX_REASON = 300
"""Characters of what is said of a mistake; the ids of a scene may be many."""

RADIUS = {"small": 0.125, "large": 0.2}
"""Radius by size, in frame heights: a ratio of 1.6, above the 1.4 that people tell apart at a
glance."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _has_few_fields(cls, values: Any) -> Any:
        # Every unknown field would be an error of its own, and a file has room for many.
        if isinstance(values, dict) and len(values) > MAX_FIELDS:
            raise ValueError(f"an object has at most {MAX_FIELDS} fields, got {len(values):,}")
        return values


class Motion(_Part):
    """How an actor moves over its scene.

    `left/right/up/down` travel `travel` frame heights at even speed; `enter` comes in from `side`
    during the first 40 % of the scene, `leave` goes out over the last 40 %; `circle` goes round
    once in `period_s`; `bounce` hops up and down with `period_s`. An `onset_s` or a `length_s`
    says when instead: the actor rests before and after.
    """

    kind: MotionKind = "still"
    travel: Annotated[float, Field(gt=0.0, le=2.0)] = 0.5
    side: Side = "left"
    period_s: Annotated[float, Field(gt=0.2)] = 2.4
    onset_s: Annotated[float, Field(ge=0.0, le=MAX_DURATION_S)] | None = None
    """When it begins to move, from the start of its scene."""
    length_s: Annotated[float, Field(ge=MIN_MOTION_S, le=MAX_DURATION_S)] | None = None
    """For how long it moves; None: until the scene ends."""


class Actor(_Part):
    id: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    shape: Form
    colour: Colour
    size: Size = "large"
    pattern: Pattern = "plain"
    x: Fraction = 0.5
    y: Fraction = 0.5
    """Centre: where it rests, or where a travel begins."""
    motion: Motion = Motion()


class Event(_Part):
    """Something that happens to an actor at a time. `touch`: the actor travels until its edge
    meets `other`'s at `time_s` and stays. `occlude`: it crosses in front of `other`, centred on it
    at `time_s`."""

    kind: Literal["appear", "disappear", "change_colour", "touch", "occlude"]
    actor: str
    time_s: float
    other: str | None = None
    colour: Colour | None = None

    @model_validator(mode="after")
    def _complete(self) -> Event:
        if self.kind == "change_colour" and self.colour is None:
            raise ValueError("a change_colour event needs `colour`")
        if self.kind in ("touch", "occlude") and self.other is None:
            raise ValueError(f"a {self.kind} event needs `other`")
        return self


class Scene(_Part):
    start_s: float
    end_s: Annotated[float, Field(le=MAX_DURATION_S)]
    background: Background = "slate"
    ground: Ground = "plain"
    actors: Annotated[tuple[Actor, ...], FailFast(), Field(max_length=MAX_ACTORS)] = ()
    events: Annotated[tuple[Event, ...], FailFast(), Field(max_length=MAX_EVENTS)] = ()
    text: Annotated[str, Field(max_length=40)] | None = None
    """A word shown at the bottom of the screen during the whole scene."""
    scale: Annotated[float, Field(ge=MIN_SCALE, le=1.0)] = 1.0
    """Of all actors of the scene: their radius is that of their size times this."""

    @model_validator(mode="after")
    def _consistent(self) -> Scene:
        if self.end_s <= self.start_s:
            raise ValueError(f"scene must end after it starts, got {self.start_s}..{self.end_s} s")
        if self.end_s - self.start_s < MIN_SCENE_S:
            raise ValueError(
                f"scene must last at least {MIN_SCENE_S} s, got {self.start_s}..{self.end_s} s"
            )
        ids = [actor.id for actor in self.actors]
        if len(set(ids)) != len(ids):
            raise ValueError(f"actor ids of a scene must differ, got {ids}")
        for actor in self.actors:
            _check_motion(actor, self.end_s - self.start_s)
        for event in self.events:
            for name in (event.actor, event.other):
                if name is not None and name not in ids:
                    raise ValueError(f"event {event.kind!r} names {name!r}, which is not in {ids}")
            if not self.start_s <= event.time_s <= self.end_s:
                raise ValueError(
                    f"event {event.kind!r} at {event.time_s} s lies outside its scene "
                    f"({self.start_s}..{self.end_s} s)"
                )
        for actor_id in dict.fromkeys(event.actor for event in self.events):
            _check_life([event for event in self.events if event.actor == actor_id])
        _check_meetings({e.actor: e.other for e in self.events if e.other is not None})
        return self

    @property
    def span(self) -> Span:
        return Span(self.start_s, self.end_s)

    def actor(self, actor_id: str) -> Actor:
        return next(actor for actor in self.actors if actor.id == actor_id)

    def radius(self, actor: Actor) -> float:
        """Of an actor, in frame heights."""
        return RADIUS[actor.size] * self.scale


def _check_motion(actor: Actor, scene_s: float) -> None:
    """A motion with times of its own lies within its scene."""
    onset_s, length_s = actor.motion.onset_s or 0.0, actor.motion.length_s or 0.0
    if onset_s + length_s > scene_s + 1e-6 or onset_s >= scene_s:
        raise ValueError(
            f"actor {actor.id!r} must move within its scene of {scene_s:g} s, "
            f"got onset_s {onset_s:g} and length_s {length_s:g}"
        )


def _check_life(events: list[Event]) -> None:
    """One actor's events: it meets at most one other, and appears and disappears at most once."""
    name = events[0].actor
    meetings = [event.kind for event in events if event.other is not None]
    if len(meetings) > 1:
        raise ValueError(f"actor {name!r} can touch or occlude one other at most, got {meetings}")
    appears = [event.time_s for event in events if event.kind == "appear"]
    disappears = [event.time_s for event in events if event.kind == "disappear"]
    # Compared item by item: what never disappears does so at infinity.
    if max(len(appears), len(disappears)) > 1 or [0.0, *appears] > [0.0, *disappears, math.inf]:
        raise ValueError(
            f"actor {name!r} can appear once and disappear once after that, "
            f"got appear at {appears} s and disappear at {disappears} s"
        )


def _check_meetings(partners: dict[str, str]) -> None:
    """Who travels to whom must not lead back to where it began: nobody would know where to go."""
    for start in partners:
        # Each has one partner at most, so that a walk either ends or comes round.
        name, path = start, [start]
        while name in partners and len(path) <= len(partners):
            name = partners[name]
            path.append(name)
            if name == start:
                raise ValueError(f"touch and occlude events run in a ring: {' -> '.join(path)}")


class SubtitleLine(_Part):
    start_s: Annotated[float, Field(ge=-MAX_DURATION_S)]
    end_s: Annotated[float, Field(le=MAX_DURATION_S)]
    text: Annotated[str, Field(max_length=MAX_TEXT)]

    @model_validator(mode="after")
    def _ordered(self) -> SubtitleLine:
        if self.end_s <= self.start_s:
            raise ValueError(
                f"subtitle line must end after it starts, got {self.start_s}..{self.end_s} s"
            )
        return self


class World(_Part):
    """A whole video. Scenes follow each other without gap or overlap from 0 s."""

    format: Literal["mmreason-world-1"] = "mmreason-world-1"
    name: Annotated[str, Field(max_length=MAX_NAME)] = "world"
    seed: int | None = None
    width_px: Annotated[int, Field(ge=16, le=MAX_SIDE_PX, multiple_of=2)] = 640
    height_px: Annotated[int, Field(ge=16, le=MAX_SIDE_PX, multiple_of=2)] = 360
    fps_hz: Annotated[float, Field(ge=MIN_FPS_HZ, le=MAX_FPS_HZ)] = 25.0
    scenes: Annotated[tuple[Scene, ...], FailFast(), Field(min_length=1, max_length=MAX_SCENES)]
    subtitles: Annotated[tuple[SubtitleLine, ...], FailFast(), Field(max_length=MAX_SUBTITLES)] = ()
    playback: Playback = "forward"
    """`reverse` shows the same frames from the last to the first, `frozen` one of them throughout.
    Times in scenes stay those of the script; `script_time_s` leads from one to the other."""
    frozen_at_s: Annotated[float, Field(ge=0.0, le=MAX_DURATION_S)] = 0.0
    """The time of the script that a frozen world shows."""

    @model_validator(mode="after")
    def _fits(self) -> World:
        if self.width_px * self.height_px > MAX_PIXELS:
            raise ValueError(
                f"a frame has at most {MAX_PIXELS:,} pixels, got {self.width_px} x {self.height_px}"
            )
        return self

    @model_validator(mode="after")
    def _tiles(self) -> World:
        expected_s = 0.0
        for index, scene in enumerate(self.scenes):
            # Times are rounded to milliseconds when a world is written.
            if abs(scene.start_s - expected_s) > 1e-6:
                raise ValueError(
                    f"scene {index} must start where the one before ends "
                    f"({expected_s} s), got {scene.start_s} s"
                )
            expected_s = scene.end_s
        return self

    @property
    def duration_s(self) -> float:
        return self.scenes[-1].end_s

    @property
    def frame_count(self) -> int:
        """Frames of the video: those of the grid `i / fps_hz` that begin before its end."""
        # 0.3 s at 10 Hz is 3 frames, though 0.3 * 10 is a little more in floats.
        return math.ceil(self.duration_s * self.fps_hz - 1e-9)

    @property
    def aspect(self) -> float:
        return self.width_px / self.height_px

    @property
    def size_px(self) -> tuple[int, int]:
        return (self.width_px, self.height_px)

    @property
    def span(self) -> Span:
        return Span(0.0, self.duration_s)

    def script_time_s(self, time_s: float) -> float:
        """The time of the script that is shown at a time of the video.

        Example:
            >>> world = World(fps_hz=10, scenes=(Scene(start_s=0, end_s=2),), playback="reverse")
            >>> world.script_time_s(0.5)
            1.4
        """
        if self.playback == "forward":
            return time_s
        if self.playback == "frozen":
            return min(self.frozen_at_s, (self.frame_count - 1) / self.fps_hz)
        # In frames, so that frame i is frame n - 1 - i of the script to the last bit.
        index = round(time_s * self.fps_hz, 6)
        return max(0.0, self.frame_count - 1 - index) / self.fps_hz

    def scene_at(self, time_s: float) -> Scene:
        """The scene at a time of the script; before the start the first, after the end the
        last."""
        # Bisection: worlds of a day have thousands of scenes, and every frame asks.
        low, high = 0, len(self.scenes) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.scenes[middle].start_s <= time_s:
                low = middle
            else:
                high = middle - 1
        return self.scenes[low]

    def scenes_in(self, span: Span) -> list[Scene]:
        return [scene for scene in self.scenes if scene.span.overlap_s(span) > 0]

    def frame(self, time_s: float, size_px: tuple[int, int] | None = None) -> np.ndarray:
        """The frame shown at a time: uint8 (H, W, 3) RGB. `size_px` is (width, height). After the
        end the last frame stays."""
        from mmreason.video.world.render import draw_pixels

        last_s = (self.frame_count - 1) / self.fps_hz
        shown_s = time_s if time_s < self.duration_s else last_s
        return draw_pixels(self, shown_s, size_px or self.size_px)

    def to_json(self) -> str:
        # The format first and always, since readers tell a script by it.
        data = {"format": self.format} | self.model_dump(exclude_defaults=True, mode="json")
        return json.dumps(data, indent=1, ensure_ascii=False) + "\n"

    def save(self, path: str | Path) -> Path:
        """Write the script. Raises `VideoError` where the folder cannot be written."""
        path = Path(path)
        try:
            return write_atomic(path, self.to_json().encode())
        except OSError as error:
            raise VideoError(f"{path}: cannot be written ({error})") from error

    @classmethod
    def load(cls, path: str | Path) -> World:
        """Read a script. Raises `VideoError` naming the file and the first thing that is wrong in
        it."""
        path = Path(path)
        try:
            return cls.model_validate(read_json(path, most_bytes=MAX_BYTES))
        except ValidationError as error:
            # One is enough to mend: pydantic lists every field of every scene.
            first = error.errors()[0]
            field = ".".join(str(step) for step in first["loc"]) or "the file"
            raise VideoError(
                f"{path}: not a valid world script: {show_line(field)[:_MAX_REASON]}: "
                f"{show_line(first['msg'])[:_MAX_REASON]}"
            ) from error
        except JsonInputError as error:
            raise VideoError(f"{path}: cannot be read as a world script: {error}") from error
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise VideoError(f"{path}: cannot be read as a world script ({why})") from error
