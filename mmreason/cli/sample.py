"""`mmreason sample`: which frames a plan takes, as a list, a contact sheet or pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmreason.cli.common import (
    FrameEncoderName,
    Json,
    StorePath,
    print_json,
    print_line,
    show_progress,
)

if TYPE_CHECKING:
    from mmreason.video import FrameBatch, SamplePlan, Span, Video
    from mmreason.video.encoders import FrameEncoder

MOST_COLUMNS = 8
CELL_WIDTH_PX = 240
MOST_ON_A_SHEET = 1000
FRAMES = 32
"""Most frames where --n does not say."""
FPS = 2.0
"""Frames a second of the plan fps where --fps does not say."""
CONTENT_PLANS = ("diverse", "relevant")
"""Those that look at what frames show."""
MOST_AT_A_RATE = 768
"""Most frames of the plan fps where --n does not say."""

_CLEARLY_MORE = 1.05
"""A rate this many times that of the video repeats frames."""
_DECODED_AT_ONCE = 8
"""Frames of full size that are held while pictures are written."""


Say = Callable[[str], None]
"""Told what is going on, where that takes long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRequest:
    """Which frames are asked for, before the video is known.

    Example:
        >>> FrameRequest(plan="fps", fps=1.0).limit, FrameRequest(n=8).limit
        (768, 8)
    """

    plan: str = "uniform"
    """A key of `PLANS`."""
    n: int | None = None
    """Most frames; None for the plan's own limit."""
    fps: float | None = None
    """Frames a second, for the plan of that name."""
    start_s: float | None = None
    end_s: float | None = None
    """The part of the video to choose from; None for its start or end."""
    query: str = ""
    """What the frames are to show, for the plan relevant."""
    veto: bool = False
    """Whether a wrong detail that fits a frame better than that of the query lowers it."""
    distinct: bool = False
    """Whether frames that look like the one before them are dropped."""
    store: Path | None = None
    """Where embeddings are kept; None for the store of this user."""
    encoder: FrameEncoder | None = None
    """What frames are compared by, where they are."""

    @property
    def looks(self) -> bool:
        """Whether frames are compared, so that an encoder is needed."""
        return self.plan in CONTENT_PLANS or self.distinct

    @property
    def limit(self) -> int:
        """Most frames, whatever sets it."""
        return self.n or (MOST_AT_A_RATE if self.plan == "fps" else FRAMES)


def _uniform(video: Video, span: Span, request: FrameRequest, say: Say) -> SamplePlan:
    from mmreason.video import plan

    return plan.uniform(span, request.limit)


def _fps(video: Video, span: Span, request: FrameRequest, say: Say) -> SamplePlan:
    from mmreason.video import plan

    return plan.fps(span, request.fps or FPS, max_frames=request.limit)


def _keyframes(video: Video, span: Span, request: FrameRequest, say: Say) -> SamplePlan:
    """The key frames themselves: all of them, or as many as are wanted, every so-manyth."""
    from mmreason.types import UsageError
    from mmreason.video.types import SamplePlan

    inside = [time_s for time_s in video.keyframe_times_s if span.contains(time_s)]
    if not inside:
        raise UsageError(f"{video.info.path}: no key frame lies in {span}; use --plan uniform")
    count = min(request.limit, len(inside))
    # The middles of equal runs of key frames, as uniform plans take the middles of equal times.
    chosen = [int((k + 0.5) * len(inside) / count) for k in range(count)]
    return SamplePlan(
        times_s=tuple(inside[i] for i in chosen),
        size_px=None,
        method="keyframes",
        reasons=tuple(f"key frame {i + 1} of {len(inside)}" for i in chosen),
        settings={"n": count, "span": span.to_list(), "keyframes": len(inside)},
        span=span,
    )


def _shots(video: Video, span: Span, request: FrameRequest, say: Say) -> SamplePlan:
    """Decodes all of the span: says how far it is."""
    from mmreason.video import plan
    from mmreason.video.content.shots import detect
    from mmreason.video.types import format_time

    def tell(seen_s: float) -> None:
        say(f"looking for shots: {format_time(seen_s)} of {format_time(span.end_s)}")

    transitions = detect(video, span, progress=tell).transitions
    return plan.shots(span, [transition.time_s for transition in transitions], request.limit)


