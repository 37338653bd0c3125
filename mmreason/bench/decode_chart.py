"""A bar chart of the two long files as SVG, written by hand: no plotting library is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from mmreason.bench.decode_run import FileResult

_WIDTH, _ROW, _NAMES, _ROOM = 860, 24, 210, 120
_OURS, _THEIRS, _LINE = "#0b7285", "#adb5bd", "#c92a2a"


def svg(files: Sequence[FileResult]) -> str:
    """One panel a file: a bar a reader, fastest first, and a line where the floor is."""
    body: list[str] = []
    top = 10
    for file in files:
        panel = list(_panel(file, top))
        body += panel
        top += 62 + _ROW * sum(result.seconds is not None for result in file.readers)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}" '
        f'viewBox="0 0 {_WIDTH} {top}" font-family="sans-serif" font-size="13">\n'
        f'<rect width="{_WIDTH}" height="{top}" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _panel(file: FileResult, top: int) -> Iterator[str]:
    times = {r.reader: r.seconds for r in file.readers if r.seconds is not None}
    if not times:
        return
    floor_s = file.floor.seconds
    longest_s = max(floor_s, *times.values())
    scale = (_WIDTH - _NAMES - _ROOM) / longest_s
    title = f"{file.title}: seconds for {file.targets} frames"
    yield f'<text x="10" y="{top + 16}" font-weight="bold">{escape(title)}</text>'
    y = top + 28
    for name, seconds in sorted(times.items(), key=lambda item: item[1]):
        colour = _OURS if name == "mmreason" else _THEIRS
        end = _NAMES + scale * seconds
        yield f'<text x="{_NAMES - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
        yield (
            f'<rect x="{_NAMES}" y="{y + 3}" width="{scale * seconds:.1f}" height="{_ROW - 8}" '
            f'fill="{colour}"/>'
        )
        yield f'<text x="{end + 6:.1f}" y="{y + 14}">{seconds:.2f}</text>'
        y += _ROW
    at = _NAMES + scale * floor_s
    yield (
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top + 26}" y2="{y + 4}" stroke="{_LINE}" '
        'stroke-dasharray="4 3"/>'
    )
    yield (
        f'<text x="{at:.1f}" y="{y + 18}" fill="{_LINE}" text-anchor="middle">'
        f"floor {floor_s:.2f}</text>"
    )
