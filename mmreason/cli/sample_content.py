"""Plans of `mmreason sample` that look at the frames: their embeddings stay in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmreason.cli.common import quiet_libraries
from mmreason.types import UsageError

if TYPE_CHECKING:
    import numpy as np

    from mmreason.memory.embed_video import FrameVectors
    from mmreason.video import SamplePlan, Span, Video
    from mmreason.video.encoders import FrameEncoder

MOST_CANDIDATES = 512
"""Frames that diverse and relevant choose from, evenly spread: 10 s of work of a small encoder."""
CANDIDATES_HZ = 2.0
"""Of a short video; or 4 for each frame that is wanted, where that is more."""
_PER_FRAME = 4

Say = Callable[[str], None]


def load_plan_encoder(name: str | None, *, reads_text: bool) -> FrameEncoder:
    """The encoder of --encoder. UsageError where text is to be read and it has no tower for that,
    or none was named."""
    from mmreason.models.frame_encoders import DEFAULT, load_frame_encoder

    if name is None and reads_text:
        raise UsageError(
            "--plan relevant compares frames with text: name an encoder with a text tower, such as "
            "--encoder google/siglip2-base-patch16-224 or --encoder openai/clip-vit-base-patch32"
        )
    quiet_libraries()
    encoder = load_frame_encoder(name or DEFAULT)
    if reads_text and not encoder.takes_text:
        raise UsageError(
            f"--plan relevant: {encoder.name} has no text tower; name an encoder with one, such as "
            "--encoder google/siglip2-base-patch16-224 or --encoder openai/clip-vit-base-patch32"
        )
    return encoder


def plan_diverse(
    video: Video, span: Span, limit: int, encoder: FrameEncoder, store: Path | None, say: Say
) -> SamplePlan:
    """Frames that show different things."""
    from mmreason.video import plan

    candidates = _embed_candidates(video, span, limit, encoder, store, say)
    return plan.diverse(candidates.vectors, candidates.times_s, limit)


def plan_relevant(
    video: Video,
    span: Span,
    limit: int,
    query: str,
    encoder: FrameEncoder,
    store: Path | None,
    say: Say,
    *,
    veto: bool = False,
) -> SamplePlan:
    """Frames that fit a query: scores are cosines of text and frames; with `veto` less what a wrong
    detail fits better than the detail of the query (`grounding/half_truths`)."""
    from mmreason.grounding.half_truths import relevance_scores
    from mmreason.video import plan

    (text,) = encoder.encode_text([query])
    candidates = _embed_candidates(video, span, limit, encoder, store, say)
    scores = candidates.vectors @ text
    if veto and len(candidates.vectors):
        scores = relevance_scores(candidates.vectors, query, encoder.encode_text)
    return plan.relevant(scores, candidates.times_s, limit)


def drop_look_alikes(
    chosen: SamplePlan, video: Video, encoder: FrameEncoder, store: Path | None, say: Say
) -> SamplePlan:
    """The plan without frames that look like the one before them; reasons say what a frame stands
    for."""
    import numpy as np

    from mmreason.report.text import format_count
    from mmreason.video import plan
    from mmreason.video.types import format_time

    # A rate above that of the video takes frames twice: the first of equal times is a candidate.
    unique_s, first_rows = np.unique(chosen.times_s, return_index=True)
    embedded = _embed(video, unique_s, encoder, store, say)
    frames = plan.distinct(embedded.vectors, embedded.times_s)
    times_s, reasons, moved = [], [], []
    for kept in frames.kept:
        row = int(first_rows[kept])
        alike = frames.stands_for(kept)
        until = f"; stands for {format_count(len(alike), 'frame')} until "
        times_s.append(chosen.times_s[row])
        reasons.append(
            chosen.reasons[row]
            + (until + format_time(float(unique_s[alike[-1]])) if len(alike) > 1 else "")
        )
        moved += [chosen.moved[row]] if chosen.moved else []
    dropped = {"least_distance": plan.LEAST_DISTANCE, "encoder": encoder.name}
    return replace(
        chosen,
        times_s=tuple(times_s),
        reasons=tuple(reasons),
        moved=tuple(moved),
        settings=chosen.settings | {"distinct": dropped | {"frames": len(chosen)}},
    )


def _embed_candidates(
    video: Video, span: Span, limit: int, encoder: FrameEncoder, store: Path | None, say: Say
) -> FrameVectors:
    from mmreason.video import plan

    count = max(span.duration_s * CANDIDATES_HZ, limit * _PER_FRAME)
    frames = span.duration_s * video.info.mean_fps_hz
    # Not more than the video has: the same frame twice is no choice.
    count = min(count, frames if frames >= 1 else count, MOST_CANDIDATES)
    return _embed(video, plan.uniform(span, max(1, int(count))).times_s, encoder, store, say)


def _embed(
    video: Video,
    times_s: Sequence[float] | np.ndarray,
    encoder: FrameEncoder,
    store: Path | None,
    say: Say,
) -> FrameVectors:
    from mmreason.memory.embed_video import embed_video
    from mmreason.memory.store import Store

    with Store.open_default() if store is None else Store.open(store) as opened:
        return embed_video(
            video,
            times_s,
            encoder,
            opened,
            on_progress=lambda done, total: say(f"embedding frames: {done} of {total}"),
        )
