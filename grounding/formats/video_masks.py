"""MeViS and Ref-YouTube-VOS: expressions about objects of a video that are given as masks.

Neither file says a frame rate, so that the caller declares one: a frame's time is its number over
it. Names of frames are numbers of the video's frames from 0 on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmreason.grounding.formats.rle import MOST_MASK_PIXELS, read_rle
from mmreason.grounding.formats.rows import (
    BadRow,
    Form,
    FormError,
    Reading,
    ReferringRow,
    RowError,
    check_object,
    describe,
    get_expression,
    get_list,
    get_object,
    read_guarded,
)
from mmreason.grounding.formats.sources import read_document, source_name
from mmreason.grounding.formats.tubes_of_frames import build_tube
from mmreason.grounding.masks import Mask
from mmreason.grounding.tubes import Tube

MASKS_FILE = "mask_dict.json"
"""What MeViS calls its masks, which lie beside the expressions."""
MASKS_FOLDER = "Annotations"
"""What Ref-YouTube-VOS calls its folder of a folder of PNGs a video."""

MasksOfFrames = Mapping[int, Mask]
"""Masks by frame number; absent where the object is."""


@dataclass(frozen=True, slots=True)
class _Clip:
    """One video's expressions, and what reading them needs."""

    video: str
    number: int
    frames: tuple[int, ...]
    fps_hz: float
    source: str


_Load = Callable[[_Clip, str], MasksOfFrames]
"""Masks of one object of a video, by its id."""


def read_mevis(
    document: dict[str, Any], path: Path, fps_hz: float | None, masks: Path | None = None
) -> Iterator[Reading]:
    """One row an expression, with a tube an object; no objects are no target, and expressions
    without a list of them have no known truth. `masks` is by default `mask_dict.json` beside."""
    masks_path = path.with_name(MASKS_FILE) if masks is None else masks
    by_object = None
    if masks_path.is_file():
        by_object = read_document(masks_path)
        if not isinstance(by_object, dict):
            raise FormError(f"{masks_path}: expected masks by object, found {describe(by_object)}")

    def load(clip: _Clip, key: str) -> MasksOfFrames:
        if by_object is None:
            raise BadRow(f"the masks are in {masks_path.name}, and there is no such file")
        listed = get_list(by_object, key)
        if len(listed) != len(clip.frames):
            raise BadRow(
                f"object {key} has {len(listed)} masks, the video has {len(clip.frames)} frames"
            )
        pairs = zip(clip.frames, listed, strict=True)
        return {frame: read_rle(value) for frame, value in pairs if value is not None}

    yield from _read_videos(document, path, fps_hz, Form.MEVIS, "anno_id", load)


def read_ref_youtube_vos(
    document: dict[str, Any], path: Path, fps_hz: float | None, masks: Path | None = None
) -> Iterator[Reading]:
    """One row an expression, with the tube of its object. `masks` is the folder `Annotations`, by
    default beside `path` or where the data set keeps it."""
    published = path.parent.parent.parent / path.parent.name / MASKS_FOLDER
    candidates = (path.parent / MASKS_FOLDER, published) if masks is None else (masks,)
    folder = next((candidate for candidate in candidates if candidate.is_dir()), None)
    videos: dict[str, dict[str, dict[int, Mask]]] = {}

    def load(clip: _Clip, key: str) -> MasksOfFrames:
        if folder is None:
            raise BadRow(f"its masks are in the folder {MASKS_FOLDER}, which is not there; give it")
        if clip.video not in videos:
            videos.clear()  # rows of one video follow each other
            names = get_list(check_object(document["videos"][clip.video], clip.video), "frames")
            videos[clip.video] = _read_pictures(folder, clip, names)
        masks_of_object = videos[clip.video].get(key)
        if masks_of_object is None:
            there = ", ".join(sorted(videos[clip.video])[:8]) or "none"
            raise BadRow(f"object {key} is in no mask of the video; there are {there}")
        return masks_of_object

    yield from _read_videos(document, path, fps_hz, Form.REF_YOUTUBE_VOS, "obj_id", load)


