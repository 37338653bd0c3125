"""A grounding as HTML: one self-contained page, and a fragment for notebooks.

When each object is to be seen, crops at several times, scores, what was checked, and who came near
and why it is not the one. No script, no external file; every foreign text is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from mmreason.grounding.drawing.boxes import BOX_COLOURS, Colour
from mmreason.grounding.drawing.crops import Crop, cut_box, cut_crops, draw_paths
from mmreason.grounding.drawing.presence import presence_bars, tick_times
from mmreason.grounding.results import Grounding, GroundingStatus, Rival, Target
from mmreason.grounding.tubes import Tube
from mmreason.video.reader import keep_open
from mmreason.video.types import FrameSource, Span, VideoError, format_time

if TYPE_CHECKING:
    from jinja2 import Environment

    from mmreason.video.inputs import VideoInput

_MOST_OBJECTS = 20
"""Targets, and rivals, that a page shows."""
_TARGET_CROPS, _RIVAL_CROPS = 5, 3
_STATUS_WORDS = {
    GroundingStatus.FOUND: "Found",
    GroundingStatus.NONE: "Not there",
    GroundingStatus.AMBIGUOUS: "Several fit, and nothing tells them apart",
    GroundingStatus.UNPARSED: "The model's words could not be read",
    GroundingStatus.ERROR: "Nothing could be asked",
}
_MARKS = {True: "yes", False: "no", None: "not checked"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    left_pct: float
    width_pct: float
    kind: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    src: str
    time: str
    observed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _ObjectView:
    """A target or a rival as the page shows it."""

    title: str
    colour: str
    is_target: bool
    bars: tuple[_Bar, ...]
    has_tube: bool
    frames: str
    """How many frames were looked at, filled in, absent."""
    meant: str
    """When it is the one meant."""
    box: str
    score: str
    checks: tuple[tuple[str, str], ...]
    """(descriptor, what a look at it said)."""
    fails: tuple[str, ...]
    reason: str
    pictures: tuple[_Picture, ...]
    unread: str
    """Why there are no pictures, where the video could not be read."""


def save_tube_page(
    path: str | Path, video: VideoInput | FrameSource | None, grounding: Grounding
) -> Path:
    """Write one self-contained HTML page on `grounding` (no scripts, no external files); returns
    its path. Crops come from `video`; None shows none. Raises VideoError where it cannot be opened.

    Example:
        >>> save_tube_page("tube.html", "match.mp4", grounding)  # doctest: +SKIP
        PosixPath('tube.html')
    """
    from mmreason.video.files import write_atomic

    if video is None:
        page = tube_page(grounding)
    else:
        with keep_open(video) as source:
            page = tube_page(grounding, source)
    return write_atomic(Path(path), page.encode("utf-8", "replace"))


def tube_page(grounding: Grounding, video: FrameSource | None = None) -> str:
    """The page as one HTML document.

    Example:
        >>> page = tube_page(Grounding(status=GroundingStatus.NONE, expression="the red star"))
        >>> "Not there" in page
        True
    """
    from mmreason.viz.pages import render_document

    title = f"{_STATUS_WORDS[grounding.status]} · {grounding.expression or 'grounding'}"
    return render_document(
        _templates(),
        "tube_page.html",
        _view(grounding, video) | {"top": "h1", "sub": "h2"},
        title=title,
        width_rem=54,
        styles=("tube_style.html",),
    )


def grounding_fragment(grounding: Grounding) -> str:
    """The same as a `<div>` for a notebook, without crops.

    Example:
        >>> "Not there" in grounding_fragment(Grounding(status=GroundingStatus.NONE))
        True
    """
    from mmreason.viz.pages import render_fragment

    values = _view(grounding, None) | {"top": "h2", "sub": "h3"}
    return render_fragment(_templates(), "tube_page.html", values, styles=("tube_style.html",))


def tube_fragment(tube: Tube) -> str:
    """A tube alone, as a `<div>` for a notebook.

    Example:
        >>> "never to be seen" in tube_fragment(Tube.from_boxes([0.0], [None]))
        True
    """
    from mmreason.viz.pages import render_fragment

    # A tube by itself was not found by anybody: it has its name, and no status.
    name = " ".join(text for text in (tube.id, tube.label) if text) or "tube"
    grounding = Grounding(status=GroundingStatus.FOUND, targets=(Target(tube=tube),))
    values = _view(grounding, None)
    (view,) = (replace(view, title=name) for view in values["objects"])
    values |= {"status": name, "objects": [view], "heading": "Tube", "top": "h2", "sub": "h3"}
    return render_fragment(_templates(), "tube_page.html", values, styles=("tube_style.html",))


def _templates() -> Environment:
    from mmreason.viz.pages import load_templates

    return load_templates("mmreason.grounding", "drawing")


def _view(grounding: Grounding, video: FrameSource | None) -> dict[str, Any]:
    span = _whole_span(grounding, video)
    # Rivals have colours after those of targets, so that no two look the same side by side.
    targets = grounding.targets[:_MOST_OBJECTS]
    rivals = grounding.rivals[:_MOST_OBJECTS]
    frame_s = grounding.frame_time_s
    views = [
        _view_object(
            target,
            f"Target {number}" if len(targets) > 1 else "Target",
            _colour(number - 1),
            span=span,
            pictures=_crop(video, target, frame_s, _colour(number - 1), _TARGET_CROPS),
        )
        for number, target in enumerate(targets, start=1)
    ]
    views += [
        _view_rival(rival, number, _colour(len(targets) + number - 1), span, video, frame_s)
        for number, rival in enumerate(rivals, start=1)
    ]
    hidden = len(grounding.targets) - len(targets) + len(grounding.rivals) - len(rivals)
    return {
        "expression": grounding.expression,
        "status": _STATUS_WORDS[grounding.status],
        "is_found": grounding.status is GroundingStatus.FOUND,
        "video_name": "" if video is None else PurePath(video.info.path).name,
        "duration": "" if video is None else format_time(video.info.duration_s),
        "size": "" if grounding.size_px is None else "{} x {} pixels".format(*grounding.size_px),
        "rationale": grounding.rationale,
        "objects": views,
        "heading": "Targets and rivals" if len(views) > 1 else "Target",
        "has_timeline": any(view.has_tube for view in views),
        "ticks": [] if span is None else [(_percent(t, span), _tick(t)) for t in tick_times(span)],
        "hidden": hidden,
        "paths": None if video is None else _draw_overview(video, [*targets, *rivals]),
        "issues": [(issue.kind, issue.text) for issue in grounding.issues],
        "raw_text": grounding.raw_text,
        "costs": [(name, f"{value:g}") for name, value in grounding.cost.items()],
        "settings": _flat(grounding.settings),
    }


def _view_rival(
    rival: Rival,
    number: int,
    colour: Colour,
    span: Span | None,
    video: FrameSource | None,
    frame_s: float | None,
) -> _ObjectView:
    view = _view_object(
        rival.target,
        f"Rival {number}",
        colour,
        span=span,
        pictures=_crop(video, rival.target, frame_s, colour, _RIVAL_CROPS),
    )
    return replace(view, is_target=False, fails=rival.fails, reason=rival.reason)


def _view_object(
    target: Target,
    title: str,
    colour: Colour,
    *,
    span: Span | None,
    pictures: tuple[Sequence[Crop], str],
) -> _ObjectView:
    tube = target.tube
    name = target.label or ("" if tube is None else tube.label)
    crops, unread = pictures
    return _ObjectView(
        title=f"{title}: {name}" if name else title,
        colour="#{:02x}{:02x}{:02x}".format(*colour),
        is_target=True,
        bars=() if tube is None or span is None else tuple(_bars(tube, span)),
        has_tube=tube is not None and span is not None,
        frames="" if tube is None else _frames_words(tube),
        meant="" if target.span is None else str(target.span),
        box="" if target.box is None else ", ".join(f"{v:g}" for v in target.box.xyxy),
        score="" if target.score is None else _score_words(target),
        checks=tuple((text, _MARKS[answer]) for text, answer in target.checks.items()),
        fails=(),
        reason="",
        pictures=tuple(_show_crop(crop) for crop in crops),
        unread=unread,
    )


def _show_crop(crop: Crop) -> _Picture:
    return _Picture(
        src="data:image/jpeg;base64," + base64.b64encode(crop.jpeg).decode(),
        time=format_time(crop.time_s),
        observed=crop.observed,
    )


def _draw_overview(video: FrameSource, everybody: Sequence[Target | Rival]) -> _Picture | None:
    """One frame with all tubes and where they go."""
    tubes, titles, colours = [], [], []
    for number, item in enumerate(everybody):
        tube = item.tube if isinstance(item, Target) else item.target.tube
        if tube is not None:
            tubes.append(tube)
            titles.append("target" if isinstance(item, Target) else "")
            colours.append(_colour(number))
    if not tubes:
        return None
    try:
        crop = draw_paths(video, tubes, titles, colours)
    except VideoError:
        return None  # each object tells why it has no pictures
    return None if crop is None else _show_crop(crop)


def _crop(
    video: FrameSource | None,
    target: Target,
    frame_s: float | None,
    colour: Colour,
    most: int,
) -> tuple[Sequence[Crop], str]:
    """(crops, why there are none)"""
    if video is None:
        return (), ""
    try:
        if target.tube is not None:
            return cut_crops(video, target.tube, most=most, colour=colour), ""
        if target.box is not None:
            time_s = video.info.start_s if frame_s is None else frame_s
            return cut_box(video, [target.box], time_s, colour=colour), ""
    except VideoError as error:
        return (), str(error)
    return (), ""


def _whole_span(grounding: Grounding, video: FrameSource | None) -> Span | None:
    """What the timeline covers: the video, or else all tubes; None without a tube."""
    everybody = [*grounding.targets, *(rival.target for rival in grounding.rivals)]
    tubes = [t.tube for t in everybody if t.tube is not None and len(t.tube)]
    if not tubes:
        return None
    if video is not None:
        return video.info.span
    start_s = min(float(tube.times_s[0]) for tube in tubes)
    end_s = max(float(tube.times_s[-1]) for tube in tubes)
    # A single frame has no length: it is shown as a second.
    return Span(start_s, end_s if end_s > start_s else start_s + 1.0)


def _bars(tube: Tube, span: Span) -> Iterable[_Bar]:
    for bar in presence_bars(tube, span):
        kind_text = "looked at" if bar.kind == "observed" else "filled in between two looks"
        yield _Bar(
            left_pct=_percent(bar.span.start_s, span),
            width_pct=round(100 * bar.span.duration_s / span.duration_s, 2),
            kind=bar.kind,
            label=f"{bar.span}: {kind_text}",
        )


def _percent(time_s: float, span: Span) -> float:
    return round(100 * (time_s - span.start_s) / span.duration_s, 2)


def _tick(time_s: float) -> str:
    """Without hundredths that say nothing."""
    text = format_time(time_s)
    return text.removesuffix(".00")


def _frames_words(tube: Tube) -> str:
    if not tube.present.any():
        return f"never to be seen in {len(tube):,} frames"
    looked = int((tube.present & tube.observed).sum())
    filled = int((tube.present & ~tube.observed).sum())
    absent = len(tube) - looked - filled
    counts = [(looked, "looked at"), (filled, "filled in"), (absent, "without it")]
    return f"{len(tube):,} frames: " + ", ".join(f"{n:,} {kind}" for n, kind in counts if n)


def _score_words(target: Target) -> str:
    kind = f" ({target.score_kind})" if target.score_kind else ""
    return f"{target.score:.2f}{kind}"


def _colour(number: int) -> Colour:
    return BOX_COLOURS[number % len(BOX_COLOURS)]


def _flat(settings: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """(dotted name, value) of nested settings."""
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", str(value)))
    return rows
