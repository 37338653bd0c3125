"""Tubes as MOTChallenge's text: one box a line, frames counted from 1."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from mmreason.grounding.boxes import Box
from mmreason.grounding.formats.rows import BadRow, FormError, RowError, read_box
from mmreason.grounding.formats.sources import check_file, source_name
from mmreason.grounding.formats.tubes_of_frames import build_tube, frames_of
from mmreason.grounding.tubes import Tube

MOST_TRACK_FRAMES = 10_000_000
"""Of all tubes of a file: two lines can name frames that are as far apart as one likes."""
_MOST_LINE_CHARACTERS = 10_000


def write_mot(tubes: Sequence[Tube], fps_hz: float) -> str:
    """Lines of `frame,id,left,top,width,height,confidence,-1,-1,-1` in the order of frames. Where
    ids are not different whole numbers, a tube's place (from 1 on) is its id. Absence has no line.
    Raises FormError where a time is no frame at `fps_hz`.

    Example:
        >>> write_mot([Tube.from_boxes([0.5], [Box(1, 2, 4, 6)])], 2.0)
        '2,1,1,2,3,4,1,-1,-1,-1\\n'
    """
    rows: list[tuple[int, int, str]] = []
    ids = {tube.id for tube in tubes}
    numbered = len(ids) == len(tubes) and all(key.isdecimal() for key in ids)
    for position, tube in enumerate(tubes, start=1):
        number = int(tube.id) if numbered else position
        for index, frame in enumerate(frames_of(tube, fps_hz)):
            if not tube.present[index]:
                continue
            x1, y1, x2, y2 = (float(value) for value in tube.boxes_px[index])
            score = 1.0 if tube.scores is None else float(tube.scores[index])
            numbers = ",".join(f"{value:.10g}" for value in (x1, y1, x2 - x1, y2 - y1, score))
            rows.append((frame + 1, number, f"{frame + 1},{number},{numbers},-1,-1,-1\n"))
    return "".join(line for _, _, line in sorted(rows))


def read_mot(path: Path, fps_hz: float) -> tuple[tuple[Tube, ...], tuple[RowError, ...]]:
    """The tubes of a file by their numbers, and the lines that are none. Between the first and the
    last frame of a tube, frames without a line are absence. Raises FormError where there is no
    file, or its tracks are too long.

    Example:
        >>> read_mot(Path("gt.txt"), 25.0)  # doctest: +SKIP
    """
    check_file(path)
    boxes: dict[int, dict[int, Box]] = defaultdict(dict)
    errors: list[RowError] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        number = 0
        while line := file.readline(_MOST_LINE_CHARACTERS):
            number += 1
            if not line.strip():
                continue
            try:
                frame, track, box = _read_line(line)
                if frame in boxes[track]:
                    raise BadRow(f"track {track} has two boxes in frame {frame + 1}")
                boxes[track][frame] = box
            except BadRow as error:
                errors.append(RowError(source_name(path), number, str(error)))
    length = sum(max(of_track) - min(of_track) + 1 for of_track in boxes.values() if of_track)
    if length > MOST_TRACK_FRAMES:
        raise FormError(
            f"{path}: its tracks reach over {length:,} frames in all, the limit is "
            f"{MOST_TRACK_FRAMES:,}; split the file"
        )
    tubes = [
        build_tube(of_track, range(min(of_track), max(of_track) + 1), fps_hz, id=str(track))
        for track, of_track in sorted(boxes.items())
        if of_track
    ]
    return tuple(tubes), tuple(errors)


def _read_line(line: str) -> tuple[int, int, Box]:
    """Frame from 0 on, track, box."""
    cells = line.strip().split(",")
    if len(cells) < 6:
        raise BadRow("expected frame,id,left,top,width,height")
    try:
        frame, track = int(float(cells[0])), int(float(cells[1]))
        numbers = [float(cell) for cell in cells[2:6]]
    except (ValueError, OverflowError) as error:
        raise BadRow("expected numbers: frame,id,left,top,width,height") from error
    if not 1 <= frame <= 10_000_000:
        raise BadRow(f"frames count from 1, found {frame}")
    return frame - 1, track, read_box(numbers, None, xywh=True)[0]
