"""Files as rows name them: a path, an address, an object with a path, or a list of frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmreason.training.data.dialects.embedded import keep_base64, keep_bytes
from mmreason.training.data.dialects.own_key import read_rate_hz, read_span
from mmreason.training.data.dialects.row_errors import BadRow, describe
from mmreason.training.data.sample import MediaKind, MediaRef, resolve_path
from mmreason.video.types import Span

MOST_FRAMES = 100_000
"""Of one clip that is given as a list of images."""
MOST_PATH_LETTERS = 4_000

_PATH_FIELDS = ("path", "video", "image", "audio", "url", "file", "file_name")
_KINDS = {"image": MediaKind.IMAGE, "video": MediaKind.VIDEO, "audio": MediaKind.AUDIO}


def read_media(
    row: Mapping[str, Any], names: Mapping[str, str], root: Path
) -> dict[str, list[MediaRef]]:
    """The files of a row by kind ("image", "video", "audio"); `names` says under which field of
    the row which kind stands, such as `{"videos": "video", "image": "image"}`. Raises BadRow."""
    media: dict[str, list[MediaRef]] = {"video": [], "image": [], "audio": []}
    for field_name, kind in names.items():
        value = row.get(field_name)
        if value in (None, "", [], {}):
            continue
        values = value if isinstance(value, list) else [value]
        media[kind] += [read_medium(item, kind, root, field_name) for item in values]
    return media


def read_medium(value: Any, kind: str, root: Path, name: str) -> MediaRef:
    """One file, or one list of frames, that stands under the field `name`. Raises BadRow."""
    if isinstance(value, list | tuple) and kind == "video":
        return _frames(value, root, name, rate_hz=None)
    span = rate_hz = None
    if isinstance(value, Mapping):
        span, rate_hz = _span_of(value), value.get("sample_fps", value.get("fps"))
        inner = next((value[key] for key in _PATH_FIELDS if value.get(key)), None)
        if isinstance(value.get("bytes"), bytes):
            # The name beside them is that of a file on the machine that wrote the row.
            inner = keep_bytes(value["bytes"], name)
        if inner is None:
            raise BadRow(f"{name!r} names no file; expected a path")
        if isinstance(inner, list):
            return _frames(inner, root, name, None if rate_hz is None else read_rate_hz(rate_hz))
        value = inner
    path = _read_path(value, root, name)
    return MediaRef(kind=_KINDS[kind], paths=(path,), span=span)


def _frames(values: Sequence[Any], root: Path, name: str, rate_hz: float | None) -> MediaRef:
    if not 0 < len(values) <= MOST_FRAMES:
        raise BadRow(f"{name!r} has {len(values):,} frames, expected 1 to {MOST_FRAMES:,}")
    paths = [
        _read_path(value.get("path") if isinstance(value, dict) else value, root, name)
        for value in values
    ]
    return MediaRef(kind=MediaKind.FRAMES, paths=tuple(paths), rate_hz=rate_hz)


def _span_of(value: Mapping[str, Any]) -> Span | None:
    """qwen-vl-utils' names of a stretch."""
    start_s, end_s = value.get("video_start"), value.get("video_end")
    if start_s is None and end_s is None:
        return None
    if end_s is None:
        raise BadRow("a file has 'video_start' and no 'video_end'")
    return read_span([start_s or 0.0, end_s])


def _read_path(value: Any, root: Path, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadRow(f"{name!r} must name a file, found {describe(value)}")
    if value.startswith("data:"):
        return keep_base64(value, name)
    if len(value) > MOST_PATH_LETTERS or "\0" in value:
        what = "holds a null character" if "\0" in value else f"has {len(value):,} letters"
        raise BadRow(f"{name!r} names no file: it {what}")
    return resolve_path(value.removeprefix("file://"), root)
