"""A narration as a script: scenes of drawn slides and panned photographs, and what is said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Channel = Literal["speech", "screen_text", "label"]


@dataclass(frozen=True, slots=True)
class SlideLine:
    """A line of a slide: its text, the share of the scene (0 to 1) after which it appears, and the
    height of its letters in a picture 480 pixels high.

    Example:
        >>> SlideLine("Budget: 900 euros", 0.3).height_px
        26
    """

    text: str
    appears: float = 0.0
    height_px: int = 26


@dataclass(frozen=True, slots=True)
class Slide:
    """A drawn slide: lines from the top down, the first being its title; two colours (RGB)."""

    lines: tuple[SlideLine, ...]
    ground_rgb: tuple[int, int, int] = (255, 255, 255)
    text_rgb: tuple[int, int, int] = (20, 20, 20)


@dataclass(frozen=True, slots=True)
class PannedPhotograph:
    """A photograph under a moving window: `path`, what it shows (a plain noun), and the window at
    the start and at the end as (x, y, width) in shares of the largest one that fits."""

    path: Path
    label: str
    start_window: tuple[float, float, float] = (0.0, 0.0, 1.0)
    end_window: tuple[float, float, float] = (0.2, 0.2, 0.8)


@dataclass(frozen=True, slots=True)
class Fact:
    """What one scene tells through one channel and no other: the subject and the value that
    answers. `accepted` are other forms of the value (in digits, in words).

    Example:
        >>> Fact("budget", "speech", "the boat house", "nine hundred euros", ("900 euros",)).value
        'nine hundred euros'
    """

    family: str
    channel: Channel
    subject: str
    value: str
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NarratedScene:
    """What is shown, the sentences spoken over it, and the facts told; `fact_sentence` is the
    sentence that tells the spoken one, `fact_line` the line of the slide that tells the written
    one."""

    ground: Slide | PannedPhotograph
    sentences: tuple[str, ...]
    facts: tuple[Fact, ...] = ()
    fact_sentence: int | None = None
    fact_line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Narration:
    """The script of a made video: 3 to 6 scenes of 4 to 10 seconds.

    `has_cursor` and `has_inset` draw a moving mouse pointer and a small moving picture (as of a
    webcam) over slides: neither is text.
    """

    seed: int
    scenes: tuple[NarratedScene, ...]
    voice: str = "en-us"
    words_per_minute: int = 150
    has_cursor: bool = False
    has_inset: bool = False

    @property
    def facts(self) -> tuple[Fact, ...]:
        return tuple(fact for scene in self.scenes for fact in scene.facts)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; photographs by the names of their files."""
        return {
            "seed": self.seed,
            "voice": self.voice,
            "words_per_minute": self.words_per_minute,
            "scenes": [_scene_to_dict(scene) for scene in self.scenes],
        }


def _scene_to_dict(scene: NarratedScene) -> dict[str, Any]:
    ground = scene.ground
    shown: dict[str, Any] = (
        {"lines": [line.text for line in ground.lines]}
        if isinstance(ground, Slide)
        else {"photograph": ground.path.name, "label": ground.label}
    )
    return shown | {"sentences": list(scene.sentences)}
