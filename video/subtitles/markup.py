"""Taking the markup out of subtitle text: tags, styles, entities, word stamps.

Pure functions of text. What is no known markup stays as it is: `a < b and c > d`, `<enter>`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from html.entities import html5
from unicodedata import category

from mmreason.video.subtitles.limits import MAX_NAMED, MAX_RAW_TEXT, MAX_TEXT

# Every repetition is bounded, so that no text makes a pattern search it again and again.
_CLASSES = r"(?:\.[\w.-]{1,80})?"
WORD_STAMP = re.compile(r"<\d{1,4}:\d{2}(?::\d{2})?(?:[.,]\d{1,6})?>")
"""`<00:00:01.640>`: when the next word is said, in captions that YouTube writes."""
_SPEAKER = re.compile(rf"<v{_CLASSES}[ \t]([^<>]{{1,200}})>", re.IGNORECASE)
_BREAK = re.compile(r"<br[ ]?/?>", re.IGNORECASE)
_TAG = re.compile(
    rf"</?(?:[bicsuv]|em|strong|strike|rt|ruby){_CLASSES}>"
    rf"|</?(?:font|span|lang|p){_CLASSES}(?:\s[^<>]{{0,300}})?>",
    re.IGNORECASE,
)
_STYLE = re.compile(r"\{\\[^{}]{0,500}\}|\{[yYcCfFsSoOpP]:[^{}]{0,80}\}")
_ENTITY = re.compile(r"&(?:[a-zA-Z][a-zA-Z0-9]{1,30}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
_ASS_BLOCK = re.compile(r"\{([^{}]{0,2000})\}")
_ASS_DRAWING = re.compile(r"\\p(\d)")


def strip_tags(text: str) -> str:
    """Text of an srt or vtt cue without its markup; a speaker's name is kept: `Ann: Good morning`.

    `<i>all</i><00:00:01.640><c> right</c>` -> `all right`.
    """
    text = WORD_STAMP.sub("", text)
    text = _SPEAKER.sub(lambda match: f"{match[1].strip()}: ", text)
    text = _STYLE.sub("", _TAG.sub("", _BREAK.sub("\n", text)))
    return _ENTITY.sub(_unescape, text)


def _unescape(entity: re.Match[str]) -> str:
    """What an entity stands for; itself where its name is not known."""
    name = entity[0][1:]
    return html.unescape(entity[0]) if name[0] == "#" else html5.get(name, entity[0])


def strip_ass(text: str) -> str:
    r"""Text of an ass event without styles and drawings: `{\i1}Good{\i0}\Nmorning` -> two lines."""
    runs: list[str] = []
    offset, drawing = 0, False
    for block in _ASS_BLOCK.finditer(text):
        if not drawing:
            runs.append(text[offset : block.start()])
        for scale in _ASS_DRAWING.findall(block[1]):
            drawing = scale != "0"
        offset = block.end()
    if not drawing:
        runs.append(text[offset:])
    joined = "".join(runs).replace("\\N", "\n").replace("\\n", "\n")
    return joined.replace("\\h", " ")


def count_lines(count: int) -> str:
    """`1 line`, `1,200 lines`."""
    return f"{count:,} line" + "s" * (count != 1)


def name_first(names: Sequence[str]) -> str:
    """`a.srt; b.srt`; of many the first, and how many more there are."""
    more = len(names) - MAX_NAMED
    return "; ".join([*names[:MAX_NAMED], f"and {more:,} more"] if more > 0 else names)


def plain_line(text: str) -> str:
    """One line of printable text of at most `MAX_TEXT` characters. Marks that are not seen, such as
    those of direction, are taken out."""
    text = text[:MAX_RAW_TEXT]
    visible = text if text.isascii() else "".join(c for c in text if category(c) != "Cf")
    joined = " ".join(visible.split())[:MAX_TEXT]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in joined)