def _read_videos(
    document: dict[str, Any],
    path: Path,
    fps_hz: float | None,
    form: Form,
    ids_field: str,
    load: _Load,
) -> Iterator[Reading]:
    if fps_hz is None or fps_hz <= 0:
        raise FormError(
            f"{path}: says no frame rate, and frames are no seconds; give the rate at which its "
            "frames are numbered (fps)"
        )
    number = 0
    for video, values in get_object(document, "videos").items():
        try:
            expressions, clip_frames = _open_video(video, values)
        except BadRow as error:
            yield RowError(source_name(path), number + 1, f"video {video!r}: {error}")
            number += 1
            continue
        tubes: dict[str, Tube] = {}
        for key, fields in expressions.items():
            number += 1
            clip = _Clip(video, number, clip_frames, fps_hz, source_name(path))
            yield from read_guarded(
                source_name(path),
                number,
                _read_expression,
                clip,
                key,
                fields,
                form,
                ids_field,
                load,
                tubes,
            )


def _open_video(video: str, values: Any) -> tuple[dict[str, Any], tuple[int, ...]]:
    # Names become paths: none may lead out of the folder.
    if Path(video).name != video or video in (".", ".."):
        raise BadRow("the name is no plain name of a folder")
    fields = check_object(values, "a video")
    frames = tuple(_frame_number(name) for name in get_list(fields, "frames"))
    if not frames or any(b <= a for a, b in itertools.pairwise(frames)):
        raise BadRow("'frames' must be numbers that rise")
    return get_object(fields, "expressions"), frames


def _frame_number(name: Any) -> int:
    text = str(name)
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise BadRow(f"a frame must be named by its number, found {describe(name)}")
    return int(text)


def _read_expression(
    clip: _Clip,
    key: str,
    fields: Any,
    form: Form,
    ids_field: str,
    load: _Load,
    tubes: dict[str, Tube],
) -> list[ReferringRow]:
    values = check_object(fields, "an expression")
    is_known = values.get(ids_field) is not None
    named = values[ids_field] if is_known else []
    ids = [str(item) for item in named] if isinstance(named, list) else [str(named)]
    for object_id in ids:
        if object_id not in tubes:
            tubes[object_id] = _to_tube(clip, object_id, load(clip, object_id))
    targets = tuple(tubes[object_id] for object_id in ids)
    sizes = {mask.size_px for tube in targets for mask in tube.masks or () if mask is not None}
    if len(sizes) > 1:
        raise BadRow(f"masks of one video have {len(sizes)} sizes")
    row = ReferringRow(
        source=clip.source,
        row=clip.number,
        row_id=f"{clip.video}:{key}",
        form=form,
        expression=get_expression(values, "exp"),
        video=clip.video,
        size_px=sizes.pop() if sizes else None,
        tubes=targets,
        truth_known=is_known,
        tags={"fps_hz": clip.fps_hz},
    )
    return [row]


def _to_tube(clip: _Clip, object_id: str, masks: MasksOfFrames) -> Tube:
    """Boxes are those of the masks; an empty mask is absence."""
    boxes = {frame: box for frame, mask in masks.items() if (box := mask.box) is not None}
    return build_tube(boxes, clip.frames, clip.fps_hz, id=object_id, masks=masks)


def _read_pictures(folder: Path, clip: _Clip, names: Sequence[Any]) -> dict[str, dict[int, Mask]]:
    """Masks by object and frame, from pictures whose pixels are numbers of objects."""
    masks_by_object: dict[str, dict[int, Mask]] = {}
    for name, frame in zip(names, clip.frames, strict=True):
        pixels = _read_picture(folder / clip.video / f"{name}.png")
        for value in np.unique(pixels):
            if value:
                masks_by_object.setdefault(str(value), {})[frame] = Mask.from_array(pixels == value)
    return masks_by_object


def _read_picture(path: Path) -> np.ndarray:
    """uint8 (H, W): number of the object, 0 for none."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.mode not in ("P", "L"):
                raise BadRow(f"{path.name} has the mode {image.mode}: its palette is lost")
            if image.width * image.height > MOST_MASK_PIXELS:
                raise BadRow(f"{path.name} has more than {MOST_MASK_PIXELS:,} pixels")
            return np.asarray(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadRow(f"the mask {path.name} cannot be read ({type(error).__name__})") from error
