"""One question, carried from whoever asks it to the policy that plays it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mmreason.language.validate import checked_options, checked_question
from mmreason.video.inputs import VideoInput
from mmreason.video.subtitles import Subtitles
from mmreason.video.types import FrameSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about which video. Checked when it is made, and nowhere after that.

    Raises UsageError for a text or options that cannot be used. The video and a file of subtitles
    are opened when the question is asked.

    Example:
        >>> Question(video="talk.mp4", text=" Who speaks? ", options=("Ada", "Bo")).text
        'Who speaks?'
    """

    video: VideoInput | FrameSource = field(repr=False)
    """A path, bytes, a binary file, or a `Video`, which stays open."""
    text: str
    """The question, without white space around it."""
    options: tuple[str, ...] = ()
    """2 to 26 possible answers; none for an open question."""
    subtitles: Subtitles | str | Path | None = "auto"
    """Read already, a file, "auto" for those beside or inside the video, None for none."""
    id: str = ""
    """Names the question in results; its line number where a file gives none."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", checked_question(self.text))
        # No options are an open question; an empty list is a mistake of who fills it in.
        if self.options != ():
            object.__setattr__(self, "options", checked_options(self.options))
