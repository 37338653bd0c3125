"""The console of every terminal view: foreign text reaches the terminal as text."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from mmreason.video.plain_text import show_text


class TextConsole(Console):
    """A console that takes strings as they are: no markup, no emoji names, and whatever a terminal
    would obey is U+FFFD. What Rich itself writes (colours, moves of bars) is not text and stays."""

    def __init__(self, *, stderr: bool = False):
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of `renderable`, their texts made plain."""
        for segment in super().render(renderable, options):
            # Rich's own control codes move bars; what looks like one in a text is made plain.
            is_text = segment.control is None
            yield Segment(show_text(segment.text), segment.style) if is_text else segment
