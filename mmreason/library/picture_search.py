"""Search by picture: which frames of the videos of a library look like a given one.

Each video is looked at once a second; the embeddings of those frames stay in the store, so that the
next search decodes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mmreason.json_values import to_json
from mmreason.library.thumbnails import read_thumbnail
from mmreason.library.videos import LibraryVideo, UnreadableVideo
from mmreason.memory.frame_vectors import EmbedsFrames
from mmreason.memory.store import Store
from mmreason.video import Video, plan
from mmreason.video.plain_text import show_line
from mmreason.video.types import Span, VideoError

if TYPE_CHECKING:
    from mmreason.memory.embed_video import FrameVectors

LOOKS_HZ = 1.0
"""Frames of a second that are compared; a shot that is shorter may fall between two of them."""
LEAST_LOOKS = 4
"""Of a short video."""
MOST_LOOKS = 7_200
"""Of one video: beyond two hours the looks lie further apart."""
NEAR_SHARE = 0.46
"""How far a cosine must lie on the way from that of unrelated photographs to 1. With
EfficientNet-Lite0 that is 0.55: frames of other clips and other shots reached 0.49, frames of the
shot that a picture was taken from 0.62 and more."""
_PHOTOGRAPHS = ("cat", "coffee", "rocket", "tripod")


class EmbedsPictures(EmbedsFrames, Protocol):
    """What compares pictures of any size with frames, such as a `FrameEncoder`."""

    def encode_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """float32 (N, D), rows of length 1, of uint8 (h, w, 3) RGB of any sizes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHit:
    """A stretch of a video of which each frame that was looked at is like the picture.

    Example:
        >>> hit = PictureHit(path=Path("a.mp4"), span=Span(2, 4), time_s=2.5, cosine=0.9)
        >>> str(hit.span), hit.cosine
        ('0:02.00-0:04.00', 0.9)
    """

    path: Path
    span: Span
    time_s: float
    """Of the frame that is most like the picture."""
    cosine: float
    """Of that frame and the picture, -1..1."""

    @property
    def thumbnail(self) -> bytes:
        """JPEG of that frame, decoded now; empty where the file cannot be read any more."""
        return read_thumbnail(self.path, round(self.time_s, 3))

    def to_dict(self) -> dict[str, Any]:
        """JSON types only, without the picture."""
        return {**to_json(self), "path": str(self.path)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureResult:
    """What a search by picture found, the most alike first.

    Example:
        >>> result = PictureResult(picture="a.png", encoder="e", floor=0.5, note="nothing found")
        >>> result.hits
        ()
    """

    picture: str
    """Path of what was looked for; empty where it was no file."""
    encoder: str
    """Name of what compared."""
    floor: float
    """Cosine below which a frame counts as another picture."""
    hits: tuple[PictureHit, ...] = ()
    note: str = ""
    """Why nothing was found; empty where something was."""
    videos: int = 0
    """Videos that were looked through."""
    frames: int = 0
    """Frames that were compared."""
    computed: int = 0
    """Of those, frames that were not in the store."""
    unreadable: tuple[UnreadableVideo, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON types only, without pictures."""
        unreadable = [{"path": str(u.path), "reason": u.reason} for u in self.unreadable]
        hits = [hit.to_dict() for hit in self.hits]
        return {**to_json(self), "hits": hits, "unreadable": unreadable}

    def _repr_html_(self) -> str:
        """The hits with their pictures, in a notebook."""
        from mmreason.library.pages import picture_fragment

        return picture_fragment(self)


def plan_looks(span: Span) -> np.ndarray:
    """float64 (T,): the times at which a video is looked at, the same in every search.

    Example:
        >>> plan_looks(Span(0, 8)).tolist()
        [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]
    """
    count = min(MOST_LOOKS, max(LEAST_LOOKS, round(span.duration_s * LOOKS_HZ)))
    return np.array(plan.uniform(span, count).times_s) if span.duration_s > 0 else np.zeros(0)


@lru_cache(maxsize=8)
def measure_picture_floor(encoder: EmbedsPictures) -> float:
    """The cosine from which two pictures count as alike: `NEAR_SHARE` of the way from the average
    cosine of photographs of different things to 1."""
    from importlib.resources import as_file, files

    from mmreason.tools.ground import frame_of_image

    pictures = []
    for name in _PHOTOGRAPHS:
        with as_file(files("mmreason.narration").joinpath("pictures", f"{name}.jpg")) as path:
            pictures.append(frame_of_image(path).pixels)
    vectors = encoder.encode_crops(pictures)
    rows, columns = np.triu_indices(len(vectors), 1)
    unrelated = float((vectors @ vectors.T)[rows, columns].mean())
    return unrelated + NEAR_SHARE * (1 - unrelated)


def search_picture(
    pixels: np.ndarray,
    videos: Iterable[LibraryVideo],
    encoder: EmbedsPictures,
    store: Store,
    *,
    picture: str = "",
    limit: int = 8,
    span: Span | None = None,
    full_hash: bool = False,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> PictureResult:
    """The stretches of `videos` that are most like `pixels` (H, W, 3) uint8 RGB. `span` is a part
    of each video. `on_progress` is told the name of a video, and how many of how many frames were
    embedded. Raises VideoError where the picture cannot be embedded."""
    from mmreason.memory.embed_video import embed_video

    (wanted,) = encoder.encode_crops([pixels])
    floor = measure_picture_floor(encoder)
    hits: list[PictureHit] = []
    unreadable: list[UnreadableVideo] = []
    counts = np.zeros(3, int)
    for video in videos:
        times_s = plan_looks(video.span)
        if span is not None:
            times_s = times_s[(times_s >= span.start_s) & (times_s < span.end_s)]

        def tell(done: int, total: int, name: str = video.name) -> None:
            if on_progress is not None:
                on_progress(name, done, total)

        try:
            with Video.open(video.path, full_hash=full_hash) as opened:
                frames = embed_video(opened, times_s, encoder, store, on_progress=tell)
        except (VideoError, OSError) as error:
            # One file that cannot be read does not stop the search of others.
            reason = show_line(str(error)).removeprefix(f"{show_line(str(video.path))}: ")
            unreadable.append(UnreadableVideo(video.path, reason))
            continue
        counts += (1, len(frames), frames.computed)
        hits += _join_looks(video, frames, wanted, floor)
    hits.sort(key=lambda hit: -hit.cosine)
    searched, compared, computed = counts.tolist()
    return PictureResult(
        picture=picture,
        encoder=encoder.name,
        floor=round(floor, 4),
        hits=tuple(hits[:limit]),
        note="" if hits else f"nothing found: no frame is nearer than {floor:.2f} to the picture",
        videos=searched,
        frames=compared,
        computed=computed,
        unreadable=tuple(unreadable),
    )


def _join_looks(
    video: LibraryVideo, frames: FrameVectors, wanted: np.ndarray, floor: float
) -> list[PictureHit]:
    """One hit for each run of looks that are near enough."""
    if not len(frames):
        return []
    cosines = frames.vectors @ wanted
    step_s = float(np.diff(frames.times_s).min()) if len(frames) > 1 else video.span.duration_s
    rows = np.flatnonzero(cosines >= floor)
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(rows) else []
    hits: list[PictureHit] = []
    for run in runs:
        best = int(run[cosines[run].argmax()])
        around = Span(
            float(frames.times_s[run[0]]) - step_s / 2, float(frames.times_s[run[-1]]) + step_s / 2
        )
        hits.append(
            PictureHit(
                path=video.path,
                span=around.clip(video.span),
                time_s=round(float(frames.times_s[best]), 6),
                cosine=round(float(cosines[best]), 4),
            )
        )
    return hits
