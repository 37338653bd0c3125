"""`mmreason ground`: where something is in a frame, or through time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mmreason.cli.common import (
    NO_ANSWER,
    ApiKeyFile,
    Json,
    ModelName,
    OptionItems,
    OptionsFile,
    ServedModel,
    StorePath,
    load_reasoner,
    print_json,
    print_line,
    read_model_options,
    show_progress,
)
from mmreason.cli.inputs import picture_format, save_picture

if TYPE_CHECKING:
    from mmreason.agent.grounding.request import Want
    from mmreason.grounding import Grounding

_VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".mkv"})
_PAGES = frozenset({".html", ".htm"})


def ground_expression(
    file: Annotated[str, typer.Argument(help="Video, image, or a scripted world (.json).")],
    expression: Annotated[str, typer.Argument(help='What to find, such as "the red star".')],
    span: Annotated[
        str | None,
        typer.Option(help="Part of the video, such as 60-180 or 1:00-3:00; default: all of it."),
    ] = None,
    at: Annotated[
        float | None, typer.Option(help="Second to look at; default: the middle.")
    ] = None,
    want: Annotated[
        str, typer.Option(help="box: in one frame; tube: through time; mask: with its outline.")
    ] = "box",
    fps: Annotated[float, typer.Option(help="Frames a second of a tube.")] = 5.0,
    max_targets: Annotated[
        int, typer.Option(help="How many things the words may mean; more are ambiguous.")
    ] = 1,
    grounder: Annotated[
        str,
        typer.Option(
            help="auto, boxes, end_to_end, or the name or folder of a detector or mask tracker."
        ),
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(help="Draw what is found: a picture, a video (.mp4) or a page (.html)."),
    ] = None,
    budget_frames: Annotated[int | None, typer.Option(help="Most frames to show.")] = None,
    budget_calls: Annotated[
        int | None, typer.Option(help="Most questions to the model; 1 leaves out all checks.")
    ] = None,
    budget_seconds: Annotated[float | None, typer.Option(help="Most seconds to spend.")] = None,
    model: ModelName = "nano",
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    option: OptionItems = None,
    options_file: OptionsFile = None,
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Find something in one frame of a video, in an image, or through time; prints its box in
    pixels.

    Exit code 3 where it is not found; nothing is drawn then.
    """
    from mmreason.agent.grounding.request import GroundRequest
    from mmreason.grounding import GroundingStatus
    from mmreason.types import Budget

    if out is not None:
        _check_out(out, want, file)
    part = None if span is None else read_span(span)
    budget = Budget(frames=budget_frames, rounds=budget_calls, seconds=budget_seconds)
    # For its checks alone: no model is loaded for what cannot be asked.
    GroundRequest(expression, cast("Want", want), part, at, fps, max_targets, grounder, budget)
    options = read_model_options(option, options_file)
    with show_progress(f"loading {model}") as say:
        reasoner = load_reasoner(
            model,
            store,
            served_model=served_model,
            api_key_file=api_key_file,
            options=options,
            probe=False,
        )
        say("looking")
        grounding = reasoner.ground(
            file,
            expression,
            span=part,
            want=cast("Want", want),
            at=at,
            fps=fps,
            max_targets=max_targets,
            grounder=grounder,
            budget=budget,
        )
    # Drawn first: what is printed names a file that is there.
    drawn, notes = None, ()
    if out is not None and grounding.targets:
        with show_progress("drawing"):
            drawn, notes = _draw(file, grounding, out)
    if as_json:
        picture_json = {} if out is None else {"picture": None if drawn is None else str(drawn)}
        print_json(grounding.to_dict() | picture_json)
    else:
        for line in describe_grounding(grounding):
            print_line(line)
        for note in notes:
            print_line(f"note: {note}")
        if out is not None:
            kind = "picture" if _is_picture(out) else "drawn"
            print_line(f"{kind}: {drawn or 'not written, there is nothing to draw'}")
    # A model that failed is exit code 1; a thing that is nowhere is 3.
    if grounding.status is GroundingStatus.ERROR:
        raise typer.Exit(1)
    if not grounding.targets:
        raise typer.Exit(NO_ANSWER)


def read_span(text: str) -> tuple[float, float]:
    """`60-180` or `1:00-3:00` in seconds. UsageError for what is no span.

    Example:
        >>> read_span("1:00-2:30.5")
        (60.0, 150.5)
    """
    from mmreason.types import UsageError

    start, dash, end = text.partition("-")
    try:
        if not dash:
            raise ValueError(text)
        return _read_clock(start), _read_clock(end)
    except ValueError as error:
        raise UsageError(
            f"--span must be START-END in seconds or m:ss, such as 60-180, got {text!r}"
        ) from error


