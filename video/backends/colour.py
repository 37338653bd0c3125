"""What the stored pixels of a picture mean: the file's marks, what is taken where it has none, and
which files cannot be shown in their right colours.

Names are those of ITU-T H.273 as FFmpeg writes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import av
from av.video.stream import VideoStream

from mmreason.video.backends.base import BackendError, ToneMap
from mmreason.video.types import Colour, VideoError

# Numbers as in ISO/IEC 23091-2 (H.273), names as FFmpeg has them.
_TRANSFERS = {
    1: "bt709", 2: "unknown", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m",
    8: "linear", 9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e",
    13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 17: "smpte428",
    18: "arib-std-b67",
}  # fmt: skip
_PRIMARIES = {
    1: "bt709", 2: "unknown", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m",
    8: "film", 9: "bt2020", 10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
_MATRICES = {
    0: "gbr", 1: "bt709", 2: "unknown", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m",
    8: "ycgco", 9: "bt2020nc", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc",
    13: "chroma-derived-c", 14: "ictcp", 15: "ipt-c2", 16: "ycgco-re", 17: "ycgco-ro",
}  # fmt: skip
_RANGES = {1: "tv", 2: "pc"}

HDR_NAMES = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
WIDE_PRIMARIES = {"bt2020": "BT.2020", "smpte432": "Display P3"}
"""Primaries that are brought to BT.709. Those of standard definition lie so near to it that players
leave them, and so does this package."""
TONE_MAP_OPERATOR = "soft-clip"
HD_LINES = 720
"""Pictures of this many stored lines or more are BT.709 where the file does not say."""

_CONVERTED_MATRICES = {
    "bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc", "ycgco",
}  # fmt: skip
_LIKE_BT601 = {"bt470bg", "smpte170m", "fcc"}
"""BT.601, and what hardly differs from it."""
_ZSCALE_MATRICES = {"bt2020c", "ictcp", "chroma-derived-nc", "chroma-derived-c"}
"""Those of the others that FFmpeg's filter zscale converts."""
# Shown as stored, which `colour_notes` says; OpenCV is refused, as it converts them its way.
_UNCONVERTED_TRANSFERS = {"linear", "log100", "log316", "smpte428"}
_UNCONVERTED_PRIMARIES = {"bt470m", "film", "smpte428", "smpte431"}
_LIMITED_GREY_CODECS = {"h264", "hevc", "vvc", "av1", "vp9", "mpeg2video", "mpeg4"}
"""Codecs whose standard takes unmarked pictures as limited range, grey ones too."""
_DOLBY_VISION_TAGS = {"dvh1", "dvhe", "dva1", "dvav", "dav1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Numbers of ITU-T H.273; 2 is "unknown", for the range 0."""

    matrix: int = 2
    range: int = 0
    transfer: int = 2
    primaries: int = 2


def container_marks(stream: VideoStream) -> Marks:
    """What the container says. To be read before a frame is decoded: decoders write over it, some
    of them (VP9, ProRes) with "unknown"."""
    context = stream.codec_context
    return Marks(
        matrix=context.colorspace,
        range=context.color_range,
        transfer=context.color_trc,
        primaries=context.color_primaries,
    )


def read_colour(path: Path, frame: av.VideoFrame, stream: VideoStream, container: Marks) -> Colour:
    """The colour of a decoded frame, `tone_map` still "none": what the frame says, and where it
    says nothing the container.

    Raises VideoError for colours that are not converted, which no back end shows correctly.
    """
    codec = stream.codec_context.codec.canonical_name
    # 1. Marks: those of the picture lead, those of the container fill in (2 is "unspecified").
    says_matrix = frame.colorspace != 2 and codec != "vp8"  # which knows BT.601 only
    by_container = not says_matrix and container.matrix not in (0, 2)
    marks = Marks(
        matrix=container.matrix if by_container else frame.colorspace,
        range=frame.color_range or container.range,
        transfer=container.transfer if frame.color_trc == 2 else frame.color_trc,
        primaries=container.primaries if frame.color_primaries == 2 else frame.color_primaries,
    )
    # Such a picture is IPT without a mark: taken as untagged it comes out green and violet.
    if marks.matrix == 2 and stream.codec_context.codec_tag in _DOLBY_VISION_TAGS:
        raise VideoError(
            f"{path}: is Dolby Vision without a picture for other players, whose colours (IPT) are "
            f"not converted; {_convert_command(path, 'libplacebo=format=yuv420p')}"
        )
    # 2. What neither says is assumed, and told as assumed.
    assumed: list[str] = []
    transfer = _TRANSFERS.get(marks.transfer, f"reserved ({marks.transfer})")
    primaries = _PRIMARIES.get(marks.primaries, f"reserved ({marks.primaries})")
    is_hdr = transfer in HDR_NAMES
    matrix = _matrix(path, frame, marks.matrix, assumed, is_bt2020=is_hdr or primaries == "bt2020")
    range_ = _range(frame, marks.range, codec, assumed)
    # HDR comes with primaries of BT.2020 in practice, as that matrix does.
    if primaries == "unknown" and (is_hdr or matrix == "bt2020nc"):
        primaries = "bt2020"
        assumed.append("primaries")
    # 3. Transparency: what the picture has, and what its decoder does not deliver.
    alpha = "none"
    if frame.format.has_palette:  # of which only the entries in use tell
        alpha = "on black" if frame.to_ndarray(format="rgba")[..., 3].min() < 255 else "none"
    elif has_alpha(frame.format):
        alpha = "on black"
    elif stream.metadata.get("alpha_mode") == "1":
        alpha = "not decoded"
    return Colour(
        transfer=transfer,
        primaries=primaries,
        matrix=matrix,
        range=range_,
        assumed=tuple(assumed),
        by_container=("matrix",) if by_container else (),
        alpha=alpha,
    )


def _matrix(
    path: Path, frame: av.VideoFrame, mark: int, assumed: list[str], *, is_bt2020: bool
) -> str:
    if is_rgb(frame.format):
        return "gbr"
    matrix = _MATRICES.get(mark, f"reserved ({mark})")
    if is_grey(frame.format):  # without colour differences no matrix matters
        return "unknown"
    if matrix == "unknown":
        assumed.append("matrix")
        # HDR without a matrix is BT.2020 in practice; else size tells, as players have it.
        if is_bt2020:
            return "bt2020nc"
        return "bt709" if frame.height >= HD_LINES else "smpte170m"
    if matrix in _CONVERTED_MATRICES:
        return matrix
    # The pixels contradict the mark, so a program set it by mistake; a guess may be wrong unseen.
    if matrix == "gbr" or matrix.startswith("reserved"):
        raise VideoError(
            f"{path}: marks its colours with the matrix {matrix}, which its pixels "
            f"({frame.format.name}) cannot have; if they are BT.709: "
            f"{_convert_command(path, 'setparams=colorspace=bt709')}"
        )
    advice = "convert it to BT.709 with the program that made it"
    # For these a filter of FFmpeg is known to be right, so the error gives the command.
    if matrix in _ZSCALE_MATRICES:
        filters = "zscale=matrix=709:transfer=709:primaries=709:npl=203"
        advice = _convert_command(path, filters)
    raise VideoError(
        f"{path}: its colours have the matrix {matrix}, which is not converted; {advice}"
    )


def _range(frame: av.VideoFrame, mark: int, codec: str, assumed: list[str]) -> str:
    """Red, green and blue are always full range, as FFmpeg has them."""
    if is_rgb(frame.format) or frame.format.name.startswith("yuvj"):
        return "pc"
    if mark in _RANGES:
        return _RANGES[mark]
    assumed.append("range")
    return "pc" if is_grey(frame.format) and codec not in _LIMITED_GREY_CODECS else "tv"


def _convert_command(path: Path, filters: str) -> str:
    return f"convert it with: ffmpeg -i {path.name} -vf {filters},format=yuv420p out.mp4"


def has_alpha(pixels: av.VideoFormat) -> bool:
    """Whether pixels may be transparent; those of a palette may."""
    return pixels.has_palette or any(component.is_alpha for component in pixels.components)


def is_rgb(pixels: av.VideoFormat) -> bool:
    """Whether no matrix is needed: red, green and blue, a palette of them, black and white."""
    return pixels.is_rgb or pixels.has_palette or pixels.name.startswith(("mono", "xyz"))


def is_grey(pixels: av.VideoFormat) -> bool:
    return (
        not is_rgb(pixels) and sum(not component.is_alpha for component in pixels.components) == 1
    )


def operator_for(colour: Colour, tone_map: ToneMap) -> str:
    """What `Colour.tone_map` is to say of pictures that are read with the option `tone_map`."""
    is_hdr = colour.transfer in HDR_NAMES
    return TONE_MAP_OPERATOR if is_hdr and tone_map == "auto" else "none"


def is_gamut_converted(colour: Colour) -> bool:
    """Whether primaries are brought to BT.709; values delivered as stored keep theirs."""
    as_stored = colour.transfer in HDR_NAMES and colour.tone_map == "none"
    return colour.primaries in WIDE_PRIMARIES and not as_stored


def is_limited_grey(colour: Colour) -> bool:
    return colour.matrix == "unknown" and colour.range == "tv"


def colour_notes(colour: Colour) -> tuple[str, ...]:
    """What a person should know of how the colours of a file are shown, a line each."""
    notes: list[str] = []
    hdr, wide = HDR_NAMES.get(colour.transfer), WIDE_PRIMARIES.get(colour.primaries)
    if hdr and colour.tone_map == "none":
        notes.append(f"HDR ({hdr}) is delivered as stored and looks dull: tone_map is 'none'")
    elif hdr:
        notes.append(
            f"HDR ({hdr}) brought to a standard screen by {colour.tone_map} (white at 203 cd/m2); "
            "tone_map='none' turns it off"
        )
    if wide and is_gamut_converted(colour):
        notes.append(f"{wide} colours brought to BT.709: those outside of it are clipped")
    # A wrong guess shifts all colours a little, which nobody would notice without a line.
    if "matrix" in colour.assumed:
        taken = {"bt709": "BT.709 by its size", "bt2020nc": "BT.2020 by what else is told"}
        way = taken.get(colour.matrix, "BT.601 by its size")
        notes.append(f"colours are untagged: taken as {way}")
    if colour.matrix == "unknown" and "range" in colour.assumed:
        values = "16..235" if colour.range == "tv" else "0..255"
        notes.append(f"grey of untagged range: taken as {values} by its codec")
    if colour.alpha == "on black":
        notes.append("has an alpha channel: transparent parts are shown on black")
    if colour.alpha == "not decoded":
        notes.append(
            "has an alpha channel that is not decoded: what lies under transparent parts is shown"
        )
    if colour.transfer in _UNCONVERTED_TRANSFERS:
        notes.append(f"its transfer ({colour.transfer}) is not converted: brightness is not true")
    if colour.primaries in _UNCONVERTED_PRIMARIES:
        notes.append(f"its primaries ({colour.primaries}) are shown as if they were BT.709")
    return tuple(notes)


def refuse_colour(
    path: Path,
    colour: Colour,
    backend: str,
    tone_map: ToneMap,
    *,
    takes_all_as_bt601: bool = False,
) -> None:
    """Raise BackendError where a back end shows other colours than `pictures` does: most convert by
    the matrix alone, OpenCV also brings HDR and wide colours to a standard screen in its own way.

    `takes_all_as_bt601` says of a back end that it does not look at the matrix.
    """
    is_opencv = backend == "opencv"
    # Judged by what the caller would see, so with the operator of the caller.
    read = replace(colour, tone_map=operator_for(colour, tone_map))
    reasons = {
        # OpenCV brings HDR to a screen in its own way, even where it should come as stored.
        f"HDR ({HDR_NAMES.get(colour.transfer)})": colour.transfer in HDR_NAMES
        and (is_opencv or read.tone_map != "none"),
        f"{colour.primaries} colours": is_gamut_converted(read)
        or (is_opencv and colour.primaries in _UNCONVERTED_PRIMARIES),
        f"the transfer {colour.transfer}": is_opencv and colour.transfer in _UNCONVERTED_TRANSFERS,
        # These back ends read the tags of the pictures alone, and take none as BT.601.
        f"no tag of its matrix ({colour.matrix}) in the pictures themselves": "matrix"
        in (*colour.assumed, *colour.by_container)
        and colour.matrix not in _LIKE_BT601,
        "transparent parts": colour.alpha == "on black",
        f"the matrix {colour.matrix} ({colour.range})": not _shows_matrix(
            colour, backend, takes_all_as_bt601
        ),
        "grey of limited range": is_limited_grey(colour),
    }
    for reason, is_met in reasons.items():
        if is_met:
            raise BackendError(
                f"{path}: has {reason}, which {backend} does not show correctly; use pyav"
            )


def _shows_matrix(colour: Colour, backend: str, takes_all_as_bt601: bool) -> bool:
    """On a CUDA device torchcodec has BT.709, and takes all else as BT.601 of limited range."""
    if colour.matrix in ("gbr", "unknown"):
        return True
    is_bt601 = colour.matrix in _LIKE_BT601
    if takes_all_as_bt601:
        return is_bt601
    if backend == "torchcodec-cuda":
        return colour.matrix == "bt709" or (is_bt601 and colour.range == "tv")
    return colour.matrix != "ycgco"
