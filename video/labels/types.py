"""What there is to see, as records: labels, colours, light, movement, and who names the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from mmreason.video.labels.classes import ImageClass
from mmreason.video.types import Span

Brightness = Literal["dark", "dim", "bright"]
"""Of a stretch; None where it is neither."""
CameraMove = Literal[
    "still", "pan left", "pan right", "tilt up", "tilt down", "zoom in", "zoom out"
]


class Classifier(Protocol):
    """Who says of frames what they show. The smallest is `ScriptedClassifier`.

    Example:
        >>> classifier = load_classifier("efficientnet-lite0")  # doctest: +SKIP
        >>> classifier.classify(frames.pixels).shape  # doctest: +SKIP
        (4, 1000)
    """

    @property
    def name(self) -> str:
        """Of the model, as records keep it."""
        ...

    @property
    def classes(self) -> Sequence[ImageClass]:
        """One for each column of `classify`."""
        ...

    def classify(self, frames: np.ndarray) -> np.ndarray:
        """float32 (N, classes), probabilities, of uint8 (N, H, W, 3) RGB."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A name for what a stretch shows, from a classifier.

    Example:
        >>> label = Label(
        ...     span=Span(0, 4),
        ...     name="cat",
        ...     parents=("mammal", "animal"),
        ...     confidence=0.91,
        ...     is_sure=True,
        ...     model="efficientnet-lite0",
        ... )
        >>> label.text
        'cat, mammal, animal'
    """

    span: Span
    name: str
    """A class ("tabby"), or a kind of which one class is likely though not which ("cat")."""
    parents: tuple[str, ...]
    """Kinds that `name` belongs to, the nearest first."""
    confidence: float
    """0..1: mean over frames of the probability of the class, or the sum of those of the kind."""
    is_sure: bool
    """Whether the confidence is above what was measured to be right (`docs/labels.md`); what is not
    sure is no record."""
    place_px: tuple[float, float, float, float] | None = None
    """Where the classifier's last layer responds most: xyxy in pixels of the original frame, of the
    still in the middle. A weak place: no detector drew it."""
    model: str = ""

    @property
    def text(self) -> str:
        """The name and its parents: the words that a search finds it by."""
        return ", ".join((self.name, *self.parents))


@dataclass(frozen=True, slots=True)
class ColourShare:
    """How much of a stretch has a colour.

    Example: `ColourShare("green", 0.62)`.
    """

    colour: str
    share: float
    """0..1 of the pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a shot looks: its light and colours.

    Example:
        >>> look = Look(
        ...     span=Span(0, 4),
        ...     colours=(ColourShare("blue", 0.7), ColourShare("white", 0.2)),
        ...     luma=0.1,
        ...     brightness="dark",
        ... )
        >>> look.text
        'dark; mostly blue and white'
    """

    span: Span
    colours: tuple[ColourShare, ...]
    """The commonest first; those below a tenth are no colour of the picture."""
    luma: float
    """Mean brightness, 0 (black) to 1 (white)."""
    brightness: Brightness | None = None
    picture: str = ""
    """Why no labels are given, of what is no photograph: "text or a drawing", "flat", "dark"."""

    @property
    def text(self) -> str:
        words = " and ".join(item.colour for item in self.colours[:2])
        parts = [self.brightness or "", f"mostly {words}" if words else ""]
        return "; ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What moves in a stretch: the camera, or something before a camera that stands still.

    Example: `Movement(span=Span(2, 5), kind="something moves", strength=0.04)`.
    """

    span: Span
    kind: CameraMove | Literal["something moves"]
    strength: float
    """Of the camera: widths (pan), heights (tilt) of the picture or doublings of size (zoom) a
    second. Of something: share of the picture that changes from one look to the next, 0..1."""
    box_px: tuple[float, float, float, float] | None = None
    """Where something moves, xyxy in pixels of the original frame; None for the camera."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoLabels:
    """What `label_video` gives.

    Example:
        >>> found = label_video(video, load_classifier())  # doctest: +SKIP
        >>> [label.text for label in found.sure]  # doctest: +SKIP
        ['tabby, cat, mammal, animal']
    """

    labels: tuple[Label, ...]
    """In order of time, the surest first within a shot, also those that are not sure."""
    looks: tuple[Look, ...]
    """One a shot; a shot shorter than a fifth of a second may have none."""
    movements: tuple[Movement, ...]
    shots: tuple[Span, ...]
    frames_classified: int
    notes: tuple[str, ...] = ()
    """What a reader should know: shots that were no photographs, shots left to a limit."""

    @property
    def sure(self) -> tuple[Label, ...]:
        """Labels that may become records."""
        return tuple(label for label in self.labels if label.is_sure)
