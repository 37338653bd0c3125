"""`mmreason ground`: where something is in a frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    from mmreason.grounding import Grounding

_MOMENT_S = 1e-6


def ground_expression(
    file: Annotated[str, typer.Argument(help="Video, image, or a scripted world (.json).")],
    expression: Annotated[str, typer.Argument(help='What to find, such as "the red star".')],
    at: Annotated[
        float | None, typer.Option(help="Second to look at; default: the middle.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--out", help="Write the frame with its boxes to this picture.")
    ] = None,
    model: ModelName = "nano",
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    option: OptionItems = None,
    options_file: OptionsFile = None,
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Find something in one frame of a video, or in an image; prints its box in pixels.

    Exit code 3 where it is not found; no picture is written then.
    """
    from mmreason.grounding import GroundingStatus
    from mmreason.video import Span

    if picture is not None:
        _check_picture(picture)

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
        # A moment is a span that holds one frame.
        span = None if at is None else Span(at, at + _MOMENT_S)
        grounding = reasoner.ground(file, expression, span=span)
    drawn = picture if grounding.boxes else None
    if as_json:
        picture_json = {} if picture is None else {"picture": None if drawn is None else str(drawn)}
        print_json(grounding.to_dict() | picture_json)
    else:
        for line in describe_grounding(grounding):
            print_line(line)
    if drawn is not None:
        _draw_boxes(file, grounding, drawn)
    if picture is not None and not as_json:
        print_line(f"picture: {drawn or 'not written, there is no box to draw'}")
    # A model that failed is exit code 1; a thing that is nowhere is 3.
    if grounding.status is GroundingStatus.ERROR:
        raise typer.Exit(1)
    if not grounding.boxes:
        raise typer.Exit(NO_ANSWER)


_STATUS_WORDS = {
    "found": "found",
    "ambiguous": "found more than once",
    "none": "nothing found",
    "unparsed": "nothing found",
    "error": "the model failed",
}


def describe_grounding(grounding: Grounding) -> list[str]:
    """What was found, for people: status, place, boxes, and whatever was odd.

    Example:
        >>> describe_grounding(reasoner.ground("frame.png", "the red star"))  # doctest: +SKIP
        ['the red star: found', 'box (x1, y1, x2, y2 in pixels): 12.0, 8.0, 40.0, 36.0']
    """
    from mmreason.video.types import format_time

    time_s = grounding.frame_time_s
    time_text = "" if time_s is None else f" at {format_time(time_s)}"
    status = _STATUS_WORDS[grounding.status]
    lines = [f"{grounding.expression}: {status}{time_text}"]
    for box, label in zip(grounding.boxes, grounding.labels, strict=True):
        numbers = ", ".join(f"{value:.1f}" for value in box.xyxy)
        lines.append(f"box (x1, y1, x2, y2 in pixels): {numbers}  {label}".rstrip())
    if not grounding.boxes and grounding.raw_text:
        lines.append(f"the model said: {grounding.raw_text}")
    return lines + [f"note: {issue}" for issue in grounding.issues]


def _draw_boxes(file: str, grounding: Grounding, picture: Path) -> None:
    """Write the frame that was looked at, with its boxes, as a picture."""
    from PIL import Image, ImageDraw

    from mmreason.tools.ground import frame_of_image
    from mmreason.video import Video

    if grounding.frame_time_s is None:
        pixels = frame_of_image(file).pixels
    else:
        # Boxes are in pixels of the stored frame, so it is read again at full size.
        with Video.open(file) as video:
            pixels = video.frames_at([grounding.frame_time_s]).pixels[0]
    image = Image.fromarray(pixels)
    width_px = max(2, image.height // 180)
    draw = ImageDraw.Draw(image)
    for box in grounding.boxes:
        # White on black is seen on any ground.
        draw.rectangle(box.xyxy, outline=(0, 0, 0), width=width_px + 2)
        draw.rectangle(box.xyxy, outline=(255, 255, 255), width=width_px)
    save_picture(image, picture, "--out")


def _check_picture(picture: Path) -> None:
    """UsageError where no picture can be written there, before anything is looked at."""
    picture_format(picture, "--out")
    from mmreason.video.files import check_writable

    check_writable(picture)
