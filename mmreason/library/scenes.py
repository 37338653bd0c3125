"""The scenes of a video, from cut to cut, with what is said, written and seen in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.library.videos import LibraryVideo
from mmreason.memory.records import Channel, MemoryRecord
from mmreason.video import Video
from mmreason.video.types import Span

_LEAST_OVERLAP_S = 0.5
"""Of a record and a scene, below which it belongs to the scene that holds more of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A stretch of video between two cuts.

    Example:
        >>> Scene(number=1, span=Span(0, 4), said=("Good morning.",)).list_lines()[0]
        ('said', ('Good morning.',))
    """

    number: int
    """From 1, by time."""
    span: Span
    said: tuple[str, ...] = ()
    """Lines of speech that begin in it or lie in it for the larger part."""
    written: tuple[str, ...] = ()
    """Texts that can be read in it, each once."""
    seen: tuple[str, ...] = ()
    """Labels and descriptions, each once."""

    def list_lines(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(kind, texts), for people."""
        return (("said", self.said), ("written", self.written), ("seen", self.seen))

    @property
    def title(self) -> str:
        """What stands in it, or what is seen or said first; of a scene without words its number."""
        texts = (*self.written[:1], *self.seen[:1], *self.said[:1])
        return texts[0] if texts else f"Scene {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneList:
    """The scenes of one video; they tile it."""

    video: LibraryVideo
    scenes: tuple[Scene, ...]
    note: str = ""
    """What was not known; empty where nothing is lacking."""

    @property
    def picture_times_s(self) -> list[float]:
        """The middle of each scene."""
        return [scene.span.middle_s for scene in self.scenes]


def list_scenes(video: LibraryVideo, records: Sequence[MemoryRecord]) -> SceneList:
    """The scenes of a video of which these records are known. Where its cuts were not looked for,
    they are now, which takes as long as decoding it. VideoError."""
    shots = sorted({r.span for r in records if r.channel == "shot"})
    notes = []
    if not shots:
        from mmreason.video.content.shots import detect

        notes.append("cuts were looked for now: mmreason index keeps them")
        with Video.open(video.path) as opened:
            shots = list(detect(opened).spans)
    if not any(record.channel != "shot" for record in records):
        notes.append(f"nothing is known of what is said or seen: mmreason index {video.path}")
    scenes = (
        Scene(
            number=number,
            span=span,
            said=_select(records, span, ("speech",)),
            written=_select(records, span, ("screen_text",)),
            seen=_select(records, span, ("label", "event", "entity")),
        )
        for number, span in enumerate(shots, start=1)
    )
    return SceneList(video=video, scenes=tuple(scenes), note="; ".join(notes))


def _select(
    records: Sequence[MemoryRecord], scene: Span, channels: tuple[Channel, ...]
) -> tuple[str, ...]:
    texts = [r.text for r in records if r.channel in channels and _belongs(r.span, scene)]
    return tuple(dict.fromkeys(texts))


def _belongs(span: Span, scene: Span) -> bool:
    """Half a second of it or half of it: a line that reaches over a cut by a word does not."""
    overlap_s = span.overlap_s(scene)
    return overlap_s >= min(_LEAST_OVERLAP_S, span.duration_s / 2) and overlap_s > 0