def _read_clock(text: str) -> float:
    seconds = 0.0
    for field in text.strip().split(":"):
        seconds = seconds * 60 + float(field)
    if not math.isfinite(seconds):
        raise ValueError(text)
    return seconds


_STATUS_WORDS = {
    "found": "found",
    "ambiguous": "found more than once",
    "none": "nothing found",
    "unparsed": "nothing found",
    "error": "the model failed",
}


def describe_grounding(grounding: Grounding) -> list[str]:
    """What was found, for people: status, place, boxes, times, and whatever was odd.

    Example:
        >>> describe_grounding(reasoner.ground("frame.png", "the red star"))  # doctest: +SKIP
        ['the red star: found', 'box (x1, y1, x2, y2 in pixels): 12.0, 8.0, 40.0, 36.0']
    """
    from mmreason.video.types import format_time

    time_s = grounding.frame_time_s
    time_text = "" if time_s is None else f" at {format_time(time_s)}"
    status = _STATUS_WORDS[grounding.status]
    lines = [f"{grounding.expression}: {status}{time_text}"]
    for target in grounding.targets:
        if target.box is not None:
            numbers = ", ".join(f"{value:.1f}" for value in target.box.xyxy)
            lines.append(f"box (x1, y1, x2, y2 in pixels): {numbers}  {target.label}".rstrip())
        if target.tube is not None and target.span is not None:
            count = int(target.tube.present.sum())
            lines.append(f"seen {target.span}, in {count} of {len(target.tube)} frames")
        if target.score is not None:
            lines.append(f"score: {target.score:.2f} ({target.score_kind})")
        lines += [f"  {_CHECK_WORDS[holds]}: {text}" for text, holds in target.checks.items()]
    for rival in grounding.rivals:
        fails = f", fails: {', '.join(rival.fails)}" if rival.fails else ""
        when = "" if rival.target.span is None else f" seen {rival.target.span}"
        lines.append(f"not this one: {rival.target.label}{when}{fails}")
    if grounding.rationale:
        lines.append(f"why: {grounding.rationale}")
    if not grounding.targets and grounding.raw_text:
        lines.append(f"the model said: {grounding.raw_text}")
    return lines + [f"note: {issue}" for issue in grounding.issues]


_CHECK_WORDS = {True: "confirmed", False: "denied", None: "not checked"}


def _is_picture(out: Path) -> bool:
    return out.suffix.lower() not in _VIDEOS | _PAGES


def _draw(file: str, grounding: Grounding, out: Path) -> tuple[Path, tuple[str, ...]]:
    """Write what was found to `out`: (the file that was written, what differs from the input)."""
    if _is_picture(out):
        _draw_boxes(file, grounding, out)
        return out, ()
    if out.suffix.lower() in _PAGES:
        from mmreason.grounding.drawing.page import save_tube_page

        save_tube_page(out, file, grounding)
        return out, ()
    from mmreason.grounding.drawing.video import draw_video

    tubes = [target.tube for target in grounding.targets if target.tube is not None]
    drawn = draw_video(file, tubes, out)
    return drawn.path, drawn.notes


def _draw_boxes(file: str, grounding: Grounding, picture: Path) -> None:
    """Write the frame that was looked at, with its boxes, as a picture."""
    from PIL import Image

    from mmreason.grounding.drawing.boxes import draw_boxes
    from mmreason.tools.ground import frame_of_image, is_image
    from mmreason.video import Video

    if is_image(file):
        pixels = frame_of_image(file).pixels
    else:
        # Boxes are in pixels of the stored frame, so it is read again at full size.
        with Video.open(file) as video:
            pixels = video.frames_at([grounding.frame_time_s or 0.0]).pixels[0]
    drawn = draw_boxes(pixels, grounding.boxes, grounding.labels)
    save_picture(Image.fromarray(drawn), picture, "--out")


def _check_out(out: Path, want: str, file: str) -> None:
    """UsageError where nothing can be written there, before anything is looked at."""
    from mmreason.tools.ground import is_image
    from mmreason.types import UsageError
    from mmreason.video.files import check_writable

    if _is_picture(out):
        picture_format(out, "--out")
    elif is_image(file):
        raise UsageError(f"{out}: of an image a picture is drawn; give a name that ends in .png")
    elif want == "box":
        raise UsageError(f"{out}: a video or a page is drawn of a tube; give --want tube")
    check_writable(out)
