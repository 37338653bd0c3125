"""Foreign text (file names, titles, subtitles, replies, errors of libraries) shown as text and as
nothing else.

One rule for terminals, JSON and pages: what a terminal would obey (escapes, control characters),
what turns the direction of writing, what has no glyph and what no file can hold becomes U+FFFD.
HTML escapes the result as it escapes everything.
"""

from __future__ import annotations

import json
import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_JOINERS = frozenset("\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
"""Parts of words in Persian, Hindi and others, and of emoji: harmless, and needed."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: control, format (with bidi), half surrogate pairs, separators of lines."""


def show_text(text: str) -> str:
    """`text` in which tabs and line ends stay and whatever else is not visible is U+FFFD.

    Example:
        >>> show_text("red\\x1b[2J \\u202etxt.exe")
        'red\ufffd[2J \ufffdtxt.exe'
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    # Each character is looked up once, so that a page of megabytes costs one pass.
    hidden = {ord(character): _REPLACEMENT for character in set(text) if _is_hidden(character)}
    return text.translate(hidden) if hidden else text


def escape_hidden(json_text: str) -> str:
    """The same JSON, in which hidden characters of strings are written as `\\u009b`, and half a
    surrogate pair, which no reader has to take, is U+FFFD.

    Example:
        >>> escape_hidden('["\\x9b \\u202e"]')
        '["\\\\u009b \\\\u202e"]'
    """
    hidden = {
        ord(character): _REPLACEMENT
        if unicodedata.category(character) == "Cs"
        else json.dumps(character)[1:-1]
        for character in set(json_text)
        if _is_hidden(character)
    }
    return json_text.translate(hidden) if hidden else json_text


def show_line(text: str) -> str:
    """`show_text` on one line, its runs of white space as one space.

    Example:
        >>> show_line("two\\nlines\\x07")
        'two lines\ufffd'
    """
    return show_text(" ".join(text.split()))


def _is_hidden(character: str) -> bool:
    if character in "\t\n" or character in _JOINERS:
        return False
    return unicodedata.category(character) in _HIDDEN