def _diverse(video: Video, span: Span, request: FrameRequest, say: Say) -> SamplePlan:
    from mmreason.cli.sample_content import plan_diverse

    assert request.encoder is not None
    return plan_diverse(video, span, request.limit, request.encoder, request.store, say)


def _relevant(video: Video, span: Span, request: FrameRequest, say: Say) -> SamplePlan:
    from mmreason.cli.sample_content import plan_relevant

    assert request.encoder is not None
    return plan_relevant(
        video,
        span,
        request.limit,
        request.query,
        request.encoder,
        request.store,
        say,
        veto=request.veto,
    )


PLANS: dict[str, Callable[[Video, Span, FrameRequest, Say], SamplePlan]] = {
    "uniform": _uniform,
    "fps": _fps,
    "keyframes": _keyframes,
    "shots": _shots,
    "diverse": _diverse,
    "relevant": _relevant,
}
"""What --plan chooses from: a plan of the wanted frames in a span of a video."""


def sample_frames(
    files: Annotated[
        list[str],
        typer.Argument(help="Video files, scripted worlds (.json), folders or patterns."),
    ],
    plan: Annotated[
        str | None,
        typer.Option(
            help=f"How to choose: {', '.join(PLANS)}; default: uniform, or fps with --fps."
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            min=1,
            help=f"Frames to take of each file, at most; default: {FRAMES}, for the plan fps "
            f"{MOST_AT_A_RATE}.",
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help=f"Frames for each second, for the plan fps; default: {FPS:g}."),
    ] = None,
    query: Annotated[
        str | None, typer.Option(help="What the frames are to show, for the plan relevant.")
    ] = None,
    veto: Annotated[
        bool,
        typer.Option(
            "--veto", help="Lower frames that a wrong detail fits better than that of --query."
        ),
    ] = False,
    distinct: Annotated[
        bool, typer.Option("--distinct", help="Drop frames that look like the one before them.")
    ] = False,
    encoder: FrameEncoderName = None,
    start: Annotated[float | None, typer.Option(help="First second; default: the start.")] = None,
    end: Annotated[float | None, typer.Option(help="Last second; default: the end.")] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Write a contact sheet to this file; of several files, to this folder."),
    ] = None,
    dump: Annotated[
        Path | None, typer.Option(help="Write the frames as pictures to this folder.")
    ] = None,
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Choose frames of videos and show when they are, why, and what is on them.

    uniform: the middles of equal parts. fps: so many a second. keyframes: the key frames of the
    file. shots: the middle of each shot, longer shots more often. diverse: frames that show
    different things. relevant: frames that fit --query, by an encoder that reads text.
    """
    from mmreason.cli import inputs
    from mmreason.types import UsageError

    request = FrameRequest(
        plan=plan or ("uniform" if fps is None else "fps"),
        n=n,
        fps=fps,
        start_s=start,
        end_s=end,
        query=(query or "").strip(),
        veto=veto,
        distinct=distinct,
        store=store,
    )
    if request.plan not in PLANS:
        raise UsageError(f"unknown plan {plan!r}; choose one of {', '.join(PLANS)}")
    if fps is not None and request.plan != "fps":
        raise UsageError(f"--fps goes with --plan fps, not with --plan {plan}")
    if fps is not None and not 0 < fps < float("inf"):
        raise UsageError(f"--fps must be above 0 frames a second, got {fps}")
    # Refused now where --n says so; a plan that decides by itself is refused once it is made.
    if sheet is not None and n is not None and n > MOST_ON_A_SHEET:
        raise UsageError(f"a sheet holds {MOST_ON_A_SHEET} frames at most, --n asks for {n}")
    _check_looks(request, encoder)
    paths = inputs.expand_paths(files)
    if request.looks:
        from mmreason.cli.sample_content import load_plan_encoder

        loaded = load_plan_encoder(encoder, reads_text=request.plan == "relevant")
        request = replace(request, encoder=loaded)
    if not paths.many:
        with show_progress("sampling") as say:
            taken = _sample(paths.files[0], request, sheet, dump, say)
        if as_json:
            print_json(taken.to_dict())
        else:
            _print(taken)
        return
    # Of many files pictures go to a folder, each file's under a name of its own.
    names: set[Path] = set()

    def act(path: Path) -> SampledFile:
        name = inputs.picture_path(Path(), path, names)
        folder = dump and dump / name.stem
        return _sample(path, request, sheet and sheet / name, folder, lambda _: None)

    work = inputs.work_through(paths.files, act, "sampling")
    if as_json:
        print_json(inputs.to_dict(work, SampledFile.to_dict))
    else:
        for taken in work.results:
            _print_summary(taken)
    inputs.finish_work(work)


def _check_looks(request: FrameRequest, encoder: str | None) -> None:
    """UsageError for options that do not go together."""
    from mmreason.types import UsageError

    if request.plan == "relevant" and not request.query:
        raise UsageError('--plan relevant needs --query "what the frames are to show"')
    if request.query and request.plan != "relevant":
        raise UsageError(f"--query goes with --plan relevant, not with --plan {request.plan}")
    if request.veto and request.plan != "relevant":
        raise UsageError(f"--veto goes with --plan relevant, not with --plan {request.plan}")
    if encoder is not None and not request.looks:
        raise UsageError("--encoder goes with --plan diverse, --plan relevant or --distinct")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFrame:
    """A decoded frame."""

    shown_s: float
    """When it begins to be shown."""
    exact: bool
    """Whether it is the one shown at the time that the method asks for: a frame that a plan moved
    to a key frame is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledFile:
    """What was taken of one file."""

    video: str
    plan: SamplePlan
    shown: tuple[ShownFrame, ...]
    """One a frame; empty where nothing was decoded."""
    sheet: Path | None
    pictures: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    """Why fewer frames were taken than were asked for, or some twice."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        chosen = self.plan
        frames: list[dict[str, Any]] = [
            {"time_s": time_s, "reason": reason}
            for time_s, reason in zip(chosen.times_s, chosen.reasons, strict=True)
        ]
        for i, frame in enumerate(frames):
            if chosen.moved:
                frame |= {"moved": chosen.moved[i]}
            if self.shown:
                frame |= asdict(self.shown[i])
            if self.pictures:
                frame |= {"picture": str(self.pictures[i])}
        return {
            "video": self.video,
            "plan": chosen.method,
            "settings": chosen.settings,
            "frames": frames,
            "sheet": None if self.sheet is None else str(self.sheet),
            "notes": list(self.notes),
        }


def _sample(
    path: Path, request: FrameRequest, sheet: Path | None, dump: Path | None, say: Say
) -> SampledFile:
    """Plan, and decode no more than the sheet and the pictures need."""
    from mmreason.language.validate import checked_part
    from mmreason.video import Video

    with Video.open(path) as video:
        span = checked_part(request.start_s, request.end_s, video.info)
        # Inside the block: the video is closed below, and the notes need its rate.
        planned, fps_hz = PLANS[request.plan](video, span, request, say), video.info.mean_fps_hz
        chosen = planned
        if request.distinct:
            from mmreason.cli.sample_content import drop_look_alikes

            assert request.encoder is not None
            chosen = drop_look_alikes(planned, video, request.encoder, request.store, say)
        shown_frames: tuple[ShownFrame, ...] = ()
        pictures: tuple[Path, ...] = ()
        if sheet is not None:
            shown_frames = _write_sheet(video, chosen, sheet)
        if dump is not None:
            shown_frames, pictures = _write_pictures(video, chosen, dump)
    return SampledFile(
        video=str(path),
        plan=chosen,
        shown=shown_frames,
        sheet=sheet,
        pictures=pictures,
        notes=(*_notes(request, planned, fps_hz), *_note_dropped(planned, chosen)),
    )


def _note_dropped(planned: SamplePlan, chosen: SamplePlan) -> tuple[str, ...]:
    from mmreason.report.text import format_count

    dropped = len(planned) - len(chosen)
    return (f"dropped as look-alikes: {format_count(dropped, 'frame')}",) if dropped else ()


def _notes(request: FrameRequest, chosen: SamplePlan, video_fps_hz: float) -> tuple[str, ...]:
    """Why there are fewer frames than were asked for, or some twice; nothing where there are
    not."""
    from mmreason.report.text import format_count

    settings, taken = chosen.settings, format_count(len(chosen), "frame")
    # In the order in which they matter: repeated frames, a thinned rate, too few key frames.
    rate_hz = settings.get("fps_hz", 0.0)
    if chosen.method == "fps" and rate_hz > video_fps_hz * _CLEARLY_MORE > 0:
        return (
            f"the video has about {video_fps_hz:.3g} frames a second; at {rate_hz:.3g} a second "
            "some are taken more than once",
        )
    if chosen.method == "fps" and "frames_asked" in settings:
        return (
            f"{settings['fps_asked_hz']:g} frames a second are {settings['frames_asked']:,}; "
            f"--n {request.limit} keeps {taken}, {settings['fps_hz']:.3g} a second",
        )
    if chosen.method == "keyframes" and len(chosen) < request.limit and request.n is not None:
        return (f"{taken}: the video has no more key frames there, {request.n} were asked for",)
    return ()


def _write_sheet(video: Video, chosen: SamplePlan, sheet: Path) -> tuple[ShownFrame, ...]:
    from mmreason.cli.inputs import save_picture
    from mmreason.types import UsageError
    from mmreason.video.sheet import contact_sheet

    if len(chosen) > MOST_ON_A_SHEET:
        raise UsageError(
            f"a sheet holds {MOST_ON_A_SHEET} frames at most, these are {len(chosen)}; give --n"
        )
    info = video.info
    # Decoded at the size of a cell: a thousand frames in full would not fit into memory.
    height_px = max(1, round(CELL_WIDTH_PX * info.height_px / info.width_px))
    batch = video.sample(replace(chosen, size_px=(CELL_WIDTH_PX, height_px)))
    # About square, and no wider than a screen.
    columns = min(MOST_COLUMNS, round(len(batch) ** 0.5 + 0.49))
    picture = contact_sheet(batch, columns=columns, cell_width_px=CELL_WIDTH_PX)
    save_picture(picture, sheet, "--sheet")
    return _shown_frames(batch)


def _write_pictures(
    video: Video, chosen: SamplePlan, folder: Path
) -> tuple[tuple[ShownFrame, ...], tuple[Path, ...]]:
    """Write `folder/0001_12.345s.jpg` and so on, holding a few frames at a time."""
    from mmreason.video.files import write_atomic
    from mmreason.video.sheet import jpeg_bytes

    paths: list[Path] = []
    shown_frames: list[ShownFrame] = []
    for first in range(0, len(chosen), _DECODED_AT_ONCE):
        batch = video.sample(chosen.part(first, first + _DECODED_AT_ONCE))
        for pixels, time_s in zip(batch.pixels, batch.times_s, strict=True):
            name = f"{len(paths) + 1:04d}_{float(time_s):.3f}s.jpg"
            paths.append(write_atomic(folder / name, jpeg_bytes(pixels, quality=92)))
        shown_frames += _shown_frames(batch)
    return tuple(shown_frames), tuple(paths)


def _shown_frames(batch: FrameBatch) -> tuple[ShownFrame, ...]:
    return tuple(
        ShownFrame(shown_s=float(time_s), exact=bool(exact))
        for time_s, exact in zip(batch.times_s, batch.exact, strict=True)
    )


def _print(taken: SampledFile) -> None:
    from mmreason.video.types import format_time

    for i, (time_s, reason) in enumerate(zip(taken.plan.times_s, taken.plan.reasons, strict=True)):
        moved = bool(taken.plan.moved) and taken.plan.moved[i]
        # A plan may move a frame to a key frame, and a damaged file may show another.
        inexact = moved or (bool(taken.shown) and not taken.shown[i].exact)
        mark = "  (not exact)" if inexact else ""
        print_line(f"{i + 1:>4}  {format_time(time_s):>12}  {reason}{mark}")
    for note in taken.notes:
        print_line(f"note: {note}")
    if taken.sheet is not None:
        print_line(f"contact sheet: {taken.sheet}")
    if taken.pictures:
        print_line(f"pictures:      {len(taken.pictures)} in {taken.pictures[0].parent}")


def _print_summary(taken: SampledFile) -> None:
    from mmreason.report.text import format_count

    inexact = sum(not frame.exact for frame in taken.shown) or sum(taken.plan.moved)
    details = [f"{format_count(len(taken.plan), 'frame')}, {taken.plan.method}"]
    details += [f"{inexact} not exact"] if inexact else []
    details += list(taken.notes)
    details += [str(taken.sheet)] if taken.sheet is not None else []
    details += [str(taken.pictures[0].parent)] if taken.pictures else []
    print_line(f"{taken.video}: {', '.join(details)}")
