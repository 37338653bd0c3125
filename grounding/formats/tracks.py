"""Tubes as MOTChallenge's text: one box a line, frames counted from 1."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from mmreason.grounding.boxes import Box
from mmreason.grounding.formats.rows import BadRow, RowError, read_box
from mmreason.grounding.formats.sources import check_file, source_name
from mmreason.grounding.formats.tubes_of_frames import build_tube, frames_of
from mmreason.grounding.tubes import Tube


def write_mot(tubes: Sequence[Tube], fps_hz: float) -> str:
    """Lines of `frame,id,left,top,width,height,confidence,-1,-1,-1` in the order of frames. An id
    that is no whole number is replaced by the tube's place (from 1 on). Absence has no line.
    Raises FormError where a time is no frame at `fps_hz`.

    Example:
        >>> write_mot([Tube.from_boxes([0.5], [Box(1, 2, 4, 6)])], 2.0)
        '2,1,1,2,3,4,1,-1,-1,-1\\n'
    """
    rows: list[tuple[int, int, str]] = []
    numbered = all(tube.id.isdecimal() for tube in tubes)
    for place, tube in enumerate(tubes, start=1):
        number = int(tube.id) if numbered else place
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
    file.

    Example:
        >>> read_mot(Path("gt.txt"), 25.0)  # doctest: +SKIP
    """
    check_file(path)
    boxes: dict[int, dict[int, Box]] = defaultdict(dict)
    errors: list[RowError] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                frame, track, box = _read_line(line)
                if frame in boxes[track]:
                    raise BadRow(f"track {track} has two boxes in frame {frame + 1}")
                boxes[track][frame] = box
            except BadRow as error:
                errors.append(RowError(source_name(path), number, str(error)))
    tubes = [
        build_tube(of_track, range(min(of_track), max(of_track) + 1), fps_hz, id=str(track))
        for track, of_track in sorted(boxes.items())
        if of_track
    ]
    return tuple(tubes), tuple(errors)


def _read_line(line: str) -> tuple[int, int, Box]:
    """Frame from 0 on, track, box."""
    words = line.strip().split(",")
    if len(words) < 6:
        raise BadRow("expected frame,id,left,top,width,height")
    try:
        frame, track = int(float(words[0])), int(float(words[1]))
        numbers = [float(word) for word in words[2:6]]
    except (ValueError, OverflowError) as error:
        raise BadRow("expected numbers: frame,id,left,top,width,height") from error
    if not 1 <= frame <= 10_000_000:
        raise BadRow(f"frames count from 1, found {frame}")
    return frame - 1, track, read_box(numbers, None, xywh=True)[0]
