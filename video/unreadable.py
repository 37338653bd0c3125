"""Why a file that may be a video cannot be read: damage, a missing part, a kind of picture.

Asked once reading has failed. Looks at the first bytes, at the outermost boxes of an mp4, and at
the name only where the bytes say nothing.
"""

from __future__ import annotations

from pathlib import Path

from mmreason.video.file_kinds import HEAD_BYTES, fill_in, is_riff, starts_with

_MAX_BOXES = 2000
_MAX_INDEX_BYTES = 2**20

_FAMILIES = (
    (starts_with(b"\x1a\x45\xdf\xa3"), "a Matroska or WebM file"),
    (lambda head: is_riff(head, b"AVI "), "an AVI file"),
    (starts_with(b"FLV\1"), "an FLV file"),
    (starts_with(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), "a Windows Media file"),
    (starts_with(b"OggS"), "an Ogg file"),
    (starts_with(b"\0\0\1\xba"), "an MPEG program stream"),
    (lambda head: len(head) > 188 and head[0] == head[188] == 0x47, "an MPEG transport stream"),
    (starts_with(b"GIF8"), "a GIF"),
    (starts_with(b"\x89PNG"), "a PNG picture"),
    (starts_with(b"\xff\xd8\xff"), "a JPEG picture"),
    (lambda head: is_riff(head, b"WEBP"), "a WebP picture"),
    (starts_with(b"BM"), "a BMP picture"),
)
"""Kinds that are read: a file that begins so and is not read is damaged."""
_UNREAD_PICTURES = (
    (starts_with(b"II*\0", b"MM\0*"), "TIFF or camera raw"),
    (starts_with(b"\xff\x0a", b"\0\0\0\x0cJXL "), "JPEG XL"),
    (lambda head: head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1"), "HEIC"),
    (starts_with(b"\0\0\1\0"), "icon"),
)
_RAW_PIXELS = (".yuv", ".rgb", ".nv12", ".raw", ".i420", ".yv12")
_UNFINISHED = (".part", ".crdownload", ".download", ".partial", ".aria2", ".!ut", ".!qb", ".tmp")
_MEDIA_BOXES = {
    b"moov",
    b"moof",
    b"mdat",
    b"ftyp",
    b"styp",
    b"sidx",
    b"wide",
    b"free",
    b"skip",
    b"emsg",
}
_CLUSTER = b"\x1f\x43\xb6\x75"
_CUT = "is damaged or cut short"
_AGAIN = "copy or download it again"


def describe_unread_picture(path: Path) -> str | None:
    """What to do with a picture of a kind that FFmpeg often lacks; None for other files."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for begins, name in _UNREAD_PICTURES:
        if begins(head):
            return f"is a picture ({name}) that is not read; convert it to png or jpeg"
    return None


def explain_unreadable(path: Path) -> str:
    """Why a file that may be a video cannot be read, as far as its bytes and name tell. Raises
    OSError."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    # The name of an unfinished download says more than its first bytes, which look whole.
    if path.suffix.lower() in _UNFINISHED:
        return (
            f"is not a video file that can be read: its name says that it is unfinished; {_AGAIN}"
        )
    if picture := describe_unread_picture(path):
        return picture
    if path.suffix.lower() in _RAW_PIXELS:
        return fill_in(
            "holds raw pixels, by its name, without their size and rate; encode it with those that "
            "are right: `ffmpeg -f rawvideo -pixel_format yuv420p -video_size 640x360 "
            "-framerate 25 -i {path} {out}`",
            path,
        )
    if not head.strip(b"\0"):
        return f"is not a video: it begins with zeros, as an unfinished download does; {_AGAIN}"
    if head[4:8] in _MEDIA_BOXES:
        return _explain_boxes(path)
    # A part of a live recording: it holds frames, and not what they are made with.
    if head.startswith(_CLUSTER):
        return fill_in(_segment_advice("WebM"), path)
    for begins, name in _FAMILIES:
        if begins(head):
            return f"{_CUT}: it begins as {name} and cannot be read; {_AGAIN}"
    return "is not a video file that can be read: no kind of video that is known begins like it"


def _explain_boxes(path: Path) -> str:
    """Of an mp4 or mov file by the boxes on its outermost level."""
    names, is_cut = _outer_boxes(path)
    # Without the index no frame can be found; segments have theirs in another file.
    if b"moov" not in names:
        if names.keys() & {b"moof", b"styp", b"sidx"}:
            return fill_in(_segment_advice("DASH or CMAF"), path)
        return (
            f"{_CUT} (an mp4 or mov without its index, `moov`): the recording or download was not "
            f"finished; {_AGAIN}, or rebuild the index by a whole file of the same camera (untrunc)"
        )
    if not names.keys() & {b"mdat", b"moof"}:
        return "is the head of a video in segments, without pictures; join the segments to it"
    if _is_encrypted(path):
        return "is encrypted (DRM): it plays only where its key is; give a copy without encryption"
    return f"{_CUT}{' inside a part that it announces' * is_cut}; {_AGAIN}"


def _is_encrypted(path: Path) -> bool:
    """Whether a track says so in the index, wherever in the file that lies."""
    with path.open("rb") as file:
        file.seek(_outer_boxes(path)[0][b"moov"])
        return b"encv" in file.read(_MAX_INDEX_BYTES)


def _outer_boxes(path: Path) -> tuple[dict[bytes, int], bool]:
    """Names and places of the outermost boxes, and whether the last one is longer than the file."""
    names: dict[bytes, int] = {}
    size, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        for _ in range(_MAX_BOXES):
            file.seek(offset)
            header = file.read(16)
            if len(header) < 8:
                return names, False
            length = int.from_bytes(header[:4])
            length = int.from_bytes(header[8:16]) if length == 1 else length
            names[header[4:8]] = offset
            # A length of 0 means "to the end of the file", and is no damage.
            if length < 8 or offset + length > size:
                return names, length != 0
            offset += length
    return names, False


def _segment_advice(kind: str) -> str:
    return (
        f"is one segment of a video ({kind}) without the head that says what is in it; join the "
        "first segment (often named init) and this one: `cat init {path} > {out}`"
    )
